//! The functions over the fixture's project and an embedded store, which may fail as a test wants it to.

use std::time::Duration;

use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::config::Config;
use nextbest_functions::decisions::record::Record;
use nextbest_functions::keys::{NewKey, Role};
use nextbest_functions::local;
use nextbest_functions::store::Store;
use nextbest_models::units::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::backend::{self, Backend};
use crate::fault::{self, Fault};
use crate::fixture::{self, key, now, order_json};

/// A running server over a store of its own, and what a test needs to look behind it.
pub struct World {
    /// Where it answers.
    pub base: String,
    /// Its state.
    pub app: App,
    /// Its configuration.
    pub config: Config,
    /// A key for every role.
    pub keys: Vec<NewKey>,
    /// Who asks.
    pub client: reqwest::Client,
    /// The store, past the faults.
    pub endpoint: String,
    faulty: String,
    /// The project folder.
    pub folder: tempfile::TempDir,
    _backend: Backend,
}

impl World {
    /// Over a store without faults.
    pub async fn new(policy: &str) -> Self {
        Self::with(policy, Duration::from_secs(20), |_, _| Fault::None).await
    }

    /// Over the embedded store behind a proxy that does what `plan` says; `policy` stands before the fixture's own.
    pub async fn with(
        policy: &str,
        deadline: Duration,
        plan: impl Fn(&str, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let backend = backend::embedded();
        Store::local(&backend.endpoint, "nextbest").create_table().await.expect("a table");
        let folder = tempfile::tempdir().expect("a temporary folder");
        fixture::install(folder.path());
        let file = folder.path().join("policy.toml");
        let text = std::fs::read_to_string(&file).expect("a policy");
        std::fs::write(&file, format!("{policy}\n{text}")).expect("a file");
        let endpoint = fault::proxy(&backend.endpoint, plan).await;
        let (mut config, keys) = fixture::config(folder.path(), &Store::local(&endpoint, "nextbest"));
        // Races on a loaded machine take their time; the test of the deadline sets its own.
        config.deadline = deadline;
        let (base, app) = serve(&config, &endpoint, now()).await;
        let client = reqwest::Client::new();
        Self {
            base,
            app,
            config,
            keys,
            client,
            endpoint: backend.endpoint.clone(),
            faulty: endpoint,
            folder,
            _backend: backend,
        }
    }

    /// Another process over the same store, without faults, at `at`.
    pub async fn again(&self, at: Timestamp) -> (String, App) {
        serve(&self.config, &self.endpoint, at).await
    }

    /// Another process over the same store, behind the same faults, at `at`.
    pub async fn through_faults(&self, at: Timestamp) -> (String, App) {
        serve(&self.config, &self.faulty, at).await
    }

    /// Asks as a CRM.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.post_as(Role::Crm, path, body).await
    }

    /// Asks as `role`.
    pub async fn post_as(&self, role: Role, path: &str, body: &Value) -> (StatusCode, Value) {
        post(&self.client, &self.base, key(&self.keys, role), path, body).await
    }

    /// A decision, which comes.
    pub async fn decide(&self, body: Value) -> Value {
        let (status, decision) = self.post("/v1/decisions/next-best-action", &body).await;
        assert_eq!(status, 200, "{decision}");
        decision
    }

    /// Customers with one order each: new, and due for a follow-up.
    pub async fn order(&self, customers: &[String]) {
        for customer in customers {
            let events = [order_json(customer, 1, 10, 2_000)];
            let (status, told) = self.post("/v1/events", &json!({ "events": events })).await;
            assert_eq!(
                (status, &told["results"][0]["status"]),
                (StatusCode::OK, &json!("accepted")),
                "{told}"
            );
        }
    }

    /// What the log keeps of `decision`.
    pub async fn record(&self, decision: &Value) -> Record {
        let id = decision["decision_id"].as_str().expect("an id");
        let logged = self.app.store.decision(id, now().as_millis() / 1000).await.expect("an answer");
        serde_json::from_value(logged.expect("it is logged").document).expect("a record")
    }
}

async fn serve(config: &Config, endpoint: &str, at: Timestamp) -> (String, App) {
    let app = App::open(config, Store::local(endpoint, "nextbest"), Clock::fixed(at)).expect("it opens");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let router = local::router(app.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (base, app)
}

/// Asks the server at `base`.
pub async fn post(
    client: &reqwest::Client,
    base: &str,
    key: &str,
    path: &str,
    body: &Value,
) -> (StatusCode, Value) {
    let request = client.post(format!("{base}{path}")).header("x-api-key", key).json(body);
    let response = request.send().await.expect("an answer");
    (response.status(), response.json().await.expect("JSON"))
}
