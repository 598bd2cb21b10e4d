//! The five functions over HTTP, as a caller meets them: roles, the loop, bad input, repetition, and what they answer
//! when store or models are away.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::path::Path;

use nextbest_functions::app::{App, OpenError};
use nextbest_functions::clock::Clock;
use nextbest_functions::keys::{NewKey, Role};
use nextbest_functions::request::MAX_BODY_BYTES;
use nextbest_functions::route::{Access, LOCAL_ROUTES, ROUTES};
use nextbest_functions::store::{Store, Subject};
use nextbest_functions::{local, snapshot};
use nextbest_models::artifact::ArtifactError;
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::Event;
use nextbest_tests::backend::{self, Backend};
use nextbest_tests::fixture::{self, key, now, order_json};
use reqwest::StatusCode;
use serde_json::{Value, json};

struct World {
    base: String,
    app: App,
    keys: Vec<NewKey>,
    client: reqwest::Client,
    _backend: Option<Backend>,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let backend = backend::embedded();
        let store = Store::local(&backend.endpoint, "nextbest");
        store.create_table().await.unwrap();
        Self::over(store, Some(backend), true).await
    }

    async fn over(store: Store, backend: Option<Backend>, with_models: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fixture::install(folder.path());
        if !with_models {
            std::fs::remove_file(folder.path().join("artifacts/CURRENT")).unwrap();
        }
        let (app, keys) = fixture::app(folder.path(), store);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = local::router(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, app, keys, client: reqwest::Client::new(), _backend: backend, _folder: folder }
    }

    fn request(&self, method: &str, path: &str, role: Role) -> reqwest::RequestBuilder {
        let method = method.parse().unwrap();
        self.client.request(method, format!("{}{path}", self.base)).header("x-api-key", key(&self.keys, role))
    }

    async fn post(&self, role: Role, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request("POST", path, role).json(body)).await
    }

    async fn get(&self, role: Role, path: &str) -> (StatusCode, Value) {
        answer(self.request("GET", path, role)).await
    }

    async fn take_in(&self, events: &[Value]) -> Vec<Value> {
        let (status, body) = self.post(Role::Crm, "/v1/events", &json!({ "events": events })).await;
        assert_eq!(status, 200, "{body}");
        body["results"].as_array().unwrap().clone()
    }
}

async fn answer(request: reqwest::RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    assert!(response.headers().contains_key("x-request-id"));
    let content_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let body: Value = response.json().await.unwrap();
    if !status.is_success() && body.get("code").is_some() {
        assert_eq!(content_type, "application/problem+json");
        assert_eq!(body["status"], status.as_u16());
        assert_eq!(body["type"], format!("urn:nextbest:problem:{}", body["code"].as_str().unwrap()));
    }
    (status, body)
}

fn close(found: &Value, expected: f64) {
    // Both sides are the same few operations on doubles; they may differ by rounding of the last digits.
    let found = found.as_f64().unwrap_or_else(|| panic!("{found} is a number"));
    assert!(
        (found - expected).abs() <= 8.0 * f64::EPSILON * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + (-log_odds).exp())
}

#[tokio::test]
async fn every_endpoint_admits_exactly_its_roles() {
    let world = World::new().await;
    for route in ROUTES.iter().chain(LOCAL_ROUTES) {
        let url = format!("{}{}", world.base, route.path.replace("{id}", "x"));
        let method: reqwest::Method = route.method.parse().unwrap();
        let with = |key: Option<String>| {
            let request = world.client.request(method.clone(), &url);
            let request = if let Some(key) = key { request.header("x-api-key", key) } else { request };
            async move { request.send().await.unwrap().status().as_u16() }
        };
        let open = route.access == Access::Public;
        for wrong in [None, Some("nb_admin_wrong".to_owned()), Some(String::new())] {
            let status = with(wrong.clone()).await;
            assert_eq!(status == 401, !open, "{} {} with key {wrong:?}: {status}", route.method, route.path);
        }
        for &role in Role::ALL {
            let status = with(Some(key(&world.keys, role).to_owned())).await;
            let place = format!("{} {} as {role}: {status}", route.method, route.path);
            assert_ne!(status, 401, "{place}");
            assert_eq!(status == 403, !route.access.admits(role), "{place}");
            // A list that was not made yet is a 404 too.
            let may_miss = route.path.contains("{id}") || ["/v1/at-risk", "/v1/hopper"].contains(&route.path);
            assert!(![404, 405].contains(&status) || may_miss, "{place}");
        }
    }
    // Admin is admitted everywhere; the other three each to something, none to all.
    for &role in Role::ALL {
        let admitted = ROUTES.iter().filter(|route| route.access.admits(role)).count();
        assert_eq!(admitted == ROUTES.len(), role == Role::Admin);
    }
}

#[tokio::test]
async fn the_loop_closes() {
    let world = World::new().await;
    // Two orders, 40 and 20 days ago, and three views of late.
    let mut events = vec![order_json("ann", 1, 40, 5_000), order_json("ann", 2, 20, 3_000)];
    assert!(world.take_in(&events).await.iter().all(|result| result["status"] == "accepted"));
    events.clear();
    for view in 0..3 {
        events.push(json!({
            "event_id": format!("view-{view}"), "type": "product_viewed", "occurred_at": now().plus_days(-2),
            "customer_id": "ann", "sku": "MUG",
        }));
    }
    assert!(world.take_in(&events).await.iter().all(|result| result["status"] == "accepted"));
    assert!(world.take_in(&events).await.iter().all(|result| result["status"] == "duplicate"));

    let churn = logistic(-1.0 + 20.0 / 30.0 - 2.0);
    let conversion = logistic(-1.0 + 0.1 * 3.0);
    let (status, scores) = world.post(Role::Crm, "/v1/scores", &json!({ "customer_id": "ann" })).await;
    assert_eq!(status, 200, "{scores}");
    assert_eq!(scores["propensities"][0]["name"], "churn");
    close(&scores["propensities"][0]["probability"], churn);
    close(&scores["propensities"][1]["probability"], conversion);
    assert_eq!(scores["propensities"][0]["reasons"][0]["code"], "ordering");
    assert_eq!(scores["propensities"][0]["reasons"][0]["direction"], "lowers");
    assert_eq!(scores["propensities"][0]["interval"]["code"], "not_estimated");
    let sealed = json!({ "lo": 0.1, "hi": 0.9, "level": 0.9, "code": null });
    assert_eq!(scores["propensities"][1]["interval"], sealed);

    let question = json!({ "customer_id": "ann", "max_actions": 2, "explain": "full" });
    let (status, decision) = world.post(Role::Crm, "/v1/decisions/next-best-action", &question).await;
    assert_eq!((status, &decision["outcome"]), (StatusCode::OK, &json!("offer")), "{decision}");
    let names = ["decision_id", "request_id", "created_at", "valid_until", "degraded", "policy", "models"];
    for name in names.iter().chain(&["features", "experiment", "exploration", "timing_us"]) {
        assert!(decision.get(name).is_some(), "{name} is missing");
    }
    let best = &decision["actions"][0];
    assert_eq!((&best["action_id"], &best["rank"]), (&json!("second_order"), &json!(1)));
    close(&best["priority"], conversion * 3000.0);
    assert_eq!(best["interval"], sealed);
    close(&decision["actions"][1]["priority"], churn * (0.2 * 8_000.0));
    close(&decision["exploration"]["choice_probability"], 1.0);
    assert_eq!(decision["degraded"], json!([]));

    let id = decision["decision_id"].as_str().unwrap();
    let accepted = json!({
        "event_id": "accepted-1", "type": "accepted", "occurred_at": now(), "customer_id": "ann",
        "decision_id": id, "action_id": "second_order",
    });
    for status in ["accepted", "duplicate"] {
        assert_eq!(world.take_in(std::slice::from_ref(&accepted)).await[0]["status"], status);
    }
    let (status, logged) = world.get(Role::Crm, &format!("/v1/decisions/{id}")).await;
    assert_eq!(status, 200);
    let record = &logged["decision"];
    assert_eq!(record["decision"]["actions"][0]["priority"], decision["actions"][0]["priority"]);
    assert_eq!(record["situation"]["features"][0], 2.0);
    assert_eq!(logged["outcomes"].as_array().unwrap().len(), 1);
    assert_eq!(logged["outcomes"][0]["event_id"], "accepted-1");

    let basket = json!({ "session_id": "s", "currency": "GBP", "items": [{ "sku": "MUG", "quantity": 2 }] });
    let (status, quote) = world.post(Role::Checkout, "/v1/prices/quote", &basket).await;
    assert_eq!((status, &quote["outcome"]), (StatusCode::OK, &json!("quoted")), "{quote}");
    let item = &quote["items"][0];
    let price = item["quoted_price_minor"].as_i64().unwrap();
    // Elasticity -2 and cost 610 want 1220; rounded to .99 inside 1039 ..= 1559 that is 1199 or 1299.
    assert_eq!(item["model_price_minor"], 1220);
    assert_eq!(price, 1199);
    assert_eq!(quote["total"], json!({ "amount_minor": 2 * price, "currency": "GBP" }));
    let path = format!("/v1/prices/quotes/{}", quote["quote_id"].as_str().unwrap());
    let (status, kept) = world.get(Role::Checkout, &path).await;
    assert_eq!((status, &kept["items"]), (StatusCode::OK, &quote["items"]));

    assert_eq!(world.get(Role::Retention, "/v1/at-risk").await.1["code"], "no_snapshot");
    let built = snapshot::build(&world.app).await.unwrap();
    assert_eq!((built.n_customers, built.n_scanned), (1, 1));
    let (status, list) = world.get(Role::Retention, "/v1/at-risk").await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["snapshot_id"], built.snapshot_id);
    close(&list["customers"][0]["churn_probability"]["value"], churn);
    assert_eq!(list["customers"][0]["recent_value_minor"], 8_000);
    assert_eq!(list["customers"][0]["recommended"]["action_id"], "second_order");
    assert_eq!(list["customers"][0]["save_uplift"], json!({ "value": null, "code": "no_uplift_model" }));
    assert_eq!(list["next_cursor"], Value::Null);
}

#[tokio::test]
async fn reasons_carry_code_and_text_and_sum_to_the_margin() {
    let world = World::new().await;
    let view = json!({
        "event_id": "view", "type": "product_viewed", "occurred_at": now().plus_days(-2), "customer_id": "ann",
    });
    world.take_in(&[order_json("ann", 1, 40, 5_000), order_json("ann", 2, 15, 3_000)]).await;
    world.take_in(&[view, order_json("bob", 3, 120, 2_000)]).await;

    let body = json!({ "customer_id": "ann", "reasons": 20 });
    let (_, scores) = world.post(Role::Crm, "/v1/scores", &body).await;
    // Two orders add -2 and fifteen days +1/2: one reason. No reason names the views, so they are told by themselves.
    let ordering = json!([{
        "code": "ordering", "text": "How often and how lately they order makes it less likely",
        "direction": "lowers", "contribution": -1.5, "missing": false,
        "features": ["orders_90d", "order_recency"],
    }]);
    assert_eq!(scores["propensities"][0]["reasons"], ordering);
    let viewing = json!([{
        "code": "views_30d", "text": null, "direction": "raises", "contribution": 0.1, "missing": false,
        "features": ["views_30d"],
    }]);
    assert_eq!(scores["propensities"][1]["reasons"], viewing);

    let (schema, subject) = (&world.app.project.schema, Subject::Customer(CustomerId::new("ann").unwrap()));
    let stored = world.app.store.customer(&subject, schema).await.unwrap().unwrap();
    let features = schema.features(&stored.customer, now());
    for (model, score) in
        world.app.artifact.as_ref().unwrap().propensities().zip(scores["propensities"].as_array().unwrap())
    {
        let added = score["reasons"].as_array().unwrap().iter();
        let added: f64 = added.map(|reason| reason["contribution"].as_f64().unwrap()).sum();
        close(&json!(model.explain(features.values()).baseline + added), model.margin(features.values()));
    }

    let question = json!({ "customer_id": "ann", "max_actions": 2, "explain": "codes" });
    let (_, decision) = world.post(Role::Crm, "/v1/decisions/next-best-action", &question).await;
    for action in decision["actions"].as_array().unwrap() {
        let expected = if action["propensity_model"] == "churn" { &ordering } else { &viewing };
        assert_eq!(&action["reason_codes"], expected);
    }
    assert_eq!(decision["actions"].as_array().unwrap().len(), 2);

    // Only what raises the risk drives it: nothing of ann's, and of bob's the 120 days that no order weighs against.
    snapshot::build(&world.app).await.unwrap();
    let (_, list) = world.get(Role::Retention, "/v1/at-risk").await;
    let row = |customer: &str| {
        let customers = list["customers"].as_array().unwrap();
        customers.iter().find(|row| row["customer_id"] == customer).unwrap().clone()
    };
    assert_eq!((&row("ann")["drivers"], &row("ann")["driver_reasons"]), (&json!([]), &json!([])));
    assert_eq!(row("bob")["drivers"], json!(["ordering"]));
    let driver = json!([{
        "code": "ordering", "text": "How often and how lately they order",
        "features": ["orders_90d", "order_recency"],
    }]);
    assert_eq!(row("bob")["driver_reasons"], driver);
}

#[tokio::test]
async fn every_event_is_answered_by_name() {
    let world = World::new().await;
    let with = |id: &str, change: Value| {
        let mut event = order_json("bob", 1, 1, 100);
        event["event_id"] = json!(id);
        for (name, value) in change.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    };
    let ago = |days: i32| json!(now().plus_days(-days));
    let cases = [
        (with("a", json!({})), "accepted", "", ""),
        (with("a", json!({})), "duplicate", "", ""),
        (with("b", json!({ "occurred_at": ago(3) })), "late_accepted", "", ""),
        (with("c", json!({ "occurred_at": ago(30) })), "rejected", "too_late", "events[0].occurred_at"),
        (with("d", json!({ "occurred_at": ago(-1) })), "rejected", "in_future", "events[0].occurred_at"),
        (with("e", json!({ "type": "order_placd" })), "rejected", "unknown_type", "events[0].type"),
        (with("f", json!({ "quantity": -2 })), "rejected", "out_of_range", "events[0].quantity"),
        (with("g", json!({ "quantity": "2" })), "rejected", "invalid_field", "events[0].quantity"),
        (with("h", json!({ "colour": "red" })), "rejected", "invalid_field", "events[0].colour"),
        (
            with("i", json!({ "occurred_at": "1066-10-14T09:00:00Z" })),
            "rejected",
            "invalid_field",
            "events[0].occurred_at",
        ),
        (
            with("j", json!({ "value": { "amount_minor": 1, "currency": "EUR" } })),
            "rejected",
            "currency_mismatch",
            "events[0].value.currency",
        ),
        (with("k", json!({ "customer_id": null })), "rejected", "missing", "events[0].customer_id"),
        (json!(7), "rejected", "invalid_field", "events[0]"),
        (with("l", json!({ "customer_id": null, "anonymous_id": "v1" })), "accepted", "", ""),
    ];
    for (event, status, code, path) in cases {
        let results = world.take_in(std::slice::from_ref(&event)).await;
        let result = &results[0];
        assert_eq!(result["status"], status, "{event} -> {result}");
        if status == "rejected" {
            assert_eq!((&result["code"], &result["path"]), (&json!(code), &json!(path)), "{event}");
            assert!(!result["message"].as_str().unwrap().is_empty());
        }
    }
    // One bad event in the middle costs the others nothing; sorted by time, none of them is late for another.
    let batch = [
        with("m", json!({ "customer_id": "eve" })),
        json!({}),
        with("n", json!({ "customer_id": "eve", "occurred_at": ago(60) })),
    ];
    let statuses: Vec<Value> =
        world.take_in(&batch).await.iter().map(|result| result["status"].clone()).collect();
    assert_eq!(statuses, ["accepted", "rejected", "accepted"]);
}

#[tokio::test]
async fn features_online_are_those_of_the_offline_replay() {
    let world = World::new().await;
    let schema = &world.app.project.schema;
    let events: Vec<Value> = (0..400)
        .map(|n: u32| {
            let customer = format!("c{}", n % 7);
            order_json(&customer, n, 200 - i32::try_from(n / 2).unwrap(), i64::from(n * 37 % 5000))
        })
        .collect();
    for batch in events.chunks(61) {
        assert!(world.take_in(batch).await.iter().all(|result| result["status"] == "accepted"));
    }
    for n in 0..7 {
        let id = CustomerId::new(format!("c{n}")).unwrap();
        let mut offline = Customer::new(id.clone(), schema);
        for event in &events {
            let event: Event = serde_json::from_value(event.clone()).unwrap();
            if event.customer_id.as_ref() == Some(&id) {
                offline.apply(schema, &event).unwrap();
            }
        }
        let stored = world.app.store.customer(&Subject::Customer(id), schema).await.unwrap().unwrap();
        let bits = |customer: &Customer| -> Vec<u64> {
            schema.features(customer, now()).values().iter().map(|value| value.to_bits()).collect()
        };
        assert_eq!(bits(&stored.customer), bits(&offline));
    }
}

#[tokio::test]
async fn bad_requests_are_named_with_value_bound_and_place() {
    let world = World::new().await;
    let nba = "/v1/decisions/next-best-action";
    let cases = [
        (nba, json!({}), 422, "invalid_field", "customer_id"),
        (nba, json!({ "customer_id": "" }), 422, "invalid_field", "customer_id"),
        (nba, json!({ "customer_id": "a", "max_actions": 11 }), 422, "invalid_field", "max_actions"),
        (
            nba,
            json!({ "customer_id": "a", "candidate_actions": ["x"] }),
            422,
            "invalid_field",
            "candidate_actions[0]",
        ),
        (nba, json!({ "customer_id": "a", "mode": "dry" }), 422, "invalid_field", "mode"),
        (
            nba,
            json!({ "customer_id": "a", "context": { "chanel": "web" } }),
            422,
            "invalid_field",
            "context.chanel",
        ),
        ("/v1/scores", json!({ "customer_id": "a", "models": ["ltv"] }), 422, "invalid_field", "models[0]"),
        ("/v1/scores", json!({ "customer_id": "a", "reasons": 21 }), 422, "invalid_field", "reasons"),
        ("/v1/scores", json!({ "customer_id": "nobody" }), 404, "unknown_customer", ""),
        ("/v1/events", json!({ "events": [] }), 422, "invalid_field", "events"),
        ("/v1/events", json!({ "events": vec![1; 501] }), 422, "invalid_field", "events"),
        ("/v1/events", json!([[]]), 422, "invalid_field", "."),
        ("/v1/scores", json!(["ann", null, 3]), 422, "invalid_field", "."),
        ("/v1/scores", json!("ann"), 422, "invalid_field", "."),
        (
            "/v1/prices/quote",
            json!({ "currency": "EUR", "items": [{ "sku": "MUG" }] }),
            422,
            "invalid_field",
            "currency",
        ),
        ("/v1/prices/quote", json!({ "currency": "gbp", "items": [] }), 422, "invalid_field", "currency"),
        ("/v1/prices/quote", json!({ "currency": "GBP", "items": [] }), 422, "invalid_field", "items"),
        (
            "/v1/prices/quote",
            json!({ "currency": "GBP", "items": [{ "sku": "MUG" }, { "sku": "MUG", "quantity": 0 }] }),
            422,
            "invalid_field",
            "items[1].quantity",
        ),
        (
            "/v1/prices/quote",
            json!({ "currency": "GBP", "items": [{ "sku": "VASE" }] }),
            422,
            "invalid_field",
            "items[0].list_price_minor",
        ),
        (
            "/v1/prices/quote",
            json!({ "currency": "GBP", "items": [{ "sku": "MUG", "list_price_minor": 0 }] }),
            422,
            "invalid_field",
            "items[0].list_price_minor",
        ),
    ];
    for (path, body, status, code, place) in cases {
        let (found, problem) = world.post(Role::Admin, path, &body).await;
        let expected = (status, json!(code), if place.is_empty() { Value::Null } else { json!(place) });
        let found = (found.as_u16(), problem["code"].clone(), problem["path"].clone());
        assert_eq!(found, expected, "{path} {body} -> {problem}");
        assert!(!problem["detail"].as_str().unwrap().is_empty());
    }
    for (query, code) in [
        ("limit=0", "invalid_query"),
        ("limit=x", "invalid_query"),
        ("min_risk=1.5", "invalid_query"),
        ("min_risk=NaN", "invalid_query"),
        ("sort=name", "invalid_query"),
        ("segment=vip", "invalid_query"),
        ("colour=red", "invalid_query"),
        ("cursor=abc", "invalid_cursor"),
    ] {
        let (status, problem) = world.get(Role::Retention, &format!("/v1/at-risk?{query}")).await;
        assert_eq!((status.as_u16(), &problem["code"]), (400, &json!(code)), "{query}: {problem}");
    }
    assert_eq!(world.get(Role::Retention, "/v1/at-risk?snapshot_id=none").await.0, 404);
    assert_eq!(world.get(Role::Crm, "/v1/decisions/none").await.1["code"], "unknown_decision");
    assert_eq!(world.get(Role::Checkout, "/v1/prices/quotes/none").await.1["code"], "unknown_quote");
    assert_eq!(world.get(Role::Admin, "/v2/events").await.1["code"], "no_such_path");
}

#[tokio::test]
async fn bad_http_is_refused_before_it_is_read() {
    let world = World::new().await;
    let send = |content_type: &'static str, body: String| {
        let request = world.request("POST", "/v1/scores", Role::Crm).header("content-type", content_type);
        answer(request.body(body))
    };
    let (status, problem) = send("application/json", "{\"customer_id\": \"a\",".to_owned()).await;
    assert_eq!((status.as_u16(), &problem["code"]), (400, &json!("invalid_json")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("line 1"));
    assert_eq!(send("application/json", String::new()).await.0, 400);
    assert_eq!(send("text/csv", "a,b".to_owned()).await.1["code"], "unsupported_media_type");
    assert_eq!(send("application/json; charset=utf-8", "{\"customer_id\":\"a\"}".to_owned()).await.0, 404);

    let deep = format!("{{\"customer_id\": {}", "[".repeat(100_000));
    assert_eq!(send("application/json", deep).await.0, 422);
    let deep = format!("{{\"events\": {}", "[".repeat(100_000));
    let request = world.request("POST", "/v1/events", Role::Crm).header("content-type", "application/json");
    assert_eq!(answer(request.body(deep)).await.1["code"], "invalid_json");
    let fits = format!("{{\"customer_id\":\"a\"}}{}", " ".repeat(MAX_BODY_BYTES - 19));
    assert_eq!(fits.len(), MAX_BODY_BYTES);
    assert_eq!(send("application/json", fits.clone()).await.0, 404);
    let (status, problem) = send("application/json", format!("{fits} ")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (413, &json!("body_too_large")));

    let response = world.request("DELETE", "/v1/scores", Role::Crm).send().await.unwrap();
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "POST");
    let id = "trace-17";
    let response =
        world.request("GET", "/healthz", Role::Crm).header("x-request-id", id).send().await.unwrap();
    assert_eq!(response.headers()["x-request-id"], id);
}

#[tokio::test]
async fn a_repeated_request_is_answered_once() {
    let world = World::new().await;
    world.take_in(&[order_json("ann", 1, 10, 500)]).await;
    let path = "/v1/decisions/next-best-action";
    let send = |role: Role, key: &'static str, body: Value| {
        let request = world.request("POST", path, role).header("idempotency-key", key).json(&body);
        async move {
            let response = request.send().await.unwrap();
            let replayed = response.headers().contains_key("idempotent-replayed");
            (response.status().as_u16(), replayed, response.json::<Value>().await.unwrap())
        }
    };
    let body = json!({ "customer_id": "ann" });
    let (status, replayed, first) = send(Role::Crm, "k1", body.clone()).await;
    assert_eq!((status, replayed), (200, false));
    let (status, replayed, second) = send(Role::Crm, "k1", body.clone()).await;
    assert_eq!((status, replayed), (200, true));
    assert_eq!(first, second);
    let (status, _, problem) = send(Role::Crm, "k1", json!({ "customer_id": "bob" })).await;
    assert_eq!((status, &problem["code"]), (409, &json!("idempotency_key_reused")));
    // Another caller's key of the same text is another key.
    let (status, replayed, other) = send(Role::Admin, "k1", body.clone()).await;
    assert_eq!((status, replayed), (200, false));
    assert_ne!(first["decision_id"], other["decision_id"]);
    // A refusal is not kept: the same key may carry the corrected body.
    assert_eq!(send(Role::Crm, "k2", json!({})).await.0, 422);
    assert_eq!(send(Role::Crm, "k2", body.clone()).await.0, 200);
    assert_eq!(send(Role::Crm, " ", body).await.0, 400);
}

#[tokio::test]
async fn an_unknown_customer_and_consent_have_defined_answers() {
    let world = World::new().await;
    let path = "/v1/decisions/next-best-action";
    let (status, answer) = world.post(Role::Crm, path, &json!({ "customer_id": "nobody" })).await;
    // A decision like any other, of someone who is aware of us and no more.
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("no_action")));
    assert_eq!((&answer["degraded"], &answer["actions"]), (&json!(["unknown_customer"]), &json!([])));
    assert_eq!(answer["features"]["age_seconds"], Value::Null);

    world.take_in(&[order_json("ann", 1, 10, 0)]).await;
    let ask = |consent: Value| {
        let body = json!({ "customer_id": "ann", "consent": consent, "candidate_actions": ["second_order"] });
        let world = &world;
        async move { world.post(Role::Crm, path, &body).await.1 }
    };
    assert_eq!(ask(json!({})).await["actions"][0]["channel"], "email");
    assert_eq!(ask(json!({ "email": false })).await["actions"][0]["channel"], "push");
    let none = ask(json!({ "email": false, "push": false })).await;
    assert_eq!(none["outcome"], "no_action");
    let fallen =
        none["suppressed"].as_array().unwrap().iter().find(|fall| fall["action_id"] == "second_order");
    assert_eq!(fallen.unwrap()["code"], "no_consent");

    let dry = json!({ "customer_id": "ann", "mode": "dry_run" });
    let id = world.post(Role::Crm, path, &dry).await.1["decision_id"].as_str().unwrap().to_owned();
    assert_eq!(world.get(Role::Crm, &format!("/v1/decisions/{id}")).await.0, 404);
}

#[tokio::test]
async fn without_a_store_decisions_and_prices_fall_back_and_the_rest_says_so() {
    let store = Store::local(&format!("http://127.0.0.1:{}", backend::free_port()), "nextbest");
    let world = World::over(store, None, true).await;
    let question = json!({ "customer_id": "ann" });
    let (status, answer) = world.post(Role::Crm, "/v1/decisions/next-best-action", &question).await;
    assert_eq!((status, &answer["outcome"]), (StatusCode::OK, &json!("fallback")), "{answer}");
    assert_eq!(answer["degraded"], json!(["store_unreachable", "not_logged"]));
    let basket = json!({ "currency": "GBP", "items": [{ "sku": "MUG" }] });
    let (status, quote) = world.post(Role::Checkout, "/v1/prices/quote", &basket).await;
    assert_eq!((status, &quote["outcome"]), (StatusCode::OK, &json!("list_price_fallback")), "{quote}");
    assert_eq!(quote["items"][0]["quoted_price_minor"], 1299);
    assert!(quote["degraded"].as_array().unwrap().contains(&json!("store_unreachable")));
    for (role, method, path, body) in [
        (Role::Crm, "POST", "/v1/scores", question),
        (Role::Crm, "POST", "/v1/events", json!({ "events": [order_json("ann", 1, 1, 1)] })),
        (Role::Retention, "GET", "/v1/at-risk", Value::Null),
        (Role::Crm, "GET", "/v1/decisions/x", Value::Null),
        (Role::Crm, "GET", "/v1/hopper", Value::Null),
        (Role::Crm, "POST", "/v1/hopper/x/claims", json!({ "decision_ids": ["y"] })),
    ] {
        let response = world.request(method, path, role).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 503, "{path}");
        assert!(response.headers().contains_key("retry-after"));
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["code"], "store_unreachable");
        assert!(!problem.to_string().contains("127.0.0.1"), "what went wrong inside is not told");
    }
    assert_eq!(world.get(Role::Crm, "/readyz").await.0, 503);
    assert_eq!(world.get(Role::Crm, "/healthz").await.0, 200);
}

#[tokio::test]
async fn without_models_nothing_is_made_up() {
    let backend = backend::embedded();
    let store = Store::local(&backend.endpoint, "nextbest");
    store.create_table().await.unwrap();
    let world = World::over(store, Some(backend), false).await;
    world.take_in(&[order_json("ann", 1, 10, 500)]).await;
    let question = json!({ "customer_id": "ann" });
    let (_, answer) = world.post(Role::Crm, "/v1/decisions/next-best-action", &question).await;
    assert_eq!((&answer["outcome"], &answer["models"]), (&json!("fallback"), &json!([])));
    assert_eq!(answer["degraded"], json!(["no_model:churn", "no_model:conversion"]));
    assert_eq!(world.post(Role::Crm, "/v1/scores", &question).await.1["code"], "no_model");
    let basket = json!({ "currency": "GBP", "items": [{ "sku": "MUG" }] });
    let (_, quote) = world.post(Role::Checkout, "/v1/prices/quote", &basket).await;
    assert_eq!(quote["outcome"], "list_price_fallback");
    assert_eq!(quote["degraded"], json!(["no_demand_model", "no_demand:MUG"]));
    assert_eq!(quote["items"][0]["purchase_probability"], json!({ "value": null, "code": "no_price_shown" }));
    assert!(snapshot::build(&world.app).await.unwrap_err().to_string().contains("churn"));
}

#[tokio::test]
async fn an_at_risk_list_is_worked_off_undisturbed() {
    let world = World::new().await;
    let n_customers: u32 = 250;
    for batch in (0..n_customers).collect::<Vec<_>>().chunks(125) {
        let events: Vec<Value> = batch
            .iter()
            .map(|n| order_json(&format!("c{n}"), 1, 1 + (n % 170) as i32, i64::from(n * 13 % 997)))
            .collect();
        world.take_in(&events).await;
    }
    // One who left before the activity window is no customer any more.
    world.take_in(&[order_json("gone", 1, 181, 9_999)]).await;
    let built = snapshot::build(&world.app).await.unwrap();
    assert_eq!((built.n_customers, built.n_scanned), (250, 251));

    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for page in 0.. {
        let (status, list) = world.get(Role::Retention, &format!("/v1/at-risk?limit=60{cursor}")).await;
        assert_eq!(status, 200, "{list}");
        assert_eq!(list["snapshot_id"], built.snapshot_id);
        seen.extend(list["customers"].as_array().unwrap().clone());
        if page == 1 {
            // Rebuilt while it is worked off, from other numbers.
            world.take_in(&[order_json("c1", 99, 0, 1_000_000)]).await;
            assert_ne!(snapshot::build(&world.app).await.unwrap().snapshot_id, built.snapshot_id);
        }
        match list["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let ranks: Vec<u64> = seen.iter().map(|row| row["rank"].as_u64().unwrap()).collect();
    assert_eq!(ranks, (1..=u64::from(n_customers)).collect::<Vec<_>>());
    let values: Vec<i64> = seen.iter().map(|row| row["value_at_risk_minor"].as_i64().unwrap()).collect();
    assert!(values.is_sorted_by(|a, b| a >= b));
    let ids: BTreeSet<&str> = seen.iter().map(|row| row["customer_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 250);

    let old = &built.snapshot_id;
    let path = format!("/v1/at-risk?snapshot_id={old}&min_risk=0.5&segment=at_risk&limit=500");
    let (_, list) = world.get(Role::Retention, &path).await;
    let filtered = list["customers"].as_array().unwrap();
    let expected = seen.iter().filter(|row| {
        row["churn_probability"]["value"].as_f64().unwrap() >= 0.5 && row["lifecycle_stage"] == "at_risk"
    });
    assert_eq!(filtered.iter().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
    assert!(!filtered.is_empty() && filtered.len() < 250);
    let last = list["cutoff_curve"].as_array().unwrap().last().unwrap();
    assert_eq!(last["n_customers"], 250);
    close(&last["share_of_churners"], 1.0);
    // A cursor of one filter is none of another.
    let (_, list) = world.get(Role::Retention, "/v1/at-risk?limit=1&min_risk=0.1").await;
    let cursor = list["next_cursor"].as_str().unwrap();
    assert_eq!(
        world.get(Role::Retention, &format!("/v1/at-risk?cursor={cursor}")).await.1["code"],
        "invalid_cursor"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_stage_are_logged_by_what_brings_them_about() {
    let world = World::new().await;
    let logged = async |id: &str| -> Vec<(String, String)> {
        let id = CustomerId::new(id).unwrap();
        let events = world.app.store.stage_changes(&id, now().as_millis() / 1000).await.unwrap();
        let text = |event: &Event, name: &str| event.text(name).unwrap().to_owned();
        events.iter().map(|event| (text(event, "to"), text(event, "cause"))).collect()
    };
    let pair = |to: &str, cause: &str| (to.to_owned(), cause.to_owned());

    let (first, second) = (order_json("s", 1, 10, 500), order_json("s", 2, 0, 500));
    world.take_in(std::slice::from_ref(&first)).await;
    assert_eq!(logged("s").await, [pair("new", "qualifying_event")]);
    world.take_in(&[first, second]).await;
    let both = [pair("new", "qualifying_event"), pair("activating", "qualifying_event")];
    assert_eq!(logged("s").await, both);

    // One whom only silence moves: at risk since yesterday, by an order 62 days ago.
    let project = fixture::project();
    let mut quiet = Customer::new(CustomerId::new("quiet").unwrap(), &project.schema);
    quiet.apply(&project.schema, &fixture::order("quiet", 1, 62, 500)).unwrap();
    world.app.store.load_customers(&project.schema, [&quiet]).await.unwrap();
    assert!(logged("quiet").await.is_empty());
    for _ in 0..2 {
        snapshot::build(&world.app).await.unwrap();
        assert_eq!(logged("quiet").await, [pair("at_risk", "silence")]);
        assert_eq!(logged("s").await, both);
    }
}

fn open(folder: &Path) -> Result<App, OpenError> {
    let store = Store::local("http://127.0.0.1:1", "nextbest");
    let (config, _) = fixture::config(folder, &store);
    App::open(&config, store, Clock::system())
}

#[test]
fn what_cannot_be_used_fails_the_start_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fixture::install(folder.path());
    assert!(open(folder.path()).unwrap().artifact.is_some());
    let artifact = folder.path().join("artifacts/mini.nba");
    let good = std::fs::read(&artifact).unwrap();

    std::fs::write(&artifact, fixture::artifact(&fixture::project(), Some(&"0".repeat(64)))).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(&error, OpenError::Artifact { source: ArtifactError::Schema { .. }, .. }), "{error}");
    assert!(error.to_string().contains("mini.nba") && error.to_string().contains("train again"), "{error}");

    for at in [good.len() / 3, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        std::fs::write(&artifact, bytes).unwrap();
        assert!(matches!(open(folder.path()), Err(OpenError::Artifact { .. })), "bit flipped at byte {at}");
    }
    std::fs::write(&artifact, &good).unwrap();
    std::fs::write(folder.path().join("artifacts/CURRENT"), "../mini.nba").unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Current { .. })));
    std::fs::write(folder.path().join("artifacts/CURRENT"), "other.nba").unwrap();
    assert!(matches!(open(folder.path()), Err(OpenError::Io { .. })));

    std::fs::write(folder.path().join("artifacts/CURRENT"), "mini.nba").unwrap();
    let features = folder.path().join("features.toml");
    let reworded = std::fs::read_to_string(&features).unwrap().replace("How often and how lately", "When");
    std::fs::write(&features, &reworded).unwrap();
    assert!(open(folder.path()).unwrap().artifact.is_some(), "other words ask for no training");
    std::fs::write(&features, reworded.replace("\"order_recency\"]", "\"recency\"]")).unwrap();
    let error = open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("features.toml:") && error.contains("\"recency\" is no feature"), "{error}");

    std::fs::write(folder.path().join("features.toml"), "[[feature]]\nname = \"x\"\nkind = \"guess\"\n")
        .unwrap();
    let error = open(folder.path()).err().unwrap().to_string();
    assert!(error.contains("features.toml:3") && error.contains("guess"), "{error}");
}
