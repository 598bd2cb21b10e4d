//! One small shop through the loop: everybody within the guardrails, nobody above the oracle, and prices that do not swing.

use std::sync::OnceLock;

use nextbest_models::pricing::demand::seal;
use nextbest_models::pricing::rules::DemandReaction;
use nextbest_models::pricing::{Demand, DemandLevel, PricingRules};
use nextbest_models::units::Seed;

use super::*;
use crate::simulate::DEFAULT_START;

/// The example's rules, with a week between reviews.
fn rules() -> PricingRules {
    let text = include_str!("../../../examples/shop/pricing.toml");
    let text = text.replace("cool_down_hours = 24 ", "cool_down_hours = 168 ");
    let rules = PricingRules::parse(&text).unwrap();
    assert_eq!(rules.default.max_step_ratio, Some(0.15), "the example's line reads as expected");
    rules
}

fn round() -> &'static Round {
    static ROUND: OnceLock<Round> = OnceLock::new();
    ROUND.get_or_init(|| {
        let options = Options::new(6_000, 364, Seed(1), DEFAULT_START.parse().unwrap()).unwrap();
        Round::new(&options, "GBP".parse().unwrap(), rules()).unwrap()
    })
}

/// Told the true slopes, the policy's own law (one slope for all buyers of a SKU) and its largest step cost it less than a tenth of
/// what the oracle gains; left to a log of 6,000 customers it still ends between list prices and that.
#[test]
fn the_policy_gains_and_nobody_beats_the_oracle() {
    let round = round();
    let settled = |arm| round.outcome(arm, &round.prices(arm).unwrap()).settled_minor;
    let [list, told, best] = [Arm::List, Arm::Told, Arm::Oracle].map(settled);
    for arm in Arm::ALL {
        assert!(settled(arm) <= best * (1.0 + 1e-12), "{arm:?}");
    }
    assert!(told - list > 0.9 * (best - list), "{list} {told} {best}");
    let mine = settled(Arm::Policy);
    assert!(mine > list && mine > settled(Arm::WithoutCross), "{list} {mine} {best}");
}

#[test]
fn every_review_stays_within_the_guardrails() {
    let round = round();
    for arm in [Arm::Policy, Arm::Exploring] {
        let mut before = round.truth.list();
        for prices in round.prices(arm).unwrap() {
            for (sku, price) in prices.iter().enumerate() {
                let (last, list) = (before[sku], round.truth.skus[sku].list_price_minor);
                assert!(round.allowed[sku].contains(price) || *price == list, "{arm:?} {price}");
                // A step is rounded to a whole minor unit.
                let most = (last as f64 * 0.15).round() as i64 + 1;
                assert!((price - last).abs() <= most, "{arm:?} {last} {price}");
                assert!((*price - round.truth.skus[sku].cost_minor) as f64 >= 0.05 * *price as f64 - 1.0);
            }
            before = prices;
        }
    }
}

/// Times the customers in the test of the loop: some thirty units a day and SKU.
const SCALE: f64 = 30.0;

/// A reaction of full strength follows demand and does not swing: moves take the last one back no more often than by chance
/// (a half of the pairs, 4 standard deviations of a fair coin), and prices vary no more late than early (by more than
/// what 60 SKUs' variances, each of some 8 independent fortnights, may differ by chance: 4 sqrt(2 / (60 * 8)) = 0.26 in
/// logarithm for either half).
#[test]
fn prices_that_follow_demand_do_not_swing() {
    let told = round().told(SCALE).unwrap();
    let mut alone = told.clone();
    alone.report.records.retain(|record| record.level != DemandLevel::Cross);
    alone.sealed = seal(alone.report.records.clone()).unwrap();
    [told, alone].iter().for_each(follow_and_do_not_swing);
}

fn follow_and_do_not_swing(told: &TrainedDemand) {
    let round = round();
    let demand = opened(told).unwrap().unwrap();
    let mut rules = rules();
    rules.rounding = nextbest_models::pricing::Rounding::None;
    rules.n_rungs = 200;
    rules.skus.iter_mut().for_each(|sku| {
        (sku.terms.max_step_ratio, sku.terms.cool_down_hours) = (None, Some(24));
        (sku.terms.floor_ratio, sku.terms.ceiling_ratio) = (0.5, 2.0);
        // The cost at which, by Lerner's rule, the list price of a SKU by itself is best: prices begin near where they would stay.
        let elasticity = demand.curve(&sku.sku, None, sku.list_price_minor).unwrap().elasticity.value;
        sku.cost_minor = Some((sku.list_price_minor as f64 * (1.0 + elasticity) / elasticity).round() as i64);
    });
    let loop_of = |reaction: f64| {
        let mut rules = rules.clone();
        rules.demand_reaction =
            Some(DemandReaction { half_life_hours: 48.0, reaction, max_tilt_ratio: 0.2, prior_units: 5.0 });
        feedback::hold(&round.truth, &Demand::of(&rules, &demand), &rules, (224, SCALE, Seed(3)))
    };
    let (still, moved) = (loop_of(0.0), loop_of(1.0));
    assert!(still.price_variance[1] < 1e-12 && still.price_variance[0] < 1e-12, "{still:?}");
    assert!(moved.follows > 0.2, "{moved:?}");
    let n = moved.n_pairs as f64;
    assert!(n > 1_000.0 && moved.n_opposite as f64 <= 0.5 * n + 4.0 * 0.5 * n.sqrt(), "{moved:?}");
    let [early, late] = moved.price_variance;
    assert!((late / early).ln() < 2.0 * 0.26, "{moved:?}");
    // Tilts lie within a fifth either way.
    assert!(early.max(late) < 1.2_f64.ln().powi(2), "{moved:?}");
}
