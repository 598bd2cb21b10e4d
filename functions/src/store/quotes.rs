//! Quotes: a price that was named and how long it holds.

use super::Store;
use super::decisions::read_json;
use super::error::StoreError;
use super::item::{DOCUMENT, Item, key, live};

const QUOTE: &str = "quote";

fn partition(quote_id: &str) -> String {
    format!("quote#{quote_id}")
}

impl Store {
    /// Keeps a quote until `expires_at_seconds`.
    pub async fn put_quote(
        &self,
        quote_id: &str,
        document: &serde_json::Value,
        expires_at_seconds: i64,
    ) -> Result<(), StoreError> {
        let item = Item::new(&partition(quote_id), QUOTE)
            .text(DOCUMENT, document.to_string())
            .expires(expires_at_seconds)
            .build()?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let sent = request.send().await;
        sent.map(|_| ()).map_err(|error| self.named("PutItem", &error))
    }

    /// The quote; none when there is no such quote or it is no longer kept.
    pub async fn quote(
        &self,
        quote_id: &str,
        now_seconds: i64,
    ) -> Result<Option<serde_json::Value>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.set_key(Some(key(&partition(quote_id), QUOTE))).send().await;
        let item = answer.map_err(|error| self.named("GetItem", &error))?.item;
        live(item, now_seconds)?.as_ref().map(read_json).transpose()
    }
}
