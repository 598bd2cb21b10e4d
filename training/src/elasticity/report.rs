//! What is told of a table's elasticities: numbers with their intervals, or why there is none, and what to do next.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{LeftOut, Method};
use crate::demand::estimate::Population;

/// A number with its standard error and 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The number.
    pub value: f64,
    /// Its standard error.
    pub se: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

impl Interval {
    /// `value` give or take `quantile` standard errors.
    #[must_use]
    pub fn of(value: f64, se: f64, quantile: f64) -> Self {
        Self { value, se, lo: value - quantile * se, hi: value + quantile * se }
    }

    /// In other units: `factor` of them to one of these.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        let ends = [factor * self.lo, factor * self.hi];
        let (lo, hi) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
        Self { value: factor * self.value, se: factor.abs() * self.se, lo, hi }
    }
}

/// How much the price varied; with `--linear` standard deviations over the mean price.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PriceVariation {
    /// Standard deviation of the log price.
    pub log_sd: f64,
    /// The same net of controls and fixed effects: what the slope is told from.
    pub net_log_sd: f64,
}

/// Why a group has no elasticity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLittle {
    /// The price moved too little once controls and fixed effects are known.
    VariationTooSmall,
    /// Too few rows for what is fitted.
    TooFewRows,
    /// Too few clusters to tell how sure a slope is.
    TooFewClusters,
}

/// What is told of one group, or of all rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupEstimate {
    /// The values of the `--by` columns; none for all rows.
    pub group: BTreeMap<String, String>,
    /// Rows.
    pub n: usize,
    /// Clusters; `None` where every row stands alone.
    pub n_clusters: Option<usize>,
    /// How much the price varied.
    pub price: PriceVariation,
    /// Units per unit of price, with `--linear` alone.
    pub slope: Option<Interval>,
    /// Change of quantity in percent when the price rises by one; with `--linear` at the means of both.
    pub elasticity: Option<Interval>,
    /// The elasticity drawn toward that of all groups, by how unsure it is.
    pub shrunk: Option<Interval>,
    /// Why there is no elasticity.
    pub code: Option<TooLittle>,
    /// The same in a sentence.
    pub reason: Option<String>,
    /// Controls left out, since others tell them already.
    pub dropped_controls: Vec<String>,
}

/// What is told of a table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ElasticityReport {
    /// The estimator.
    pub method: Method,
    /// `log_log` or `linear`.
    pub form: &'static str,
    /// Rows of the file.
    pub n_rows: u64,
    /// Rows used.
    pub n_used: usize,
    /// Rows left out.
    pub left_out: LeftOut,
    /// What each control was taken for: `number`, or `N names`.
    pub controls: BTreeMap<String, String>,
    /// All rows, a level for each group.
    pub pooled: GroupEstimate,
    /// By group, in the order of their values; empty without `--by`.
    pub groups: Vec<GroupEstimate>,
    /// Where the groups' elasticities come from.
    pub population: Option<Population>,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// What to do next.
    pub next: String,
}

/// What a reader of `pooled`, the estimate of all rows, should do next.
pub(super) fn next(pooled: &GroupEstimate, method: Method, adjusted: bool) -> String {
    let told = match &pooled.elasticity {
        None => {
            "Vary the price: set it at random some percent up or down in some stores or weeks, and fit again on those."
        }
        Some(elasticity) if elasticity.hi >= 0.0 => {
            "Do not price by this: it does not rule out that a higher price sells more. Name what moved price and \
             demand together in --controls or --fixed-effects, or set prices at random for a while."
        }
        Some(_) if !adjusted => {
            "If somebody who saw demand set these prices, the elasticity is biased: name what they saw in --controls or \
             --fixed-effects, and compare --method dml."
        }
        Some(_) if method == Method::Ols => {
            "Compare --method dml, which lets controls bend and interact; where both agree, price within the range of \
             prices seen."
        }
        Some(_) => "Price within the range of prices seen, and check by a price set at random.",
    };
    told.to_owned()
}
