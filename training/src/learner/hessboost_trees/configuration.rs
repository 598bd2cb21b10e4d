//! The configurations a search may try, by how many rows there are to learn from. The first of each is the default.
//!
//! Few rows want shallow trees and a slow rate; many rows carry more leaves. Rounds are a bound: early stopping says how
//! many are kept.

use hessboost::config::{GrowPolicy, Monotone, TrainingParams, TreeMethod};
use hessboost::error::Result;
use hessboost::metric::EvalMetric;
use hessboost::objective::{Objective, RegLoss};
use nextbest_models::units::Seed;

use super::Growth;

/// Bins of a column.
pub(super) const MAX_BINS: usize = 255;
/// Below this many rows, trees are shallow.
const FEW_ROWS: usize = 20_000;
/// From this many rows on, trees learn at a quicker rate: noise is no danger, and as many trees reach further.
pub(super) const MANY_ROWS: usize = 100_000;

/// How trees are grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Configuration {
    growth: Growth,
    depth: usize,
    /// Of a leaf-wise tree.
    leaves: usize,
    eta: f64,
    /// Least Hessian of a child.
    min_child_weight: f64,
    /// Share of rows, and of columns, each tree sees.
    share: (f64, f64),
    /// Most trees.
    pub(super) max_rounds: usize,
    /// Trees where nothing can be held out.
    pub(super) usual_rounds: usize,
}

/// Every configuration; numbers among them are what a search settles on. Three for few rows, two for more, one for many.
pub(super) fn all(growth: Growth) -> [Configuration; 6] {
    let few = Configuration {
        growth,
        depth: 4,
        leaves: 16,
        eta: 0.03,
        min_child_weight: 5.0,
        share: (0.8, 0.6),
        max_rounds: 1_500,
        usual_rounds: 200,
    };
    let deeper = Configuration { depth: 6, leaves: 31, ..few };
    let deepest = Configuration { depth: 8, leaves: 63, ..few };
    let more = Configuration { share: (1.0, 0.8), usual_rounds: 300, ..deeper };
    let many = Configuration { eta: 0.1, max_rounds: 800, ..more };
    match growth {
        Growth::Symmetric => {
            // One question a level learns less from a tree, and overfits later: slower, with more of them.
            let many = Configuration { eta: 0.06, max_rounds: 1_500, ..many };
            [few, deeper, deepest, more, Configuration { depth: 8, ..more }, many]
        }
        Growth::LeafWise => {
            let free = |one: Configuration| Configuration { depth: 12, ..one };
            let smaller = Configuration { leaves: 15, ..more };
            [few, free(deeper), free(deepest), free(more), free(smaller), free(many)]
        }
    }
}

/// What to try for `n_rows`, by number: at most `budget`, the default first.
pub(super) fn candidates(n_rows: usize, budget: usize) -> std::ops::Range<usize> {
    match n_rows {
        0..FEW_ROWS => 0..budget.clamp(1, 3),
        FEW_ROWS..MANY_ROWS => 3..3 + budget.clamp(1, 2),
        // A second configuration would cost as much as the first and gain little.
        _ => 5..6,
    }
}

impl Configuration {
    /// In hessboost's words.
    pub(super) fn parameters(&self, constraints: Vec<Monotone>, seed: Seed) -> Result<TrainingParams> {
        let common = TrainingParams::builder()
            .objective(Objective::BinaryLogistic(RegLoss::default()))
            .eval_metric(EvalMetric::LogLoss)
            .tree_method(TreeMethod::Hist)
            .max_bin(MAX_BINS)
            .eta(self.eta)
            .max_depth(self.depth)
            .min_child_weight(self.min_child_weight)
            .lambda(1.0)
            .subsample(self.share.0)
            .colsample_bytree(self.share.1)
            .monotone_constraints(constraints)
            .seed(seed.0);
        match self.growth {
            Growth::Symmetric => common.grow_policy(GrowPolicy::Symmetric).build(),
            Growth::LeafWise => common.grow_policy(GrowPolicy::LossGuide).max_leaves(self.leaves).build(),
        }
    }

    /// For a note.
    pub(super) fn describe(&self) -> String {
        match self.growth {
            Growth::Symmetric => format!("depth {}, rate {}", self.depth, self.eta),
            Growth::LeafWise => {
                format!("{} leaves, depth at most {}, rate {}", self.leaves, self.depth, self.eta)
            }
        }
    }
}
