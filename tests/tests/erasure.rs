//! A customer who is erased: hidden at once from lists that were built before, gone from the store, and free to come back.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_functions::events::expiry_seconds;
use nextbest_functions::keys::Role;
use nextbest_functions::snapshot;
use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use nextbest_tests::desk::{Desk, QUOTE, basket};
use nextbest_tests::fixture::{key, now, order_json};
use nextbest_tests::world::World;
use serde_json::{Value, json};

const N_CUSTOMERS: usize = 120;
/// Kept in the lists of the fixture: ordered twice, lately.
const ERASED: &str = "c17";

fn customer() -> CustomerId {
    CustomerId::new(ERASED).unwrap()
}

fn orders_of(customer: &str, days: i32) -> Vec<Value> {
    (0..2).map(|order| order_json(customer, order, days + i32::try_from(order).unwrap(), 2_000)).collect()
}

async fn shop() -> World {
    let world = World::new("").await;
    let customers: Vec<usize> = (0..N_CUSTOMERS).collect();
    for part in customers.chunks(60) {
        let events: Vec<Value> = part
            .iter()
            .flat_map(|n| orders_of(&format!("c{n}"), 1 + i32::try_from(n % 90).unwrap()))
            .collect();
        assert_eq!(world.post("/v1/events", &json!({ "events": events })).await.0, 200);
    }
    world
}

/// The ids of the whole list with their ranks, from a process that starts at `at`.
async fn listed(world: &World, base: &str) -> Vec<(u64, String)> {
    let url = format!("{base}/v1/at-risk?limit=500");
    let request = world.client.get(url).header("x-api-key", key(&world.keys, Role::Retention));
    let list: Value = request.send().await.unwrap().json().await.unwrap();
    assert!(list["next_cursor"].is_null(), "{list}");
    let row = |row: &Value| (row["rank"].as_u64().unwrap(), row["customer_id"].as_str().unwrap().to_owned());
    list["customers"].as_array().unwrap().iter().map(row).collect()
}

async fn erase(world: &World, at: Timestamp) -> std::collections::BTreeMap<String, usize> {
    let (_, app) = world.again(at).await;
    app.store.mark_erased(&customer(), at, expiry_seconds(at, snapshot::KEEP_DAYS + 1)).await.unwrap();
    app.store.delete_customer(&customer()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_between_build_and_page_is_on_no_page() {
    let world = shop().await;
    let (_, app) = world.again(now()).await;
    snapshot::build(&app).await.unwrap();
    let (base, _) = world.again(now()).await;
    let before = listed(&world, &base).await;
    assert!(before.iter().any(|(_, id)| id == ERASED));

    erase(&world, now().plus_millis(1)).await;
    // A process that asked a moment ago knows within a minute; one that starts knows at once.
    let (base, _) = world.again(now().plus_millis(60_000)).await;
    let after = listed(&world, &base).await;
    // The others keep their ranks: a list that is being worked off does not move.
    let expected: Vec<(u64, String)> = before.into_iter().filter(|(_, id)| id != ERASED).collect();
    assert_eq!(after, expected);
    let url = format!("{base}/v1/at-risk/exports");
    let request = world.client.post(url).header("x-api-key", key(&world.keys, Role::Retention));
    let export: Value =
        request.json(&json!({ "n_customers": N_CUSTOMERS })).send().await.unwrap().json().await.unwrap();
    let url = format!("{base}{}", export["download"].as_str().unwrap());
    let request = world.client.get(url).header("x-api-key", key(&world.keys, Role::Retention));
    let csv = request.send().await.unwrap().text().await.unwrap();
    assert!(csv.lines().count() > 10 && !csv.contains(&format!(",{ERASED},")), "{csv}");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_names_them_is_deleted_and_nobody_else_is_touched() {
    let world = shop().await;
    let (other, mut decisions) = ("c18", Vec::new());
    for id in [ERASED, other] {
        let decision = world.decide(json!({ "customer_id": id })).await;
        decisions.push(decision["decision_id"].as_str().unwrap().to_owned());
    }
    let outcome = json!({
        "event_id": "out", "type": "clicked", "occurred_at": now(), "customer_id": ERASED,
        "decision_id": decisions[0],
    });
    assert_eq!(world.post("/v1/events", &json!({ "events": [outcome] })).await.0, 200);
    let desk = Desk::at(&world, now()).await;
    let mut quotes = Vec::new();
    for id in [ERASED, other] {
        let (status, quote) = desk.post(QUOTE, &basket(id)).await;
        assert_eq!(status, 200, "{quote}");
        quotes.push(quote["quote_id"].as_str().unwrap().to_owned());
    }
    let n_items = erase(&world, now()).await;
    // The state, the decision with its outcome, the quote; and promises, changes of stage where there were some.
    assert_eq!((n_items["customer"], n_items["decision"], n_items["quote"]), (1, 2, 1), "{n_items:?}");
    let store = &desk.world.again(now()).await.1.store;
    for (at, there) in [(0, false), (1, true)] {
        assert_eq!(store.decision(&decisions[at], i64::MIN).await.unwrap().is_some(), there);
        assert_eq!(store.quote(&quotes[at], i64::MIN).await.unwrap().is_some(), there);
    }
    assert!(store.stage_changes(&customer(), i64::MIN).await.unwrap().is_empty());
    // Again, there is nothing left to delete.
    assert!(erase(&world, now()).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_a_new_customer() {
    let world = shop().await;
    erase(&world, now().plus_millis(1)).await;
    let orders = orders_of(ERASED, 0).into_iter().map(|mut order| {
        order["event_id"] = format!("again-{}", order["event_id"].as_str().unwrap()).into();
        order
    });
    let events: Vec<Value> = orders.collect();
    assert_eq!(world.post("/v1/events", &json!({ "events": events })).await.0, 200);
    let (base, app) = world.again(now().plus_days(1)).await;
    snapshot::build(&app).await.unwrap();
    assert!(listed(&world, &base).await.iter().any(|(_, id)| id == ERASED));
}
