//! Contacts as bytes: every hash once, in a sorted list that entries point into, and times as distances.
//!
//! The form is a function of the content alone, so equal contacts give equal bytes.

use serde::{Deserialize, Serialize};

use super::{Contact, Contacts, MAX_CONTACTS, Response, Said, Touch};
use crate::units::Timestamp;

/// What is written.
#[derive(Serialize, Deserialize)]
pub(super) struct Packed {
    /// The hashes, ascending, big-endian.
    keys: Vec<[u8; 8]>,
    touches: Vec<PackedTouch>,
    responses: Vec<PackedResponse>,
}

/// 0 is none, else one more than the place among the keys.
type Place = u16;

#[derive(Serialize, Deserialize)]
struct PackedTouch {
    /// Milliseconds after the entry before.
    after_ms: u64,
    impression: bool,
    decision: Place,
    action: Place,
    treatment: Place,
    channel: Place,
}

#[derive(Serialize, Deserialize)]
struct PackedResponse {
    after_ms: u64,
    said: Said,
    decision: Place,
    action: Place,
}

/// Times as distances from the one before, and back.
struct Clock(i64);

impl Clock {
    const fn new() -> Self {
        Self(Timestamp::MIN.as_millis())
    }

    fn after_ms(&mut self, at: Timestamp) -> u64 {
        let before = std::mem::replace(&mut self.0, at.as_millis());
        u64::try_from(at.as_millis() - before).unwrap_or(0)
    }

    fn at(&mut self, after_ms: u64) -> Result<Timestamp, String> {
        self.0 = self.0.saturating_add(i64::try_from(after_ms).unwrap_or(i64::MAX));
        Timestamp::from_millis(self.0).map_err(|error| error.to_string())
    }
}

impl From<Contacts> for Packed {
    fn from(contacts: Contacts) -> Self {
        let of_touches = contacts.touches.iter().flat_map(|Touch { contact, .. }| {
            [contact.decision, contact.action, contact.treatment, contact.channel]
        });
        let of_responses =
            contacts.responses.iter().flat_map(|response| [response.decision, response.action]);
        let mut keys: Vec<u64> = of_touches.chain(of_responses).flatten().collect();
        keys.sort_unstable();
        keys.dedup();
        let place = |key: Option<u64>| {
            let found = key.and_then(|key| keys.binary_search(&key).ok());
            found.and_then(|at| Place::try_from(at + 1).ok()).unwrap_or(0)
        };
        let mut clock = Clock::new();
        let touches = contacts.touches.iter().map(|Touch { contact, impression }| PackedTouch {
            after_ms: clock.after_ms(contact.at),
            impression: *impression,
            decision: place(contact.decision),
            action: place(contact.action),
            treatment: place(contact.treatment),
            channel: place(contact.channel),
        });
        let touches = touches.collect();
        let mut clock = Clock::new();
        let responses = contacts.responses.iter().map(|response| PackedResponse {
            after_ms: clock.after_ms(response.at),
            said: response.said,
            decision: place(response.decision),
            action: place(response.action),
        });
        let responses = responses.collect();
        Self { keys: keys.into_iter().map(u64::to_be_bytes).collect(), touches, responses }
    }
}

impl TryFrom<Packed> for Contacts {
    type Error = String;

    fn try_from(packed: Packed) -> Result<Self, String> {
        let key = |place: Place| match usize::from(place).checked_sub(1) {
            None => Ok(None),
            Some(at) => match packed.keys.get(at) {
                Some(key) => Ok(Some(u64::from_be_bytes(*key))),
                None => Err(format!("key {place} of {}", packed.keys.len())),
            },
        };
        let mut clock = Clock::new();
        let touch = |touch: &PackedTouch| {
            let contact = Contact {
                at: clock.at(touch.after_ms)?,
                decision: key(touch.decision)?,
                action: key(touch.action)?,
                treatment: key(touch.treatment)?,
                channel: key(touch.channel)?,
            };
            Ok(Touch { contact, impression: touch.impression })
        };
        let touches = packed.touches.iter().map(touch).collect::<Result<Vec<_>, String>>()?;
        let mut clock = Clock::new();
        let response = |response: &PackedResponse| {
            let at = clock.at(response.after_ms)?;
            let (decision, action) = (key(response.decision)?, key(response.action)?);
            Ok(Response { at, said: response.said, decision, action })
        };
        let responses = packed.responses.iter().map(response).collect::<Result<Vec<_>, String>>()?;
        if !is_sorted_set(&touches) || !is_sorted_set(&responses) {
            return Err("contacts are out of order or too many".to_owned());
        }
        Ok(Self { touches, responses })
    }
}

fn is_sorted_set<T: Ord>(entries: &[T]) -> bool {
    entries.len() <= MAX_CONTACTS && entries.is_sorted_by(|a, b| a < b)
}
