//! The days that make a life: what the lifecycle machine walks over.
//!
//! No stage is kept here and no threshold known, so that thresholds may change without folding again. Days with a
//! qualifying event stay in the series of activity while a cancellation may still revise them; when that forgets them
//! they are settled, and move here. That is the checkpoint of the walk, and no late event can reach behind it.

use serde::{Deserialize, Serialize};

use super::days::DaySet;
use super::series::DayTotal;
use crate::event::{AttributeValue, Event, EventType};
use crate::units::Day;

/// Most settled active days remembered: eleven years of daily orders.
pub const MAX_SETTLED_DAYS: usize = 4096;
/// Most days of interest in a product remembered.
pub const MAX_INTEREST_DAYS: usize = 128;
/// Most days with a referral remembered, and most with the answer of a promoter.
pub const MAX_ADVOCACY_DAYS: usize = 32;
/// The `nps` from which the answer to a survey is that of a promoter.
pub const PROMOTER_NPS: f64 = 9.0;

/// What is remembered of one customer's life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    first: Option<Day>,
    settled: DaySet,
    interest: DaySet,
    referrals: DaySet,
    promotions: DaySet,
}

impl Life {
    pub(crate) fn fold(&mut self, event: &Event) {
        let day = event.occurred_at.day();
        self.first = Some(self.first.map_or(day, |first| first.min(day)));
        match event.event_type {
            EventType::ProductViewed | EventType::CartAdded | EventType::CheckoutStarted => {
                self.interest.insert(day, MAX_INTEREST_DAYS);
            }
            EventType::ReferralSent | EventType::ReferralConverted => {
                self.referrals.insert(day, MAX_ADVOCACY_DAYS);
            }
            EventType::SurveyAnswered if is_promoter(event) => {
                self.promotions.insert(day, MAX_ADVOCACY_DAYS);
            }
            _ => {}
        }
    }

    /// Takes over the days that the series of activity is about to forget.
    pub(crate) fn settle(&mut self, forgotten: &[DayTotal]) {
        for total in forgotten.iter().filter(|total| total.count > 0) {
            self.settled.insert(total.day, MAX_SETTLED_DAYS);
        }
    }

    /// The day of the first event of any type.
    #[must_use]
    pub const fn first(&self) -> Option<Day> {
        self.first
    }

    /// Days with a qualifying event that nothing can revise any more, ascending.
    #[must_use]
    pub fn settled(&self) -> &[Day] {
        self.settled.days()
    }

    /// Days on which the customer looked at a product, filled a cart or went to the checkout, ascending.
    #[must_use]
    pub fn interest(&self) -> &[Day] {
        self.interest.days()
    }

    /// Days on which the customer referred someone, or someone they referred came, ascending.
    #[must_use]
    pub fn referrals(&self) -> &[Day] {
        self.referrals.days()
    }

    /// Days on which the customer answered a survey with an `nps` of at least [`PROMOTER_NPS`], ascending.
    #[must_use]
    pub fn promotions(&self) -> &[Day] {
        self.promotions.days()
    }
}

fn is_promoter(event: &Event) -> bool {
    matches!(event.attributes.get("nps"), Some(AttributeValue::Number(nps)) if *nps >= PROMOTER_NPS)
}
