//! Prices and seasons in the log: right where prices were randomised, biased where a manager set them.

use std::collections::BTreeMap;

use nextbest_models::event::EventType;

use super::super::calendar::{WEEKDAY, weekday};
use super::super::elasticity::elasticities;
use super::super::life::Life;
use super::super::market::PriceRule;
use super::super::{Seed, Shop};
use super::year;

/// Units of each SKU in each week, over the number expected from the SKU's and the week's totals.
struct Cell {
    rule: PriceRule,
    log_price: f64,
    units: f64,
}

fn cells(shop: &Shop, lives: &[Life]) -> Vec<Cell> {
    let place: BTreeMap<&str, usize> =
        shop.market().skus.iter().enumerate().map(|(index, sku)| (sku.id.as_str(), index)).collect();
    let (n_skus, n_weeks) = (place.len(), 52);
    let mut units = vec![vec![0.0; n_weeks]; n_skus];
    let mut seen = std::collections::BTreeSet::new();
    for event in lives.iter().flat_map(|life| &life.entries.events) {
        if event.event_type == EventType::OrderPlaced && seen.insert(&event.event_id) {
            let day = event.occurred_at.day().since(shop.market().start);
            let sku = place[event.sku.as_deref().unwrap()];
            if let Some(cell) = units[sku].get_mut(usize::try_from(day / 7).unwrap()) {
                // Lines, not units: the number of units on a line does not depend on its price.
                *cell += 1.0;
            }
        }
    }
    let by_sku: Vec<f64> = units.iter().map(|of_sku| of_sku.iter().sum()).collect();
    let by_week: Vec<f64> = (0..n_weeks).map(|week| units.iter().map(|of_sku| of_sku[week]).sum()).collect();
    let total: f64 = by_sku.iter().sum();
    let mut cells = Vec::new();
    for (sku, of_sku) in units.iter().enumerate() {
        for (week, n) in of_sku.iter().enumerate() {
            let offer = &shop.market().weeks[week].offers[sku];
            let units = n * total / (by_sku[sku] * by_week[week]);
            cells.push(Cell { rule: offer.rule, log_price: offer.log_price, units });
        }
    }
    cells
}

/// Slope of ln(mean units) between the dear and the cheap cells, and its standard error by the delta method.
fn slope(cells: &[Cell], rule: PriceRule, edge: f64) -> (f64, f64) {
    let side = |keep: &dyn Fn(f64) -> bool| {
        let of: Vec<&Cell> = cells.iter().filter(|cell| cell.rule == rule && keep(cell.log_price)).collect();
        let n = of.len() as f64;
        let mean = of.iter().map(|cell| cell.units).sum::<f64>() / n;
        let variance = of.iter().map(|cell| (cell.units - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let price = of.iter().map(|cell| cell.log_price).sum::<f64>() / n;
        (price, mean.ln(), variance / (n * mean * mean))
    };
    let (low, high) = (side(&|log| log < -edge), side(&|log| log > edge));
    ((high.1 - low.1) / (high.0 - low.0), (high.2 + low.2).sqrt() / (high.0 - low.0))
}

/// Randomised prices give the true slope: between the mean slopes below and above list, as a mean over prices on
/// both sides must, within 4 standard errors. The manager's prices give another one: his price moves K per unit of
/// demand shock, which lifts demand by exp(shock), so that his slope is off by about +1 / K = +3.6.
#[test]
fn randomised_prices_tell_the_truth_and_the_manager_does_not() {
    let seed = 31;
    let (shop, lives) = year(8_000, seed);
    let cells = cells(&shop, &lives);
    let truth = elasticities(Seed(seed));
    let mean = |f: fn(&super::super::elasticity::Elasticity) -> f64| {
        truth.iter().map(f).sum::<f64>() / truth.len() as f64
    };
    let (above, below) = (mean(|slope| slope.above_list), mean(|slope| slope.below_list));
    let (randomised, se) = slope(&cells, PriceRule::Experiment, 0.05);
    assert!(
        randomised > above - 4.0 * se && randomised < below + 4.0 * se,
        "{randomised} +- {se} against {above} ..= {below}"
    );
    assert!(randomised + 4.0 * se < 0.0, "{randomised} +- {se}");
    let (managed, managed_se) = slope(&cells, PriceRule::Manager, 0.05);
    let apart = (se * se + managed_se * managed_se).sqrt();
    assert!(managed - randomised > 4.0 * apart, "{managed} +- {managed_se} against {randomised} +- {se}");
}

/// Sundays see more orders than Saturdays: 1.2 / 0.8 = 1.5 times the unprompted visits, less for what campaigns and
/// joining add evenly over the week. Counts are Poisson: var(ln ratio) is about 1 / a + 1 / b.
#[test]
fn the_week_shows_in_the_orders() {
    let (shop, lives) = year(4_000, 32);
    let mut counts = [0.0f64; 7];
    for order in lives.iter().flat_map(|life| &life.orders) {
        counts[weekday(shop.market().start.plus(i32::try_from(*order).unwrap()))] += 1.0;
    }
    let (saturday, sunday) = (counts[5], counts[6]);
    let (log, se) = ((sunday / saturday).ln(), (1.0 / sunday + 1.0 / saturday).sqrt());
    let full = (WEEKDAY[6] / WEEKDAY[5]).ln();
    assert!(log > 4.0 * se && log < full + 4.0 * se, "{counts:?}");
}
