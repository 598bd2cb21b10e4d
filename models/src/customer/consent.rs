//! What a customer allows: consent by channel, and the objection to being decided about by machine.
//!
//! Kept is the latest statement of each kind, by (time it was made, hash of its event id): a greatest element, hence
//! the same in any order of arrival. Nothing is inferred: silence is `None`, and what silence means is the policy's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{AttributeValue, Event, EventType};
use crate::units::Timestamp;

/// Most channels whose consent is remembered: those with the latest statements.
pub const MAX_CHANNELS: usize = 32;

/// A yes or a no, and when it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Statement {
    at: Timestamp,
    event_hash: u64,
    yes: bool,
}

/// Whether a channel may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Consent {
    /// Allowed or refused.
    pub granted: bool,
    /// When that was said.
    pub since: Timestamp,
}

/// What one customer said about being contacted and being profiled.
///
/// Read are events of two types, by their attributes:
///
/// - `consent_changed` with `granted` (or, the older form, `marketing`): a flag, or the text `true` or `false`. It is
///   about the channel that the attribute `channel` names, and about all channels without one; the event's own
///   `channel` is where it was said and does not matter. With `purpose` = `profiling` or `automated_decisions` it is
///   about the objection instead (granted lifts it); with any purpose but those and `marketing` it is not read.
/// - `attribute_set` with `objection`: true objects to automated decisions and profiling, false takes that back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consents {
    channels: BTreeMap<String, Statement>,
    all: Option<Statement>,
    objection: Option<Statement>,
}

impl Consents {
    pub(crate) fn fold(&mut self, event: &Event, event_hash: u64) {
        let statement = |yes: bool| Statement { at: event.occurred_at, event_hash, yes };
        match event.event_type {
            EventType::ConsentChanged => {
                let Some(granted) = flag(event, "granted").or_else(|| flag(event, "marketing")) else {
                    return;
                };
                match event.text("purpose") {
                    None | Some("marketing") => self.offer(event.text("channel"), statement(granted)),
                    Some("profiling" | "automated_decisions") => {
                        self.objection = self.objection.max(Some(statement(!granted)));
                    }
                    Some(_) => {}
                }
            }
            EventType::AttributeSet => {
                if let Some(objected) = flag(event, "objection") {
                    self.objection = self.objection.max(Some(statement(objected)));
                }
            }
            _ => {}
        }
    }

    fn offer(&mut self, channel: Option<&str>, offered: Statement) {
        let Some(channel) = channel else {
            self.all = self.all.max(Some(offered));
            return;
        };
        match self.channels.get_mut(channel) {
            Some(held) => *held = (*held).max(offered),
            None => {
                self.channels.insert(channel.to_owned(), offered);
            }
        }
        // Statements only grow, so whatever is among the latest at the end was among them ever since it was made.
        if self.channels.len() > MAX_CHANNELS
            && let Some(oldest) =
                self.channels.iter().min_by_key(|(_, held)| **held).map(|(name, _)| name.clone())
        {
            self.channels.remove(&oldest);
        }
    }

    /// Whether `channel` may be used; none when nothing was ever said about it.
    ///
    /// A refusal of all channels ends earlier grants of one; a grant for all channels does not lift the refusal of
    /// one, which only that channel's own grant does: consent is specific. Said at the same instant, no wins.
    #[must_use]
    pub fn of(&self, channel: &str) -> Option<Consent> {
        let told = |held: Statement| Consent { granted: held.yes, since: held.at };
        match (self.channels.get(channel).copied(), self.all) {
            (Some(own), Some(all)) if own.yes && !all.yes && all.at >= own.at => Some(told(all)),
            (Some(own), _) => Some(told(own)),
            (None, all) => all.map(told),
        }
    }

    /// The channels that something was said about by name.
    pub fn channels(&self) -> impl Iterator<Item = &str> {
        self.channels.keys().map(String::as_str)
    }

    /// Whether the customer objects to automated decisions and profiling.
    #[must_use]
    pub fn objected(&self) -> bool {
        self.objection.is_some_and(|held| held.yes)
    }

    /// When the objection was made; none without one.
    #[must_use]
    pub fn objected_since(&self) -> Option<Timestamp> {
        self.objection.filter(|held| held.yes).map(|held| held.at)
    }
}

/// Whether `event` withdraws consent to be contacted, through one channel or all.
#[must_use]
pub fn is_withdrawal(event: &Event) -> bool {
    let says_no = event.event_type == EventType::ConsentChanged
        && flag(event, "granted").or_else(|| flag(event, "marketing")) == Some(false);
    says_no && matches!(event.text("purpose"), None | Some("marketing"))
}

fn flag(event: &Event, name: &str) -> Option<bool> {
    match event.attributes.get(name)? {
        AttributeValue::Flag(flag) => Some(*flag),
        AttributeValue::Text(text) => text.parse().ok(),
        AttributeValue::Number(_) => None,
    }
}
