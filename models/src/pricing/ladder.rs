//! The ladder: admissible prices, what each is expected to bring, and which of them is chosen.
//!
//! Rungs stand evenly between the fixed bounds, rounded as prices are. Each carries its expected margin with the
//! uncertainty of the elasticity in it, and what it does to the other SKUs of the category where that was estimated. The
//! choice may explore: a lottery over the rungs that all guardrails admit, whose probabilities are sums, not estimates.

use serde::{Deserialize, Serialize};

use super::demand::DemandCurve;
use super::guardrail::Gate;
use super::rules::{Objective, PriceExploration, PricingRules, Rounding};
use crate::lottery::{Draws, N_VALUES, NORMAL};
use crate::units::{Probability, Seed};

/// Elasticities drawn above are taken as this: demand never rises with price.
const LEAST_ELASTICITY: f64 = -1e-3;

/// One price of the ladder and what it is expected to bring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// The price, in minor units.
    pub price_minor: i64,
    /// Probability that it is followed by a purchase when shown; none where no prices were shown.
    pub probability: Option<Probability>,
    /// Expected margin in minor units, less what the units take away from their category where margin is the objective; up to a
    /// factor common to all rungs: per price shown at the reference price where `probability` is known, else per unit that sells
    /// there. What demand and stock ask is not in it.
    pub expected_margin_minor: f64,
    /// Probability with which the policy chooses it; 0 for a rung that a guardrail shuts out.
    pub choice_probability: f64,
}

/// What rungs are valued by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Worth<'a> {
    /// Of the SKU's attraction beside its neighbours.
    pub(super) curve: &'a DemandCurve,
    pub(super) objective: Objective,
    /// Of one unit, in minor units.
    pub(super) cost_minor: f64,
    /// Beside the cost, what one unit sold takes away later: demand, stock. May be negative.
    pub(super) bid_minor: f64,
    /// What one unit sold takes away from its category.
    pub(super) taken_minor: f64,
}

impl Worth<'_> {
    /// Per unit that sells at the reference price, at a demand of `relative` times that.
    pub(super) fn at(&self, price_minor: i64, relative: f64) -> f64 {
        let bid = self.bid_minor + self.taken_minor;
        let unit = match self.objective {
            Objective::Margin => price_minor as f64 - self.cost_minor - bid,
            Objective::Revenue => price_minor as f64 - bid,
            Objective::Units => 1.0,
        };
        unit * relative
    }

    /// The rung of a price at which demand is `relative` to that at the reference price, where a price shown is followed by
    /// a purchase with probability `shown`, or by one unit.
    pub(super) fn rung(
        &self,
        price_minor: i64,
        relative: f64,
        shown: f64,
        probability: Option<Probability>,
    ) -> Rung {
        // Where revenue or units are to be most, what is taken away is no margin.
        let taken = if self.objective == Objective::Margin { self.taken_minor } else { 0.0 };
        let unit = price_minor as f64 - self.cost_minor - taken;
        let expected_margin_minor = shown * relative * unit;
        Rung { price_minor, probability, expected_margin_minor, choice_probability: 0.0 }
    }
}

/// The price of the most worth on a curve of constant elasticity e: of margin `cost e / (1 + e)` (Lerner 1934), the cost
/// raised by what a unit takes away elsewhere, and so of revenue by that alone. Infinite where a dearer price always brings
/// more: e >= -1.
pub(super) fn optimum(objective: Objective, elasticity: f64, cost_minor: f64, taken_minor: f64) -> f64 {
    let cost = match objective {
        Objective::Margin => cost_minor + taken_minor,
        Objective::Revenue => taken_minor,
        Objective::Units => return 1.0,
    };
    if elasticity < -1.0 { (cost * elasticity / (1.0 + elasticity)).max(1.0) } else { f64::INFINITY }
}

/// The rungs between the fixed bounds, ascending in price; `own` is the curve of the SKU by itself.
pub(super) fn ladder(worth: &Worth<'_>, own: &DemandCurve, fixed: &Gate, rules: &PricingRules) -> Vec<Rung> {
    let shown = own.base_probability.unwrap_or(1.0);
    let rung = |price| worth.rung(price, worth.curve.relative(price), shown, own.purchase_probability(price));
    prices(fixed.lowest_minor(), fixed.highest_minor(), rules).into_iter().map(rung).collect()
}

/// Prices evenly between `low` and `high`, rounded, without repeats. Where no rounded price is between, the unrounded.
#[must_use]
pub fn prices(low: i64, high: i64, rules: &PricingRules) -> Vec<i64> {
    let steps = i128::from(rules.n_rungs.max(2)) - 1;
    let even = (0..=steps).map(|at| {
        let offset = i128::from(high - low) * at / steps;
        low + i64::try_from(offset).unwrap_or(0)
    });
    let rounded = even.clone().filter_map(|price| nearest(rules.rounding, price, low, high));
    let mut prices: Vec<i64> = rounded.collect();
    if prices.is_empty() {
        prices = even.collect();
    }
    prices.dedup();
    prices
}

/// The rounded price nearest to `price` within the bounds, the lower of two.
pub(super) fn nearest(rounding: Rounding, price: i64, low: i64, high: i64) -> Option<i64> {
    let sides = [rounding.down(price), rounding.up(price)];
    sides.into_iter().filter(|side| (low..=high).contains(side)).min_by_key(|side| (side - price).abs())
}

/// The rung that was drawn and the one that is best, as places of `rungs`, whose choice probabilities are set; none
/// where the guardrails admit no rung.
pub(super) fn choose(
    rungs: &mut [Rung],
    worth: &Worth<'_>,
    gate: &Gate,
    exploration: PriceExploration,
    seed: Seed,
) -> Option<(usize, usize)> {
    let open = open(rungs, gate);
    let best = best(rungs, &open, |price| worth.at(price, worth.curve.relative(price)))?;
    let mut draws = Draws::new(seed);
    match exploration {
        PriceExploration::None => rungs[best].choice_probability = 1.0,
        PriceExploration::Epsilon { epsilon } => {
            open.iter().for_each(|&at| rungs[at].choice_probability = epsilon / open.len() as f64);
            rungs[best].choice_probability += 1.0 - epsilon;
        }
        PriceExploration::Thompson => {
            let belief = worth.curve.elasticity;
            for z in NORMAL {
                let drawn = (belief.value + belief.se * z).min(LEAST_ELASTICITY);
                let of = |price| worth.at(price, (drawn * worth.curve.log_ratio(price)).exp());
                if let Some(at) = self::best(rungs, &open, of) {
                    rungs[at].choice_probability += 1.0 / N_VALUES as f64;
                }
            }
        }
    }
    let probabilities: Vec<f64> = open.iter().map(|&at| rungs[at].choice_probability).collect();
    Some((open[draws.pick(&probabilities)], best))
}

/// The places of the rungs that all guardrails admit.
fn open(rungs: &[Rung], gate: &Gate) -> Vec<usize> {
    (0..rungs.len()).filter(|at| gate.admits(rungs[*at].price_minor)).collect()
}

/// The place of the highest worth among `open`, of equal ones the lowest price.
fn best(rungs: &[Rung], open: &[usize], worth: impl Fn(i64) -> f64) -> Option<usize> {
    let valued = open.iter().map(|&at| (at, worth(rungs[at].price_minor)));
    valued.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}
