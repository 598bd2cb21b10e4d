//! Price elasticity from a plain table: price, quantity, and what else moved both.
//!
//! [`fit`] reads a table once into a [`panel`], absorbs fixed effects, takes out controls, and tells a slope with its
//! interval for every group and for all rows; where the price varied too little to tell, it says so and gives no
//! number. `ols` and `dml` are the two ways, `choice` is another question: whom buyers choose where several prices are
//! on the shelf. Nothing here reads an event log (`demand` does), seals an artifact, or knows why a price was set.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nextbest_models::units::Seed;
use serde::Serialize;

pub mod choice;
mod design;
mod dml;
mod error;
mod enough;
mod groups;
mod names;
mod nuisance;
mod ols;
mod panel;
mod report;
pub(crate) mod weeks;

pub use error::{ElasticityError, Fault};
pub use groups::fit;
pub use report::{ElasticityReport, GroupEstimate, Interval, PriceVariation, TooLittle};

/// How the slope is estimated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Least squares: controls enter as straight lines.
    Ols,
    /// Double machine learning: controls enter as boosted trees, cross-fitted.
    Dml,
}

/// What to fit, and how.
#[derive(Clone, Debug)]
pub struct ElasticityOptions {
    /// The table: CSV(.gz) or Parquet.
    pub table: PathBuf,
    /// Units sold, above 0 where their logarithm is taken.
    pub quantity: String,
    /// The quantity's column holds logarithms.
    pub log_quantity: bool,
    /// The price of a unit, above 0 where its logarithm is taken.
    pub price: String,
    /// The price's column holds logarithms.
    pub log_price: bool,
    /// Quantity on price, no logarithm on either side: the answer is a slope.
    pub linear: bool,
    /// Columns whose values, together, name a group with an elasticity of its own.
    pub by: Vec<String>,
    /// Columns that may have moved price and quantity together: numbers, or names.
    pub controls: Vec<String>,
    /// Columns whose every value has a level of its own, taken out of both sides.
    pub fixed_effects: Vec<String>,
    /// Rows of one value may have errors in common.
    pub cluster: Option<String>,
    /// The estimator.
    pub method: Method,
    /// Leave out, and count, rows whose logarithm does not exist, instead of refusing them.
    pub drop_nonpositive: bool,
    /// Of every split.
    pub seed: Seed,
}

/// Rows left out, by why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// A cell that is needed is missing, by column.
    pub missing: BTreeMap<String, u64>,
    /// No logarithm exists, and the caller had such rows left out.
    pub nonpositive: u64,
}

#[cfg(test)]
mod tests;
