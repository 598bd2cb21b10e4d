//! Intervals cover the truth as often as they promise. Of n samples a share of 95 % lies within five standard errors,
//! 5 sqrt(0.95 * 0.05 / n), unless it is another.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::measure::{Halves, Mean, Tries, net_promoters};
use super::*;

const N_SAMPLES: u32 = 2000;
/// Five standard errors of 95 % over [`N_SAMPLES`].
const CHANCE: f64 = 0.0244;

fn coverage(truth: f64, seed: u64, mut sample: impl FnMut(&mut ChaCha8Rng) -> Measure) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let inside = (0..N_SAMPLES).filter(|_| {
        let Bounded { lo, hi, value, .. } = sample(&mut rng).estimate.unwrap();
        assert!(lo <= value && value <= hi, "{lo} {value} {hi}");
        lo <= truth && truth <= hi
    });
    inside.count() as f64 / f64::from(N_SAMPLES)
}

/// The probability that Wilson's interval covers `p` in samples of `n`: the sum over all counts.
fn exact_coverage(p: f64, n: u64) -> f64 {
    let (mut term, mut sum) = ((1.0 - p).powi(n as i32), 0.0);
    for k in 0..=n {
        let Bounded { lo, hi, .. } = Measure::share(k, n, Code::NoCustomers).estimate.unwrap();
        sum += if lo <= p && p <= hi { term } else { 0.0 };
        term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
    }
    sum
}

#[test]
fn shares_cover_as_often_as_they_must() {
    for (p, n, seed) in [(0.05, 80, 1), (0.3, 60, 2), (0.5, 200, 3)] {
        let exact = exact_coverage(p, n);
        // Counts are whole, so that it is 95 % only about.
        assert!((exact - 0.95).abs() < 0.02, "{exact}");
        let found = coverage(p, seed, |rng| {
            let hits = (0..n).filter(|_| rng.random_bool(p)).count() as u64;
            Measure::share(hits, n, Code::NoCustomers)
        });
        let error = 5.0 * (exact * (1.0 - exact) / f64::from(N_SAMPLES)).sqrt();
        assert!((found - exact).abs() < error, "{p}: {found} {exact}");
    }
}

#[test]
fn medians_cover_at_least_as_often() {
    // Geometric numbers in half units: tied, skewed, of median 3.5 (half units 7, since 0.9^7 < 1/2 < 0.9^6).
    let geometric = |rng: &mut ChaCha8Rng| ((1.0 - rng.random::<f64>()).ln() / 0.9_f64.ln()).ceil() as u64;
    for (n, seed) in [(6, 4), (25, 5), (1500, 6)] {
        let found = coverage(3.5, seed, |rng| {
            let mut halves = Halves::default();
            (0..n).for_each(|_| halves.add(geometric(rng)));
            halves.median()
        });
        assert!(found > 0.95 - CHANCE, "{n}: {found}");
    }
}

#[test]
fn means_cover_once_there_are_enough() {
    // Skewed by 2, as an exponential is: by Edgeworth a sample of 400 loses some thousandths.
    let mean = 1.0 / (1.0 - 0.8);
    let found = coverage(mean, 7, |rng| {
        let mut numbers = Mean::default();
        (0..400).for_each(|_| numbers.add(((1.0 - rng.random::<f64>()).ln() / 0.8_f64.ln()).ceil() as u64));
        numbers.measure()
    });
    assert!((found - 0.95).abs() < CHANCE + 0.005, "{found}");
}

#[test]
fn net_promoter_scores_cover() {
    for (p, q, seed) in [(0.5, 0.2, 8), (0.1, 0.1, 9), (0.85, 0.05, 10)] {
        let found = coverage(100.0 * (p - q), seed, |rng| {
            let (mut promoters, mut detractors) = (0, 0);
            for _ in 0..100 {
                let u = rng.random::<f64>();
                promoters += u64::from(u < p);
                detractors += u64::from(u > 1.0 - q);
            }
            net_promoters(promoters, detractors, 100)
        });
        // Whole counts again: about 95 %, on the safe side for small shares.
        assert!((0.95 - CHANCE - 0.01..=0.99).contains(&found), "{p} {q}: {found}");
    }
}

#[test]
fn responses_cover_though_customers_differ() {
    // Each customer is contacted 1 to 12 times, and answers with a probability of their own: 10 % or 70 %.
    let mut naive = 0;
    let truth = 0.4;
    let found = coverage(truth, 11, |rng| {
        let (mut tries, mut all, mut hits) = (Tries::default(), 0, 0);
        for _ in 0..150 {
            let p = if rng.random_bool(0.5) { 0.1 } else { 0.7 };
            let n = rng.random_range(1..=12);
            let answered = (0..n).filter(|_| rng.random_bool(p)).count() as u64;
            tries.add(n, answered);
            all += n;
            hits += answered;
        }
        let Bounded { lo, hi, .. } = Measure::share(hits, all, Code::NoContacts).estimate.unwrap();
        naive += u32::from(lo <= truth && truth <= hi);
        tries.measure()
    });
    assert!((found - 0.95).abs() < CHANCE + 0.005, "{found}");
    let naive = f64::from(naive) / f64::from(N_SAMPLES);
    assert!(naive < 0.85, "taking contacts for customers would have been enough: {naive}");
}
