//! What a price costs in process: bounds, guardrails, a ladder of 21 rungs with what neighbours gain, the choice.
//!
//! Run by `cargo bench -p nextbest-models --bench price`.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use nextbest_models::artifact::{ArtifactBuilder, Metadata, ModelKind, ModelMetadata};
use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::rules::PriceExploration;
use nextbest_models::pricing::{
    Circumstances, Demand, DemandLevel, DemandModel, DemandRecord, Elasticity, Ledger, MarketRules,
    PriceRequest, PricingRules, Rounding, Standing, choose_price, demand,
};
use nextbest_models::units::{Seed, Timestamp};

const N_SKUS: usize = 2_000;
const N_CATEGORIES: usize = 50;
/// SKUs of a category that is nearer to a department.
const CROWDED: usize = 1_000;
const N_ROUNDS: usize = 200;
const N_A_ROUND: usize = 500;
/// The target.
const MAX_US: f64 = 40.0;

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!(
        "{N_SKUS} SKUs in {N_CATEGORIES} categories, 21 rungs, all guardrails on; p50 of {N_ROUNDS} rounds\n"
    );
    println!("| | us an item |\n|---|---|");
    let plain = measure(PriceExploration::None, N_CATEGORIES);
    println!("| a price: bounds, history, ladder, choice | {plain:.1} |");
    let thompson = measure(PriceExploration::Thompson, N_CATEGORIES);
    println!("| with Thompson exploration, every rung's probability | {thompson:.1} |");
    let crowded = measure(PriceExploration::None, N_SKUS / CROWDED);
    println!(
        "| a price in a category of {CROWDED} SKUs instead of {} | {crowded:.1} |",
        N_SKUS / N_CATEGORIES
    );
    let verdict = if plain.max(thompson) <= MAX_US { "met" } else { "not met" };
    println!("\nTarget at most {MAX_US:.0} us: {verdict}.");
}

fn measure(exploration: PriceExploration, n_categories: usize) -> f64 {
    let mut rules = rules(n_categories);
    rules.exploration = exploration;
    let demand = Demand::of(&rules, &model(n_categories));
    let market = MarketRules::default();
    let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
    let mut ledger = Ledger::default();
    let since = now.plus_days(-3);
    ledger.show(1199, since);
    ledger.standing = Some(Standing { price_minor: 1199, since, reviewed: since, tilt: 0.02 });
    let around = Circumstances {
        now,
        market: &market,
        control: Assignment::default(),
        ledger: Some(&ledger),
        locked_minor: None,
        recent: None,
        person: None,
        seed: Seed(7),
    };
    let requests: Vec<PriceRequest> = (0..N_A_ROUND)
        .map(|n| PriceRequest {
            sku: format!("S{:05}", n * 3 % N_SKUS),
            competitor_price_minor: Some(1249),
            ..PriceRequest::default()
        })
        .collect();
    let mut rounds: Vec<f64> = (0..N_ROUNDS)
        .map(|_| {
            let began = Instant::now();
            for request in &requests {
                black_box(choose_price(&rules, Some(&demand), &around, request).unwrap());
            }
            began.elapsed().as_secs_f64() * 1e6 / N_A_ROUND as f64
        })
        .collect();
    let one = choose_price(&rules, Some(&demand), &around, &requests[0]).unwrap();
    assert_eq!(one.ladder.len(), 21, "each of the 21 rungs is a price of its own");
    rounds.sort_by(f64::total_cmp);
    rounds[N_ROUNDS / 2]
}

fn rules(n_categories: usize) -> PricingRules {
    let head = "lock_minutes = 30\nn_rungs = 21\nrounding = \"10\"\n[default]\nfloor_ratio = 0.8\nceiling_ratio = 1.2\n\
        min_margin_ratio = 0.05\nmax_step_ratio = 0.1\ncool_down_hours = 24\ncompetitor_band = [0.9, 1.1]\n";
    let skus: String = (0..N_SKUS)
        .map(|n| {
            let category = n % n_categories;
            format!("[[sku]]\nsku = \"S{n:05}\"\ncategory = \"C{category:02}\"\nlist_price_minor = 1299\ncost_minor = 610\n")
        })
        .collect();
    let rules = PricingRules::parse(&format!("{head}{skus}")).unwrap();
    assert_eq!(rules.rounding, Rounding::Ten);
    rules
}

fn model(n_categories: usize) -> DemandModel {
    let record = |level, name: String, own| DemandRecord {
        level,
        name,
        category: None,
        reference_price_minor: 1299,
        units_per_week: 10.0,
        elasticity: (level != DemandLevel::Cross).then_some(Elasticity {
            value: -2.2,
            se: 0.4,
            lo: -3.0,
            hi: -1.4,
        }),
        own,
        purchase_probability: Some(0.04),
        n_weeks: 50,
        n_units: 500,
        n_shown: 12_000,
        flags: Vec::new(),
    };
    let skus = (0..N_SKUS).map(|n| record(DemandLevel::Sku, format!("S{n:05}"), None));
    // Half of those who leave a SKU go to its neighbours, however many they are.
    let each = 0.5 * 2.2 * n_categories as f64 / N_SKUS as f64;
    let cross =
        (0..n_categories).map(|n| record(DemandLevel::Cross, format!("C{n:02}"), Some((each, 0.4 * each))));
    let sealed = demand::seal(skus.chain(cross).collect()).unwrap();
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "prices".to_owned(),
        schema_fingerprint: "00".repeat(32),
        feature_names: Vec::new(),
        trained_through: "2026-05-01T00:00:00Z".parse().unwrap(),
        code_version: "0".to_owned(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: Vec::new(),
    });
    let metadata = ModelMetadata {
        name: "demand".to_owned(),
        kind: ModelKind::Demand,
        learner: "made up".to_owned(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::new(),
        metrics: BTreeMap::new(),
        notes: Vec::new(),
        sections: BTreeMap::new(),
    };
    builder.demand(metadata, sealed);
    builder.seal().unwrap().demand().unwrap().clone()
}
