//! The contest: what every candidate makes of rows its models did not see.
//!
//! At most two models are fitted at a time, and of many cells one: memory stays bounded, and each fit uses the cores
//! that are left. The results do not depend on it.

use std::sync::Arc;

use nextbest_models::units::Seed;
use rayon::prelude::*;

use super::blend::{Weights, cross_fitted};
use super::{BLEND, FOLDS_OF_MANY, MANY_ROWS, PropensityRequest, Validation};
use crate::calibration::{CalibrationChoice, choose};
use crate::dataset::Labelled;
use crate::learner::{Fitted, LearnError, Learner, Sample, ScorerForm, Settled};

/// Parts of rows that lie in no folds, for calibrations and blend weights: by customer.
const N_CHOICE_PARTS: u32 = 5;
/// From this many cells on, one model is fitted at a time.
const MANY_CELLS: usize = 8_000_000;

/// A learner that could be fitted.
pub(super) struct Entrant {
    /// What its search settled on, of each part it was fitted on: what the model that is sealed is fitted by.
    pub(super) settled: Vec<Settled>,
    /// The model of the rows before those of the choice, where rows are parted in time: it is judged on the test.
    pub(super) earlier: Option<Arc<dyn Fitted>>,
    pub(super) form: ScorerForm,
    notes: Vec<String>,
    margins: Vec<f64>,
}

/// A candidate for the choice.
pub(super) struct Contender {
    pub(super) name: &'static str,
    /// Learners by number with their weights; one of weight 1 where nothing is blended.
    pub(super) members: Vec<(usize, f64)>,
    pub(super) intercept: f64,
    /// Log-odds of each row of the choice, by models and weights that did not see it.
    pub(super) margins: Vec<f64>,
    pub(super) calibrated: CalibrationChoice,
    /// Rows of the final fit.
    pub(super) n_fit: usize,
    pub(super) notes: Vec<String>,
}

/// The rows and what was made of them.
pub(super) struct Contest<'a> {
    /// Rows the candidates are fitted on: those before the choice, or all.
    pub(super) fit: Sample<'a>,
    /// All rows, whatever part they lie in: what is sealed is fitted on them.
    pub(super) all: Sample<'a>,
    /// Rows of the choice.
    pub(super) rows: Sample<'a>,
    /// Rows of the test, where they are others than those of the choice.
    pub(super) test: Option<Sample<'a>>,
    /// Folds scored, of folds there are.
    pub(super) folds: Option<(u32, u32)>,
    pub(super) entrants: Vec<Option<Entrant>>,
    /// The learners in their order, then the blend where there is one.
    pub(super) contenders: Vec<(&'static str, Result<Contender, LearnError>)>,
}

impl<'a> Contest<'a> {
    /// Fits every learner, blends, calibrates. `all` are the rows with the label.
    pub(super) fn hold(
        request: &PropensityRequest<'a>,
        all: Labelled,
        learners: &[Box<dyn Learner>],
    ) -> Result<Self, LearnError> {
        let check = |labelled, part| Sample::checked(request.dataset, labelled, part, request.name);
        match &request.validation {
            Validation::InTime(parts) => {
                let (fit, all) = (check(parts.fit.clone(), "fit")?, check(all, "all")?);
                let rows = check(parts.calibrate.clone(), "calibrate")?;
                let test = Some(check(parts.test.clone(), "test")?);
                let entrants = at_most_two(&fit, learners, |learner| {
                    in_time(learner.as_ref(), &fit, &rows, request.seed)
                });
                let parts = rows.parts_by_customer(N_CHOICE_PARTS, request.seed);
                Ok(Self::contend(learners, entrants, Self::empty((fit, all), rows, test, None), &parts))
            }
            Validation::Folds { fold_of_row, n_folds } => {
                let fit = check(all, "all folds")?;
                let folds = folds_of(&fit, fold_of_row, *n_folds)?;
                let n_scored = if fit.n_rows() < MANY_ROWS { *n_folds } else { FOLDS_OF_MANY.min(*n_folds) };
                let scored: Vec<usize> = (0..folds.len()).filter(|&at| folds[at] < n_scored).collect();
                let rows = fit.part(&scored);
                let entrants = learners
                    .iter()
                    .map(|learner| out_of_fold(learner.as_ref(), &fit, &folds, n_scored, request));
                let entrants = entrants.collect();
                let scored: Vec<u32> = scored.iter().map(|&at| folds[at]).collect();
                let empty = Self::empty((fit.clone(), fit), rows, None, Some((n_scored, *n_folds)));
                Ok(Self::contend(learners, entrants, empty, &scored))
            }
        }
    }

    fn empty(
        (fit, all): (Sample<'a>, Sample<'a>),
        rows: Sample<'a>,
        test: Option<Sample<'a>>,
        folds: Option<(u32, u32)>,
    ) -> Self {
        Self { fit, all, rows, test, folds, entrants: Vec::new(), contenders: Vec::new() }
    }

    fn contend(
        learners: &[Box<dyn Learner>],
        entrants: Vec<Result<Entrant, LearnError>>,
        mut contest: Self,
        folds: &[u32],
    ) -> Self {
        let outcomes = contest.rows.outcomes();
        let n_fit = |number: usize| contest.all.n_rows().min(learners[number].max_rows());
        let contend = |name, members: Vec<(usize, f64)>, intercept, margins: Vec<f64>, notes| Contender {
            name,
            calibrated: choose(&margins, outcomes, folds),
            n_fit: members.iter().map(|(number, _)| n_fit(*number)).max().unwrap_or(0),
            members,
            intercept,
            margins,
            notes,
        };
        let mut contenders = Vec::new();
        for (number, (learner, entrant)) in learners.iter().zip(&entrants).enumerate() {
            let made = entrant.as_ref().map_err(Clone::clone).map(|entrant| {
                let (margins, notes) = (entrant.margins.clone(), entrant.notes.clone());
                contend(learner.name(), vec![(number, 1.0)], 0.0, margins, notes)
            });
            contenders.push((learner.name(), made));
        }
        if let Some((members, intercept, margins)) = blend(&entrants, outcomes, folds) {
            let notes = vec!["log-odds added up with weights fitted out of fold".to_owned()];
            contenders.push((BLEND, Ok(contend(BLEND, members, intercept, margins, notes))));
        }
        contest.contenders = contenders;
        contest.entrants = entrants.into_iter().map(Result::ok).collect();
        contest
    }
}

/// Learners with their weights, the intercept, and the blended log-odds of each row.
type Blend = (Vec<(usize, f64)>, f64, Vec<f64>);

/// The blend of those that can be, if at least two get a weight.
fn blend(entrants: &[Result<Entrant, LearnError>], outcomes: &[bool], folds: &[u32]) -> Option<Blend> {
    let able = entrants.iter().enumerate().filter_map(|(number, entrant)| {
        let entrant = entrant.as_ref().ok().filter(|entrant| entrant.form != ScorerForm::Averaged)?;
        Some((number, entrant.margins.as_slice()))
    });
    let (numbers, margins): (Vec<usize>, Vec<&[f64]>) = able.unzip();
    let weights = Weights::fit(&margins, outcomes);
    let members = numbers.into_iter().zip(weights.members).filter(|(_, weight)| *weight > 0.0);
    let members: Vec<(usize, f64)> = members.collect();
    (members.len() > 1).then(|| (members, weights.intercept, cross_fitted(&margins, outcomes, folds)))
}

/// Runs `fit` on every item, two at a time where memory allows; the answers stand in the order of the items.
pub(super) fn at_most_two<T: Sync, R: Send>(
    sample: &Sample<'_>,
    items: &[T],
    fit: impl Fn(&T) -> R + Sync,
) -> Vec<R> {
    let n_cells = sample.n_rows() * sample.dataset().columns().len();
    let at_once = if n_cells < MANY_CELLS { 2 } else { 1 };
    items.chunks(at_once).flat_map(|few| few.par_iter().map(&fit).collect::<Vec<_>>()).collect()
}

fn in_time(
    learner: &dyn Learner,
    fit: &Sample<'_>,
    rows: &Sample<'_>,
    seed: Seed,
) -> Result<Entrant, LearnError> {
    let fitted = learner.fit(&fit.thinned(learner.max_rows(), seed), seed)?;
    let margins = fitted.margins(&rows.rows())?;
    let (settled, form, notes) = (fitted.settled().into_iter().collect(), fitted.form(), fitted.notes());
    Ok(Entrant { settled, earlier: Some(Arc::from(fitted)), form, notes, margins })
}

/// The fold of each row of `sample`.
fn folds_of(sample: &Sample<'_>, fold_of_row: &[u32], n_folds: u32) -> Result<Vec<u32>, LearnError> {
    let expected = sample.dataset().n_rows();
    let found = fold_of_row.iter().filter(|fold| **fold < n_folds).count();
    if n_folds < 2 || fold_of_row.len() != expected || found != expected {
        return Err(LearnError::Folds { expected, found, n_folds });
    }
    Ok(sample.row_numbers().iter().map(|&row| fold_of_row[row]).collect())
}

/// Every scored row's margin by a model of the other folds.
fn out_of_fold(
    learner: &dyn Learner,
    sample: &Sample<'_>,
    folds: &[u32],
    n_scored: u32,
    request: &PropensityRequest<'_>,
) -> Result<Entrant, LearnError> {
    let scored: Vec<u32> = (0..n_scored).filter(|fold| folds.contains(fold)).collect();
    let one = |fold: &u32| -> Result<Entrant, LearnError> {
        let (out, kept): (Vec<usize>, Vec<usize>) = (0..folds.len()).partition(|&at| folds[at] == *fold);
        let kept = sample.part(&kept);
        let n_rows = kept.n_rows();
        if kept.n_positive() == 0 || kept.n_positive() == n_rows {
            let (label, outcome) = (request.name.to_owned(), kept.n_positive() > 0);
            return Err(LearnError::OneClass { part: "all folds but one", label, n_rows, outcome });
        }
        let fitted = learner.fit(&kept.thinned(learner.max_rows(), request.seed), request.seed)?;
        let margins = fitted.margins(&sample.part(&out).rows())?;
        let settled = fitted.settled().into_iter().collect();
        Ok(Entrant { settled, earlier: None, form: fitted.form(), notes: fitted.notes(), margins })
    };
    let fitted = at_most_two(sample, &scored, one);
    let (mut margins, mut settled, mut last) = (vec![0.0; folds.len()], Vec::new(), None);
    for (fold, fitted) in scored.iter().zip(fitted) {
        let fitted = fitted?;
        let places = (0..folds.len()).filter(|&at| folds[at] == *fold);
        places.zip(&fitted.margins).for_each(|(at, margin)| margins[at] = *margin);
        settled.extend(&fitted.settled);
        last = Some(fitted);
    }
    let nothing = || LearnError::NoRows { part: "scored folds", label: request.name.to_owned() };
    let last = last.ok_or_else(nothing)?;
    let margins = (0..folds.len()).filter(|&at| folds[at] < n_scored).map(|at| margins[at]).collect();
    Ok(Entrant { settled, margins, ..last })
}
