//! Why a score is what it is: what each feature adds to the log-odds.
//!
//! Contributions are exact for a linear model and sum, with the baseline, to its margin. They say what the *model*
//! weighed, not what would happen if the customer changed: nothing here is causal.

use serde::{Deserialize, Serialize};

/// Which model the reasons describe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonSource {
    /// The model that gave the score.
    Model,
    /// A linear model of the same label and rows, sealed beside a scorer whose own reasons are not computed.
    LinearCompanion,
}

/// What one feature adds to the log-odds, against its mean over the training rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Its place in the row and among the feature names.
    pub feature: usize,
    /// Added to the log-odds; positive makes the outcome more likely.
    pub log_odds: f64,
    /// Whether the feature was missing in this row.
    pub missing: bool,
}

/// The reasons of one row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Whose reasons these are.
    pub source: ReasonSource,
    /// Log-odds of a row at the training means, before calibration.
    pub baseline: f64,
    /// `baseline` plus all contributions: the log-odds before calibration.
    pub margin: f64,
    /// One per feature the model uses, in the order of the features.
    pub contributions: Vec<Contribution>,
}

impl Explanation {
    /// The `n` contributions of the largest magnitude, largest first; ties keep the order of the features.
    #[must_use]
    pub fn strongest(&self, n: usize) -> Vec<Contribution> {
        let mut sorted = self.contributions.clone();
        sorted.sort_by(|a, b| b.log_odds.abs().total_cmp(&a.log_odds.abs()));
        sorted.truncate(n);
        sorted
    }
}
