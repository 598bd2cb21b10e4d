//! Gradient-boosted trees by hessboost: logistic loss, missing values and categories as they are, weights, monotone
//! constraints. Two learners: symmetric trees, whose levels ask one question each, and leaf-wise trees.
//!
//! How many trees and which of a few configurations is settled on inner parts that never split a customer, out of the
//! rows the learner is given; rows held out by the caller have no say. hessboost counts in 32 bits: what it sees of a
//! row is made by `columns`, and `seal` turns its nodes back into tests of the 64-bit features.

use std::collections::BTreeMap;

use hessboost::config::Monotone;
use hessboost::data::DMatrix;
use hessboost::model::BoostedModel;
use nextbest_models::artifact::SealedScorer;
use nextbest_models::units::Seed;

use super::{Fitted, LearnError, Learner, Sample, ScorerForm, Settled};
use crate::dataset::ColumnKind;
use columns::Columns;

mod columns;
mod configuration;
mod search;
mod seal;

pub(crate) use seal::{bound, breadth_first};

/// Rows predicted at a time: bounds the table of leaves.
const BATCH_ROWS: usize = 4096;

/// How trees grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Every node of a level tests the same (oblivious trees, as CatBoost's).
    Symmetric,
    /// The leaf that gains most is split next, as LightGBM's.
    LeafWise,
}

/// Which way a probability may move as a quantity grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Never down.
    Increasing,
    /// Never up.
    Decreasing,
}

/// Its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HessboostTrees {
    /// How trees grow.
    pub growth: Growth,
    /// The budget of the search: how many configurations are tried, the default one included.
    pub budget: usize,
    /// Monotone constraints by column name; quantities only.
    pub monotone: BTreeMap<String, Direction>,
    /// From this many rows on, the trees grown beside the held-out part are kept as they are.
    pub keep_from: usize,
    /// Most rows.
    pub max_rows: usize,
}

impl HessboostTrees {
    /// Symmetric trees with the default settings.
    #[must_use]
    pub const fn symmetric() -> Self {
        Self {
            growth: Growth::Symmetric,
            budget: 2,
            monotone: BTreeMap::new(),
            keep_from: configuration::MANY_ROWS,
            max_rows: 2_000_000,
        }
    }

    /// Leaf-wise trees with the default settings.
    #[must_use]
    pub fn leaf_wise() -> Self {
        Self { growth: Growth::LeafWise, ..Self::symmetric() }
    }

    fn label(&self) -> &'static str {
        match self.growth {
            Growth::Symmetric => "hessboost_symmetric",
            Growth::LeafWise => "hessboost_leaf_wise",
        }
    }

    fn failed(&self, message: &impl ToString) -> LearnError {
        LearnError::Library { learner: self.label(), message: message.to_string() }
    }

    /// One per matrix column; a name that is no column of quantities is an error.
    fn constraints(&self, sample: &Sample<'_>, columns: &Columns) -> Result<Vec<Monotone>, LearnError> {
        let known = sample.dataset().columns();
        for name in self.monotone.keys() {
            let column = known.iter().find(|column| column.name == *name);
            if column.is_none_or(|column| column.kind != ColumnKind::Numeric) {
                return Err(LearnError::Monotone(name.clone()));
            }
        }
        if self.monotone.is_empty() {
            return Ok(Vec::new());
        }
        let of = |feature: usize| match self.monotone.get(&known[feature].name) {
            Some(Direction::Increasing) => Monotone::Increasing,
            Some(Direction::Decreasing) => Monotone::Decreasing,
            None => Monotone::None,
        };
        Ok(columns.features().map(of).collect())
    }
}

impl Learner for HessboostTrees {
    fn name(&self) -> &'static str {
        self.label()
    }

    fn max_rows(&self) -> usize {
        self.max_rows
    }

    fn fit(&self, sample: &Sample<'_>, seed: Seed) -> Result<Box<dyn Fitted>, LearnError> {
        Ok(Box::new(search::fit(self, sample, seed)?))
    }

    fn refit(
        &self,
        sample: &Sample<'_>,
        seed: Seed,
        settled: &[Settled],
    ) -> Result<Box<dyn Fitted>, LearnError> {
        match Settled::common(settled) {
            Some(settled) => Ok(Box::new(search::grow(self, sample, settled, seed)?)),
            None => self.fit(sample, seed),
        }
    }
}

impl Settled {
    /// The configuration most folds settled on (of equals the earlier), with the median of their rounds.
    fn common(settled: &[Self]) -> Option<Self> {
        let votes = |one: &Self| settled.iter().filter(|s| s.configuration == one.configuration).count();
        let chosen = settled.iter().max_by_key(|one| (votes(one), std::cmp::Reverse(one.configuration)))?;
        let same = settled.iter().filter(|one| one.configuration == chosen.configuration);
        let mut rounds: Vec<usize> = same.map(|one| one.n_rounds).collect();
        rounds.sort_unstable();
        Some(Self { configuration: chosen.configuration, n_rounds: rounds[rounds.len() / 2] })
    }
}

/// Grown trees with the columns they read.
struct FittedTrees {
    learner: &'static str,
    columns: Columns,
    model: BoostedModel,
    settled: Settled,
    notes: Vec<String>,
    /// The value of each node of each tree; 0 inside.
    values: Vec<Vec<f64>>,
}

impl FittedTrees {
    fn new(
        learner: &HessboostTrees,
        columns: Columns,
        model: BoostedModel,
        settled: Settled,
        notes: Vec<String>,
    ) -> Result<Self, LearnError> {
        let trees = model.trees().iter().take(settled.n_rounds);
        let values = trees.map(|tree| tree.nodes().iter().map(|node| f64::from(node.leaf_value)).collect());
        let values: Vec<Vec<f64>> = values.collect();
        let plain = model.tree_weights().all(|weight| weight == 1.0)
            && model.trees().iter().all(|tree| !tree.is_vector_leaf() && tree.linear_leaves().is_none());
        if !plain || values.len() != settled.n_rounds {
            return Err(learner.failed(&"the model is not a plain sum of the trees that were asked for"));
        }
        Ok(Self { learner: learner.label(), columns, model, settled, notes, values })
    }

    fn failed(&self, message: &impl ToString) -> LearnError {
        LearnError::Library { learner: self.learner, message: message.to_string() }
    }
}

impl Fitted for FittedTrees {
    /// hessboost says in which leaves a row ends; their values are added in 64 bits. Its own sum, in 32, errs by up to
    /// one rounding per tree.
    fn margins(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
        let base = f64::from(self.model.base_score());
        let mut margins = Vec::with_capacity(rows.len());
        for batch in rows.chunks(BATCH_ROWS) {
            let mut cells = Vec::with_capacity(batch.len() * self.columns.len());
            batch.iter().for_each(|row| self.columns.fill(row, &mut cells));
            let matrix = DMatrix::from_dense_vec(cells, batch.len(), self.columns.len());
            let matrix = matrix.map_err(|error| self.failed(&error))?;
            let leaves = self.model.predict_leaf(&matrix, ..self.settled.n_rounds);
            let leaves = leaves.map_err(|error| self.failed(&error))?;
            for row in leaves.as_slice().chunks(self.settled.n_rounds.max(1)) {
                let value = |(leaf, values): (&u32, &Vec<f64>)| values[*leaf as usize];
                margins.push(base + row.iter().zip(&self.values).map(value).sum::<f64>());
            }
        }
        Ok(margins)
    }

    fn seal(&self) -> Result<SealedScorer, LearnError> {
        let trees = self.model.trees().iter().take(self.settled.n_rounds);
        let trees: Vec<_> = trees.map(|tree| seal::tree(tree, &self.columns)).collect();
        SealedScorer::trees(f64::from(self.model.base_score()), &trees).map_err(|error| self.failed(&error))
    }

    fn form(&self) -> ScorerForm {
        ScorerForm::Additive
    }

    fn settled(&self) -> Option<Settled> {
        Some(self.settled)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests;
