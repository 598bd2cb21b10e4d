//! The page section: value saved a contact by order, against a list by risk and against the oracle's.

use std::collections::BTreeMap;

use nextbest_functions::snapshot::Order;
use nextbest_tests::seeds;
use nextbest_training::metrics::mean;
use nextbest_training::student;

use super::arms::{Arm, BUDGETS, MAIN, Saved, Table};
use super::{LEARN_DAYS, Round};

/// The least multiple of what a list by risk saves, and the least share of the oracle's, as the page states them.
const LEAST_OF_RISK: f64 = 1.3;
const LEAST_OF_ORACLE: f64 = 0.85;

const OURS: Arm = Arm::Listed(Order::NetSaveValue);
const RISK: Arm = Arm::Listed(Order::ChurnProbability);

pub fn tell(table: &Table, rounds: &[Round], n_customers: u64) {
    let (n_seeds, t) = (rounds.len(), student::quantile(rounds.len().saturating_sub(1)));
    let of_rounds = |f: &dyn Fn(&Round) -> f64| mean(&rounds.iter().map(f).collect::<Vec<_>>()).value;
    println!("## The at-risk list: what contacting the first of it saves\n");
    println!(
        "{n_seeds} seeds, {n_customers} customers each: {LEARN_DAYS} days under the legacy policy to learn from, then the list of \
         the day after ({:.0} active\ncustomers, {:.0} of whom may be offered what saves). Each arm contacts the first of them in its \
         order, by the recommended action\nand channel. Saved: expected margin of the following 52 weeks with the contact less without \
         it, discounted, less its cost, in minor\nunits a contact, by the law of the simulation from the hidden state of that day; the \
         legacy policy goes on. Intervals: 95 %, over seeds.\n",
        of_rounds(&|round| round.n_active as f64),
        of_rounds(&|round| round.candidates.len() as f64),
    );
    let heads = BUDGETS.map(|share| format!("first {:.0} % of the active", 100.0 * share));
    println!("| order | {} | harmed | lived once |", heads.join(" | "));
    println!("|---|---|---|---|---|---|");
    for arm in Arm::ALL {
        let each = |budget: usize, of: fn(&Saved) -> f64| {
            mean(&table.seeds(arm, budget, |saved| of(saved) / saved.n_contacts))
        };
        let cells: Vec<String> = (0..BUDGETS.len())
            .map(|budget| {
                let told = each(budget, |saved| saved.net_minor);
                format!("{:.1} +- {:.1}", told.value, t * told.se)
            })
            .collect();
        let (harmed, lived) = (each(MAIN, |saved| saved.n_harmed), each(MAIN, |saved| saved.lived_minor));
        println!(
            "| {} | {} | {:.0} % | {:.0} +- {:.0} |",
            arm.name(),
            cells.join(" | "),
            100.0 * harmed.value,
            lived.value,
            t * lived.se
        );
    }
    let net = |arm, budget| table.seeds(arm, budget, |saved| saved.net_minor);
    println!("\n| | {} |", heads.join(" | "));
    println!("|---|---|---|---|");
    for (mine, whole) in [(OURS, RISK), (OURS, Arm::Oracle), (OURS, Arm::Told), (Arm::Told, Arm::Oracle)] {
        let cells: Vec<String> = (0..BUDGETS.len())
            .map(|budget| {
                let (share, se) = seeds::share(&net(mine, budget), &net(whole, budget));
                format!("{share:.2} +- {:.2}", t * se)
            })
            .collect();
        println!("| {} over {} | {} |", mine.name(), whole.name(), cells.join(" | "));
    }
    let (of_risk, risk_se) = seeds::share(&net(OURS, MAIN), &net(RISK, MAIN));
    let (of_oracle, oracle_se) = seeds::share(&net(OURS, MAIN), &net(Arm::Oracle, MAIN));
    let met = |met: bool| if met { "met" } else { "missed" };
    println!(
        "\nAt {:.0} % the list saves {of_risk:.2} +- {:.2} times what one by risk does. Target (at least {LEAST_OF_RISK}): **{}**. Of \
         the oracle's list it saves\n{:.0} % +- {:.0}. Target (at least {:.0} %): **{}**. *Harmed* and *lived once* (with and without \
         the contact, from the same random numbers) are of\nthat length. {}",
        100.0 * BUDGETS[MAIN],
        t * risk_se,
        met(of_risk >= LEAST_OF_RISK),
        100.0 * of_oracle,
        100.0 * t * oracle_se,
        100.0 * LEAST_OF_ORACLE,
        met(of_oracle >= LEAST_OF_ORACLE),
        learners(rounds),
    );
}

/// By what uplift was told, in how many of the shops.
fn learners(rounds: &[Round]) -> String {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    rounds.iter().for_each(|round| *counted.entry(&round.learner).or_default() += 1);
    let told: Vec<String> = counted.iter().map(|(name, n)| format!("{name} in {n}")).collect();
    format!("What tells uplift: {}.", told.join(", "))
}
