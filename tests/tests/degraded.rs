//! A store that is slow, silent or away: every answer comes within the deadline, says what it lacked, and is counted.
//!
//! No test here measures how quick the machine is. What is promised is the deadline, here a quarter of a
//! second, and a quarter of it more under an idempotency key. A caller who kept no deadline would wait for at
//! least one attempt of the SDK ([`ATTEMPT_LIMIT`], two seconds). Between the two lies [`LIMIT`].

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nextbest_functions::clock::Stopwatch;
use nextbest_functions::keys::Role;
use nextbest_functions::store::ATTEMPT_LIMIT;
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::project::Project;
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{self, key, now};
use nextbest_tests::world::World;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_millis(250);
/// Past the deadline an answer only has to be made, sent and measured: milliseconds of work. The room is three
/// deadlines, since two cores may serve all callers of a test, the store and whatever else runs.
const LIMIT: Duration = DEADLINE.saturating_mul(4);
const _: () = assert!(LIMIT.as_millis() < ATTEMPT_LIMIT.as_millis());
const DECIDE: &str = "/v1/decisions/next-best-action";
const QUOTE: &str = "/v1/prices/quote";

/// Over a store that does `fault` to the calls of which `when` is true, once the switch is on.
async fn world(
    fault: Fault,
    when: impl Fn(usize) -> bool + Send + Sync + 'static,
) -> (World, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(false));
    let on = switch.clone();
    let plan = move |_: &str, call: usize| match on.load(Ordering::SeqCst) && when(call) {
        true => fault,
        false => Fault::None,
    };
    (World::with("", DEADLINE, plan).await, switch)
}

/// What is asked at `path`, under an idempotency key if one is given; the answer and how long it took.
async fn ask(world: &World, path: &str, body: Value, idempotency: Option<String>) -> (Value, Duration) {
    let role = if path == QUOTE { Role::Checkout } else { Role::Crm };
    let request =
        world.client.post(format!("{}{path}", world.base)).header("x-api-key", key(&world.keys, role));
    let request = match idempotency {
        Some(key) => request.header("idempotency-key", key),
        None => request,
    };
    let begun = Stopwatch::start();
    let response = request.json(&body).send().await.unwrap();
    let elapsed = begun.elapsed();
    assert_eq!(response.status(), StatusCode::OK);
    (response.json().await.unwrap(), elapsed)
}

fn decision(n: usize) -> Value {
    json!({ "customer_id": format!("c{}", n % 8) })
}

fn basket() -> Value {
    json!({ "currency": "GBP", "items": [{ "sku": "MUG" }] })
}

/// What each of `n_callers` customers at once is answered, `n_rounds` times, and how long it took.
async fn rounds(world: &Arc<World>, n_rounds: usize, n_callers: usize) -> Vec<(Value, Duration)> {
    let mut answers = Vec::new();
    for _ in 0..n_rounds {
        let mut running = JoinSet::new();
        for n in 0..n_callers {
            let world = world.clone();
            running.spawn(async move { ask(&world, DECIDE, decision(n), None).await });
        }
        answers.extend(running.join_all().await);
    }
    answers
}

fn codes(answer: &Value) -> Vec<&str> {
    answer["degraded"].as_array().unwrap().iter().map(|code| code.as_str().unwrap()).collect()
}

/// The counts of `/metrics`, by what stands before the number.
async fn counts(world: &World) -> BTreeMap<String, u64> {
    let request = world.client.get(format!("{}/metrics", world.base));
    let response = request.header("x-api-key", key(&world.keys, Role::Admin)).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, n)| (name.to_owned(), n.parse().unwrap()))
        .collect()
}

fn degraded(function: &str, code: &str) -> String {
    format!("nextbest_degraded_total{{function=\"{function}\",code=\"{code}\"}}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_never_answers_holds_nobody_up() {
    let (world, silent) = world(Fault::Hang, |_| true).await;
    let customers: Vec<String> = (0..4).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    // Half of the customers are remembered from here.
    for customer in &customers {
        world.decide(json!({ "customer_id": customer })).await;
    }
    silent.store(true, Ordering::SeqCst);
    let world = Arc::new(world);
    let mut running = JoinSet::new();
    for n in 0..48usize {
        let world = world.clone();
        running.spawn(async move {
            // Every third call is guarded by a key, which asks the store before and after the decision.
            let key = n.is_multiple_of(3).then(|| format!("key-{n}"));
            match n % 6 {
                3 => (n, QUOTE, ask(&world, QUOTE, basket(), key).await),
                _ => (n, DECIDE, ask(&world, DECIDE, decision(n), key).await),
            }
        });
    }
    for (n, path, (answer, elapsed)) in running.join_all().await {
        assert!(elapsed < LIMIT, "{elapsed:?} for {answer}");
        let codes = codes(&answer);
        assert!(codes.contains(&"store_slow"), "{answer}");
        assert_eq!(codes.contains(&"not_logged"), path == DECIDE, "{answer}");
        assert_eq!(codes.contains(&"stale_features"), path == DECIDE && n % 8 < 4, "{answer}");
    }
    let counts = counts(&world).await;
    assert_eq!(counts["nextbest_answers_total{function=\"next-best-action\"}"], 4 + 40);
    assert_eq!(counts["nextbest_answers_total{function=\"price\"}"], 8);
    assert_eq!(counts[&degraded("next-best-action", "store_slow")], 40);
    assert_eq!(counts[&degraded("next-best-action", "not_logged")], 40);
    assert_eq!(counts[&degraded("price", "store_slow")], 8);
    assert_eq!(counts[&degraded("price", "no_demand")], 8, "list prices, each told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_slow_now_and_then_delays_only_those_it_keeps_waiting() {
    // One call in five is answered after three seconds: longer than an attempt lasts, far longer than the deadline.
    let (world, slow) = world(Fault::Delay(Duration::from_secs(3)), |call| call.is_multiple_of(5)).await;
    let customers: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    slow.store(true, Ordering::SeqCst);
    let world = Arc::new(world);
    let (mut n_whole, mut n_degraded) = (0, 0);
    for (answer, elapsed) in rounds(&world, 6, 8).await {
        assert!(elapsed < LIMIT, "{elapsed:?} for {answer}");
        match codes(&answer).as_slice() {
            [] => n_whole += 1,
            codes => {
                n_degraded += 1;
                assert!(codes.contains(&"store_slow") || codes.contains(&"not_logged"), "{answer}");
            }
        }
    }
    assert_eq!(n_whole + n_degraded, 48, "every answer came");
    assert!(n_whole > 0 && n_degraded > 0, "{n_whole} whole, {n_degraded} degraded");
    let counts = counts(&world).await;
    assert_eq!(counts["nextbest_answers_total{function=\"next-best-action\"}"], 48);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_answers_ninety_nine_keep_the_deadline_over_a_store_that_hangs_now_and_then() {
    let (world, hanging) = world(Fault::Hang, |call| call.is_multiple_of(5)).await;
    let customers: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    hanging.store(true, Ordering::SeqCst);
    let answers = rounds(&Arc::new(world), 10, 10).await;
    let n_degraded = answers.iter().filter(|(answer, _)| !codes(answer).is_empty()).count();
    assert!((1..100).contains(&n_degraded), "{n_degraded} of {} degraded", answers.len());
    let mut times: Vec<Duration> = answers.iter().map(|(_, elapsed)| *elapsed).collect();
    times.sort_unstable();
    // By nearest rank: the 99th of 100.
    assert_eq!(times.len(), 100);
    assert!(times[98] < LIMIT, "p99 {:?}, median {:?}, longest {:?}", times[98], times[49], times[99]);
}

#[tokio::test]
async fn a_customer_folded_for_other_features_is_decided_as_a_stranger_until_the_events_are_loaded_again() {
    let mut world = World::new("").await;
    world.order(&["c0".to_owned()]).await;
    assert_eq!(codes(&ask(&world, DECIDE, decision(0), None).await.0), Vec::<&str>::new());

    // Another window is another feature: the models are sealed for it, the customer's state is not.
    let folder = world.folder.path().to_owned();
    let file = folder.join("features.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("window_days = 30\n", "window_days = 60\n")).unwrap();
    let project = Project::read(|file| std::fs::read_to_string(folder.join(file))).unwrap();
    assert_ne!(project.schema.fingerprint(), world.app.project.schema.fingerprint());
    std::fs::write(folder.join("artifacts/wider.nba"), fixture::artifact(&project, None)).unwrap();
    std::fs::write(folder.join("artifacts/CURRENT"), "wider.nba\n").unwrap();
    let (base, app) = world.again(now()).await;
    world.base = base;

    let (answer, _) = ask(&world, DECIDE, decision(0), None).await;
    // The store is there, so that the decision is logged; but what it holds is no state of these features.
    assert_eq!(codes(&answer), ["stale_state"], "{answer}");
    assert_eq!(
        (&answer["lifecycle_stage"], &answer["outcome"], &answer["features"]["age_seconds"]),
        (&json!("aware"), &json!("fallback"), &Value::Null),
        "{answer}"
    );
    assert_eq!(counts(&world).await[&degraded("next-best-action", "stale_state")], 1);

    let mut customer = Customer::new(CustomerId::new("c0").unwrap(), &project.schema);
    customer.apply(&project.schema, &fixture::order("c0", 1, 10, 2_000)).unwrap();
    app.store.load_customers(&project.schema, [&customer]).await.unwrap();
    let (answer, _) = ask(&world, DECIDE, decision(0), None).await;
    assert_eq!((&answer["degraded"], &answer["outcome"]), (&json!([]), &json!("offer")), "{answer}");
}

#[tokio::test]
async fn what_is_missing_is_counted_by_its_code() {
    let (mut world, away) = world(Fault::Fail, |_| true).await;
    world.order(&["c0".to_owned()]).await;
    let none = counts(&world).await;
    assert_eq!(none, BTreeMap::new(), "events are no answers of decisions or prices");
    ask(&world, DECIDE, decision(0), None).await;
    ask(&world, DECIDE, json!({ "customer_id": "nobody" }), None).await;
    ask(&world, QUOTE, basket(), None).await;
    away.store(true, Ordering::SeqCst);
    ask(&world, DECIDE, decision(0), None).await;
    ask(&world, QUOTE, basket(), None).await;
    let counts = counts(&world).await;
    let of = |function, code| counts.get(&degraded(function, code)).copied().unwrap_or(0);
    let nba = "next-best-action";
    assert_eq!((of(nba, "unknown_customer"), of(nba, "stale_features"), of(nba, "not_logged")), (1, 1, 1));
    // Whether the SDK is still trying again when the deadline comes is a race; one of the two it is.
    assert_eq!(of(nba, "store_slow") + of(nba, "store_unreachable"), 1);
    assert_eq!(of("price", "store_slow") + of("price", "store_unreachable"), 1);
    assert_eq!(counts["nextbest_answers_total{function=\"price\"}"], 2);

    // Without models the lack has the model's name in the answer, and one word in the count.
    std::fs::remove_file(world.folder.path().join("artifacts/CURRENT")).unwrap();
    (world.base, _) = world.again(now()).await;
    let (answer, _) = ask(&world, DECIDE, decision(0), None).await;
    assert_eq!(codes(&answer), ["no_model:churn", "no_model:conversion"]);
    assert_eq!(self::counts(&world).await[&degraded(nba, "no_model")], 1);
    let refused = world.client.get(format!("{}/metrics", world.base));
    let refused = refused.header("x-api-key", key(&world.keys, Role::Crm)).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
}
