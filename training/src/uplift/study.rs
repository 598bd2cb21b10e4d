//! The whole study of one trial out of fold: pseudo-outcomes of every row and the raw scores of every learner, each by
//! trees that did not see the row; and the effect that is kept, fitted on all rows.

use nextbest_models::units::Seed;
use rayon::prelude::*;

use super::Design;
use super::assignment::{self, Assignment, AssignmentReport};
use super::crossfit::{Nuisances, OutcomeTrees};
use super::error::Refused;
use super::learners::{self, Effect, Method};
use super::trial::Trial;
use crate::learner::LearnError;

/// What is known of every row without its own outcome.
pub(super) struct Study {
    pub(super) assignment: AssignmentReport,
    /// Doubly robust pseudo-outcomes.
    pub(super) pseudo: Vec<f64>,
    /// Probabilities of treatment.
    pub(super) shares: Vec<f64>,
    /// Raw scores by learner, in the order asked for.
    pub(super) raw: Vec<(Method, Vec<f64>)>,
    drawn: Assignment,
    trees: OutcomeTrees,
}

/// One fold's rows with what trees of the others say of them.
pub(super) struct OfFold {
    pub(super) rows: Vec<usize>,
    pseudo: Vec<f64>,
    shares: Vec<f64>,
    pub(super) raw: Vec<Vec<f64>>,
}

impl Study {
    /// Tells every row of `trial` by the other folds, for each of `methods`.
    pub(super) fn of(trial: &Trial, design: Design, methods: &[Method], seed: Seed) -> Result<Self, Refused> {
        let (drawn, assignment) = assignment::settle(trial, design, seed)?;
        let trees = OutcomeTrees::settle(trial, seed)?;
        let folds: Result<Vec<OfFold>, LearnError> = (0..trial.n_folds)
            .into_par_iter()
            .map(|fold| of_fold(trial, fold, &drawn, &trees, methods))
            .collect();
        let mut study = Self {
            assignment,
            pseudo: vec![0.0; trial.len()],
            shares: vec![0.0; trial.len()],
            raw: methods.iter().map(|&method| (method, vec![0.0; trial.len()])).collect(),
            drawn,
            trees,
        };
        for fold in folds? {
            for (at, &row) in fold.rows.iter().enumerate() {
                study.pseudo[row] = fold.pseudo[at];
                study.shares[row] = fold.shares[at];
                study.raw.iter_mut().zip(&fold.raw).for_each(|((_, all), raw)| all[row] = raw[at]);
            }
        }
        Ok(study)
    }

    /// `method` on all rows.
    pub(super) fn effect(&self, trial: &Trial, method: Method) -> Result<Effect, LearnError> {
        let rows: Vec<usize> = (0..trial.len()).collect();
        let nuisances = if needs_nuisances(method) {
            Nuisances::across_parts(trial, &rows, &self.drawn, &self.trees)?
        } else {
            Nuisances::default()
        };
        learners::fit(method, trial, &rows, &nuisances, &self.trees)
    }
}

/// The rows of `fold` as told by trees grown on all others.
pub(super) fn of_fold(
    trial: &Trial,
    fold: u32,
    drawn: &Assignment,
    trees: &OutcomeTrees,
    methods: &[Method],
) -> Result<OfFold, LearnError> {
    let (asked, grown) = trial.split(fold);
    let told = Nuisances::asked(trial, &grown, &asked, drawn, trees)?;
    let pseudo = (0..asked.len()).map(|at| told.pseudo(trial, &asked, at)).collect();
    let nuisances = if methods.iter().copied().any(needs_nuisances) {
        Nuisances::across_parts(trial, &grown, drawn, trees)?
    } else {
        Nuisances::default()
    };
    let features: Vec<&[f64]> = asked.iter().map(|&row| trial.dataset.row(row)).collect();
    let raw = methods.iter().map(|&method| {
        if method == Method::T {
            // The outcome trees that told the fold's rows are the two models.
            return Ok(told.treated.iter().zip(&told.control).map(|(m1, m0)| m1 - m0).collect());
        }
        learners::fit(method, trial, &grown, &nuisances, trees)?.of(&features)
    });
    let raw = raw.collect::<Result<_, LearnError>>()?;
    Ok(OfFold { rows: asked, pseudo, shares: told.share, raw })
}

/// Whether a learner takes more than the outcomes of either arm.
fn needs_nuisances(method: Method) -> bool {
    matches!(method, Method::Dr | Method::X)
}
