//! One propensity from rows to sealed parts: every learner fitted, each calibrated, the better chosen, tested once.
//!
//! Three parts that lie apart in time: learners see `fit`; calibration and choice see `calibrate`; `test` is scored
//! once, by what was chosen and, for the table of candidates, by the others after the choice was made.

use std::collections::BTreeMap;

use nextbest_models::artifact::{ModelKind, ModelMetadata, PropensityParts};
use nextbest_models::customer::stable_hash;
use nextbest_models::project::LabelRule;
use nextbest_models::units::Seed;
use rayon::prelude::*;
use serde::Serialize;

use crate::calibration::{CalibrationCandidate, CalibrationChoice, choose};
use crate::cutoff::Split;
use crate::dataset::{Dataset, DatasetError, Labelled};
use crate::learner::{Fitted, LearnError, Learner, Sample};
use crate::metrics::{self, CalibrationBin, Estimate, Quality, calibration_bins, quality, roc};

/// Golden rows sealed with each model.
const N_GOLDEN: usize = 64;
/// Corners of the ROC curve kept for the report.
const N_ROC: usize = 200;

/// The rows of the three parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// To fit.
    pub fit: Labelled,
    /// To calibrate and to choose.
    pub calibrate: Labelled,
    /// To report.
    pub test: Labelled,
}

impl Parts {
    /// The rows of `label` by their cut-offs; rows at a cut-off that `split` does not name are left out.
    pub fn by_cutoff(dataset: &Dataset, label: &str, split: &Split) -> Result<Self, DatasetError> {
        let all = dataset.labelled(label)?;
        let pick = |wanted: &dyn Fn(usize) -> bool| {
            let rows = all.rows.iter().copied().zip(all.outcomes.iter().copied());
            let (rows, outcomes) = rows.filter(|&(row, _)| wanted(row)).unzip();
            Labelled { rows, outcomes }
        };
        let cutoffs = dataset.cutoffs();
        Ok(Self {
            fit: pick(&|row| split.fit.contains(&cutoffs[row])),
            calibrate: pick(&|row| cutoffs[row] == split.calibrate),
            test: pick(&|row| cutoffs[row] == split.test),
        })
    }
}

/// Why a propensity cannot be trained.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// The rows teach nothing.
    #[error("{label}: {source}")]
    Learn {
        /// Which label.
        label: String,
        /// Why.
        source: LearnError,
    },
    /// The set has no such label.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
}

/// A learner's row in the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The learner.
    pub learner: &'static str,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Why it has no numbers, where it failed.
    pub failure: Option<String>,
    /// Rows it was fitted on.
    pub n_fit: usize,
    /// Log-loss on the rows of the choice, each calibrated without its own fold.
    pub choice_log_loss: Option<Estimate>,
    /// The calibration chosen for it.
    pub calibration: Option<&'static str>,
    /// Every calibration tried.
    pub calibrations: Vec<CalibrationCandidate>,
    /// Its quality on the test rows, looked at after the choice.
    pub test: Option<Quality>,
    /// What it has to say.
    pub notes: Vec<String>,
}

/// Everything the report shows of one propensity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PropensityReport {
    /// The label.
    pub name: String,
    /// Its definition.
    pub label: Option<LabelRule>,
    /// The cut-offs, where rows were split by time.
    pub split: Option<Split>,
    /// Rows and positives of each part.
    pub counts: BTreeMap<String, u64>,
    /// Every learner.
    pub candidates: Vec<Candidate>,
    /// The chosen one on the test rows.
    pub test: Quality,
    /// Its calibration plot.
    pub calibration_bins: Vec<CalibrationBin>,
    /// Its ROC curve.
    pub roc: Vec<(f64, f64)>,
}

/// What to train.
#[derive(Clone, Debug)]
pub struct PropensityRequest<'a> {
    /// The label's name: the model's.
    pub name: &'a str,
    /// Its definition, for the record.
    pub label: Option<&'a LabelRule>,
    /// The rows.
    pub dataset: &'a Dataset,
    /// How they are split.
    pub parts: Parts,
    /// The cut-offs behind the split, for the record.
    pub split: Option<Split>,
    /// Of every random choice.
    pub seed: Seed,
}

/// A trained propensity: parts to seal, and what to report.
#[derive(Clone, Debug)]
pub struct TrainedPropensity {
    /// For the artifact.
    pub parts: PropensityParts,
    /// For the report.
    pub report: PropensityReport,
}

/// A learner fitted and calibrated.
struct Contender {
    fitted: Box<dyn Fitted>,
    choice: CalibrationChoice,
    n_fit: usize,
}

/// Trains, calibrates, chooses and tests.
pub fn train(
    request: &PropensityRequest<'_>,
    learners: &[Box<dyn Learner>],
) -> Result<TrainedPropensity, TrainError> {
    let label = request.name.to_owned();
    let run = || -> Result<TrainedPropensity, LearnError> {
        let sample = |labelled: &Labelled, part| {
            Sample::checked(request.dataset, labelled.clone(), part, request.name)
        };
        let fit = sample(&request.parts.fit, "fit")?;
        let calibrate = sample(&request.parts.calibrate, "calibrate")?;
        let test = sample(&request.parts.test, "test")?;
        let contenders = learners.par_iter();
        let contenders: Vec<Result<Contender, LearnError>> =
            contenders.map(|learner| contender(learner.as_ref(), &fit, &calibrate, request.seed)).collect();
        let loss = |contender: &Contender| metrics::mean(&contender.choice.losses).value;
        let found = contenders.iter().enumerate().filter_map(|(at, c)| Some((at, loss(c.as_ref().ok()?))));
        let Some((best, _)) = found.min_by(|a, b| a.1.total_cmp(&b.1)) else {
            let first = contenders.into_iter().find_map(Result::err);
            let nobody = LearnError::Library { learner: "none", message: "no learner was given".to_owned() };
            return Err(first.unwrap_or(nobody));
        };
        finish(request, learners, &contenders, best, [&fit, &calibrate, &test])
    };
    run().map_err(|source| TrainError::Learn { label, source })
}

fn contender(
    learner: &dyn Learner,
    fit: &Sample<'_>,
    calibrate: &Sample<'_>,
    seed: Seed,
) -> Result<Contender, LearnError> {
    let fit = fit.thinned(learner.max_rows(), seed);
    let fitted = learner.fit(&fit, seed)?;
    let margins = fitted.margins(&calibrate.rows())?;
    let customers = calibrate.dataset().customers();
    let fold = |row: &usize| (stable_hash(customers[*row].as_str()) >> 40) as u32;
    let folds: Vec<u32> = calibrate.row_numbers().iter().map(fold).collect();
    let choice = choose(&margins, calibrate.outcomes(), &folds);
    Ok(Contender { fitted, choice, n_fit: fit.n_rows() })
}

/// The calibrated probabilities the learner itself gives.
fn probabilities(contender: &Contender, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
    let margins = contender.fitted.margins(rows)?;
    Ok(margins.into_iter().map(|margin| contender.choice.calibration.apply(margin).get()).collect())
}

fn finish(
    request: &PropensityRequest<'_>,
    learners: &[Box<dyn Learner>],
    contenders: &[Result<Contender, LearnError>],
    best: usize,
    [fit, calibrate, test]: [&Sample<'_>; 3],
) -> Result<TrainedPropensity, LearnError> {
    let chosen = contenders[best].as_ref().map_err(Clone::clone)?;
    let rows = test.rows();
    let predicted = probabilities(chosen, &rows)?;
    let tested = quality(&predicted, test.outcomes());
    let candidates = learners
        .iter()
        .zip(contenders)
        .enumerate()
        .map(|(at, (learner, contender))| candidate(learner.as_ref(), contender, at == best, test))
        .collect::<Vec<_>>();
    let mut counts = BTreeMap::new();
    for (part, sample) in [("fit", fit), ("calibrate", calibrate), ("test", test)] {
        counts.insert(format!("n_{part}"), sample.n_rows() as u64);
        counts.insert(format!("n_{part}_positive"), sample.n_positive() as u64);
    }
    counts.insert("n_fit_used".to_owned(), chosen.n_fit as u64);
    let step = (rows.len() / N_GOLDEN).max(1);
    let golden = (0..rows.len()).step_by(step).take(N_GOLDEN).map(|at| (rows[at].to_vec(), predicted[at]));
    let companion = contenders.iter().flatten().find(|contender| contender.fitted.explains_itself());
    let companion = companion.filter(|_| !chosen.fitted.explains_itself());
    let parts = PropensityParts {
        metadata: ModelMetadata {
            name: request.name.to_owned(),
            kind: ModelKind::Propensity,
            learner: learners[best].name().to_owned(),
            label: request.label.cloned(),
            counts: counts.clone(),
            metrics: metric_map(&tested),
            notes: chosen.fitted.notes(),
            sections: BTreeMap::new(),
        },
        scorer: chosen.fitted.seal()?,
        companion: companion.map(|contender| contender.fitted.seal()).transpose()?,
        calibration: chosen.choice.calibration.clone(),
        golden: golden.collect(),
    };
    let report = PropensityReport {
        name: request.name.to_owned(),
        label: request.label.cloned(),
        split: request.split.clone(),
        counts,
        candidates,
        calibration_bins: calibration_bins(&predicted, test.outcomes()),
        roc: roc(&predicted, test.outcomes(), N_ROC),
        test: tested,
    };
    Ok(TrainedPropensity { parts, report })
}

fn candidate(
    learner: &dyn Learner,
    contender: &Result<Contender, LearnError>,
    chosen: bool,
    test: &Sample<'_>,
) -> Candidate {
    let empty = Candidate {
        learner: learner.name(),
        chosen,
        failure: None,
        n_fit: 0,
        choice_log_loss: None,
        calibration: None,
        calibrations: Vec::new(),
        test: None,
        notes: Vec::new(),
    };
    match contender {
        Err(error) => Candidate { failure: Some(error.to_string()), ..empty },
        Ok(contender) => Candidate {
            n_fit: contender.n_fit,
            choice_log_loss: Some(metrics::mean(&contender.choice.losses)),
            calibration: Some(contender.choice.calibration.name()),
            calibrations: contender.choice.candidates.clone(),
            test: probabilities(contender, &test.rows()).ok().map(|p| quality(&p, test.outcomes())),
            notes: contender.fitted.notes(),
            ..empty
        },
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

#[cfg(test)]
mod tests;
#[cfg(test)]
mod real_tables;
