//! A decision of the legacy policy, the contact that follows from it, and how the customer takes it.
//!
//! The order of draws within a contact (read, come, put off, withdraw consent) is that of `truth`; what is logged of
//! it is what a campaign system would see.

use nextbest_models::event::EventType;
use nextbest_models::units::DAY_MS;

use super::super::campaign::{
    CAMPAIGNS, CHANNELS, NO_ACTION, OPTED_OUT, RESPONSE_DAYS, Situation, harm, harmed, legacy_channels,
    opt_out, pull,
};
use super::super::journal::{HOUR_MS, Journal, MINUTE_MS, Who, number, text};
use super::super::mood::GONE;
use super::super::shopping::{Occasion, day_ms};
use super::super::takeover::{Errand, Moment};
use super::super::truth::{Silence, response_through, responses};
use super::{DecisionRecord, Living};

impl Living<'_, '_> {
    pub(super) fn decide(&mut self, age: usize) {
        let (response, silence) = responses(&mut self.shopper, self.state, age);
        let traits = &self.shopper.traits;
        let at = day_ms(age) + 6 * HOUR_MS + (self.stream.uniform() * HOUR_MS as f64) as i64;
        let decision_id = self.journal.decision();
        let mut weights = vec![NO_ACTION];
        weights.extend(traits.legacy);
        let arm = self.stream.pick(&weights);
        let channels = legacy_channels(traits.recorded_channel);
        let channel = self.stream.pick(&channels);
        let legacy = arm.checked_sub(1).map(|action| (action, channel));
        let legacy_probability = |chosen: Option<(usize, usize)>| {
            chosen.map_or(NO_ACTION, |(action, channel)| weights[action + 1] * channels[channel])
        };
        let (chosen, choice_probability, action_probability) = match self.overruled(age, at, &silence) {
            Some(chosen) => (chosen, 1.0, 1.0),
            None => (legacy, legacy_probability(legacy), weights[arm]),
        };
        let p_chosen = match chosen {
            None => response.no_action,
            Some((action, channel)) => self.p_chosen(&silence, age, action, channel),
        };
        self.decisions.push(DecisionRecord {
            decision_id: decision_id.clone(),
            decided_at: self.journal.instant(at),
            action: chosen.map(|(action, _)| action),
            channel: chosen.map(|(_, channel)| channel),
            choice_probability,
            action_probability,
            state: self.state,
            ordered: None,
            response,
            p_chosen,
        });
        if let Some((action, channel)) = chosen {
            let contact = Contact { age, at, action, channel, decision_id, choice_probability };
            self.contact(&contact);
        }
    }

    /// The contact that is made whoever rules; it draws nothing before the customer answers.
    pub(super) fn run_errand(&mut self, errand: Errand) {
        let Errand { age, action, channel } = errand;
        let at = day_ms(age) + 6 * HOUR_MS;
        let decision_id = self.journal.decision();
        self.contact(&Contact { age, at, action, channel, decision_id, choice_probability: 1.0 });
    }

    /// What the policy that took over chooses; none while the legacy policy rules.
    fn overruled(&mut self, age: usize, at: i64, silence: &Silence) -> Option<Option<(usize, usize)>> {
        let takeover = self.takeover.as_mut().filter(|takeover| takeover.from <= age)?;
        let mut moment = Moment {
            at: self.journal.instant(at),
            journal: &self.journal,
            shopper: &mut self.shopper,
            silence,
            state: self.state,
            age,
        };
        Some(takeover.policy.choose(&mut moment))
    }

    fn p_chosen(&mut self, silence: &Silence, age: usize, action: usize, channel: usize) -> f64 {
        if self.state.mood == GONE {
            return 0.0;
        }
        let at = self.situation();
        response_through(&mut self.shopper, silence, at, age, action, channel)
    }

    fn situation(&self) -> Situation {
        Situation { mood: self.state.mood, stock: self.state.stock, fatigue: self.state.fatigue }
    }

    fn contact(&mut self, contact: &Contact) {
        contact.note(&mut self.journal, EventType::Contacted, contact.at, true);
        let gone = self.state.mood == GONE;
        let read = if gone { 0.02 } else { self.shopper.traits.read[contact.channel] };
        let seen = self.stream.chance(read);
        let later = contact.at + HOUR_MS + (self.stream.between(0.0, 9.0) * HOUR_MS as f64) as i64;
        if seen {
            contact.note(&mut self.journal, EventType::Impression, later, false);
        }
        let came =
            seen && !gone && self.stream.chance(pull(&self.shopper.traits, contact.action, self.situation()));
        let mut taken = None;
        if came {
            contact.note(&mut self.journal, EventType::Clicked, later + MINUTE_MS, false);
            taken = self.shop(contact.age, Occasion::Campaign(later + 2 * MINUTE_MS));
        }
        self.outcome(contact, later, seen, taken);
        self.afterthought(contact, later, seen);
        let fatigue = self.state.fatigue;
        let put_off = !came && self.stream.chance(harm(&self.shopper.traits, contact.action, fatigue));
        let p = if gone { 0.2 } else { opt_out(fatigue) };
        self.state.fatigue = (fatigue + 1).min(OPTED_OUT - 1);
        if self.stream.chance(p) {
            self.withdraw(later + 5 * MINUTE_MS);
        }
        if put_off && !gone {
            self.state.mood = harmed(self.state.mood);
            if self.state.mood == GONE {
                self.leave(contact.age);
            }
        }
    }

    /// The one answer to a contact: accepted, rejected or, when the window has passed, not taken.
    fn outcome(&mut self, contact: &Contact, later: i64, seen: bool, taken: Option<i64>) {
        let (kind, at) = match taken {
            Some(at) => (EventType::Accepted, at),
            None if seen && self.stream.chance(0.12) => (EventType::Rejected, later + 3 * MINUTE_MS),
            None => (EventType::NotTaken, contact.at + i64::from(RESPONSE_DAYS) * DAY_MS),
        };
        contact.note(&mut self.journal, kind, at, false);
    }

    /// A survey that was read may be answered, a request to refer a friend followed.
    fn afterthought(&mut self, contact: &Contact, later: i64, seen: bool) {
        match CAMPAIGNS[contact.action].id {
            "survey" if seen && self.stream.chance(0.4) => {
                self.answer_survey(later + 10 * MINUTE_MS, Some(&contact.decision_id));
            }
            "referral" if seen && self.state.mood == 0 && self.stream.chance(0.25) => {
                self.refer(later + 10 * MINUTE_MS);
            }
            _ => {}
        }
    }
}

/// A contact on its way.
struct Contact {
    age: usize,
    at: i64,
    action: usize,
    channel: usize,
    decision_id: String,
    choice_probability: f64,
}

impl Contact {
    fn note(&self, journal: &mut Journal, kind: EventType, at: i64, with_probability: bool) {
        let event = journal.add(&Who::Customer, kind, at);
        let (action, channel) = (CAMPAIGNS[self.action].action_id, CHANNELS[self.channel]);
        event.channel = Some(channel.to_owned());
        event.decision_id = Some(self.decision_id.clone());
        event.action_id = Some(action.to_owned());
        event.treatment_id = Some(treatment_id(self.action, self.channel));
        if with_probability {
            number(event, "choice_probability", self.choice_probability);
            text(event, "campaign_type", CAMPAIGNS[self.action].id);
            text(event, "policy", "legacy-1");
        }
    }
}

/// `newsletter_email`.
#[must_use]
pub fn treatment_id(action: usize, channel: usize) -> String {
    format!("{}_{}", CAMPAIGNS[action].action_id, CHANNELS[channel])
}
