//! What a price depends on beside rules and models: ledgers of prices shown, and what was promised to a customer.
//!
//! One BatchGetItem reads both; what a quote changes of them is written with it in one transaction, each item only if
//! nobody wrote it in between. What a batch leaves unread is asked for again.

use std::collections::BTreeMap;
use std::fmt;

use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem};
use nextbest_models::feature::Schema;
use nextbest_models::pricing::Ledger;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Store;
use super::customers::{self, StoredCustomer, Subject};
use super::decisions::read_json;
use super::error::{StoreError, is_conflict};
use super::item::{Attributes, DOCUMENT, Item, PK, VERSION, check_format, read_number};
use super::quotes::QuoteEntry;
use super::reservations::{Cancelled, cancelled_at};
use super::retry::Backoff;

const LOCKS: &str = "locks";
const WAIT_MS: u64 = 100;
/// Eight writers that never rest beat a ninth 16 times in a row; a ledger is written once an hour.
const SHOW_ATTEMPTS: u32 = 48;

/// Of which SKU, where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LedgerKey {
    /// Stock-keeping unit.
    pub sku: String,
    /// The market; has no `#`.
    pub market: String,
    /// The channel; has no `#`.
    pub channel: String,
}

impl LedgerKey {
    fn keys(&self) -> (String, String) {
        (format!("ledger#{}", self.sku), format!("{}#{}", self.market, self.channel))
    }
}

/// To whom prices are promised: a customer, or a session without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A known customer.
    Customer(String),
    /// A visit.
    Session(String),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Customer(id) => write!(f, "customer#{id}"),
            Self::Session(id) => write!(f, "session#{id}"),
        }
    }
}

/// Something stored, and how often it was written; 0 where it is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Versioned<T> {
    /// It.
    pub value: T,
    /// How often it was written.
    pub version: i64,
}

/// What was read for a quote.
#[derive(Clone, Debug)]
pub struct PriceBook<L> {
    /// By SKU, market and channel; those never shown stand empty.
    pub ledgers: BTreeMap<LedgerKey, Versioned<Ledger>>,
    /// What was promised to the holder.
    pub locks: Versioned<L>,
    /// The customer, where they were asked for, are known, and can be read under today's features.
    pub customer: Option<StoredCustomer>,
}

/// One item that is written if it still has version `before`.
#[derive(Clone, Debug)]
pub struct Change {
    keys: (String, String),
    document: String,
    before: i64,
    expires_at_seconds: Option<i64>,
}

impl Change {
    /// Of a ledger.
    pub fn of_ledger(key: &LedgerKey, ledger: &Ledger, before: i64) -> Result<Self, StoreError> {
        Self::new(key.keys(), ledger, before, None)
    }

    /// Of what is promised, kept until `expires_at_seconds`.
    pub fn of_locks<L: Serialize>(
        holder: &Holder,
        locks: &L,
        before: i64,
        expires_at_seconds: i64,
    ) -> Result<Self, StoreError> {
        Self::new(lock_keys(holder), locks, before, Some(expires_at_seconds))
    }

    fn new<T: Serialize>(
        keys: (String, String),
        value: &T,
        before: i64,
        expires_at_seconds: Option<i64>,
    ) -> Result<Self, StoreError> {
        let document = serde_json::to_string(value);
        let document = document.map_err(|error| StoreError::corrupt(&keys.0, error.to_string()))?;
        Ok(Self { keys, document, before, expires_at_seconds })
    }

    fn put(&self, table: &str) -> Result<Put, StoreError> {
        let item = Item::new(&self.keys.0, &self.keys.1)
            .text(DOCUMENT, self.document.as_str())
            .number(VERSION, self.before + 1);
        let item = match self.expires_at_seconds {
            Some(seconds) => item.expires(seconds),
            None => item,
        };
        let put = Put::builder().table_name(table).set_item(Some(item.build()?));
        let put = if self.before == 0 {
            put.condition_expression("attribute_not_exists(#pk)").expression_attribute_names("#pk", PK)
        } else {
            put.condition_expression("#version = :before")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":before", AttributeValue::N(self.before.to_string()))
        };
        put.build().map_err(|error| StoreError::corrupt(&self.keys.0, error.to_string()))
    }
}

fn lock_keys(holder: &Holder) -> (String, String) {
    (format!("locks#{holder}"), LOCKS.to_owned())
}

impl Store {
    /// The ledgers of `keys`, what is promised to `holder`, and the state of a customer, strongly consistent.
    pub async fn price_book<L: DeserializeOwned + Default>(
        &self,
        keys: impl IntoIterator<Item = LedgerKey>,
        holder: Option<&Holder>,
        customer: Option<(&Subject, &Schema)>,
    ) -> Result<PriceBook<L>, StoreError> {
        let mut ledgers: BTreeMap<LedgerKey, Versioned<Ledger>> =
            keys.into_iter().map(|key| (key, Versioned::default())).collect();
        let state = customer.map(|(subject, _)| subject.keys());
        let wanted =
            ledgers.keys().map(LedgerKey::keys).chain(holder.map(lock_keys)).chain(state.clone()).collect();
        let mut found = self.read_all(wanted).await?;
        for (key, ledger) in &mut ledgers {
            if let Some(item) = found.remove(&key.keys()) {
                *ledger = versioned(&item)?;
            }
        }
        let locks = holder.and_then(|holder| found.remove(&lock_keys(holder)));
        let locks = locks.map(|item| versioned(&item)).transpose()?.unwrap_or_default();
        let item = state.and_then(|keys| found.remove(&keys));
        let customer = match item.zip(customer).map(|(item, (_, schema))| customers::decode(&item, schema)) {
            None => None,
            Some(Ok(customer)) => Some(customer),
            // Of other features: read anew once it is loaded again.
            Some(Err(error @ StoreError::State { .. })) => {
                tracing::warn!(%error, "a price without the customer's features");
                None
            }
            Some(Err(error)) => return Err(error),
        };
        Ok(PriceBook { ledgers, locks, customer })
    }

    /// Keeps a quote together with `changes`, all or nothing; false when another wrote one of them first.
    pub async fn keep_quote(&self, entry: &QuoteEntry<'_>, changes: &[Change]) -> Result<bool, StoreError> {
        if changes.is_empty() {
            return self.put_quote(entry).await.map(|()| true);
        }
        let mut writes = vec![TransactWriteItem::builder().put(entry.put(&self.table)?).build()];
        for change in changes {
            writes.push(TransactWriteItem::builder().put(change.put(&self.table)?).build());
        }
        let request = self.client.transact_write_items().set_transact_items(Some(writes));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) => match cancelled_at(&error) {
                // Its own quote is there: an earlier attempt went through and its answer was lost.
                Some(Cancelled::Condition(0)) => Ok(true),
                Some(_) => Ok(false),
                None => Err(self.named("TransactWriteItems", &error)),
            },
        }
    }

    /// Lets `show` note prices in the ledger of `key` until it is written, or nothing had to be.
    pub async fn show_prices(
        &self,
        key: &LedgerKey,
        show: impl Fn(&mut Ledger) -> bool,
    ) -> Result<(), StoreError> {
        let mut backoff = Backoff::new(SHOW_ATTEMPTS, WAIT_MS);
        loop {
            let book: PriceBook<()> = self.price_book([key.clone()], None, None).await?;
            let mut ledger = book.ledgers.get(key).cloned().unwrap_or_default();
            if !show(&mut ledger.value) {
                return Ok(());
            }
            let put = Change::of_ledger(key, &ledger.value, ledger.version)?.put(&self.table)?;
            let request = self
                .client
                .put_item()
                .table_name(&self.table)
                .set_item(Some(put.item))
                .set_condition_expression(put.condition_expression)
                .set_expression_attribute_names(put.expression_attribute_names)
                .set_expression_attribute_values(put.expression_attribute_values);
            match request.send().await {
                Ok(_) => return Ok(()),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(self.named("PutItem", &error)),
            }
            if !backoff.wait().await {
                let attempts = backoff.attempts();
                return Err(StoreError::Contended { key: key.keys().0, attempts });
            }
        }
    }
}

fn versioned<T: DeserializeOwned>(item: &Attributes) -> Result<Versioned<T>, StoreError> {
    check_format(item)?;
    Ok(Versioned { value: read_json(item)?, version: read_number(item, VERSION)? })
}
