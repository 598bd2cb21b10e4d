//! Activating deferred decisions: caps and budgets are asked when the caller goes ahead, each time for what is open.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nextbest_functions::keys::Role;
use nextbest_functions::store::{BudgetState, Draw};
use nextbest_models::units::Timestamp;
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{key, now};
use nextbest_tests::world::{World, post};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const MINUTE_MS: i64 = 60_000;

/// A budget of `max` contacts a day, whatever they are about; what is held is given back after half an hour.
fn budget(max: usize) -> String {
    format!(
        "[contact]\nreserve_minutes = 30\n\
         [[budget]]\nid = \"day\"\nperiod = \"day\"\nmax_contacts = {max}\n"
    )
}

fn deferred(customer: &str, max_actions: u32) -> Value {
    json!({ "customer_id": customer, "max_actions": max_actions, "defer_activation": true })
}

fn activation(decision: &Value) -> String {
    format!("/v1/decisions/{}/activate", decision["decision_id"].as_str().unwrap())
}

async fn spent(world: &World) -> BudgetState {
    let day = Draw { budget_id: "day".to_owned(), period: now().day().start(), cost_minor: 0 };
    world.app.store.budget(&day).await.unwrap()
}

/// Contacts that draw on the budget, and how many of them are still held.
async fn counts(world: &World) -> (i64, i64) {
    let budget = spent(world).await;
    (budget.n_contacts, budget.held.values().map(|(n, _)| n).sum())
}

/// Activates at another process, at `at`.
async fn activate_at(world: &World, at: Timestamp, decision: &Value) -> (StatusCode, Value) {
    let (base, _app) = world.again(at).await;
    post(&world.client, &base, key(&world.keys, Role::Crm), &activation(decision), &json!({})).await
}

#[tokio::test]
async fn actions_of_one_decision_are_activated_one_after_the_other() {
    let world = World::new(&budget(5)).await;
    world.order(&["ann".to_owned()]).await;
    let decision = world.decide(deferred("ann", 2)).await;
    let actions: Vec<&Value> =
        decision["actions"].as_array().unwrap().iter().map(|action| &action["action_id"]).collect();
    assert_eq!(actions.len(), 2, "{decision}");
    for (n_made, action) in (1..).zip(actions) {
        let (status, told) = world.post(&activation(&decision), &json!({ "action_ids": [action] })).await;
        assert_eq!((status, &told["action_ids"]), (StatusCode::OK, &json!([action])), "{told}");
        assert!(told["held_by"].is_string(), "{told}");
        assert_eq!(counts(&world).await, (n_made, 0));
    }
    // Both again: nothing is asked, held or made.
    let both =
        json!({ "action_ids": [decision["actions"][0]["action_id"], decision["actions"][1]["action_id"]] });
    let (status, told) = world.post(&activation(&decision), &both).await;
    assert_eq!((status, &told["held_by"]), (StatusCode::OK, &Value::Null), "{told}");
    assert_eq!(counts(&world).await, (2, 0));
}

#[tokio::test]
async fn who_races_to_activate_one_decision_makes_one_contact() {
    let world = Arc::new(World::new(&budget(5)).await);
    world.order(&["ann".to_owned()]).await;
    let decision = world.decide(deferred("ann", 1)).await;
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (world, path) = (Arc::clone(&world), activation(&decision));
        callers.spawn(async move { world.post(&path, &json!({})).await });
    }
    for (status, told) in callers.join_all().await {
        assert_eq!(status, StatusCode::OK, "{told}");
    }
    assert_eq!(counts(&world).await, (1, 0));
}

/// The hold went through, the contact did not; by the time the caller tries again the room is somebody else's.
#[tokio::test]
async fn what_was_held_and_not_made_in_time_is_asked_for_anew() {
    // Of the transactions from 1 on, the first passes: it holds. Those that would make the contact fail.
    let transactions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&transactions);
    let plan = move |operation: &str, _: usize| match operation {
        "TransactWriteItems" if counted.load(Ordering::SeqCst) > 0 => {
            if counted.fetch_add(1, Ordering::SeqCst) == 1 { Fault::None } else { Fault::Fail }
        }
        _ => Fault::None,
    };
    let world = World::with(&budget(1), Duration::from_secs(20), plan).await;
    world.order(&["ann".to_owned(), "bob".to_owned()]).await;
    let decision = world.decide(deferred("ann", 1)).await;
    transactions.store(1, Ordering::SeqCst);
    let (status, told) = world.post(&activation(&decision), &json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    transactions.store(0, Ordering::SeqCst);
    assert_eq!(counts(&world).await, (1, 1));
    // What was held for half an hour is given back by whoever finds the budget spent, a quarter of an hour later at most.
    let later = now().plus_millis(60 * MINUTE_MS);
    let bob = world.decide(deferred("bob", 1)).await;
    let (status, told) = activate_at(&world, later, &bob).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    let (status, told) = activate_at(&world, later.plus_millis(MINUTE_MS), &decision).await;
    assert_eq!((status, &told["code"]), (StatusCode::CONFLICT, &json!("budget_exhausted")), "{told}");
    assert_eq!(counts(&world).await, (1, 0));
    // The day after there is room: what was refused once is not refused for ever.
    let (status, told) = activate_at(&world, now().plus_days(1), &decision).await;
    assert_eq!(status, StatusCode::OK, "{told}");
}

#[tokio::test]
async fn a_store_that_is_away_is_told_as_such() {
    let away = Arc::new(AtomicUsize::new(0));
    let broken = Arc::clone(&away);
    let plan = move |operation: &str, _: usize| match operation {
        "TransactWriteItems" if broken.load(Ordering::SeqCst) > 0 => Fault::Fail,
        _ => Fault::None,
    };
    let world = World::with(&budget(1), Duration::from_secs(20), plan).await;
    world.order(&["ann".to_owned()]).await;
    let decision = world.decide(deferred("ann", 1)).await;
    away.store(1, Ordering::SeqCst);
    let (status, told) = world.post(&activation(&decision), &json!({})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{told}");
    away.store(0, Ordering::SeqCst);
    let (status, told) = world.post(&activation(&decision), &json!({})).await;
    assert_eq!(status, StatusCode::OK, "{told}");
    assert_eq!(counts(&world).await, (1, 0));
}

/// The form that was offered is the one that is asked for: another channel's room is no room for it.
#[tokio::test]
async fn what_is_activated_is_what_was_offered_and_only_by_the_decision_that_offered_it() {
    let world = World::new(&budget(5)).await;
    world.order(&["ann".to_owned()]).await;
    let decision = world.decide(deferred("ann", 1)).await;
    let offered = &decision["actions"][0];
    let wish = json!({ "action_ids": [offered["action_id"], offered["action_id"]] });
    let (status, told) = world.post(&activation(&decision), &wish).await;
    assert_eq!((status, &told["action_ids"]), (StatusCode::OK, &json!([offered["action_id"]])), "{told}");
    let held = world.record(&json!({ "decision_id": told["held_by"] })).await;
    assert_eq!(held.question.treatments, [offered["treatment_id"].as_str().unwrap()]);
    assert_eq!(*held.decision.actions[0].treatment_id, *offered["treatment_id"].as_str().unwrap());
    assert_eq!(held.holds_for.as_deref(), decision["decision_id"].as_str());
    let path = format!("/v1/decisions/{}/activate", told["held_by"].as_str().unwrap());
    let (status, told) = world.post(&path, &json!({})).await;
    assert_eq!((status, &told["code"]), (StatusCode::CONFLICT, &json!("holds_for_another")), "{told}");
    assert_eq!(counts(&world).await, (1, 0));
}
