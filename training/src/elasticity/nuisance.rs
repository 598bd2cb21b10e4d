//! What controls tell of a column, by boosted trees of hessboost: the nuisances of double machine learning.
//!
//! A fixed small budget and a seed: the same rows give the same trees. Each tree sees half of the rows (Friedman 2002),
//! which smooths what they say and is worth more here than sharper trees. Outcomes are brought to mean 0 and deviation 1
//! before they become 32-bit numbers, so that no unit of price or quantity has a say.

use std::num::NonZeroUsize;

use hessboost::config::{TrainingParams, TreeMethod};
use hessboost::data::{DMatrix, FeatureType};
use hessboost::error::Result;
use hessboost::objective::{Objective, RegLoss};
use hessboost::training::Trainer;
use nextbest_models::units::Seed;

use super::panel::Panel;

/// Names of a column that trees tell apart; with more it is left to the levels that are absorbed.
const MAX_NAMES: usize = 254;

/// How far trees may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Most trees.
    pub(super) n_trees: usize,
    /// Levels of a tree.
    pub(super) depth: usize,
    /// What a tree's word counts.
    pub(super) rate: f64,
    /// Share of the rows a tree sees.
    pub(super) share: f64,
    /// Of the rows drawn.
    pub(super) seed: Seed,
}

impl Default for Budget {
    fn default() -> Self {
        Self { n_trees: 300, depth: 3, rate: 0.1, share: 0.5, seed: Seed(1) }
    }
}

/// Growing stops when the loss on rows held out has not improved for this many trees.
const PATIENCE: NonZeroUsize = NonZeroUsize::new(20).unwrap();

/// What trees see of every row.
#[derive(Clone, Debug)]
pub(super) struct Features {
    columns: Vec<Vec<f32>>,
    kinds: Vec<FeatureType>,
}

impl Features {
    /// Controls, fixed effects and groups of `panel`, and each control of numbers once more net of what was absorbed.
    pub(super) fn new(panel: &Panel, groups: (&[u32], usize), absorbed: &[Vec<f64>]) -> Self {
        let mut features = Self { columns: Vec::new(), kinds: Vec::new() };
        for names in &panel.controls {
            match names.values() {
                Some(column) => {
                    features.push(column.iter().map(|value| *value as f32).collect(), FeatureType::Numerical);
                }
                None => features.add_names(&names.codes, names.levels.len()),
            }
        }
        // The values of a fixed effect are names, though they look like numbers.
        for names in &panel.effects {
            features.add_names(&names.codes, names.levels.len());
        }
        features.add_names(groups.0, groups.1);
        for column in absorbed {
            features.push(column.iter().map(|value| *value as f32).collect(), FeatureType::Numerical);
        }
        features
    }

    /// Nothing where there is one name alone, or more than trees tell apart.
    fn add_names(&mut self, codes: &[u32], n_names: usize) {
        if (2..=MAX_NAMES).contains(&n_names) {
            let kind = if n_names > 2 { FeatureType::Categorical } else { FeatureType::Numerical };
            self.push(codes.iter().map(|code| *code as f32).collect(), kind);
        }
    }

    fn push(&mut self, column: Vec<f32>, kind: FeatureType) {
        self.columns.push(column);
        self.kinds.push(kind);
    }

    fn matrix(&self, rows: &[usize]) -> Result<DMatrix> {
        let cells = rows.iter().flat_map(|&row| self.columns.iter().map(move |column| column[row]));
        DMatrix::from_dense_vec(cells.collect(), rows.len(), self.columns.len())?
            .with_feature_types(&self.kinds)
    }
}

/// The rows that trees learn from, and those they are asked about.
pub(super) struct Parts<'a> {
    pub(super) grow: &'a [usize],
    pub(super) ask: &'a [usize],
}

/// How many trees `target` takes: as many as tell the rows `parts.ask` best.
pub(super) fn n_trees(
    features: &Features,
    target: &[f64],
    parts: &Parts<'_>,
    budget: Budget,
) -> Result<usize> {
    let unit = Unit::of(target, parts.grow);
    let grow = features.matrix(parts.grow)?.with_labels(&unit.labels(target, parts.grow))?;
    let ask = features.matrix(parts.ask)?.with_labels(&unit.labels(target, parts.ask))?;
    let parameters = parameters(budget)?;
    let trainer = Trainer::new(&parameters, &grow, budget.n_trees);
    let grown = trainer.eval(&ask, "held out").early_stopping_rounds(PATIENCE).train()?;
    Ok(grown.model.best_iteration().map_or(budget.n_trees, |best| best + 1))
}

/// What is to be expected of `target` in the rows `parts.ask`, learned from `parts.grow` by `n_trees` trees.
pub(super) fn expected(
    features: &Features,
    target: &[f64],
    parts: &Parts<'_>,
    budget: Budget,
    n_trees: usize,
) -> Result<Vec<f64>> {
    let unit = Unit::of(target, parts.grow);
    let grow = features.matrix(parts.grow)?.with_labels(&unit.labels(target, parts.grow))?;
    let model = Trainer::new(&parameters(budget)?, &grow, n_trees).train()?.model;
    let told = model.predict(&features.matrix(parts.ask)?, ..n_trees)?;
    Ok(told.as_slice().iter().map(|value| unit.back(*value)).collect())
}

fn parameters(budget: Budget) -> Result<TrainingParams> {
    TrainingParams::builder()
        .objective(Objective::SquaredError(RegLoss::default()))
        .tree_method(TreeMethod::Hist)
        .eta(budget.rate)
        .subsample(budget.share)
        .seed(budget.seed.0)
        .max_depth(budget.depth)
        .min_child_weight(5.0)
        .lambda(1.0)
        .base_score(0.0)
        .nthread(1)
        .build()
}

/// The unit in which a target is learned: its mean and deviation among the rows it is learned from.
struct Unit {
    mean: f64,
    deviation: f64,
}

impl Unit {
    fn of(target: &[f64], rows: &[usize]) -> Self {
        let n = rows.len() as f64;
        let mean = rows.iter().map(|&row| target[row]).sum::<f64>() / n;
        let variance = rows.iter().map(|&row| (target[row] - mean).powi(2)).sum::<f64>() / n;
        Self { mean, deviation: if variance > 0.0 { variance.sqrt() } else { 1.0 } }
    }

    fn labels(&self, target: &[f64], rows: &[usize]) -> Vec<f32> {
        rows.iter().map(|&row| ((target[row] - self.mean) / self.deviation) as f32).collect()
    }

    fn back(&self, value: f32) -> f64 {
        self.mean + self.deviation * f64::from(value)
    }
}
