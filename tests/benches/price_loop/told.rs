//! The page section: margin a week by arm, gains over list prices with their intervals, the share of the oracle's gain.

use std::collections::BTreeMap;

use nextbest_training::price_loop::{Arm, N_REVIEWS, Outcome};

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

/// Mean and standard error over seeds.
fn mean(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    (mean, (variance / n).sqrt())
}

/// Student's t at 97.5 % for `n - 1` degrees of freedom: Cornish-Fisher's expansion around the normal quantile
/// (Abramowitz and Stegun 26.7.5), good to .002 from 5 degrees on.
fn t(n: usize) -> f64 {
    let (z, v) = (1.959_964_f64, (n.max(2) - 1) as f64);
    let g1 = (z.powi(3) + z) / 4.0;
    let g2 = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let g3 = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + g1 / v + g2 / v.powi(2) + g3 / v.powi(3)
}

/// Share of the oracle's gain over list prices, and its standard error by the jackknife over seeds (Quenouille 1956).
fn share(rounds: &Rounds, mine: Arm, of: impl Fn(&Outcome) -> f64) -> (f64, f64) {
    let gain = |round: &BTreeMap<Arm, Outcome>, arm: Arm| of(&round[&arm]) - of(&round[&Arm::List]);
    let ratio = |left_out: Option<usize>| {
        let kept =
            || rounds.iter().enumerate().filter(|(at, _)| Some(*at) != left_out).map(|(_, round)| round);
        let sum = |arm: Arm| kept().map(|round| gain(round, arm)).sum::<f64>();
        sum(mine) / sum(Arm::Oracle)
    };
    let without: Vec<f64> = (0..rounds.len()).map(|at| ratio(Some(at))).collect();
    let n = without.len() as f64;
    let centre = without.iter().sum::<f64>() / n;
    let variance = without.iter().map(|one| (one - centre).powi(2)).sum::<f64>() * (n - 1.0) / n;
    (ratio(None), variance.sqrt())
}

pub fn tell(rounds: &Rounds, n_customers: u64, n_days: i32) {
    let (n_seeds, t) = (rounds.len(), t(rounds.len()));
    println!("## Prices in the closed loop: the simulated shop under each policy\n");
    println!(
        "{n_seeds} seeds, {n_customers} customers each: a log of {n_days} days to learn from, then {N_REVIEWS} weekly reviews of \
         all prices.\nExpected margin a week, in minor units per customer still there, by the shop's own law: once everybody is used to \
         the last\nprices, and on average over the weeks on the way there. Intervals: 95 %, over seeds, paired. All arms choose among the \
         same\nprices (floor, ceiling, minimum margin, rounding); nextbest moves a price by at most 15 % a review.\n"
    );
    println!(
        "| | margin a week | gain over list | of the oracle's gain | gain on the way | prices over list | moves a review |"
    );
    println!("|---|---|---|---|---|---|---|");
    for arm in Arm::ALL {
        let of = |f: &dyn Fn(&BTreeMap<Arm, Outcome>) -> f64| mean(&rounds.iter().map(f).collect::<Vec<_>>());
        let (margin, _) = of(&|round| round[&arm].settled_minor);
        let (gain, se) = of(&|round| round[&arm].settled_minor - round[&Arm::List].settled_minor);
        let (way, way_se) = of(&|round| round[&arm].on_the_way_minor - round[&Arm::List].on_the_way_minor);
        let (ratio, _) = of(&|round| round[&arm].price_ratio);
        let (moved, _) = of(&|round| round[&arm].moved_share);
        let (reached, reached_se) = share(rounds, arm, |outcome| outcome.settled_minor);
        println!(
            "| {} | {margin:.2} | {gain:+.2} +- {:.2} | {:.0} % +- {:.0} | {way:+.2} +- {:.2} | {ratio:.2} | {:.1} % |",
            name(arm),
            t * se,
            100.0 * reached,
            100.0 * t * reached_se,
            t * way_se,
            100.0 * moved
        );
    }
    let (reached, se) = share(rounds, Arm::Policy, |outcome| outcome.settled_minor);
    let met = if reached >= LEAST_SHARE { "met" } else { "missed" };
    let (told, told_se) = share(rounds, Arm::Told, |outcome| outcome.settled_minor);
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
