//! The loop closed: models learned from a simulated shop's log decide in it, and its customers answer.
//!
//! Per seed one shop: the legacy policy rules, `train` learns from what was known by then, and from the next day on each
//! arm rules the same customers, at the same moments, for the same weeks. An arm's profit is the margin of all orders of
//! those weeks, what came back taken off, less the cost of its contacts. All arms choose within the same funnel (rules,
//! consent, contact policy): what differs is the choice among what survives it. The control groups are off.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::print_stderr, reason = "how far it is")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use nextbest_models::artifact::Artifact;
use nextbest_models::event::EventType;
use nextbest_models::project::Project;
use nextbest_models::units::{Seed, Timestamp};
use nextbest_tests::tables;
use nextbest_training::event_log::EventLog;
use nextbest_training::import::{Options, Rules, import};
use nextbest_training::simulate::campaign::{CAMPAIGNS, CHANNELS};
use nextbest_training::simulate::catalogue::{Sku, skus};
use nextbest_training::simulate::life::Life;
use nextbest_training::simulate::takeover::Takeover;
use nextbest_training::simulate::{self, Shop};
use nextbest_training::train;
use rayon::prelude::*;

mod ruler;
mod told;

use ruler::{Arm, Ruler};

const N_SEEDS: u64 = 20;
/// Seeds before it were looked at while models and policy were worked on; those from here on were not.
const FIRST_SEED: u64 = 501;
const N_CUSTOMERS: u64 = 6_000;
/// Days of the legacy policy, from which is learned.
const LEARN_DAYS: i32 = 270;
/// Days of each arm: five decisions for everyone.
const RULE_DAYS: i32 = 105;

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let number = |name: &str| std::env::args().skip_while(|one| one != name).nth(1)?.parse().ok();
    let (n_seeds, n_customers) =
        (number("--seeds").unwrap_or(N_SEEDS), number("--customers").unwrap_or(N_CUSTOMERS));
    let first = number("--first-seed").unwrap_or(FIRST_SEED);
    let learn_days = number("--days").and_then(|days| i32::try_from(days).ok()).unwrap_or(LEARN_DAYS);
    let rounds: Vec<Round> = (first..first + n_seeds)
        .map(|seed| {
            eprintln!("seed {seed} of {first} .. {}", first + n_seeds);
            Round::hold(Seed(seed), n_customers, learn_days)
        })
        .collect();
    told::tell(&rounds, first, n_customers, learn_days);
}

/// What came of one arm, summed over customers.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    /// Margin less contact costs, minor units.
    profit_minor: f64,
    /// What the decisions added to the probability of an order within the response window, by the truth.
    added_orders: f64,
    n_decisions: u64,
    n_contacts: u64,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self {
            profit_minor: self.profit_minor + other.profit_minor,
            added_orders: self.added_orders + other.added_orders,
            n_decisions: self.n_decisions + other.n_decisions,
            n_contacts: self.n_contacts + other.n_contacts,
        }
    }
}

/// The arms of one seed.
struct Round {
    by_arm: BTreeMap<Arm, Tally>,
}

impl Round {
    fn hold(seed: Seed, n_customers: u64, learn_days: i32) -> Self {
        let project = project();
        let start: Timestamp = simulate::DEFAULT_START.parse().unwrap();
        let options = simulate::Options::new(n_customers, learn_days + RULE_DAYS, seed, start).unwrap();
        let artifact = learn(&project, &options, start.plus_days(learn_days));
        let shop = Shop::new(&options, project.settings.currency);
        let skus: BTreeMap<String, Sku> = skus().into_iter().map(|sku| (sku.id.clone(), sku)).collect();
        let books = Books { project: &project, skus, from: start.plus_days(learn_days) };
        let by_arm = Arm::ALL.map(|arm| {
            let lives = (0..n_customers).into_par_iter().map(|number| {
                let mut ruler = Ruler::new(arm, &project, &artifact, number);
                let from = usize::try_from(learn_days).unwrap();
                let life = match arm {
                    Arm::Legacy => shop.customer(number),
                    _ => shop.customer_under(number, Takeover { from, policy: &mut ruler }),
                };
                books.tally(&life.unwrap())
            });
            (arm, lives.reduce(Tally::default, Tally::plus))
        });
        Self { by_arm: by_arm.into() }
    }
}

/// The example shop, but for what its simulation has no customers' answer to (banners and letters), and without a hopper,
/// which chooses among customers and not within one.
fn project() -> Project {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
    Project::read(|file| {
        let text = std::fs::read_to_string(example.join(file))?;
        if file != "policy.toml" {
            return Ok(text);
        }
        let no_answer =
            |table: &str| ["web", "post"].iter().any(|it| table.contains(&format!("channel = \"{it}\"")));
        let text = tables::without(&text, "[[action.treatment]]", no_answer);
        Ok(tables::without(&text, "[[hopper.campaign]]", |_| true))
    })
    .unwrap()
}

fn learn(project: &Project, options: &simulate::Options, as_of: Timestamp) -> Artifact {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("simulated");
    simulate::write(options, project.settings.currency, &out, true, &|_| ()).unwrap();
    let (files, events) = ([out.join("events.parquet")], folder.path().join("events"));
    let rules = Rules::from(&project.settings);
    import(rules, &files, &events, &Options::default(), &|_| ControlFlow::Continue(())).unwrap();
    let log = EventLog::open(&events).unwrap();
    let trained = train::train(project, &log, Some(as_of), &|| ()).unwrap();
    for report in trained.report.propensities.iter().filter(|report| report.label.is_none()) {
        let auc = report.test.auc.map_or(f64::NAN, |auc| auc.value);
        eprintln!("  {}: AUC {auc:.3}, base rate {:.3}", report.name, report.test.base_rate);
    }
    trained.report.notes.iter().for_each(|note| eprintln!("  {note}"));
    trained.artifact
}

/// What counts as profit.
struct Books<'a> {
    project: &'a Project,
    skus: BTreeMap<String, Sku>,
    /// First instant that counts.
    from: Timestamp,
}

impl Books<'_> {
    fn tally(&self, life: &Life) -> Tally {
        let mut tally = Tally { profit_minor: self.margin(life), ..Tally::default() };
        for decision in life.decisions.iter().filter(|decision| decision.decided_at >= self.from) {
            tally.n_decisions += 1;
            tally.added_orders += decision.p_chosen - decision.response.no_action;
            if let Some((action, channel)) = decision.action.zip(decision.channel) {
                tally.n_contacts += 1;
                tally.profit_minor -= self.cost_minor(action, channel);
            }
        }
        tally
    }

    /// Of orders from the first instant on, less what came back of them by the end.
    fn margin(&self, life: &Life) -> f64 {
        let mut seen = BTreeSet::new();
        let mut margin = 0;
        for event in life.entries.events.iter().filter(|event| event.occurred_at >= self.from) {
            let sign = match event.event_type {
                EventType::OrderPlaced => 1,
                EventType::OrderCancelled | EventType::Refunded if event.booked_at() >= self.from => -1,
                _ => continue,
            };
            // The log holds some events twice.
            if seen.insert(&event.event_id) {
                let cost = event.sku.as_ref().map_or(0, |sku| self.skus[sku].cost_minor);
                let value = event.value.map_or(0, |value| value.amount_minor);
                margin += sign * (value - cost * event.quantity.unwrap_or(0));
            }
        }
        margin as f64
    }

    fn cost_minor(&self, action: usize, channel: usize) -> f64 {
        let action = self.project.policy.action(CAMPAIGNS[action].action_id);
        let treatments = action.map(|action| action.treatments.as_slice()).unwrap_or_default();
        let form = treatments.iter().find(|treatment| treatment.channel == CHANNELS[channel]);
        form.map_or(0.0, |treatment| treatment.cost_minor as f64)
    }
}
