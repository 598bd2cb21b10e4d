//! The difference an action makes to a customer: a sealed uplift model, scored in place.
//!
//! `tau(x) = P(outcome | x, treated) - P(outcome | x, control)`. An [`UpliftModel`] is a raw score, a scorer whose
//! margin is a difference of probabilities and no log-odds, or none where the effect is taken to be the same for
//! everybody, and an [`UpliftCalibration`] that makes of it the uplift with its interval. Everything was checked when
//! the artifact was opened: scoring cannot fail. How scores and calibration are found is said where they are fitted;
//! nothing here knows who was treated.

use std::sync::Arc;

use serde::Serialize;

use crate::artifact::metadata::ModelMetadata;
use crate::propensity::{Scorer, ScorerSummary};
use crate::units::Probability;

mod calibration;

pub use calibration::{CalibrationError, UpliftCalibration};

/// What an interval says of the sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UpliftCode {
    /// The whole interval lies above 0: the action brings the outcome about.
    Raises,
    /// The whole interval lies below 0: the action keeps the outcome away.
    Lowers,
    /// The interval holds 0.
    Undecided,
}

/// A difference of probabilities, -1 to 1, with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Uplift {
    /// The difference the action makes.
    pub value: f64,
    /// Lower end, at most `value`.
    pub lo: f64,
    /// Upper end, at least `value`.
    pub hi: f64,
    /// What the interval says of the sign.
    pub code: UpliftCode,
}

/// The learner of a model whose raw score is no scorer's: see [`UpliftModel::score_answered`].
pub const ANSWERED: &str = "answered";

/// A sealed model of uplift, ready to score.
#[derive(Clone, Debug)]
pub struct UpliftModel {
    metadata: Arc<ModelMetadata>,
    scorer: Option<Scorer>,
    calibration: UpliftCalibration,
}

impl UpliftModel {
    pub(crate) const fn new(
        metadata: Arc<ModelMetadata>,
        scorer: Option<Scorer>,
        calibration: UpliftCalibration,
    ) -> Self {
        Self { metadata, scorer, calibration }
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// What is known of how it was made.
    #[must_use]
    pub fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    /// The uplift of `row`: the features in the artifact's order, NaN where missing.
    #[must_use]
    pub fn score(&self, row: &[f64]) -> Uplift {
        self.calibration.apply(self.raw(row))
    }

    /// Whether it takes who will answer, not the features alone.
    #[must_use]
    pub fn is_answered(&self) -> bool {
        self.metadata.learner == ANSWERED
    }

    /// The uplift of who answers with probability `answers` and is else of the label with probability `label`: a contact that is
    /// answered keeps the label away, so that customers differ by the product.
    #[must_use]
    pub fn score_answered(&self, answers: Probability, label: Probability) -> Uplift {
        self.calibration.apply(-answers.get() * label.get())
    }

    /// The scorer's difference of probabilities, before calibration; 0 where there is no scorer, and no number where the features
    /// alone do not tell it.
    #[must_use]
    pub fn raw(&self, row: &[f64]) -> f64 {
        let without = if self.is_answered() { f64::NAN } else { 0.0 };
        self.scorer.as_ref().map_or(without, |scorer| scorer.margin(row))
    }

    /// The calibration.
    #[must_use]
    pub const fn calibration(&self) -> &UpliftCalibration {
        &self.calibration
    }

    /// Whether it says the same of everybody.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.scorer.is_none() && !self.is_answered()
    }

    /// A short description for `inspect`; none where there is no scorer.
    #[must_use]
    pub fn summary(&self) -> Option<ScorerSummary> {
        Some(ScorerSummary::of(self.scorer.as_ref()?, "uplift"))
    }
}
