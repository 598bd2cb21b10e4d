//! What a report says of one sealed model beyond its quality: curves, reasons, segments, drift, costs, and its card.
//!
//! Pure functions from rows, out-of-sample predictions and the sealed model to one struct, [`Diagnostics`], which the JSON
//! report holds and the page draws; nothing is computed while drawing. Curves, segments and costs take every judged row;
//! contributions and drift take seeded samples of bounded size, so the work does not grow with the table. The same inputs
//! give the same bytes at any number of threads. Standard errors assume independent rows, as in [`crate::metrics`].

use nextbest_models::artifact::Artifact;
use nextbest_models::propensity::PropensityModel;
use nextbest_models::table::{CellKind, TableSchema};
use nextbest_models::units::Seed;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::dataset::Dataset;
use crate::selection::{Prediction, PropensityReport, Validation};

mod curves;
mod costs;
mod reasons;
mod segments;
mod drift;
mod card;

pub use card::ModelCard;
pub(crate) use card::in_words;
pub use costs::{BENEFIT, COST, CostPoint, Costs, Sensitivity};
pub use curves::{Decile, PrecisionRecall, ScoreHistogram};
pub use drift::{Drift, FeatureDrift};
pub use reasons::{FeatureImportance, Importance, Interval, Stability};
pub use segments::Segment;

/// What is diagnosed.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The rows.
    pub dataset: &'a Dataset,
    /// How they were kept apart.
    pub validation: &'a Validation,
    /// Out of sample, calibrated, by the candidate that was sealed.
    pub predictions: &'a [Prediction],
    /// What the training tells of it.
    pub report: &'a PropensityReport,
    /// Where it is sealed.
    pub artifact: &'a Artifact,
    /// The sealed model; its features are the set's columns.
    pub model: &'a PropensityModel,
    /// The texts behind the codes of each column, by code; empty where there are none.
    pub levels: &'a [Vec<String>],
}

/// All diagnostics of one sealed model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnostics {
    /// Found against right.
    pub precision_recall: PrecisionRecall,
    /// Tenths of the judged rows, the highest probabilities first.
    pub deciles: Vec<Decile>,
    /// Where the probabilities lie.
    pub scores: ScoreHistogram,
    /// Which features count.
    pub importance: Importance,
    /// Whether they count alike elsewhere.
    pub stability: Stability,
    /// Quality in parts of the judged rows.
    pub segments: Vec<Segment>,
    /// Whether the judged rows look like those fitted on.
    pub drift: Drift,
    /// What a threshold is worth.
    pub costs: Costs,
    /// What the model is, and is for.
    pub card: ModelCard,
}

/// Diagnoses the sealed model.
#[must_use]
pub fn diagnose(subject: &Subject<'_>) -> Diagnostics {
    let probabilities: Vec<f64> = subject.predictions.iter().map(|p| p.probability).collect();
    let outcomes: Vec<bool> = subject.predictions.iter().map(|p| p.outcome).collect();
    let (importance, stability) = reasons::measure(subject);
    Diagnostics {
        precision_recall: curves::precision_recall(&probabilities, &outcomes),
        deciles: curves::deciles(&probabilities, &outcomes),
        scores: curves::histogram(&probabilities, &outcomes),
        segments: segments::measure(subject, &importance),
        importance,
        stability,
        drift: drift::measure(subject),
        costs: costs::measure(&probabilities, &outcomes, BENEFIT, COST),
        card: card::of(subject),
    }
}

/// The texts behind the codes of each column of a table.
#[must_use]
pub fn table_levels(schema: &TableSchema) -> Vec<Vec<String>> {
    let texts = |kind: &CellKind| match kind {
        CellKind::Category { levels, other } => {
            levels.iter().cloned().chain(other.then(|| "(rarer or unseen)".to_owned())).collect()
        }
        CellKind::Boolean { yes, no } => vec![no.clone(), yes.clone()],
        CellKind::Number | CellKind::Time(_) => Vec::new(),
    };
    schema.columns.iter().map(|column| texts(&column.kind)).collect()
}

/// The code in a cell: a whole number that is not negative, else missing, as the scorer reads it.
fn code_of(value: f64) -> Option<u64> {
    (value >= 0.0 && value.is_finite() && value.fract() == 0.0).then_some(value as u64)
}

/// At most `most` of the positions `0..n`, by a seeded draw, in the order of the draw. `stream` tells draws of one seed
/// apart.
fn drawn(n: usize, most: usize, seed: Seed, stream: u64) -> Vec<usize> {
    rand::seq::index::sample(&mut random(seed, stream), n, n.min(most)).into_vec()
}

fn random(seed: Seed, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed.0);
    rng.set_stream(stream);
    rng
}

#[cfg(test)]
mod tests;
