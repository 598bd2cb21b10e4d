//! Curves over all thresholds: precision and recall, gains and lift, and where the probabilities lie.
//!
//! Rows of equal probability cannot be told apart by a threshold, so they always enter a curve together.

use serde::Serialize;

use crate::metrics::{Estimate, wilson};

/// Points of a curve kept for the report.
const N_POINTS: usize = 200;
/// Parts of the gains.
const N_TENTHS: usize = 10;
/// Bars of the histogram.
const N_BARS: usize = 24;
/// Probabilities are drawn this far from 0 and 1: at log-odds of at most 9.2 either way.
const DRAWN_FLOOR: f64 = 1e-4;

/// The rows at or above one threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Above {
    /// The least probability among them.
    pub threshold: f64,
    /// How many.
    pub n: usize,
    /// Of these with the outcome.
    pub n_positive: usize,
}

/// Every threshold that tells rows apart, descending.
pub(super) fn thresholds(probabilities: &[f64], outcomes: &[bool]) -> Vec<Above> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
    let (mut found, mut n_positive) = (Vec::new(), 0);
    for (at, &row) in order.iter().enumerate() {
        n_positive += usize::from(outcomes[row]);
        if order.get(at + 1).is_none_or(|&next| probabilities[next] != probabilities[row]) {
            found.push(Above { threshold: probabilities[row], n: at + 1, n_positive });
        }
    }
    found
}

/// About [`N_POINTS`] of `all`, at even distances in rows; the last is always among them.
pub(super) fn thinned(all: &[Above]) -> Vec<Above> {
    let Some(last) = all.last() else { return Vec::new() };
    let step = (last.n / N_POINTS).max(1);
    let (mut kept, mut reached) = (Vec::new(), 0);
    for above in all {
        if above.n - reached >= step || above.n == last.n {
            kept.push(*above);
            reached = above.n;
        }
    }
    kept
}

/// The precision-recall curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PrecisionRecall {
    /// Sum over thresholds of (recall - recall before) x precision. Its standard error is that of a share among the rows
    /// with the outcome, sqrt(ap (1 - ap) / n) (Boyd, Eng & Page 2013), and rough where they are few. `None` without any.
    pub average_precision: Option<Estimate>,
    /// Precision by chance: the share of rows with the outcome.
    pub base_rate: f64,
    /// (recall, precision) by falling threshold, thinned.
    pub points: Vec<(f64, f64)>,
}

/// The precision-recall curve of `probabilities`.
pub(super) fn precision_recall(probabilities: &[f64], outcomes: &[bool]) -> PrecisionRecall {
    let all = thresholds(probabilities, outcomes);
    let n_positive = all.last().map_or(0, |last| last.n_positive);
    let n = n_positive.max(1) as f64;
    let precision = |above: &Above| above.n_positive as f64 / above.n as f64;
    let (mut value, mut before) = (0.0, 0);
    for above in &all {
        value += (above.n_positive - before) as f64 / n * precision(above);
        before = above.n_positive;
    }
    let se = (value * (1.0 - value).max(0.0) / n).sqrt();
    PrecisionRecall {
        average_precision: (n_positive > 0).then_some(Estimate { value, se }),
        base_rate: n_positive as f64 / outcomes.len().max(1) as f64,
        points: thinned(&all).iter().map(|above| (above.n_positive as f64 / n, precision(above))).collect(),
    }
}

/// A tenth of the rows by probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decile {
    /// Rows in it: a tenth, but rows of equal probability stay together.
    pub n: usize,
    /// Of these with the outcome.
    pub n_positive: usize,
    /// Their least probability.
    pub threshold: f64,
    /// Their share with the outcome.
    pub rate: f64,
    /// 95 % Wilson interval of that share: lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// The share over that of all rows; absent where no row has the outcome.
    pub lift: Option<f64>,
    /// Share of all rows that lie in this tenth or one before it.
    pub share_of_rows: f64,
    /// Share of all outcomes found in this tenth or one before it.
    pub share_of_positives: Option<f64>,
    /// Lift of this tenth and those before it together.
    pub cumulative_lift: Option<f64>,
}

/// Tenths of the rows, the highest probabilities first; fewer where many are equal.
pub(super) fn deciles(probabilities: &[f64], outcomes: &[bool]) -> Vec<Decile> {
    let all = thresholds(probabilities, outcomes);
    let Some(total) = all.last().copied() else { return Vec::new() };
    let (mut tenths, mut before) = (Vec::new(), (0, 0));
    for tenth in 1..=N_TENTHS {
        let wanted = total.n * tenth / N_TENTHS;
        let end = all[all.partition_point(|above| above.n < wanted).min(all.len() - 1)];
        if wanted > before.0 && end.n > before.0 {
            tenths.push(decile(before, end, total));
            before = (end.n, end.n_positive);
        }
    }
    tenths
}

fn decile((n_before, positive_before): (usize, usize), end: Above, total: Above) -> Decile {
    let (n, n_positive) = (end.n - n_before, end.n_positive - positive_before);
    let (lo, hi) = wilson(n_positive, n);
    let rate = n_positive as f64 / n as f64;
    let base_rate = total.n_positive as f64 / total.n as f64;
    let of_base = |share: f64| (total.n_positive > 0).then(|| share / base_rate);
    Decile {
        n,
        n_positive,
        threshold: end.threshold,
        rate,
        lo,
        hi,
        lift: of_base(rate),
        share_of_rows: end.n as f64 / total.n as f64,
        share_of_positives: (total.n_positive > 0).then(|| end.n_positive as f64 / total.n_positive as f64),
        cumulative_lift: of_base(end.n_positive as f64 / end.n as f64),
    }
}

/// How many rows have which log-odds, by outcome.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreHistogram {
    /// Log-odds of the calibrated probability at the ends of the bars, ascending, one more than there are bars. Probabilities
    /// below .0001 or above .9999 are drawn there.
    pub edges: Vec<f64>,
    /// Rows with the outcome in each bar.
    pub positives: Vec<usize>,
    /// Rows without.
    pub negatives: Vec<usize>,
}

/// The histogram of `probabilities` on the log-odds scale.
pub(super) fn histogram(probabilities: &[f64], outcomes: &[bool]) -> ScoreHistogram {
    let log_odds = |p: &f64| {
        let p = p.clamp(DRAWN_FLOOR, 1.0 - DRAWN_FLOOR);
        (p / (1.0 - p)).ln()
    };
    let margins: Vec<f64> = probabilities.iter().map(log_odds).collect();
    let lowest = margins.iter().copied().min_by(f64::total_cmp).unwrap_or(0.0);
    let highest = margins.iter().copied().max_by(f64::total_cmp).unwrap_or(0.0);
    // One score alone, which would have no width, stands in the middle.
    let (lowest, highest) = if highest > lowest { (lowest, highest) } else { (lowest - 0.5, lowest + 0.5) };
    let width = (highest - lowest) / N_BARS as f64;
    let mut bars = [vec![0; N_BARS], vec![0; N_BARS]];
    for (margin, &outcome) in margins.iter().zip(outcomes) {
        let bar = (((margin - lowest) / width) as usize).min(N_BARS - 1);
        bars[usize::from(outcome)][bar] += 1;
    }
    let [negatives, positives] = bars;
    let edges = (0..=N_BARS).map(|bar| lowest + width * bar as f64).collect();
    ScoreHistogram { edges, positives, negatives }
}
