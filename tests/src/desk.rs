//! A checkout page's view of the prices: asks for quotes of the fixture and redeems them.

use nextbest_functions::keys::Role;
use nextbest_models::units::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::fixture::key;
use crate::world::{World, post};

/// Where quotes are asked for.
pub const QUOTE: &str = "/v1/prices/quote";

/// Two mugs for `customer`.
pub fn basket(customer: &str) -> Value {
    json!({ "customer_id": customer, "currency": "GBP", "items": [{ "sku": "MUG", "quantity": 2 }] })
}

/// A world whose pricing.toml says `more` under [default], and `rest` at its end.
pub async fn world(more: &str, rest: &str) -> World {
    let world = World::new("").await;
    let file = world.folder.path().join("pricing.toml");
    let text = std::fs::read_to_string(&file).expect("the fixture's prices");
    std::fs::write(&file, text.replace("[default]\n", &format!("[default]\n{more}\n")) + rest)
        .expect("a file");
    world
}

/// A process that reads the project as it stands, at `at`.
pub struct Desk<'w> {
    /// Whose.
    pub world: &'w World,
    /// Where it answers.
    pub base: String,
}

impl<'w> Desk<'w> {
    /// At `at`, over the project as it stands.
    pub async fn at(world: &'w World, at: Timestamp) -> Self {
        Self { world, base: world.again(at).await.0 }
    }

    /// Asks as a checkout page.
    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let key = key(&self.world.keys, Role::Checkout);
        post(&self.world.client, &self.base, key, path, body).await
    }

    /// The quote for `body`.
    pub async fn quote(&self, body: &Value) -> Value {
        let (status, quote) = self.post(QUOTE, body).await;
        assert_eq!(status, 200, "{quote}");
        quote
    }

    /// Redeems `quote` for `order`.
    pub async fn redeem(&self, quote: &Value, order: &str) -> (StatusCode, Value) {
        self.post(&redemption_path(quote), &json!({ "signature": quote["signature"], "order_id": order }))
            .await
    }
}

/// Where `quote` is redeemed.
pub fn redemption_path(quote: &Value) -> String {
    format!("{QUOTE}s/{}/redeem", quote["quote_id"].as_str().expect("an id"))
}

/// Of the first item, in minor units.
pub fn price(quote: &Value) -> i64 {
    quote["items"][0]["quoted_price_minor"].as_i64().expect("a price")
}
