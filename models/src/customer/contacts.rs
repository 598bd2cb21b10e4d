//! When the customer was contacted, and what they answered: what contact policy and lifecycle ask of the past.
//!
//! Kept are the greatest entries by (time, content) of two sets, contacts and responses; equal entries are one. The
//! greatest elements of a set do not depend on the order in which they came, so any order of arrival gives the same
//! bits. Which contact a response belongs to is not stored but worked out when asked ([`ContactHistory`]), since
//! either may arrive first. Ids are kept as [`stable_hash`]es: all that is ever asked is whether two are equal.

mod history;
mod packed;

use serde::{Deserialize, Serialize};

use super::stable_hash;
use crate::event::{Event, EventType};
use crate::units::{Day, Timestamp};
pub use history::{ContactHistory, Past, Reply};

/// Most contacts remembered, and most responses; beyond it counts saturate.
pub const MAX_CONTACTS: usize = 256;
/// How many days before the latest event a contact is remembered.
pub const CONTACT_DAYS: i32 = 400;

/// One time the customer was contacted, or saw something that nobody reported as a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    /// When.
    pub at: Timestamp,
    /// [`stable_hash`] of the `decision_id` it follows from.
    pub decision: Option<u64>,
    /// [`stable_hash`] of the `action_id`.
    pub action: Option<u64>,
    /// [`stable_hash`] of the `treatment_id`.
    pub treatment: Option<u64>,
    /// [`stable_hash`] of the `channel`.
    pub channel: Option<u64>,
}

/// A contact as the events told it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Touch {
    contact: Contact,
    /// An `impression`, which is a contact only where no `contacted` tells of it.
    impression: bool,
}

/// What a response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Said {
    /// `not_taken`: whoever waited for an answer waits no longer.
    Nothing,
    /// `clicked`, `accepted`, or an act of the customer that names the decision: an order, a visit, a survey.
    Yes,
    /// `rejected`.
    No,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Response {
    at: Timestamp,
    said: Said,
    decision: Option<u64>,
    action: Option<u64>,
}

/// The contacts and responses of one customer, bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "packed::Packed", try_from = "packed::Packed")]
pub struct Contacts {
    touches: Vec<Touch>,
    responses: Vec<Response>,
}

impl Contacts {
    pub(crate) fn fold(&mut self, event: &Event) {
        let key = |id: &Option<String>| id.as_deref().map(stable_hash);
        let at = event.occurred_at;
        if matches!(event.event_type, EventType::Contacted | EventType::Impression) {
            let contact = Contact {
                at,
                decision: key(&event.decision_id),
                action: key(&event.action_id),
                treatment: key(&event.treatment_id),
                channel: key(&event.channel),
            };
            keep(&mut self.touches, Touch { contact, impression: event.event_type == EventType::Impression });
        } else if let Some(said) = said(event) {
            let (decision, action) = (key(&event.decision_id), key(&event.action_id));
            keep(&mut self.responses, Response { at, said, decision, action });
        }
    }

    pub(crate) fn forget(&mut self, watermark: Day, lateness_days: i32) {
        let first = watermark.plus(-(CONTACT_DAYS + lateness_days));
        self.touches.retain(|touch| touch.contact.at.day() >= first);
        self.responses.retain(|response| response.at.day() >= first);
    }

    /// The contacts from `since` up to `now`, both included, oldest first.
    ///
    /// Every `contacted` is one. An `impression` is one unless a `contacted` up to `now` has the same decision and,
    /// where both name one, the same action; several impressions of a decision's action are one, the first.
    pub fn since(&self, since: Timestamp, now: Timestamp) -> impl Iterator<Item = Contact> {
        self.up_to(now).into_iter().filter(move |contact| contact.at >= since)
    }

    /// Everything remembered up to `now`, with what became of each: asked once per decision, then counted from.
    ///
    /// A contact nobody answered is ignored once `response_days` have passed.
    #[must_use]
    pub fn history(&self, now: Timestamp, response_days: i32) -> ContactHistory {
        let responses: Vec<Response> = self.responses.iter().copied().filter(|one| one.at <= now).collect();
        ContactHistory::new(self.up_to(now), self.touches_up_to(now), &responses, now, response_days)
    }

    fn up_to(&self, now: Timestamp) -> Vec<Contact> {
        let touches = self.touches_up_to(now);
        let mut contacts: Vec<Contact> = Vec::with_capacity(touches.len());
        for (place, touch) in touches.iter().enumerate() {
            let told = |other: &Touch| !other.impression && touch.contact.is_told_by(&other.contact);
            let shown = |other: &Touch| other.impression && other.contact.repeats(&touch.contact);
            let is_repetition =
                touch.impression && (touches.iter().any(told) || touches.iter().take(place).any(shown));
            if !is_repetition {
                contacts.push(touch.contact);
            }
        }
        contacts
    }

    fn touches_up_to(&self, now: Timestamp) -> &[Touch] {
        let end = self.touches.partition_point(|touch| touch.contact.at <= now);
        self.touches.get(..end).unwrap_or_default()
    }
}

impl Touch {
    /// Whether this is `contact`, or tells of it.
    fn is_of(&self, contact: &Contact) -> bool {
        self.contact == *contact || self.contact.is_told_by(contact)
    }
}

impl Contact {
    fn is_told_by(&self, contacted: &Self) -> bool {
        let same_action =
            self.action.is_none() || contacted.action.is_none() || self.action == contacted.action;
        self.decision.is_some() && self.decision == contacted.decision && same_action
    }

    fn repeats(&self, other: &Self) -> bool {
        self.decision.is_some() && self.decision == other.decision && self.action == other.action
    }
}

/// Whether, and what, an event says about a decision or an action.
fn said(event: &Event) -> Option<Said> {
    let (decided, named) = (event.decision_id.is_some(), event.action_id.is_some());
    match event.event_type {
        EventType::Clicked | EventType::Accepted if decided || named => Some(Said::Yes),
        EventType::Rejected if decided || named => Some(Said::No),
        EventType::NotTaken if decided || named => Some(Said::Nothing),
        EventType::PageViewed
        | EventType::ProductViewed
        | EventType::CartAdded
        | EventType::CheckoutStarted
        | EventType::OrderPlaced
        | EventType::Subscribed
        | EventType::Renewed
        | EventType::SurveyAnswered
        | EventType::ReferralSent
        | EventType::ReferralConverted
        | EventType::QuoteRedeemed
            if decided =>
        {
            Some(Said::Yes)
        }
        _ => None,
    }
}

/// Keeps the greatest [`MAX_CONTACTS`] of a sorted set.
fn keep<T: Ord>(entries: &mut Vec<T>, entry: T) {
    if let Err(at) = entries.binary_search(&entry) {
        entries.insert(at, entry);
        if entries.len() > MAX_CONTACTS {
            entries.remove(0);
        }
    }
}
