//! Parity is told where it is, a dearer group is found by how much, and what a group buys is not taken for what it pays.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::event::{AttributeValue, Event, EventDraft};
use nextbest_models::units::{DAY_MS, Money};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

const DAYS: i64 = 84;

fn project() -> Project {
    Project::read(|file| {
        std::fs::read_to_string(format!("{}/../examples/shop/{file}", env!("CARGO_MANIFEST_DIR")))
    })
    .unwrap()
}

fn start() -> Timestamp {
    "2026-01-05T00:00:00Z".parse().unwrap()
}

fn event(kind: &str, sku: &str, hour: i64, quantity: i64, minor: i64) -> Event {
    let draft = EventDraft {
        event_id: "e".into(),
        event_type: kind.into(),
        occurred_at: Some(start().plus_millis(hour * 3_600_000)),
        customer_id: Some("c".into()),
        sku: Some(sku.into()),
        quantity: Some(quantity),
        value: Some(Money { amount_minor: minor, currency: "GBP".parse().unwrap() }),
        attributes: BTreeMap::from([("list_price_minor".to_owned(), AttributeValue::Number(1099.0))]),
        ..EventDraft::default()
    };
    Event::try_from(draft).unwrap()
}

/// Customers of two groups: group B buys another mix of goods, and is charged `factor` times the price of the week.
fn shown(factor: f64, seed: u64) -> Vec<(&'static str, Vec<Event>)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let weekly: Vec<i64> = (0..DAYS / 7).map(|_| rng.random_range(900..1200)).collect();
    (0..800)
        .map(|customer| {
            let group = if customer % 2 == 0 { "A" } else { "B" };
            let events = (0..rng.random_range(1..12)).map(|_| {
                let hour = rng.random_range(0..DAYS * 24);
                let dear = rng.random::<f64>() < if group == "A" { 0.2 } else { 0.7 };
                let (sku, base) = if dear { ("COFFEE-10", 3) } else { ("COFFEE-04", 1) };
                let price = base * weekly[usize::try_from(hour / 24 / 7).unwrap()];
                let charged = if group == "B" { price as f64 * factor } else { price as f64 };
                // A penny or two either way: people are served by different tills.
                event("price_shown", sku, hour, 1, (charged * rng.random_range(0.99..1.01)).round() as i64)
            });
            (group, events.collect())
        })
        .collect()
}

fn groups(group: &str) -> BTreeSet<GroupKey> {
    BTreeSet::from([("group".to_owned(), group.to_owned())])
}

fn levels(project: &Project, customers: &[(&str, Vec<Event>)]) -> Levels {
    let mut levels = Levels::default();
    for (group, events) in customers {
        events.iter().for_each(|event| levels.add(project, None, &groups(group), event));
    }
    levels
}

fn look(customers: &[(&str, Vec<Event>)]) -> PriceAudit {
    let project = project();
    let levels = levels(&project, customers);
    let mut parity = Parity::default();
    for (group, events) in customers {
        parity.add(&project, &levels, &groups(group), events);
    }
    audit(&project, None, &levels, &parity, (start(), start().plus_millis(DAYS * DAY_MS)))
}

#[test]
fn what_a_group_buys_is_not_what_it_is_charged() {
    // Coverage over 100 worlds at parity: 95 of 100, standard deviation 2.2; five of them below is 84.
    let inside = (0..100).filter(|seed| {
        let audit = look(&shown(1.0, *seed));
        audit
            .groups
            .iter()
            .all(|group| group.price_ratio.is_some_and(|ratio| ratio.lo <= 1.0 && 1.0 <= ratio.hi))
    });
    assert!(inside.count() >= 84);
}

#[test]
fn a_dearer_group_is_found_by_how_much() {
    // The whole factor lies in the interval, though the group buys other goods: 95 of 100, five deviations below is 84.
    let inside = (0..100).filter(|seed| {
        let audit = look(&shown(1.05, *seed));
        let of = |value: &str| {
            audit.groups.iter().find(|group| group.value == value).unwrap().price_ratio.unwrap()
        };
        let (a, b) = (of("A"), of("B"));
        assert!(a.hi < 1.0 && b.lo > 1.0, "{a:?} {b:?}");
        // Of two groups each is everybody else of the other.
        assert!((a.value * b.value - 1.0).abs() < 1e-9);
        b.lo <= 1.05 && 1.05 <= b.hi
    });
    assert!(inside.count() >= 84);
}

#[test]
fn parts_add_up_to_the_whole() {
    let (project, customers) = (project(), shown(1.02, 3));
    let whole = look(&customers);
    let (left, right) = customers.split_at(300);
    let mut all = levels(&project, right);
    all.merge(levels(&project, left));
    let mut sum = Parity::default();
    for half in [right, left] {
        let mut parity = Parity::default();
        for (group, events) in half {
            parity.add(&project, &all, &groups(group), events);
        }
        sum.merge(&parity);
    }
    let parts = audit(&project, None, &all, &sum, (whole.from, whole.until));
    assert_eq!(
        (parts.n_shown, parts.n_customers, &parts.depths),
        (whole.n_shown, whole.n_customers, &whole.depths)
    );
    for (a, b) in parts.groups.iter().zip(&whole.groups) {
        // Sums of some thousand logarithms in another order.
        let (a, b) = (a.price_ratio.unwrap(), b.price_ratio.unwrap());
        assert!((a.value - b.value).abs() < 1e-12 && (a.lo - b.lo).abs() < 1e-9);
    }
}

#[test]
fn margins_are_what_was_paid_less_what_it_cost_and_what_came_back() {
    let project = project();
    let events = [
        event("price_shown", "COFFEE-04", 1, 1, 1099),
        event("order_placed", "COFFEE-04", 2, 3, 3 * 1099),
        event("refunded", "COFFEE-04", 3, 1, 1099),
        event("price_shown", "COFFEE-04", 4, 2, 2 * 989),
    ];
    let audit = look(&[("A", events.to_vec())]);
    let sku = &audit.skus[0];
    let cost = project.pricing.sku("COFFEE-04").unwrap().cost_minor.unwrap();
    assert_eq!((sku.n_shown, sku.n_units, sku.margin_minor), (2, 2, Some(2 * 1099 - 2 * cost)));
    assert_eq!(sku.mean_price_minor, Some((1099.0 + 989.0) / 2.0));
    assert_eq!(
        (sku.expected_units, sku.expected_margin_minor),
        (None, None),
        "without a demand model nothing is expected"
    );
    // Half of the prices at list, half 10.01 % below: in the third step of 5 %.
    assert_eq!((audit.depths[0], audit.depths[3]), (0.5, 0.5), "{:?}", audit.depths);
    assert!(
        audit.groups.is_empty() && audit.notes[0].contains("fewer than 30 customers"),
        "one customer is no group"
    );
}
