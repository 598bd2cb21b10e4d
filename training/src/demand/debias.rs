//! From series of weeks to what [`weeks::debias`] takes, for shops that never set a price at random.

use std::collections::BTreeMap;

use nextbest_models::units::Seed;

use super::fit::{DemandOptions, Series, Which};
use super::slopes::enough;
use crate::elasticity::weeks::{self, Debiased, SkuWeek};
use crate::metrics::Estimate;

/// Most weeks without sales, of all: their logarithm does not exist, and leaving out many would bend the slope.
const MAX_SILENT: f64 = 0.05;
/// Of the splits: nothing else of the demand model is drawn, so that its caller has no seed to give.
const SEED: Seed = Seed(1);

/// Puts de-biased slopes in the place of plain ones, where they can be told: the pooled one, and what a reader should
/// know.
pub(super) fn take(series: &mut [Series<'_>], options: &DemandOptions) -> (Option<Estimate>, Option<String>) {
    if series.iter().all(|series| series.own.is_none()) {
        return (None, None);
    }
    match slopes(series, options) {
        Ok((found, number_of)) => {
            for (series, number) in series.iter_mut().zip(number_of) {
                // A SKU with too few weeks in a row is believed to be as the others are.
                series.own = number.and_then(|number| found.by_sku[number as usize]);
            }
            let note = "debiased: slopes are net of the two weeks before, by double machine learning; shocks within a week \
                        that moved price and demand at once are in no week before, and still bias them";
            (Some(found.pooled), Some(note.to_owned()))
        }
        Err(why) => (None, Some(format!("not_debiased: slopes are plain ones: {why}"))),
    }
}

/// De-biased slopes with each series' number among them, `None` for those that tell too little; or why there are none.
fn slopes(
    series: &[Series<'_>],
    options: &DemandOptions,
) -> Result<(Debiased, Vec<Option<u32>>), &'static str> {
    let told: Vec<usize> = (0..series.len()).filter(|&at| enough(&series[at], Which::All, options)).collect();
    let weeks = || told.iter().flat_map(|&at| series[at].weeks.iter());
    let (n_silent, n) = (weeks().filter(|week| week.units <= 0).count(), weeks().count());
    if n_silent as f64 > MAX_SILENT * n as f64 {
        return Err("too many weeks without sales, whose logarithm does not exist");
    }
    let (rows, number_of) = weeks_with_two_before(series, &told, options);
    match weeks::debias(&rows, SEED) {
        Ok(Some(found)) => Ok((found, number_of)),
        Ok(None) => Err("too few SKUs or weeks in a row"),
        Err(_) => Err("levels of SKUs and weeks are entangled"),
    }
}

/// The weeks of `told` that follow two others, all with sales; and the number each series has among them.
fn weeks_with_two_before(
    series: &[Series<'_>],
    told: &[usize],
    options: &DemandOptions,
) -> (Vec<SkuWeek>, Vec<Option<u32>>) {
    let mut members: BTreeMap<Option<&str>, u32> = BTreeMap::new();
    told.iter().for_each(|&at| *members.entry(series[at].category.as_deref()).or_default() += 1);
    // A category of few SKUs shares its weeks with all others of that kind: a level of its own would take the price too.
    let many = |category: &Option<&str>| members[category] as usize >= options.min_week_skus;
    let mut week_of: BTreeMap<(Option<&str>, i32), u32> = BTreeMap::new();
    let (mut rows, mut number_of) = (Vec::new(), vec![None; series.len()]);
    let mut n_skus = 0;
    for &at in told {
        let before = rows.len();
        let of = &series[at];
        let category = Some(of.category.as_deref()).filter(many).flatten();
        for place in 2..of.weeks.len() {
            let [first, second, now] = [place - 2, place - 1, place].map(|place| of.weeks[place]);
            let in_a_row = first.week + 2 == now.week && second.week + 1 == now.week;
            if !in_a_row || [first, second, now].iter().any(|week| week.units <= 0) {
                continue;
            }
            let next = week_of.len() as u32;
            let week = *week_of.entry((category, now.week)).or_insert(next);
            let [log_first, log_second, log_units] =
                [first, second, now].map(|week| (week.units as f64).ln());
            rows.push(SkuWeek {
                sku: n_skus,
                week,
                log_units,
                log_price: of.x[place],
                before: [log_second, log_first, of.x[place - 1], of.x[place - 2]],
            });
        }
        if rows.len() > before {
            number_of[at] = Some(n_skus);
            n_skus += 1;
        }
    }
    (rows, number_of)
}
