//! Each function binary, run for real under an emulated Lambda runtime interface, answers an API Gateway request as
//! the local server answers the same request.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::process::Stdio;

use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::keys::{NewKey, Role};
use nextbest_functions::route::Function;
use nextbest_functions::store::Store;
use nextbest_functions::{local, snapshot};
use nextbest_models::units::Timestamp;
use nextbest_tests::backend;
use nextbest_tests::fixture::{self, key, order_json};
use nextbest_tests::runtime::{Lambda, binary, command, gateway_request};
use serde_json::{Value, json};

/// Answers differ in these between two runs of the same request.
const VOLATILE: &[&str] = &[
    "decision_id",
    "request_id",
    "quote_id",
    "signature",
    "created_at",
    "valid_until",
    "expires_at",
    "as_of",
    "age_seconds",
    "timing_us",
    "snapshot_id",
    "next_cursor",
];

fn stable(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                let field_value = field.take();
                *field = if VOLATILE.contains(&name.as_str()) { json!("...") } else { stable(field_value) };
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = stable(item.take());
            }
        }
        _ => {}
    }
    value
}

fn requests(now: Timestamp) -> Vec<(Function, Role, &'static str, &'static str, &'static str, Value)> {
    let mut late = order_json("ann", 9, 0, 100);
    late["occurred_at"] = json!(now);
    let basket = json!({ "currency": "GBP", "items": [{ "sku": "MUG" }, { "sku": "LAMP", "quantity": 3 }] });
    vec![
        (Function::Score, Role::Crm, "POST", "/v1/scores", "", json!({ "customer_id": "ann" })),
        (
            Function::NextBestAction,
            Role::Crm,
            "POST",
            "/v1/decisions/next-best-action",
            "",
            json!({ "customer_id": "ann", "max_actions": 3, "explain": "full" }),
        ),
        (Function::NextBestAction, Role::Crm, "GET", "/v1/hopper", "limit=2", Value::Null),
        (Function::Price, Role::Checkout, "POST", "/v1/prices/quote", "", basket),
        (Function::AtRisk, Role::Retention, "GET", "/v1/at-risk", "limit=2&min_risk=0.01", Value::Null),
        // Twice in both: the second time everything is a duplicate.
        (
            Function::Events,
            Role::Checkout,
            "POST",
            "/v1/events",
            "",
            json!({ "events": [late, { "type": "x" }] }),
        ),
    ]
}

struct Local {
    base: String,
    client: reqwest::Client,
}

impl Local {
    async fn ask(&self, method: &str, path: &str, query: &str, key: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}?{query}", self.base);
        let request = self.client.request(method.parse().unwrap(), url).header("x-api-key", key);
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }
}

async fn ask(
    lambda: &Lambda,
    method: &str,
    path: &str,
    query: &str,
    key: &str,
    body: &Value,
) -> (u16, Value) {
    let body = (!body.is_null()).then(|| body.to_string());
    let payload = gateway_request(method, path, query, &[("x-api-key", key)], body.as_deref());
    let answer = lambda.invoke(&payload).await.expect("an answer, no error");
    assert_eq!(answer["isBase64Encoded"], false, "JSON goes out as text");
    let status = u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap();
    (status, serde_json::from_str(answer["body"].as_str().unwrap()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_binary_answers_as_the_local_server_does() {
    let backend = backend::embedded();
    let store = Store::local(&backend.endpoint, "nextbest");
    store.create_table().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    fixture::install(folder.path());
    let policy = folder.path().join("policy.toml");
    let actions = std::fs::read_to_string(&policy).unwrap();
    let hopper = "[[hopper.campaign]]\naction = \"stay_with_us\"\nmax_contacts = 2\n\n";
    std::fs::write(&policy, format!("{hopper}{actions}")).unwrap();
    let (config, keys) = fixture::config(folder.path(), &store);
    let app = App::open(&config, store, Clock::system()).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local =
        Local { base: format!("http://{}", listener.local_addr().unwrap()), client: reqwest::Client::new() };
    let router = local::router(app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let now = Clock::system().now();
    seed(&local, &keys, now).await;
    let variables = [
        ("NEXTBEST_PROJECT", folder.path().display().to_string()),
        ("NEXTBEST_TABLE", "nextbest".to_owned()),
        ("NEXTBEST_API_KEYS", config.keys.to_string()),
        ("NEXTBEST_QUOTE_KEYS", fixture::QUOTE_KEYS.to_owned()),
        ("AWS_ENDPOINT_URL", backend.endpoint.clone()),
    ];

    // The schedule's own event; it makes the list the at-risk function shows.
    let job = Lambda::start(&binary("snapshot"), &variables).await;
    let schedule =
        json!({ "version": "0", "source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {} });
    let built = job.invoke(&schedule).await.expect("a snapshot");
    assert_eq!(built["n_customers"], 3);
    assert_eq!(snapshot::build(&app).await.unwrap().n_customers, 3);
    // Likewise the hopper's.
    let job = Lambda::start(&binary("hopper"), &variables).await;
    let filled = job.invoke(&schedule).await.expect("a list");
    assert_eq!((&filled["n_asked"], &filled["n_listed"]), (&json!(3), &json!(2)), "{filled}");

    for (function, role, method, path, query, body) in requests(now) {
        let lambda = Lambda::start(&binary(function.as_str()), &variables).await;
        let key = key(&keys, role);
        local.ask(method, path, query, key, &body).await;
        let (status, expected) = local.ask(method, path, query, key, &body).await;
        assert_eq!(status, 200, "{function}: {expected}");
        let (status, found) = ask(&lambda, method, path, query, key, &body).await;
        assert_eq!(status, 200, "{function}: {found}");
        assert_eq!(stable(found.clone()), stable(expected), "{function}");
        let gateway_id = function == Function::Events || found["request_id"] == "JKJaXmPLvHcESHA=";
        assert!(gateway_id, "{function}: the gateway's request id is kept");

        // A binary knows its own endpoints, its health, and nobody without a key.
        assert_eq!(ask(&lambda, method, path, query, "wrong", &body).await.0, 401);
        assert_eq!(ask(&lambda, "GET", "/healthz", "", "", &Value::Null).await.0, 200);
        let (status, ready) = ask(&lambda, "GET", "/readyz", "", "", &Value::Null).await;
        assert_eq!((status, &ready["status"]), (200, &json!("ready")));
        let other = if function == Function::Score { "/v1/events" } else { "/v1/scores" };
        assert_eq!(ask(&lambda, "POST", other, "", key, &json!({})).await.0, 404);
    }
}

async fn seed(local: &Local, keys: &[NewKey], now: Timestamp) {
    let customers = [("ann", 20), ("bob", 90), ("eve", 45)];
    let events = customers.iter().map(|&(customer, days)| {
        let mut event = order_json(customer, 1, 0, 4_000);
        event["occurred_at"] = json!(now.plus_days(-days));
        event
    });
    let body = json!({ "events": events.collect::<Vec<_>>() });
    let (status, answer) = local.ask("POST", "/v1/events", "", key(keys, Role::Admin), &body).await;
    assert_eq!((status, &answer["counts"]["accepted"]), (200, &json!(3)), "{answer}");
}

#[tokio::test]
async fn what_an_answer_lacks_is_a_metric_among_the_logs() {
    let folder = tempfile::tempdir().unwrap();
    fixture::install(folder.path());
    let endpoint = format!("http://127.0.0.1:{}", backend::free_port());
    let (config, keys) = fixture::config(folder.path(), &Store::local(&endpoint, "nextbest"));
    let variables = [
        ("NEXTBEST_PROJECT", folder.path().display().to_string()),
        ("NEXTBEST_API_KEYS", config.keys.to_string()),
        ("NEXTBEST_QUOTE_KEYS", fixture::QUOTE_KEYS.to_owned()),
        ("AWS_ENDPOINT_URL", endpoint),
        // Counting goes on where nothing else is logged.
        ("RUST_LOG", "off".to_owned()),
    ];
    let log = folder.path().join("log");
    let stdout = Stdio::from(std::fs::File::create(&log).unwrap());
    let lambda = Lambda::logging(&binary("price"), &variables, stdout).await;
    let basket = json!({ "currency": "GBP", "items": [{ "sku": "MUG" }] });
    let key = key(&keys, Role::Checkout);
    let (_, quote) = ask(&lambda, "POST", "/v1/prices/quote", "", key, &basket).await;
    assert_eq!(quote["degraded"][0], "store_unreachable", "{quote}");
    drop(lambda);
    let lines: Vec<Value> = std::fs::read_to_string(&log)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    // What CloudWatch asks of such a line: the members that are named as metrics and dimensions stand at its root.
    let counted: Vec<&str> = lines
        .iter()
        .map(|line| {
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            assert_eq!(directive["Metrics"][0]["Name"], "degraded", "{line}");
            assert_eq!(directive["Dimensions"], json!([["function", "code"]]));
            assert!(line["_aws"]["Timestamp"].is_i64());
            assert_eq!((&line["degraded"], &line["function"]), (&json!(1), &json!("price")));
            line["code"].as_str().unwrap()
        })
        .collect();
    assert_eq!(counted, ["no_demand", "store_unreachable"]);
}

#[test]
fn a_binary_that_cannot_start_says_why_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    fixture::install(folder.path());
    let other = fixture::artifact(&fixture::project(), Some(&"0".repeat(64)));
    std::fs::write(folder.path().join("artifacts/mini.nba"), other).unwrap();
    let project = ("NEXTBEST_PROJECT", folder.path().display().to_string());
    let interface = ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1".to_owned());
    for (variables, said) in [
        (vec![interface.clone()], "NEXTBEST_API_KEYS is not set"),
        (vec![interface.clone(), project, ("NEXTBEST_AUTH", "iam".to_owned())], "train again"),
        (vec![interface, ("NEXTBEST_AUTH", "none".to_owned())], "must be api-key, jwt or iam"),
    ] {
        let output = command(&binary("score"), &variables).stdout(Stdio::piped()).output().unwrap();
        assert!(!output.status.success());
        let log = String::from_utf8(output.stdout).unwrap();
        assert!(log.contains(said), "{log}");
        assert!(
            log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
            "one JSON object a line: {log}"
        );
    }
}
