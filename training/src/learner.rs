//! Learners: what fits a propensity, behind one trait.
//!
//! A learner takes rows with outcomes and gives something fitted, which predicts with the library's own code and seals
//! itself for the artifact. A new learner is a new file and an entry in [`all`]. Libraries misbehave on data they do
//! not expect (panics on NaN, inverted classes, silent zeros), so nothing reaches them unchecked: [`Sample::checked`].

use std::collections::BTreeMap;

use nextbest_models::artifact::SealedScorer;
use nextbest_models::customer::stable_hash;
use nextbest_models::units::Seed;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::dataset::{ColumnKind, Dataset, Labelled};
use hessboost_trees::HessboostTrees;

pub mod linfa_logistic;
pub mod hessboost_trees;
pub mod smartcore_forest;

/// Fewer rows of either outcome than this teach nothing that lasts.
pub const MIN_PER_CLASS: usize = 50;

/// Why nothing can be learned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LearnError {
    /// No rows.
    #[error("{part}: no rows carry the label {label:?}")]
    NoRows {
        /// Which part: fit, calibrate, test.
        part: &'static str,
        /// Which label.
        label: String,
    },
    /// Only one outcome.
    #[error("{part}: every one of the {n_rows} rows has {label} = {outcome}; both outcomes are needed")]
    OneClass {
        /// Which part: fit, calibrate, test.
        part: &'static str,
        /// Which label.
        label: String,
        /// Rows.
        n_rows: usize,
        /// The one outcome.
        outcome: bool,
    },
    /// Too few of one outcome.
    #[error("{part}: {found} rows have {label} = {outcome}, at least {MIN_PER_CLASS} are needed")]
    TooFew {
        /// Which part: fit, calibrate, test.
        part: &'static str,
        /// Which label.
        label: String,
        /// The rarer outcome.
        outcome: bool,
        /// How many there are.
        found: usize,
    },
    /// Every column was dropped.
    #[error("no column is left to learn from: {0}")]
    NoColumns(String),
    /// A set with weights.
    #[error("{0} cannot weight rows")]
    Weights(&'static str),
    /// A monotone constraint on nothing, or on a category.
    #[error("a monotone constraint names {0:?}, which is no column of quantities")]
    Monotone(String),
    /// Monotone constraints given to what cannot promise them.
    #[error("{0} cannot keep a score from moving against a monotone constraint")]
    Unconstrained(&'static str),
    /// Folds that are none.
    #[error(
        "{n_folds} folds over {found} rows of {expected}: at least 2 folds are needed, and a fold for each row"
    )]
    Folds {
        /// Rows of the set.
        expected: usize,
        /// Rows that have a fold.
        found: usize,
        /// How many folds there should be.
        n_folds: u32,
    },
    /// The library refused or failed.
    #[error("{learner}: {message}")]
    Library {
        /// Which learner.
        learner: &'static str,
        /// What it said.
        message: String,
    },
}

/// Rows with both outcomes, enough of each: fit to be learned from.
#[derive(Clone, Debug)]
pub struct Sample<'a> {
    dataset: &'a Dataset,
    labelled: Labelled,
}

impl<'a> Sample<'a> {
    /// Checks `labelled` rows of `dataset`; `part` and `label` name them in errors.
    pub fn checked(
        dataset: &'a Dataset,
        labelled: Labelled,
        part: &'static str,
        label: &str,
    ) -> Result<Self, LearnError> {
        let (n_rows, label) = (labelled.rows.len(), label.to_owned());
        let n_positive = labelled.outcomes.iter().filter(|outcome| **outcome).count();
        let (found, outcome) = (n_positive.min(n_rows - n_positive), n_positive * 2 <= n_rows);
        match found {
            _ if n_rows == 0 => Err(LearnError::NoRows { part, label }),
            0 => Err(LearnError::OneClass { part, label, n_rows, outcome: !outcome }),
            1..MIN_PER_CLASS => Err(LearnError::TooFew { part, label, outcome, found }),
            _ => Ok(Self { dataset, labelled }),
        }
    }

    /// At most `max_rows` of these rows, drawn by `seed` without replacement, in their order.
    #[must_use]
    pub fn thinned(&self, max_rows: usize, seed: Seed) -> Self {
        let n = self.labelled.rows.len();
        if n <= max_rows {
            return self.clone();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(seed.0);
        let mut kept = rand::seq::index::sample(&mut rng, n, max_rows).into_vec();
        kept.sort_unstable();
        let rows = kept.iter().map(|&at| self.labelled.rows[at]).collect();
        let outcomes = kept.iter().map(|&at| self.labelled.outcomes[at]).collect();
        Self { dataset: self.dataset, labelled: Labelled { rows, outcomes } }
    }

    /// The rows at `positions` (numbers among these rows, not of the set). May hold one outcome only: what was
    /// checked is the whole.
    #[must_use]
    pub fn part(&self, positions: &[usize]) -> Self {
        let rows = positions.iter().map(|&at| self.labelled.rows[at]).collect();
        let outcomes = positions.iter().map(|&at| self.labelled.outcomes[at]).collect();
        Self { dataset: self.dataset, labelled: Labelled { rows, outcomes } }
    }

    /// A number in `0..n_parts` for each row, by a seeded hash of its customer: rows of a customer stay together.
    #[must_use]
    pub fn parts_by_customer(&self, n_parts: u32, seed: Seed) -> Vec<u32> {
        let customers = self.dataset.customers();
        let part = |row: &usize| {
            // Multiplying by an odd number and taking the upper half mixes the seed into every bit that is read.
            let hash = stable_hash(customers[*row].as_str()) ^ seed.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32;
            // Below n_parts, since the hash is below 2^32.
            u32::try_from((hash * u64::from(n_parts)) >> 32).unwrap_or(0)
        };
        self.labelled.rows.iter().map(part).collect()
    }

    /// The set the rows belong to.
    #[must_use]
    pub const fn dataset(&self) -> &'a Dataset {
        self.dataset
    }

    /// Row numbers in the set.
    #[must_use]
    pub fn row_numbers(&self) -> &[usize] {
        &self.labelled.rows
    }

    /// The outcome of each row.
    #[must_use]
    pub fn outcomes(&self) -> &[bool] {
        &self.labelled.outcomes
    }

    /// The features of each row.
    #[must_use]
    pub fn rows(&self) -> Vec<&'a [f64]> {
        self.labelled.rows.iter().map(|&row| self.dataset.row(row)).collect()
    }

    /// The weight of each row, where the set has weights.
    #[must_use]
    pub fn weights(&self) -> Option<Vec<f64>> {
        let weights = self.dataset.weights()?;
        Some(self.labelled.rows.iter().map(|&row| weights[row]).collect())
    }

    /// How many rows.
    #[must_use]
    pub fn n_rows(&self) -> usize {
        self.labelled.rows.len()
    }

    /// How many have the outcome.
    #[must_use]
    pub fn n_positive(&self) -> usize {
        self.labelled.outcomes.iter().filter(|outcome| **outcome).count()
    }
}

/// Something that learns P(outcome | features).
pub trait Learner: Sync {
    /// A stable name: in the artifact and the report.
    fn name(&self) -> &'static str;

    /// Most rows it is given; more are thinned by a seeded draw.
    fn max_rows(&self) -> usize;

    /// Fits `sample`; the same sample and seed give the same result, at any number of threads.
    fn fit(&self, sample: &Sample<'_>, seed: Seed) -> Result<Box<dyn Fitted>, LearnError>;

    /// Fits `sample` as what was settled on its folds says, without another search.
    fn refit(
        &self,
        sample: &Sample<'_>,
        seed: Seed,
        settled: &[Settled],
    ) -> Result<Box<dyn Fitted>, LearnError> {
        let _ = settled;
        self.fit(sample, seed)
    }
}

/// What a search and its early stopping settled on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which of the learner's configurations.
    pub configuration: usize,
    /// How many trees.
    pub n_rounds: usize,
}

/// What a learner's result seals into, as far as a choice must know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScorerForm {
    /// Coefficients: explains itself, can be blended.
    Linear,
    /// Added trees, or a blend of such and linear ones: explains itself.
    Additive,
    /// Averaged trees: neither.
    Averaged,
}

/// What a learner made.
pub trait Fitted: Send + Sync {
    /// The log-odds of each row, uncalibrated, by the library's own prediction. Rows as the learner was given them.
    fn margins(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError>;

    /// The form that scores without the library.
    fn seal(&self) -> Result<SealedScorer, LearnError>;

    /// What the sealed form is. Where it does not explain itself, a linear companion gives the reasons.
    fn form(&self) -> ScorerForm;

    /// What its search settled on, for a learner that searches.
    fn settled(&self) -> Option<Settled> {
        None
    }

    /// What the report should say: columns dropped, iterations used.
    fn notes(&self) -> Vec<String>;
}

/// Which way a probability may move as a quantity grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Never down.
    Increasing,
    /// Never up.
    Decreasing,
}

/// Monotone constraints by column name; quantities only.
pub type Monotone = BTreeMap<String, Direction>;

/// The direction each column of `sample` is held to; a name that is no column of quantities is an error.
fn directions(monotone: &Monotone, sample: &Sample<'_>) -> Result<Vec<Option<Direction>>, LearnError> {
    let columns = sample.dataset().columns();
    let is_quantity = |name: &str| columns.iter().any(|c| c.name == name && c.kind == ColumnKind::Numeric);
    match monotone.keys().find(|name| !is_quantity(name)) {
        Some(name) => Err(LearnError::Monotone(name.clone())),
        None => Ok(columns.iter().map(|column| monotone.get(&column.name).copied()).collect()),
    }
}

/// Every learner, free of constraints; see [`constrained`].
#[must_use]
pub fn all() -> Vec<Box<dyn Learner>> {
    constrained(&Monotone::new())
}

/// Every learner under monotone constraints, the simplest first. One that cannot keep them fails by name. By what a reader must take in to follow a score: one number per column; trees
/// that ask the same questions of everybody; trees that ask each branch its own; an average over trees, which has no
/// exact reasons here.
#[must_use]
pub fn constrained(monotone: &Monotone) -> Vec<Box<dyn Learner>> {
    let monotone = || monotone.clone();
    vec![
        Box::new(linfa_logistic::LinfaLogistic { monotone: monotone(), ..Default::default() }),
        Box::new(HessboostTrees { monotone: monotone(), ..HessboostTrees::symmetric() }),
        Box::new(HessboostTrees { monotone: monotone(), ..HessboostTrees::leaf_wise() }),
        Box::new(smartcore_forest::SmartcoreForest { monotone: monotone(), ..Default::default() }),
    ]
}

/// What `monotone` promises, as a note.
fn monotone_note(monotone: &Monotone) -> Option<String> {
    let one = |(name, direction): (&String, &Direction)| match direction {
        Direction::Increasing => format!("{name} never lowers it"),
        Direction::Decreasing => format!("{name} never raises it"),
    };
    let promises: Vec<String> = monotone.iter().map(one).collect();
    (!promises.is_empty()).then(|| format!("monotone: {}", promises.join(", ")))
}

/// What `encoding` dropped, as a note.
fn dropped_note(encoding: &crate::encoding::Encoding) -> Vec<String> {
    encoding.dropped.iter().map(|(name, reason)| format!("column {name} dropped: {reason}")).collect()
}
