//! What actions brought so far, in one item that the learning job replaces as a whole.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Store;
use super::decisions::read_json;
use super::error::StoreError;
use super::item::{DOCUMENT, Item, check_format, key};

const BELIEFS: (&str, &str) = ("beliefs", "current");

impl Store {
    /// Replaces what is believed.
    pub async fn put_beliefs<T: Serialize>(&self, beliefs: &T) -> Result<(), StoreError> {
        let document = serde_json::to_string(beliefs);
        let document = document.map_err(|error| StoreError::corrupt(BELIEFS.0, error.to_string()))?;
        let item = Item::new(BELIEFS.0, BELIEFS.1).text(DOCUMENT, document).build()?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map(|_| ()).map_err(|error| self.named("PutItem", &error))
    }

    /// What is believed; none before anything was learned.
    pub async fn beliefs<T: DeserializeOwned>(&self) -> Result<Option<T>, StoreError> {
        let request = self.client.get_item().table_name(&self.table);
        let answer = request.set_key(Some(key(BELIEFS.0, BELIEFS.1))).send().await;
        let Some(item) = answer.map_err(|error| self.named("GetItem", &error))?.item else { return Ok(None) };
        check_format(&item)?;
        read_json(&item).map(Some)
    }
}
