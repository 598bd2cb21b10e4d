//! What all customers share: posted prices, hidden demand shocks, reference prices, delivery trouble.
//!
//! The whole path is drawn once, by week, from its own stream. Half of the (SKU, four weeks) blocks are priced by a
//! randomised experiment, half by a manager who sees the hidden demand shock and raises the price when demand is
//! high. A regression on the second half is biased by construction; the truth says which is which.

use nextbest_models::units::{Day, Seed};

use super::calendar::{category_weights, visit_weight};
use super::catalogue::{N_CATEGORIES, N_SKUS, SKUS_PER_CATEGORY, Sku, skus};
use super::random::{Purpose, Stream};

/// Days beyond the log's end that the market is known, so that truths may look ahead.
pub const LOOK_AHEAD_DAYS: i32 = 98;
/// The multipliers of the list price among which an experiment draws, each with the same probability.
pub const EXPERIMENT_ARMS: [f64; 5] = [0.85, 0.92, 1.0, 1.08, 1.15];
/// How strongly the manager follows demand: log price moves by this much per unit of demand shock.
pub const MANAGER_RESPONSE: f64 = 0.28;
/// Standard deviation of the manager's own whims, in log price.
const MANAGER_NOISE: f64 = 0.03;
/// Stationary standard deviation of a SKU's demand shock, in utility, and its correlation from week to week.
pub(super) const SHOCK_SD: f64 = 0.40;
const SHOCK_MEMORY: f64 = 0.6;
/// Share of the old reference price kept from one week to the next.
pub(super) const REFERENCE_MEMORY: f64 = 0.75;
/// Weeks in one block of one rule.
const BLOCK_WEEKS: usize = 4;

/// Who set a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceRule {
    /// Drawn uniformly from [`EXPERIMENT_ARMS`], independent of everything.
    Experiment,
    /// Set by someone who saw the demand shock.
    Manager,
}

impl PriceRule {
    /// Its name in files and in the attribute `price_rule`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Experiment => "experiment",
            Self::Manager => "manager",
        }
    }
}

/// One SKU in one week.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Posted price, minor units.
    pub price_minor: i64,
    /// Who set it.
    pub rule: PriceRule,
    /// Hidden demand shock, utility.
    pub shock: f64,
    /// ln(price / list price).
    pub log_price: f64,
    /// max(0, ln(price / reference price)): what is felt as a loss.
    pub log_loss: f64,
    /// The reference price as a ratio of the list price.
    pub reference_ratio: f64,
}

/// One week.
#[derive(Clone, Debug)]
pub struct Week {
    /// One offer per SKU, in catalogue order.
    pub offers: Vec<Offer>,
    /// Mean `log_loss` by category: the price shock that sours moods.
    pub category_loss: [f64; N_CATEGORIES],
    /// How much each category is wanted.
    pub category_weight: [f64; N_CATEGORIES],
}

/// The market's path over all simulated days and [`LOOK_AHEAD_DAYS`] more.
#[derive(Clone, Debug)]
pub struct Market {
    /// What is sold.
    pub skus: Vec<Sku>,
    /// By week since the start.
    pub weeks: Vec<Week>,
    /// By day since the start: visit weight.
    pub visit_weight: Vec<f64>,
    /// By day since the start: delivery trouble as a multiple of the usual.
    pub trouble: Vec<f64>,
    /// First day.
    pub start: Day,
}

impl Market {
    /// The path of a market that opens on `start` and is logged for `days` days.
    #[must_use]
    pub fn new(seed: Seed, start: Day, days: i32) -> Self {
        let mut stream = Stream::new(seed, Purpose::Market, 0);
        let skus = skus();
        let n_days = days + LOOK_AHEAD_DAYS;
        let n_weeks = usize::try_from(n_days / 7 + 1).unwrap_or(1);
        let paths: Vec<Vec<Offer>> = skus.iter().map(|sku| offers(&mut stream, sku, n_weeks)).collect();
        let weeks = (0..n_weeks)
            .map(|week| {
                let offers: Vec<Offer> = paths.iter().map(|path| path[week]).collect();
                let mut category_loss = [0.0; N_CATEGORIES];
                for (loss, of_category) in category_loss.iter_mut().zip(offers.chunks(SKUS_PER_CATEGORY)) {
                    *loss = of_category.iter().map(|o| o.log_loss).sum::<f64>() / SKUS_PER_CATEGORY as f64;
                }
                let middle = start.plus(i32::try_from(week * 7 + 3).unwrap_or(0));
                Week { offers, category_loss, category_weight: category_weights(middle) }
            })
            .collect();
        let visit_weight = (0..n_days).map(|age| visit_weight(start.plus(age), age)).collect();
        let trouble = trouble(&mut stream, usize::try_from(n_days).unwrap_or(0));
        Self { skus, weeks, visit_weight, trouble, start }
    }

    /// The week of day `age` (days since the start, within the path).
    #[must_use]
    pub fn week(&self, age: usize) -> &Week {
        &self.weeks[age / 7]
    }
}

fn offers(stream: &mut Stream, sku: &Sku, n_weeks: usize) -> Vec<Offer> {
    let innovation = SHOCK_SD * (1.0 - SHOCK_MEMORY * SHOCK_MEMORY).sqrt();
    let mut shock = SHOCK_SD * stream.normal();
    let mut reference_ratio = 1.0;
    let mut rule = PriceRule::Manager;
    (0..n_weeks)
        .map(|week| {
            // The same number of draws whatever the rule, so that the path is easy to reason about.
            let (noise, arm, coin) =
                (stream.normal(), stream.below(EXPERIMENT_ARMS.len()), stream.chance(0.5));
            if week % BLOCK_WEEKS == 0 {
                rule = if coin { PriceRule::Experiment } else { PriceRule::Manager };
            }
            shock = if week == 0 { shock } else { SHOCK_MEMORY * shock + innovation * stream.normal() };
            let ratio = match rule {
                PriceRule::Experiment => EXPERIMENT_ARMS[arm],
                PriceRule::Manager => {
                    (MANAGER_RESPONSE * shock + MANAGER_NOISE * noise).clamp(-0.25, 0.25).exp()
                }
            };
            let list = sku.list_price_minor as f64;
            let price_minor = (list * ratio).round() as i64;
            let log_price = (price_minor as f64 / list).ln();
            let log_loss = (log_price - f64::ln(reference_ratio)).max(0.0);
            let offer = Offer { price_minor, rule, shock, log_price, log_loss, reference_ratio };
            reference_ratio =
                REFERENCE_MEMORY * reference_ratio + (1.0 - REFERENCE_MEMORY) * price_minor as f64 / list;
            offer
        })
        .collect()
}

/// Delivery trouble by day: usually 1; about two spells of ten days a year at 5.
fn trouble(stream: &mut Stream, n_days: usize) -> Vec<f64> {
    let mut path = vec![1.0; n_days];
    let mut day = stream.exponential(120.0) as usize;
    while day < n_days {
        path.iter_mut().skip(day).take(10).for_each(|multiple| *multiple = 5.0);
        day += 10 + stream.exponential(170.0) as usize;
    }
    path
}

/// The SKUs of category `category`, as a range into the catalogue.
#[must_use]
pub fn skus_of(category: usize) -> std::ops::Range<usize> {
    let first = category * SKUS_PER_CATEGORY;
    first..(first + SKUS_PER_CATEGORY).min(N_SKUS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn correlation(pairs: &[(f64, f64)]) -> f64 {
        let n = pairs.len() as f64;
        let mean = pairs.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
        let sum =
            |f: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|p| f(p.0 - mean.0, p.1 - mean.1)).sum::<f64>();
        sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
    }

    /// Experiments draw prices independent of demand: the correlation's standard error is 1 / sqrt(n). The manager
    /// follows it: his correlation is K S / sqrt(K^2 S^2 + T^2) = 0.966 up to clamping, far from 0.
    #[test]
    fn experiments_ignore_demand_and_the_manager_follows_it() {
        let market = Market::new(Seed(3), Day::from_number(20_089), 730);
        let pairs = |rule| -> Vec<(f64, f64)> {
            let offers = market.weeks.iter().flat_map(|week| &week.offers);
            offers.filter(|offer| offer.rule == rule).map(|offer| (offer.shock, offer.log_price)).collect()
        };
        let (experiment, manager) = (pairs(PriceRule::Experiment), pairs(PriceRule::Manager));
        assert!(correlation(&experiment).abs() < 4.0 / (experiment.len() as f64).sqrt());
        assert!(correlation(&manager) > 0.9, "{}", correlation(&manager));
        // Blocks are a fair coin each: n_skus x n_blocks coins, four standard deviations.
        let n = (experiment.len() + manager.len()) as f64;
        let sd = 0.5 / (n / BLOCK_WEEKS as f64).sqrt();
        assert!((experiment.len() as f64 / n - 0.5).abs() < 4.0 * sd);
    }
}
