//! Whether the judged rows look like those fitted on: the population stability index of every feature.
//!
//! PSI = sum over bins of (p - q) ln(p / q), with p and q the shares of the fitted and the judged rows in the bin: the
//! symmetric Kullback-Leibler divergence (Jeffreys 1946). Bins are tenths of the fitted rows for quantities, levels for
//! codes, and one for missing. Half a row is added to each bin, so that an empty one stays finite. Where nothing drifts,
//! PSI / (1/n + 1/m) follows chi-square with bins - 1 degrees of freedom, so it is about (bins - 1)(1/n + 1/m) by chance
//! (Yurdakul 2018); less where the same customers stand in both parts. PSI says that a feature moved, not that it matters.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Subject, code_of, drawn};
use crate::dataset::{ColumnKind, Dataset};
use crate::selection::Validation;

/// Most rows of either part.
pub(super) const MAX_ROWS: usize = 20_000;
/// Bins of quantities.
const N_BINS: usize = 10;
/// Levels with a bin of their own; the rest share one.
const N_LEVELS: usize = 20;
/// Standard deviations of the chance distribution above its mean from which a feature is said to have moved.
const BEYOND: f64 = 3.0;

/// Drift of all features.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Drift {
    /// Between the part fitted on and the part tested on.
    Measured {
        /// Rows of the fitted part looked at.
        n_fit: usize,
        /// Rows of the tested part looked at.
        n_test: usize,
        /// Those beyond chance first, then by falling index; ties in the order of the columns.
        features: Vec<FeatureDrift>,
    },
    /// Not measured.
    Omitted {
        /// `rows_in_folds`: fitted and judged rows are the same.
        code: &'static str,
    },
}

/// Drift of one feature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureDrift {
    /// Its name.
    pub feature: String,
    /// Population stability index.
    pub psi: f64,
    /// About what it would be by chance.
    pub by_chance: f64,
    /// Whether it exceeds that by over three standard deviations.
    pub beyond_chance: bool,
    /// Bins that hold rows.
    pub n_bins: usize,
    /// Share of fitted rows where it is missing.
    pub missing_fit: f64,
    /// Share of tested rows.
    pub missing_test: f64,
}

/// The drift between the parts of `subject`.
pub(super) fn measure(subject: &Subject<'_>) -> Drift {
    let Validation::InTime(parts) = subject.validation else {
        return Drift::Omitted { code: "rows_in_folds" };
    };
    let seed = subject.artifact.metadata().seed;
    let sampled = |n: usize, stream, row: &dyn Fn(usize) -> usize| -> Vec<usize> {
        drawn(n, MAX_ROWS, seed, stream).into_iter().map(row).collect()
    };
    let fit = sampled(parts.fit.rows.len(), 11, &|at| parts.fit.rows[at]);
    let test = sampled(subject.predictions.len(), 12, &|at| subject.predictions[at].row);
    let columns = 0..subject.dataset.columns().len();
    let mut features: Vec<FeatureDrift> =
        columns.map(|column| drift(subject.dataset, column, &fit, &test)).collect();
    features.sort_by(|a, b| b.beyond_chance.cmp(&a.beyond_chance).then(b.psi.total_cmp(&a.psi)));
    Drift::Measured { n_fit: fit.len(), n_test: test.len(), features }
}

fn drift(dataset: &Dataset, column: usize, fit: &[usize], test: &[usize]) -> FeatureDrift {
    let values = |rows: &[usize]| -> Vec<f64> { rows.iter().map(|&row| dataset.row(row)[column]).collect() };
    let (fit, test) = (values(fit), values(test));
    let about = &dataset.columns()[column];
    let bins = match about.kind {
        ColumnKind::Numeric => Bins::quantiles(&fit),
        ColumnKind::Code => Bins::levels(&fit),
    };
    let (fit, test) = (bins.counts(&fit), bins.counts(&test));
    let (psi, n_bins) = psi(&fit, &test);
    let (n_fit, n_test) = (fit.iter().sum::<usize>().max(1) as f64, test.iter().sum::<usize>().max(1) as f64);
    let (freedom, scale) = (n_bins.saturating_sub(1) as f64, 1.0 / n_fit + 1.0 / n_test);
    FeatureDrift {
        feature: about.name.clone(),
        psi,
        by_chance: freedom * scale,
        beyond_chance: psi > scale * (freedom + BEYOND * (2.0 * freedom).sqrt()),
        n_bins,
        missing_fit: fit[0] as f64 / n_fit,
        missing_test: test[0] as f64 / n_test,
    }
}

/// The index of two parts' counts by bin, and how many bins hold rows of either.
pub(super) fn psi(fit: &[usize], test: &[usize]) -> (f64, usize) {
    let held: Vec<(f64, f64)> = fit
        .iter()
        .zip(test)
        .filter(|(fit, test)| **fit + **test > 0)
        .map(|(&fit, &test)| (fit as f64 + 0.5, test as f64 + 0.5))
        .collect();
    let (n, m) = held.iter().fold((0.0, 0.0), |(n, m), (fit, test)| (n + fit, m + test));
    let term = |(fit, test): &(f64, f64)| (fit / n - test / m) * ((fit / n) / (test / m)).ln();
    (held.iter().map(term).sum(), held.len())
}

/// How values fall into bins; bin 0 is missing.
pub(super) enum Bins {
    /// Upper ends of all but the last bin, ascending.
    Quantiles(Vec<f64>),
    /// Bin by code; others share the last.
    Levels(BTreeMap<u64, usize>),
}

impl Bins {
    /// Tenths of the known `values`, fewer where many are equal; a bin for each where there are ten values at most.
    pub(super) fn quantiles(values: &[f64]) -> Self {
        let mut known: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
        known.sort_by(f64::total_cmp);
        let mut different = known.clone();
        different.dedup();
        let Some(highest) = different.pop() else { return Self::Quantiles(Vec::new()) };
        if different.len() < N_BINS {
            return Self::Quantiles(different);
        }
        let tenth = |bin: usize| known[(known.len() * bin / N_BINS).saturating_sub(1)];
        let mut ends: Vec<f64> = (1..N_BINS).map(tenth).filter(|end| *end < highest).collect();
        ends.dedup();
        // Where over nine tenths are the highest value, what lies below it has a bin all the same.
        let below = different.last().copied().filter(|_| ends.is_empty());
        Self::Quantiles(ends.into_iter().chain(below).collect())
    }

    /// The most frequent codes among `values`.
    fn levels(values: &[f64]) -> Self {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        values
            .iter()
            .filter_map(|&value| code_of(value))
            .for_each(|code| *counts.entry(code).or_default() += 1);
        let mut codes: Vec<(u64, usize)> = counts.into_iter().collect();
        codes.sort_by_key(|&(code, n)| (std::cmp::Reverse(n), code));
        Self::Levels(
            codes.into_iter().take(N_LEVELS).enumerate().map(|(at, (code, _))| (code, at + 1)).collect(),
        )
    }

    /// How many of `values` fall into each bin.
    pub(super) fn counts(&self, values: &[f64]) -> Vec<usize> {
        let n = match self {
            Self::Quantiles(ends) => ends.len() + 2,
            Self::Levels(bins) => bins.len() + 2,
        };
        let mut counts = vec![0; n];
        values.iter().for_each(|&value| counts[self.bin(value, n - 1)] += 1);
        counts
    }

    fn bin(&self, value: f64, last: usize) -> usize {
        match self {
            Self::Quantiles(_) if !value.is_finite() => 0,
            Self::Quantiles(ends) => 1 + ends.partition_point(|end| *end < value),
            Self::Levels(bins) => code_of(value).map_or(0, |code| bins.get(&code).copied().unwrap_or(last)),
        }
    }
}
