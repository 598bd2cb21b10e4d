//! Does the at-risk list save value? The list of a simulated shop in each order, at equal numbers of contacts, held against
//! what contacts truly save.
//!
//! Per seed one shop: the legacy policy rules, `train` learns from what was known by a day, and on that day the list is built
//! by the code of the snapshot. Candidates are those who may be offered what `[uplifts.save]` speaks of; each arm contacts
//! the first K of them in its own order, each by the action and channel the list recommends, so that arms differ by their
//! order alone. What a contact saves is summed over the law of the simulation from the hidden state of that day, not lived:
//! the margin of the horizon of `[lifetime_value]`, discounted as there, with the contact less without it, less its cost. Lived
//! once with and once without it, from the same random numbers, it is told besides.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::print_stderr, reason = "how far it is")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]

use std::ops::ControlFlow;
use std::path::Path;

use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::snapshot::{self, AtRisk};
use nextbest_functions::store::{Store, StoredCustomer};
use nextbest_models::action::CampaignType;
use nextbest_models::artifact::Artifact;
use nextbest_models::project::{FILES, Project};
use nextbest_models::units::{Seed, Timestamp};
use nextbest_tests::{fixture, tables};
use nextbest_training::cutoff::fold;
use nextbest_training::event_log::EventLog;
use nextbest_training::import::{Options, Rules, import};
use nextbest_training::simulate::campaign::{CAMPAIGNS, CHANNELS};
use nextbest_training::simulate::shopper::Shopper;
use nextbest_training::simulate::takeover::Errand;
use nextbest_training::simulate::truth::{Prospect, Window, lived_margin};
use nextbest_training::simulate::{self, Shop};
use nextbest_training::train;
use rayon::prelude::*;

mod arms;
mod told;

const N_SEEDS: u64 = 20;
/// Seeds 1 to 5, 101 to 120 and 201 to 220 were looked at while the list was worked on; those from here on were not.
const FIRST_SEED: u64 = 301;
const N_CUSTOMERS: u64 = 6_000;
/// Days of the legacy policy, from which is learned; the list is of the day after.
const LEARN_DAYS: i32 = 365;
/// A shorter horizon told beside the project's own.
const SOON_DAYS: usize = 91;

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let number = |name: &str| std::env::args().skip_while(|one| one != name).nth(1)?.parse().ok();
    let (n_seeds, n_customers) =
        (number("--seeds").unwrap_or(N_SEEDS), number("--customers").unwrap_or(N_CUSTOMERS));
    let first = number("--first-seed").unwrap_or(FIRST_SEED);
    let rounds: Vec<Round> =
        (first..first + n_seeds).map(|seed| Round::hold(Seed(seed), n_customers)).collect();
    told::tell(&arms::Table::of(&rounds), &rounds, n_customers);
}

/// One customer who may be contacted, and what that truly saves.
struct Candidate {
    row: AtRisk,
    /// Of the schema, and the channel: what is known of the customer and the contact.
    features: Vec<f64>,
    cost_minor: f64,
    /// By the law, before its cost.
    saved_minor: f64,
    /// The same within the first [`SOON_DAYS`].
    soon_minor: f64,
    /// Of the whole horizon, lived once with and once without the contact.
    lived_minor: f64,
}

/// The list of one seed.
struct Round {
    n_active: usize,
    candidates: Vec<Candidate>,
    /// What tells uplift.
    learner: String,
}

impl Round {
    fn hold(seed: Seed, n_customers: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let project = project(folder.path());
        let rule = project.settings.lifetime_value.unwrap();
        let n_days = 7 * i32::try_from(rule.horizon_weeks).unwrap();
        let start: Timestamp = simulate::DEFAULT_START.parse().unwrap();
        let options = simulate::Options::new(n_customers, LEARN_DAYS + n_days, seed, start).unwrap();
        let as_of = start.plus_days(LEARN_DAYS);
        let log = log(&project, &options, folder.path());
        let (artifact, learner) = learn(&lean(&project), &log, as_of);
        let app = app(folder.path(), artifact, as_of);
        let listed = listed(&app, &log, as_of);
        let window = Window {
            age: usize::try_from(LEARN_DAYS).unwrap(),
            n_days: usize::try_from(n_days).unwrap(),
            weekly_discount: rule.discount_rate,
        };
        let shop = Shop::new(&options, project.settings.currency).stating(window.age);
        let n_active = listed.len();
        let candidates = listed.into_par_iter().filter_map(|(row, features)| {
            let contact = contact(&project, &row)?;
            Some(truly(&shop, (&window, start), row, features, contact))
        });
        let candidates: Vec<Candidate> = candidates.collect();
        let saved: f64 = candidates.iter().map(|one| one.saved_minor).sum();
        eprintln!(
            "seed {}: {n_active} active, {} candidates, a contact saves {:.0}; uplift by {learner}",
            seed.0,
            candidates.len(),
            saved / candidates.len() as f64
        );
        Self { n_active, candidates, learner }
    }
}

/// The example shop in `folder`, but for what its simulation has no customers' answer to (banners and letters), and without
/// the control groups: nobody is held out here, since what would have been is known.
fn project(folder: &Path) -> Project {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
    for file in FILES {
        let text = std::fs::read_to_string(example.join(file)).unwrap();
        let no_answer =
            |table: &str| ["web", "post"].iter().any(|it| table.contains(&format!("channel = \"{it}\"")));
        let text = tables::without(&text, "[[action.treatment]]", no_answer);
        let text = tables::without(&text, "[[hopper.campaign]]", |_| true);
        let text = tables::without(&text, "[control.policy]", |_| true);
        let text = tables::without(&text, "[control.model]", |_| true);
        std::fs::write(folder.join(file), text).unwrap();
    }
    Project::read(|file| std::fs::read_to_string(folder.join(file))).unwrap()
}

fn log(project: &Project, options: &simulate::Options, folder: &Path) -> EventLog {
    let out = folder.join("simulated");
    simulate::write(options, project.settings.currency, &out, true, &|_| ()).unwrap();
    let (files, events) = ([out.join("events.parquet")], folder.join("events"));
    let rules = Rules::from(&project.settings);
    import(rules, &files, &events, &Options::default(), &|_| ControlFlow::Continue(())).unwrap();
    EventLog::open(&events).unwrap()
}

/// The project, to learn from: without the models that the list and its contacts do not ask.
fn lean(project: &Project) -> Project {
    let mut lean = project.clone();
    lean.settings.purchases = None;
    lean.settings.labels.retain(|name, _| name == snapshot::CHURN);
    lean.settings.responses.retain(|name, _| name == "accepted");
    lean
}

/// What `nextbest train` would seal, and what tells uplift in it.
fn learn(project: &Project, log: &EventLog, as_of: Timestamp) -> (Artifact, String) {
    let trained = train::train(project, log, Some(as_of), &|| ()).unwrap();
    trained.report.notes.iter().for_each(|note| eprintln!("  {note}"));
    for uplift in &trained.report.uplifts {
        eprintln!(
            "  effect on churn {:+.4} +- {:.4}",
            uplift.effect.adjusted.value, uplift.effect.adjusted.se
        );
        for one in &uplift.candidates {
            eprintln!("  {}: gain {:+.5} +- {:.5}", one.method.name(), one.gain.value, one.gain.se);
        }
    }
    let learner = trained.report.uplifts.first().map_or("nothing", |one| one.learner.name());
    (trained.artifact, learner.to_owned())
}

/// The functions over the project, at the day of the list; nothing is read from a store.
fn app(folder: &Path, artifact: Artifact, now: Timestamp) -> App {
    let store = Store::local("http://127.0.0.1:1", "none");
    let (config, _) = fixture::config(folder, &store);
    App::with_artifact(&config, artifact, store, Clock::fixed(now)).unwrap()
}

/// Every active customer as the snapshot lists them, with their features.
fn listed(app: &App, log: &EventLog, as_of: Timestamp) -> Vec<(AtRisk, Vec<f64>)> {
    let of_bucket = |bucket: u32| -> Vec<(AtRisk, Vec<f64>)> {
        let row = |(id, events): (_, Vec<_>)| {
            let (customer, _) = fold(&app.project.schema, &id, &events, as_of);
            if customer.n_events() == 0 {
                return None;
            }
            let features = app.project.schema.features(&customer, as_of).values().to_vec();
            let stored = StoredCustomer { customer, version: 1, reservations: Vec::new() };
            Some((snapshot::score(app, &stored)?, features))
        };
        log.customers(bucket).unwrap().filter_map(|group| row(group.unwrap())).collect()
    };
    (0..log.n_buckets()).into_par_iter().flat_map_iter(of_bucket).collect()
}

/// The recommended contact, where it is of the kinds that uplift speaks of.
fn contact(project: &Project, row: &AtRisk) -> Option<(usize, usize)> {
    let recommended = row.recommended.as_ref()?;
    let saving: &[CampaignType] = &project.settings.uplifts[snapshot::SAVE].campaign_type;
    let action = project.policy.action(&recommended.action_id)?;
    saving.contains(&action.campaign_type).then_some(())?;
    let number = CAMPAIGNS.iter().position(|campaign| campaign.action_id == recommended.action_id)?;
    Some((number, CHANNELS.iter().position(|channel| *channel == recommended.channel)?))
}

/// What contacting the customer of `row` saves, by the law and lived once.
fn truly(
    shop: &Shop,
    (window, start): (&Window, Timestamp),
    row: AtRisk,
    mut features: Vec<f64>,
    (action, channel): (usize, usize),
) -> Candidate {
    let number: u64 = row.customer_id.as_str().trim_start_matches('C').parse().unwrap();
    let life = shop.customer(number).unwrap();
    let state = life.states.iter().find(|record| record.age == window.age).unwrap().state;
    let mut shopper = Shopper::new(shop.market(), life.traits.clone());
    let mut saved =
        |window: &Window| Prospect::of(&mut shopper, window).saved(&life.traits, state, (action, channel));
    let (saved_minor, soon_minor) = (saved(window), saved(&Window { n_days: SOON_DAYS, ..*window }));
    let contacted = shop.customer_with(number, Errand { age: window.age, action, channel }).unwrap();
    let lived = |life| lived_margin(life, shop.market(), start, window);
    features.push(channel as f64);
    let cost_minor = row.recommended.as_ref().map_or(0.0, |contact| contact.cost_minor as f64);
    let lived_minor = lived(&contacted) - lived(&life);
    Candidate { row, features, cost_minor, saved_minor, soon_minor, lived_minor }
}
