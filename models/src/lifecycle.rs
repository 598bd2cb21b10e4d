//! Where a customer stands in their life with the business: one machine, by thresholds that are data.
//!
//! A [`Standing`] is a pure function of the folded state and of a moment. The machine ([`walk`]) goes over the days that
//! the state remembers and the silences between them; every customer is in exactly one stage, and whoever stands at a
//! threshold does not flicker, since what one falls below is lower than what one rose to.
//!
//! On a day, silence and decay come first (they are due in the morning), then what the customer did. What follows of a
//! day before today is therefore final, except where a cancellation or a late event tells of an earlier day.

mod rules;
mod walk;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::customer::contacts::Reply;
use crate::customer::{Customer, CustomerId};
use crate::event::{AttributeValue, Event, EventType};
use crate::feature::Schema;
use crate::units::{Day, Timestamp};
pub use rules::LifecycleRules;
use walk::{Days, Walk};

/// The stages, in the order of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Known, without a qualifying event that stands, and without interest in a product lately.
    Aware,
    /// Without a qualifying event that stands, but lately interested in a product.
    Considering,
    /// One active day so far.
    New,
    /// A few active days, not yet a habit, or no longer one.
    Activating,
    /// A habit.
    Active,
    /// A strong habit.
    Loyal,
    /// Loyal, and speaking for us: referred someone or answered as a promoter.
    Advocate,
    /// Silent for longer than `at_risk_days`.
    AtRisk,
    /// Silent for longer than `defected_days`.
    Defected,
    /// Back after having defected, and not yet active again.
    Recovered,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Aware,
        Self::Considering,
        Self::New,
        Self::Activating,
        Self::Active,
        Self::Loyal,
        Self::Advocate,
        Self::AtRisk,
        Self::Defected,
        Self::Recovered,
    ];

    /// The name in files and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aware => "aware",
            Self::Considering => "considering",
            Self::New => "new",
            Self::Activating => "activating",
            Self::Active => "active",
            Self::Loyal => "loyal",
            Self::Advocate => "advocate",
            Self::AtRisk => "at_risk",
            Self::Defected => "defected",
            Self::Recovered => "recovered",
        }
    }
}

/// Why a customer came to a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Something was heard of them for the first time.
    FirstEvent,
    /// They looked at a product, filled a cart or went to the checkout.
    ProductInterest,
    /// Their first qualifying event, or the first after that.
    QualifyingEvent,
    /// Enough active days.
    CountThreshold,
    /// No qualifying event for too long.
    Silence,
    /// A qualifying event after a silence.
    Returned,
    /// They referred someone.
    Referral,
    /// They answered as a promoter.
    Survey,
    /// Interest, advocacy or active days lie too far back.
    Decay,
    /// A cancellation or a late event changed what had been.
    Revision,
}

impl Cause {
    /// The name in events and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstEvent => "first_event",
            Self::ProductInterest => "product_interest",
            Self::QualifyingEvent => "qualifying_event",
            Self::CountThreshold => "count_threshold",
            Self::Silence => "silence",
            Self::Returned => "returned",
            Self::Referral => "referral",
            Self::Survey => "survey",
            Self::Decay => "decay",
            Self::Revision => "revision",
        }
    }
}

/// Whether the customer takes notice of what we send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContactState {
    /// They react, if only by a no, or were not contacted often enough lately to tell.
    Listening,
    /// The last contacts were all ignored.
    Ignoring,
}

impl ContactState {
    /// The name in files and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Listening => "listening",
            Self::Ignoring => "ignoring",
        }
    }
}

/// Where a customer stands at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The stage.
    pub stage: Stage,
    /// The day they came to it, never after today.
    pub since: Day,
    /// Why.
    pub cause: Cause,
    /// Whether they take notice of us.
    pub contact: ContactState,
}

/// A change of stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub day: Day,
    /// From where; none for the first.
    pub from: Option<Stage>,
    /// To where.
    pub to: Stage,
    /// Why.
    pub cause: Cause,
}

impl Transition {
    /// The `stage_changed` event that tells of it, with the attributes `from` (but for the first), `to` and `cause`.
    ///
    /// Its id and its content follow from the change alone, so the same change told twice is one event.
    #[must_use]
    pub fn event(&self, customer: &CustomerId) -> Event {
        let text = |name: &str, value: &str| (name.to_owned(), AttributeValue::Text(value.to_owned()));
        let mut attributes =
            BTreeMap::from([text("to", self.to.as_str()), text("cause", self.cause.as_str())]);
        attributes.extend(self.from.map(|from| text("from", from.as_str())));
        Event {
            event_id: format!("stage-{}-{}", self.day, self.to.as_str()),
            event_type: EventType::StageChanged,
            occurred_at: self.day.start(),
            known_at: None,
            customer_id: Some(customer.clone()),
            anonymous_id: None,
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
            attributes,
        }
    }
}

impl LifecycleRules {
    /// Where `customer` stands at `now`. One of whom nothing is known is aware, as of today.
    #[must_use]
    pub fn standing(&self, customer: &Customer, schema: &Schema, now: Timestamp) -> Standing {
        let today = now.day();
        let first = Transition { day: today, from: None, to: Stage::Aware, cause: Cause::FirstEvent };
        let last = self.last_transition(customer, schema, today).unwrap_or(first);
        Standing {
            stage: last.to,
            since: last.day,
            cause: last.cause,
            contact: self.contact_state(customer, now),
        }
    }

    /// The stage on `today`.
    #[must_use]
    pub fn stage(&self, customer: &Customer, schema: &Schema, today: Day) -> Stage {
        self.last_transition(customer, schema, today).map_or(Stage::Aware, |last| last.to)
    }

    /// The changes of stage from day `from` to day `to`, both included, in time; at most two on one day.
    #[must_use]
    pub fn transitions(&self, customer: &Customer, schema: &Schema, from: Day, to: Day) -> Vec<Transition> {
        let days = Days::of(customer, schema);
        Walk::new(self, &days, to).filter(|transition| transition.day >= from).collect()
    }

    /// What changed of a life up to `today` when `before` became `after`: the transitions that are new. Where the stage is
    /// another and none is new, since a cancellation took something back, that is the transition.
    #[must_use]
    pub fn changes(
        &self,
        before: &Customer,
        after: &Customer,
        schema: &Schema,
        today: Day,
    ) -> Vec<Transition> {
        let first = Day::from_number(i32::MIN);
        let old = self.transitions(before, schema, first, today);
        let mut new = self.transitions(after, schema, first, today);
        let (was, is) = (old.last().map(|last| last.to), new.last().map(|last| last.to));
        new.retain(|transition| !old.contains(transition));
        // What comes to more on the same day, a look and then an order, starts where the day had come to so far.
        if let (Some(next), Some(last)) = (new.first_mut(), old.last())
            && (next.day, next.from) == (last.day, last.from)
        {
            next.from = Some(last.to);
        }
        match is {
            Some(to) if is != was && new.is_empty() => {
                vec![Transition { day: today, from: was, to, cause: Cause::Revision }]
            }
            _ => new,
        }
    }

    /// Whether the last [`LifecycleRules::ignoring_contacts`] contacts within [`LifecycleRules::ignoring_days`] of which
    /// it is known what became were all ignored.
    #[must_use]
    pub fn contact_state(&self, customer: &Customer, now: Timestamp) -> ContactState {
        let history = customer.contacts().history(now, self.response_days);
        let earliest = now.plus_days(-self.ignoring_days);
        let decided = history.entries().iter().rev().filter(|past| past.reply != Reply::Pending);
        let lately = decided.take_while(|past| past.contact.at >= earliest);
        let last = lately.take(self.ignoring_contacts as usize);
        let n_ignored = last.take_while(|past| past.reply == Reply::Ignored).count();
        if n_ignored >= self.ignoring_contacts as usize {
            ContactState::Ignoring
        } else {
            ContactState::Listening
        }
    }

    fn last_transition(&self, customer: &Customer, schema: &Schema, today: Day) -> Option<Transition> {
        let days = Days::of(customer, schema);
        Walk::new(self, &days, today).last()
    }
}
