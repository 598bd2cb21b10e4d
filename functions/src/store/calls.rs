//! Items read and written by key, on one machine together with whoever does the same at this moment ([`batching`]).
//!
//! [`batching`]: super::batching

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aws_sdk_dynamodb::types::KeysAndAttributes;

use super::Store;
use super::batching::{Batch, Batcher, Passage};
use super::error::StoreError;
use super::item::{Attributes, PK, SK, key, read_text};
use super::retry::Backoff;

/// Most keys of one BatchGetItem.
const MOST_KEYS: usize = 100;
const ATTEMPTS: u32 = 12;
const WAIT_MS: u64 = 100;

/// Partition and sort key.
pub(super) type Keys = (String, String);
/// Items under their keys, as far as they are there.
pub(super) type Found = HashMap<Keys, Attributes>;

/// The calls of one store that go on together.
#[derive(Clone)]
pub(super) struct Together {
    reads: Arc<Batcher<Reads>>,
    writes: Arc<Batcher<Writes>>,
}

impl Together {
    /// Over `store`, which calls alone.
    pub(super) fn over(store: &Store) -> Self {
        Self { reads: Batcher::new(Reads(store.clone())), writes: Batcher::new(Writes(store.clone())) }
    }
}

impl std::fmt::Debug for Together {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Together")
    }
}

impl Store {
    /// Reads one item, as it is now.
    pub(super) async fn read(&self, pk: &str, sk: &str) -> Result<Option<Attributes>, StoreError> {
        let keys = (pk.to_owned(), sk.to_owned());
        let alone = async {
            let request = self.client.get_item().table_name(&self.table).consistent_read(true);
            let answer = request.set_key(Some(key(pk, sk))).send().await;
            let item = answer.map_err(|error| self.named("GetItem", &error))?.item;
            Ok(item.into_iter().map(|item| (keys.clone(), item)).collect())
        };
        let reads = self.together.as_ref().map(|together| &together.reads);
        let mut found: Found = shared(reads, || vec![keys.clone()], alone).await?;
        Ok(found.remove(&keys))
    }

    /// Reads several items, each as it is now.
    pub(super) async fn read_all(&self, keys: Vec<Keys>) -> Result<Found, StoreError> {
        let reads = self.together.as_ref().map(|together| &together.reads);
        shared(reads, || keys.clone(), self.batch_get(&keys)).await
    }

    /// Writes an item, replacing what is there.
    pub(super) async fn put(&self, item: Attributes) -> Result<(), StoreError> {
        let alone = async {
            let request = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
            request.send().await.map(|_| ()).map_err(|error| self.named("PutItem", &error))
        };
        let writes = self.together.as_ref().map(|together| &together.writes);
        shared(writes, || item.clone(), alone).await
    }

    async fn batch_get(&self, keys: &[Keys]) -> Result<Found, StoreError> {
        let mut found = HashMap::new();
        for part in keys.chunks(MOST_KEYS) {
            let mut pending: Vec<Attributes> = part.iter().map(|(pk, sk)| key(pk, sk)).collect();
            let mut backoff = Backoff::new(ATTEMPTS, WAIT_MS);
            while !pending.is_empty() {
                let asked =
                    KeysAndAttributes::builder().consistent_read(true).set_keys(Some(pending.clone()));
                let asked = asked.build().map_err(|error| StoreError::corrupt("batch", error.to_string()))?;
                let request = self.client.batch_get_item().request_items(&self.table, asked);
                let answer = request.send().await.map_err(|error| self.named("BatchGetItem", &error))?;
                for item in
                    answer.responses.and_then(|mut tables| tables.remove(&self.table)).into_iter().flatten()
                {
                    let at = (read_text(&item, PK)?.to_owned(), read_text(&item, SK)?.to_owned());
                    found.insert(at, item);
                }
                let rest = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
                pending = rest.map(|rest| rest.keys).unwrap_or_default();
                if !pending.is_empty() && !backoff.wait().await {
                    let attempts = backoff.attempts();
                    return Err(StoreError::Unprocessed { n_items: pending.len(), attempts });
                }
            }
        }
        Ok(found)
    }
}

/// What is told by a call that is shared where there is `batcher`, and asks `ask` of it; else by a call `alone`.
async fn shared<B: Batch, E>(
    batcher: Option<&Arc<Batcher<B>>>,
    ask: impl FnOnce() -> B::Ask,
    alone: impl Future<Output = Result<B::Told, E>>,
) -> Result<B::Told, E> {
    let Some(batcher) = batcher else { return alone.await };
    match batcher.join(ask()).await {
        Passage::Told(told) => Ok(told),
        Passage::Alone(_turn) => alone.await,
    }
}

/// Reads in one BatchGetItem.
struct Reads(Store);

impl Batch for Reads {
    type Ask = Vec<Keys>;
    type Told = Found;
    const MOST: usize = 25;

    async fn call(&self, asks: Vec<Vec<Keys>>) -> Vec<Option<Found>> {
        // One call refuses the same key twice.
        let keys: BTreeSet<&Keys> = asks.iter().flatten().collect();
        let keys: Vec<Keys> = keys.into_iter().cloned().collect();
        match self.0.batch_get(&keys).await {
            Ok(found) => {
                let one = |keys: &Keys| found.get(keys).map(|item| (keys.clone(), item.clone()));
                asks.iter().map(|ask| Some(ask.iter().filter_map(one).collect())).collect()
            }
            Err(error) => {
                tracing::debug!(%error, n_callers = asks.len(), "each reads alone");
                Vec::new()
            }
        }
    }
}

/// Writes in one BatchWriteItem.
struct Writes(Store);

impl Batch for Writes {
    type Ask = Attributes;
    type Told = ();
    const MOST: usize = 25;

    async fn call(&self, items: Vec<Attributes>) -> Vec<Option<()>> {
        let n_callers = items.len();
        let puts = items.into_iter().map(|item| self.0.put_request(item)).collect::<Result<_, _>>();
        let written = match puts {
            Ok(puts) => self.0.write_batch(puts).await,
            Err(error) => Err(error),
        };
        match written {
            Ok(_) => vec![Some(()); n_callers],
            Err(error) => {
                tracing::debug!(%error, n_callers, "each writes alone");
                Vec::new()
            }
        }
    }
}
