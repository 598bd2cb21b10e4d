//! A customer: an id, and the state folded from events by [`Customer::apply`], the only fold there is, offline and
//! online. The state is bounded, and the same for any order of arrival within the allowed lateness, duplicates
//! included: sums are integers, updates commute, and what is forgotten depends on the latest time seen alone.

pub mod consent;
pub mod contacts;
pub mod days;
pub mod life;
pub mod series;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use sha2::{Digest, Sha256};

use crate::event::{Event, EventFault, MAX_ID_BYTES};
use crate::feature::Schema;
use crate::units::{DAY_MS, Day, Timestamp};
use consent::{Consent, Consents};
use contacts::Contacts;
use life::Life;
use series::{Daily, Series};

/// An opaque customer id: 1 to 128 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CustomerId(String);

/// A text that is no [`CustomerId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no customer id: 1 to {MAX_ID_BYTES} bytes without control characters")]
pub struct CustomerIdError(String);

impl CustomerId {
    /// A checked id; the error names the text.
    pub fn new(id: impl Into<String>) -> Result<Self, CustomerIdError> {
        let id = id.into();
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
            return Err(CustomerIdError(id));
        }
        Ok(Self(id))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bucket of an event log with `n_buckets` buckets this customer belongs to, in 0 .. `n_buckets`.
    #[must_use]
    pub fn bucket(&self, n_buckets: u32) -> u32 {
        bucket_of(&self.0, n_buckets)
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CustomerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The first eight bytes of the SHA-256 of `key`, as a big-endian number: stable over versions and machines.
#[must_use]
pub fn stable_hash(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// The bucket of `key` among `n_buckets` (at least 1), by [`stable_hash`].
#[must_use]
pub fn bucket_of(key: &str, n_buckets: u32) -> u32 {
    u32::try_from(stable_hash(key) % u64::from(n_buckets.max(1))).unwrap_or(0)
}

/// Version of the bytes of a stored state.
const STATE_FORMAT: u16 = 2;

/// What became of an event that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Applied {
    /// Folded in.
    Accepted,
    /// Folded in, though a later one was seen before.
    LateAccepted,
    /// Seen before; nothing changed.
    Duplicate,
}

/// The state of one customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    format: u16,
    /// First eight bytes of the schema's fingerprint, as hex.
    schema: String,
    id: CustomerId,
    n_events: u64,
    latest: Option<Timestamp>,
    /// Hash of the event id -> when it happened, for as long as a repetition may still arrive.
    recent: BTreeMap<u64, Timestamp>,
    series: Vec<Series>,
    contacts: Contacts,
    consents: Consents,
    life: Life,
}

/// Why bytes are no state of this project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Not readable at all.
    #[error("the bytes are no customer state: {0}")]
    Damaged(String),
    /// Written by another version.
    #[error("the state has format {found}, this version reads {STATE_FORMAT}: load the events again")]
    Format {
        /// What the bytes say.
        found: u16,
    },
    /// Folded for other features.
    #[error("the state was folded with schema {found}, the project has {expected}: load the events again")]
    OtherSchema {
        /// What the bytes say.
        found: String,
        /// What the project has.
        expected: String,
    },
}

impl Customer {
    /// A customer of whom nothing is known yet.
    #[must_use]
    pub fn new(id: CustomerId, schema: &Schema) -> Self {
        Self {
            format: STATE_FORMAT,
            schema: short(schema).to_owned(),
            id,
            n_events: 0,
            latest: None,
            recent: BTreeMap::new(),
            series: schema.measures().iter().map(|measure| measure.empty()).collect(),
            contacts: Contacts::default(),
            consents: Consents::default(),
            life: Life::default(),
        }
    }

    /// Folds one event in.
    ///
    /// Refused, by code, and changing nothing: `wrong_customer`; `currency_mismatch`; `too_late` when it happened
    /// more than [`Schema::lateness_days`] before the latest event seen of this customer.
    pub fn apply(&mut self, schema: &Schema, event: &Event) -> Result<Applied, EventFault> {
        self.check(schema, event)?;
        let hash = stable_hash(&event.event_id);
        if self.recent.contains_key(&hash) {
            return Ok(Applied::Duplicate);
        }
        for (measure, series) in schema.measures().iter().zip(&mut self.series) {
            measure.fold(series, event, hash);
        }
        self.contacts.fold(event);
        self.consents.fold(event, hash);
        self.life.fold(event);
        self.n_events += 1;
        self.recent.insert(hash, event.occurred_at);
        let late = self.latest.is_some_and(|latest| event.occurred_at < latest);
        if !late {
            self.advance(schema, event.occurred_at);
        }
        Ok(if late { Applied::LateAccepted } else { Applied::Accepted })
    }

    fn check(&self, schema: &Schema, event: &Event) -> Result<(), EventFault> {
        if event.customer_id.as_ref() != Some(&self.id) {
            let message = format!("the event is not of customer {:?}", self.id.as_str());
            return Err(EventFault::new("wrong_customer", "customer_id", message));
        }
        if let Some(value) = event.value
            && value.currency != schema.currency()
        {
            let message = format!("{} differs from the project's {}", value.currency, schema.currency());
            return Err(EventFault::new("currency_mismatch", "value.currency", message));
        }
        match self.latest.map(|latest| horizon(latest, schema)) {
            Some(earliest) if event.occurred_at < earliest => {
                let days = schema.lateness_days();
                let message = format!(
                    "{} is more than lateness_days = {days} before the latest event of this customer; \
                     import it and load again",
                    event.occurred_at
                );
                Err(EventFault::new("too_late", "occurred_at", message))
            }
            _ => Ok(()),
        }
    }

    /// Moves the watermark and forgets what no later event or feature can ask for.
    fn advance(&mut self, schema: &Schema, latest: Timestamp) {
        let new_day = self.latest.is_none_or(|before| before.day() != latest.day());
        self.latest = Some(latest);
        let earliest = horizon(latest, schema);
        self.recent.retain(|_, occurred_at| *occurred_at >= earliest);
        if new_day {
            let first = schema
                .activity_measure()
                .map(|measure| measure.first_kept(latest.day(), schema.lateness_days()));
            if let (Some(Series::Daily(daily)), Some(first)) = (self.series.get(schema.activity()), first) {
                self.life.settle(daily.before(first));
            }
            for (measure, series) in schema.measures().iter().zip(&mut self.series) {
                measure.forget(series, latest.day(), schema.lateness_days());
            }
            self.contacts.forget(latest.day(), schema.lateness_days());
        }
    }

    /// Whose state it is.
    #[must_use]
    pub const fn id(&self) -> &CustomerId {
        &self.id
    }

    /// Events folded in, duplicates not counted.
    #[must_use]
    pub const fn n_events(&self) -> u64 {
        self.n_events
    }

    /// When the latest event happened.
    #[must_use]
    pub const fn latest(&self) -> Option<Timestamp> {
        self.latest
    }

    pub(crate) fn series(&self) -> &[Series] {
        &self.series
    }

    /// The daily series of qualifying events (project's `[activity]`) and their value.
    #[must_use]
    pub fn activity(&self, schema: &Schema) -> &Daily {
        static NONE: Daily = Daily::new();
        match self.series.get(schema.activity()) {
            Some(Series::Daily(daily)) => daily,
            _ => &NONE,
        }
    }

    /// The days that make the customer's life, as far as no series keeps them.
    #[must_use]
    pub const fn life(&self) -> &Life {
        &self.life
    }

    /// Whole days from the last qualifying event that stands to `today`, as far as it is remembered.
    #[must_use]
    pub fn inactive_days(&self, schema: &Schema, today: Day) -> Option<i32> {
        self.activity(schema).last_active(today).map(|last| today.since(last))
    }

    /// When the customer was contacted, and what they answered.
    #[must_use]
    pub const fn contacts(&self) -> &Contacts {
        &self.contacts
    }

    /// What the customer allows.
    #[must_use]
    pub const fn consents(&self) -> &Consents {
        &self.consents
    }

    /// Whether `channel` may be used; none when the customer never said.
    #[must_use]
    pub fn consent(&self, channel: &str) -> Option<Consent> {
        self.consents.of(channel)
    }

    /// Whether the customer objects to automated decisions and profiling.
    #[must_use]
    pub fn objected(&self) -> bool {
        self.consents.objected()
    }

    /// The state as bytes for the store.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        // Writing plain data to memory does not fail.
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// A state from its bytes; refuses another format, another schema and anything unreadable.
    pub fn from_bytes(bytes: &[u8], schema: &Schema) -> Result<Self, StateError> {
        let damaged = |error: postcard::Error| StateError::Damaged(error.to_string());
        let (format, _) = postcard::take_from_bytes::<u16>(bytes).map_err(damaged)?;
        if format != STATE_FORMAT {
            return Err(StateError::Format { found: format });
        }
        let customer: Self = postcard::from_bytes(bytes).map_err(damaged)?;
        if customer.schema != short(schema) {
            return Err(StateError::OtherSchema {
                found: customer.schema,
                expected: short(schema).to_owned(),
            });
        }
        if customer.series.len() != schema.measures().len() {
            return Err(StateError::Damaged(format!("{} series", customer.series.len())));
        }
        Ok(customer)
    }
}

fn short(schema: &Schema) -> &str {
    schema.fingerprint().get(..16).unwrap_or_default()
}

/// The earliest time an event may have happened to be folded in after one at `latest`.
fn horizon(latest: Timestamp, schema: &Schema) -> Timestamp {
    latest.plus_millis(-i64::from(schema.lateness_days()) * DAY_MS)
}
