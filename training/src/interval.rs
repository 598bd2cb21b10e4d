//! How far a calibrated probability can be off: bounds that hold without a model of the calibration.
//!
//! Let c(s) be the share of outcomes among rows of margin s, and suppose only that c does not fall and that rows are
//! independent (one per customer). Of the m rows whose margins come next at or below s, each has the outcome with a
//! probability of at most c(s), so their number of outcomes is stochastically below Binomial(m, c(s)), and the one-sided
//! Clopper-Pearson bound (1934) from it lies below c(s) with the probability it claims. The m rows at or above s give
//! the upper bound. m depends on the number of rows alone, never on outcomes, so each interval covers c(s) with at
//! least [`LEVEL`], in samples of any size; it is wider than it had to be where c is steep. Taking m near n^(2/3)
//! balances that against chance, as for isotonic regression itself.
//!
//! What is covered is the share among rows of one score, pointwise; not the chance of a single customer given all that is
//! known of them, and not all margins at once. Margins out of fold stand in for those of the final model.

use nextbest_models::propensity::interval::{Knot, ProbabilityInterval};

/// The probability with which an interval covers.
pub const LEVEL: f64 = 0.9;
/// Most knots.
const N_KNOTS: usize = 64;

/// The band of `margins` (log-odds by models that did not see the rows) with their outcomes; `None` without rows.
#[must_use]
pub fn fit(margins: &[f64], outcomes: &[bool]) -> Option<ProbabilityInterval> {
    let mut rows: Vec<(f64, bool)> = margins.iter().copied().zip(outcomes.iter().copied()).collect();
    // Equal margins keep their order, which no outcome has a say in.
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let n = rows.len();
    let window = (n as f64).powf(2.0 / 3.0).ceil() as usize;
    let factorials = log_factorials(window);
    let mut knots: Vec<Knot> = Vec::new();
    for place in 0..N_KNOTS.min(n) {
        let margin = rows[place * (n - 1) / (N_KNOTS.min(n) - 1).max(1)].0;
        if knots.last().is_some_and(|last| last.margin >= margin) {
            continue;
        }
        let end = rows.partition_point(|row| row.0 <= margin);
        let start = rows.partition_point(|row| row.0 < margin);
        let below = &rows[end.saturating_sub(window)..end];
        let above = &rows[start..(start + window).min(n)];
        let n_positive = |rows: &[(f64, bool)]| rows.iter().filter(|row| row.1).count();
        let tail = 0.5 * (1.0 - LEVEL);
        let lo = lower_bound(n_positive(below), below.len(), tail, &factorials);
        // An upper bound on a share is one minus the lower bound on the other outcome's.
        let hi = 1.0 - lower_bound(above.len() - n_positive(above), above.len(), tail, &factorials);
        knots.push(Knot { margin, lo, hi });
    }
    ProbabilityInterval::new(LEVEL, &knots).ok()
}

/// The largest p at which `hits` or more of `n` are seen with a probability of at most `tail` (Clopper & Pearson 1934).
fn lower_bound(hits: usize, n: usize, tail: f64, log_factorials: &[f64]) -> f64 {
    if hits == 0 {
        return 0.0;
    }
    let (mut low, mut high) = (0.0, hits as f64 / n as f64);
    // Each halving gains a bit; 50 are more than a probability needs. The lower end is kept, which is the cautious one.
    for _ in 0..50 {
        let middle = 0.5 * (low + high);
        if upper_tail(hits, n, middle, log_factorials) <= tail { low = middle } else { high = middle }
    }
    low
}

/// P(X >= hits) of X ~ Binomial(n, p), for p below hits / n, where the terms fall.
fn upper_tail(hits: usize, n: usize, p: f64, log_factorials: &[f64]) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    let choose = log_factorials[n] - log_factorials[hits] - log_factorials[n - hits];
    let mut term = (choose + hits as f64 * p.ln() + (n - hits) as f64 * (-p).ln_1p()).exp();
    let mut sum = 0.0;
    for k in hits..=n {
        sum += term;
        if term < 1e-17 * sum {
            break;
        }
        term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
    }
    sum
}

fn log_factorials(n: usize) -> Vec<f64> {
    let mut logs = vec![0.0; n + 1];
    (1..=n).for_each(|k| logs[k] = logs[k - 1] + (k as f64).ln());
    logs
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextbest_models::units::Probability;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn clopper_pearson_holds_known_values() {
        let logs = log_factorials(20);
        // All of n: tail^(1/n). 1 of n: 1 - (1 - tail)^(1/n). Closed forms; the bisection errs by 2^-50.
        assert!((lower_bound(20, 20, 0.05, &logs) - 0.05_f64.powf(1.0 / 20.0)).abs() < 1e-12);
        assert!((lower_bound(1, 20, 0.05, &logs) - (1.0 - 0.95_f64.powf(1.0 / 20.0))).abs() < 1e-12);
        assert_eq!(lower_bound(0, 20, 0.05, &logs), 0.0);
    }

    fn truth(margin: f64) -> f64 {
        Probability::from_log_odds(0.7 * margin - 1.0).get()
    }

    #[test]
    fn the_truth_is_covered_as_often_as_promised() {
        const N_DRAWS: usize = 400;
        let mut rng = ChaCha8Rng::seed_from_u64(31);
        let asked = [-2.5, -1.0, 0.0, 1.3, 2.9];
        let (mut covered, mut width) = ([0_usize; 5], 0.0);
        for _ in 0..N_DRAWS {
            let margins: Vec<f64> = (0..2_000).map(|_| rng.random_range(-3.0..3.0)).collect();
            let outcomes: Vec<bool> = margins.iter().map(|&margin| rng.random_bool(truth(margin))).collect();
            let band = fit(&margins, &outcomes).unwrap();
            for (at, &margin) in asked.iter().enumerate() {
                let p = Probability::new(truth(margin)).unwrap();
                // Asked at the truth, the interval is widened to it: what is tested is whether it had to be.
                let (lo, hi) = band.around(margin, p);
                let inside = lo.get() < p.get() && p.get() < hi.get();
                covered[at] += usize::from(inside);
                width += (hi.get() - lo.get()) / (N_DRAWS * asked.len()) as f64;
            }
        }
        // At least 90 %, less four standard errors of a share of 400: .9 - 4 * sqrt(.09 / 400) = .84.
        assert!(covered.iter().all(|&n| n as f64 / N_DRAWS as f64 > 0.84), "{covered:?}");
        // And not by saying nothing. 159 rows on either side span 159 / 2000 * 6 = .48 of margin, over which the share moves
        // by .7 / 4 * .48 / 2 = .04 on average at most; to it comes 1.645 * sqrt(.25 / 159) = .065, and half a knot's
        // distance, .7 / 4 * 6 / 63 = .017: twice their sum is .25.
        assert!(width < 0.25, "{width}");
    }

    #[test]
    fn rows_of_one_margin_and_no_rows() {
        assert_eq!(fit(&[], &[]), None);
        let band = fit(&[0.5; 200], &(0..200).map(|k| k % 4 == 0).collect::<Vec<_>>()).unwrap();
        let (lo, hi) = band.around(0.5, Probability::new(0.25).unwrap());
        assert!(lo.get() > 0.05 && hi.get() < 0.5, "{lo:?} {hi:?}");
    }
}
