//! The demand model: own estimates per SKU, shrunk toward category and all, forced negative, ready to seal.
//!
//! Where an experiment set enough prices, its weeks tell the slopes' level, because prices set by someone who saw demand
//! tell little of what they do to it; other weeks then tell how SKUs differ (`grounding`). Else all weeks are used, net of what
//! the weeks before tell where that can be done (`debias`), and the report says that they were not randomised.
//! Own slopes come from `slopes`, what neighbours' prices do from `cross`.

use std::collections::BTreeMap;

use nextbest_models::artifact::{ModelKind, ModelMetadata};
use nextbest_models::pricing::DemandRecord;
use nextbest_models::pricing::demand::{DemandError, seal};
use serde::Serialize;

use super::Observation;
use super::cross::{self, CrossEffect, Held};
use super::debias;
use super::estimate::{
    Population, believed_spread, population, population_of_spread, shrink, spread_within, widened,
    within_log_log,
};
use super::grounding::Grounding;
use super::records::{cross_record, group_records, sku_record};
use super::slopes::{Common, enough, own_slopes};
use crate::metrics::Estimate;

/// Scale of the standard deviation by which mean slopes of categories differ, beforehand: the elasticities that studies find
/// lie mostly between -1 and -4 (Bijmolt, van Heerde & Pieters 2005).
const CATEGORY_SPREAD: f64 = 1.0;

/// What counts as enough to tell.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct DemandOptions {
    /// Fewest weeks of an own estimate.
    pub min_weeks: usize,
    /// Fewest units in them.
    pub min_units: i64,
    /// Least standard deviation of the log price.
    pub min_log_price_sd: f64,
    /// Rounds of week effects.
    pub week_rounds: usize,
    /// Fewest SKUs in a week for a week effect.
    pub min_week_skus: usize,
}

impl Default for DemandOptions {
    fn default() -> Self {
        Self { min_weeks: 8, min_units: 50, min_log_price_sd: 0.02, week_rounds: 5, min_week_skus: 8 }
    }
}

/// Why there is no demand model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Nothing sold at a known price.
    #[error("no SKU was sold at a known price in any week")]
    NoSales,
    /// The records break a rule of the sealed form.
    #[error(transparent)]
    Seal(#[from] DemandError),
}

/// What the report shows of demand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DemandReport {
    /// What counted as enough.
    pub options: DemandOptions,
    /// Whether the level of slopes comes from weeks priced by an experiment alone; see `grounding` for what other weeks add.
    pub randomised_only: bool,
    /// SKU-weeks, and those of an experiment.
    pub n_observations: usize,
    /// SKU-weeks priced by an experiment.
    pub n_randomised: usize,
    /// SKUs with an own estimate, and without.
    pub n_estimated: usize,
    /// SKUs whose prices varied too little, or that sold too little, to tell.
    pub n_too_little: usize,
    /// The plain pooled log-log slope over all weeks with sales, SKU effects only: what a naive model would say.
    pub plain: Option<Estimate>,
    /// The pooled slope net of what the weeks before tell, where prices were not randomised; clustered by SKU.
    pub debiased: Option<Estimate>,
    /// The population of own estimates.
    pub overall: Option<Population>,
    /// By category.
    pub categories: BTreeMap<String, Population>,
    /// What a price above the one buyers are used to does beside its slope, per unit of log price, as estimated.
    pub loss: Option<Estimate>,
    /// What slopes of weeks outside an experiment are biased by, where they are used beside it.
    pub grounding: Option<Grounding>,
    /// What a price does to the other SKUs, by category; none of those whose weeks do not tell.
    pub cross: BTreeMap<String, CrossEffect>,
    /// Every record of the model.
    pub records: Vec<DemandRecord>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// A fitted demand model: sealed bytes, metadata, report.
#[derive(Clone, Debug)]
pub struct TrainedDemand {
    /// For the artifact.
    pub metadata: ModelMetadata,
    /// For the artifact.
    pub sealed: Vec<u8>,
    /// For the report.
    pub report: DemandReport,
}

/// Which weeks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    All,
    /// Whose price an experiment drew.
    Drawn,
    /// Whose price none drew.
    Undrawn,
}

/// One SKU's weeks, in logarithms.
pub(super) struct Series<'a> {
    pub(super) sku: &'a str,
    pub(super) category: Option<String>,
    pub(super) reference: f64,
    pub(super) weeks: Vec<&'a Observation>,
    /// ln(price / reference) of each week.
    pub(super) x: Vec<f64>,
    pub(super) own: Option<Estimate>,
    /// What each week's price is believed to have taken off ln(units) because it was felt as a loss.
    pub(super) felt: Vec<f64>,
}

/// Fits `observations` (sorted by SKU); `category_of` tells a SKU's category.
pub fn fit(
    observations: &[Observation],
    category_of: impl Fn(&str) -> Option<String>,
    options: DemandOptions,
) -> Result<TrainedDemand, FitError> {
    let mut series: Vec<Series<'_>> = observations
        .chunk_by(|a, b| a.sku == b.sku)
        .map(|weeks| a_series(weeks, category_of(&weeks[0].sku)))
        .collect();
    series.retain(|series| series.weeks.iter().any(|week| week.units > 0));
    if series.is_empty() {
        return Err(FitError::NoSales);
    }
    let tells = |which| series.iter().filter(|series| enough(series, which, &options)).count();
    let (n_by_experiment, n_by_all) = (tells(Which::Drawn), tells(Which::All));
    let randomised_only = n_by_experiment > 0 && 2 * n_by_experiment >= n_by_all;
    let common = own_slopes(&mut series, randomised_only, &options);
    let (debiased, note) = if randomised_only { (None, None) } else { debias::take(&mut series, &options) };
    let mut report = believe(observations, &series, randomised_only, common, options);
    report.debiased = debiased;
    report.notes.extend(note);
    let metadata = ModelMetadata {
        name: "demand".to_owned(),
        kind: ModelKind::Demand,
        learner: if report.debiased.is_some() {
            "double_machine_learning_shrunk"
        } else {
            "poisson_log_linear_shrunk"
        }
        .to_owned(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::from([
            ("n_observations".to_owned(), report.n_observations as u64),
            ("n_randomised".to_owned(), report.n_randomised as u64),
            ("n_skus_estimated".to_owned(), report.n_estimated as u64),
            ("n_skus_too_little".to_owned(), report.n_too_little as u64),
        ]),
        metrics: BTreeMap::new(),
        notes: report.notes.clone(),
        sections: BTreeMap::new(),
    };
    Ok(TrainedDemand { metadata, sealed: seal(report.records.clone())?, report })
}

fn a_series<'a>(weeks: &'a [Observation], category: Option<String>) -> Series<'a> {
    let mut prices: Vec<f64> = weeks.iter().map(|week| week.price_minor).collect();
    prices.sort_by(f64::total_cmp);
    let reference = prices[prices.len() / 2].round().max(1.0);
    let x = weeks.iter().map(|week| (week.price_minor / reference).ln()).collect();
    let felt = vec![0.0; weeks.len()];
    Series { sku: &weeks[0].sku, category, reference, weeks: weeks.iter().collect(), x, own: None, felt }
}

impl Series<'_> {
    pub(super) fn used(&self, which: Which) -> Vec<usize> {
        let used = |at: &usize| match which {
            Which::All => true,
            Which::Drawn => self.weeks[*at].randomised,
            Which::Undrawn => !self.weeks[*at].randomised,
        };
        (0..self.weeks.len()).filter(used).collect()
    }

    /// The log price that buyers of each week are used to: an exponential mean over the weeks before it, the share
    /// `memory` kept a week; in the first week that of the reference. And the part of it that prices left which no
    /// experiment drew.
    pub(super) fn used_to(&self, memory: f64) -> Vec<(f64, f64)> {
        let (mut used_to, mut last) = ((0.0, 0.0), None);
        let one = |(week, x): (&&Observation, &f64)| {
            if let Some((before, price, undrawn)) = last {
                let kept = memory.powi(week.week - before);
                used_to =
                    (kept * used_to.0 + (1.0 - kept) * price, kept * used_to.1 + (1.0 - kept) * undrawn);
            }
            last = Some((week.week, *x, if week.randomised { 0.0 } else { *x }));
            used_to
        };
        self.weeks.iter().zip(&self.x).map(one).collect()
    }
}

fn believe(
    observations: &[Observation],
    series: &[Series<'_>],
    randomised_only: bool,
    common: Common,
    options: DemandOptions,
) -> DemandReport {
    let Common { loss, grounding, shared_se } = common;
    let mut overall = population(&series.iter().filter_map(|series| series.own).collect::<Vec<_>>());
    let mut by_category: BTreeMap<&str, Vec<Estimate>> = BTreeMap::new();
    for (name, own) in series.iter().filter_map(|series| series.category.as_deref().zip(series.own)) {
        by_category.entry(name).or_default().push(own);
    }
    // Spread is one, within all categories: that of all SKUs holds what categories differ by, and the SKUs of one category
    // are too few to tell a variance. A category's mean is itself pulled toward that of all.
    let within = spread_within(by_category.values());
    let told =
        |(name, own): (&str, Vec<Estimate>)| Some((name.to_owned(), population_of_spread(&own, within)?));
    let mut categories: BTreeMap<String, Population> = by_category.into_iter().filter_map(told).collect();
    let means: Vec<Estimate> = categories.values().map(|members| members.mean).collect();
    let all = population_of_spread(&means, believed_spread(&means, CATEGORY_SPREAD));
    for members in categories.values_mut() {
        members.mean = all.as_ref().map_or(members.mean, |all| shrink(Some(members.mean), all));
    }
    let prior =
        |category: Option<&String>| category.and_then(|name| categories.get(name)).or(overall.as_ref());
    let record = |series| sku_record(series, prior(series.category.as_ref()), shared_se);
    let mut records: Vec<DemandRecord> = series.iter().map(record).collect();
    records.extend(group_records(series, overall.as_ref(), &categories, shared_se));
    // What all slopes share, no number of them makes smaller: it is added behind all means.
    for all in categories.values_mut().chain(&mut overall) {
        all.mean = widened(all.mean, shared_se);
    }
    let cross = if randomised_only { cross_effects(series, &records, &categories) } else { BTreeMap::new() };
    records.extend(
        cross.iter().filter_map(|(name, effect)| cross_record(&records, name, effect)).collect::<Vec<_>>(),
    );
    let n_estimated = series.iter().filter(|series| series.own.is_some()).count();
    let n_randomised = observations.iter().filter(|week| week.randomised).count();
    let mut notes = Vec::new();
    notes.push(if randomised_only {
        format!("the level of slopes is from the {n_randomised} SKU-weeks whose price an experiment drew")
    } else {
        "prices were not randomised: slopes may be biased toward zero or beyond, as prices follow demand"
            .to_owned()
    });
    if overall.is_none() {
        notes.push("variation_too_small: no SKU's price varied enough to tell an elasticity".to_owned());
    }
    if let Some(loss) = loss {
        notes.push(format!(
            "slopes are of prices that last: what a price above the one buyers are used to does beside, {:.2} +- {:.2}, is \
             taken off as far as it is told",
            -loss.value, loss.se
        ));
    }
    if randomised_only && loss.is_none() && overall.is_some() {
        notes.push(
            "slopes are of prices that last: too few weeks with drawn prices tell what a price above the one buyers are used to does \
             beside, and what studies found is taken off"
                .to_owned(),
        );
    }
    if let Some(Grounding { bias, weight }) = grounding {
        notes.push(format!(
            "other weeks tell how SKUs differ: their slopes, less what {} SKUs say that they are biased by, {:+.2} +- {:.2}, count for \
             {:.0} % of a slope",
            bias.n,
            bias.mean.value,
            bias.mean.se,
            100.0 * weight
        ));
    }
    notes.push("every slope of a SKU's own price is a belief given that it is negative".to_owned());
    notes.push(if cross.is_empty() {
        "what a price does to other SKUs is left out: too few weeks with drawn prices tell it".to_owned()
    } else {
        format!(
            "what a price does to other SKUs is told in {} categories, beside what studies found",
            cross.len()
        )
    });
    DemandReport {
        options,
        randomised_only,
        n_observations: observations.len(),
        n_randomised,
        n_estimated,
        n_too_little: series.len() - n_estimated,
        plain: plain(series),
        debiased: None,
        overall,
        categories,
        loss,
        grounding,
        cross,
        records,
        notes,
    }
}

/// The plain pooled slope: ln units on ln price with SKU effects, weeks with sales only.
fn plain(series: &[Series<'_>]) -> Option<Estimate> {
    let rows = series.iter().enumerate().flat_map(|(group, series)| {
        let sold = series.weeks.iter().zip(&series.x).filter(|(week, _)| week.units > 0);
        sold.map(move |(week, x)| (group, *x, (week.units as f64).ln()))
    });
    within_log_log(&rows.collect::<Vec<_>>())
}

fn cross_effects(
    series: &[Series<'_>],
    records: &[DemandRecord],
    categories: &BTreeMap<String, Population>,
) -> BTreeMap<String, CrossEffect> {
    let mut members: BTreeMap<&str, Vec<Held<'_, '_>>> = BTreeMap::new();
    // The first records are those of the SKUs, in the order of `series`.
    for (series, record) in series.iter().zip(records) {
        if let Some((category, elasticity)) = series.category.as_deref().zip(record.elasticity) {
            members.entry(category).or_default().push(Held { series, slope: elasticity.value });
        }
    }
    let slope_se = |name: &str| categories.get(name).map_or(0.0, |population| population.mean.se);
    cross::effects(&members, slope_se)
}
