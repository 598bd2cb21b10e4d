//! What weeks are like beside prices: all SKUs in one week, and a category's over the weeks around it, as seasons are.

use std::collections::BTreeMap;

use super::fit::DemandOptions;

/// Weeks to either side over which a category's season is taken to be one.
const REACH: i32 = 3;
/// Weeks of such a season: in each of them as many SKUs tell as of a week of all.
const WINDOW: usize = 2 * REACH as usize + 1;
/// The furthest from the usual that a week may be, in ln(units).
const FURTHEST: f64 = 5.0;

/// Units of some SKU-weeks, those expected without effects of weeks, and SKU-weeks.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    units: f64,
    expected: f64,
    n: usize,
}

/// By category, none for SKUs without, and week.
#[derive(Debug, Default)]
pub(super) struct Sums(BTreeMap<Option<String>, BTreeMap<i32, Sum>>);

/// Effects of weeks on ln(units).
#[derive(Debug, Default)]
pub(super) struct Weeks {
    all: BTreeMap<i32, f64>,
    seasons: BTreeMap<Option<String>, BTreeMap<i32, f64>>,
}

impl Sum {
    fn add(&mut self, other: Self, factor: f64) {
        self.units += other.units;
        self.expected += factor * other.expected;
        self.n += other.n;
    }

    /// Where there are at least `n_least` SKU-weeks, and something was sold.
    fn effect(self, n_least: usize) -> Option<f64> {
        let told = self.n >= n_least && self.units > 0.0;
        told.then(|| (self.units / self.expected).ln().clamp(-FURTHEST, FURTHEST))
    }
}

impl Sums {
    /// Adds one SKU-week.
    pub(super) fn add(&mut self, category: Option<&String>, week: i32, units: f64, expected: f64) {
        let weeks = self.0.entry(category.cloned()).or_default();
        weeks.entry(week).or_default().add(Sum { units, expected, n: 1 }, 1.0);
    }
}

impl Weeks {
    /// The effect of `week` on a SKU of `category`.
    pub(super) fn effect(&self, category: Option<&String>, week: i32) -> f64 {
        self.all.get(&week).copied().unwrap_or(0.0) + self.season(category, week)
    }

    fn season(&self, category: Option<&String>, week: i32) -> f64 {
        let season = self.seasons.get(&category.cloned()).and_then(|season| season.get(&week));
        season.copied().unwrap_or(0.0)
    }

    /// The effects that `sums` tell, the other kind of them held as it is.
    pub(super) fn told(&self, sums: &[Sums], options: &DemandOptions) -> Self {
        let rows = || {
            let weeks = sums.iter().flat_map(|sums| &sums.0);
            weeks.flat_map(|(category, weeks)| weeks.iter().map(move |(week, sum)| (category, *week, *sum)))
        };
        let mut all: BTreeMap<i32, Sum> = BTreeMap::new();
        for (category, week, sum) in rows() {
            all.entry(week).or_default().add(sum, self.season(category.as_ref(), week).exp());
        }
        let effect = |(week, sum): (i32, Sum)| Some((week, sum.effect(options.min_week_skus)?));
        let all: BTreeMap<i32, f64> = all.into_iter().filter_map(effect).collect();
        let mut around: BTreeMap<Option<String>, BTreeMap<i32, Sum>> = BTreeMap::new();
        for (category, week, sum) in rows().filter(|(category, ..)| category.is_some()) {
            let factor = all.get(&week).copied().unwrap_or(0.0).exp();
            let weeks = around.entry(category.clone()).or_default();
            (week - REACH..=week + REACH).for_each(|week| weeks.entry(week).or_default().add(sum, factor));
        }
        let season = |(category, weeks): (Option<String>, BTreeMap<i32, Sum>)| {
            let told = weeks.into_iter();
            let told =
                told.filter_map(|(week, sum)| Some((week, sum.effect(WINDOW * options.min_week_skus)?)));
            (category, told.collect())
        };
        Self { all, seasons: around.into_iter().map(season).collect() }
    }
}
