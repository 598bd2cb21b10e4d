//! Exports of the at-risk list: the record of who pulled what, by which the file is written again.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Store;
use super::decisions::read_json;
use super::error::StoreError;
use super::item::{DOCUMENT, Item, live};

const EXPORT: &str = "export";

fn partition(export_id: &str) -> String {
    format!("{EXPORT}#{export_id}")
}

impl Store {
    /// Records an export until `expires_at_seconds`.
    pub async fn put_export<T: Serialize>(
        &self,
        export_id: &str,
        export: &T,
        expires_at_seconds: i64,
    ) -> Result<(), StoreError> {
        let pk = partition(export_id);
        let document = serde_json::to_string(export);
        let document = document.map_err(|error| StoreError::corrupt(&pk, error.to_string()))?;
        let item = Item::new(&pk, EXPORT).text(DOCUMENT, document).expires(expires_at_seconds).build()?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map(|_| ()).map_err(|error| self.named("PutItem", &error))
    }

    /// The record of an export; none when there is no such export, or its time is over.
    pub async fn export<T: DeserializeOwned>(
        &self,
        export_id: &str,
        now_seconds: i64,
    ) -> Result<Option<T>, StoreError> {
        let item = self.read(&partition(export_id), EXPORT).await?;
        live(item, now_seconds)?.as_ref().map(read_json).transpose()
    }
}
