//! The parametric bootstrap: customers drawn from the fitted model, of the ages there were, and fitted again.

use nextbest_models::units::Seed;
use nextbest_models::value::BgNbd;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::report::{Bootstrap, PurchaseParameters};
use super::{draw, grouped, optimum};
use crate::elasticity::Interval;

/// Intervals by the 2.5 % and 97.5 % points of `n_runs` refits (Efron and Tibshirani 1993, chapter 13); none where fewer
/// than 40 found a top, since no such point exists below that. Each run has a stream of its own, so that no order
/// of threads matters.
pub(super) fn run(model: &BgNbd, ages: &[f64], n_runs: usize, seed: Seed) -> Option<Bootstrap> {
    let start = model.parameters().map(f64::ln);
    let refit = |run: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed.0);
        rng.set_stream(run as u64);
        let drawn: Vec<_> = ages.iter().filter_map(|age| draw::customer(model, *age, &mut rng)).collect();
        let grouped = grouped::purchases(drawn.iter());
        optimum::find(&grouped, grouped.n, start).ok().map(|found| found.parameters())
    };
    let found: Vec<[f64; 4]> = (0..n_runs).into_par_iter().filter_map(refit).collect();
    if found.len() < 40 {
        return None;
    }
    let intervals =
        std::array::from_fn(|at| percentiles(model.parameters()[at], found.iter().map(|one| one[at])));
    Some(Bootstrap { n_runs, n_failed: n_runs - found.len(), parameters: PurchaseParameters::of(intervals) })
}

fn percentiles(value: f64, found: impl Iterator<Item = f64>) -> Interval {
    let mut found: Vec<f64> = found.collect();
    found.sort_by(f64::total_cmp);
    let n = found.len() as f64;
    let at = |share: f64| found[((share * n).ceil() as usize).clamp(1, found.len()) - 1];
    let mean = found.iter().sum::<f64>() / n;
    let variance = found.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / (n - 1.0);
    Interval { value, se: variance.sqrt(), lo: at(0.025), hi: at(0.975) }
}
