//! SKU-weeks of an event log, de-biased: what was known before a price was set is taken out by double machine learning.
//!
//! A SKU's last two weeks (log units, log price) tell of demand that persists, and of a price that followed it; each SKU
//! has a level, and each week one in its category. What moved price and demand within the same week is in no lag, and
//! still biases: only prices set at random are free of that. Which weeks are used is the caller's.

use nextbest_models::units::Seed;

use super::design;
use super::dml::{self, CrossFit};
use super::error::ElasticityError;
use super::names::Names;
use super::ols::{Clusters, Slope};
use super::panel::Panel;
use crate::metrics::Estimate;

/// Fewest SKUs, and SKU-weeks, from which trees may learn.
const MIN_SKUS: usize = 10;
const MIN_ROWS: usize = 200;
/// Fewest weeks of a SKU's own slope, beyond its level and slope.
const MIN_WEEKS: usize = 8;

/// A SKU's week with the two before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SkuWeek {
    /// The SKU's number; rows stand in its order, then by week.
    pub(crate) sku: u32,
    /// The week's number within what shares its ups and downs.
    pub(crate) week: u32,
    pub(crate) log_units: f64,
    pub(crate) log_price: f64,
    /// Log units, then log price, one and two weeks before.
    pub(crate) before: [f64; 4],
}

/// Slopes of log units on log price.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Debiased {
    /// Of all SKUs, clustered by SKU.
    pub(crate) pooled: Estimate,
    /// Of each SKU, by number; none with too few weeks.
    pub(crate) by_sku: Vec<Option<Estimate>>,
}

/// The slopes of `rows`; `None` where there are too few to learn from.
pub(crate) fn debias(rows: &[SkuWeek], seed: Seed) -> Result<Option<Debiased>, ElasticityError> {
    let n_skus = rows.last().map_or(0, |row| row.sku as usize + 1);
    if n_skus < MIN_SKUS || rows.len() < MIN_ROWS {
        return Ok(None);
    }
    let skus: Vec<u32> = rows.iter().map(|row| row.sku).collect();
    let known = |at: usize| Names::of_numbers(rows.iter().map(|row| row.before[at]).collect());
    let codes = |codes: Vec<u32>| Names { codes, ..Names::default() };
    let panel = Panel {
        y: rows.iter().map(|row| row.log_units).collect(),
        x: rows.iter().map(|row| row.log_price).collect(),
        controls: (0..rows[0].before.len()).map(known).collect(),
        effects: vec![codes(rows.iter().map(|row| row.week).collect())],
        cluster: Some(codes(skus.clone())),
        ..Panel::default()
    };
    let straight = design::net(&panel, Some(&skus))?;
    let splits = dml::residuals(&panel, &straight, (&skus, n_skus), CrossFit::default(), seed)?;
    let all: Vec<usize> = (0..rows.len()).collect();
    let estimate = |slope: Slope| Estimate { value: slope.value, se: slope.se };
    let taken = straight.n_parameters - 1;
    let clusters = Clusters::new(&skus);
    let Some(pooled) = dml::median(&splits, &all, Some(&clusters), taken).map(estimate) else {
        return Ok(None);
    };
    let of_sku = |weeks: &[usize]| {
        // Its level, and its share of what all SKUs share.
        let share = 1 + taken.saturating_sub(n_skus) * weeks.len() / rows.len();
        let enough = weeks.len() > MIN_WEEKS + share;
        enough.then(|| dml::median(&splits, weeks, None, share)).flatten().map(estimate)
    };
    let by_sku = all.chunk_by(|&a, &b| skus[a] == skus[b]).map(of_sku).collect();
    Ok(Some(Debiased { pooled, by_sku }))
}
