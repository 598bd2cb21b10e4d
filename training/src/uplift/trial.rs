//! Rows with features, the arm each was in and what came of it: what every estimator here takes.

use nextbest_models::units::Seed;

use crate::dataset::Dataset;
use crate::table::fold_by_hash;

/// The two arms of a table, row by row. All per-row vectors have the length of the dataset.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) dataset: Dataset,
    pub(super) treated: Vec<bool>,
    pub(super) outcomes: Vec<bool>,
    /// Logged probabilities of treatment.
    pub(super) probability: Option<Vec<f64>>,
    /// A hash of what binds rows together.
    pub(super) bonds: Vec<u64>,
    pub(super) fold_of_row: Vec<u32>,
    pub(super) n_folds: u32,
}

impl Trial {
    pub(super) fn len(&self) -> usize {
        self.treated.len()
    }

    /// The outcome as a number.
    pub(super) fn y(&self, row: usize) -> f64 {
        f64::from(u8::from(self.outcomes[row]))
    }

    /// The treatment as a number.
    pub(super) fn t(&self, row: usize) -> f64 {
        f64::from(u8::from(self.treated[row]))
    }

    pub(super) fn n_treated(&self) -> usize {
        self.treated.iter().filter(|treated| **treated).count()
    }

    /// The rows of fold `fold`, and all others.
    pub(super) fn split(&self, fold: u32) -> (Vec<usize>, Vec<usize>) {
        (0..self.len()).partition(|&row| self.fold_of_row[row] == fold)
    }

    /// One of `n_parts` for each of `rows`: rows bound together share it.
    pub(super) fn parts(&self, rows: &[usize], n_parts: u32, seed: Seed) -> Vec<u32> {
        rows.iter().map(|&row| fold_by_hash(self.bonds[row], n_parts, seed)).collect()
    }

    /// Those of `rows` in one arm.
    pub(super) fn arm(&self, rows: &[usize], treated: bool) -> Vec<usize> {
        rows.iter().copied().filter(|&row| self.treated[row] == treated).collect()
    }
}
