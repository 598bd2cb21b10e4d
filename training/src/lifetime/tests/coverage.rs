//! 95 % intervals cover the truth as often as they promise, over 1,000 cohorts drawn with known parameters.

use super::*;

const N_RUNS: u64 = 1_000;

/// The share of 1,000 runs whose interval holds the truth has a standard error of sqrt(.95 * .05 / 1000) = .0069 where it
/// is 95 %: 93 to 97 % is three of them either way.
#[test]
fn intervals_cover_the_truth() {
    let truth = BgNbd::new(0.8, 6.0, 1.2, 3.0).unwrap();
    let (mut covered, mut n_found) = ([0_u32; 4], 0_u32);
    for run in 0..N_RUNS {
        let drawn = cohort(&truth, 2_000, 10_000 + run);
        let grouped = grouped::purchases(drawn.iter());
        let found = optimum::find(&grouped, grouped.n, [0.0, 1.0, 0.0, 0.0]).unwrap();
        n_found += 1;
        for ((interval, truth), covered) in
            found.intervals().into_iter().zip(truth.parameters()).zip(&mut covered)
        {
            *covered += u32::from(interval.lo <= truth && truth <= interval.hi);
        }
    }
    let shares = covered.map(|n| f64::from(n) / f64::from(n_found));
    eprintln!("r, alpha, a, b: {shares:?} of {n_found}");
    assert!(shares.iter().all(|share| (0.93..=0.97).contains(share)), "{shares:?}");
}
