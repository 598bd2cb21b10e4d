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
    println!("| order | {} | within 13 weeks | harmed | lived once |", heads.join(" | "));
    println!("|---|---|---|---|---|---|---|");
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
        let soon = each(MAIN, |saved| saved.soon_minor);
        println!(
            "| {} | {} | {:.1} +- {:.1} | {:.0} % | {:.0} +- {:.0} |",
            arm.name(),
            cells.join(" | "),
            soon.value,
            t * soon.se,
            100.0 * harmed.value,
            lived.value,
            t * lived.se
        );
    }
    let net = |arm, budget| table.seeds(arm, budget, |saved| saved.net_minor);
    println!("\n| | {} |", heads.join(" | "));
    println!("|---|---|---|---|");
    for (mine, whole) in [(OURS, RISK), (OURS, Arm::Oracle), (OURS, Arm::Told), (Arm::Told, Arm::Oracle)] {
        let cells: Vec<String> =
            (0..BUDGETS.len()).map(|budget| ratio(&net(mine, budget), &net(whole, budget), t)).collect();
        println!("| {} over {} | {} |", mine.name(), whole.name(), cells.join(" | "));
    }
    let of = |whole| (net(OURS, MAIN), net(whole, MAIN));
    let verdict = |whole, least: f64| {
        let (mine, whole): (Vec<f64>, Vec<f64>) = of(whole);
        // Set against a list that saves nothing there is no multiple; what counts is whether ours saves more.
        let (mine, whole) = (mine.iter().sum::<f64>(), whole.iter().sum::<f64>());
        if mine > 0.0 && mine >= least * whole { "met" } else { "missed" }
    };
    let told = |whole| {
        let (mine, whole) = of(whole);
        ratio(&mine, &whole, t)
    };
    println!(
        "\nAt {:.0} % the list saves {} times what one by risk does. Target (at least {LEAST_OF_RISK}): **{}**. Of the oracle's list it \
         saves {}.\nTarget (at least {LEAST_OF_ORACLE}): **{}**. *Within 13 weeks*, *harmed* (who bring less for the contact) and \
         *lived once* (with and without the\ncontact, from the same random numbers) are of that length. {}",
        100.0 * BUDGETS[MAIN],
        told(RISK),
        verdict(RISK, LEAST_OF_RISK),
        told(Arm::Oracle),
        verdict(Arm::Oracle, LEAST_OF_ORACLE),
        learners(rounds),
    );
}

/// The multiple of the second sum that the first makes; a dash where the second saves nothing.
fn ratio(mine: &[f64], whole: &[f64], t: f64) -> String {
    if whole.iter().sum::<f64>() <= 0.0 {
        return "\u{2013}".to_owned();
    }
    let (share, se) = seeds::share(mine, whole);
    format!("{share:.2} +- {:.2}", t * se)
}

/// By what uplift was told, in how many of the shops.
fn learners(rounds: &[Round]) -> String {
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    rounds.iter().for_each(|round| *counted.entry(&round.learner).or_default() += 1);
    let told: Vec<String> = counted.iter().map(|(name, n)| format!("{name} in {n}")).collect();
    format!("What tells uplift: {}.", told.join(", "))
}
