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
const LEAK_SHARE: f64 = 0.1;
/// Bins of equal count that a quantity is cut into.
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
    /// The level; absent: the cell is missing.
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
        let value = levels.fixed(&counts, &column.kind);
        (auc >= LEAK_AUC || value.is_some()).then(|| SuspectedLeak {
            column: column.name.clone(),
            auc,
            value: value.filter(|_| auc < LEAK_AUC),
        })
    };
    columns.par_iter().enumerate().filter_map(suspect).collect()
}

/// The cells of one column as small numbers; the last stands for missing.
struct Levels {
    of_row: Vec<u32>,
    n: usize,
    is_code: bool,
}

/// Rows by level and fold: without and with the outcome.
type Counts = Vec<Vec<[f64; 2]>>;

impl Levels {
    fn of(cells: &[f64], kind: &CellKind) -> Self {
        let is_code = !matches!(kind, CellKind::Number | CellKind::Time(_));
        let bounds = if is_code { Vec::new() } else { bounds(cells) };
        let n_levels = match kind {
            CellKind::Category { levels, .. } => levels.len() + 1,
            CellKind::Boolean { .. } => 2,
            CellKind::Number | CellKind::Time(_) => bounds.len() + 1,
        };
        let level = |&cell: &f64| {
            if cell.is_nan() {
                n_levels
            } else if is_code {
                cell as usize
            } else {
                bounds.partition_point(|bound| *bound < cell)
            }
        };
        let of_row = cells.iter().map(|cell| u32::try_from(level(cell).min(n_levels)).unwrap_or(0)).collect();
        Self { of_row, n: n_levels + 1, is_code }
    }

    fn counts(&self, outcomes: &[bool], fold_of_row: &[u32], n_folds: u32) -> Counts {
        let mut counts = vec![vec![[0.0; 2]; n_folds as usize]; self.n];
        for ((&level, &outcome), &fold) in self.of_row.iter().zip(outcomes).zip(fold_of_row) {
            counts[level as usize][fold as usize][usize::from(outcome)] += 1.0;
        }
        counts
    }

    /// The level, or being missing, that fixes the outcome of most rows, beyond what chance would do.
    fn fixed(&self, counts: &Counts, kind: &CellKind) -> Option<FixedOutcome> {
        let total = |level: usize| sum(&counts[level]);
        let all: [f64; 2] = (0..self.n).map(total).fold([0.0; 2], |sum, n| [sum[0] + n[0], sum[1] + n[1]]);
        let missing = self.n - 1;
        let candidates = (0..self.n).filter(|&level| self.is_code || level == missing);
        let fixing = candidates.filter_map(|level| {
            let n = total(level);
            let outcome = usize::from(n[1] > 0.0);
            let share = all[outcome] / (all[0] + all[1]);
            let is_fixed = n[1 - outcome] == 0.0 && n[outcome] > 0.0;
            let beyond_chance = n[outcome] * share.ln() < LEAK_CHANCE.ln();
            (is_fixed && beyond_chance && n[outcome] >= LEAK_SHARE * all[outcome])
                .then_some((level, n[outcome], outcome))
        });
        let (level, n_rows, outcome) = fixing.max_by(|a, b| a.1.total_cmp(&b.1))?;
        let level = match kind {
            _ if level == missing => None,
            CellKind::Category { levels, .. } => {
                Some(levels.get(level).cloned().unwrap_or_else(|| "(a rare level)".to_owned()))
            }
            CellKind::Boolean { yes, no } => Some(if level == 1 { yes.clone() } else { no.clone() }),
            CellKind::Number | CellKind::Time(_) => None,
        };
        Some(FixedOutcome { level, n_rows: n_rows as u64, outcome: outcome == 1 })
    }
}

/// Cuts between at most [`N_BINS`] bins of about equal count.
fn bounds(cells: &[f64]) -> Vec<f64> {
    let mut known: Vec<f64> = cells.iter().copied().filter(|cell| !cell.is_nan()).collect();
    known.sort_by(f64::total_cmp);
    let mut bounds: Vec<f64> =
        (1..N_BINS).filter_map(|bin| known.get(known.len() * bin / N_BINS)).copied().collect();
    bounds.dedup();
    bounds
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
