//! The purchase model: P(purchase | price, customer, SKU), the demand of one person for one SKU at each of its prices.
//!
//! A propensity model whose rows are a customer's features with the columns of an item behind and those of its price last.
//! The price columns are all scaled so that they rise with the price, and the model is constrained to fall along each of them, so no
//! probability ever rises with a price. [`Purchase::probabilities`] scores all rungs of a ladder in one walk.
//! The same code fills the columns for the showings a model is fitted on and for the prices it is asked of.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::propensity::{PropensityModel, Rows};
use crate::units::Probability;

/// The name of the model in the artifact.
pub const PURCHASE: &str = "purchase";
/// The columns of an item: the code of its category, how often it sells when shown (log-odds), the logarithm of its list
/// price in minor units.
pub const ITEM_COLUMNS: [&str; 3] = ["item_category", "item_level", "item_log_list_price"];
/// How many of [`ITEM_COLUMNS`] are codes; they come first.
pub const N_CODES: usize = 1;
/// The first price column: the logarithm of the price over the list price.
pub const PRICE_COLUMN: &str = "price_log_ratio";
/// Most categories that have a slope of their own; the others share one.
pub const MAX_SLOPES: usize = 24;
/// Showings that stand for the category beside those of a SKU, so that a few say little.
const PRIOR_SHOWINGS: f64 = 50.0;
/// Log-odds of levels lie within this distance of 0.
const LEVEL_BOUND: f64 = 12.0;

/// `[purchases]` of nextbest.toml: what a price shown leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurchaseRule {
    /// Days after the showing within which an order of that SKU counts, 1 to 365.
    pub horizon_days: i32,
    /// Features by which customers may differ in how a price moves them, for the model of coefficients; trees find theirs.
    #[serde(default)]
    pub price_by: Vec<String>,
    /// Most showings that are learned from, drawn evenly; at least 1,000.
    #[serde(default = "max_rows")]
    pub max_rows: u64,
}

const fn max_rows() -> u64 {
    40_000
}

/// A feature by which slopes differ, brought to 0 ..= 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct PriceBy {
    /// Its place among the features.
    pub feature: usize,
    /// Taken as 0.
    pub lo: f64,
    /// Taken as 1; above `lo`.
    pub hi: f64,
}

impl PriceBy {
    /// Where `features` stand between the bounds; the middle where it is missing.
    fn share(&self, features: &[f64]) -> f64 {
        let x = features.get(self.feature).copied().filter(|x| x.is_finite());
        x.map_or(0.5, |x| ((x - self.lo) / (self.hi - self.lo)).clamp(0.0, 1.0))
    }
}

/// Showings, and purchases among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShowingTally {
    /// Showings.
    pub n_shown: u64,
    /// Those that a purchase followed.
    pub n_bought: u64,
}

impl ShowingTally {
    /// Adds what another counted.
    pub const fn add(&mut self, other: Self) {
        self.n_shown += other.n_shown;
        self.n_bought += other.n_bought;
    }

    /// The share bought, with [`PRIOR_SHOWINGS`] showings of share `prior` beside.
    fn share(self, prior: f64) -> f64 {
        (self.n_bought as f64 + PRIOR_SHOWINGS * prior) / (self.n_shown as f64 + PRIOR_SHOWINGS)
    }
}

/// How often SKUs sell when shown, at whatever price, as log-odds: a SKU shrunk to its category, a category to all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PurchaseLevels {
    skus: BTreeMap<String, f64>,
    categories: BTreeMap<String, f64>,
    all: f64,
}

impl PurchaseLevels {
    /// From the tallies of SKUs, each with its category where one is known.
    #[must_use]
    pub fn new(tallies: &BTreeMap<String, (Option<String>, ShowingTally)>) -> Self {
        let (mut all, mut by_category) = (ShowingTally::default(), BTreeMap::<&str, ShowingTally>::new());
        for (category, tally) in tallies.values() {
            all.add(*tally);
            if let Some(category) = category {
                by_category.entry(category).or_default().add(*tally);
            }
        }
        // Half a purchase more and half a showing less keep the share off 0 and 1.
        let overall = (all.n_bought as f64 + 0.5) / (all.n_shown as f64 + 1.0);
        let category_share = |category: Option<&str>| {
            category.and_then(|name| by_category.get(name)).map_or(overall, |tally| tally.share(overall))
        };
        let skus = tallies.iter().map(|(sku, (category, tally))| {
            (sku.clone(), log_odds(tally.share(category_share(category.as_deref()))))
        });
        Self {
            skus: skus.collect(),
            categories: by_category
                .iter()
                .map(|(name, tally)| ((*name).to_owned(), log_odds(tally.share(overall))))
                .collect(),
            all: log_odds(overall),
        }
    }

    /// Of `sku`, else of its category, else of all.
    #[must_use]
    pub fn of(&self, sku: &str, category: Option<&str>) -> f64 {
        let known = self.skus.get(sku).or_else(|| self.categories.get(category?));
        known.copied().unwrap_or(self.all)
    }
}

fn log_odds(share: f64) -> f64 {
    (share / (1.0 - share)).ln().clamp(-LEVEL_BOUND, LEVEL_BOUND)
}

/// What a purchase model is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PurchaseSpec {
    /// What it predicts.
    pub rule: PurchaseRule,
    /// The categories with a code and a slope of their own, by code; all others have the code behind the last.
    pub categories: Vec<String>,
    /// The features by which slopes differ, in the order of the rule.
    pub price_by: Vec<PriceBy>,
    /// How often SKUs sell when shown.
    pub levels: PurchaseLevels,
}

/// An item whose prices are asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownItem<'a> {
    /// Stock-keeping unit.
    pub sku: &'a str,
    /// Its category, where one is known.
    pub category: Option<&'a str>,
    /// Its list price, in minor units; at least 1.
    pub list_price_minor: i64,
}

impl PurchaseSpec {
    /// How many columns stand behind the features.
    #[must_use]
    pub const fn n_columns(&self) -> usize {
        ITEM_COLUMNS.len() + self.n_price_columns()
    }

    const fn n_price_columns(&self) -> usize {
        1 + self.categories.len() + 2 * self.price_by.len()
    }

    /// The names of the price columns, in order; the model falls along each.
    pub fn price_columns(&self) -> impl Iterator<Item = String> {
        let of_category = self.categories.iter().map(|name| format!("{PRICE_COLUMN}_in_{name}"));
        let of_feature =
            self.rule.price_by.iter().flat_map(|name| {
                [format!("{PRICE_COLUMN}_by_{name}"), format!("{PRICE_COLUMN}_against_{name}")]
            });
        [PRICE_COLUMN.to_owned()].into_iter().chain(of_category).chain(of_feature)
    }

    /// Appends the columns of `item` at `price_minor` to `row`, which holds the features; `level` is what
    /// [`PurchaseLevels::of`] says of it, or would without this row.
    pub fn append(&self, item: ShownItem<'_>, level: f64, price_minor: i64, row: &mut Vec<f64>) {
        let code = self.code(item.category);
        let log_list = (item.list_price_minor.max(1) as f64).ln();
        let n_features = row.len();
        row.extend([f64::from(u32::try_from(code).unwrap_or(u32::MAX)), level, log_list]);
        let ratio = (price_minor.max(1) as f64).ln() - log_list;
        row.push(ratio);
        row.extend((0..self.categories.len()).map(|at| if at == code { ratio } else { 0.0 }));
        // Both sides of a feature: any slope that is linear in it and nowhere rises is a sum of the two.
        for by in &self.price_by {
            let share = by.share(&row[..n_features]);
            row.extend([ratio * share, ratio * (1.0 - share)]);
        }
    }

    fn code(&self, category: Option<&str>) -> usize {
        let found = category.and_then(|name| self.categories.iter().position(|known| known == name));
        found.unwrap_or(self.categories.len())
    }
}

/// The purchase model of an artifact, ready to be asked.
#[derive(Clone, Copy, Debug)]
pub struct PurchaseModel<'a> {
    model: &'a PropensityModel,
    spec: &'a PurchaseSpec,
}

impl<'a> PurchaseModel<'a> {
    /// Of a propensity model, if it is one.
    #[must_use]
    pub fn of(model: &'a PropensityModel) -> Option<Self> {
        Some(Self { model, spec: model.metadata().purchase.as_ref()? })
    }

    /// The propensity model.
    #[must_use]
    pub const fn propensity(&self) -> &'a PropensityModel {
        self.model
    }

    /// The probability that the customer of `features` (in the artifact's order; missing is NaN) buys `item` when shown
    /// each of `prices_minor`; it never rises with the price.
    #[must_use]
    pub fn probabilities(
        &self,
        features: &[f64],
        item: ShownItem<'_>,
        prices_minor: &[i64],
    ) -> Vec<Probability> {
        let level = self.spec.levels.of(item.sku, item.category);
        let width = features.len() + self.spec.n_columns();
        let mut rows = Vec::with_capacity(width * prices_minor.len());
        let mut row = Vec::with_capacity(width);
        for &price in prices_minor {
            row.clear();
            row.extend_from_slice(features);
            self.spec.append(item, level, price, &mut row);
            rows.extend_from_slice(&row);
        }
        self.model.score_alike(
            Rows::new(&rows, width),
            prices_minor.len(),
            features.len() + ITEM_COLUMNS.len(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> PurchaseSpec {
        let rule = PurchaseRule { horizon_days: 1, price_by: vec!["orders".to_owned()], max_rows: 1000 };
        let tally = |n_shown, n_bought| ShowingTally { n_shown, n_bought };
        let tallies = BTreeMap::from([
            ("A".to_owned(), (Some("tea".to_owned()), tally(950, 95))),
            ("B".to_owned(), (Some("tea".to_owned()), tally(0, 0))),
            ("C".to_owned(), (None, tally(50, 45))),
        ]);
        PurchaseSpec {
            rule,
            categories: vec!["tea".to_owned()],
            price_by: vec![PriceBy { feature: 1, lo: 2.0, hi: 6.0 }],
            levels: PurchaseLevels::new(&tallies),
        }
    }

    #[test]
    fn levels_are_shrunk_to_what_is_known_above() {
        let levels = spec().levels;
        let share = |level: f64| 1.0 / (1.0 + (-level).exp());
        let overall = 140.5 / 1001.0;
        let tea = (95.0 + 50.0 * overall) / 1000.0;
        let equal = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        equal(share(levels.of("unknown", None)), overall);
        equal(share(levels.of("unknown", Some("tea"))), tea);
        equal(share(levels.of("B", Some("tea"))), tea);
        equal(share(levels.of("A", Some("tea"))), (95.0 + 50.0 * tea) / 1000.0);
        equal(share(levels.of("C", None)), (45.0 + 50.0 * overall) / 100.0);
        assert!(PurchaseLevels::new(&BTreeMap::new()).of("any", None).is_finite());
    }

    #[test]
    fn every_price_column_rises_with_the_price() {
        let spec = spec();
        let item = |category| ShownItem { sku: "A", category, list_price_minor: 1000 };
        for (orders, category) in
            [(f64::NAN, Some("tea")), (0.0, None), (3.0, Some("tea")), (9.0, Some("cups"))]
        {
            let row = |price| {
                let mut row = vec![7.0, orders];
                spec.append(item(category), -2.0, price, &mut row);
                assert_eq!(row.len(), 2 + spec.n_columns());
                row
            };
            let (low, at_list, high) = (row(800), row(1000), row(1200));
            assert_eq!(low[2..5], high[2..5]);
            assert_eq!(at_list[5], 0.0);
            assert!((5..row(1).len()).all(|at| low[at] <= at_list[at] && at_list[at] <= high[at]));
            // The two sides of a feature sum to the price.
            assert!((high[7] + high[8] - high[5]).abs() < 1e-15);
        }
        assert_eq!(spec.price_columns().count(), spec.n_columns() - ITEM_COLUMNS.len());
    }
}
