//! One propensity from rows to sealed parts: every learner fitted, blended and calibrated, one chosen, tested.
//!
//! No row's own outcome touches the number it is judged by. Either the rows lie in three parts apart in time: learners
//! see `fit`; blend, calibration and choice see `calibrate`; `test` is reported. Or they lie in folds: every candidate
//! scores each fold by a model of the others, blend weights and calibrations are fitted without the fold they are applied
//! to. Once all is judged, what is sealed is fitted anew on all rows, as the parts settled it: the latest rows are those
//! most like the customers it will score. Weights, where the set has them, count in
//! fitting alone: calibration and every number of the report take rows as equals.

use std::collections::BTreeMap;

use nextbest_models::artifact::PropensityParts;
use nextbest_models::policy::response::ResponseSpec;
use nextbest_models::pricing::PurchaseSpec;
use nextbest_models::project::LabelRule;
use nextbest_models::propensity::interval::ProbabilityInterval;
use nextbest_models::units::Seed;
use serde::Serialize;

use crate::calibration::CalibrationCandidate;
use crate::cutoff::Split;
use crate::dataset::{Dataset, DatasetError, Labelled};
use crate::diagnostics::Diagnostics;
use crate::learner::{LearnError, Learner};
use crate::metrics::{CalibrationBin, Estimate, Quality};
use contest::Contest;

mod blend;
pub(crate) mod choice;
mod contest;
mod finish;

/// The name of a blend among the learners' names.
pub const BLEND: &str = "blend";

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

/// How rows that are fitted on and rows that are judged on are kept apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validation {
    /// Parts that lie apart in time: learners see `fit`, choice and calibration see `calibrate`, `test` is reported.
    InTime(Parts),
    /// Folds: every number of the report is out of fold, the final model is fitted on all rows. From
    /// [`MANY_ROWS`] on, only the first [`FOLDS_OF_MANY`] folds are scored: their rows tell enough.
    Folds {
        /// The fold of every row of the set, below `n_folds`; rows that must not part (a customer's) share one.
        fold_of_row: Vec<u32>,
        /// How many folds, at least 2.
        n_folds: u32,
    },
}

/// From this many labelled rows on, [`FOLDS_OF_MANY`] folds are scored: the standard error of a log-loss near .4 is
/// then below .002, and what differs between candidates is told apart far better, being paired.
pub const MANY_ROWS: usize = 100_000;
/// Folds scored of many rows.
pub const FOLDS_OF_MANY: u32 = 2;

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

/// A member of a blend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BlendMember {
    /// The learner.
    pub learner: &'static str,
    /// Factor on its log-odds.
    pub weight: f64,
}

/// A candidate's row in the report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Candidate {
    /// The learner, or [`BLEND`].
    pub learner: &'static str,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Why it has no numbers, where it failed.
    pub failure: Option<String>,
    /// Rows the one that is sealed would be fitted on.
    pub n_fit: usize,
    /// Log-loss on the rows of the choice, each scored and calibrated without its own fold or part.
    pub choice_log_loss: Option<Estimate>,
    /// Mean of the differences, row by row, of its loss to that of the candidate with the least; what the choice rests
    /// on. 0 for that one.
    pub behind_best: Option<Estimate>,
    /// The calibration chosen for it.
    pub calibration: Option<&'static str>,
    /// Every calibration tried.
    pub calibrations: Vec<CalibrationCandidate>,
    /// Members of a blend, with the weights fitted on all rows of the choice.
    pub members: Vec<BlendMember>,
    /// Its quality on the test rows, or out of fold.
    pub test: Option<Quality>,
    /// What it has to say.
    pub notes: Vec<String>,
}

/// How the numbers of a report came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum ValidationSummary {
    /// Parts apart in time.
    InTime,
    /// Folds.
    Folds {
        /// Folds the rows lie in.
        n_folds: u32,
        /// Folds whose rows were scored.
        n_scored: u32,
    },
}

/// Everything the report shows of one propensity.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PropensityReport {
    /// The label.
    pub name: String,
    /// Its definition.
    pub label: Option<LabelRule>,
    /// How the numbers came about.
    pub validation: ValidationSummary,
    /// The cut-offs, where rows were split by time.
    pub split: Option<Split>,
    /// Rows and positives of each part.
    pub counts: BTreeMap<String, u64>,
    /// Every learner, the simplest first, then their blend.
    pub candidates: Vec<Candidate>,
    /// The chosen one on the test rows, or out of fold.
    pub test: Quality,
    /// Its calibration plot.
    pub calibration_bins: Vec<CalibrationBin>,
    /// Its ROC curve.
    pub roc: Vec<(f64, f64)>,
    /// Curves, reasons, segments, drift, costs and card of the sealed model; absent until it is sealed.
    pub diagnostics: Option<Diagnostics>,
}

/// What to train.
#[derive(Clone, Debug)]
pub struct PropensityRequest<'a> {
    /// The label's name: the model's.
    pub name: &'a str,
    /// What it is about, for the record.
    pub target: Target<'a>,
    /// The rows.
    pub dataset: &'a Dataset,
    /// How rows that are fitted on and rows that are judged on are kept apart.
    pub validation: Validation,
    /// The cut-offs behind the parts, for the record.
    pub split: Option<Split>,
    /// Of every random choice.
    pub seed: Seed,
}

/// What a propensity is about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target<'a> {
    /// An outcome that came with the rows.
    Given,
    /// What follows a cut-off.
    Label(&'a LabelRule),
    /// What follows a contact.
    Response(&'a ResponseSpec),
    /// What follows a price shown.
    Purchase(&'a PurchaseSpec),
}

impl Target<'_> {
    fn label(self) -> Option<LabelRule> {
        if let Self::Label(rule) = self { Some(rule.clone()) } else { None }
    }

    fn response(self) -> Option<ResponseSpec> {
        if let Self::Response(spec) = self { Some(spec.clone()) } else { None }
    }

    fn purchase(self) -> Option<PurchaseSpec> {
        if let Self::Purchase(spec) = self { Some(spec.clone()) } else { None }
    }
}

/// A probability of the chosen candidate for a row neither its models nor its calibration had seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Row number in the set.
    pub row: usize,
    /// Calibrated, in 0 ..= 1.
    pub probability: f64,
    /// What happened.
    pub outcome: bool,
}

/// A trained propensity: parts to seal, and what to report.
#[derive(Clone, Debug)]
pub struct TrainedPropensity {
    /// For the artifact.
    pub parts: PropensityParts,
    /// How far the probability can be off, for the artifact.
    pub interval: Option<ProbabilityInterval>,
    /// For the report.
    pub report: PropensityReport,
    /// What the report's `test` is measured on.
    pub predictions: Vec<Prediction>,
}

/// Trains, blends, calibrates, chooses and tests. `learners` stand in the order of preference, the simplest first.
pub fn train(
    request: &PropensityRequest<'_>,
    learners: &[Box<dyn Learner>],
) -> Result<TrainedPropensity, TrainError> {
    let named = |source| TrainError::Learn { label: request.name.to_owned(), source };
    let all = request.dataset.labelled(request.name)?;
    let contest = Contest::hold(request, all, learners).map_err(named)?;
    finish::finish(request, learners, &contest).map_err(named)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod real_tables;
