//! What was estimated, as the records that are sealed: of SKUs, of categories and all, of prices on their neighbours.
//!
//! Every elasticity is a belief given that it is negative; units and purchases are brought to the reference price by it.
//! Nothing is estimated here.

use std::collections::BTreeMap;

use nextbest_models::pricing::demand::ELASTICITY_BOUND;
use nextbest_models::pricing::{DemandLevel, DemandRecord, Elasticity};

use super::cross::CrossEffect;
use super::estimate::{Population, given_negative, shrink, widened};
use super::fit::Series;
use crate::metrics::Estimate;

fn elasticity(belief: Estimate) -> (Elasticity, bool) {
    let [value, se, lo, hi] = given_negative(belief);
    let bound = |number: f64| number.clamp(-ELASTICITY_BOUND, -1e-9);
    let truncated = belief.value + 1.96 * belief.se > 0.0;
    (Elasticity { value: bound(value), se, lo: bound(lo), hi: bound(hi) }, truncated)
}

pub(super) fn sku_record(series: &Series<'_>, prior: Option<&Population>, shared_se: f64) -> DemandRecord {
    let believed = prior.map(|prior| elasticity(widened(shrink(series.own, prior), shared_se)));
    let mut flags = Vec::new();
    if series.own.is_none() {
        flags.push("variation_too_small".to_owned());
        if believed.is_some() {
            flags.push("pooled".to_owned());
        }
    }
    if believed.is_some_and(|(_, truncated)| truncated) {
        flags.push("sign_truncated".to_owned());
    }
    let slope = believed.map_or(0.0, |(elasticity, _)| elasticity.value);
    let totals = Totals::of(series, slope);
    DemandRecord {
        level: DemandLevel::Sku,
        name: series.sku.to_owned(),
        category: series.category.clone(),
        reference_price_minor: series.reference as i64,
        units_per_week: totals.units / totals.exposure,
        elasticity: believed.map(|(elasticity, _)| elasticity),
        own: series.own.map(|own| (own.value, own.se.hypot(shared_se))),
        purchase_probability: totals.purchase_probability(),
        n_weeks: series.weeks.len() as u64,
        n_units: totals.units as u64,
        n_shown: totals.shown as u64,
        flags,
    }
}

/// Sums over weeks, each brought to the reference price by the slope.
#[derive(Clone, Copy, Default)]
struct Totals {
    units: f64,
    exposure: f64,
    bought: f64,
    shown: f64,
    shown_at_reference: f64,
}

impl Totals {
    fn of(series: &Series<'_>, slope: f64) -> Self {
        let mut totals = Self::default();
        for (week, x) in series.weeks.iter().zip(&series.x) {
            let relative = (slope * x).exp();
            totals.units += week.units as f64;
            totals.exposure += relative;
            if week.n_shown > 0 {
                totals.bought += week.n_orders as f64;
                totals.shown += week.n_shown as f64;
                totals.shown_at_reference += week.n_shown as f64 * relative;
            }
        }
        totals
    }

    /// Purchases per price shown at the reference price, at most 1.
    fn purchase_probability(&self) -> Option<f64> {
        (self.shown > 0.0).then(|| (self.bought / self.shown_at_reference).clamp(0.0, 1.0))
    }
}

pub(super) fn group_records(
    series: &[Series<'_>],
    overall: Option<&Population>,
    categories: &BTreeMap<String, Population>,
    shared_se: f64,
) -> Vec<DemandRecord> {
    let mut groups: BTreeMap<Option<&str>, Vec<&Series<'_>>> =
        BTreeMap::from([(None, series.iter().collect())]);
    for series in series {
        if let Some(category) = series.category.as_deref() {
            groups.entry(Some(category)).or_default().push(series);
        }
    }
    let record = |(name, members): (Option<&str>, Vec<&Series<'_>>)| {
        let population = name.map_or(overall, |name| categories.get(name).or(overall));
        // A new SKU of the group: the group's mean with its spread between SKUs.
        let believed = population.map(|population| elasticity(widened(shrink(None, population), shared_se)));
        let slope = believed.map_or(0.0, |(elasticity, _)| elasticity.value);
        let totals: Vec<Totals> = members.iter().map(|series| Totals::of(series, slope)).collect();
        let sum = |of: fn(&Totals) -> f64| totals.iter().map(of).sum::<f64>();
        let pooled = Totals {
            bought: sum(|t| t.bought),
            shown: sum(|t| t.shown),
            shown_at_reference: sum(|t| t.shown_at_reference),
            ..Totals::default()
        };
        let mut prices: Vec<f64> = members.iter().map(|series| series.reference).collect();
        prices.sort_by(f64::total_cmp);
        let own = population.map(|population| (population.mean.value, population.mean.se.hypot(shared_se)));
        let mut flags = Vec::new();
        if population.is_none() {
            flags.push("variation_too_small".to_owned());
        }
        if believed.is_some_and(|(_, truncated)| truncated) {
            flags.push("sign_truncated".to_owned());
        }
        DemandRecord {
            level: if name.is_some() { DemandLevel::Category } else { DemandLevel::Overall },
            name: name.unwrap_or("").to_owned(),
            category: None,
            reference_price_minor: prices[prices.len() / 2] as i64,
            units_per_week: totals.iter().map(|t| t.units / t.exposure).sum::<f64>() / members.len() as f64,
            elasticity: believed.map(|(elasticity, _)| elasticity),
            own,
            purchase_probability: pooled.purchase_probability(),
            n_weeks: members.iter().map(|series| series.weeks.len() as u64).sum(),
            n_units: sum(|t| t.units) as u64,
            n_shown: pooled.shown as u64,
            flags,
        }
    };
    groups.into_iter().map(record).collect()
}

/// The category's record again, with what a price does to the other SKUs instead of what it does to its own.
pub(super) fn cross_record(
    records: &[DemandRecord],
    name: &str,
    effect: &CrossEffect,
) -> Option<DemandRecord> {
    let of = |record: &&DemandRecord| record.level == DemandLevel::Category && record.name == name;
    let category = records.iter().find(of)?;
    let one = effect.of_one();
    Some(DemandRecord {
        level: DemandLevel::Cross,
        elasticity: None,
        own: Some((one.value, one.se)),
        purchase_probability: None,
        flags: Vec::new(),
        ..category.clone()
    })
}
