//! Another policy in force: from some day on it chooses whom to contact how, in place of the legacy policy.
//!
//! It decides at the legacy policy's moments, about consenting customers only, so that policies differ in what they choose
//! and in nothing else. A policy that reads [`Moment::events`] knows what a shop would know; [`Moment::order_probability`]
//! is the truth, for oracles.

use nextbest_models::customer::CustomerId;
use nextbest_models::event::Event;
use nextbest_models::units::Timestamp;

use super::campaign::{OPTED_OUT, Situation, harm, response};
use super::journal::Journal;
use super::mood::{GONE, State};
use super::shopper::Shopper;
use super::traits::{Traits, on_record};
use super::truth::{Silence, order_probability, response_through};

/// Chooses what is done for one customer, over the days of one life.
pub trait CampaignPolicy {
    /// An action and a channel (indices into `CAMPAIGNS` and `CHANNELS`), or nothing.
    fn choose(&mut self, moment: &mut Moment<'_, '_>) -> Option<(usize, usize)>;
}

/// A policy and the first day, since the log's start, on which it decides.
pub struct Takeover<'p> {
    /// First day of its rule.
    pub from: usize,
    /// Who decides.
    pub policy: &'p mut dyn CampaignPolicy,
}

/// One contact more on one day, whoever rules; a decision that is due on that day gives way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errand {
    /// Day since the log's start.
    pub age: usize,
    /// Index into `CAMPAIGNS`.
    pub action: usize,
    /// Index into `CHANNELS`.
    pub channel: usize,
}

/// One decision about one customer.
pub struct Moment<'m, 'a> {
    /// When.
    pub at: Timestamp,
    /// The journal so far.
    pub(super) journal: &'m Journal,
    pub(super) shopper: &'m mut Shopper<'a>,
    pub(super) silence: &'m Silence,
    pub(super) state: State,
    pub(super) age: usize,
}

impl Moment<'_, '_> {
    /// Whose.
    #[must_use]
    pub fn customer(&self) -> &CustomerId {
        &self.journal.customer
    }

    /// All events written so far, in the order of writing; only those known before [`Self::at`] may inform a choice.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        self.journal.events()
    }

    /// The same for all whom the record cannot tell from this customer, in this hidden state: what one who knew the law and
    /// the state, but of the traits only what is on record, would expect.
    pub fn expected_order_probability(&mut self, arm: Option<(usize, usize)>) -> f64 {
        let Some((action, channel)) = arm else { return self.order_probability(None) };
        if self.state.mood == GONE {
            return 0.0;
        }
        let (State { mood, stock, fatigue }, buy) = (self.state, self.shopper.buy(self.age, self.state.mood));
        let at = Situation { mood, stock, fatigue: fatigue.min(OPTED_OUT - 1) };
        let of = |(weight, traits): &(f64, Traits)| {
            let (came, harm) = (response(traits, action, channel, at), harm(traits, action, at.fatigue));
            weight * order_probability(self.silence, at, came, harm, buy)
        };
        on_record(&self.shopper.traits).iter().map(of).sum()
    }

    /// The true probability of an order within the response window, under this action and channel or under nothing.
    pub fn order_probability(&mut self, arm: Option<(usize, usize)>) -> f64 {
        if self.state.mood == GONE {
            return 0.0;
        }
        let State { mood, stock, fatigue } = self.state;
        match arm {
            None => 1.0 - self.silence[mood][stock],
            Some((action, channel)) => {
                let at = Situation { mood, stock, fatigue: fatigue.min(OPTED_OUT - 1) };
                response_through(self.shopper, self.silence, at, self.age, action, channel)
            }
        }
    }
}
