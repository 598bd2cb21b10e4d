//! Caps and budgets under races and faults: never exceeded, nothing held for ever; decisions that can be made again.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nextbest_functions::app::App;
use nextbest_functions::clock::{Clock, Stopwatch};
use nextbest_functions::decisions::record::{NotReplayable, Record};
use nextbest_functions::keys::Role;
use nextbest_functions::store::{CALL_LIMIT, Draw, Store, Subject};
use nextbest_models::customer::CustomerId;
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{key, now};
use nextbest_tests::world::{World, post};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const DECIDE: &str = "/v1/decisions/next-best-action";
const TRANSACT: &str = "TransactWriteItems";
const CALLERS: usize = 64;
/// A deadline below the two seconds that the SDK gives an attempt: who meets silence is answered without it.
const HURRIED: Duration = Duration::from_secs(1);
/// One that outlasts every attempt: only who is refused again and again is answered without the store.
const PATIENT: Duration = Duration::from_secs(20);

/// The fixture's policy with a cap of `cap` a week on e-mail and a budget of `budget` follow-ups a day.
fn limits(cap: usize, budget: usize) -> String {
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

/// What `n` callers at once are told.
async fn race(world: &Arc<World>, n: usize, body: impl Fn(usize) -> Value) -> Vec<Value> {
    let mut running = JoinSet::new();
    for caller in 0..n {
        let (world, body) = (world.clone(), body(caller));
        running.spawn(async move { world.decide(body).await });
    }
    running.join_all().await
}

/// The decision of every contact that `answers` offer.
fn offered(answers: &[Value]) -> Vec<String> {
    let mut decisions = Vec::new();
    for answer in answers {
        let n_contacts = answer["actions"].as_array().unwrap().len();
        let id = answer["decision_id"].as_str().unwrap();
        decisions.extend((0..n_contacts).map(|_| id.to_owned()));
    }
    decisions
}

/// While it is on, three of ten calls of each operation fail, in turn in one of the ways in which stores do:
/// the same calls in every run.
#[derive(Default)]
struct Trouble {
    on: AtomicBool,
    n_calls: Mutex<BTreeMap<String, usize>>,
}

impl Trouble {
    fn fault(&self, operation: &str) -> Fault {
        if !self.on.load(Ordering::SeqCst) {
            return Fault::None;
        }
        let mut n_calls = self.n_calls.lock().unwrap();
        let n_calls = n_calls.entry(operation.to_owned()).or_default();
        let call = *n_calls;
        *n_calls += 1;
        match call % 10 {
            // Few: each holds its caller up for an attempt of the SDK, or to the deadline.
            0 if call.is_multiple_of(50) => Fault::Hang,
            0 => Fault::Throttle,
            // Only transactions are in each other's way.
            3 if operation == TRANSACT => Fault::Conflict,
            3 => Fault::Fail,
            6 => Fault::LoseAnswer,
            _ => Fault::None,
        }
    }

    fn n_calls(&self, operation: &str) -> usize {
        self.n_calls.lock().unwrap().get(operation).copied().unwrap_or(0)
    }
}

/// 64 callers at once ask for `customers`, to whom `limits` allow `most` contacts, over a store in trouble;
/// an hour later 64 more, one after the other, over one that is sound again. Gives what the budget counts.
async fn hold_in_trouble(limits: &str, customers: &[String], most: usize, deadline: Duration) -> usize {
    let trouble = Arc::new(Trouble::default());
    let plan = {
        let trouble = trouble.clone();
        move |operation: &str, _: usize| trouble.fault(operation)
    };
    let world = Arc::new(World::with(limits, deadline, plan).await);
    world.order(customers).await;
    let asked = |caller: usize| email(&customers[caller % customers.len()]);
    trouble.on.store(true, Ordering::SeqCst);
    let answers = race(&world, CALLERS, asked).await;
    trouble.on.store(false, Ordering::SeqCst);

    let store = Store::local(&world.endpoint, "nextbest");
    // Read first: what is still on its way when its caller has given up only adds to what is read after.
    let counted = store.budget(&day()).await.unwrap().n_contacts;
    let counted = usize::try_from(counted).unwrap();
    let mut held = Vec::new();
    for customer in customers {
        let subject = Subject::Customer(CustomerId::new(customer.as_str()).unwrap());
        let stored = store.customer(&subject, &world.app.project.schema).await.unwrap().unwrap();
        held.extend(stored.reservations.into_iter().map(|reservation| reservation.decision_id));
    }
    // A contact may be held of which nobody was told, since the answer was lost; never the other way round.
    let offered = offered(&answers);
    assert!(offered.iter().all(|id| held.contains(id)), "{offered:?} of {held:?}");
    assert!(offered.len() <= held.len(), "{offered:?} of {held:?}");
    assert!(held.len() <= most, "{held:?}");
    assert!(counted <= held.len(), "{counted} counted, {held:?}");
    if deadline == PATIENT {
        // Who waits for the store is told by it: all that may be held is, and no fault took any of it.
        assert_eq!((counted, held.len()), (most, most), "{held:?}");
        assert!(trouble.n_calls(TRANSACT) > 6, "every kind of fault but a throttle was met by a transaction");
    }

    // Nothing is held for ever: decisions alone bring all of it back, though nobody tells the store to.
    let mut world = Arc::into_inner(world).unwrap();
    world.config.deadline = PATIENT;
    let (base, later) = world.again(now().plus_millis(3_600_000)).await;
    let mut n_offered = 0;
    for caller in 0..CALLERS {
        let crm = key(&world.keys, Role::Crm);
        let (status, answer) = post(&world.client, &base, crm, DECIDE, &asked(caller)).await;
        assert_eq!((status, &answer["degraded"]), (StatusCode::OK, &json!([])), "{answer}");
        n_offered += answer["actions"].as_array().unwrap().len();
    }
    assert_eq!(n_offered, most);
    usize::try_from(later.store.budget(&day()).await.unwrap().n_contacts).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_holds_against_64_callers_of_one_customer() {
    let world = Arc::new(World::new(&limits(2, 1000)).await);
    world.order(&["ann".to_owned()]).await;
    assert_eq!(offered(&race(&world, CALLERS, |_| email("ann")).await).len(), 2);
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
    let customers: Vec<String> = (0..CALLERS).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    assert_eq!(offered(&race(&world, CALLERS, |caller| email(&customers[caller])).await).len(), 10);
    assert_eq!(world.app.store.budget(&day()).await.unwrap().n_contacts, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cap_holds_against_64_callers_of_one_customer_while_three_of_ten_calls_fail() {
    for deadline in [HURRIED, PATIENT] {
        hold_in_trouble(&limits(5, 1000), &["ann".to_owned()], 5, deadline).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_holds_against_64_callers_of_64_customers_while_three_of_ten_calls_fail() {
    let customers: Vec<String> = (0..CALLERS).map(|n| format!("c{n}")).collect();
    for deadline in [HURRIED, PATIENT] {
        let counted = hold_in_trouble(&limits(1, 10), &customers, 10, deadline).await;
        assert_eq!(counted, 10, "what was held and not made is given back, and held again");
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
    let (_, eve) = post(&world.client, &base, crm, DECIDE, &email("eve")).await;
    assert_eq!(eve["outcome"], "offer", "{eve}");
    let (_, ann) = post(&world.client, &base, crm, DECIDE, &email("ann")).await;
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
    let calls: Arc<Mutex<Vec<String>>> = Arc::default();
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
