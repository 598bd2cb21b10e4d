//! Online Retail, event by event through the `events` function into the store: every customer's features there equal
//! the offline replay's at the same moment, bit for bit.
//!
//! Needs `$NEXTBEST_DATA/online_retail.csv.gz` (default `../shared/data`); without it the test says that it is skipped.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::ops::ControlFlow;

use axum::body::Body;
use axum::http::Request;
use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::keys::Role;
use nextbest_functions::local;
use nextbest_functions::store::{Store, Subject};
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::Event;
use nextbest_models::units::Timestamp;
use nextbest_tests::{backend, data, fixture};
use nextbest_training::cutoff;
use nextbest_training::event_log::EventLog;
use nextbest_training::import::{Options, Rules, import};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// Events in one request: the contract allows 500, the body 256 kB.
const BATCH: usize = 400;

/// What the log holds of every customer, and the moment after all of it.
fn customers(log: &EventLog) -> (Vec<(CustomerId, Vec<Event>)>, Timestamp) {
    let buckets = (0..log.n_buckets()).flat_map(|bucket| log.customers(bucket).unwrap());
    let end = log.manifest().total.last_known_at.unwrap().day().plus(1).start();
    (buckets.map(Result::unwrap).collect(), end)
}

async fn post(app: &App, key: &str, events: &[&Event]) -> Vec<Value> {
    let body = json!({ "events": events }).to_string();
    let request =
        Request::post("/v1/events").header("x-api-key", key).header("content-type", "application/json");
    let answer = local::router(app.clone()).oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let answer: Value = serde_json::from_slice(&bytes).unwrap();
    answer["results"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn features_in_the_store_equal_the_offline_replay_bit_for_bit() {
    let Some(file) = data::file("online_retail.csv.gz") else { return };
    let backend = backend::embedded();
    let store = Store::local(&backend.endpoint, "nextbest");
    store.create_table().await.unwrap();
    let project = data::root().join("examples/retail");
    let (mut config, keys) = fixture::config(&project, &store);
    // The features are the test's subject; a model someone trained in the example's folder is not.
    let folder = tempfile::tempdir().unwrap();
    for file in nextbest_models::project::FILES {
        std::fs::copy(project.join(file), folder.path().join(file)).unwrap();
    }
    config.project = folder.path().to_owned();

    let opened = App::open(&config, store.clone(), Clock::system()).unwrap();
    let settings = &opened.project.settings;
    let log_dir = folder.path().join("events");
    import(Rules::from(settings), &[file], &log_dir, &Options::default(), &|_| ControlFlow::Continue(()))
        .unwrap();
    let (customers, end) = customers(&EventLog::open(&log_dir).unwrap());
    let app = App::open(&config, store.clone(), Clock::fixed(end)).unwrap();

    // As they became known, customers interleaved.
    let mut arrivals: Vec<&Event> = customers.iter().flat_map(|(_, events)| events).collect();
    arrivals.sort_by_key(|event| (event.known(), event.occurred_at, &event.event_id));
    let key = fixture::key(&keys, Role::Crm);
    for batch in arrivals.chunks(BATCH) {
        let results = post(&app, key, batch).await;
        let refused = results
            .iter()
            .find(|result| result["status"] != "accepted" && result["status"] != "late_accepted");
        assert!(refused.is_none(), "{refused:?}");
    }

    let schema = &app.project.schema;
    let bits = |customer: &Customer| -> Vec<u64> {
        schema.features(customer, end).values().iter().map(|value| value.to_bits()).collect()
    };
    for (id, events) in &customers {
        let (offline, n_refused) = cutoff::fold(schema, id, events, end);
        let online = store.customer(&Subject::Customer(id.clone()), schema).await.unwrap().unwrap().customer;
        assert_eq!(n_refused, 0, "{id}");
        assert_eq!(bits(&online), bits(&offline), "{id}");
    }
    println!("{} events of {} customers: features equal bit for bit", arrivals.len(), customers.len());
}
