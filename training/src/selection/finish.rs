//! From the contest to what is sealed and reported: the choice, the final model, its quality.

use std::collections::BTreeMap;
use std::sync::Arc;

use nextbest_models::artifact::{ModelKind, ModelMetadata, PropensityParts};
use nextbest_models::propensity::Calibration;

use super::blend::Blended;
use super::choice::{Choice, simplest_of_equals};
use super::contest::{Contender, Contest, at_most_two};
use super::{
    BlendMember, Candidate, Prediction, PropensityReport, PropensityRequest, TrainedPropensity,
    ValidationSummary,
};
use crate::interval;
use crate::learner::{Fitted, LearnError, Learner, Sample, ScorerForm};
use crate::metrics::{self, Quality, calibration_bins, quality, roc};

/// Golden rows sealed with each model.
const N_GOLDEN: usize = 64;
/// Corners of the ROC curve kept for the report.
const N_ROC: usize = 200;

/// Chooses, fits what is sealed, and reports.
pub(super) fn finish(
    request: &PropensityRequest<'_>,
    learners: &[Box<dyn Learner>],
    contest: &Contest<'_>,
) -> Result<TrainedPropensity, LearnError> {
    let losses =
        contest.contenders.iter().map(|(_, made)| Some(made.as_ref().ok()?.calibrated.losses.as_slice()));
    let Some(choice) = simplest_of_equals(&losses.collect::<Vec<_>>()) else {
        let first = contest.contenders.iter().find_map(|(_, made)| made.as_ref().err().cloned());
        let nobody = LearnError::Library { learner: "none", message: "no learner was given".to_owned() };
        return Err(first.unwrap_or(nobody));
    };
    let contender = contest.contenders[choice.chosen].1.as_ref().map_err(Clone::clone)?;
    let finalist = |contender: &Contender| finalist(request, learners, contest, contender);
    let model = finalist(contender)?;
    let companion = match model.form() {
        ScorerForm::Averaged => linear(contest).map(finalist).transpose()?,
        ScorerForm::Linear | ScorerForm::Additive => None,
    };
    let judged = contest.test.as_ref().unwrap_or(&contest.rows);
    let predicted = judge(contest, contender)?;
    let tested = quality(&predicted, judged.outcomes());
    let counts = counts(contest, contender);
    let parts = PropensityParts {
        metadata: ModelMetadata {
            name: request.name.to_owned(),
            kind: ModelKind::Propensity,
            learner: contender.name.to_owned(),
            label: request.target.label(),
            response: request.target.response(),
            purchase: request.target.purchase(),
            counts: counts.clone(),
            metrics: metric_map(&tested),
            notes: model_notes(contest, contender, model.as_ref()),
            sections: BTreeMap::new(),
        },
        scorer: model.seal()?,
        companion: companion.map(|companion| companion.seal()).transpose()?,
        calibration: contender.calibrated.calibration.clone(),
        golden: golden(model.as_ref(), &contender.calibrated.calibration, judged)?,
    };
    let report = PropensityReport {
        name: request.name.to_owned(),
        label: request.target.label(),
        validation: match contest.folds {
            Some((n_scored, n_folds)) => ValidationSummary::Folds { n_folds, n_scored },
            None => ValidationSummary::InTime,
        },
        split: request.split.clone(),
        counts,
        candidates: candidates(contest, &choice),
        calibration_bins: calibration_bins(&predicted, judged.outcomes()),
        roc: roc(&predicted, judged.outcomes(), N_ROC),
        test: tested,
        diagnostics: None,
    };
    let told = judged.row_numbers().iter().zip(&predicted).zip(judged.outcomes());
    let told = told.map(|((&row, &probability), &outcome)| Prediction { row, probability, outcome });
    let interval = interval::fit(&contender.margins, contest.rows.outcomes());
    Ok(TrainedPropensity { parts, interval, report, predictions: told.collect() })
}

/// The simplest linear candidate.
fn linear<'a>(contest: &'a Contest<'_>) -> Option<&'a Contender> {
    let form = |number: usize| Some(contest.entrants.get(number)?.as_ref()?.form);
    let at = (0..contest.entrants.len()).find(|&number| form(number) == Some(ScorerForm::Linear))?;
    contest.contenders[at].1.as_ref().ok()
}

/// The model of `contender` that is sealed: fitted on all rows as the contest settled it.
fn finalist(
    request: &PropensityRequest<'_>,
    learners: &[Box<dyn Learner>],
    contest: &Contest<'_>,
    contender: &Contender,
) -> Result<Arc<dyn Fitted>, LearnError> {
    let refitted = at_most_two(&contest.all, &contender.members, |&(number, weight)| {
        let settled = contest.entrants[number].as_ref().map(|entrant| entrant.settled.as_slice());
        let learner = &learners[number];
        let rows = contest.all.thinned(learner.max_rows(), request.seed);
        let member = learner.refit(&rows, request.seed, settled.unwrap_or_default())?;
        Ok((weight, Arc::<dyn Fitted>::from(member)))
    });
    let members: Vec<(f64, Arc<dyn Fitted>)> = refitted.into_iter().collect::<Result<_, LearnError>>()?;
    match &members[..] {
        [(_, only)] => Ok(Arc::clone(only)),
        _ => Ok(Arc::new(Blended { intercept: contender.intercept, members })),
    }
}

/// The probabilities of `contender` for the rows it is judged on: those of the test, or out of fold.
fn judge(contest: &Contest<'_>, contender: &Contender) -> Result<Vec<f64>, LearnError> {
    let Some(test) = &contest.test else { return Ok(contender.calibrated.probabilities.clone()) };
    let rows = test.rows();
    let mut sums = vec![contender.intercept; rows.len()];
    for &(number, weight) in &contender.members {
        let earlier = contest.entrants[number].as_ref().and_then(|entrant| entrant.earlier.as_ref());
        let Some(model) = earlier else { continue };
        let margins = model.margins(&rows)?;
        sums.iter_mut().zip(margins).for_each(|(sum, margin)| *sum += weight * margin);
    }
    Ok(sums.into_iter().map(|margin| contender.calibrated.calibration.apply(margin).get()).collect())
}

/// Some of the rows with the probability the final model itself gives them.
fn golden(
    model: &dyn Fitted,
    calibration: &Calibration,
    judged: &Sample<'_>,
) -> Result<Vec<(Vec<f64>, f64)>, LearnError> {
    let rows = judged.rows();
    let step = (rows.len() / N_GOLDEN).max(1);
    let rows: Vec<&[f64]> = rows.into_iter().step_by(step).take(N_GOLDEN).collect();
    let margins = model.margins(&rows)?;
    Ok(rows
        .iter()
        .zip(margins)
        .map(|(row, margin)| (row.to_vec(), calibration.apply(margin).get()))
        .collect())
}

fn counts(contest: &Contest<'_>, contender: &Contender) -> BTreeMap<String, u64> {
    let parts = match &contest.test {
        Some(test) => vec![("fit", &contest.fit), ("calibrate", &contest.rows), ("test", test)],
        None => vec![("fit", &contest.fit), ("test", &contest.rows)],
    };
    let mut counts = BTreeMap::from([("n_fit_used".to_owned(), contender.n_fit as u64)]);
    for (part, sample) in parts {
        counts.insert(format!("n_{part}"), sample.n_rows() as u64);
        counts.insert(format!("n_{part}_positive"), sample.n_positive() as u64);
    }
    counts
}

fn model_notes(contest: &Contest<'_>, contender: &Contender, model: &dyn Fitted) -> Vec<String> {
    let mut notes = Vec::new();
    if contender.name == super::BLEND {
        let name = |number: usize| contest.contenders[number].0;
        let sum = contender.members.iter().map(|(number, weight)| format!("{weight:.4} {}", name(*number)));
        notes.push(format!("{:.4} + {}", contender.intercept, sum.collect::<Vec<_>>().join(" + ")));
    }
    for note in model.notes() {
        // Members of a blend drop the same columns.
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

fn candidates(contest: &Contest<'_>, choice: &Choice) -> Vec<Candidate> {
    let one = |(at, (learner, made)): (usize, &(&'static str, Result<Contender, LearnError>))| {
        let empty = Candidate {
            learner,
            chosen: at == choice.chosen,
            failure: None,
            n_fit: 0,
            choice_log_loss: None,
            behind_best: choice.behind[at],
            calibration: None,
            calibrations: Vec::new(),
            members: Vec::new(),
            test: None,
            notes: Vec::new(),
        };
        match made {
            Err(error) => Candidate { failure: Some(error.to_string()), ..empty },
            Ok(contender) => candidate(contest, contender, empty),
        }
    };
    contest.contenders.iter().enumerate().map(one).collect()
}

fn candidate(contest: &Contest<'_>, contender: &Contender, empty: Candidate) -> Candidate {
    let judged = contest.test.as_ref().unwrap_or(&contest.rows);
    let member = |(number, weight): &(usize, f64)| BlendMember {
        learner: contest.contenders[*number].0,
        weight: *weight,
    };
    let blended = contender.name == super::BLEND;
    Candidate {
        n_fit: contender.n_fit,
        choice_log_loss: Some(metrics::mean(&contender.calibrated.losses)),
        calibration: Some(contender.calibrated.method),
        calibrations: contender.calibrated.candidates.clone(),
        members: if blended { contender.members.iter().map(member).collect() } else { Vec::new() },
        test: judge(contest, contender).ok().map(|p| quality(&p, judged.outcomes())),
        notes: contender.notes.clone(),
        ..empty
    }
}

fn metric_map(quality: &Quality) -> BTreeMap<String, f64> {
    let mut metrics = BTreeMap::from([
        ("base_rate".to_owned(), quality.base_rate),
        ("log_loss".to_owned(), quality.log_loss.value),
        ("log_loss_se".to_owned(), quality.log_loss.se),
        ("brier".to_owned(), quality.brier.value),
        ("brier_se".to_owned(), quality.brier.se),
        ("calibration_error".to_owned(), quality.calibration_error),
        ("calibration_error_by_chance".to_owned(), quality.calibration_error_by_chance),
    ]);
    if let Some(auc) = quality.auc {
        metrics.extend([("auc".to_owned(), auc.value), ("auc_se".to_owned(), auc.se)]);
    }
    metrics
}
