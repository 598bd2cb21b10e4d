//! The rows of the purchase model: which showings make one, what counts as a purchase, that none knows its future, and
//! that what is learned from them is the truth that made them.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use nextbest_models::artifact::{Artifact, ArtifactBuilder, Metadata};
use nextbest_models::customer::CustomerId;
use nextbest_models::event::{AttributeValue, Event, EventDraft};
use nextbest_models::pricing::ShownItem;
use nextbest_models::pricing::purchase::{ITEM_COLUMNS, PURCHASE};
use nextbest_models::project::Project;
use nextbest_models::units::{DAY_MS, Money, Seed, Timestamp};
use nextbest_training::dataset::Dataset;
use nextbest_training::learner;
use nextbest_training::purchase::{self, PurchasePlan, Showings};
use nextbest_training::selection::{self, Parts, PropensityRequest, Target, Validation};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SPAN_DAYS: i32 = 200;
const SETTINGS: &str = r#"
    name = "test"
    currency = "GBP"
    time_zone = "UTC"
    lateness_days = 7
    [activity]
    event = ["order_placed"]
    window_days = 90
    [labels.conversion]
    kind = "presence"
    event = ["order_placed"]
    horizon_days = 20
    [purchases]
    horizon_days = 2
    price_by = ["thrift"]
    [training]
    n_cutoffs = 6
    step_days = 20
    seed = 7
    [lifecycle]
    active_from_days = 3
    loyal_from_days = 8
    at_risk_days = 60
    defected_days = 120
"#;
const FEATURES: &str = r#"
    [[feature]]
    name = "thrift"
    kind = "attribute"
    of = "attributes.thrift"
    unit = "share"
    [[feature]]
    name = "orders_60d"
    kind = "count"
    event = ["order_placed"]
    window_days = 60
    unit = "lines"
    missing = "zero"
"#;
const POLICY: &str = "[[action]]\nid = \"a\"\ncampaign_type = \"upsell\"\nstages = [\"active\"]\npropensity = \"conversion\"\n\
                      value = { fixed_minor = 100 }\n[[action.treatment]]\nid = \"a_email\"\nchannel = \"email\"\n";

fn project() -> Project {
    Project::read(|name| {
        Ok(match name {
            "nextbest.toml" => SETTINGS.to_owned(),
            "features.toml" => FEATURES.to_owned(),
            "policy.toml" => POLICY.to_owned(),
            _ => include_str!("../../examples/shop/pricing.toml").to_owned(),
        })
    })
    .unwrap()
}

fn start() -> Timestamp {
    "2025-01-01T00:00:00Z".parse().unwrap()
}

fn plan(project: &Project, n_shown: u64) -> PurchasePlan {
    let rule = project.settings.purchases.as_ref().unwrap();
    PurchasePlan::new(project, rule, n_shown, (start(), start().plus_days(SPAN_DAYS))).unwrap()
}

/// An event of `kind` on `day` about a SKU at a price, its list price 1099.
fn event(id: &str, kind: &str, day: f64, sku: &str, minor: i64) -> Event {
    draft(id, kind, day, sku, minor).try_into().unwrap()
}

fn draft(id: &str, kind: &str, day: f64, sku: &str, minor: i64) -> EventDraft {
    EventDraft {
        event_id: id.to_owned(),
        event_type: kind.to_owned(),
        occurred_at: Some(start().plus_millis((day * DAY_MS as f64) as i64)),
        customer_id: Some("c".to_owned()),
        sku: Some(sku.to_owned()),
        quantity: Some(1),
        value: Some(Money { amount_minor: minor, currency: "GBP".parse().unwrap() }),
        attributes: BTreeMap::from([("list_price_minor".to_owned(), AttributeValue::Number(1099.0))]),
        ..EventDraft::default()
    }
}

/// As the event log keeps them.
fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|a, b| {
        (a.known(), a.occurred_at, &a.event_id).cmp(&(b.known(), b.occurred_at, &b.event_id))
    });
    events
}

fn rows(project: &Project, events: Vec<Event>) -> Dataset {
    let plan = plan(project, 1);
    let mut showings = Showings::default();
    plan.replay(project, &CustomerId::new("c").unwrap(), &in_order(events), &mut showings);
    plan.dataset(project, &showings).unwrap().1
}

fn outcomes(project: &Project, events: Vec<Event>) -> Vec<bool> {
    rows(project, events).labelled(PURCHASE).unwrap().outcomes
}

#[test]
fn a_purchase_is_an_order_of_that_product_within_the_horizon() {
    let project = project();
    let shown = || event("s", "price_shown", 40.0, "COFFEE-04", 999);
    let order = |day, sku| event("o", "order_placed", day, sku, 999);
    assert_eq!(outcomes(&project, vec![shown()]), [false]);
    assert_eq!(outcomes(&project, vec![shown(), order(40.1, "COFFEE-04")]), [true]);
    assert_eq!(outcomes(&project, vec![shown(), order(41.99, "COFFEE-04")]), [true]);
    assert_eq!(outcomes(&project, vec![shown(), order(42.0, "COFFEE-04")]), [false], "the horizon is open");
    assert_eq!(outcomes(&project, vec![shown(), order(39.9, "COFFEE-04")]), [false], "before it was shown");
    assert_eq!(outcomes(&project, vec![shown(), order(40.1, "COFFEE-10")]), [false], "another product");
    let back = EventDraft {
        refers_to: Some(nextbest_models::event::Reference {
            event_id: "o".into(),
            occurred_at: start().plus_millis((40.1 * DAY_MS as f64) as i64),
            whole: true,
        }),
        ..draft("x", "order_cancelled", 50.0, "COFFEE-04", 999)
    };
    let back = Event::try_from(back).unwrap();
    assert_eq!(outcomes(&project, vec![shown(), order(40.1, "COFFEE-04"), back]), [false], "taken back");
}

#[test]
fn of_one_day_the_last_showing_stands_and_the_row_says_its_price() {
    let project = project();
    let events = vec![
        event("a", "price_shown", 40.1, "COFFEE-04", 1099),
        event("b", "price_shown", 40.5, "COFFEE-04", 879),
        event("c", "price_shown", 40.6, "COFFEE-10", 1099),
        event("d", "price_shown", 41.1, "COFFEE-04", 1319),
    ];
    let dataset = rows(&project, events);
    assert_eq!(dataset.n_rows(), 3);
    let price = project.schema.names().len() + ITEM_COLUMNS.len();
    let ratios: Vec<f64> = (0..3).map(|row| dataset.row(row)[price].exp() * 1099.0).collect();
    for (ratio, expected) in ratios.iter().zip([879.0, 1099.0, 1319.0]) {
        assert!((ratio - expected).abs() < 1e-9, "{ratios:?}");
    }
}

#[test]
fn no_row_is_told_what_came_at_or_after_its_showing() {
    let project = project();
    let before = vec![
        event("o0", "order_placed", 38.0, "COFFEE-10", 500),
        event("s", "price_shown", 40.0, "COFFEE-04", 999),
    ];
    let mut after = before.clone();
    after.extend([
        event("o1", "order_placed", 40.0, "COFFEE-04", 999),
        event("o2", "order_placed", 60.0, "COFFEE-10", 500),
    ]);
    let (without, with) = (rows(&project, before), rows(&project, after));
    let level = project.schema.names().len() + 1;
    assert_eq!(with.n_rows(), 1);
    for (at, (a, b)) in without.row(0).iter().zip(with.row(0)).enumerate() {
        assert!(a.to_bits() == b.to_bits(), "column {at}: {a} {b}");
    }
    // Its own outcome is the only one there is: its level is told by the other half, which has nobody.
    assert_eq!(with.row(0)[level], 0.0);
}

#[test]
fn showings_are_thinned_evenly() {
    let project = project();
    let id = CustomerId::new("c").unwrap();
    let events: Vec<Event> = (0..2000)
        .map(|at| {
            event(&format!("s{at}"), "price_shown", 10.0 + f64::from(at) * 0.05, &format!("P{at}"), 999)
        })
        .collect();
    let kept = |n_shown| {
        let plan = plan(&project, n_shown);
        let mut showings = Showings::default();
        plan.replay(&project, &id, &events, &mut showings);
        plan.dataset(&project, &showings).unwrap().1.n_rows() as f64
    };
    let (all, quarter) = (kept(1), kept(160_000));
    // max_rows is 40,000 unless said otherwise: a quarter of 160,000. Four standard errors.
    assert!((quarter / all - 0.25).abs() < 4.0 * (0.25 * 0.75 / all).sqrt(), "{quarter} of {all}");
}

/// Customers whose log-odds fall by `2 + 6 thrift` times the log of the price ratio; the price is drawn.
fn shop(project: &Project, seed: u64, n_customers: usize) -> (Artifact, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n_shown = 25;
    let plan = plan(project, 1);
    let mut showings = Showings::default();
    for customer in 0..n_customers {
        let thrift = rng.random::<f64>();
        let mut events = vec![];
        let attributes = BTreeMap::from([("thrift".to_owned(), AttributeValue::Number(thrift))]);
        let set = EventDraft {
            attributes,
            sku: None,
            value: None,
            quantity: None,
            ..draft("t", "attribute_set", 1.0, "COFFEE-04", 1)
        };
        events.push(Event::try_from(set).unwrap());
        for at in 0..n_shown {
            let day = 5.0 + rng.random::<f64>() * 190.0;
            let (sku, base) = [("COFFEE-04", -1.0), ("MUGS-03", 0.0)][rng.random_range(0..2)];
            let price = rng.random_range(880..1320);
            events.push(event(&format!("s{at}"), "price_shown", day, sku, price));
            let odds = base - (2.0 + 6.0 * thrift) * (price as f64 / 1099.0).ln();
            if rng.random::<f64>() < 1.0 / (1.0 + (-odds).exp()) {
                events.push(event(&format!("o{at}"), "order_placed", day + 0.01, sku, price));
            }
        }
        let id = CustomerId::new(format!("c{customer}")).unwrap();
        for event in &mut events {
            event.customer_id = Some(id.clone());
        }
        plan.replay(project, &id, &in_order(events), &mut showings);
    }
    let (spec, dataset) = plan.dataset(project, &showings).unwrap();
    let split = plan.periods().split();
    let request = PropensityRequest {
        name: PURCHASE,
        target: Target::Purchase(&spec),
        dataset: &dataset,
        validation: Validation::InTime(Parts::by_cutoff(&dataset, PURCHASE, split).unwrap()),
        split: Some(split.clone()),
        seed: Seed(7),
    };
    let trained = selection::train(&request, &learner::constrained(&purchase::monotone(&spec))).unwrap();
    let mut builder = ArtifactBuilder::new(Metadata {
        name: "test".into(),
        schema_fingerprint: project.schema.fingerprint().to_owned(),
        feature_names: project.schema.names().to_vec(),
        trained_through: start(),
        code_version: "test".into(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: vec![],
    });
    let n_fit = trained.report.counts["n_fit"] as f64;
    builder.propensity(trained.parts);
    (builder.seal().unwrap(), n_fit)
}

#[test]
fn what_is_learned_falls_with_the_price_for_everybody_and_more_for_the_thrifty() {
    let project = project();
    let (artifact, n_fit) = shop(&project, 11, 1200);
    let model = artifact.purchase().unwrap();
    let prices: Vec<i64> = (880..1320).step_by(20).collect();
    let mut errors = Vec::new();
    for thrift in [0.1, 0.5, 0.9] {
        for (sku, category, base) in [("COFFEE-04", "coffee", -1.0), ("MUGS-03", "mugs", 0.0)] {
            let item = ShownItem { sku, category: Some(category), list_price_minor: 1099 };
            let told = model.probabilities(&[thrift, 2.0], item, &prices);
            assert!(told.windows(2).all(|pair| pair[1] <= pair[0]), "{sku} {thrift}: {told:?}");
            for (price, told) in prices.iter().zip(&told) {
                let odds = base - (2.0 + 6.0 * thrift) * (*price as f64 / 1099.0).ln();
                errors.push(told.get() - 1.0 / (1.0 + (-odds).exp()));
            }
        }
    }
    // Ten parameters of n rows whose outcomes vary by a quarter at most: a mean square of about 10 / 4 n of the fitted
    // probabilities; four times as much in its root.
    let root = (errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64).sqrt();
    assert!(root < 4.0 * (10.0 / 4.0 / n_fit).sqrt(), "{root} of {n_fit} rows");
    artifact.check_golden().unwrap();
}
