//! The page section: profit by arm, gains over random with their intervals, the share of the oracle's gain.

use nextbest_tests::seeds;
use nextbest_training::metrics::mean;
use nextbest_training::student;

use super::ruler::Arm;
use super::{FIRST_SEED, RULE_DAYS, Round, Tally};

/// The least share of the oracle's gain over random, as the page states it.
const LEAST_SHARE: f64 = 0.85;

/// Share of the oracle's gain over random, and its standard error.
fn share(rounds: &[Round], mine: Arm, of: impl Fn(&Tally) -> f64) -> (f64, f64) {
    let gains = |arm: Arm| -> Vec<f64> {
        rounds.iter().map(|round| of(&round.by_arm[&arm]) - of(&round.by_arm[&Arm::Random])).collect()
    };
    seeds::share(&gains(mine), &gains(Arm::Oracle))
}

pub fn tell(rounds: &[Round], first: u64, n_customers: u64, learn_days: i32) {
    let (n_seeds, t) = (rounds.len(), student::quantile(rounds.len().saturating_sub(1)));
    println!("## Closed loop: the simulated shop under each policy\n");
    println!(
        "{n_seeds} seeds from {first} on (those before {FIRST_SEED} were looked at), {n_customers} customers each: {learn_days} days under the legacy policy to learn from, then {RULE_DAYS} \
         days under each arm,\nthe same customers at the same moments. Profit: margin of all orders less what came back and \
         the cost of contacts, in\nminor units a customer. Intervals: 95 %, over seeds, paired. All arms but the legacy one choose within \
         the same funnel. The\noracle knows hidden moods, traits and the law of the simulation, and takes the greatest gain of the next \
         seven days.\n"
    );
    println!("| | profit | gain over random | contacts a decision | orders added per 1,000 decisions |");
    println!("|---|---|---|---|---|");
    let per_customer = |tally: &Tally| tally.profit_minor / n_customers as f64;
    let added = |tally: &Tally| 1e3 * tally.added_orders / tally.n_decisions as f64;
    for arm in Arm::ALL {
        let of = |f: &dyn Fn(&Tally) -> f64| -> Vec<f64> {
            rounds.iter().map(|one| f(&one.by_arm[&arm])).collect()
        };
        let gains: Vec<f64> = rounds
            .iter()
            .map(|one| per_customer(&one.by_arm[&arm]) - per_customer(&one.by_arm[&Arm::Random]))
            .collect();
        let gain = mean(&gains);
        let profit = mean(&of(&per_customer)).value;
        let contacts = mean(&of(&|tally| tally.n_contacts as f64 / tally.n_decisions as f64)).value;
        let orders = mean(&of(&added));
        println!(
            "| {} | {profit:.0} | {:+.0} +- {:.0} | {contacts:.2} | {:.1} +- {:.1} |",
            arm.name(),
            gain.value,
            t * gain.se,
            orders.value,
            t * orders.se
        );
    }
    let (of_profit, se) = share(rounds, Arm::Policy, |tally| tally.profit_minor);
    let (of_orders, orders_se) = share(rounds, Arm::Policy, added);
    let (informed, informed_se) = share(rounds, Arm::Informed, |tally| tally.profit_minor);
    let met = if of_profit >= LEAST_SHARE { "met" } else { "missed" };
    println!(
        "\nOf the oracle's gain over random nextbest reaches {:.0} % +- {:.0} in profit and {:.0} % +- {:.0} in orders added. Target (at \
         least {:.0} % in profit): **{met}**.\nThe oracle itself, without the traits that no log shows, reaches {:.0} % +- {:.0} of it.",
        100.0 * of_profit,
        100.0 * t * se,
        100.0 * of_orders,
        100.0 * t * orders_se,
        100.0 * LEAST_SHARE,
        100.0 * informed,
        100.0 * t * informed_se
    );
}
