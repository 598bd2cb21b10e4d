//! From features to the probability of an outcome: the sealed models, scored in place.
//!
//! A [`PropensityModel`] is a view into an open artifact: a scorer (linear, trees, a blend of them, or a forest with a
//! linear model beside it that gives reasons) and a calibration. Everything was checked when the artifact was opened, so
//! scoring cannot fail and allocates nothing. Learners live elsewhere and meet this room only through the sealed sections. A new kind of
//! scorer is a new file here, a variant of [`Scorer`] and a section kind.

use std::sync::Arc;

use serde::Serialize;

use crate::artifact::metadata::ModelMetadata;
use crate::units::Probability;

pub mod linear;
pub mod forest;
pub mod trees;
pub mod blend;

pub mod calibration;
pub mod interval;
pub mod explain;

pub use blend::BlendModel;
pub use calibration::Calibration;
pub use explain::{Contribution, Explained, Explanation, GroupedContribution, ReasonSource};
pub use forest::ForestModel;
pub use interval::ProbabilityInterval;
pub use linear::LinearModel;
pub use trees::{Scratch, TreesModel};

use blend::Member;

/// An open artifact's bytes, read or mapped, shared by the models that look into them.
pub use bytes::Bytes;

/// Rows of features, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    numbers: &'a [f64],
    width: usize,
}

impl<'a> Rows<'a> {
    /// Rows of `width` features each, in the artifact's order, NaN where missing.
    #[must_use]
    pub const fn new(numbers: &'a [f64], width: usize) -> Self {
        Self { numbers, width }
    }

    /// Row `at`, from 0; empty, which is all missing, behind the last whole one.
    #[inline]
    #[must_use]
    pub fn row(&self, at: usize) -> &'a [f64] {
        let start = at.saturating_mul(self.width);
        self.numbers.get(start..start.saturating_add(self.width)).unwrap_or(&[])
    }

    /// The rows from row `at` on.
    #[must_use]
    pub fn from(&self, at: usize) -> Self {
        let numbers = self.numbers.get(at.saturating_mul(self.width)..).unwrap_or(&[]);
        Self { numbers, width: self.width }
    }
}

/// What turns a row of features into log-odds.
#[derive(Clone, Debug)]
pub enum Scorer {
    /// Coefficients.
    Linear(LinearModel),
    /// Averaged trees.
    Forest(ForestModel),
    /// Additive trees.
    Trees(TreesModel),
    /// A weighted sum of linear models and trees.
    Blend(BlendModel),
}

impl Scorer {
    /// The log-odds of `row`, before calibration. `row` holds the features in the artifact's order, NaN where
    /// missing; infinite numbers and a row's lacking end count as missing.
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        match self {
            Self::Linear(model) => model.margin(row),
            Self::Forest(model) => model.margin(row),
            Self::Trees(model) => model.margin(row),
            Self::Blend(model) => model.margin(row),
        }
    }

    /// Sets `margins` to the log-odds of the first rows of `rows`, bit for bit what [`Self::margin`] gives for each.
    pub fn margins(&self, rows: Rows<'_>, margins: &mut [f64]) {
        match self {
            Self::Linear(model) => model.margins(rows, margins),
            Self::Forest(model) => {
                margins.iter_mut().enumerate().for_each(|(at, margin)| *margin = model.margin(rows.row(at)));
            }
            Self::Trees(model) => model.margins(rows, margins),
            Self::Blend(model) => model.margins(rows, margins),
        }
    }

    /// [`Self::margins`] of rows whose first `n_same` features are those of the first: what these say is found once.
    pub(crate) fn margins_alike(&self, rows: Rows<'_>, n_same: usize, margins: &mut [f64]) {
        match self {
            Self::Trees(model) => model.margins_alike(rows, n_same, margins),
            Self::Blend(model) => model.margins_alike(rows, n_same, margins),
            Self::Linear(_) | Self::Forest(_) => self.margins(rows, margins),
        }
    }

    /// A short name for reports: `linear`, `forest`, `trees`, `blend`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Linear(_) => "linear",
            Self::Forest(_) => "forest",
            Self::Trees(_) => "trees",
            Self::Blend(_) => "blend",
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
    interval: Option<ProbabilityInterval>,
}

impl PropensityModel {
    pub(crate) const fn new(
        metadata: Arc<ModelMetadata>,
        scorer: Scorer,
        companion: Option<LinearModel>,
        calibration: Calibration,
    ) -> Self {
        Self { metadata, scorer, companion, calibration, interval: None }
    }

    pub(crate) fn with_interval(self, interval: Option<ProbabilityInterval>) -> Self {
        Self { interval, ..self }
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

    /// Share of positive outcomes among the rows it was made from; none where they were not counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay far below 2^53")]
    pub fn base_rate(&self) -> Option<Probability> {
        let counts = &self.metadata.counts;
        let parts = counts
            .iter()
            .filter_map(|(name, positive)| Some((*positive, *counts.get(name.strip_suffix("_positive")?)?)));
        let (positive, all) = parts.fold((0, 0), |(positive, all), part| (positive + part.0, all + part.1));
        Probability::new(positive as f64 / all as f64).ok()
    }

    /// The calibrated probability for `row`: the features in the artifact's order, NaN where missing.
    #[must_use]
    pub fn score(&self, row: &[f64]) -> Probability {
        self.calibration.apply(self.scorer.margin(row))
    }

    /// Between which bounds the share of outcomes among rows scored like `row` lies, with the probability that
    /// [`ProbabilityInterval::level`] says; they hold [`Self::score`]. `None` where the artifact carries no interval.
    #[must_use]
    pub fn score_interval(&self, row: &[f64]) -> Option<(Probability, Probability)> {
        let margin = self.scorer.margin(row);
        Some(self.interval.as_ref()?.around(margin, self.calibration.apply(margin)))
    }

    /// The band behind [`Self::score_interval`].
    #[must_use]
    pub const fn interval(&self) -> Option<&ProbabilityInterval> {
        self.interval.as_ref()
    }

    /// The log-odds of `row` before calibration.
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        self.scorer.margin(row)
    }

    /// Sets `probabilities` to the calibrated probabilities of the first rows of `rows`, bit for bit what
    /// [`Self::score`] gives for each.
    pub fn score_many(&self, rows: Rows<'_>, probabilities: &mut [Probability]) {
        const TOGETHER: usize = 256;
        let mut margins = [0.0; TOGETHER];
        for (run, probabilities) in probabilities.chunks_mut(TOGETHER).enumerate() {
            let margins = &mut margins[..probabilities.len()];
            self.scorer.margins(rows.from(run * TOGETHER), margins);
            for (probability, margin) in probabilities.iter_mut().zip(margins) {
                *probability = self.calibration.apply(*margin);
            }
        }
    }

    /// The calibrated probabilities of the first `n_rows` of `rows`, which differ only behind their first `n_same` features: bit for bit those of
    /// [`Self::score`], in one walk, since what the
    /// others say of every tree is found once for all rows.
    #[must_use]
    pub fn score_alike(&self, rows: Rows<'_>, n_rows: usize, n_same: usize) -> Vec<Probability> {
        let mut margins = vec![0.0; n_rows];
        self.scorer.margins_alike(rows, n_same, &mut margins);
        margins.into_iter().map(|margin| self.calibration.apply(margin)).collect()
    }

    /// What each feature adds to the log-odds of `row`, exact for the model that [`Explanation::source`] names; no
    /// contributions where a forest has no linear model beside it.
    #[must_use]
    pub fn explain(&self, row: &[f64]) -> Explanation {
        self.score_and_explain(row).1
    }

    /// The calibrated probability of `row`, bit for bit that of [`Self::score`], and its reasons, those of
    /// [`Self::explain`]: in one go, which for trees is quicker than one after the other.
    #[must_use]
    pub fn score_and_explain(&self, row: &[f64]) -> (Probability, Explanation) {
        let features = self.explained_features();
        let mut added = vec![0.0; features.last().map_or(0, |last| last + 1)];
        let (probability, explained) =
            self.score_with_contributions(row, &mut added, &mut Scratch::default());
        let contribution = |&feature: &usize| {
            let missing = !row.get(feature).is_some_and(|x| x.is_finite());
            Contribution { feature, log_odds: added[feature], missing }
        };
        let contributions: Vec<Contribution> = features.iter().map(contribution).collect();
        let source = match (&self.scorer, &self.companion) {
            (Scorer::Forest(_), Some(_)) => ReasonSource::LinearCompanion,
            _ => ReasonSource::Model,
        };
        let Explained { margin, baseline } = explained;
        (probability, Explanation { source, baseline, margin, contributions })
    }

    /// Sets `contributions`, one for each feature in the artifact's order, to what it adds to the log-odds of `row`, and
    /// gives the calibrated probability with the margin and baseline that they explain: the numbers of
    /// [`Self::score_and_explain`]. Allocates nothing once `scratch` has grown.
    pub fn score_with_contributions(
        &self,
        row: &[f64],
        contributions: &mut [f64],
        scratch: &mut Scratch,
    ) -> (Probability, Explained) {
        contributions.fill(0.0);
        let explained = match (&self.scorer, &self.companion) {
            (Scorer::Forest(forest), Some(model)) => {
                let probability = self.calibration.apply(forest.margin(row));
                return (probability, model.explain(row, 1.0, contributions));
            }
            (Scorer::Linear(model), _) => model.explain(row, 1.0, contributions),
            (Scorer::Trees(model), _) => model.explain(row, 1.0, contributions, scratch),
            (Scorer::Blend(model), _) => model.explain(row, contributions, scratch),
            (Scorer::Forest(model), None) => {
                let margin = model.margin(row);
                Explained { margin, baseline: margin }
            }
        };
        (self.calibration.apply(explained.margin), explained)
    }

    /// The features that the reasons speak of, ascending.
    fn explained_features(&self) -> Vec<usize> {
        let mut features: Vec<usize> = match (&self.scorer, &self.companion) {
            (Scorer::Linear(model), _) | (Scorer::Forest(_), Some(model)) => model.features().collect(),
            (Scorer::Trees(model), _) => model.features().collect(),
            (Scorer::Blend(model), _) => {
                model.members().iter().flat_map(|(_, member)| member.features()).collect()
            }
            (Scorer::Forest(_), None) => Vec::new(),
        };
        features.sort_unstable();
        features.dedup();
        features
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
        ScorerSummary::of(&self.scorer, self.calibration.name())
    }
}

/// The shape of a sealed model that scores.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScorerSummary {
    /// `linear`, `forest`, `trees` or `blend`.
    pub scorer: &'static str,
    /// `identity`, `platt` or `isotonic`; `uplift` of an uplift model.
    pub calibration: &'static str,
    /// How its trees are laid out ([`TreesModel::layout`]), one for each model of trees.
    pub layouts: Vec<&'static str>,
    /// Columns of its linear models.
    pub n_columns: usize,
    /// Trees of all its models.
    pub n_trees: usize,
    /// Nodes of all its trees.
    pub n_nodes: usize,
}

impl ScorerSummary {
    /// The shape of `scorer` under the calibration of that name.
    pub(crate) fn of(scorer: &Scorer, calibration: &'static str) -> Self {
        let mut summary = Self {
            scorer: scorer.name(),
            calibration,
            layouts: Vec::new(),
            n_columns: 0,
            n_trees: 0,
            n_nodes: 0,
        };
        match scorer {
            Scorer::Linear(model) => summary.n_columns = model.n_columns(),
            Scorer::Forest(model) => (summary.n_trees, summary.n_nodes) = model.size(),
            Scorer::Trees(model) => summary.add_trees(model),
            Scorer::Blend(model) => model.members().iter().for_each(|(_, member)| match member {
                Member::Linear(model) => summary.n_columns += model.n_columns(),
                Member::Trees(model) => summary.add_trees(model),
            }),
        }
        summary
    }

    fn add_trees(&mut self, model: &TreesModel) {
        let (n_trees, n_nodes) = model.size();
        self.layouts.push(model.layout());
        self.n_trees += n_trees;
        self.n_nodes += n_nodes;
    }
}
