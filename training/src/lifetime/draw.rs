//! Customers drawn from the model itself: what the bootstrap fits again, and what tests hold the formulas against.

use nextbest_models::value::{BgNbd, PurchaseSummary};
#[cfg(test)]
use nextbest_models::value::{GammaGamma, SpendSummary};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution, Exp1, Gamma};

/// Most purchases of one customer; whoever would buy more often is cut off there.
const MAX_PURCHASES: u32 = 1_000_000;

/// The times of one customer's repeat purchases up to `end`, and whether they are still there then.
pub(super) fn times(model: &BgNbd, end: f64, rng: &mut ChaCha8Rng) -> (Vec<f64>, bool) {
    let [r, alpha, a, b] = model.parameters();
    // Parameters above 0 and finite make both distributions.
    let rate = Gamma::new(r, 1.0 / alpha).map_or(0.0, |gamma| gamma.sample(rng));
    let leaves = Beta::new(a, b).map_or(0.0, |beta| beta.sample(rng));
    let (mut now, mut times) = (0.0, Vec::new());
    for _ in 0..MAX_PURCHASES {
        let gap: f64 = Exp1.sample(rng);
        now += gap / rate;
        if now.is_nan() || now > end {
            return (times, true);
        }
        times.push(now);
        let chance: f64 = rand::RngExt::random(rng);
        if chance < leaves {
            return (times, false);
        }
    }
    (times, true)
}

/// One customer of age `age`.
pub(super) fn customer(model: &BgNbd, age: f64, rng: &mut ChaCha8Rng) -> Option<PurchaseSummary> {
    let (times, _) = times(model, age, rng);
    PurchaseSummary::new(times.len() as f64, times.last().copied().unwrap_or(0.0), age).ok()
}

/// The mean of `n` purchases of one customer: a sum of `n` gammas of one rate is one gamma.
#[cfg(test)]
pub(super) fn spend(model: &GammaGamma, n: f64, rng: &mut ChaCha8Rng) -> Option<SpendSummary> {
    let [p, q, v] = model.parameters();
    let rate = Gamma::new(q, 1.0 / v).ok()?.sample(rng);
    let sum = Gamma::new(p * n, 1.0 / rate).ok()?.sample(rng);
    SpendSummary::new(n, sum / n).ok()
}
