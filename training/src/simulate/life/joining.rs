//! Joining, what comes before it, and the visitors who never do.
//!
//! Before they join, future customers look around under an anonymous id that `identified` later ties to them.

use nextbest_models::event::EventType;

use super::super::campaign::CHANNELS;
use super::super::journal::{HOUR_MS, MINUTE_MS, Who, flag, text};
use super::super::shopping::{Occasion, day_ms, look, shopping_hour};
use super::super::traits::{AGES, COUNTRIES};
use super::Living;

impl Living<'_, '_> {
    pub(super) fn join(&mut self, age: usize) {
        let visitor = format!("A{:016x}", self.stream.bits());
        for _ in 0..self.stream.below(4) {
            let ago = 1 + self.stream.exponential(4.0) as usize;
            if let Some(earlier) = age.checked_sub(ago) {
                self.look_around(&visitor, earlier);
            }
        }
        let at = day_ms(age) + 7 * HOUR_MS;
        let event = self.journal.add(&Who::Customer, EventType::Identified, at);
        event.anonymous_id = Some(visitor);
        self.register(at + MINUTE_MS);
        self.shop(age, Occasion::Joining);
    }

    pub(super) fn register(&mut self, at: i64) {
        let traits = &self.shopper.traits;
        let since = self.frame.start.plus_days(traits.joined);
        let event = self.journal.add(&Who::Customer, EventType::AttributeSet, at);
        text(event, "age_band", AGES[traits.age_band]);
        text(event, "country", COUNTRIES[traits.country]);
        text(event, "preferred_channel", CHANNELS[traits.recorded_channel]);
        text(event, "customer_since", &since.day().to_string());
        let event = self.journal.add(&Who::Customer, EventType::ConsentChanged, at + MINUTE_MS);
        flag(event, "marketing", traits.consent);
    }

    /// A visitor who is not (yet) known looks at one or two things.
    fn look_around(&mut self, visitor: &str, age: usize) {
        let market = self.shopper.market;
        let who = Who::Anonymous(visitor.to_owned());
        let session = self.journal.session(&who);
        let mut at = day_ms(age) + shopping_hour(&mut self.stream);
        let event = self.journal.add(&who, EventType::PageViewed, at);
        event.session_id = Some(session.clone());
        event.channel = Some("web".to_owned());
        for _ in 0..1 + self.stream.below(2) {
            at += 2 * MINUTE_MS;
            let sku = self.stream.below(market.skus.len());
            look(&mut self.journal, &who, market, age, sku, &session, "web", at);
        }
    }

    /// Visitors who stay unknown for good, so many per customer that they are a small part of the log.
    pub(super) fn strangers(&mut self) {
        if self.stream.chance(0.25) {
            let visitor = format!("A{:016x}", self.stream.bits());
            let days = usize::try_from(self.frame.days).unwrap_or(1);
            let age = self.stream.below(days);
            self.look_around(&visitor, age);
        }
    }
}
