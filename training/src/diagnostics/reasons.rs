//! Which features count, and whether they count alike elsewhere: by the sealed model's own exact contributions.
//!
//! Importance of a feature = mean over rows of |what it adds to the log-odds| (exact TreeSHAP or linear). Stability
//! compares the ranking by it between two groups of rows: those fitted on against those tested on where parts lie apart
//! in time, else two random halves of the judged rows. Intervals come from resampling rows of both groups. Resampling
//! adds the noise that it measures, so an interval can lie below its value: it is rather too cautious than too bold.

use nextbest_models::propensity::{PropensityModel, ReasonSource, Scratch};
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use super::{Subject, drawn, random};
use crate::dataset::Dataset;
use crate::metrics::{Estimate, mean, midranks};
use crate::selection::Validation;

/// Most rows of each group.
const MAX_ROWS: usize = 4_000;
/// Most contributions held of each group: wide tables take fewer rows.
const MAX_CELLS: usize = 4_000_000;
/// Features shown, and those whose ranks are compared.
const N_SHOWN: usize = 20;
/// Features whose overlap is told.
const N_TOP: usize = 5;
/// Resamples behind an interval.
const N_RESAMPLES: usize = 200;
/// Rows a thread explains at a time.
const TOGETHER: usize = 64;

/// How much one feature counts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FeatureImportance {
    /// Its name.
    pub feature: String,
    /// Its place among the features.
    #[serde(skip)]
    pub(super) column: usize,
    /// Mean |contribution|, in log-odds.
    pub mean_abs: Estimate,
    /// Its share of the sum over all features.
    pub share: f64,
}

/// Which features count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    /// Whose contributions they are.
    pub source: ReasonSource,
    /// Judged rows they were computed for.
    pub n_rows: usize,
    /// Features with a contribution other than 0.
    pub n_used: usize,
    /// The strongest, at most 20.
    pub features: Vec<FeatureImportance>,
}

/// A number with a 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The number.
    pub value: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// Whether the same features count in two groups of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stability {
    /// `fit_and_test` or `random_halves`.
    pub groups: &'static str,
    /// Rows of each.
    pub n_rows: [usize; 2],
    /// Features whose ranks are compared: the strongest of the judged rows.
    pub n_features: usize,
    /// Spearman's correlation of their mean |contributions|; absent with fewer than three features.
    pub rank_correlation: Option<Interval>,
    /// Share of the five strongest of one group that are among those of the other; absent with no more than five features.
    pub top_overlap: Option<Interval>,
}

/// Importance on the judged rows, and its stability.
pub(super) fn measure(subject: &Subject<'_>) -> (Importance, Stability) {
    let (groups, rows) = groups(subject);
    let width = subject.dataset.columns().len();
    let magnitudes = rows.each_ref().map(|rows| magnitudes(subject.model, subject.dataset, rows));
    // Halves are both judged; of parts in time, only the second is.
    let judged: Vec<&[f64]> = match groups {
        "random_halves" => magnitudes.iter().flat_map(|group| group.chunks_exact(width)).collect(),
        _ => magnitudes[1].chunks_exact(width).collect(),
    };
    let mut importance = rank(subject, &judged);
    let strongest: Vec<usize> = importance.features.iter().take(N_SHOWN).map(|one| one.column).collect();
    let taken = magnitudes.each_ref().map(|group| -> Vec<Vec<f64>> {
        group.chunks_exact(width).map(|row| strongest.iter().map(|&at| row[at]).collect()).collect()
    });
    let mut rng = random(subject.artifact.metadata().seed, 23);
    let mut resampled: Vec<[Vec<f64>; 2]> = Vec::new();
    for _ in 0..N_RESAMPLES {
        resampled.push(taken.each_ref().map(|rows| {
            let drawn = (0..rows.len()).map(|_| &rows[rng.random_range(0..rows.len())]);
            sums(drawn, strongest.len())
        }));
    }
    let whole = taken.each_ref().map(|rows| sums(rows.iter(), strongest.len()));
    let interval = |of: fn(&[f64], &[f64]) -> f64| {
        interval(of(&whole[0], &whole[1]), resampled.iter().map(|[a, b]| of(a, b)).collect())
    };
    let known = rows.iter().all(|rows| !rows.is_empty());
    importance.features.truncate(N_SHOWN);
    let stability = Stability {
        groups,
        n_rows: rows.each_ref().map(Vec::len),
        n_features: strongest.len(),
        rank_correlation: (known && strongest.len() > 2).then(|| interval(spearman)),
        top_overlap: (known && strongest.len() > N_TOP).then(|| interval(overlap)),
    };
    (importance, stability)
}

/// The rows of the two groups, and what they are.
fn groups(subject: &Subject<'_>) -> (&'static str, [Vec<usize>; 2]) {
    let seed = subject.artifact.metadata().seed;
    let most = MAX_ROWS.min(MAX_CELLS / subject.dataset.columns().len().max(1)).max(1);
    let judged = |most, stream| -> Vec<usize> {
        let places = drawn(subject.predictions.len(), most, seed, stream);
        places.into_iter().map(|at| subject.predictions[at].row).collect()
    };
    match subject.validation {
        Validation::InTime(parts) => {
            let fit = drawn(parts.fit.rows.len(), most, seed, 21);
            let fit = fit.into_iter().map(|at| parts.fit.rows[at]).collect();
            ("fit_and_test", [fit, judged(most, 22)])
        }
        Validation::Folds { .. } => {
            let mut first = judged(2 * most, 22);
            let second = first.split_off(first.len() / 2);
            ("random_halves", [first, second])
        }
    }
}

/// The |contributions| of every feature to each of `rows`, row after row.
fn magnitudes(model: &PropensityModel, dataset: &Dataset, rows: &[usize]) -> Vec<f64> {
    let width = dataset.columns().len();
    let mut cells = vec![0.0; rows.len() * width];
    let together = cells.par_chunks_mut(width * TOGETHER).zip(rows.par_chunks(TOGETHER));
    together.for_each_init(Scratch::default, |scratch, (cells, rows)| {
        for (cells, &row) in cells.chunks_exact_mut(width).zip(rows) {
            model.score_with_contributions(dataset.row(row), cells, scratch);
            cells.iter_mut().for_each(|cell| *cell = cell.abs());
        }
    });
    cells
}

/// All features that contribute, the strongest first; ties in the order of the columns.
fn rank(subject: &Subject<'_>, rows: &[&[f64]]) -> Importance {
    let columns = subject.dataset.columns();
    let of = |column: usize| mean(&rows.iter().map(|row| row[column]).collect::<Vec<_>>());
    let estimates: Vec<Estimate> = (0..columns.len()).map(of).collect();
    let total: f64 = estimates.iter().map(|estimate| estimate.value).sum();
    let mut features: Vec<FeatureImportance> = columns
        .iter()
        .zip(&estimates)
        .enumerate()
        .filter(|(_, (_, mean_abs))| mean_abs.value > 0.0)
        .map(|(at, (column, &mean_abs))| FeatureImportance {
            feature: column.name.clone(),
            column: at,
            mean_abs,
            share: mean_abs.value / total,
        })
        .collect();
    features.sort_by(|a, b| b.mean_abs.value.total_cmp(&a.mean_abs.value));
    let first = subject.predictions.first().map_or(0, |prediction| prediction.row);
    let source = subject.model.explain(subject.dataset.row(first)).source;
    Importance { source, n_rows: rows.len(), n_used: features.len(), features }
}

fn sums<'a>(rows: impl Iterator<Item = &'a Vec<f64>>, width: usize) -> Vec<f64> {
    let mut sums = vec![0.0; width];
    rows.for_each(|row| sums.iter_mut().zip(row).for_each(|(sum, cell)| *sum += cell));
    sums
}

/// Spearman's rank correlation, ties by midranks (Pearson's of the ranks); 0 where one side does not vary.
pub(super) fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (midranks(a), midranks(b));
    let middle = 0.5 * (a.len() as f64 + 1.0);
    let product =
        |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - middle) * (y - middle)).sum() };
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    if scale > 0.0 { product(&a, &b) / scale } else { 0.0 }
}

/// Share of the five largest of `a` that are among the five largest of `b`.
pub(super) fn overlap(a: &[f64], b: &[f64]) -> f64 {
    let top = |values: &[f64]| -> Vec<usize> {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&x, &y| values[y].total_cmp(&values[x]));
        order.truncate(N_TOP);
        order
    };
    let (a, b) = (top(a), top(b));
    a.iter().filter(|at| b.contains(at)).count() as f64 / N_TOP as f64
}

/// `value` between the 2.5 % and 97.5 % points of `resampled`.
fn interval(value: f64, mut resampled: Vec<f64>) -> Interval {
    resampled.sort_by(f64::total_cmp);
    let last = resampled.len().saturating_sub(1);
    let point = |share: f64| resampled.get((share * last as f64).round() as usize).copied().unwrap_or(value);
    Interval { value, lo: point(0.025), hi: point(0.975) }
}
