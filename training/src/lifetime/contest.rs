//! What came of holding trees of realised value against the closed form and the mean: who erred how much, and which was
//! sealed why.

use nextbest_models::units::Timestamp;
use serde::Serialize;

use super::history::{Cutoffs, ValueHistory};
use crate::metrics::{Estimate, mean};

/// What came of the contest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RealisedCode {
    /// Trees err less: they tell lifetime values.
    LessError,
    /// They do not: the closed form stays, if there is one.
    NoLessError,
    /// A third of the log is shorter than four weeks.
    LogTooShort,
    /// Too few active customers at a cut-off, or nobody brought anything.
    TooFewCustomers,
    /// The log is shorter than three horizons, and no closed form says what the rest is worth.
    NoStretch,
    /// The learner failed.
    NotLearned,
}

/// How far off values were, out of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ValueError {
    /// `trees`, `closed_form` or `mean`.
    pub model: &'static str,
    /// Root of the mean squared error, in minor units.
    pub rmse: f64,
    /// Mean absolute error, in minor units; its least is at the median, which is no value.
    pub mae: f64,
    /// What all customers were told to bring over what they brought.
    pub ratio: f64,
    /// Mean squared error less that of the trees, with the standard error of the paired differences; in minor units squared.
    pub excess: Estimate,
}

impl ValueError {
    /// Of the `values` one model told, beside those of the trees and what came.
    pub(super) fn of(model: &'static str, values: &[f64], by_trees: &[f64], outcomes: &[f64]) -> Self {
        let squared = |values: &[f64]| -> Vec<f64> {
            values.iter().zip(outcomes).map(|(value, outcome)| (value - outcome).powi(2)).collect()
        };
        let absolute: Vec<f64> =
            values.iter().zip(outcomes).map(|(value, outcome)| (value - outcome).abs()).collect();
        let (own, trees) = (squared(values), squared(by_trees));
        let excess: Vec<f64> = own.iter().zip(&trees).map(|(own, trees)| own - trees).collect();
        Self {
            model,
            rmse: mean(&own).value.sqrt(),
            mae: mean(&absolute).value,
            ratio: values.iter().sum::<f64>() / outcomes.iter().sum::<f64>(),
            excess: mean(&excess),
        }
    }
}

/// What a project's report says of trees of realised value.
#[derive(Clone, Debug, Serialize)]
pub struct RealisedReport {
    /// What came of it.
    pub code: RealisedCode,
    /// The same in a sentence.
    pub reason: String,
    /// Weeks learned.
    pub n_weeks: u32,
    /// What followed this was learned.
    pub fit: Option<Timestamp>,
    /// What followed this was told, and is known.
    pub test: Option<Timestamp>,
    /// Active customers at either.
    pub n_customers: [usize; 2],
    /// Mean value of the weeks after either, in minor units.
    pub mean_minor: [f64; 2],
    /// Trees of the ensemble.
    pub n_trees: usize,
    /// Every model, out of time.
    pub errors: Vec<ValueError>,
    /// The share of customers whose value lay in the 90 % interval that was told of them, out of time.
    pub coverage: Option<Estimate>,
    /// What the horizon is worth in the weeks learned.
    pub stretch: Option<f64>,
}

impl RealisedReport {
    pub(super) fn untold(
        code: RealisedCode,
        reason: String,
        cutoffs: Option<Cutoffs>,
        history: &ValueHistory,
    ) -> Self {
        Self {
            code,
            reason,
            n_weeks: cutoffs.map_or(0, |cutoffs| cutoffs.n_weeks),
            fit: cutoffs.map(|cutoffs| cutoffs.fit),
            test: cutoffs.map(|cutoffs| cutoffs.test),
            n_customers: [0, 1].map(|at| history.moments[at].brought.len()),
            mean_minor: [0, 1].map(|at| mean(&history.moments[at].brought).value),
            n_trees: 0,
            errors: Vec::new(),
            coverage: None,
            stretch: None,
        }
    }

    /// The error of `model`, where it was in the contest.
    #[must_use]
    pub fn error(&self, model: &str) -> Option<&ValueError> {
        self.errors.iter().find(|error| error.model == model)
    }
}
