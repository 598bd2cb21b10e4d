//! Gradient-boosted trees by hessboost: logistic loss, missing values and categories as they are, weights, monotone
//! constraints. Two learners: symmetric trees, whose levels ask one question each, and leaf-wise trees.
//!
//! Where that many trees are not too many to score by, several ensembles that differ in their seed alone are averaged
//! (bagging: Breiman 1996), which steadies what drawn rows and columns leave to chance.
//!
//! How many trees and which of a few configurations is settled on inner parts that never split a customer, out of the
//! rows the learner is given; rows held out by the caller have no say. hessboost counts in 32 bits: what it sees of a
//! row is made by `columns`, and `seal` turns its nodes back into tests of the 64-bit features.

use hessboost::config::Monotone as Sign;
use nextbest_models::units::Seed;

use super::{Direction, Fitted, LearnError, Learner, Monotone, Sample, Settled, directions};
use columns::Columns;

mod columns;
mod configuration;
pub(crate) mod quantity;
mod search;
mod fitted;
mod seal;

pub(crate) use seal::{bound, breadth_first};

/// How trees grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Every node of a level tests the same (oblivious trees, as CatBoost's).
    Symmetric,
    /// The leaf that gains most is split next, as LightGBM's.
    LeafWise,
}

/// Its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HessboostTrees {
    /// How trees grow.
    pub growth: Growth,
    /// The budget of the search: how many configurations are tried, the default one included.
    pub budget: usize,
    /// Monotone constraints by column name; quantities only.
    pub monotone: Monotone,
    /// Most ensembles that are averaged.
    pub bag: usize,
    /// Most trees of all ensembles together: what scoring takes grows with them.
    pub most_trees: usize,
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
            budget: 3,
            bag: 4,
            most_trees: 1_000,
            monotone: Monotone::new(),
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

    /// How many ensembles of `settled.n_rounds` trees are averaged: of many rows one, since chance then has little say.
    fn bag_size(&self, settled: Settled, n_rows: usize) -> usize {
        let most = self.most_trees / settled.n_rounds.max(1);
        if n_rows >= self.keep_from { 1 } else { most.clamp(1, self.bag.max(1)) }
    }

    fn failed(&self, message: &impl ToString) -> LearnError {
        LearnError::Library { learner: self.label(), message: message.to_string() }
    }

    /// One per matrix column, none without constraints; a name that is no column of quantities is an error.
    fn constraints(&self, sample: &Sample<'_>, columns: &Columns) -> Result<Vec<Sign>, LearnError> {
        let directions = directions(&self.monotone, sample)?;
        if self.monotone.is_empty() {
            return Ok(Vec::new());
        }
        let of = |feature: usize| match directions[feature] {
            Some(Direction::Increasing) => Sign::Increasing,
            Some(Direction::Decreasing) => Sign::Decreasing,
            None => Sign::None,
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

#[cfg(test)]
mod tests;
