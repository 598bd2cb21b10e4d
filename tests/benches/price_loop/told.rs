//! The page section: margin a week by arm, gains over list prices with their intervals, the share of the oracle's gain.

use std::collections::BTreeMap;

use nextbest_tests::seeds;
use nextbest_training::metrics::mean;
use nextbest_training::price_loop::{Arm, N_REVIEWS, Outcome};
use nextbest_training::student;

use super::FIRST_SEED;

/// The least share of the oracle's gain over list prices, as the page states it.
const LEAST_SHARE: f64 = 0.9;

type Rounds = [BTreeMap<Arm, Outcome>];

const fn name(arm: Arm) -> &'static str {
    match arm {
        Arm::List => "list prices",
        Arm::Ratio => "one ratio, from the log",
        Arm::RatioKnown => "one ratio, knowing the law",
        Arm::Greedy => "greedy: plain slope of all weeks",
        Arm::WithoutCross => "nextbest without cross effects",
        Arm::Policy => "**nextbest**",
        Arm::Exploring => "nextbest, exploring (Thompson)",
        Arm::Told => "nextbest, told the true slopes",
        Arm::Oracle => "oracle",
    }
}

/// By seed, what `arm` gains over list prices.
fn gains(rounds: &Rounds, arm: Arm, of: impl Fn(&Outcome) -> f64) -> Vec<f64> {
    rounds.iter().map(|round| of(&round[&arm]) - of(&round[&Arm::List])).collect()
}

/// Share of the oracle's gain over list prices once settled, and its standard error.
fn share(rounds: &Rounds, mine: Arm) -> (f64, f64) {
    let of = |arm| gains(rounds, arm, |outcome| outcome.settled_minor);
    seeds::share(&of(mine), &of(Arm::Oracle))
}

pub fn tell(rounds: &Rounds, first_seed: u64, n_customers: u64, n_days: i32) {
    let (n_seeds, t) = (rounds.len(), student::quantile(rounds.len().saturating_sub(1)));
    println!("## Prices in the closed loop: the simulated shop under each policy\n");
    println!(
        "{n_seeds} seeds from {first_seed} on (those before {FIRST_SEED} were looked at while the estimators were chosen), \
         {n_customers} customers each:\na log of {n_days} days to learn from, then {N_REVIEWS} weekly reviews of all prices. \
         Expected margin a week, in minor units per customer\nstill there, by the shop's own law: once everybody is used to \
         the last prices, and on average over the weeks on the way\nthere. Intervals: 95 %, over seeds, paired. All arms \
         choose among the same prices (floor, ceiling, minimum margin, rounding);\nnextbest moves a price by at most 15 % a \
         review, which may keep it from the oracle's for good.\n"
    );
    println!(
        "| | margin a week | gain over list | of the oracle's gain | gain on the way | prices over list | moves a review |"
    );
    println!("|---|---|---|---|---|---|---|");
    for arm in Arm::ALL {
        let of = |f: &dyn Fn(&Outcome) -> f64| {
            mean(&rounds.iter().map(|round| f(&round[&arm])).collect::<Vec<_>>()).value
        };
        let gain = mean(&gains(rounds, arm, |outcome| outcome.settled_minor));
        let way = mean(&gains(rounds, arm, |outcome| outcome.on_the_way_minor));
        let (reached, reached_se) = share(rounds, arm);
        println!(
            "| {} | {:.2} | {:+.2} +- {:.2} | {:.0} % +- {:.0} | {:+.2} +- {:.2} | {:.2} | {:.1} % |",
            name(arm),
            of(&|outcome| outcome.settled_minor),
            gain.value,
            t * gain.se,
            100.0 * reached,
            100.0 * t * reached_se,
            way.value,
            t * way.se,
            of(&|outcome| outcome.price_ratio),
            100.0 * of(&|outcome| outcome.moved_share)
        );
    }
    let (reached, se) = share(rounds, Arm::Policy);
    let met = if reached >= LEAST_SHARE { "met" } else { "missed" };
    let (told, told_se) = share(rounds, Arm::Told);
    println!(
        "\nOf the oracle's gain over list prices nextbest reaches {:.0} % +- {:.0}. Target (at least {:.0} %): **{met}**.\nTold the true \
         slopes it reaches {:.0} % +- {:.0}: what is missing beyond lies in what is learned of slopes and units from the log.",
        100.0 * reached,
        100.0 * t * se,
        100.0 * LEAST_SHARE,
        100.0 * told,
        100.0 * t * told_se
    );
}
