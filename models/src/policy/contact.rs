//! The contact policy: how often a customer may be contacted, and when silence is due.
//!
//! Caps count contacts over rolling windows, reservations of decisions that were not yet carried out included.
//! Suppressions silence after what became of earlier contacts. Both say until when they hold. Budgets are of the whole
//! business and kept in the store; here they are names with limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::selector::{Selector, Subject};
use crate::customer::contacts::{Past, Reply};
use crate::customer::stable_hash;
use crate::decision::Direction;
use crate::units::{DAY_MS, Timestamp};

/// What is counted apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Everything the selector takes, together.
    #[default]
    Total,
    /// Each action for itself.
    Action,
    /// Each channel for itself.
    Channel,
    /// Each group for itself.
    Group,
}

/// One `[[cap]]`: at most `max` contacts in any `window_days`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// Unique.
    pub id: String,
    /// What is counted and held back; all where nothing is given.
    #[serde(flatten)]
    pub selector: Selector,
    /// Only contacts that go this way; one of which nobody says which way it goes, counts.
    #[serde(default)]
    pub direction: Option<Direction>,
    /// Counted apart.
    #[serde(default)]
    pub per: Per,
    /// 1 ..= 1000.
    pub max: u32,
    /// 1 ..= 400.
    pub window_days: u32,
}

/// What silences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// Contacts without an answer in time.
    Ignored,
    /// Contacts that were refused.
    Rejected,
    /// Contacts that were answered: enough is enough.
    Answered,
}

/// One `[[suppression]]`: after `times` such responses within `within_days`, silence for `silent_days`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suppression {
    /// Unique.
    pub id: String,
    /// What is counted and silenced.
    #[serde(flatten)]
    pub selector: Selector,
    /// Counted and silenced apart.
    #[serde(default)]
    pub per: Per,
    /// The response.
    pub after: After,
    /// 1 ..= 100.
    pub times: u32,
    /// 1 ..= 400.
    pub within_days: u32,
    /// From the last of them on, 1 ..= 400.
    pub silent_days: u32,
}

/// How long a budget lasts; periods begin at midnight UTC, weeks on Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// A day.
    Day,
    /// Seven days.
    Week,
    /// A calendar month.
    Month,
}

/// One `[[budget]]`: what all customers together may get in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Unique.
    pub id: String,
    /// What draws on it.
    #[serde(flatten)]
    pub selector: Selector,
    /// How long it lasts.
    pub period: Period,
    /// Most contacts; absent: any number.
    #[serde(default)]
    pub max_contacts: Option<u64>,
    /// Most cost, in minor units; absent: any.
    #[serde(default)]
    pub max_cost_minor: Option<i64>,
}

/// A contact of the past, or one that is reserved, as the contact policy sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastContact {
    /// When.
    pub at: Timestamp,
    /// [`stable_hash`](crate::customer::stable_hash) of the action's id, where it is known.
    pub action: Option<u64>,
    /// [`stable_hash`](crate::customer::stable_hash) of the channel, where it is known.
    pub channel: Option<u64>,
    /// Whether it was seen, as far as anybody told.
    #[serde(default)]
    pub seen: bool,
    /// What became of it.
    pub reply: Reply,
    /// Since when.
    pub replied_at: Timestamp,
}

impl PastContact {
    /// Of what the customer's state remembers.
    #[must_use]
    pub const fn of(past: &Past) -> Self {
        let Past { contact, seen, reply, replied_at } = *past;
        Self { at: contact.at, action: contact.action, channel: contact.channel, seen, reply, replied_at }
    }

    /// A contact that is promised and not yet made.
    #[must_use]
    pub fn reserved(at: Timestamp, action_id: &str, channel: &str) -> Self {
        let (action, channel) = (Some(stable_hash(action_id)), Some(stable_hash(channel)));
        Self { at, action, channel, seen: false, reply: Reply::Pending, replied_at: at }
    }
}

/// A limit that holds a contact back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held<'a> {
    /// The limit.
    pub id: &'a str,
    /// Until when.
    pub until: Timestamp,
}

/// A past contact beside what is known of its action.
#[derive(Clone, Copy)]
pub(super) struct Seen<'a> {
    pub(super) contact: &'a PastContact,
    pub(super) subject: Subject<'a>,
}

impl Per {
    fn same(self, a: &Subject<'_>, b: &Subject<'_>) -> bool {
        match self {
            Self::Total => true,
            Self::Action => a.action == b.action,
            Self::Channel => a.channel == b.channel,
            Self::Group => a.group == b.group,
        }
    }
}

fn days(n: u32) -> i64 {
    i64::from(n) * DAY_MS
}

impl Cap {
    /// Whether it counts contacts of `subject`. Who does not say which way they ask slips through no cap.
    pub(super) fn counts(&self, subject: &Subject<'_>) -> bool {
        self.selector.takes(subject)
            && self.direction.zip(subject.direction).is_none_or(|(only, direction)| only == direction)
    }

    /// Whether one more contact of `subject` at `now` would exceed it, and until when. `seen` latest first.
    pub(super) fn holds(&self, subject: &Subject<'_>, seen: &[Seen<'_>], now: Timestamp) -> Option<Held<'_>> {
        if !self.counts(subject) {
            return None;
        }
        let first = now.plus_millis(-days(self.window_days));
        let counts = |seen: &&Seen<'_>| {
            seen.contact.at > first && self.counts(&seen.subject) && self.per.same(&seen.subject, subject)
        };
        // It is free again once the `max`-th latest has left the window.
        let last = seen.iter().filter(counts).nth(self.max as usize - 1)?;
        Some(Held { id: &self.id, until: last.contact.at.plus_millis(days(self.window_days)) })
    }
}

impl Suppression {
    /// Whether `subject` is silenced at `now`, and until when. `seen` latest first.
    pub(super) fn holds(&self, subject: &Subject<'_>, seen: &[Seen<'_>], now: Timestamp) -> Option<Held<'_>> {
        if !self.selector.takes(subject) {
            return None;
        }
        let wanted = match self.after {
            After::Ignored => Reply::Ignored,
            After::Rejected => Reply::Rejected,
            After::Answered => Reply::Answered,
        };
        let counted = |seen: &&Seen<'_>| {
            seen.contact.reply == wanted
                && self.selector.takes(&seen.subject)
                && self.per.same(&seen.subject, subject)
        };
        // The latest run of `times` of them that is close enough together.
        let latest = seen.iter().filter(counted).map(|seen| seen.contact);
        let oldest = seen.iter().filter(counted).map(|seen| seen.contact).skip(self.times as usize - 1);
        let close = |(latest, oldest): &(&PastContact, &PastContact)| {
            latest.at.as_millis() - oldest.at.as_millis() <= days(self.within_days)
        };
        let (last, _) = latest.zip(oldest).find(close)?;
        let until = last.replied_at.plus_millis(days(self.silent_days));
        (until > now).then_some(Held { id: &self.id, until })
    }
}

impl Period {
    /// The first instant of the period that `now` lies in, and of the next.
    #[must_use]
    pub fn around(self, now: Timestamp) -> (Timestamp, Timestamp) {
        let today = now.day();
        let (first, next) = match self {
            Self::Day => (today, today.plus(1)),
            // 1970-01-01 was a Thursday.
            Self::Week => {
                let monday = today.plus(-(today.number() + 3).rem_euclid(7));
                (monday, monday.plus(7))
            }
            Self::Month => today.month(),
        };
        (first.start(), next.start())
    }
}
