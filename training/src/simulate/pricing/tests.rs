//! The law of prices agrees with the stated elasticities and with what was sold; the oracle is beaten by nobody.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::elasticity::elasticities;
use super::super::tests::year;
use super::*;

/// Days of the log.
const END: usize = 365;

fn demand(n_customers: u64, seed: u64) -> TrueDemand {
    let (shop, lives) = year(n_customers, seed);
    TrueDemand::new(&shop, &lives, Seed(seed), END)
}

/// Slopes where nothing is felt as a loss lie near those stated of a reference population, which differs from these
/// customers by chance, moods and shocks: each SKU's within a fifth, which no slope of another category would pass.
#[test]
fn slopes_agree_with_the_stated_elasticities() {
    let demand = demand(3_000, 5);
    let list = demand.list();
    for (sku, stated) in elasticities(Seed(5)).iter().enumerate() {
        let mut cheaper = list;
        cheaper[sku] = (list[sku] as f64 * 0.9).round() as i64;
        let references = demand.used_to(&list);
        let (at_list, below) = (demand.units(&list, &references), demand.units(&cheaper, &references));
        let log = demand.log_ratio(sku, cheaper[sku]);
        let slope = (below[sku] / at_list[sku]).ln() / log;
        assert!((slope / stated.below_list - 1.0).abs() < 0.2, "{sku}: {slope} {stated:?}");
        for other in (0..N_SKUS).filter(|other| *other != sku) {
            let same = other / SKUS_PER_CATEGORY == sku / SKUS_PER_CATEGORY;
            assert_eq!(below[other] < at_list[other], same, "{sku} takes buyers from its category alone");
        }
    }
}

/// A rise is felt at first and got used to: units recover toward what they are once settled, from below.
#[test]
fn what_is_felt_as_a_loss_is_got_used_to() {
    let demand = demand(500, 6);
    let list = demand.list();
    let dearer: [i64; N_SKUS] = list.map(|price| price * 11 / 10);
    let settled: f64 = demand.units(&dearer, &demand.used_to(&dearer)).iter().sum();
    let (mut references, mut last) = (demand.used_to(&list), 0.0);
    for _ in 0..40 {
        let units: f64 = demand.units(&dearer, &references).iter().sum();
        assert!(units > last && units < settled, "{units} {last} {settled}");
        (references, last) = (demand.next(&references, &dearer), units);
    }
    // 0.75^40 of a loss of at most 0.1 in logarithm, at loss aversions below 10.
    assert!((settled / last - 1.0).abs() < 10.0 * 0.1 * 0.75_f64.powi(39));
}

/// Sum over categories of the last weeks of Pearson's (n - N p)^2 / (N p), n the order lines of a SKU, N of its category,
/// p by the law under that week's prices and references; and its degrees of freedom.
fn pearson(with_shocks: bool) -> (f64, f64) {
    let (shop, lives) = year(4_000, 7);
    let demand = TrueDemand::new(&shop, &lives, Seed(7), END);
    let mut seen = std::collections::BTreeSet::new();
    let events = lives.iter().flat_map(|life| &life.entries.events);
    let orders = events.filter(|event| event.event_type == nextbest_models::event::EventType::OrderPlaced);
    let mut lines = vec![[0.0; N_SKUS]; 53];
    for order in orders.filter(|event| seen.insert(&event.event_id)) {
        let sku = demand.skus.iter().position(|sku| Some(&sku.id) == order.sku.as_ref()).unwrap();
        let day = order.occurred_at.day().since(shop.market().start);
        lines[usize::try_from(day / 7).unwrap()][sku] += 1.0;
    }
    let (mut sum, mut freedom) = (0.0, 0.0);
    for (week, lines) in lines.iter().enumerate().take(52).skip(44) {
        let offers = &shop.market().weeks[week].offers;
        let of = |f: fn(&super::super::market::Offer) -> f64| std::array::from_fn(|sku| f(&offers[sku]));
        let prices = std::array::from_fn(|sku| offers[sku].price_minor);
        let shocks = if with_shocks { of(|offer| offer.shock) } else { [0.0; N_SKUS] };
        let units = demand.units_under(&prices, &of(|offer| offer.reference_ratio), &shocks);
        for category in 0..N_CATEGORIES {
            let (n, p) = (&lines[skus_of(category)], &units[skus_of(category)]);
            let per_unit = n.iter().sum::<f64>() / p.iter().sum::<f64>();
            sum += n.iter().zip(p).map(|(n, p)| (n - p * per_unit).powi(2) / (p * per_unit)).sum::<f64>();
            freedom += n.len() as f64 - 1.0;
        }
    }
    (sum, freedom)
}

/// Within a category lines fall to SKUs as the law says: Pearson's sum has as mean its degrees of freedom f, as variance
/// about 2 f. Without that week's shocks it has not.
#[test]
fn the_law_sells_what_was_sold() {
    let (sum, freedom) = pearson(true);
    let bound = freedom + 4.0 * (2.0 * freedom).sqrt();
    assert!(sum < bound, "{sum} of {freedom}");
    assert!(pearson(false).0 > bound);
}

#[test]
fn nobody_beats_the_oracle() {
    let demand = demand(800, 8);
    let ratios = [0.8, 0.9, 1.0, 1.1, 1.2];
    let allowed: Vec<Vec<i64>> = demand
        .skus
        .iter()
        .map(|sku| ratios.map(|ratio| (sku.list_price_minor as f64 * ratio) as i64).to_vec())
        .collect();
    let best = demand.settled(&demand.best(&allowed));
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    for at in 0..ratios.len() {
        let same = std::array::from_fn(|sku: usize| allowed[sku].get(at).copied().unwrap_or(0));
        assert!(demand.settled(&same) <= best);
    }
    let oracle = demand.best(&allowed);
    for _ in 0..60 {
        let drawn = std::array::from_fn(|sku| allowed[sku][rng.random_range(0..ratios.len())]);
        assert!(demand.settled(&drawn) <= best);
        // Nor does a step aside from it.
        let mut aside = oracle;
        let sku = rng.random_range(0..N_SKUS);
        aside[sku] = allowed[sku][rng.random_range(0..ratios.len())];
        assert!(demand.settled(&aside) <= best + 1e-9 * best);
    }
}
