//! A build that dies, loses answers, or is taken over: what is published is one whole list.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use nextbest_functions::snapshot::{self, SnapshotError};
use nextbest_functions::store::{Series, Store};
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{self, now, order, order_json};
use nextbest_tests::world::World;
use serde_json::{Value, json};

use super::{all, artifact, fill, get};

const HOUR_MS: i64 = 3_600_000;

/// A shop whose store, by a second way, fails all writes once `writes_left` are used up.
async fn mortal() -> (World, String, Arc<AtomicI64>) {
    let writes_left = Arc::new(AtomicI64::new(i64::MAX));
    let left = writes_left.clone();
    let dies = move |operation: &str, _| {
        let writes = operation == "BatchWriteItem" || operation == "PutItem";
        match writes && left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            true => Fault::Fail,
            false => Fault::None,
        }
    };
    let world = World::with("", Duration::from_secs(20), dies).await;
    let base = fill(&world, &artifact()).await;
    (world, base, writes_left)
}

/// A build that dies after any number of its writes leaves the list as it was, whole; the runs behind it go on with each other
/// and get the list that a build which never died makes.
#[tokio::test]
async fn a_build_that_dies_half_way_changes_nothing_and_the_next_goes_on() {
    let (world, base, writes_left) = mortal().await;
    let tomorrow = now().plus_days(1);
    let id = async || get(&world, &base, "/v1/at-risk?limit=1").await.1["snapshot_id"].clone();
    let (first, list) = (id().await, all(&world, &base, "").await);
    let (_, faulty) = world.through_faults(tomorrow).await;
    let (mut n_died, mut taken_over) = (0, None);
    for n_writes in (0..).step_by(3) {
        writes_left.store(n_writes, Ordering::SeqCst);
        if let Ok(built) = snapshot::build(&faulty).await {
            taken_over = Some((built.n_taken_over, built.n_scanned));
            break;
        }
        n_died += 1;
        assert_eq!((id().await, all(&world, &base, "").await), (first.clone(), list.clone()), "{n_writes}");
    }
    assert!(n_died > 3, "{n_died}");
    assert_eq!(taken_over, Some((240, 240)), "the last run had only pages left to write");
    let (resumed, second) = (all(&world, &base, "").await, id().await);
    assert!(second != first && resumed != list, "a day later");
    let (_, sound) = world.again(tomorrow).await;
    assert_eq!(snapshot::build(&sound).await.unwrap().n_taken_over, 0, "that build is at its end");
    assert_eq!(all(&world, &base, "").await, resumed);
    assert_ne!(id().await, second);
}

/// What was scored of customers is gone on with by the same models and rules within hours alone; and the list is as of the
/// moment at which its build began.
#[tokio::test]
async fn a_build_is_gone_on_with_only_by_its_own_models_and_rules_and_soon() {
    let (world, base, writes_left) = mortal().await;
    let die = async |n_writes: i64| {
        let (_, faulty) = world.through_faults(now().plus_days(1)).await;
        writes_left.store(n_writes, Ordering::SeqCst);
        assert!(snapshot::build(&faulty).await.is_err());
    };
    let later = |hours: i64| now().plus_days(1).plus_millis(hours * HOUR_MS);
    // Half of the segments are scanned.
    die(7).await;
    let (_, soon) = world.again(later(snapshot::RESUME_HOURS - 1)).await;
    let built = snapshot::build(&soon).await.unwrap();
    assert!((1..240).contains(&built.n_taken_over) && built.n_scanned == 240, "{built:?}");
    let (_, list) = get(&world, &base, "/v1/at-risk?limit=1").await;
    assert_eq!(list["as_of"], json!(now().plus_days(1)), "one moment, whoever scored");
    assert_eq!(list["population"]["n_known"], 240);
    let resumed = all(&world, &base, "").await;
    let (_, sound) = world.again(now().plus_days(1)).await;
    snapshot::build(&sound).await.unwrap();
    assert_eq!(all(&world, &base, "").await, resumed);

    die(7).await;
    let (_, late) = world.again(later(snapshot::RESUME_HOURS)).await;
    assert_eq!(snapshot::build(&late).await.unwrap().n_taken_over, 0, "its list would be old");

    die(7).await;
    let policy = world.folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    std::fs::write(&policy, format!("# reviewed\n{text}")).unwrap();
    let (_, other) = world.again(later(1)).await;
    assert_eq!(snapshot::build(&other).await.unwrap().n_taken_over, 0, "other rules decided");

    die(7).await;
    let other = fixture::realised_artifact(&fixture::project());
    std::fs::write(world.folder.path().join("artifacts/mini.nba"), other).unwrap();
    let (_, other) = world.again(later(1)).await;
    assert_eq!(snapshot::build(&other).await.unwrap().n_taken_over, 0, "other models scored them");
}

/// More customers than a page of the scan holds of a segment: a run that dies behind a page goes on in the middle of it, and
/// nobody is missing or listed twice.
#[tokio::test]
async fn a_build_goes_on_in_the_middle_of_a_segment() {
    let (world, base, writes_left) = mortal().await;
    let schema = &world.app.project.schema;
    let states: Vec<Customer> = (0..9_000)
        .map(|n| {
            let id = format!("many{n}");
            let mut customer = Customer::new(CustomerId::new(id.clone()).unwrap(), schema);
            let _applied = customer.apply(schema, &order(&id, 1, n % 60 + 1, 1_000 + i64::from(n)));
            customer
        })
        .collect();
    Store::local(&world.endpoint, "nextbest").load_customers(schema, &states).await.unwrap();
    let tomorrow = now().plus_days(1);
    let mut taken_over = Vec::new();
    let (_, faulty) = world.through_faults(tomorrow).await;
    for _ in 0..200 {
        // Each run gets as far as a page or two.
        writes_left.store(12, Ordering::SeqCst);
        match snapshot::build(&faulty).await {
            Ok(built) => {
                taken_over.push(built.n_taken_over);
                break;
            }
            Err(error) => assert!(matches!(error, SnapshotError::Store(_)), "{error}"),
        }
        writes_left.store(i64::MAX, Ordering::SeqCst);
        let left: Option<(Option<Value>, i64)> = faulty.store.build_record(Series::AtRisk).await.unwrap();
        taken_over.push(left.unwrap().0.unwrap()["n_scanned"].as_u64().unwrap() as usize);
    }
    assert_eq!(taken_over.last(), Some(&9_240), "{taken_over:?}");
    let stops: BTreeSet<usize> = taken_over.iter().copied().collect();
    assert!(stops.len() > 5, "more than a stop a segment: {stops:?}");
    let resumed = all(&world, &base, "sort=churn_probability").await;
    let (_, sound) = world.again(tomorrow).await;
    assert_eq!(snapshot::build(&sound).await.unwrap().n_scanned, 9_240);
    assert_eq!(all(&world, &base, "sort=churn_probability").await, resumed);
}

/// One run halts in the middle of a write; another takes the build over, meets a customer who has ordered since, and
/// publishes. The first then writes nothing more of weight: the list is the other's.
#[tokio::test]
async fn a_run_that_wakes_up_late_leaves_the_build_to_the_one_that_took_it_over() {
    let writes = Arc::new(AtomicI64::new(i64::MAX));
    let left = writes.clone();
    let halts = move |operation: &str, _| {
        let writes = operation == "BatchWriteItem" || operation == "PutItem";
        match writes && left.fetch_sub(1, Ordering::SeqCst) == 0 {
            // Less than the SDK waits before it tries again.
            true => Fault::Delay(Duration::from_millis(1_500)),
            false => Fault::None,
        }
    };
    let world = World::with("", Duration::from_secs(20), halts).await;
    let base = fill(&world, &artifact()).await;
    let tomorrow = now().plus_days(1);
    let (_, slow) = world.through_faults(tomorrow).await;
    writes.store(7, Ordering::SeqCst);
    let other = async {
        // The first has scanned a part by now, and sleeps.
        while writes.load(Ordering::SeqCst) >= 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (_, quick) = world.again(tomorrow).await;
        let again = json!({ "events": [order_json("c239", 99, 0, 9_000)] });
        assert_eq!(world.post("/v1/events", &again).await.0, 200);
        snapshot::build(&quick).await.unwrap()
    };
    let (first, second) = tokio::join!(snapshot::build(&slow), other);
    assert!(
        matches!(first, Err(SnapshotError::TakenOver { .. } | SnapshotError::RecordGone { .. })),
        "{first:?}"
    );
    assert!((1..240).contains(&second.n_taken_over) && second.n_scanned == 240, "{second:?}");
    let (_, list) = get(&world, &base, "/v1/at-risk?limit=1").await;
    assert_eq!(list["snapshot_id"], second.snapshot_id);
    let mut ids: Vec<String> = all(&world, &base, "")
        .await
        .iter()
        .map(|row| row["customer_id"].as_str().unwrap().to_owned())
        .collect();
    let n_listed = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), n_listed), (second.n_customers, second.n_customers));
}

/// Every write is done, and its answer lost: the SDK asks again, and the record of progress is known as one's own.
#[tokio::test]
async fn lost_answers_are_nobody_elses_progress() {
    // Below 0 none is.
    let lost = Arc::new(AtomicI64::new(i64::MIN));
    let n_lost = lost.clone();
    let loses = move |operation: &str, _| match operation {
        "PutItem" => match n_lost.fetch_add(1, Ordering::SeqCst) {
            // Every second one, so that the repetition is answered.
            n if n >= 0 && n % 2 == 0 => Fault::LoseAnswer,
            _ => Fault::None,
        },
        _ => Fault::None,
    };
    let world = World::with("", Duration::from_secs(20), loses).await;
    let base = fill(&world, &artifact()).await;
    let tomorrow = now().plus_days(1);
    let (_, faulty) = world.through_faults(tomorrow).await;
    lost.store(0, Ordering::SeqCst);
    let built = snapshot::build(&faulty).await.unwrap();
    assert!(lost.load(Ordering::SeqCst) > 10, "every record was written twice");
    assert_eq!((built.n_scanned, built.n_taken_over), (240, 0));
    let list = all(&world, &base, "").await;
    let (_, sound) = world.again(tomorrow).await;
    snapshot::build(&sound).await.unwrap();
    assert_eq!(all(&world, &base, "").await, list);
}
