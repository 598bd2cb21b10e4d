//! A proxy before a DynamoDB stand-in that injects what DynamoDB does under load and networks do at any time.
//!
//! A plan is asked for each call what to do with it; what it says is done to the real request or answer, so the store
//! under test meets faults exactly where they would arise.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is refused: more than the capacity.
    Throttle,
    /// A transaction is cancelled: another one is in the way of each of its writes. Nothing to other calls.
    Conflict,
    /// Of a batch only the first `n` items are written, the others come back.
    Unprocessed {
        /// Items that are written.
        n_written: usize,
    },
    /// It is done, but its answer is lost on the way.
    LoseAnswer,
    /// It is refused: the service fails.
    Fail,
    /// It is done and answered so much later.
    Delay(Duration),
    /// It is never answered.
    Hang,
}

/// Asked with the operation (`PutItem`) and the number of the call from 0.
pub type Plan = Arc<dyn Fn(&str, usize) -> Fault + Send + Sync>;

/// Of the names of errors.
const NAMESPACE: &str = "com.amazonaws.dynamodb.v20120810";

#[derive(Clone)]
struct Proxy {
    endpoint: String,
    client: reqwest::Client,
    plan: Plan,
    calls: Arc<std::sync::atomic::AtomicUsize>,
}

/// Starts a proxy before `endpoint` on a runtime that runs it as long as the test; gives its own endpoint.
pub async fn proxy(endpoint: &str, plan: impl Fn(&str, usize) -> Fault + Send + Sync + 'static) -> String {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let proxy = Proxy {
        endpoint: endpoint.to_owned(),
        client: reqwest::Client::new(),
        plan: Arc::new(plan),
        calls: Arc::default(),
    };
    let router = Router::new().fallback(forward).with_state(proxy);
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn forward(State(proxy): State<Proxy>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or("");
    let operation = target.rsplit('.').next().unwrap_or("");
    let is_transaction = operation == "TransactWriteItems";
    let call = proxy.calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
    match (proxy.plan)(operation, call) {
        Fault::Conflict if is_transaction => cancel(&body),
        Fault::None | Fault::Conflict => pass(&proxy, headers, body).await,
        Fault::Throttle => refuse(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException"),
        Fault::Fail => refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError"),
        Fault::LoseAnswer => {
            pass(&proxy, headers, body).await;
            refuse(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError")
        }
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            pass(&proxy, headers, body).await
        }
        Fault::Hang => std::future::pending().await,
        Fault::Unprocessed { n_written } => in_part(&proxy, headers, &body, n_written).await,
    }
}

async fn pass(proxy: &Proxy, headers: HeaderMap, body: Bytes) -> Response {
    let mut request = proxy.client.post(&proxy.endpoint).body(body);
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value.as_bytes());
        }
    }
    let answer = request.send().await.expect("the stand-in answers");
    let status = StatusCode::from_u16(answer.status().as_u16()).expect("a status");
    let body = answer.bytes().await.expect("a body");
    (status, [("content-type", "application/x-amz-json-1.0")], body).into_response()
}

async fn in_part(proxy: &Proxy, headers: HeaderMap, body: &Bytes, n_written: usize) -> Response {
    let mut request: Value = serde_json::from_slice(body).expect("JSON");
    let tables = request["RequestItems"].as_object_mut().expect("tables");
    let (table, items) = tables.iter_mut().next().expect("one table");
    let items = items.as_array_mut().expect("items");
    let rest = items.split_off(n_written.min(items.len()));
    let unprocessed = if rest.is_empty() { json!({}) } else { json!({ table: rest }) };
    if n_written > 0 {
        let written = pass(proxy, headers, Bytes::from(request.to_string())).await;
        assert!(written.status().is_success(), "the part is written");
    }
    say(StatusCode::OK, &json!({ "UnprocessedItems": unprocessed }))
}

fn refuse(status: StatusCode, kind: &str) -> Response {
    say(status, &json!({ "__type": format!("{NAMESPACE}#{kind}"), "message": "injected" }))
}

/// What DynamoDB says to a transaction each of whose items another one is writing.
fn cancel(body: &Bytes) -> Response {
    let request: Value = serde_json::from_slice(body).expect("JSON");
    let n_items = request["TransactItems"].as_array().expect("items").len();
    let codes = vec!["TransactionConflict"; n_items];
    let reasons: Vec<Value> =
        codes.iter().map(|code| json!({ "Code": code, "Message": "Transaction is ongoing" })).collect();
    let message = "Transaction cancelled, please refer cancellation reasons for specific reasons";
    let told = json!({
        "__type": format!("{NAMESPACE}#TransactionCanceledException"),
        "Message": format!("{message} [{}]", codes.join(", ")),
        "CancellationReasons": reasons,
    });
    say(StatusCode::BAD_REQUEST, &told)
}

fn say(status: StatusCode, body: &Value) -> Response {
    (status, [("content-type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}

/// Calls `operation` of a stand-in as it is, without the store: to see what was really written.
pub async fn raw(endpoint: &str, operation: &str, body: &Value) -> Value {
    let answer = reqwest::Client::new()
        .post(endpoint)
        .header("x-amz-target", format!("DynamoDB_20120810.{operation}"))
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-date", "20260301T120000Z")
        .header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=local/20260301/us-east-1/dynamodb/aws4_request, \
             SignedHeaders=host;x-amz-date;x-amz-target, Signature=00",
        )
        .body(body.to_string())
        .send()
        .await
        .expect("an answer");
    answer.json().await.expect("JSON")
}
