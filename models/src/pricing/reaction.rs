//! How a price follows recent demand and stock.
//!
//! **Demand.** With D = (units + k) / (expected units + k) over recent hours, weighted by a half-life, `ln D` moves the
//! logarithm x of what multiplies the price: `x' = x + g y`, `y' = (1 - a) y + a (e x + s)` for elasticity e < 0, a shock
//! s, and a weight a of the newest review. The matrix of this loop has trace `2 - a - g a |e|` and determinant `1 - a`; its
//! roots are real and positive, so that x goes to its end `s / |e|` without swinging about it, if and only if
//! `g <= (1 - sqrt(1 - a))^2 / (a |e|)` (for a = 1: `1 / |e|`). That is the bound of [`largest_gain`].
//!
//! **Stock.** A unit that is short has a price of its own, the bid price (Gallego & van Ryzin 1994): the one at which
//! what is there lasts until more comes. Stock that is to be cleared is worth the price at which it goes in time.

use super::rules::{DemandReaction, Terms};

/// Elasticities nearer to 0 react as this one does: the bound would grow without limit.
const LEAST_ELASTICITY: f64 = -0.5;

/// Units ordered of one SKU in recent hours, the newer the heavier.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RecentDemand {
    /// Sum of weighted units.
    pub units: f64,
    /// Sum of the weights of the hours looked at.
    pub hours: f64,
}

impl RecentDemand {
    /// Of `(hours ago, units)`, where hours without an order may be left out, over the last `n_hours`.
    #[must_use]
    pub fn of(counts: impl IntoIterator<Item = (u32, i64)>, n_hours: u32, half_life_hours: f64) -> Self {
        let weight = |ago: u32| (-f64::from(ago) / half_life_hours).exp2();
        let counted = counts.into_iter().filter(|(ago, _)| *ago < n_hours);
        let units = counted.map(|(ago, units)| weight(ago) * units as f64).sum();
        let hours = (1.0 - weight(n_hours)) / (1.0 - weight(1));
        Self { units, hours }
    }

    /// Recent over expected demand, `prior_units` expected units beside either.
    #[must_use]
    pub fn index(&self, units_per_week: f64, prior_units: f64) -> f64 {
        let expected = units_per_week * self.hours / 168.0;
        (self.units.max(0.0) + prior_units) / (expected + prior_units)
    }
}

/// The largest gain that does not make prices swing, for reviews `hours` apart.
#[must_use]
pub fn largest_gain(rules: &DemandReaction, hours: f64, elasticity: f64) -> f64 {
    let kept = (-hours / rules.half_life_hours).exp2();
    let newest = (1.0 - kept).max(1e-9);
    (1.0 - kept.sqrt()).powi(2) / (newest * -elasticity.min(LEAST_ELASTICITY))
}

/// The tilt after a review `hours` after the last, at demand of `index` times what is expected without a tilt.
#[must_use]
pub fn next_tilt(tilt: f64, index: f64, rules: &DemandReaction, hours: f64, elasticity: f64) -> f64 {
    let most = rules.max_tilt_ratio.ln_1p();
    let gain = rules.reaction * largest_gain(rules, hours, elasticity);
    (tilt + gain * index.max(f64::MIN_POSITIVE).ln()).clamp(-most, most)
}

/// The price, in minor units, that `stock` asks for instead of `price_minor`: higher where it would run out before more
/// comes, lower where it would not be cleared in time. `price_of` so many units a week is the price at which they go; none where
/// neither is asked or no demand is known.
#[must_use]
pub fn stock_price(
    price_of: impl Fn(f64) -> Option<f64>,
    terms: &Terms,
    stock: i64,
    price_minor: f64,
) -> Option<f64> {
    let within = |days: u32| price_of(stock.max(0) as f64 * 7.0 / f64::from(days));
    let scarce = terms.restock_days.and_then(within).filter(|price| *price > price_minor);
    scarce.or_else(|| terms.clear_within_days.and_then(within).filter(|price| *price < price_minor))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(half_life_hours: f64, reaction: f64) -> DemandReaction {
        DemandReaction { half_life_hours, reaction, max_tilt_ratio: 1.0, prior_units: 1e-3 }
    }

    /// The loop of this file, closed: demand answers to the price, the price to demand. The tilts, review by review.
    fn close(rules: &DemandReaction, gain_of: f64, hours: f64, elasticity: f64, shock: f64) -> Vec<f64> {
        let newest = 1.0 - (-hours / rules.half_life_hours).exp2();
        let gain = gain_of * largest_gain(rules, hours, elasticity);
        let (mut tilt, mut seen) = (0.0, 0.0);
        (0..4000)
            .map(|_| {
                seen += newest * (elasticity * tilt + shock - seen);
                tilt += gain * seen;
                tilt
            })
            .collect()
    }

    proptest! {
        /// At any strength up to the bound the tilt goes to where demand is as expected, never past it and never back.
        #[test]
        fn up_to_the_bound_prices_do_not_swing(
            half_life in 2.0..200.0f64, hours in 1.0..200.0f64, elasticity in -6.0..-0.5f64, reaction in 0.05..1.0f64,
            shock in 0.02..0.5f64,
        ) {
            let end = shock / -elasticity;
            let tilts = close(&rules(half_life, 1.0), reaction, hours, elasticity, shock);
            // Rounding of a sum of 4,000 terms below 1.
            prop_assert!(tilts.iter().all(|tilt| *tilt <= end + 1e-12));
            prop_assert!(tilts.windows(2).all(|pair| pair[1] >= pair[0] - 1e-12));
        }

        /// Half as strong again, and it swings past the end, if it is watched for long enough: the bound is sharp.
        #[test]
        fn beyond_the_bound_they_do(half_life in 20.0..60.0f64, hours in 12.0..60.0f64, elasticity in -6.0..-1.0f64) {
            let end = 0.3 / -elasticity;
            let tilts = close(&rules(half_life, 1.0), 1.5, hours, elasticity, 0.3);
            prop_assert!(tilts.iter().any(|tilt| *tilt > end * (1.0 + 1e-9)));
        }
    }

    #[test]
    fn few_orders_say_little_and_many_say_it() {
        let recent = RecentDemand::of([(0, 3), (5, 1), (500, 90)], 48, 24.0);
        assert!(
            (recent.units - (3.0 + (-5.0_f64 / 24.0).exp2())).abs() < 1e-12,
            "what is older does not count"
        );
        let all: f64 = (0..48).map(|ago| (-f64::from(ago) / 24.0).exp2()).sum();
        assert!((recent.hours - all).abs() < 1e-9);
        let expected = all / 168.0 * 10.0;
        assert!((recent.index(10.0, 5.0) - (recent.units + 5.0) / (expected + 5.0)).abs() < 1e-12);
        assert!((recent.index(10.0, 1e9) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn a_tilt_is_bounded_however_demand_runs() {
        let rules =
            DemandReaction { half_life_hours: 24.0, reaction: 1.0, max_tilt_ratio: 0.1, prior_units: 5.0 };
        let tilt = (0..1000).fold(0.0, |tilt, _| next_tilt(tilt, 1e6, &rules, 24.0, -2.0));
        assert!((tilt.exp() - 1.1).abs() < 1e-12);
    }
}
