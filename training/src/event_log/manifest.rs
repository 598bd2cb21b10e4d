//! `log.json`: what an event log holds, written last.
//!
//! Nothing here depends on when or where the log was made: the same events give the same text.

use std::collections::BTreeMap;

use nextbest_models::event::{Event, EventType};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

/// The format this code writes and reads.
pub const FORMAT: u32 = 1;
/// Name of the manifest inside the log.
pub const FILE_NAME: &str = "log.json";

/// `log.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Version of the layout.
    pub format: u32,
    /// What is in all buckets together.
    pub total: Contents,
    /// One entry per bucket, in order.
    pub buckets: Vec<Bucket>,
}

/// One bucket's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Its name inside the log.
    pub file: String,
    /// Its length in bytes.
    pub n_bytes: u64,
    /// SHA-256 of its bytes in hex.
    pub sha256: String,
    /// What is in it.
    pub contents: Contents,
}

/// Counts and bounds of some events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    /// Events.
    pub n_events: u64,
    /// Those without a customer.
    pub n_anonymous: u64,
    /// Customers.
    pub n_customers: u64,
    /// The earliest `occurred_at`.
    pub first_occurred_at: Option<Timestamp>,
    /// The latest `occurred_at`.
    pub last_occurred_at: Option<Timestamp>,
    /// The latest instant at which one became known.
    pub last_known_at: Option<Timestamp>,
    /// Events by type.
    pub by_type: BTreeMap<EventType, u64>,
}

impl Contents {
    /// Counts `event`; customers are counted by [`Self::count_customer`].
    pub(crate) fn count(&mut self, event: &Event) {
        self.n_events += 1;
        self.n_anonymous += u64::from(event.customer_id.is_none());
        *self.by_type.entry(event.event_type).or_default() += 1;
        self.widen(Some(event.occurred_at), Some(event.occurred_at), Some(event.known()));
    }

    pub(crate) fn count_customer(&mut self) {
        self.n_customers += 1;
    }

    /// Adds what another bucket holds.
    pub(crate) fn add(&mut self, other: &Self) {
        self.n_events += other.n_events;
        self.n_anonymous += other.n_anonymous;
        self.n_customers += other.n_customers;
        for (&kind, &n) in &other.by_type {
            *self.by_type.entry(kind).or_default() += n;
        }
        self.widen(other.first_occurred_at, other.last_occurred_at, other.last_known_at);
    }

    fn widen(&mut self, first: Option<Timestamp>, last: Option<Timestamp>, known: Option<Timestamp>) {
        self.first_occurred_at = [self.first_occurred_at, first].into_iter().flatten().min();
        self.last_occurred_at = self.last_occurred_at.max(last);
        self.last_known_at = self.last_known_at.max(known);
    }
}
