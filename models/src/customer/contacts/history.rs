//! Contacts joined with what became of them, as of one moment.

use serde::{Deserialize, Serialize};

use super::{Contact, Response, Said, Touch};
use crate::units::{DAY_MS, Timestamp};

/// What became of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Nothing yet, and there is still time.
    Pending,
    /// A click, an acceptance, an order: the customer listens.
    Answered,
    /// The customer said no.
    Rejected,
    /// Nothing within the response window, or `not_taken` said so.
    Ignored,
}

/// A contact and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Past {
    /// The contact.
    pub contact: Contact,
    /// Whether it was seen: an `impression` tells so, or an answer.
    pub seen: bool,
    /// What became of it.
    pub reply: Reply,
    /// Since when: of the response, of the end of the response window; of the contact itself while pending.
    pub replied_at: Timestamp,
}

/// All remembered contacts of a customer up to a moment, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactHistory {
    entries: Vec<Past>,
}

impl ContactHistory {
    /// Joins contacts with what was seen of them and with responses, all up to `now`.
    ///
    /// A response belongs to the contacts of its decision, and of its action where both name one. Where either names
    /// no decision, it belongs to the contacts of its action in the `response_days` before it. Of yes and no the later
    /// one stands, no at the same instant; `not_taken` only tells that there was neither.
    pub(super) fn new(
        contacts: Vec<Contact>,
        touches: &[Touch],
        responses: &[Response],
        now: Timestamp,
        response_days: i32,
    ) -> Self {
        let window_ms = i64::from(response_days) * DAY_MS;
        let join = |contact: Contact| {
            let own = || responses.iter().filter(|response| response.belongs_to(&contact, window_ms));
            let word = own().filter(|response| response.said != Said::Nothing).max();
            let over = contact.at.plus_millis(window_ms);
            let (reply, replied_at) = match (word, own().find(|response| response.said == Said::Nothing)) {
                (Some(word), _) if word.said == Said::No => (Reply::Rejected, word.at),
                (Some(word), _) => (Reply::Answered, word.at),
                (None, Some(nothing)) => (Reply::Ignored, nothing.at.min(over)),
                (None, None) if over <= now => (Reply::Ignored, over),
                (None, None) => (Reply::Pending, contact.at),
            };
            let shown = |touch: &Touch| touch.impression && touch.is_of(&contact);
            let seen = matches!(reply, Reply::Answered | Reply::Rejected) || touches.iter().any(shown);
            Past { contact, seen, reply, replied_at }
        };
        Self { entries: contacts.into_iter().map(join).collect() }
    }

    /// All of them, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[Past] {
        &self.entries
    }

    /// How many contacts there were from `since` on among those `of` picks (an action, a channel, a group).
    pub fn n_contacts(&self, since: Timestamp, of: impl Fn(&Contact) -> bool) -> usize {
        self.entries.iter().filter(|past| past.contact.at >= since && of(&past.contact)).count()
    }

    /// When the latest contact was among those `of` picks.
    pub fn latest_contact(&self, of: impl Fn(&Contact) -> bool) -> Option<Timestamp> {
        self.entries
            .iter()
            .rev()
            .map(|past| &past.contact)
            .find(|contact| of(contact))
            .map(|contact| contact.at)
    }

    /// How many contacts got this reply from `since` on (by [`Past::replied_at`]) among those `of` picks.
    pub fn n_replies(&self, reply: Reply, since: Timestamp, of: impl Fn(&Contact) -> bool) -> usize {
        self.replies(reply, of).filter(|past| past.replied_at >= since).count()
    }

    /// When the latest of these replies came among the contacts `of` picks.
    pub fn latest_reply(&self, reply: Reply, of: impl Fn(&Contact) -> bool) -> Option<Timestamp> {
        self.replies(reply, of).map(|past| past.replied_at).max()
    }

    fn replies(&self, reply: Reply, of: impl Fn(&Contact) -> bool) -> impl Iterator<Item = &Past> {
        self.entries.iter().filter(move |past| past.reply == reply && of(&past.contact))
    }
}

impl Response {
    fn belongs_to(&self, contact: &Contact, window_ms: i64) -> bool {
        // None where one of the two names nothing to compare.
        let compare = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a == b);
        match (compare(self.decision, contact.decision), compare(self.action, contact.action)) {
            (Some(false), _) | (_, Some(false)) | (None, None) => false,
            (Some(true), _) => true,
            (None, Some(true)) => (contact.at..=contact.at.plus_millis(window_ms)).contains(&self.at),
        }
    }
}
