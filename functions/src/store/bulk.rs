//! Bulk writes: BatchWriteItem, 25 items a call, what comes back unprocessed again and again until it is in.
//!
//! A batch cannot be conditional: it replaces. It is for loading customers from an event log, for snapshot pages and
//! for outcomes, where a repetition writes the same bytes; live events go through [`Store::fold`].

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use nextbest_models::customer::Customer;
use nextbest_models::feature::Schema;
use tokio::task::JoinSet;

use super::Store;
use super::customers::{Held, Subject, state_attributes};
use super::error::StoreError;
use super::item::Attributes;
use super::retry::Backoff;

const BATCH: usize = 25;
const BATCH_ATTEMPTS: u32 = 12;
const BATCH_WAIT_MS: u64 = 400;
const CONCURRENCY: usize = 4;

/// What a bulk load wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Items that are in.
    pub n_items: usize,
    /// Items that had to be sent again.
    pub n_resent: usize,
}

impl Store {
    /// Writes these customers as version 1, replacing what is there.
    pub async fn load_customers(
        &self,
        schema: &Schema,
        customers: impl IntoIterator<Item = &Customer>,
    ) -> Result<Loaded, StoreError> {
        let items = customers.into_iter().map(|customer| {
            let held = Held { version: 1, reservations: &[] };
            state_attributes(&Subject::Customer(customer.id().clone()), schema, customer, &held, "load")
        });
        self.write_all(items.collect::<Result<_, _>>()?).await
    }

    /// Writes all of `items`; an error says how many are missing.
    pub(super) async fn write_all(&self, items: Vec<Attributes>) -> Result<Loaded, StoreError> {
        let puts = items.into_iter().map(|item| self.put_request(item)).collect::<Result<Vec<_>, _>>()?;
        self.send_all(puts).await
    }

    /// Sends all of `requests`; an error says how many are missing.
    pub(super) async fn send_all(&self, requests: Vec<WriteRequest>) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded::default();
        let mut running = JoinSet::new();
        let mut batches = requests.chunks(BATCH).map(<[_]>::to_vec);
        loop {
            while running.len() < CONCURRENCY
                && let Some(batch) = batches.next()
            {
                let store = self.clone();
                running.spawn(async move { store.write_batch(batch).await });
            }
            match running.join_next().await {
                None => return Ok(loaded),
                Some(Ok(batch)) => {
                    let batch = batch?;
                    loaded.n_items += batch.n_items;
                    loaded.n_resent += batch.n_resent;
                }
                Some(Err(error)) => {
                    let cause = error.to_string();
                    return Err(StoreError::Refused {
                        operation: "BatchWriteItem",
                        table: self.table.clone(),
                        cause,
                    });
                }
            }
        }
    }

    pub(super) async fn write_batch(&self, mut pending: Vec<WriteRequest>) -> Result<Loaded, StoreError> {
        let mut loaded = Loaded { n_items: pending.len(), n_resent: 0 };
        let mut backoff = Backoff::new(BATCH_ATTEMPTS, BATCH_WAIT_MS);
        while !pending.is_empty() {
            let request = HashMap::from([(self.table.clone(), pending.clone())]);
            let answer = self.client.batch_write_item().set_request_items(Some(request)).send().await;
            match answer.map_err(|error| self.named("BatchWriteItem", &error)) {
                Ok(output) => {
                    pending = output
                        .unprocessed_items
                        .and_then(|mut tables| tables.remove(&self.table))
                        .unwrap_or_default();
                }
                Err(StoreError::Throttled { .. }) => {}
                Err(error) => return Err(error),
            }
            if !pending.is_empty() {
                loaded.n_resent += pending.len();
                if !backoff.wait().await {
                    let attempts = backoff.attempts();
                    return Err(StoreError::Unprocessed { n_items: pending.len(), attempts });
                }
            }
        }
        Ok(loaded)
    }

    pub(super) fn put_request(&self, item: Attributes) -> Result<WriteRequest, StoreError> {
        let put = PutRequest::builder().set_item(Some(item)).build();
        let put = put.map_err(|error| StoreError::Refused {
            operation: "BatchWriteItem",
            table: self.table.clone(),
            cause: error.to_string(),
        })?;
        Ok(WriteRequest::builder().put_request(put).build())
    }
}
