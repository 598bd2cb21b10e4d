//! Customers: read one, fold events into one, scan them all.
//!
//! A fold is one conditional write: read the item, apply, write if nobody wrote in between, else again. The item
//! names its last writer, so a write whose answer was lost on the way is recognised as ours, and what it folded is
//! not taken for duplicates.

use std::fmt;

use aws_sdk_dynamodb::types::AttributeValue;
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::feature::Schema;
use nextbest_models::units::Timestamp;

use super::Store;
use super::error::{StoreError, is_conflict};
use super::item::{
    Attributes, Item, PK, RESERVED, SCHEMA, STATE, VERSION, WRITER, check_format, key, read_bytes,
    read_number, read_text,
};
use super::reservations::{Ended, Reservation, encode};
use super::retry::Backoff;
use super::scan::Scan;
use crate::clock;

const STATE_SK: &str = "state";
// Eight writers that never rest were seen to beat a ninth 16 times in a row; waits add up to 3 s on average.
const FOLD_ATTEMPTS: u32 = 48;
const FOLD_WAIT_MS: u64 = 128;
/// A reservation whose time is over is remembered for so long, so that a contact made late still counts.
const FORGET_DAYS: i32 = 2;

/// Whose state: a customer's, or that of a visitor who is not yet known as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A known customer.
    Customer(CustomerId),
    /// A visitor, under their anonymous id.
    Visitor(CustomerId),
}

impl Subject {
    /// The id.
    #[must_use]
    pub const fn id(&self) -> &CustomerId {
        match self {
            Self::Customer(id) | Self::Visitor(id) => id,
        }
    }

    pub(super) fn key(&self) -> Attributes {
        key(&self.partition(), STATE_SK)
    }

    pub(super) fn keys(&self) -> (String, String) {
        (self.partition(), STATE_SK.to_owned())
    }

    pub(super) fn partition(&self) -> String {
        match self {
            Self::Customer(id) => format!("{CUSTOMER}{id}"),
            Self::Visitor(id) => format!("visitor#{id}"),
        }
    }
}

const CUSTOMER: &str = "customer#";

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.partition())
    }
}

/// A customer as stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredCustomer {
    /// The state.
    pub customer: Customer,
    /// How often it was written.
    pub version: i64,
    /// Contacts that decisions hold, those included whose time is over.
    pub reservations: Vec<Reservation>,
}

/// What stands in a customer's item beside the state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub(super) version: i64,
    pub(super) reservations: &'a [Reservation],
}

/// What came of folding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded<R> {
    /// What the fold answered.
    pub answer: R,
    /// Version after the fold; 0 when there is still no item.
    pub version: i64,
    /// Attempts it took: 1 without a race.
    pub attempts: u32,
}

impl StoredCustomer {
    /// Of someone of whom nothing is known.
    #[must_use]
    pub fn new(subject: &Subject, schema: &Schema) -> Self {
        Self { customer: Customer::new(subject.id().clone(), schema), version: 0, reservations: Vec::new() }
    }

    /// Leaves the reservations that stand on, and gives those of `held` that a fold ended.
    fn end(&mut self, held: &[Reservation], now: Timestamp) -> Ended {
        let standing = std::mem::take(&mut self.reservations);
        let given_up =
            held.iter().filter(|one| one.is_live(now) && !standing.contains(one)).cloned().collect();
        let (made, open): (Vec<_>, Vec<_>) =
            standing.into_iter().partition(|one| one.is_made(&self.customer));
        self.reservations =
            open.into_iter().filter(|one| now < one.expires_at.plus_days(FORGET_DAYS)).collect();
        Ended { made, given_up }
    }
}

impl Store {
    /// The state of `subject`, strongly consistent; none when nothing is known of them.
    pub async fn customer(
        &self,
        subject: &Subject,
        schema: &Schema,
    ) -> Result<Option<StoredCustomer>, StoreError> {
        let Some(item) = self.state_item(subject).await? else { return Ok(None) };
        decode(&item, schema).map(Some)
    }

    /// Applies `fold` to the state of `subject` and writes it, if `fold` says that it changed.
    ///
    /// `fold` is run again on the fresh state whenever another writer came first; it must not have effects of its
    /// own. Reservations of contacts that the state now knows as made become final with the same write; those whose time
    /// has long been over at `now` are dropped. After 48 lost races the error is [`StoreError::Contended`], and nothing was written.
    pub async fn fold<R>(
        &self,
        subject: &Subject,
        schema: &Schema,
        now: Timestamp,
        mut fold: impl FnMut(&mut Customer) -> (R, bool),
    ) -> Result<Folded<R>, StoreError> {
        self.fold_stored(subject, schema, now, |stored| fold(&mut stored.customer)).await
    }

    /// [`Store::fold`] over the state and what is held beside it. `fold` may take reservations away: what those whose time
    /// is not over hold of budgets is given back with the same write.
    pub async fn fold_stored<R>(
        &self,
        subject: &Subject,
        schema: &Schema,
        now: Timestamp,
        mut fold: impl FnMut(&mut StoredCustomer) -> (R, bool),
    ) -> Result<Folded<R>, StoreError> {
        let mut backoff = Backoff::new(FOLD_ATTEMPTS, FOLD_WAIT_MS);
        let mut ours: Option<(String, Folded<R>)> = None;
        loop {
            let item = self.state_item(subject).await?;
            if let Some((writer, folded)) = ours.take()
                && let Some(item) = &item
                && read_text(item, WRITER)? == writer
            {
                return Ok(folded);
            }
            let mut stored = match &item {
                Some(item) => decode(item, schema)?,
                None => StoredCustomer::new(subject, schema),
            };
            let (before, held) = (stored.version, stored.reservations.clone());
            let (answer, changed) = fold(&mut stored);
            let attempts = backoff.attempts();
            if !changed {
                return Ok(Folded { answer, version: before, attempts });
            }
            let writer = clock::new_id("w").unwrap_or_else(|_| format!("w_{before}_{attempts}"));
            let folded = Folded { answer, version: before + 1, attempts };
            let ended = stored.end(&held, now);
            let held = Held { version: before + 1, reservations: &stored.reservations };
            let item = state_attributes(subject, schema, &stored.customer, &held, &writer)?;
            let written = if ended.draws_on_nothing() {
                self.write_if_version(item, before).await?
            } else {
                self.write_settling(item, before, &ended, now).await?
            };
            if written {
                return Ok(folded);
            }
            ours = Some((writer, folded));
            if !backoff.wait().await {
                return Err(StoreError::Contended { key: subject.partition(), attempts: FOLD_ATTEMPTS });
            }
        }
    }

    async fn state_item(&self, subject: &Subject) -> Result<Option<Attributes>, StoreError> {
        self.read(&subject.partition(), STATE_SK).await
    }

    /// Writes `item` if the stored one still has version `before` (0: if there is none); false if it has not.
    pub(super) async fn write_if_version(&self, item: Attributes, before: i64) -> Result<bool, StoreError> {
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = if before == 0 {
            request.condition_expression("attribute_not_exists(#key)").expression_attribute_names("#key", PK)
        } else {
            request
                .condition_expression("#version = :before")
                .expression_attribute_names("#version", VERSION)
                .expression_attribute_values(":before", AttributeValue::N(before.to_string()))
        };
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(self.named("PutItem", &error)),
        }
    }

    /// Starts a scan of all customers, in no order; `segment` of `n_segments` for parallel readers.
    #[must_use]
    pub const fn scan_customers(&self, segment: i32, n_segments: i32) -> CustomerScan<'_> {
        CustomerScan(Scan::new(self, CUSTOMER, Some(STATE_SK), segment, n_segments))
    }

    /// The rest of such a scan, behind where another stood.
    #[must_use]
    pub fn scan_customers_behind(
        &self,
        segment: i32,
        n_segments: i32,
        position: &(String, String),
    ) -> CustomerScan<'_> {
        CustomerScan(self.scan_customers(segment, n_segments).0.behind(position))
    }
}

/// A running scan of customers.
#[derive(Debug)]
pub struct CustomerScan<'a>(Scan<'a>);

impl CustomerScan<'_> {
    /// The next page of customers, possibly empty; none at the end.
    pub async fn next(&mut self, schema: &Schema) -> Result<Option<Vec<StoredCustomer>>, StoreError> {
        let Some(items) = self.0.next().await? else { return Ok(None) };
        items.iter().map(|item| decode(item, schema)).collect::<Result<_, _>>().map(Some)
    }

    /// Where it stands; none at the segment's end.
    pub fn position(&self) -> Result<Option<(String, String)>, StoreError> {
        self.0.position()
    }
}

/// The item of a state.
pub(super) fn state_attributes(
    subject: &Subject,
    schema: &Schema,
    customer: &Customer,
    held: &Held<'_>,
    writer: &str,
) -> Result<Attributes, StoreError> {
    let item = Item::new(&subject.partition(), STATE_SK)
        .bytes(STATE, customer.to_bytes())
        .number(VERSION, held.version)
        .text(SCHEMA, schema.fingerprint())
        .text(WRITER, writer);
    let none = held.reservations.is_empty();
    if none { item.build() } else { item.text(RESERVED, encode(held.reservations)).build() }
}

pub(super) fn decode(item: &Attributes, schema: &Schema) -> Result<StoredCustomer, StoreError> {
    check_format(item)?;
    let customer = Customer::from_bytes(read_bytes(item, STATE)?, schema);
    let customer = customer
        .map_err(|source| StoreError::State { key: read_text(item, PK).unwrap_or("?").to_owned(), source })?;
    let reservations = match item.get(RESERVED) {
        Some(_) => serde_json::from_str(read_text(item, RESERVED)?).map_err(|error| {
            let key = read_text(item, PK).unwrap_or("?");
            StoreError::corrupt(key, format!("the reservations are no JSON: {error}"))
        })?,
        None => Vec::new(),
    };
    Ok(StoredCustomer { customer, version: read_number(item, VERSION)?, reservations })
}
