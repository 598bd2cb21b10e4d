//! Prices in the closed loop: what policies that learned from a simulated shop's log earn by the shop's own law.
//!
//! Per seed one shop of a year; the demand model is fitted on its log as `train` does, and each arm sets thirteen weeks of
//! prices after it, one review a week. What prices bring is in closed form, so that arms differ by their prices alone. All
//! arms choose within the floor, ceiling, minimum margin and rounding of the example shop; nextbest also within a largest
//! step and a cool-down, its ledger carried from review to review.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::print_stderr, reason = "how far it is")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]

use std::collections::BTreeMap;

use nextbest_models::pricing::PricingRules;
use nextbest_models::units::Seed;
use nextbest_training::price_loop::{Arm, Outcome, Round};
use nextbest_training::simulate::{DEFAULT_START, Options};

mod told;

const N_SEEDS: u64 = 20;
/// Seeds before it were looked at while the estimators were chosen; those from here on were not.
const FIRST_SEED: u64 = 401;
const N_CUSTOMERS: u64 = 6_000;
/// Whole weeks of log to learn from.
const N_DAYS: i32 = 364;

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let number = |name: &str| std::env::args().skip_while(|one| one != name).nth(1)?.parse().ok();
    let (n_seeds, n_customers) =
        (number("--seeds").unwrap_or(N_SEEDS), number("--customers").unwrap_or(N_CUSTOMERS));
    let first = number("--first-seed").unwrap_or(FIRST_SEED);
    // Whole weeks.
    let n_days = number("--days").and_then(|days| i32::try_from(days / 7 * 7).ok()).unwrap_or(N_DAYS);
    let rounds: Vec<BTreeMap<Arm, Outcome>> =
        (first..first + n_seeds).map(|seed| hold(Seed(seed), n_customers, n_days)).collect();
    told::tell(&rounds, first, n_customers, n_days);
}

/// The example's rules, with a week between reviews.
fn rules() -> PricingRules {
    let text = include_str!("../../../examples/shop/pricing.toml");
    let text = text.replace("cool_down_hours = 24 ", "cool_down_hours = 168 ");
    PricingRules::parse(&text).unwrap()
}

fn hold(seed: Seed, n_customers: u64, n_days: i32) -> BTreeMap<Arm, Outcome> {
    let options = Options::new(n_customers, n_days, seed, DEFAULT_START.parse().unwrap()).unwrap();
    let round = Round::new(&options, "GBP".parse().unwrap(), rules()).unwrap();
    let of = |arm| (arm, round.outcome(arm, &round.prices(arm).unwrap()));
    let by_arm: BTreeMap<Arm, Outcome> = Arm::ALL.into_iter().map(of).collect();
    let [list, mine, best] = [Arm::List, Arm::Policy, Arm::Oracle].map(|arm| by_arm[&arm].settled_minor);
    eprintln!("seed {}: {:.0} % of the oracle's gain", seed.0, 100.0 * (mine - list) / (best - list));
    by_arm
}
