//! Caps and budgets under races and faults: never exceeded, nothing held for ever; decisions that can be made again.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nextbest_functions::app::App;
use nextbest_functions::clock::{Clock, Stopwatch};
use nextbest_functions::decisions::record::{NotReplayable, Record};
use nextbest_functions::keys::Role;
use nextbest_functions::store::{CALL_LIMIT, Draw, Store};
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{key, now};
use nextbest_tests::world::{World, post};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// The fixture's policy with a cap of `cap` a week on e-mail and a budget of `budget` follow-ups a day.
fn limits(cap: u32, budget: u32) -> String {
    format!(
        "[contact]\nreserve_minutes = 30\n\
         [[cap]]\nid = \"week\"\nchannel = \"email\"\nmax = {cap}\nwindow_days = 7\n\
         [[budget]]\nid = \"day\"\ncampaign_type = \"follow_up\"\nperiod = \"day\"\nmax_contacts = {budget}\n"
    )
}

fn day() -> Draw {
    Draw { budget_id: "day".to_owned(), period: now().day().start(), cost_minor: 0 }
}

fn email(customer: &str) -> Value {
    json!({ "customer_id": customer, "context": { "channel": "email", "direction": "outbound" } })
}

/// `n` callers at once; the number of contacts that they were offered.
async fn race(world: &Arc<World>, n: usize, body: impl Fn(usize) -> Value) -> usize {
    let mut running = JoinSet::new();
    for caller in 0..n {
        let (world, body) = (world.clone(), body(caller));
        running.spawn(async move { world.decide(body).await["actions"].as_array().unwrap().len() });
    }
    running.join_all().await.into_iter().sum()
}

/// Three of ten calls fail in one of the ways in which stores fail, the same for every run.
fn three_of_ten(n_calls: &Arc<AtomicUsize>) -> impl Fn(&str, usize) -> Fault + Send + Sync + 'static {
    let n_calls = n_calls.clone();
    move |operation, _| {
        if operation == "CreateTable" || operation == "DescribeTable" {
            return Fault::None;
        }
        let call = n_calls.fetch_add(1, Ordering::SeqCst);
        match call * 7 % 10 {
            0 => Fault::Throttle,
            1 => Fault::LoseAnswer,
            2 => Fault::Fail,
            _ => Fault::None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_holds_against_64_callers_of_one_customer() {
    let world = Arc::new(World::new(&limits(2, 1000)).await);
    world.order(&["ann".to_owned()]).await;
    assert_eq!(race(&world, 64, |_| email("ann")).await, 2);
    let decision = world.decide(email("ann")).await;
    let fallen = &decision["suppressed"][0];
    assert_eq!(
        (&fallen["component"], &fallen["code"]),
        (&json!("week"), &json!("cap_reached")),
        "{decision}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_holds_against_64_callers_of_64_customers() {
    let world = Arc::new(World::new(&limits(2, 10)).await);
    let customers: Vec<String> = (0..64).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    assert_eq!(race(&world, 64, |caller| email(&customers[caller])).await, 10);
    assert_eq!(world.app.store.budget(&day()).await.unwrap().n_contacts, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_and_budgets_hold_while_three_of_ten_calls_fail() {
    let calls = Arc::new(AtomicUsize::new(0));
    let world = Arc::new(World::with(&limits(1, 10), Duration::from_secs(20), three_of_ten(&calls)).await);
    let customers: Vec<String> = (0..32).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    // Each customer twice at once.
    let n_offered = race(&world, 64, |caller| email(&customers[caller / 2])).await;
    let held = world.app.store.budget(&day()).await.unwrap();
    // An answer that was lost may have held a contact nobody was told of; never the other way round.
    assert!(n_offered <= 10 && held.n_contacts <= 10, "{n_offered} offered, {held:?}");
    assert!(n_offered > 0);
    let clean = Store::local(&world.endpoint, "nextbest");
    for customer in &customers {
        let subject = nextbest_functions::store::Subject::Customer(customer.parse_id());
        let stored = clean.customer(&subject, &world.app.project.schema).await.unwrap().unwrap();
        assert!(stored.reservations.len() <= 1, "{customer} has {:?}", stored.reservations);
    }
    // Nothing is held for ever: an hour later the whole budget is there again.
    let (_, later) = world.again(now().plus_millis(3_600_000)).await;
    later.store.give_back_expired(&day(), later.clock.now()).await.unwrap();
    assert_eq!(later.store.budget(&day()).await.unwrap().n_contacts, 0);
}

trait ParseId {
    fn parse_id(&self) -> nextbest_models::customer::CustomerId;
}

impl ParseId for String {
    fn parse_id(&self) -> nextbest_models::customer::CustomerId {
        nextbest_models::customer::CustomerId::new(self.clone()).unwrap()
    }
}

#[tokio::test]
async fn what_is_not_activated_in_time_is_given_back_and_what_is_stays() {
    let world = World::new(&limits(1, 2)).await;
    world.order(&["ann".to_owned(), "bob".to_owned(), "eve".to_owned()]).await;
    let (ann, bob) = (world.decide(email("ann")).await, world.decide(email("bob")).await);
    let path = format!("/v1/decisions/{}/activate", ann["decision_id"].as_str().unwrap());
    for _ in 0..2 {
        let (status, told) = world.post(&path, &json!({})).await;
        assert_eq!((status, &told["action_ids"]), (StatusCode::OK, &json!(["second_order"])), "{told}");
    }
    let full = world.decide(email("eve")).await;
    assert_eq!(full["suppressed"][0]["code"], "budget_exhausted", "{full}");
    let (base, app) = world.again(now().plus_millis(3_600_000)).await;
    // Ann's contact was made and counts; Bob's was not, and Eve gets its place.
    let crm = key(&world.keys, Role::Crm);
    let path = format!("/v1/decisions/{}/activate", bob["decision_id"].as_str().unwrap());
    let (status, told) = post(&world.client, &base, crm, &path, &json!({})).await;
    assert_eq!((status, &told["code"]), (StatusCode::GONE, &json!("activation_expired")));
    let (_, eve) = post(&world.client, &base, crm, "/v1/decisions/next-best-action", &email("eve")).await;
    assert_eq!(eve["outcome"], "offer", "{eve}");
    let (_, ann) = post(&world.client, &base, crm, "/v1/decisions/next-best-action", &email("ann")).await;
    assert_eq!(ann["suppressed"][0]["code"], "cap_reached", "{ann}");
    assert_eq!(app.store.budget(&day()).await.unwrap().n_contacts, 2);
}

#[tokio::test]
async fn two_actions_of_a_decision_draw_on_one_budget_and_are_made_together() {
    let both = "[[budget]]\nid = \"day\"\nperiod = \"day\"\nmax_contacts = 5\n";
    let world = World::new(both).await;
    world.order(&["ann".to_owned()]).await;
    let decision = world.decide(json!({ "customer_id": "ann", "max_actions": 2 })).await;
    assert_eq!(decision["actions"].as_array().unwrap().len(), 2, "{decision}");
    let path = format!("/v1/decisions/{}/activate", decision["decision_id"].as_str().unwrap());
    let actions = json!({ "action_ids": ["second_order", "stay_with_us"] });
    let (status, told) = world.post(&path, &actions).await;
    assert_eq!(status, 200, "{told}");
    let budget = world.app.store.budget(&day()).await.unwrap();
    assert_eq!((budget.n_contacts, budget.held.values().map(|(n, _)| n).sum::<i64>()), (2, 0));
}

#[tokio::test]
async fn a_deferred_decision_is_counted_when_it_is_activated() {
    let world = World::new(&limits(1, 10)).await;
    world.order(&["ann".to_owned()]).await;
    let deferred = || {
        let mut body = email("ann");
        body["defer_activation"] = json!(true);
        body
    };
    let (first, second) = (world.decide(deferred()).await, world.decide(deferred()).await);
    assert_eq!((&first["outcome"], &second["outcome"]), (&json!("offer"), &json!("offer")));
    assert_eq!(world.app.store.budget(&day()).await.unwrap().n_contacts, 0);
    let activate =
        |decision: &Value| format!("/v1/decisions/{}/activate", decision["decision_id"].as_str().unwrap());
    assert_eq!(world.post(&activate(&first), &json!({})).await.0, 200);
    assert_eq!(world.post(&activate(&first), &json!({})).await.0, 200);
    // Asking again does not get round the cap.
    for _ in 0..2 {
        let (status, told) = world.post(&activate(&second), &json!({})).await;
        assert_eq!((status, &told["code"]), (StatusCode::CONFLICT, &json!("cap_reached")), "{told}");
    }
    let budget = world.app.store.budget(&day()).await.unwrap();
    assert_eq!((budget.n_contacts, budget.held.values().map(|(n, _)| n).sum::<i64>()), (1, 0));
}

#[tokio::test]
async fn a_decision_reads_once_and_writes_once() {
    let calls: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
    let seen = calls.clone();
    let plan = move |operation: &str, _: usize| {
        seen.lock().unwrap().push(operation.to_owned());
        Fault::None
    };
    let world = World::with(&limits(2, 10), Duration::from_secs(20), plan).await;
    world.order(&["ann".to_owned()]).await;
    let count = async |body: Value| {
        calls.lock().unwrap().clear();
        world.decide(body).await;
        calls.lock().unwrap().clone()
    };
    assert_eq!(count(email("ann")).await, ["GetItem", "TransactWriteItems"]);
    // By phone nothing is counted.
    let phone = json!({ "customer_id": "ann", "context": { "channel": "phone" } });
    assert_eq!(count(phone).await, ["GetItem", "PutItem"]);
    assert_eq!(count(json!({ "customer_id": "ann", "mode": "dry_run" })).await, ["GetItem"]);
}

#[tokio::test]
async fn a_logged_decision_is_made_again_bit_for_bit_or_says_why_not() {
    let world = World::new(&limits(2, 10)).await;
    world.order(&["ann".to_owned()]).await;
    for body in
        [email("ann"), json!({ "customer_id": "ann", "max_actions": 3 }), json!({ "anonymous_id": "v" })]
    {
        let decision = world.decide(body).await;
        let record = world.record(&decision).await;
        let artifact = world.app.artifact.as_ref();
        assert_eq!(record.replay(&world.app.project, artifact), Ok(Vec::new()));
        let mut altered = record.clone();
        altered.situation.features[3] = 7.0;
        let differences = altered.replay(&world.app.project, artifact).unwrap();
        assert!(differences.iter().any(|one| one.path.starts_with("situation.scores")), "{differences:?}");
        let gone = record.replay(&world.app.project, None).unwrap_err();
        let NotReplayable::ArtifactGone { logged } = &gone else { panic!("{gone}") };
        assert!(gone.to_string().contains(logged) && Some(logged) == record.artifact_sha256.as_ref());
        let other = Record { policy_sha256: "00".repeat(32), ..record };
        let refused = other.replay(&world.app.project, artifact).unwrap_err();
        assert!(refused.to_string().contains(&"00".repeat(32)), "{refused}");
    }
}

#[tokio::test]
async fn without_the_store_only_what_nobody_counts_is_offered() {
    let away = Arc::new(AtomicUsize::new(0));
    let broken = away.clone();
    let plan = move |_: &str, _: usize| match broken.load(Ordering::SeqCst) {
        0 => Fault::None,
        _ => Fault::Fail,
    };
    let world = World::with(&limits(2, 10), Duration::from_secs(1), plan).await;
    world.order(&["ann".to_owned()]).await;
    let first = world.decide(email("ann")).await;
    assert_eq!((&first["outcome"], &first["degraded"]), (&json!("offer"), &json!([])));
    away.store(1, Ordering::SeqCst);
    let begun = Stopwatch::start();
    let second = world.decide(json!({ "customer_id": "ann", "max_actions": 3 })).await;
    // Remembered from the request before: stale, so that e-mail under its cap falls and the call does not.
    let degraded = second["degraded"].as_array().unwrap();
    assert!(
        degraded.contains(&json!("stale_features")) && degraded.contains(&json!("not_logged")),
        "{second}"
    );
    assert_eq!(second["actions"][0]["action_id"], "stay_with_us", "{second}");
    let fallen = |code: &str| second["suppressed"].as_array().unwrap().iter().any(|one| one["code"] == code);
    assert!(fallen("limits_unknown"), "{second}");
    // The deadline of one second; without it a single call would go on for four.
    assert!(begun.elapsed() < CALL_LIMIT);
    let stranger = world.decide(json!({ "customer_id": "nobody" })).await;
    assert_eq!(stranger["lifecycle_stage"], json!("aware"), "{stranger}");
}

#[tokio::test]
async fn a_project_with_a_rule_that_is_wrong_does_not_open() {
    let world = World::new("").await;
    let file = world.folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let wrong = text.replacen(
        "propensity = \"conversion\"",
        "propensity = \"conversion\"\neligibility = [\"features.order_90d > 1\"]",
        1,
    );
    std::fs::write(&file, wrong).unwrap();
    let error = App::open(&world.config, Store::local(&world.endpoint, "nextbest"), Clock::fixed(now()));
    let error = error.err().unwrap().to_string();
    assert!(error.contains("policy.toml:7:17: ") && error.contains("orders_90d"), "{error}");
    assert!(Path::new(&file).exists());
}
