//! True price elasticities of the SKUs, over a reference population that no log depends on.
//!
//! The population is drawn from its own stream, so that the truth about a SKU does not change with the number of
//! customers simulated. Demand per trip is in closed form; nothing is sampled but the traits.

use nextbest_models::units::Seed;

use super::catalogue::{N_CATEGORIES, N_SKUS, SKUS_PER_CATEGORY, skus};
use super::market::skus_of;
use super::random::{Purpose, Stream};
use super::traits::Traits;

/// Customers in the reference population.
pub const N_REFERENCE: u64 = 2_000;
/// Half the width, as a ratio of the list price, over which a slope is taken.
const WIDTH: f64 = 0.1;

/// d ln units / d ln own price of one SKU, all other prices and the reference price at list, at mood content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Elasticity {
    /// Slope from 0.9 to 1.1 of the list price.
    pub own: f64,
    /// From 0.9 to 1.0, where nothing is felt as a loss.
    pub below_list: f64,
    /// From 1.0 to 1.1, where loss aversion adds.
    pub above_list: f64,
    /// d ln units of all other SKUs of the category / d ln own price, from 0.9 to 1.1: positive, as for substitutes.
    pub cross: f64,
}

/// Units of a SKU, and of its neighbours, per trip of the population.
#[derive(Clone, Copy, Default)]
struct Demand {
    own: f64,
    others: f64,
}

/// The true elasticities, in catalogue order.
#[must_use]
pub fn elasticities(seed: Seed) -> Vec<Elasticity> {
    let skus = skus();
    let ratios = [1.0 - WIDTH, 1.0, 1.0 + WIDTH];
    let mut demand = vec![[Demand::default(); 3]; N_SKUS];
    for number in 0..N_REFERENCE {
        let mut stream = Stream::new(seed, Purpose::Population, number);
        let traits = Traits::from_stream(&mut stream, number, 365);
        let total: f64 = traits.taste.iter().sum();
        for category in 0..N_CATEGORIES {
            let range = skus_of(category);
            let strength: f64 = skus[range.clone()].iter().map(|sku| sku.appeal.exp()).sum();
            let visits = traits.visit_rate * (1.0 + traits.extra_units) * traits.taste[category] / total;
            for sku in range {
                let base = skus[sku].appeal.exp();
                for (to, ratio) in demand[sku].iter_mut().zip(ratios) {
                    let log = ratio.ln();
                    let lost = traits.beta[category] * log + traits.loss_aversion * log.max(0.0);
                    let own = base * (-lost).exp();
                    let all = strength - base + own;
                    to.own += visits * own / (1.0 + all);
                    to.others += visits * (strength - base) / (1.0 + all);
                }
            }
        }
    }
    debug_assert_eq!(demand.len() % SKUS_PER_CATEGORY, 0);
    demand.iter().map(|at| Elasticity::of(at, ratios)).collect()
}

impl Elasticity {
    fn of(demand: &[Demand; 3], ratios: [f64; 3]) -> Self {
        let slope = |i: usize, j: usize, units: fn(&Demand) -> f64| {
            (units(&demand[j]) / units(&demand[i])).ln() / (ratios[j] / ratios[i]).ln()
        };
        Self {
            own: slope(0, 2, |d| d.own),
            below_list: slope(0, 1, |d| d.own),
            above_list: slope(1, 2, |d| d.own),
            cross: slope(0, 2, |d| d.others),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn demand_falls_with_its_own_price_and_rises_with_its_neighbours() {
        for elasticity in elasticities(Seed(1)) {
            assert!(elasticity.own < -1.0 && elasticity.own > -6.0, "{elasticity:?}");
            assert!(elasticity.above_list < elasticity.below_list, "{elasticity:?}");
            assert!(elasticity.cross > 0.0, "{elasticity:?}");
        }
    }
}
