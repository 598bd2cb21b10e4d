//! Grown trees: what they predict by hessboost's own walk, and what they seal into.

use hessboost::data::DMatrix;
use hessboost::model::BoostedModel;
use nextbest_models::artifact::SealedScorer;

use super::columns::Columns;
use super::{HessboostTrees, seal};
use crate::learner::{Fitted, LearnError, ScorerForm, Settled};

/// Rows predicted at a time: bounds the table of leaves.
const BATCH_ROWS: usize = 4096;

/// Ensembles that are averaged, with the columns they read.
pub(super) struct FittedTrees {
    learner: &'static str,
    pub(super) columns: Columns,
    pub(super) bag: Vec<Ensemble>,
    pub(super) settled: Settled,
    notes: Vec<String>,
}

/// One ensemble of a bag.
pub(super) struct Ensemble {
    pub(super) model: BoostedModel,
    /// Its part of the margin at each node of each tree; 0 inside.
    values: Vec<Vec<f64>>,
}

impl FittedTrees {
    /// The average of `models`, at least one, all grown as `settled` on `columns`.
    pub(super) fn new(
        learner: &HessboostTrees,
        columns: Columns,
        models: Vec<BoostedModel>,
        settled: Settled,
        notes: Vec<String>,
    ) -> Result<Self, LearnError> {
        let share = 1.0 / models.len() as f64;
        let ensemble = |model: BoostedModel| {
            let trees = model.trees().iter().take(settled.n_rounds);
            let values = trees.map(|tree| {
                tree.nodes().iter().map(|node| share * f64::from(node.leaf_value)).collect::<Vec<f64>>()
            });
            let values: Vec<Vec<f64>> = values.collect();
            let plain = model.tree_weights().all(|weight| weight == 1.0)
                && model.trees().iter().all(|tree| !tree.is_vector_leaf() && tree.linear_leaves().is_none());
            if !plain || values.len() != settled.n_rounds {
                return Err(learner.failed(&"the model is not a plain sum of the trees that were asked for"));
            }
            Ok(Ensemble { model, values })
        };
        let bag = models.into_iter().map(ensemble).collect::<Result<_, _>>()?;
        Ok(Self { learner: learner.label(), columns, bag, settled, notes })
    }

    /// What each ensemble counts.
    pub(super) fn share(&self) -> f64 {
        1.0 / self.bag.len() as f64
    }

    pub(super) fn base(&self) -> f64 {
        self.bag.iter().map(|one| self.share() * f64::from(one.model.base_score())).sum()
    }

    fn failed(&self, message: &impl ToString) -> LearnError {
        LearnError::Library { learner: self.learner, message: message.to_string() }
    }
}

impl Fitted for FittedTrees {
    /// hessboost says in which leaves a row ends; their values are added in 64 bits. Its own sum, in 32, errs by up to
    /// one rounding per tree.
    fn margins(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
        let mut margins = vec![self.base(); rows.len()];
        for (batch, margins) in rows.chunks(BATCH_ROWS).zip(margins.chunks_mut(BATCH_ROWS)) {
            let mut cells = Vec::with_capacity(batch.len() * self.columns.len());
            batch.iter().for_each(|row| self.columns.fill(row, &mut cells));
            let matrix = DMatrix::from_dense_vec(cells, batch.len(), self.columns.len());
            let matrix = matrix.map_err(|error| self.failed(&error))?;
            for Ensemble { model, values } in &self.bag {
                let leaves = model.predict_leaf(&matrix, ..self.settled.n_rounds);
                let leaves = leaves.map_err(|error| self.failed(&error))?;
                let rows = leaves.as_slice().chunks(self.settled.n_rounds.max(1));
                for (margin, row) in margins.iter_mut().zip(rows) {
                    let value = |(leaf, values): (&u32, &Vec<f64>)| values[*leaf as usize];
                    *margin += row.iter().zip(values).map(value).sum::<f64>();
                }
            }
        }
        Ok(margins)
    }

    fn seal(&self) -> Result<SealedScorer, LearnError> {
        let trees = self.bag.iter().flat_map(|one| one.model.trees().iter().take(self.settled.n_rounds));
        let trees: Vec<_> = trees.map(|tree| seal::tree(tree, &self.columns, self.share())).collect();
        SealedScorer::trees(self.base(), &trees).map_err(|error| self.failed(&error))
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
