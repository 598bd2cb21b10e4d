//! How good probabilities are: ranking, sharpness, calibration, each with what is known of its error.
//!
//! All functions take outcomes beside probabilities in 0 ..= 1, row by row, and assume rows are independent (one row
//! per customer: one cut-off). Rows that share a customer make every standard error here too small.

use serde::Serialize;

/// A number with its standard error.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
}

/// Probabilities are held this far from 0 and 1 in the logarithm of the loss.
pub const LOSS_FLOOR: f64 = 1e-12;
/// Bins of the calibration error: of equal count, by probability.
pub const CALIBRATION_BINS: usize = 10;

/// Area under the ROC curve: the probability that a row with the outcome is scored above one without, ties half.
///
/// Mann-Whitney by midranks; standard error by DeLong, DeLong & Clarke-Pearson (1988) in the form of Sun & Xu (2014).
/// `None` where one outcome is absent.
#[must_use]
pub fn auc(scores: &[f64], outcomes: &[bool]) -> Option<Estimate> {
    let pick = |wanted: bool| -> Vec<f64> {
        scores.iter().zip(outcomes).filter(|(_, outcome)| **outcome == wanted).map(|(s, _)| *s).collect()
    };
    let (positive, negative) = (pick(true), pick(false));
    let (m, n) = (positive.len() as f64, negative.len() as f64);
    if positive.is_empty() || negative.is_empty() {
        return None;
    }
    let all: Vec<f64> = positive.iter().chain(&negative).copied().collect();
    let (ranks, own_p, own_n) = (midranks(&all), midranks(&positive), midranks(&negative));
    let place_p: Vec<f64> = (0..positive.len()).map(|at| (ranks[at] - own_p[at]) / n).collect();
    let place_n: Vec<f64> =
        (0..negative.len()).map(|at| 1.0 - (ranks[positive.len() + at] - own_n[at]) / m).collect();
    let value = place_p.iter().sum::<f64>() / m;
    Some(Estimate { value, se: (variance(&place_p) / m + variance(&place_n) / n).sqrt() })
}

/// Ranks from 1, equal numbers sharing the mean of theirs.
pub(crate) fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    while start < order.len() {
        let same = order[start..].iter().take_while(|&&at| values[at] == values[order[start]]).count();
        let rank = start as f64 + (same as f64 + 1.0) / 2.0;
        order[start..start + same].iter().for_each(|&at| ranks[at] = rank);
        start += same;
    }
    ranks
}

/// Mean and standard error of one number per row.
#[must_use]
pub fn mean(values: &[f64]) -> Estimate {
    let n = values.len().max(1) as f64;
    Estimate { value: values.iter().sum::<f64>() / n, se: (variance(values) / n).sqrt() }
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    if n < 2.0 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0)
}

/// Minus the logarithm of the probability each row gave to what happened, in nats.
#[must_use]
pub fn losses(probabilities: &[f64], outcomes: &[bool]) -> Vec<f64> {
    let of = |(&p, &outcome): (&f64, &bool)| -(if outcome { p } else { 1.0 - p }).max(LOSS_FLOOR).ln();
    probabilities.iter().zip(outcomes).map(of).collect()
}

/// Mean squared difference between probability and outcome (Brier 1950).
#[must_use]
pub fn brier(probabilities: &[f64], outcomes: &[bool]) -> Estimate {
    let of = |(&p, &outcome): (&f64, &bool)| (p - f64::from(u8::from(outcome))).powi(2);
    mean(&probabilities.iter().zip(outcomes).map(of).collect::<Vec<_>>())
}

/// A bin of the calibration plot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CalibrationBin {
    /// Rows in it.
    pub n: usize,
    /// Their mean probability.
    pub predicted: f64,
    /// Their share of outcomes.
    pub observed: f64,
    /// 95 % Wilson interval of that share: lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// At most [`CALIBRATION_BINS`] bins of equal count by probability; equal probabilities are kept in one bin.
#[must_use]
pub fn calibration_bins(probabilities: &[f64], outcomes: &[bool]) -> Vec<CalibrationBin> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|&a, &b| probabilities[a].total_cmp(&probabilities[b]));
    let (mut bins, mut start) = (Vec::new(), 0);
    for bin in 1..=CALIBRATION_BINS {
        let mut end = (order.len() * bin / CALIBRATION_BINS).max(start);
        while end > start && end < order.len() && probabilities[order[end]] == probabilities[order[end - 1]] {
            end += 1;
        }
        let rows = &order[start..end];
        if !rows.is_empty() {
            let n = rows.len() as f64;
            let predicted = rows.iter().map(|&at| probabilities[at]).sum::<f64>() / n;
            let n_positive = rows.iter().filter(|&&at| outcomes[at]).count();
            let (lo, hi) = wilson(n_positive, rows.len());
            bins.push(CalibrationBin { n: rows.len(), predicted, observed: n_positive as f64 / n, lo, hi });
        }
        start = end;
    }
    bins
}

/// The 95 % score interval of a share (Wilson 1927).
#[must_use]
pub fn wilson(n_positive: usize, n: usize) -> (f64, f64) {
    const Z: f64 = 1.959_964;
    if n == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (n as f64, n_positive as f64 / n as f64);
    let (middle, width) = (p + Z * Z / (2.0 * n), Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt());
    let scale = 1.0 + Z * Z / n;
    (((middle - width) / scale).max(0.0), ((middle + width) / scale).min(1.0))
}

/// Expected calibration error: over `bins`, the mean distance of predicted and observed, weighted by rows; and the
/// value it would have by chance alone were the probabilities exact: `sum of n_b/n * sqrt(2 p (1 - p) / (pi n_b))`.
/// The error is biased upwards by about that much, so one near it is none.
#[must_use]
pub fn calibration_error(bins: &[CalibrationBin]) -> (f64, f64) {
    let n: usize = bins.iter().map(|bin| bin.n).sum();
    let weighted = |of: fn(&CalibrationBin) -> f64| {
        bins.iter().map(|bin| bin.n as f64 * of(bin)).sum::<f64>() / n.max(1) as f64
    };
    let chance = |bin: &CalibrationBin| {
        (2.0 * bin.predicted * (1.0 - bin.predicted) / (std::f64::consts::PI * bin.n as f64)).sqrt()
    };
    (weighted(|bin| (bin.predicted - bin.observed).abs()), weighted(chance))
}

/// Corners of the ROC curve, from (0, 0) to (1, 1): share of rows without the outcome, and with it, scored at least
/// as high as a threshold; at most about `max_points`.
#[must_use]
pub fn roc(scores: &[f64], outcomes: &[bool], max_points: usize) -> Vec<(f64, f64)> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let n_positive = outcomes.iter().filter(|outcome| **outcome).count();
    let (np, nn) = (n_positive.max(1) as f64, (outcomes.len() - n_positive).max(1) as f64);
    let step = (order.len() / max_points.max(1)).max(1);
    let (mut points, mut hits, mut misses, mut last) = (vec![(0.0, 0.0)], 0.0, 0.0, 0);
    for (at, &row) in order.iter().enumerate() {
        *(if outcomes[row] { &mut hits } else { &mut misses }) += 1.0;
        let ends = order.get(at + 1).is_none_or(|&next| scores[next] != scores[row]);
        if ends && (at + 1 - last >= step || at + 1 == order.len()) {
            points.push((misses / nn, hits / np));
            last = at + 1;
        }
    }
    points
}

/// Everything the report says of one set of probabilities.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Rows.
    pub n: usize,
    /// Rows with the outcome.
    pub n_positive: usize,
    /// Their share.
    pub base_rate: f64,
    /// Ranking.
    pub auc: Option<Estimate>,
    /// Mean negative log-likelihood, in nats.
    pub log_loss: Estimate,
    /// Mean squared error.
    pub brier: Estimate,
    /// Expected calibration error over [`CALIBRATION_BINS`] bins of equal count.
    pub calibration_error: f64,
    /// What it would be by chance were the probabilities exact.
    pub calibration_error_by_chance: f64,
}

/// The quality of `probabilities`.
#[must_use]
pub fn quality(probabilities: &[f64], outcomes: &[bool]) -> Quality {
    let n_positive = outcomes.iter().filter(|outcome| **outcome).count();
    let (error, by_chance) = calibration_error(&calibration_bins(probabilities, outcomes));
    Quality {
        n: outcomes.len(),
        n_positive,
        base_rate: n_positive as f64 / outcomes.len().max(1) as f64,
        auc: auc(probabilities, outcomes),
        log_loss: mean(&losses(probabilities, outcomes)),
        brier: brier(probabilities, outcomes),
        calibration_error: error,
        calibration_error_by_chance: by_chance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn auc_counts_pairs_and_halves_ties() {
        let (scores, outcomes) = ([0.1, 0.4, 0.4, 0.8], [false, true, false, true]);
        // Pairs: .4>.1, .4=.4 (half), .8>.1, .8>.4: 3.5 of 4.
        assert!((auc(&scores, &outcomes).unwrap().value - 3.5 / 4.0).abs() < 1e-15);
        assert_eq!(auc(&scores, &[true; 4]), None);
    }

    #[test]
    fn delong_matches_its_definition() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let scores: Vec<f64> = (0..80).map(|_| f64::from(rng.random_range(0..20_u32))).collect();
        let outcomes: Vec<bool> = (0..80).map(|at| at % 3 == 0).collect();
        let pick = |wanted| -> Vec<f64> {
            scores.iter().zip(&outcomes).filter(|(_, o)| **o == wanted).map(|(s, _)| *s).collect()
        };
        let (p, n) = (pick(true), pick(false));
        let wins = |a: f64, b: f64| if a > b { 1.0 } else { 0.5 * f64::from(u8::from(a == b)) };
        let of = |x: &[f64], y: &[f64], f: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            x.iter().map(|a| y.iter().map(|b| f(*a, *b)).sum::<f64>() / y.len() as f64).collect()
        };
        let (v10, v01) = (of(&p, &n, &wins), of(&n, &p, &|b, a| wins(a, b)));
        let se = (variance(&v10) / p.len() as f64 + variance(&v01) / n.len() as f64).sqrt();
        let found = auc(&scores, &outcomes).unwrap();
        assert!((found.se - se).abs() < 1e-12 && (found.value - mean(&v10).value).abs() < 1e-12);
    }

    #[test]
    fn losses_of_known_probabilities() {
        let loss = mean(&losses(&[0.5, 0.5], &[true, false]));
        assert!((loss.value - 2.0_f64.ln()).abs() < 1e-15 && loss.se == 0.0);
        assert!(losses(&[0.0], &[true])[0].is_finite());
        assert!((brier(&[0.2, 0.6], &[false, true]).value - (0.04 + 0.16) / 2.0).abs() < 1e-15);
    }

    #[test]
    fn exact_probabilities_have_only_chance_error() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let p: Vec<f64> = (0..20_000).map(|_| rng.random_range(0.05..0.6)).collect();
        let y: Vec<bool> = p.iter().map(|&p| rng.random_bool(p)).collect();
        let (error, chance) = calibration_error(&calibration_bins(&p, &y));
        // Ten half-normal terms: mean `chance`, standard deviation chance * sqrt(pi/2 - 1) / sqrt(10) = 0.24 chance.
        assert!((error - chance).abs() < 4.0 * 0.24 * chance, "{error} {chance}");
    }

    #[test]
    fn wilson_holds_known_values() {
        // 8 of 10: 0.490 to 0.943 (Newcombe 1998, method 3).
        let (lo, hi) = wilson(8, 10);
        assert!((lo - 0.4902).abs() < 5e-5 && (hi - 0.9433).abs() < 5e-5, "{lo} {hi}");
    }

    #[test]
    fn roc_runs_from_corner_to_corner() {
        let points = roc(&[0.9, 0.8, 0.8, 0.1], &[true, false, true, false], 100);
        assert_eq!(points, [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]);
    }
}
