//! Trees of a number instead of an outcome: what effects and their nuisances are learned by.
//!
//! The columns, and the sealed form, are those of the leaf-wise learner; the budget is the caller's, without a search.
//! Depth-wise, each tree on a drawn half of the rows (Friedman 2002). With squared loss margins are the quantity
//! itself, with logistic loss its log-odds.

use std::num::NonZeroUsize;

use hessboost::config::{TrainingParams, TreeMethod};
use hessboost::data::DMatrix;
use hessboost::error::{HessboostError, Result};
use hessboost::objective::{Objective, RegLoss};
use hessboost::training::Trainer;
use nextbest_models::units::Seed;

use super::columns::Columns;
use super::configuration::MAX_BINS;
use super::fitted::FittedTrees;
use super::{Growth, HessboostTrees};
use crate::dataset::{Dataset, Labelled};
use crate::learner::{Fitted, LearnError, Sample, Settled};

/// Growing stops when the loss on rows held out has not improved for this many trees.
const PATIENCE: NonZeroUsize = NonZeroUsize::new(20).unwrap();

/// What a target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// A quantity, by its mean.
    Squared,
    /// 0 or 1, by its log-odds.
    Logistic,
}

/// How far trees may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Trees; the most where they are counted by rows held out.
    pub(crate) n_trees: usize,
    /// Levels of a tree.
    pub(crate) depth: usize,
    /// What a tree's word counts.
    pub(crate) rate: f64,
    /// Least rows of a leaf, as the loss counts them.
    pub(crate) min_rows: f64,
    /// Of the rows and columns drawn.
    pub(crate) seed: Seed,
}

/// Some rows of a set with the number to be learned of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantities<'a> {
    pub(crate) dataset: &'a Dataset,
    pub(crate) rows: &'a [usize],
    /// One for each of `rows`.
    pub(crate) targets: &'a [f64],
    pub(crate) loss: Loss,
}

impl Quantities<'_> {
    fn sample(&self) -> Sample<'_> {
        // The leaf-wise columns never look at outcomes.
        let labelled = Labelled { rows: self.rows.to_vec(), outcomes: vec![false; self.rows.len()] };
        Sample { dataset: self.dataset, labelled }
    }

    fn matrix(&self, columns: &Columns) -> Result<DMatrix> {
        let mut cells = Vec::with_capacity(self.rows.len() * columns.len());
        self.rows.iter().for_each(|&row| columns.fill(self.dataset.row(row), &mut cells));
        let targets: Vec<f32> = self.targets.iter().map(|target| *target as f32).collect();
        DMatrix::from_dense_vec(cells, self.rows.len(), columns.len())?
            .with_labels(&targets)?
            .with_feature_types(&columns.kinds())
    }

    fn columns(&self) -> Result<Columns, LearnError> {
        let columns = Columns::fit(&self.sample(), Growth::LeafWise);
        if columns.len() > 0 {
            return Ok(columns);
        }
        let dropped = columns.dropped.iter().map(|(name, why)| format!("column {name} dropped: {why}"));
        Err(LearnError::NoColumns(dropped.collect::<Vec<_>>().join("; ")))
    }
}

/// Grows `budget.n_trees` trees.
pub(crate) fn grow(of: &Quantities<'_>, budget: Budget) -> Result<Box<dyn Fitted>, LearnError> {
    let learner = HessboostTrees::leaf_wise();
    let failed = |error: HessboostError| learner.failed(&error);
    let columns = of.columns()?;
    let matrix = of.matrix(&columns).map_err(failed)?;
    let parameters = parameters(of.loss, budget).map_err(failed)?;
    let model = Trainer::new(&parameters, &matrix, budget.n_trees).train().map_err(failed)?.model;
    let settled = Settled { configuration: 0, n_rounds: budget.n_trees };
    Ok(Box::new(FittedTrees::new(&learner, columns, vec![model], settled, Vec::new())?))
}

/// How many trees, at least 1 and at most `budget.n_trees`, tell `held_out` best when grown on `of`.
pub(crate) fn n_trees(
    of: &Quantities<'_>,
    held_out: &Quantities<'_>,
    budget: Budget,
) -> Result<usize, LearnError> {
    let learner = HessboostTrees::leaf_wise();
    let failed = |error: HessboostError| learner.failed(&error);
    let columns = of.columns()?;
    let (grow, ask) = (of.matrix(&columns).map_err(failed)?, held_out.matrix(&columns).map_err(failed)?);
    let parameters = parameters(of.loss, budget).map_err(failed)?;
    let trainer = Trainer::new(&parameters, &grow, budget.n_trees).eval(&ask, "held out");
    let grown = trainer.early_stopping_rounds(PATIENCE).train().map_err(failed)?;
    Ok(grown.model.best_iteration().map_or(budget.n_trees, |best| best + 1))
}

fn parameters(loss: Loss, budget: Budget) -> Result<TrainingParams> {
    let objective = match loss {
        Loss::Squared => Objective::SquaredError(RegLoss::default()),
        Loss::Logistic => Objective::BinaryLogistic(RegLoss::default()),
    };
    TrainingParams::builder()
        .objective(objective)
        .tree_method(TreeMethod::Hist)
        .max_bin(MAX_BINS)
        .eta(budget.rate)
        .max_depth(budget.depth)
        .min_child_weight(budget.min_rows)
        .lambda(1.0)
        .subsample(0.5)
        .colsample_bytree(0.7)
        .seed(budget.seed.0)
        .nthread(1)
        .build()
}
