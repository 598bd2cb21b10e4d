//! Columns that know the outcome, and rows that stand twice: what makes a model look better than it is.
//!
//! A column is a suspected leak if it alone ranks the outcomes nearly perfectly, out of fold, or if one of its values
//! (a level, or being missing) fixes the outcome for many rows. Both are told with the figures behind them.

use std::collections::HashMap;

use nextbest_models::table::{CellKind, TableColumn};
use rayon::prelude::*;
use serde::Serialize;

use super::distinct::mixed;
use crate::dataset::Dataset;

/// A single column that reaches this out-of-fold AUC is suspected: honest ones hardly do.
pub const LEAK_AUC: f64 = 0.98;
/// A value that fixes the outcome is suspected if chance would do so with less than this probability, ...
const LEAK_CHANCE: f64 = 1e-9;
/// ... and it holds at least this share of all rows with that outcome.
const LEAK_SHARE: f64 = 0.05;
/// Bins of equal count that a quantity is cut into; one of no more values has a bin for each.
const N_BINS: usize = 64;

/// A column that may know the outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SuspectedLeak {
    /// The column.
    pub column: String,
    /// Its out-of-fold AUC alone.
    pub auc: f64,
    /// A value that fixes the outcome, where that is the reason.
    pub value: Option<FixedOutcome>,
}

/// A value after which there is one outcome only.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FixedOutcome {
    /// The level or number; absent: the cell is missing.
    pub level: Option<String>,
    /// Rows that have it.
    pub n_rows: u64,
    /// Their outcome.
    pub outcome: bool,
}

impl SuspectedLeak {
    /// Why, in a sentence.
    #[must_use]
    pub fn why(&self) -> String {
        match &self.value {
            Some(fixed) => {
                let value = fixed.level.as_ref().map_or("missing".to_owned(), |level| format!("{level:?}"));
                let which = if fixed.outcome { "with" } else { "without" };
                format!(
                    "all {} rows where it is {value} are {which} the outcome (AUC alone {:.3})",
                    fixed.n_rows, self.auc
                )
            }
            None => {
                format!("AUC alone {:.3}, out of fold; from {LEAK_AUC} on a column is suspected", self.auc)
            }
        }
    }
}

/// The suspected leaks among the columns of `dataset`, in their order. `columns` says what they are.
pub(crate) fn leaks(
    dataset: &Dataset,
    columns: &[TableColumn],
    outcomes: &[bool],
    fold_of_row: &[u32],
    n_folds: u32,
) -> Vec<SuspectedLeak> {
    let suspect = |(feature, column): (usize, &TableColumn)| {
        let cells: Vec<f64> = (0..dataset.n_rows()).map(|row| dataset.row(row)[feature]).collect();
        let levels = Levels::of(&cells, &column.kind);
        let counts = levels.counts(outcomes, fold_of_row, n_folds);
        let auc = auc_alone(&counts);
        let value = levels.fixed(&counts);
        (auc >= LEAK_AUC || value.is_some()).then(|| SuspectedLeak {
            column: column.name.clone(),
            auc,
            value: value.filter(|_| auc < LEAK_AUC),
        })
    };
    columns.par_iter().enumerate().filter_map(suspect).collect()
}

/// The cells of one column as small numbers; the last stands for missing.
pub(crate) struct Levels {
    of_row: Vec<u32>,
    n: usize,
    /// What the numbers stand for, where each stands for one value.
    values: Option<Vec<String>>,
}

/// Rows by level and fold: without and with the outcome.
pub(crate) type Counts = Vec<Vec<[f64; 2]>>;

impl Levels {
    pub(crate) fn of(cells: &[f64], kind: &CellKind) -> Self {
        let (bounds, values) = match kind {
            CellKind::Number | CellKind::Time(_) => bounds(cells),
            CellKind::Boolean { yes, no } => (Vec::new(), Some(vec![no.clone(), yes.clone()])),
            CellKind::Category { levels, .. } => {
                let rare = std::iter::once("(a rare level)".to_owned());
                (Vec::new(), Some(levels.iter().cloned().chain(rare).collect()))
            }
        };
        let n_levels = values.as_ref().map_or(bounds.len() + 1, Vec::len);
        let is_binned = matches!(kind, CellKind::Number | CellKind::Time(_));
        let level = |&cell: &f64| match cell {
            cell if cell.is_nan() => n_levels,
            cell if is_binned => bounds.partition_point(|bound| *bound < cell),
            // Codes are small whole numbers.
            cell => cell as usize,
        };
        let of_row = cells.iter().map(|cell| u32::try_from(level(cell).min(n_levels)).unwrap_or(0)).collect();
        Self { of_row, n: n_levels + 1, values }
    }

    /// Of any two-valued `outcomes`.
    pub(crate) fn counts(&self, outcomes: &[bool], fold_of_row: &[u32], n_folds: u32) -> Counts {
        let mut counts = vec![vec![[0.0; 2]; n_folds as usize]; self.n];
        for ((&level, &outcome), &fold) in self.of_row.iter().zip(outcomes).zip(fold_of_row) {
            counts[level as usize][fold as usize][usize::from(outcome)] += 1.0;
        }
        counts
    }

    /// The level, or being missing, that fixes the outcome of most rows, beyond what chance would do.
    fn fixed(&self, counts: &Counts) -> Option<FixedOutcome> {
        let total = |level: usize| sum(&counts[level]);
        let all = sum(&(0..self.n).map(total).collect::<Vec<_>>());
        let missing = self.n - 1;
        let candidates = (0..self.n).filter(|&level| self.values.is_some() || level == missing);
        let fixing = candidates.filter_map(|level| {
            let n = total(level);
            let outcome = usize::from(n[1] > 0.0);
            let is_fixed = n[1 - outcome] == 0.0 && n[outcome] > 0.0;
            let beyond_chance = n[outcome] * (all[outcome] / (all[0] + all[1])).ln() < LEAK_CHANCE.ln();
            let is_large = n[outcome] >= LEAK_SHARE * all[outcome];
            (is_fixed && beyond_chance && is_large).then_some((level, n[outcome], outcome))
        });
        let (level, n_rows, outcome) = fixing.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let level = self.values.as_ref().and_then(|values| values.get(level).cloned());
        Some(FixedOutcome { level, n_rows: n_rows as u64, outcome: outcome == 1 })
    }
}

/// Upper ends of at most [`N_BINS`] bins of about equal count, but the last; and the values, where each has its own.
fn bounds(cells: &[f64]) -> (Vec<f64>, Option<Vec<String>>) {
    let mut known: Vec<f64> = cells.iter().copied().filter(|cell| !cell.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    let mut values: Vec<f64> = Vec::new();
    for &cell in &known {
        if values.last() != Some(&cell) {
            values.push(cell);
        }
        if values.len() > N_BINS {
            let cuts = (1..N_BINS).filter_map(|bin| known.get(known.len() * bin / N_BINS));
            let mut bounds: Vec<f64> = cuts.copied().collect();
            bounds.dedup();
            return (bounds, None);
        }
    }
    let names = values.iter().map(f64::to_string).collect();
    values.pop();
    (values, Some(names))
}

fn sum(folds: &[[f64; 2]]) -> [f64; 2] {
    folds.iter().fold([0.0; 2], |sum, n| [sum[0] + n[0], sum[1] + n[1]])
}

/// AUC of the share of outcomes at a level in the other folds, drawn towards their base rate by one row.
fn auc_alone(counts: &Counts) -> f64 {
    let n_folds = counts.first().map_or(0, Vec::len);
    let mut fold_totals = vec![[0.0; 2]; n_folds];
    for level in counts {
        level.iter().zip(&mut fold_totals).for_each(|(n, total)| *total = sum(&[*total, *n]));
    }
    let all = sum(&fold_totals);
    let mut scored: Vec<(f64, [f64; 2])> = Vec::new();
    for level in counts {
        let here = sum(level);
        for (n, fold) in level.iter().zip(&fold_totals) {
            if n[0] + n[1] == 0.0 {
                continue;
            }
            let others = all[0] + all[1] - fold[0] - fold[1];
            let base = if others > 0.0 { (all[1] - fold[1]) / others } else { 0.5 };
            let (hits, rows) = (here[1] - n[1], here[0] + here[1] - n[0] - n[1]);
            scored.push(((hits + base) / (rows + 1.0), *n));
        }
    }
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut start) = (0.0, 0.0, 0);
    while start < scored.len() {
        let tied = scored[start..].iter().take_while(|entry| entry.0 == scored[start].0).count();
        let n = scored[start..start + tied].iter().fold([0.0; 2], |total, entry| sum(&[total, entry.1]));
        wins += n[1] * (below + 0.5 * n[0]);
        below += n[0];
        start += tied;
    }
    wins / (all[0] * all[1]).max(1.0)
}

/// Rows that stand twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// Rows whose features and outcome equal those of an earlier row.
    pub n_rows: u64,
    /// Those of them whose earlier twin lies in another fold or part.
    pub n_across: u64,
}

/// Counts rows of equal features and outcome, by a 64-bit hash of both.
pub(crate) fn duplicates(dataset: &Dataset, outcomes: &[bool], part_of_row: &[u32]) -> Duplicates {
    let hash = |row: usize| {
        let seed = mixed(u64::from(outcomes[row]) + 1);
        dataset.row(row).iter().fold(seed, |hash, value| {
            // All NaNs are one.
            let bits = if value.is_nan() { u64::MAX } else { value.to_bits() };
            mixed(hash ^ bits).wrapping_add(hash)
        })
    };
    let hashes: Vec<u64> = (0..dataset.n_rows()).into_par_iter().map(hash).collect();
    let mut first: HashMap<u64, u32> = HashMap::with_capacity(hashes.len());
    let mut found = Duplicates::default();
    for (hash, &part) in hashes.into_iter().zip(part_of_row) {
        match first.get(&hash) {
            Some(&earlier) => {
                found.n_rows += 1;
                found.n_across += u64::from(earlier != part);
            }
            None => {
                first.insert(hash, part);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
