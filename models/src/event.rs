//! What happened: the wire schema of events, one struct and one enum of types.
//!
//! An [`Event`] is checked once, when it is made from an [`EventDraft`] (what JSON, CSV and Parquet give), and has
//! no setter: past that door every fold and every job relies on the bounds below. The two clocks stand side by
//! side: `occurred_at` is when it happened, `known_at` when we came to know; what a job may see is cut on the second.

use std::collections::BTreeMap;
use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::customer::CustomerId;
use crate::units::{Money, Timestamp};

/// Longest id (event, session, SKU, decision and the like), in bytes.
pub const MAX_ID_BYTES: usize = 128;
/// Largest quantity of one event, in units.
pub const MAX_QUANTITY: i64 = 1_000_000_000;
/// Largest amount of one event, in minor units: sums over nine million such events still fit 64 bits.
pub const MAX_AMOUNT_MINOR: i64 = 1_000_000_000_000;
/// Most attributes one event carries.
pub const MAX_ATTRIBUTES: usize = 64;
/// Longest attribute name or text, in bytes.
pub const MAX_ATTRIBUTE_BYTES: usize = 256;
/// Largest magnitude of a numeric attribute.
pub const MAX_ATTRIBUTE_NUMBER: f64 = 1e12;

macro_rules! event_types {
    ($($variant:ident = $name:literal),+ $(,)?) => {
        /// The kinds of event, under the names they carry on the wire.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum EventType { $(#[doc = concat!("`", $name, "`")] $variant),+ }

        impl EventType {
            /// Every type, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }
        }
    };
}

event_types! {
    PageViewed = "page_viewed", ProductViewed = "product_viewed", CartAdded = "cart_added",
    CheckoutStarted = "checkout_started", OrderPlaced = "order_placed", OrderCancelled = "order_cancelled",
    Refunded = "refunded", Subscribed = "subscribed", Renewed = "renewed", Cancelled = "cancelled",
    SupportContacted = "support_contacted", SurveyAnswered = "survey_answered", ReferralSent = "referral_sent",
    ReferralConverted = "referral_converted", ConsentChanged = "consent_changed", Contacted = "contacted",
    Impression = "impression", Clicked = "clicked", Accepted = "accepted", Rejected = "rejected",
    NotTaken = "not_taken", PriceShown = "price_shown", QuoteRedeemed = "quote_redeemed",
    AttributeSet = "attribute_set", Identified = "identified", StageChanged = "stage_changed",
}

impl EventType {
    /// Whether this type takes back quantity or value of what it refers to.
    #[must_use]
    pub const fn is_revision(self) -> bool {
        matches!(self, Self::OrderCancelled | Self::Refunded)
    }

    /// Whether this type tells what became of a decision.
    #[must_use]
    pub const fn is_outcome(self) -> bool {
        matches!(self, Self::Impression | Self::Clicked | Self::Accepted | Self::Rejected | Self::NotTaken)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is no [`EventType`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no event type; the nearest is {1:?}")]
pub struct EventTypeError(String, &'static str);

impl FromStr for EventType {
    type Err = EventTypeError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name).ok_or_else(|| {
            let shared =
                |kind: &Self| kind.as_str().bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
            let nearest = Self::ALL.iter().max_by_key(|kind| shared(kind)).map_or("", |kind| kind.as_str());
            EventTypeError(name.to_owned(), nearest)
        })
    }
}

/// A free attribute of an event or a customer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttributeValue {
    /// True or false.
    Flag(bool),
    /// A finite number.
    Number(f64),
    /// A text, a category.
    Text(String),
}

/// What a cancellation or refund revises: the earlier event and when that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    /// The `event_id` of what is revised.
    pub event_id: String,
    /// Its `occurred_at`: the day on which the revision is booked.
    pub occurred_at: Timestamp,
    /// Whether nothing is left of it afterwards; false for a part. A cancelled whole no longer counts as an order.
    #[serde(default = "yes", skip_serializing_if = "is_true")]
    pub whole: bool,
}

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_true(flag: &bool) -> bool {
    *flag
}

/// An event as it arrives, unchecked; becomes an [`Event`] by `try_from`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "the fields are those of `Event`, documented there")]
pub struct EventDraft {
    pub event_id: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub occurred_at: Option<Timestamp>,
    pub known_at: Option<Timestamp>,
    pub customer_id: Option<String>,
    pub anonymous_id: Option<String>,
    pub session_id: Option<String>,
    pub channel: Option<String>,
    pub sku: Option<String>,
    pub quantity: Option<i64>,
    pub value: Option<Money>,
    pub decision_id: Option<String>,
    pub quote_id: Option<String>,
    pub action_id: Option<String>,
    pub treatment_id: Option<String>,
    pub refers_to: Option<Reference>,
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// A checked event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "EventDraft")]
pub struct Event {
    /// Dedupe key, unique per customer, 1 to 128 bytes.
    pub event_id: String,
    /// What happened.
    #[serde(rename = "type")]
    pub event_type: EventType,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// When we came to know; absent means when it happened (imports) or on arrival (the `events` function sets it).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_at: Option<Timestamp>,
    /// Whose it is; absent for a visitor not yet known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<CustomerId>,
    /// The visitor, where no customer is known. One of the two ids is always there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous_id: Option<String>,
    /// The visit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// web, email, phone, ...
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Stock-keeping unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sku: Option<String>,
    /// Units, 0 ..= [`MAX_QUANTITY`]; what a revision takes back is positive too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<i64>,
    /// Worth of the whole line (quantity times unit price), never negative.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Money>,
    /// The decision this follows from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// The quote this follows from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quote_id: Option<String>,
    /// The action concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action_id: Option<String>,
    /// The treatment concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub treatment_id: Option<String>,
    /// What a cancellation or refund revises.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refers_to: Option<Reference>,
    /// Anything else.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// Why a draft is no event: a stable code, the JSON path of the culprit, and a sentence with value and bound.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{path}: {message}")]
pub struct EventFault {
    /// Stable, for programs: `missing`, `too_long`, `unknown_type`, `out_of_range`, `too_many`, `bad_id`.
    pub code: String,
    /// Where, as a JSON path below the event: `value.amount_minor`.
    pub path: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl EventFault {
    /// A fault of `code` at `path`.
    #[must_use]
    pub fn new(code: &str, path: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), path: path.to_owned(), message: message.into() }
    }
}

impl TryFrom<EventDraft> for Event {
    type Error = EventFault;

    fn try_from(draft: EventDraft) -> Result<Self, EventFault> {
        check_id("event_id", &draft.event_id)?;
        let event_type: EventType = match draft.event_type.as_str() {
            "" => {
                return Err(EventFault::new("missing", "type", "an event needs a type such as order_placed"));
            }
            name => name
                .parse()
                .map_err(|e: EventTypeError| EventFault::new("unknown_type", "type", e.to_string()))?,
        };
        let Some(occurred_at) = draft.occurred_at else {
            return Err(EventFault::new(
                "missing",
                "occurred_at",
                "an event needs the time when it happened",
            ));
        };
        let customer_id = draft.customer_id.map(CustomerId::new).transpose();
        let customer_id = customer_id.map_err(|e| EventFault::new("bad_id", "customer_id", e.to_string()))?;
        if customer_id.is_none() && draft.anonymous_id.is_none() {
            return Err(EventFault::new(
                "missing",
                "customer_id",
                "an event needs customer_id or anonymous_id",
            ));
        }
        let ids = [
            ("anonymous_id", &draft.anonymous_id),
            ("session_id", &draft.session_id),
            ("channel", &draft.channel),
            ("sku", &draft.sku),
            ("decision_id", &draft.decision_id),
            ("quote_id", &draft.quote_id),
            ("action_id", &draft.action_id),
            ("treatment_id", &draft.treatment_id),
        ];
        ids.into_iter()
            .filter_map(|(path, id)| Some((path, id.as_ref()?)))
            .try_for_each(|(p, id)| check_id(p, id))?;
        check_range("quantity", draft.quantity, MAX_QUANTITY)?;
        check_range("value.amount_minor", draft.value.map(|value| value.amount_minor), MAX_AMOUNT_MINOR)?;
        if let Some(reference) = &draft.refers_to {
            check_id("refers_to.event_id", &reference.event_id)?;
            if reference.occurred_at > occurred_at {
                let message =
                    format!("{} lies after the revision itself, {occurred_at}", reference.occurred_at);
                return Err(EventFault::new("out_of_range", "refers_to.occurred_at", message));
            }
        }
        check_attributes(&draft.attributes)?;
        Ok(Self {
            event_id: draft.event_id,
            event_type,
            occurred_at,
            known_at: draft.known_at,
            customer_id,
            anonymous_id: draft.anonymous_id,
            session_id: draft.session_id,
            channel: draft.channel,
            sku: draft.sku,
            quantity: draft.quantity,
            value: draft.value,
            decision_id: draft.decision_id,
            quote_id: draft.quote_id,
            action_id: draft.action_id,
            treatment_id: draft.treatment_id,
            refers_to: draft.refers_to,
            attributes: draft.attributes,
        })
    }
}

impl Event {
    /// When we came to know of it: `known_at`, else when it happened; never before it happened.
    #[must_use]
    pub fn known(&self) -> Timestamp {
        self.known_at.map_or(self.occurred_at, |known| known.max(self.occurred_at))
    }

    /// The instant whose day its quantity and value are booked on: of what it revises, else its own.
    #[must_use]
    pub fn booked_at(&self) -> Timestamp {
        match &self.refers_to {
            Some(reference) if self.event_type.is_revision() => reference.occurred_at,
            _ => self.occurred_at,
        }
    }

    /// Whether this cancels the whole of what it refers to; a refund gives money back for an order that stands.
    #[must_use]
    pub fn takes_back_whole(&self) -> bool {
        self.event_type == EventType::OrderCancelled
            && self.refers_to.as_ref().is_some_and(|order| order.whole)
    }

    /// The text of attribute `name`; numbers and flags have none.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(AttributeValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The attribute `name`, if it is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.attributes.get(name) {
            Some(AttributeValue::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

fn check_id(path: &str, id: &str) -> Result<(), EventFault> {
    if id.is_empty() {
        return Err(EventFault::new("missing", path, "must not be empty"));
    }
    if id.len() > MAX_ID_BYTES {
        return Err(EventFault::new("too_long", path, format!("{} bytes, at most {MAX_ID_BYTES}", id.len())));
    }
    if id.chars().any(char::is_control) {
        return Err(EventFault::new("bad_id", path, format!("{id:?} holds a control character")));
    }
    Ok(())
}

fn check_range(path: &str, number: Option<i64>, bound: i64) -> Result<(), EventFault> {
    match number {
        Some(number) if !(0..=bound).contains(&number) => {
            let hint =
                if number < 0 { "; to take something back send order_cancelled or refunded" } else { "" };
            Err(EventFault::new("out_of_range", path, format!("{number} lies outside 0 ..= {bound}{hint}")))
        }
        _ => Ok(()),
    }
}

fn check_attributes(attributes: &BTreeMap<String, AttributeValue>) -> Result<(), EventFault> {
    if attributes.len() > MAX_ATTRIBUTES {
        let message = format!("{} attributes, at most {MAX_ATTRIBUTES}", attributes.len());
        return Err(EventFault::new("too_many", "attributes", message));
    }
    for (name, value) in attributes {
        let path = format!("attributes.{name}");
        let text = if let AttributeValue::Text(text) = value { text.as_str() } else { "" };
        if name.is_empty() || name.len().max(text.len()) > MAX_ATTRIBUTE_BYTES {
            let message = format!("names take 1 and names and texts at most {MAX_ATTRIBUTE_BYTES} bytes");
            return Err(EventFault::new("too_long", &path, message));
        }
        if let AttributeValue::Number(number) = value
            && (number.is_nan() || number.abs() > MAX_ATTRIBUTE_NUMBER)
        {
            let message =
                format!("{number} lies outside -{MAX_ATTRIBUTE_NUMBER:e} ..= {MAX_ATTRIBUTE_NUMBER:e}");
            return Err(EventFault::new("out_of_range", &path, message));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Event, String> {
        serde_json::from_str(json).map_err(|e| e.to_string())
    }

    #[test]
    fn an_order_survives_its_json() {
        let json = r#"{"event_id":"e1","type":"order_placed","occurred_at":"2011-01-05T10:00:00Z","customer_id":"c1","sku":"85123A","quantity":6,"value":{"amount_minor":1530,"currency":"GBP"},"attributes":{"country":"France","express":true,"weight":1.5}}"#;
        let event = parse(json).unwrap();
        assert_eq!(event.known(), event.occurred_at);
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
    }

    #[test]
    fn every_type_has_its_wire_name() {
        for &kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!(EventType::ALL.len(), 26);
    }

    #[test]
    fn faults_name_value_bound_and_place() {
        let with = |rest: &str| {
            parse(&format!(
                r#"{{"event_id":"e","occurred_at":"2011-01-05T10:00:00Z","customer_id":"c",{rest}}}"#
            ))
            .unwrap_err()
        };
        assert!(
            with(r#""type":"order_placd""#)
                .contains(r#""order_placd" is no event type; the nearest is "order_placed""#)
        );
        assert!(
            with(r#""type":"order_placed","quantity":-3"#)
                .contains("quantity: -3 lies outside 0 ..= 1000000000")
        );
        assert!(with(r#""type":"order_placed","colour":1"#).contains("unknown field `colour`"));
        assert!(
            with(r#""type":"order_placed","attributes":{"x":1e13}"#).contains("attributes.x: 10000000000000")
        );
        assert!(with(r#""type":"order_placed","sku":"""#).contains("sku: must not be empty"));
    }

    #[test]
    fn a_revision_is_booked_on_what_it_revises() {
        let event = parse(r#"{"event_id":"e","type":"order_cancelled","occurred_at":"2011-02-05T10:00:00Z","customer_id":"c","refers_to":{"event_id":"o","occurred_at":"2011-01-05T10:00:00Z"}}"#).unwrap();
        assert_eq!(event.booked_at().to_string(), "2011-01-05T10:00:00Z");
    }
}
