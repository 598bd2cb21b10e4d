//! The three callers, asking over HTTP as they would: a checkout page, a CRM, a retention team; and what came of it.

use anyhow::{Context, bail};
use nextbest_functions::keys::{NewKey, Role};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

/// Who asks, and where.
pub struct Callers {
    client: Client,
    base: String,
    keys: Vec<NewKey>,
}

/// A product to ask a price for.
pub struct Product {
    /// Stock-keeping unit.
    pub sku: String,
    /// Its list price, in minor units.
    pub list_price_minor: i64,
}

/// What they were told.
#[derive(Debug, serde::Serialize)]
pub struct Answers {
    /// Whom the other two answers are about: the first of the list who gets an offer.
    pub customer: String,
    /// GET /v1/at-risk.
    pub at_risk: Value,
    /// POST /v1/decisions/next-best-action, for that customer.
    pub next_best_action: Value,
    /// POST /v1/prices/quote, for the same customer.
    pub price: Value,
    /// GET /v1/decisions/{id}, after the customer accepted: the loop is closed.
    pub decision_with_outcome: Value,
}

impl Callers {
    /// Callers of the server at `base`, such as `http://127.0.0.1:8080`, with a key for every role.
    pub fn new(base: String, keys: Vec<NewKey>) -> Self {
        Self { client: Client::new(), base, keys }
    }

    /// The keys, for a person to go on with.
    pub fn keys(&self) -> &[NewKey] {
        &self.keys
    }

    /// Asks all three, then tells that the action was accepted.
    pub async fn ask(&self, product: &Product, currency: &str) -> anyhow::Result<Answers> {
        let at_risk = self.get(Role::Retention, "/v1/at-risk?limit=10").await?;
        let (customer, decision) = self.first_offer(&at_risk).await?;
        let basket = json!({
            "customer_id": customer, "session_id": "demo", "currency": currency, "market": "GB",
            "items": [{"sku": product.sku, "quantity": 1, "list_price_minor": product.list_price_minor}],
        });
        let price = self.post(Role::Checkout, "/v1/prices/quote", &basket).await?;
        let decision_id = decision["decision_id"].as_str().context("a decision without an id")?;
        self.accept(&customer, &decision).await?;
        let with_outcome = self.get(Role::Crm, &format!("/v1/decisions/{decision_id}")).await?;
        Ok(Answers {
            customer,
            at_risk,
            next_best_action: decision,
            price,
            decision_with_outcome: with_outcome,
        })
    }

    /// The first customer of the list who gets an offer, else the first: some are held out or were contacted lately.
    async fn first_offer(&self, at_risk: &Value) -> anyhow::Result<(String, Value)> {
        let mut first = None;
        for customer in at_risk["customers"].as_array().into_iter().flatten() {
            let Some(id) = customer["customer_id"].as_str() else { continue };
            let question = json!({"customer_id": id, "max_actions": 1, "explain": "full"});
            let decision = self.post(Role::Crm, "/v1/decisions/next-best-action", &question).await?;
            let offered = decision["outcome"] == "offer";
            let answer = (id.to_owned(), decision);
            if offered {
                return Ok(answer);
            }
            first.get_or_insert(answer);
        }
        first.context("the at-risk list is empty")
    }

    /// The customer takes the first action offered; an event says so.
    async fn accept(&self, customer: &str, decision: &Value) -> anyhow::Result<()> {
        let Some(action) = decision["actions"].get(0) else { return Ok(()) };
        let event = json!({
            "event_id": format!("accepted-{}", decision["decision_id"].as_str().unwrap_or_default()),
            "type": "accepted", "occurred_at": decision["created_at"], "customer_id": customer,
            "decision_id": decision["decision_id"], "action_id": action["action_id"],
            "treatment_id": action["treatment_id"], "channel": action["channel"],
        });
        let answer = self.post(Role::Crm, "/v1/events", &json!({"events": [event]})).await?;
        let status = answer["results"][0]["status"].as_str().unwrap_or_default();
        if status != "accepted" && status != "late_accepted" {
            bail!("the outcome was not taken: {answer}");
        }
        Ok(())
    }

    async fn get(&self, role: Role, path: &str) -> anyhow::Result<Value> {
        self.send(role, path, self.client.get(format!("{}{path}", self.base))).await
    }

    async fn post(&self, role: Role, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(role, path, self.client.post(format!("{}{path}", self.base)).json(body)).await
    }

    async fn send(&self, role: Role, path: &str, request: RequestBuilder) -> anyhow::Result<Value> {
        let key = self.keys.iter().find(|key| key.role == role).map_or("", |key| key.secret.as_str());
        let response = request.header("x-api-key", key).send().await.with_context(|| path.to_owned())?;
        let status = response.status();
        let body = response.text().await.with_context(|| path.to_owned())?;
        if !status.is_success() {
            bail!("{path} answered {status}: {body}");
        }
        serde_json::from_str(&body).with_context(|| format!("{path} did not answer with JSON"))
    }
}
