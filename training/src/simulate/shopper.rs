//! One customer in this market: traits plus what each week and day mean for them, computed when first needed.
//!
//! The life that is logged and the truth that is written both look through this one pair of eyes.

use super::market::Market;
use super::mood::{ContactTable, Weather, WeekView, contact_table};
use super::traits::Traits;

/// A customer's view of the market.
pub struct Shopper<'a> {
    /// The market.
    pub market: &'a Market,
    /// The customer.
    pub traits: Traits,
    /// What one legacy decision does, by situation.
    pub contact: ContactTable,
    views: Vec<Option<WeekView>>,
}

impl<'a> Shopper<'a> {
    /// The view of a customer with these traits.
    #[must_use]
    pub fn new(market: &'a Market, traits: Traits) -> Self {
        let contact = contact_table(&traits);
        Self { market, traits, contact, views: vec![None; market.weeks.len()] }
    }

    /// The week of day `age`.
    pub fn view(&mut self, age: usize) -> WeekView {
        let (market, traits) = (self.market, &self.traits);
        *self.views[age / 7].get_or_insert_with(|| WeekView::new(market, market.week(age), traits))
    }

    /// Probability that a visit on day `age` in this mood ends in an order.
    pub fn buy(&mut self, age: usize, mood: usize) -> f64 {
        self.view(age).buy[mood]
    }

    /// The weather of day `age`.
    pub fn weather(&mut self, age: usize) -> Weather {
        let view = self.view(age);
        Weather::new(self.market, &view, &self.traits, age)
    }

    /// Whether the legacy policy decides on day `age` about this customer (as long as there is consent).
    #[must_use]
    pub fn decides(&self, age: usize) -> bool {
        let age = i32::try_from(age).unwrap_or(i32::MAX);
        age > self.traits.joined && age % super::campaign::DECISION_DAYS == self.traits.decision_phase
    }
}
