//! The hidden state of a customer and the laws by which it moves from day to day.
//!
//! Five moods (the last is gone for good), two stocks, four fatigues: a Markov chain with rates that depend on the
//! customer's traits, on tenure and on what the market does that week. The life of a customer draws from these laws
//! and the truth sums over them; both call the same functions, so they cannot drift apart.

use super::campaign::{ContactOdds, OPTED_OUT, Situation};
use super::catalogue::{N_CATEGORIES, SKUS_PER_CATEGORY};
use super::market::{Market, Week, skus_of};
use super::traits::Traits;

/// Number of moods of a living customer.
pub const N_MOODS: usize = 4;
/// Index of "gone" in a row of mood transitions.
pub const GONE: usize = 4;
/// The moods.
pub const MOODS: [&str; N_MOODS + 1] = ["delighted", "content", "annoyed", "resting", "gone"];
/// Probability of 1, 2 and 3 shopping trips in a visit.
pub const TRIPS: [f64; 3] = [0.35, 0.35, 0.3];
/// Probability that fatigue falls by one level on a day.
pub const FATIGUE_DECAY: f64 = 1.0 / 18.0;

/// Visits, as multiples, by mood and by stock (0: nothing at home).
const MOOD_VISITS: [f64; N_MOODS] = [1.3, 1.0, 0.55, 0.08];
const STOCK_VISITS: [f64; 2] = [1.25, 0.35];
/// Utility of buying against not buying, by mood.
const MOOD_UTILITY: [f64; N_MOODS] = [0.35, 0.0, -0.5, -0.3];
/// Hazard of leaving, as multiples, by mood.
const MOOD_HAZARD: [f64; N_MOODS] = [0.35, 1.0, 6.0, 4.0];
/// Service incidents a day of the median customer at usual trouble; share of orders with delivery trouble.
const INCIDENTS: f64 = 1.0 / 450.0;
const ORDER_TROUBLE: f64 = 0.05;
/// Chance a day of turning annoyed per unit of mean log price above reference, at beta = 2.3.
const PRICE_ANGER: f64 = 0.12;

/// The hidden state that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// 0 ..= 3, or [`GONE`].
    pub mood: usize,
    /// 0 or 1.
    pub stock: usize,
    /// 0 ..= 2, or [`OPTED_OUT`].
    pub fatigue: usize,
}

/// What one customer meets in one week: everything about buying that does not depend on the day.
#[derive(Clone, Copy, Debug)]
pub struct WeekView {
    /// Probability of each category on a trip.
    pub category: [f64; N_CATEGORIES],
    /// Sum of exp(utility) over the category's SKUs, at mood content.
    pub strength: [f64; N_CATEGORIES],
    /// Probability that a visit ends in an order, by mood.
    pub buy: [f64; N_MOODS],
    /// Chance a day of turning annoyed over prices.
    pub anger: f64,
}

/// exp(utility) of each SKU of `category` in `week` for this customer, at mood content:
/// exp(appeal + shock - beta ln(price / list) - loss_aversion max(0, ln(price / reference))).
#[must_use]
pub fn sku_weights(
    market: &Market,
    week: &Week,
    traits: &Traits,
    category: usize,
) -> [f64; SKUS_PER_CATEGORY] {
    let first = skus_of(category).start;
    std::array::from_fn(|place| {
        let (sku, offer) = (&market.skus[first + place], &week.offers[first + place]);
        let price = traits.beta[category] * offer.log_price + traits.loss_aversion * offer.log_loss;
        (sku.appeal + offer.shock - price).exp()
    })
}

/// exp of the utility a mood adds to every SKU.
#[must_use]
pub fn mood_factor(mood: usize) -> f64 {
    MOOD_UTILITY[mood].exp()
}

impl WeekView {
    /// The view of `week` for this customer.
    #[must_use]
    pub fn new(market: &Market, week: &Week, traits: &Traits) -> Self {
        let mut category: [f64; N_CATEGORIES] =
            std::array::from_fn(|k| traits.taste[k] * week.category_weight[k]);
        let total: f64 = category.iter().sum();
        category.iter_mut().for_each(|weight| *weight /= total);
        let strength = std::array::from_fn(|k| sku_weights(market, week, traits, k).iter().sum::<f64>());
        let buy = std::array::from_fn(|mood| {
            let factor = mood_factor(mood);
            let trip: f64 =
                category.iter().zip(strength).map(|(p, e)| p * (e * factor / (1.0 + e * factor))).sum();
            let none: f64 = TRIPS.iter().rev().fold(0.0, |sum, p| (sum + p) * (1.0 - trip));
            1.0 - none
        });
        let felt: f64 =
            (0..N_CATEGORIES).map(|k| category[k] * week.category_loss[k] * traits.beta[k] / 2.3).sum();
        Self { category, strength, buy, anger: PRICE_ANGER * felt }
    }
}

/// What a day brings that moves moods.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// Chance of a service incident.
    pub incident: f64,
    /// Chance of turning annoyed over prices.
    pub anger: f64,
    /// Chance that an order placed today meets delivery trouble.
    pub order_trouble: f64,
    /// Multiple of the hazard of leaving: high for those who joined lately.
    pub hazard: f64,
}

impl Weather {
    /// The weather of day `age` for this customer.
    #[must_use]
    pub fn new(market: &Market, view: &WeekView, traits: &Traits, age: usize) -> Self {
        let trouble = market.trouble[age] * traits.trouble;
        let tenure = f64::from(i32::try_from(age).unwrap_or(i32::MAX) - traits.joined).max(0.0);
        Self {
            incident: (INCIDENTS * trouble).min(0.2),
            anger: view.anger.min(0.2),
            order_trouble: (ORDER_TROUBLE * trouble).min(0.6),
            hazard: traits.frailty * (1.0 + 2.5 * (-tenure / 45.0).exp()),
        }
    }
}

/// Probabilities of the moods at the end of a day's drift, from `mood`: four moods and [`GONE`], summing to 1.
#[must_use]
pub fn drift(weather: &Weather, mood: usize) -> [f64; N_MOODS + 1] {
    let sour = weather.incident + weather.anger;
    let mut row = match mood {
        0 => [0.0, 1.0 / 60.0, 0.6 * sour, 1.0 / 900.0, 0.0],
        1 => [0.0, 0.0, sour, 1.0 / 260.0, 0.0],
        2 => [0.0, 1.0 / 35.0, 0.0, 1.0 / 55.0, 0.0],
        _ => [0.0, 1.0 / 80.0, 0.0, 0.0, 0.0],
    };
    row[GONE] = (weather.hazard * MOOD_HAZARD[mood]).min(0.4);
    let leaving: f64 = row.iter().sum();
    row[mood] = 1.0 - leaving;
    row
}

/// Probabilities of the four moods after a day with an order.
#[must_use]
pub fn after_order(weather: &Weather, mood: usize) -> [f64; N_MOODS] {
    let bad = weather.order_trouble;
    let good = 1.0 - bad;
    match mood {
        0 => [good, 0.0, bad, 0.0],
        1 => [0.12 * good, 0.88 * good, bad, 0.0],
        2 => [0.0, 0.2 * good, 0.8 * good + bad, 0.0],
        _ => [0.0, 0.7 * good, bad, 0.3 * good],
    }
}

/// Probability of an unprompted visit on a day of this weight.
#[must_use]
pub fn visit(traits: &Traits, weight: f64, mood: usize, stock: usize) -> f64 {
    1.0 - (-traits.visit_rate * weight * MOOD_VISITS[mood] * STOCK_VISITS[stock]).exp()
}

/// Probability that stock at home is used up on a day.
#[must_use]
pub fn used_up(traits: &Traits) -> f64 {
    (1.0 / traits.stock_days).min(0.5)
}

/// [`ContactOdds`] by mood, stock and fatigue.
pub type ContactTable = [[[ContactOdds; OPTED_OUT]; 2]; N_MOODS];

/// The odds of one legacy decision in every situation of a customer.
#[must_use]
pub fn contact_table(traits: &Traits) -> ContactTable {
    std::array::from_fn(|mood| {
        std::array::from_fn(|stock| {
            std::array::from_fn(|fatigue| ContactOdds::of(traits, Situation { mood, stock, fatigue }))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextbest_models::units::{Day, Seed};

    #[test]
    fn rows_are_distributions_on_every_day() {
        let market = Market::new(Seed(5), Day::from_number(20_089), 365);
        for number in 0..50 {
            let traits = Traits::draw(Seed(5), number, 365);
            for age in (0..365).step_by(13) {
                let view = WeekView::new(&market, market.week(age), &traits);
                let weather = Weather::new(&market, &view, &traits, age);
                for mood in 0..N_MOODS {
                    let rows = [drift(&weather, mood).to_vec(), after_order(&weather, mood).to_vec()];
                    for row in rows {
                        assert!(row.iter().all(|p| (0.0..=1.0).contains(p)), "{row:?}");
                        // Five terms of at most one: rounding stays below 5 epsilon.
                        assert!((row.iter().sum::<f64>() - 1.0).abs() <= 5.0 * f64::EPSILON);
                    }
                }
            }
        }
    }
}
