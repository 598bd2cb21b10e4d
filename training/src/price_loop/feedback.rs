//! Prices that follow demand while demand answers to them: real counts, and shocks that come and go.
//!
//! Every day each SKU is reviewed by `choose_price` with its recent orders; what is ordered next is a Poisson count about the
//! law at the new prices, neighbours' included, under demand shocks that last about a week. Whether such a loop swings is
//! told by how far prices go and how often one move takes back the last.

use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::{
    Circumstances, Demand, Ledger, MarketRules, PriceRequest, PricingRules, RecentDemand, choose_price,
};
use nextbest_models::units::{DAY_MS, Seed, Timestamp};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Poisson, StandardNormal};

use super::arms::Prices;
use crate::simulate::catalogue::N_SKUS;
use crate::simulate::pricing::TrueDemand;

/// Standard deviation of a demand shock, in utility, and what is kept of it from day to day.
const SHOCK: (f64, f64) = (0.4, 0.9);
/// Days of orders that a review looks back on.
const DAYS_BACK: usize = 14;

/// What a loop did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feedback {
    /// Mean square, over SKUs, of the log price about its mean over the days; of the first half of the days and the second.
    pub price_variance: [f64; 2],
    /// Pairs of consecutive moves of a price, days without one left out, and those of them that point opposite ways.
    pub n_pairs: u64,
    /// See `n_pairs`.
    pub n_opposite: u64,
    /// Mean, over SKUs, of the correlation between log price and the shock of the day before.
    pub follows: f64,
}

/// Runs `n_days` daily reviews under `rules`, in a shop of `scale` times the customers of `truth`.
#[must_use]
pub fn hold(
    truth: &TrueDemand,
    demand: &Demand,
    rules: &PricingRules,
    (n_days, scale, seed): (usize, f64, Seed),
) -> Feedback {
    let mut random = ChaCha8Rng::seed_from_u64(seed.0);
    let mut ledgers: Vec<Ledger> = vec![Ledger::default(); N_SKUS];
    let (mut references, mut shocks) = (truth.used_to(&truth.list()), [0.0; N_SKUS]);
    let mut orders: Vec<[i64; N_SKUS]> = Vec::new();
    let mut days: Vec<(Prices, [f64; N_SKUS])> = Vec::new();
    for day in 0..n_days {
        let prices = review(truth, demand, rules, &mut ledgers, &orders);
        days.push((prices, shocks));
        for shock in &mut shocks {
            let z: f64 = StandardNormal.sample(&mut random);
            *shock = SHOCK.1 * *shock + SHOCK.0 * (1.0 - SHOCK.1 * SHOCK.1).sqrt() * z;
        }
        let weekly = truth.units_under(&prices, &references, &shocks);
        let count = |units: f64| {
            Poisson::new((scale * units / 7.0).max(1e-9)).map_or(0, |law| law.sample(&mut random) as i64)
        };
        orders.push(weekly.map(count));
        if day % 7 == 6 {
            references = truth.next(&references, &prices);
        }
    }
    Feedback::of(truth, &days)
}

fn review(
    truth: &TrueDemand,
    demand: &Demand,
    rules: &PricingRules,
    ledgers: &mut [Ledger],
    orders: &[[i64; N_SKUS]],
) -> Prices {
    let market = MarketRules::default();
    let half_life = rules.demand_reaction.map_or(24.0, |reaction| reaction.half_life_hours);
    // Any instant does: what counts is the time between reviews.
    let now = Timestamp::MIN.plus_millis(DAY_MS * i64::try_from(orders.len() + 1).unwrap_or(1));
    std::array::from_fn(|at| {
        let recent = orders.iter().rev().take(DAYS_BACK).zip(0_u32..);
        let recent = recent.map(|(day, ago)| (24 * ago + 12, day[at]));
        let hours = 24 * u32::try_from(orders.len().min(DAYS_BACK)).unwrap_or(0);
        let around = Circumstances {
            now,
            market: &market,
            control: Assignment { policy: false, model: false },
            ledger: Some(&ledgers[at]),
            locked_minor: None,
            recent: (hours > 0).then(|| RecentDemand::of(recent, hours, half_life)),
            person: None,
            seed: Seed(0),
        };
        let request = PriceRequest { sku: truth.skus[at].id.clone(), ..PriceRequest::default() };
        let Ok(choice) = choose_price(rules, Some(demand), &around, &request) else {
            return truth.skus[at].list_price_minor;
        };
        ledgers[at].show(choice.quoted_price_minor, now);
        ledgers[at].standing = choice.standing.or(ledgers[at].standing);
        choice.quoted_price_minor
    })
}

impl Feedback {
    fn of(truth: &TrueDemand, days: &[(Prices, [f64; N_SKUS])]) -> Self {
        let mut feedback = Self::default();
        for sku in 0..N_SKUS {
            let list = truth.skus[sku].list_price_minor as f64;
            let logs: Vec<f64> = days.iter().map(|(prices, _)| (prices[sku] as f64 / list).ln()).collect();
            let shocks: Vec<f64> = days.iter().map(|(_, shocks)| shocks[sku]).collect();
            for (half, part) in logs.chunks(logs.len().div_ceil(2).max(1)).enumerate() {
                feedback.price_variance[half] += covariance(part, part) / N_SKUS as f64;
            }
            let moves = logs.windows(2).map(|pair| pair[1] - pair[0]).filter(|step| *step != 0.0);
            let moves: Vec<f64> = moves.collect();
            feedback.n_pairs += moves.len().saturating_sub(1) as u64;
            feedback.n_opposite += moves.windows(2).filter(|pair| pair[0] * pair[1] < 0.0).count() as u64;
            let scale = (covariance(&logs, &logs) * covariance(&shocks, &shocks)).sqrt();
            feedback.follows += covariance(&logs, &shocks) / scale.max(1e-12) / N_SKUS as f64;
        }
        feedback
    }
}

fn covariance(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().max(1) as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    a.iter().zip(b).map(|(a, b)| (a - ma) * (b - mb)).sum::<f64>() / n
}
