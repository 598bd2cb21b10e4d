//! The events of one customer as the shop's systems log them: ids, two clocks, late news, duplicate deliveries.
//!
//! What happened is decided elsewhere; here it is only written down. Times are milliseconds since the log's start.

use std::collections::BTreeMap;

use nextbest_models::customer::CustomerId;
use nextbest_models::event::{AttributeValue, Event, EventType};
use nextbest_models::units::{Currency, DAY_MS, Money, Timestamp};

use super::random::Stream;

/// Share of events that are delivered twice, the second up to two hours after the first.
pub const DUPLICATE_RATE: f64 = 0.005;
/// Milliseconds in a minute and in an hour.
pub const MINUTE_MS: i64 = 60_000;
/// See [`MINUTE_MS`].
pub const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Who an event is booked under.
#[derive(Clone, Debug)]
pub enum Who {
    /// The customer of the journal.
    Customer,
    /// A visitor by this anonymous id, whoever it may be.
    Anonymous(String),
}

/// The events of one customer, in the making.
#[derive(Debug)]
pub struct Journal {
    /// The customer.
    pub customer: CustomerId,
    /// First instant of the log.
    pub start: Timestamp,
    /// What amounts are in.
    pub currency: Currency,
    events: Vec<Event>,
    n_sessions: usize,
    n_orders: usize,
    n_decisions: usize,
}

/// The events of a journal that were known before the log's end, sorted by (known, occurred, id).
#[derive(Clone, Debug, Default)]
pub struct Entries {
    /// The events.
    pub events: Vec<Event>,
    /// How many of them are second deliveries.
    pub n_duplicates: u64,
    /// How many further events are missing because they were not yet known.
    pub n_not_yet_known: u64,
}

impl Journal {
    /// An empty journal.
    #[must_use]
    pub fn new(customer: CustomerId, start: Timestamp, currency: Currency) -> Self {
        Self { customer, start, currency, events: Vec::new(), n_sessions: 0, n_orders: 0, n_decisions: 0 }
    }

    /// The instant `at` milliseconds after the start.
    #[must_use]
    pub fn instant(&self, at: i64) -> Timestamp {
        self.start.plus_millis(at)
    }

    /// Writes down an event of `kind`, `at` milliseconds after the start; the caller fills in the rest.
    pub fn add(&mut self, who: &Who, kind: EventType, at: i64) -> &mut Event {
        let number = self.events.len();
        let (event_id, customer_id, anonymous_id) = match who {
            Who::Customer => {
                (format!("{}-{number}", self.customer.as_str()), Some(self.customer.clone()), None)
            }
            Who::Anonymous(id) => (format!("{id}-{number}"), None, Some(id.clone())),
        };
        self.events.push(Event {
            event_id,
            event_type: kind,
            occurred_at: self.start.plus_millis(at),
            known_at: None,
            customer_id,
            anonymous_id,
            session_id: None,
            channel: None,
            sku: None,
            quantity: None,
            value: None,
            decision_id: None,
            quote_id: None,
            action_id: None,
            treatment_id: None,
            refers_to: None,
            attributes: BTreeMap::new(),
        });
        &mut self.events[number]
    }

    /// All events, in the order of writing.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The event written last.
    pub fn last(&mut self) -> Option<&mut Event> {
        self.events.last_mut()
    }

    /// An amount in the journal's currency.
    #[must_use]
    pub const fn money(&self, amount_minor: i64) -> Money {
        Money { amount_minor, currency: self.currency }
    }

    /// A new session id.
    pub fn session(&mut self, who: &Who) -> String {
        self.n_sessions += 1;
        match who {
            Who::Customer => format!("{}-S{}", self.customer.as_str(), self.n_sessions),
            Who::Anonymous(id) => format!("{id}-S{}", self.n_sessions),
        }
    }

    /// A new order id.
    pub fn order(&mut self) -> String {
        self.n_orders += 1;
        format!("{}-O{}", self.customer.as_str(), self.n_orders)
    }

    /// A new decision id.
    pub fn decision(&mut self) -> String {
        self.n_decisions += 1;
        format!("{}-D{}", self.customer.as_str(), self.n_decisions)
    }

    /// Delivers: repeats some, keeps what is known before day `days` ends the log, and sorts.
    #[must_use]
    pub fn deliver(self, stream: &mut Stream, days: i32) -> Entries {
        let end = self.start.plus_days(days);
        let mut entries = Entries::default();
        for event in self.events {
            let again = stream.chance(DUPLICATE_RATE);
            let delay = stream.between(1.0, 2.0 * HOUR_MS as f64) as i64;
            if event.known() >= end {
                entries.n_not_yet_known += 1;
                continue;
            }
            if again && event.known().plus_millis(delay) < end {
                let known_at = Some(event.known().plus_millis(delay));
                entries.events.push(Event { known_at, ..event.clone() });
                entries.n_duplicates += 1;
            }
            entries.events.push(event);
        }
        entries.events.sort_by(|a, b| {
            (a.known(), a.occurred_at, &a.event_id).cmp(&(b.known(), b.occurred_at, &b.event_id))
        });
        entries
    }
}

/// Sets when `event` became known: `low` to `high` hours after it happened, never more than seven days.
pub fn late(event: &mut Event, stream: &mut Stream, low: f64, high: f64) {
    let lag = stream.between(low, high) * HOUR_MS as f64;
    event.known_at = Some(event.occurred_at.plus_millis((lag as i64).min(7 * DAY_MS - 1)));
}

/// Sets a text attribute.
pub fn text(event: &mut Event, name: &str, value: &str) {
    event.attributes.insert(name.to_owned(), AttributeValue::Text(value.to_owned()));
}

/// Sets a numeric attribute.
pub fn number(event: &mut Event, name: &str, value: f64) {
    event.attributes.insert(name.to_owned(), AttributeValue::Number(value));
}

/// Sets a flag.
pub fn flag(event: &mut Event, name: &str, value: bool) {
    event.attributes.insert(name.to_owned(), AttributeValue::Flag(value));
}
