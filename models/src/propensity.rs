//! From features to the probability of an outcome: the sealed models, scored in place.
//!
//! A [`PropensityModel`] is a view into an open artifact: a scorer (linear or forest), a calibration, and a linear
//! model that gives reasons. Everything was checked when the artifact was opened, so scoring cannot fail and
//! allocates nothing. Learners live elsewhere and meet this room only through the sealed sections. A new kind of
//! scorer is a new file here, a variant of [`Scorer`] and a section kind.

use std::sync::Arc;

use serde::Serialize;

use crate::artifact::metadata::ModelMetadata;
use crate::units::Probability;

pub mod linear;
pub mod forest;
pub mod calibration;
pub mod explain;

pub use calibration::Calibration;
pub use explain::{Contribution, Explanation, ReasonSource};
pub use forest::ForestModel;
pub use linear::LinearModel;

/// An open artifact's bytes, shared by the models that look into them.
pub type Bytes = Arc<Vec<u8>>;

/// What turns a row of features into log-odds.
#[derive(Clone, Debug)]
pub enum Scorer {
    /// Coefficients.
    Linear(LinearModel),
    /// Averaged trees.
    Forest(ForestModel),
}

impl Scorer {
    /// The log-odds of `row`, before calibration. `row` holds the features in the artifact's order, NaN where
    /// missing; infinite numbers and a row's lacking end count as missing.
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        match self {
            Self::Linear(model) => model.margin(row),
            Self::Forest(model) => model.margin(row),
        }
    }

    /// A short name for reports: `linear`, `forest`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Forest(_) => "forest",
        }
    }
}

/// A sealed model of P(outcome | customer), ready to score.
#[derive(Clone, Debug)]
pub struct PropensityModel {
    metadata: Arc<ModelMetadata>,
    scorer: Scorer,
    companion: Option<LinearModel>,
    calibration: Calibration,
}

impl PropensityModel {
    pub(crate) const fn new(
        metadata: Arc<ModelMetadata>,
        scorer: Scorer,
        companion: Option<LinearModel>,
        calibration: Calibration,
    ) -> Self {
        Self { metadata, scorer, companion, calibration }
    }

    /// The model's name, that of the label it predicts.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// What is known of how it was made.
    #[must_use]
    pub fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    /// The calibrated probability for `row`: the features in the artifact's order, NaN where missing.
    #[must_use]
    pub fn score(&self, row: &[f64]) -> Probability {
        self.calibration.apply(self.scorer.margin(row))
    }

    /// The log-odds of `row` before calibration.
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        self.scorer.margin(row)
    }

    /// What each feature adds to the log-odds of `row`, exact for the linear model that [`Explanation::source`]
    /// names; no contributions where the artifact carries none.
    #[must_use]
    pub fn explain(&self, row: &[f64]) -> Explanation {
        match (&self.scorer, &self.companion) {
            (Scorer::Linear(model), _) => model.explain(row, ReasonSource::Model),
            (_, Some(model)) => model.explain(row, ReasonSource::LinearCompanion),
            (scorer, None) => {
                let margin = scorer.margin(row);
                let source = ReasonSource::Model;
                Explanation { source, baseline: margin, margin, contributions: Vec::new() }
            }
        }
    }

    /// The scorer.
    #[must_use]
    pub const fn scorer(&self) -> &Scorer {
        &self.scorer
    }

    /// The calibration.
    #[must_use]
    pub const fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// A short description for `inspect`.
    #[must_use]
    pub fn summary(&self) -> ScorerSummary {
        let (n_columns, n_trees, n_nodes) = match &self.scorer {
            Scorer::Linear(model) => (model.n_columns(), 0, 0),
            Scorer::Forest(model) => (0, model.size().0, model.size().1),
        };
        let calibration = self.calibration.name();
        ScorerSummary { scorer: self.scorer.name(), calibration, n_columns, n_trees, n_nodes }
    }
}

/// The shape of a sealed propensity model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScorerSummary {
    /// `linear` or `forest`.
    pub scorer: &'static str,
    /// `identity`, `platt` or `isotonic`.
    pub calibration: &'static str,
    /// Columns of a linear scorer.
    pub n_columns: usize,
    /// Trees of a forest.
    pub n_trees: usize,
    /// Nodes of all its trees.
    pub n_nodes: usize,
}
