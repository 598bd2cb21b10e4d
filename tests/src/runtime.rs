//! An emulated Lambda runtime interface: hands payloads to a real function binary and takes its answers.
//!
//! The four endpoints of the runtime API that a custom runtime calls: next, response, error, init error. The binary
//! runs as in Lambda: its own process, the same environment variables, one request at a time.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc, oneshot};

/// Longest that a function may take from its start to an answer.
const LIMIT: Duration = Duration::from_secs(30);

/// What a function answered to one payload: the response, or the error it reported.
pub type Invoked = Result<Value, Value>;

type Waiting = Arc<std::sync::Mutex<HashMap<String, oneshot::Sender<Invoked>>>>;

#[derive(Clone)]
struct Api {
    next: Arc<Mutex<mpsc::UnboundedReceiver<(String, String)>>>,
    waiting: Waiting,
}

/// A running function.
pub struct Lambda {
    process: Child,
    payloads: mpsc::UnboundedSender<(String, String)>,
    waiting: Waiting,
    n_sent: AtomicUsize,
}

impl Lambda {
    /// Starts `binary` under an interface of its own, with `variables` beside those that Lambda sets.
    pub async fn start(binary: &Path, variables: &[(&str, String)]) -> Self {
        Self::logging(binary, variables, Stdio::null()).await
    }

    /// The same, with its logs going to `log`.
    pub async fn logging(binary: &Path, variables: &[(&str, String)], log: Stdio) -> Self {
        let (payloads, next) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        let api = Api { next: Arc::new(Mutex::new(next)), waiting: waiting.clone() };
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next_invocation))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .route("/2018-06-01/runtime/init/error", post(|| async { StatusCode::ACCEPTED }))
            .with_state(api);
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let process = command(binary, variables).env("AWS_LAMBDA_RUNTIME_API", address).stdout(log).spawn();
        let process = process.unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        Self { process, payloads, waiting, n_sent: AtomicUsize::new(0) }
    }

    /// Hands `payload` to the function and waits for what it says.
    pub async fn invoke(&self, payload: &Value) -> Invoked {
        let id = format!("invocation-{}", self.n_sent.fetch_add(1, Ordering::SeqCst));
        let (sender, receiver) = oneshot::channel();
        self.waiting.lock().expect("no panic holds it").insert(id.clone(), sender);
        self.payloads.send((id, payload.to_string())).expect("the interface runs");
        let answer = tokio::time::timeout(LIMIT, receiver).await;
        answer.expect("the function answers in time").expect("the interface runs")
    }
}

impl Drop for Lambda {
    fn drop(&mut self) {
        // One that ended by itself needs no end.
        let _ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

async fn next_invocation(State(api): State<Api>) -> Response {
    let next = api.next.lock().await.recv().await;
    // The test is over: nothing comes any more, and Lambda would freeze the process here.
    let Some((id, payload)) = next else { return std::future::pending().await };
    let deadline = "4102444800000";
    let headers = [
        ("lambda-runtime-aws-request-id", id.as_str()),
        ("lambda-runtime-deadline-ms", deadline),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:test"),
        ("content-type", "application/json"),
    ];
    (headers, payload).into_response()
}

async fn response(State(api): State<Api>, UrlPath(id): UrlPath<String>, body: Bytes) -> StatusCode {
    answer(&api, &id, Ok(serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

async fn error(State(api): State<Api>, UrlPath(id): UrlPath<String>, body: Bytes) -> StatusCode {
    answer(&api, &id, Err(serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn answer(api: &Api, id: &str, answer: Invoked) -> StatusCode {
    if let Some(sender) = api.waiting.lock().expect("no panic holds it").remove(id) {
        let _gone = sender.send(answer);
    }
    StatusCode::ACCEPTED
}

/// A command with Lambda's environment and nothing of ours.
pub fn command(binary: &Path, variables: &[(&str, String)]) -> Command {
    let mut command = Command::new(binary);
    command
        .env_clear()
        .env("AWS_LAMBDA_FUNCTION_NAME", "test")
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
        .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "local")
        .env("AWS_SECRET_ACCESS_KEY", "local")
        .envs(variables.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// The function binary called `name`: as `cargo build --workspace` left it beside the tests, and built here only where
/// that was not done since the sources changed.
pub fn binary(name: &str) -> PathBuf {
    let tests = std::env::current_exe().expect("this test's own path");
    let folder = tests.parent().and_then(Path::parent).expect("target/debug/deps").to_owned();
    let path = folder.join(name);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let changed = ["functions/src", "models/src"].map(|sources| newest(&root.join(sources)));
    let built = || std::fs::metadata(&path).and_then(|file| file.modified()).ok();
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().expect("no panic holds it");
    if built() < changed.into_iter().max() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--offline", "--quiet", "--workspace", "--bins", "--target-dir"]);
        let status = build.arg(folder.parent().expect("target")).current_dir(&root).status();
        assert!(status.is_ok_and(|status| status.success()), "the function binaries are built");
    }
    path
}

/// When the newest file below `folder` was written.
fn newest(folder: &Path) -> std::time::SystemTime {
    let entries = std::fs::read_dir(folder).expect("a folder of sources").flatten();
    let times = entries.map(|entry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => newest(&entry.path()),
        _ => entry.metadata().and_then(|file| file.modified()).unwrap_or(std::time::UNIX_EPOCH),
    });
    times.max().unwrap_or(std::time::UNIX_EPOCH)
}

/// A request as API Gateway's HTTP API hands it over (payload format 2.0).
pub fn gateway_request(
    method: &str,
    path: &str,
    query: &str,
    headers: &[(&str, &str)],
    body: Option<&str>,
) -> Value {
    let mut all = HashMap::from([
        ("host".to_owned(), "abc123.execute-api.eu-west-1.amazonaws.com".to_owned()),
        ("content-type".to_owned(), "application/json".to_owned()),
        ("x-forwarded-for".to_owned(), "192.0.2.7".to_owned()),
        ("x-forwarded-proto".to_owned(), "https".to_owned()),
    ]);
    all.extend(headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {path}"),
        "rawPath": path,
        "rawQueryString": query,
        "headers": all,
        "requestContext": {
            "accountId": "000000000000",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.eu-west-1.amazonaws.com",
            "domainPrefix": "abc123",
            "http": {
                "method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7",
                "userAgent": "test",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": format!("{method} {path}"),
            "stage": "$default",
            "time": "01/Mar/2026:12:00:00 +0000",
            "timeEpoch": 1_772_366_400_000_i64,
        },
        "body": body,
        "isBase64Encoded": false,
    })
}
