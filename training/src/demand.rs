//! Demand by price: events counted into SKU-weeks, then a curve per SKU.
//!
//! [`DemandTable`] takes events one at a time (its order and how it is split do not matter: all sums are integers) and
//! gives [`Observation`]s; `estimate` holds the estimators, `slopes` what own prices do,
//! `grounding` what weeks without an experiment add, `cross` what neighbours' prices do, `fit` the model. Nothing here reads a file.

use std::collections::{BTreeMap, HashMap};

use nextbest_models::event::{Event, EventType};
use nextbest_models::units::{Currency, Day};
use serde::Serialize;

mod debias;
pub mod estimate;
mod shocks;
mod weeks;
mod slopes;
mod grounding;
pub mod cross;
mod records;
pub mod fit;

pub use fit::{DemandOptions, DemandReport, FitError, TrainedDemand, fit};

/// Days of a week.
const WEEK: i32 = 7;
/// A price moved when its daily mean moved by more than this share.
const MOVED: f64 = 0.005;

/// One SKU in one week.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Observation {
    /// Stock-keeping unit.
    pub sku: String,
    /// Week number, from the first week of the table.
    pub week: i32,
    /// Mean unit price over order lines and prices shown, in minor units; above 0.
    pub price_minor: f64,
    /// Units ordered less units taken back; never negative.
    pub units: i64,
    /// Order lines.
    pub n_orders: u64,
    /// Prices shown.
    pub n_shown: u64,
    /// Whether an experiment set the price: some price of the week says how it was set, and all that do say so.
    pub randomised: bool,
}

/// How an event tells that its price was drawn at random: this attribute has this text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RandomisedRule {
    /// The attribute: `price_rule`.
    pub attribute: String,
    /// The text: `experiment`.
    pub value: String,
}

impl Default for RandomisedRule {
    fn default() -> Self {
        Self { attribute: "price_rule".to_owned(), value: "experiment".to_owned() }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cell {
    units: i64,
    n_orders: u64,
    n_shown: u64,
    /// Sum of unit prices, in thousandths of a minor unit, and their number.
    price_sum: i128,
    n_prices: u64,
    /// Prices that say how they were set, and those of them that an experiment drew.
    n_ruled: u64,
    n_randomised: u64,
}

impl Cell {
    fn add(&mut self, other: &Self) {
        self.units += other.units;
        self.n_orders += other.n_orders;
        self.n_shown += other.n_shown;
        self.price_sum += other.price_sum;
        self.n_prices += other.n_prices;
        self.n_ruled += other.n_ruled;
        self.n_randomised += other.n_randomised;
    }

    fn price_minor(&self) -> Option<f64> {
        (self.n_prices > 0).then(|| self.price_sum as f64 / 1000.0 / self.n_prices as f64)
    }
}

/// Units, orders and prices by SKU and day.
#[derive(Clone, Debug)]
pub struct DemandTable {
    currency: Currency,
    rule: RandomisedRule,
    skus: HashMap<String, BTreeMap<i32, Cell>>,
    n_other_currency: u64,
}

impl DemandTable {
    /// An empty table of prices in `currency`.
    #[must_use]
    pub fn new(currency: Currency, rule: RandomisedRule) -> Self {
        Self { currency, rule, skus: HashMap::new(), n_other_currency: 0 }
    }

    /// Counts one event; those that are no order line, price shown or revision of a SKU, or carry no price, are let
    /// pass. What is taken back is booked on the day of the order.
    pub fn observe(&mut self, event: &Event) {
        let Some(sku) = event.sku.as_deref() else { return };
        let quantity = event.quantity.unwrap_or(i64::from(event.event_type == EventType::PriceShown));
        let value = event.value.filter(|value| value.amount_minor > 0);
        let mut cell = Cell::default();
        match event.event_type {
            EventType::OrderPlaced if quantity > 0 && value.is_some() => {
                cell.units = quantity;
                cell.n_orders = 1;
            }
            EventType::PriceShown if quantity > 0 && value.is_some() => cell.n_shown = 1,
            EventType::OrderCancelled | EventType::Refunded if quantity > 0 => cell.units = -quantity,
            _ => return,
        }
        if value.is_some_and(|value| value.currency != self.currency) {
            self.n_other_currency += 1;
            return;
        }
        if let Some(value) = value.filter(|_| !event.event_type.is_revision()) {
            cell.price_sum = i128::from(value.amount_minor) * 1000 / i128::from(quantity);
            cell.n_prices = 1;
            let rule = event.text(&self.rule.attribute);
            cell.n_ruled = u64::from(rule.is_some());
            cell.n_randomised = u64::from(rule == Some(self.rule.value.as_str()));
        }
        let day = event.booked_at().day().number();
        if !self.skus.contains_key(sku) {
            self.skus.insert(sku.to_owned(), BTreeMap::new());
        }
        if let Some(days) = self.skus.get_mut(sku) {
            days.entry(day).or_default().add(&cell);
        }
    }

    /// Adds what another table counted.
    pub fn merge(&mut self, other: Self) {
        self.n_other_currency += other.n_other_currency;
        for (sku, days) in other.skus {
            let mine = self.skus.entry(sku).or_default();
            days.iter().for_each(|(&day, cell)| mine.entry(day).or_default().add(cell));
        }
    }

    /// Events set aside because their price is in another currency.
    #[must_use]
    pub const fn n_other_currency(&self) -> u64 {
        self.n_other_currency
    }

    /// How many SKUs were seen.
    #[must_use]
    pub fn n_skus(&self) -> usize {
        self.skus.len()
    }

    /// The weekday (day number modulo 7) on which most prices moved: weeks start there, so that as few weeks as can
    /// be hold two prices.
    fn first_weekday(&self) -> i32 {
        let mut moves = [0_u64; WEEK as usize];
        for days in self.skus.values() {
            let mut last: Option<f64> = None;
            for (day, cell) in days {
                let Some(price) = cell.price_minor() else { continue };
                if last.is_some_and(|last| (price / last - 1.0).abs() > MOVED) {
                    moves[day.rem_euclid(WEEK) as usize] += 1;
                }
                last = Some(price);
            }
        }
        let busiest = (0..WEEK).max_by_key(|&weekday| (moves[weekday as usize], -weekday));
        busiest.unwrap_or(0)
    }

    /// The observations, sorted by SKU and week; weeks without any price are left out.
    #[must_use]
    pub fn observations(&self) -> Vec<Observation> {
        let shift = self.first_weekday();
        let week_of = |day: i32| (day - shift).div_euclid(WEEK);
        let first = self.skus.values().filter_map(|days| days.keys().next()).min();
        let first = week_of(first.copied().unwrap_or(0));
        let mut found = Vec::new();
        for (sku, days) in &self.skus {
            let mut weeks: BTreeMap<i32, Cell> = BTreeMap::new();
            days.iter().for_each(|(&day, cell)| weeks.entry(week_of(day) - first).or_default().add(cell));
            found.extend(weeks.into_iter().filter_map(|(week, cell)| {
                Some(Observation {
                    sku: sku.clone(),
                    week,
                    price_minor: cell.price_minor()?,
                    units: cell.units.max(0),
                    n_orders: cell.n_orders,
                    n_shown: cell.n_shown,
                    randomised: cell.n_ruled > 0 && cell.n_randomised == cell.n_ruled,
                })
            }));
        }
        found.sort_by(|a, b| (&a.sku, a.week).cmp(&(&b.sku, b.week)));
        found
    }

    /// First and last day with anything counted.
    #[must_use]
    pub fn days(&self) -> Option<(Day, Day)> {
        let first = self.skus.values().filter_map(|days| days.keys().next()).min()?;
        let last = self.skus.values().filter_map(|days| days.keys().next_back()).max()?;
        Some((Day::from_number(*first), Day::from_number(*last)))
    }
}

#[cfg(test)]
mod tests;
