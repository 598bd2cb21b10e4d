//! What posted prices truly bring in a week: units and margin in closed form, over the customers there are.
//!
//! Each customer's trips to a category, times the shop's own law of choice among its SKUs ([`super::mood::sku_weights`]):
//! a multinomial logit over posted prices, so that cross effects are in it; moods and stocks at home are held as they were
//! at the end of the log. Nothing is sampled but one vector of demand shocks per customer, from their stationary law, the
//! same for all prices. Reference prices are an argument: what is felt as a loss depends on what was posted before.

use nextbest_models::units::Seed;

use super::Shop;
use super::catalogue::{N_CATEGORIES, N_SKUS, SKUS_PER_CATEGORY, Sku};
use super::life::Life;
use super::market::{REFERENCE_MEMORY, SHOCK_SD, skus_of};
use super::mood::{GONE, TRIPS, mood_factor, visit};
use super::random::{Purpose, Stream};

mod oracle;

/// Weeks after the log's end over which seasons are averaged.
pub const N_WEEKS: usize = 13;

/// A customer as prices meet them.
struct Patron {
    /// Units a week wanted of each category, were nothing left on the shelf.
    wanted: [f64; N_CATEGORIES],
    beta: [f64; N_CATEGORIES],
    loss_aversion: f64,
    /// exp(utility) of each SKU at list price, this customer's draw of shocks included.
    lure: [f64; N_SKUS],
    /// The same without shocks.
    calm: [f64; N_SKUS],
}

/// The true demand of one shop in the weeks after its log.
pub struct TrueDemand {
    /// What is sold.
    pub skus: Vec<Sku>,
    patrons: Vec<Patron>,
}

/// Reference prices over list prices, by SKU.
pub type References = [f64; N_SKUS];

impl TrueDemand {
    /// Of the customers of `lives` who are there on day `end`, the last day on which their state is stated.
    #[must_use]
    pub fn new<'l>(shop: &Shop, lives: impl IntoIterator<Item = &'l Life>, seed: Seed, end: usize) -> Self {
        let market = shop.market();
        let weeks = &market.weeks[end / 7..(end / 7 + N_WEEKS).min(market.weeks.len())];
        let days = &market.visit_weight[end..(end + 7 * N_WEEKS).min(market.visit_weight.len())];
        let weight = days.iter().sum::<f64>() / days.len().max(1) as f64;
        let season: [f64; N_CATEGORIES] = std::array::from_fn(|k| {
            weeks.iter().map(|week| week.category_weight[k]).sum::<f64>() / weeks.len().max(1) as f64
        });
        let trips: f64 = (1..).zip(TRIPS).map(|(n, p)| f64::from(n) * p).sum();
        let patron = |life: &Life| {
            let state = life.states.iter().find(|record| record.age == end)?.state;
            let traits = &life.traits;
            if state.mood == GONE {
                return None;
            }
            let mut stream = Stream::new(seed, Purpose::Foresight, traits.number);
            let visits = 7.0 * visit(traits, weight, state.mood, state.stock);
            // 1 plus the whole part of an exponential: geometric.
            let units = 1.0 + 1.0 / ((1.0 / traits.extra_units).exp() - 1.0);
            let taste: [f64; N_CATEGORIES] = std::array::from_fn(|k| traits.taste[k] * season[k]);
            let total: f64 = taste.iter().sum();
            let calm: [f64; N_SKUS] =
                std::array::from_fn(|sku| market.skus[sku].appeal.exp() * mood_factor(state.mood));
            Some(Patron {
                wanted: taste.map(|taste| visits * trips * units * taste / total),
                beta: traits.beta,
                loss_aversion: traits.loss_aversion,
                lure: calm.map(|lure| lure * (SHOCK_SD * stream.normal()).exp()),
                calm,
            })
        };
        Self { skus: market.skus.clone(), patrons: lives.into_iter().filter_map(patron).collect() }
    }

    /// Customers.
    #[must_use]
    pub fn n_customers(&self) -> usize {
        self.patrons.len()
    }

    /// Expected units a week of every SKU at `prices` (minor units, at least 1), over the law of demand shocks.
    #[must_use]
    pub fn units(&self, prices: &[i64; N_SKUS], references: &References) -> [f64; N_SKUS] {
        self.sold(prices, references, |patron, sku| patron.lure[sku])
    }

    /// The same in a week of these demand shocks, in utility.
    #[must_use]
    pub fn units_under(
        &self,
        prices: &[i64; N_SKUS],
        references: &References,
        shocks: &[f64; N_SKUS],
    ) -> [f64; N_SKUS] {
        let factors = shocks.map(f64::exp);
        self.sold(prices, references, |patron, sku| patron.calm[sku] * factors[sku])
    }

    fn sold(
        &self,
        prices: &[i64; N_SKUS],
        references: &References,
        lure: impl Fn(&Patron, usize) -> f64,
    ) -> [f64; N_SKUS] {
        let logs: [f64; N_SKUS] = std::array::from_fn(|sku| self.log_ratio(sku, prices[sku]));
        let losses: [f64; N_SKUS] = std::array::from_fn(|sku| (logs[sku] - references[sku].ln()).max(0.0));
        let mut units = [0.0; N_SKUS];
        for patron in &self.patrons {
            for category in 0..N_CATEGORIES {
                let first = skus_of(category).start;
                let weights: [f64; SKUS_PER_CATEGORY] = std::array::from_fn(|place| {
                    let sku = first + place;
                    let lost = patron.beta[category] * logs[sku] + patron.loss_aversion * losses[sku];
                    lure(patron, sku) * (-lost).exp()
                });
                let share = patron.wanted[category] / (1.0 + weights.iter().sum::<f64>());
                for (place, weight) in weights.iter().enumerate() {
                    units[first + place] += share * weight;
                }
            }
        }
        units
    }

    fn log_ratio(&self, sku: usize, price_minor: i64) -> f64 {
        (price_minor.max(1) as f64 / self.skus[sku].list_price_minor as f64).ln()
    }

    /// Expected margin a week, in minor units.
    #[must_use]
    pub fn margin(&self, prices: &[i64; N_SKUS], references: &References) -> f64 {
        let units = self.units(prices, references);
        (0..N_SKUS).map(|sku| units[sku] * (prices[sku] - self.skus[sku].cost_minor) as f64).sum()
    }

    /// The same once everybody is used to `prices`, so that nothing is felt as a loss.
    #[must_use]
    pub fn settled(&self, prices: &[i64; N_SKUS]) -> f64 {
        self.margin(prices, &self.used_to(prices))
    }

    /// The references of those who have seen nothing but `prices`.
    #[must_use]
    pub fn used_to(&self, prices: &[i64; N_SKUS]) -> References {
        std::array::from_fn(|sku| self.log_ratio(sku, prices[sku]).exp())
    }

    /// References a week later.
    #[must_use]
    pub fn next(&self, references: &References, prices: &[i64; N_SKUS]) -> References {
        let posted = self.used_to(prices);
        std::array::from_fn(|sku| REFERENCE_MEMORY * references[sku] + (1.0 - REFERENCE_MEMORY) * posted[sku])
    }

    /// Of each SKU at list prices, once everybody is used to a price: the slope of its units on its own price, and that of
    /// the units of the rest of its category, logarithms per logarithm from 0.9 to 1.1 of the list price.
    #[must_use]
    pub fn slopes(&self) -> [(f64, f64); N_SKUS] {
        let list = self.list();
        std::array::from_fn(|sku| {
            let at = |ratio: f64| {
                let mut prices = list;
                prices[sku] = (list[sku] as f64 * ratio).round() as i64;
                let units = self.units(&prices, &self.used_to(&prices));
                let category = skus_of(sku / SKUS_PER_CATEGORY);
                let others: f64 = category.filter(|other| *other != sku).map(|other| units[other]).sum();
                (self.log_ratio(sku, prices[sku]), units[sku].ln(), others.ln())
            };
            let (low, high) = (at(0.9), at(1.1));
            let width = high.0 - low.0;
            ((high.1 - low.1) / width, (high.2 - low.2) / width)
        })
    }

    /// The list prices.
    #[must_use]
    pub fn list(&self) -> [i64; N_SKUS] {
        std::array::from_fn(|sku| self.skus[sku].list_price_minor)
    }
}

#[cfg(test)]
mod tests;
