//! What a decision costs in process: features, three models, thirty actions with three rules each, reasons of the winner.
//!
//! Beside it, in turns, what its three models cost alone: their bare scores, and those with the reasons of the winner. Run by `cargo bench -p nextbest-models --bench decide`.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

mod ensemble;

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use ensemble::{Draw, Shape, seal};
use nextbest_models::artifact::Artifact;
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::{Event, EventDraft};
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::project::Project;
use nextbest_models::units::{Money, Seed, Timestamp};

const N_FEATURES: usize = 20;
const N_ACTIONS: usize = 30;
const N_TREES: usize = 500;
const MODELS: [&str; 3] = ["churn", "conversion", "response"];
const N_CUSTOMERS: usize = 512;
const N_ROUNDS: usize = 40;
/// The targets.
const MAX_US: f64 = 60.0;
const MAX_TIMES: f64 = 3.0;

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (project, artifact) = (project(), artifact());
    let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let customers: Vec<Customer> = (0..N_CUSTOMERS).map(|n| customer(&project, n, now)).collect();
    let rows: Vec<Vec<f64>> =
        customers.iter().map(|customer| project.schema.features(customer, now).values().to_vec()).collect();
    let question = Question { max_actions: 1, ..Question::default() };
    let models: Vec<_> = MODELS.iter().map(|name| artifact.propensity(name).unwrap()).collect();
    let whole = |at: usize| {
        let blank = Situation::of(&project, &customers[at], true, now, Seed(at as u64));
        let situation = blank.scored(&project, &artifact);
        let decision = decide(&project.policy, &situation, &question);
        let winner = decision.actions.first().map(|action| &*action.propensity_model);
        let model = winner.and_then(|name| artifact.propensity(name));
        (decision, model.map(|model| model.explain(&situation.features)))
    };
    let scores = |at: usize| models.iter().map(|model| model.score(&rows[at]).get()).sum::<f64>();
    let winners: Vec<Option<&str>> = (0..N_CUSTOMERS)
        .map(|at| {
            let decision = whole(at).0;
            let first = decision.actions.first().map(|action| action.propensity_model.clone());
            first.and_then(|name| MODELS.into_iter().find(|model| **model == *name))
        })
        .collect();
    let explained = |at: usize| {
        let winner = winners[at].and_then(|name| artifact.propensity(name));
        (scores(at), winner.map(|model| model.explain(&rows[at])))
    };
    let mut times = [const { Vec::new() }; 3];
    for _ in 0..N_ROUNDS {
        for at in 0..N_CUSTOMERS {
            times[0].push(time(|| whole(at)));
            times[1].push(time(|| scores(at)));
            times[2].push(time(|| explained(at)));
        }
    }
    let [decision, scores, explained] = times.map(median_us);
    let n_offered = (0..N_CUSTOMERS).filter(|at| !whole(*at).0.actions.is_empty()).count();
    let allocations = allocation_counter::measure(|| drop(black_box(whole(0)))).count_total;
    println!(
        "{N_ACTIONS} actions, 3 rules each, 3 models of {N_TREES} trees (two symmetric, one of 16 leaves); medians\n"
    );
    println!("| | us |\n|---|---|");
    println!("| a decision: features, scores, rules, choice, the winner's reasons | {decision:.1} |");
    println!("| the three scores alone | {scores:.1} |");
    println!("| the three scores and the winner's reasons | {explained:.1} |");
    println!("\n{allocations} allocations; {n_offered} of {N_CUSTOMERS} customers get an offer.");
    let (bare, models) = (decision / scores, decision / explained);
    let verdict = |met: bool| if met { "met" } else { "not met" };
    println!("\nTarget at most {MAX_US} us: {}.", verdict(decision <= MAX_US));
    println!(
        "Target at most {MAX_TIMES} times the bare scores: {} ({bare:.1} times; {models:.1} times what the models cost with \
         the reasons that are told).",
        verdict(bare <= MAX_TIMES)
    );
}

fn time<T>(call: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(call());
    start.elapsed()
}

fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
}

fn artifact() -> Artifact {
    let mut draw = Draw(0x5eed_0b57);
    let shapes = [Shape::Levels(6), Shape::Levels(6), Shape::Leaves(16)];
    let mut trees = |shape| (0..N_TREES).map(|_| draw.tree(shape, N_FEATURES)).collect();
    let models = [0, 1, 2].map(|at| (MODELS[at], trees(shapes[at])));
    seal(&models, N_FEATURES)
}

fn customer(project: &Project, n: usize, now: Timestamp) -> Customer {
    let mut customer = Customer::new(CustomerId::new(format!("c{n}")).unwrap(), &project.schema);
    // The oldest first: what comes too late is refused.
    for order in (0..1 + n % 9).rev() {
        let draft = EventDraft {
            event_id: format!("{n}-{order}"),
            event_type: "order_placed".to_owned(),
            occurred_at: Some(now.plus_days(-i32::try_from(order * 11 + n % 50).unwrap())),
            customer_id: Some(format!("c{n}")),
            quantity: Some(1),
            value: Some(Money { amount_minor: 1_500, currency: project.schema.currency() }),
            ..EventDraft::default()
        };
        let _applied = customer.apply(&project.schema, &Event::try_from(draft).unwrap());
    }
    customer
}

fn project() -> Project {
    let mut features = String::new();
    for at in 0..N_FEATURES {
        let _ = write!(
            features,
            "[[feature]]\nname = \"f{at}\"\nkind = \"count\"\nevent = [\"order_placed\"]\nwindow_days = {}\n",
            10 * (at + 1)
        );
    }
    let mut policy = "[exploration]\nkind = \"epsilon_softmax\"\nepsilon = 0.05\ntemperature = 0.25\n\
                      [[cap]]\nid = \"week\"\nmax = 3\nwindow_days = 7\n"
        .to_owned();
    for at in 0..N_ACTIONS {
        let _ = write!(
            policy,
            "[[action]]\nid = \"a{at}\"\ncampaign_type = \"upsell\"\npropensity = \"{}\"\nvalue = {{ fixed_minor = {} }}\n\
             stages = [\"new\", \"activating\", \"active\", \"loyal\", \"at_risk\"]\n\
             eligibility = [\"features.f{} >= {} || customer.stage in ['new', 'loyal']\"]\n\
             applicability = [\"!has(features.f{}) || features.f{} < 40\"]\n\
             suitability = [\"scores.churn < 0.99 && customer.recent_value_minor >= 0\"]\n\
             [[action.treatment]]\nid = \"t{at}\"\nchannel = \"{}\"\n",
            MODELS[at % 3],
            100 + 7 * at,
            at % N_FEATURES,
            at % 4,
            (at + 3) % N_FEATURES,
            (at + 3) % N_FEATURES,
            ["email", "push", "web"][at % 3]
        );
    }
    let labels: String = MODELS
        .iter()
        .map(|name| {
            format!("[labels.{name}]\nkind = \"presence\"\nevent = [\"order_placed\"]\nhorizon_days = 30\n")
        })
        .collect();
    let settings = format!(
        "name = \"bench\"\ncurrency = \"EUR\"\ntime_zone = \"UTC\"\nlateness_days = 7\n\
         [activity]\nevent = [\"order_placed\"]\nwindow_days = 180\n{labels}\
         [training]\nn_cutoffs = 3\nstep_days = 30\nseed = 1\n\
         [lifecycle]\nactive_from_days = 3\nloyal_from_days = 6\nat_risk_days = 60\ndefected_days = 180\n"
    );
    let pricing = include_str!("../../examples/shop/pricing.toml");
    Project::read(|file| {
        Ok(match file {
            "nextbest.toml" => settings.clone(),
            "features.toml" => features.clone(),
            "policy.toml" => policy.clone(),
            _ => pricing.to_owned(),
        })
    })
    .unwrap()
}
