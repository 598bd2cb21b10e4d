//! Idempotency keys across processes: what one has answered every other repeats, and of two asked at once one
//! decides.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;

use nextbest_functions::keys::Role;
use nextbest_functions::store::LogItem;
use nextbest_tests::fixture::{key, now};
use nextbest_tests::world::World;
use serde_json::{Value, json};

const N_KEYS: usize = 16;

/// An answer under an idempotency key.
struct Answer {
    status: u16,
    /// Whether it says that it was given before.
    is_repeated: bool,
    retry_after: Option<String>,
    body: Value,
}

/// Asks the process at `base` for a decision on `customer` under the key `idempotency`.
async fn ask(world: &World, base: &str, idempotency: &str, customer: &str) -> Answer {
    let request = world.client.post(format!("{base}/v1/decisions/next-best-action"));
    let request = request.header("x-api-key", key(&world.keys, Role::Crm));
    let request = request.header("idempotency-key", idempotency);
    let response = request.json(&json!({ "customer_id": customer })).send().await.unwrap();
    let text = |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    Answer {
        status: response.status().as_u16(),
        is_repeated: text("idempotent-replayed").is_some(),
        retry_after: text("retry-after"),
        body: response.json().await.unwrap(),
    }
}

/// How many decisions the log holds.
async fn n_logged(world: &World) -> usize {
    let mut scan = world.app.store.scan_decisions(0, 1, now().as_millis() / 1000);
    let mut n_decisions = 0;
    while let Some(page) = scan.next().await.unwrap() {
        n_decisions += page.iter().filter(|(_, item)| matches!(item, LogItem::Decision(_))).count();
    }
    n_decisions
}

#[tokio::test]
async fn what_one_process_answered_every_other_repeats() {
    let world = World::new("").await;
    world.order(&["ann".to_owned(), "bob".to_owned()]).await;
    let first = ask(&world, &world.base, "k1", "ann").await;
    assert_eq!((first.status, first.is_repeated), (200, false), "{}", first.body);

    let (other, _) = world.again(now()).await;
    let second = ask(&world, &other, "k1", "ann").await;
    assert_eq!((second.status, second.is_repeated), (200, true), "{}", second.body);
    assert_eq!(second.body, first.body);
    let refused = ask(&world, &other, "k1", "bob").await;
    assert_eq!((refused.status, &refused.body["code"]), (409, &json!("idempotency_key_reused")));
    assert_eq!(n_logged(&world).await, 1);

    // A day later the key is forgotten, by every process.
    let (later, _) = world.again(now().plus_days(1)).await;
    let third = ask(&world, &later, "k1", "bob").await;
    assert_eq!((third.status, third.is_repeated), (200, false), "{}", third.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_asked_at_the_same_instant_make_one_decision() {
    let world = World::new("").await;
    world.order(&["ann".to_owned()]).await;
    let (other, _) = world.again(now()).await;
    for n in 0..N_KEYS {
        let key = format!("key-{n}");
        let (one, two) =
            tokio::join!(ask(&world, &world.base, &key, "ann"), ask(&world, &other, &key, "ann"));
        let mut decisions = BTreeSet::new();
        for answer in [&one, &two] {
            if answer.status == 200 {
                decisions.insert(answer.body["decision_id"].as_str().unwrap().to_owned());
                continue;
            }
            // The other one is still at work: the caller is told to ask again.
            let told = (answer.status, &answer.body["code"], answer.retry_after.as_deref());
            assert_eq!(told, (409, &json!("idempotency_in_progress"), Some("1")), "{}", answer.body);
        }
        let n_fresh = [&one, &two].iter().filter(|one| one.status == 200 && !one.is_repeated).count();
        assert_eq!(n_fresh, 1, "one of them decided, and said so");
        for base in [&world.base, &other] {
            let again = ask(&world, base, &key, "ann").await;
            assert_eq!((again.status, again.is_repeated), (200, true), "{}", again.body);
            decisions.insert(again.body["decision_id"].as_str().unwrap().to_owned());
        }
        assert_eq!(decisions.len(), 1, "{decisions:?}");
    }
    assert_eq!(n_logged(&world).await, N_KEYS);
}
