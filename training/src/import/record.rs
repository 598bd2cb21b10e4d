//! One row on its way from the file to its bucket: a key that sorts as bytes, and a packed payload.
//!
//! Keys put the log's order into bytes, so that sorting, spilling and merging never decode an event. Ids hold no
//! control characters, hence a zero byte ends them without disturbing the order.

use std::collections::BTreeMap;

use nextbest_models::customer::{CustomerId, CustomerIdError};
use nextbest_models::event::{AttributeValue, Event, EventType, Reference};
use nextbest_models::units::{Money, Timestamp};
use serde::{Deserialize, Serialize};

/// Which facts hold of a row, one bit each: see [`crate::import::report::Conditions`].
pub(crate) type ConditionBits = u64;

/// A row that was read without fault.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every row is an event")]
pub(crate) enum Row {
    /// It becomes an event; `revises` of a cancellation is the type of the lines it may take back.
    Event { event: Event, revises: Option<EventType>, conditions: ConditionBits },
    /// It is set aside by rule `rule` of the project's list; `identity` tells equal rows.
    SetAside { identity: String, rule: u16, conditions: ConditionBits },
}

/// A payload that does not decode: a spilled file was damaged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    #[error("a spilled row does not decode: {0}")]
    Packed(#[from] postcard::Error),
    #[error("a spilled row holds no customer: {0}")]
    Customer(#[from] CustomerIdError),
}

/// Classes of keys, in the order in which a bucket is written.
const CUSTOMER: u8 = 0;
const VISITOR: u8 = 1;
const SET_ASIDE: u8 = 2;

impl Row {
    /// The text whose hash decides the bucket.
    pub(crate) fn bucket_key(&self) -> &str {
        match self {
            Self::Event { event, .. } => crate::event_log::owner(event),
            Self::SetAside { identity, .. } => identity,
        }
    }

    /// The key: class, owner, and for events the order of the log.
    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = Vec::with_capacity(72);
        match self {
            Self::Event { event, .. } => {
                key.push(if event.customer_id.is_some() { CUSTOMER } else { VISITOR });
                key.extend_from_slice(crate::event_log::owner(event).as_bytes());
                key.push(0);
                key.extend_from_slice(&sortable(event.known()));
                key.extend_from_slice(&sortable(event.occurred_at));
                key.extend_from_slice(event.event_id.as_bytes());
            }
            Self::SetAside { identity, .. } => {
                key.push(SET_ASIDE);
                key.extend_from_slice(identity.as_bytes());
                key.push(0);
            }
        }
        key
    }

    /// The payload.
    pub(crate) fn payload(&self) -> Result<Vec<u8>, RecordError> {
        Ok(postcard::to_stdvec(&match self {
            Self::Event { event, revises, conditions } => {
                Packed::Event { event: PackedEvent::of(event), revises: *revises, conditions: *conditions }
            }
            Self::SetAside { identity, rule, conditions } => {
                Packed::SetAside { identity, rule: *rule, conditions: *conditions }
            }
        })?)
    }

    /// The row of a payload.
    pub(crate) fn unpack(payload: &[u8]) -> Result<Self, RecordError> {
        Ok(match postcard::from_bytes(payload)? {
            Packed::Event { event, revises, conditions } => {
                Self::Event { event: event.unpack()?, revises, conditions }
            }
            Packed::SetAside { identity, rule, conditions } => {
                Self::SetAside { identity: identity.to_owned(), rule, conditions }
            }
        })
    }
}

/// The part of a key that rows of one owner, and equal set-aside rows, share.
pub(crate) fn group_of(key: &[u8]) -> &[u8] {
    let end = key.iter().skip(1).position(|&byte| byte == 0).map_or(key.len(), |at| at + 1);
    &key[..end]
}

/// Big-endian with the sign bit flipped: bytes sort as the instants do.
fn sortable(at: Timestamp) -> [u8; 8] {
    (at.as_millis() ^ i64::MIN).to_be_bytes()
}

#[derive(Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "nearly every row is an event")]
enum Packed<'a> {
    Event {
        #[serde(borrow)]
        event: PackedEvent<'a>,
        revises: Option<EventType>,
        conditions: ConditionBits,
    },
    SetAside {
        identity: &'a str,
        rule: u16,
        conditions: ConditionBits,
    },
}

/// An [`Event`] for postcard, which knows neither skipped members nor untagged values.
#[derive(Serialize, Deserialize)]
struct PackedEvent<'a> {
    event_id: &'a str,
    event_type: EventType,
    occurred_at: Timestamp,
    known_at: Option<Timestamp>,
    #[serde(borrow)]
    customer_id: Option<&'a str>,
    #[serde(borrow)]
    texts: [Option<&'a str>; 8],
    quantity: Option<i64>,
    value: Option<Money>,
    #[serde(borrow)]
    refers_to: Option<(&'a str, Timestamp, bool)>,
    #[serde(borrow)]
    attributes: Vec<(&'a str, PackedValue<'a>)>,
}

#[derive(Serialize, Deserialize)]
enum PackedValue<'a> {
    Flag(bool),
    Number(f64),
    Text(&'a str),
}

impl<'a> PackedEvent<'a> {
    fn of(event: &'a Event) -> Self {
        let value = |value: &'a AttributeValue| match value {
            AttributeValue::Flag(flag) => PackedValue::Flag(*flag),
            AttributeValue::Number(number) => PackedValue::Number(*number),
            AttributeValue::Text(text) => PackedValue::Text(text),
        };
        Self {
            event_id: &event.event_id,
            event_type: event.event_type,
            occurred_at: event.occurred_at,
            known_at: event.known_at,
            customer_id: event.customer_id.as_ref().map(CustomerId::as_str),
            texts: [
                &event.anonymous_id,
                &event.session_id,
                &event.channel,
                &event.sku,
                &event.decision_id,
                &event.quote_id,
                &event.action_id,
                &event.treatment_id,
            ]
            .map(|text| text.as_deref()),
            quantity: event.quantity,
            value: event.value,
            refers_to: event.refers_to.as_ref().map(|r| (r.event_id.as_str(), r.occurred_at, r.whole)),
            attributes: event.attributes.iter().map(|(name, v)| (name.as_str(), value(v))).collect(),
        }
    }

    fn unpack(self) -> Result<Event, CustomerIdError> {
        let [anonymous_id, session_id, channel, sku, decision_id, quote_id, action_id, treatment_id] =
            self.texts.map(|text| text.map(str::to_owned));
        let value = |value| match value {
            PackedValue::Flag(flag) => AttributeValue::Flag(flag),
            PackedValue::Number(number) => AttributeValue::Number(number),
            PackedValue::Text(text) => AttributeValue::Text(text.to_owned()),
        };
        let reference = |(event_id, occurred_at, whole): (&str, _, _)| Reference {
            event_id: event_id.to_owned(),
            occurred_at,
            whole,
        };
        let attributes = self.attributes.into_iter().map(|(name, v)| (name.to_owned(), value(v)));
        Ok(Event {
            event_id: self.event_id.to_owned(),
            event_type: self.event_type,
            occurred_at: self.occurred_at,
            known_at: self.known_at,
            customer_id: self.customer_id.map(CustomerId::new).transpose()?,
            anonymous_id,
            session_id,
            channel,
            sku,
            quantity: self.quantity,
            value: self.value,
            decision_id,
            quote_id,
            action_id,
            treatment_id,
            refers_to: self.refers_to.map(reference),
            attributes: attributes.collect::<BTreeMap<_, _>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_log::order_key;

    fn event(json: &str) -> Event {
        serde_json::from_str(json).unwrap()
    }

    fn row(event: Event) -> Row {
        Row::Event { event, revises: None, conditions: 5 }
    }

    #[test]
    fn a_row_survives_its_payload() {
        let full = event(
            r#"{"event_id":"e","type":"order_cancelled","occurred_at":"1969-01-05T10:00:00Z","known_at":"2011-01-07T00:00:00Z","customer_id":"c","anonymous_id":"a","session_id":"s","channel":"web","sku":"k","quantity":6,"value":{"amount_minor":1530,"currency":"GBP"},"decision_id":"d","quote_id":"q","action_id":"x","treatment_id":"t","refers_to":{"event_id":"o","occurred_at":"1969-01-04T10:00:00Z","whole":false},"attributes":{"n":-0.5,"t":"x","f":true}}"#,
        );
        let rows = [
            Row::Event { event: full, revises: Some(EventType::OrderPlaced), conditions: 3 },
            Row::SetAside { identity: "abc".into(), rule: 7, conditions: 9 },
        ];
        for row in rows {
            assert_eq!(Row::unpack(&row.payload().unwrap()).unwrap(), row);
        }
    }

    #[test]
    fn keys_sort_as_the_log_does_and_group_by_owner() {
        let mut events = Vec::new();
        for (who, at, known) in [("c1", 1, 2), ("c1", 2, 2), ("c10", 1, 1), ("c2", 1, 9), ("c2", 3, 3)] {
            for id in ["e1", "e10", "e2"] {
                for field in ["customer_id", "anonymous_id"] {
                    let (at, known) = (at * 3, known * 3);
                    events.push(event(&format!(
                        r#"{{"event_id":"{id}","type":"clicked","occurred_at":"19{:02}-01-01T00:00:00Z","known_at":"19{:02}-01-01T00:00:00Z","{field}":"{who}"}}"#,
                        60 + at, 60 + known
                    )));
                }
            }
        }
        let mut by_bytes = events.clone();
        by_bytes.sort_by_key(|event| row(event.clone()).key());
        events.sort_by(|a, b| order_key(a).cmp(&order_key(b)));
        assert_eq!(by_bytes, events);
        let key = row(events[0].clone()).key();
        assert_eq!(group_of(&key), b"\0c1");
        let aside = Row::SetAside { identity: "x".into(), rule: 0, conditions: 0 }.key();
        assert!(aside > row(events[29].clone()).key());
        assert_eq!(group_of(&aside), b"\x02x");
    }
}
