//! Lifetime values from a plain table: of purchases with their dates, or of one row a customer.
//!
//! [`fit`] reads the table once, collapses it to grouped summaries, finds BG/NBD and Gamma-Gamma by maximum likelihood
//! ([`likelihood`], [`spend`], over [`optimum`]), says how sure the parameters are and how well the model fits, follows it
//! into a holdout, and seals it. [`score`] tells every customer of a table by a sealed model. What a summary means and
//! what is told of it lives in `nextbest_models::value`; nothing here reads an event log.

use std::path::PathBuf;

use nextbest_models::units::{Day, Seed};
use nextbest_models::value::{Horizon, TimeUnit};

mod error;
mod cells;
mod read;
mod purchases;
mod grouped;
mod optimum;
mod likelihood;
mod spend;
mod covariates;
mod draw;
mod bootstrap;
mod goodness;
mod tracking;
mod report;
mod fit;
mod folded;
mod bounds;
mod contest;
mod realised;
mod history;
mod score;

pub use cells::day;
pub use contest::{RealisedCode, RealisedReport, ValueError};
pub use covariates::{CovariateReport, CovariatesReport, MAX_COVARIATES};
pub use error::{LifetimeError, LifetimeFault, Untold};
pub use fit::{LifetimeFit, fit};
pub use folded::{FoldedReport, LIFETIME, TrainedLifetime, fit_folded};
pub use history::{ValueHistory, ValuePlan, ValueReport};
pub use realised::REALISED;
pub use report::{
    Bootstrap, Correlation, Frequency, GoodnessOfFit, LifetimeReport, PurchaseParameters, SpendParameters,
    SpendReport,
};
pub use score::{LifetimeScoreOptions, LifetimeScoreReport, score};
pub use tracking::{Holdout, HoldoutFrequency, Week};

/// Where customers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A row per purchase.
    Transactions(Transactions),
    /// A row per customer.
    Summary(SummaryTable),
}

/// A table of purchases, in any order. Several of one customer on one day are one purchase, their values added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transactions {
    /// The table: CSV(.gz) or Parquet.
    pub table: PathBuf,
    /// Who bought.
    pub customer: String,
    /// When: `20260131`, or ISO 8601, whose time of day does not count.
    pub date: String,
    /// For how much.
    pub value: Option<String>,
    /// The end of the observation, itself included; by default the last date. A later purchase is a fault.
    pub observation_end: Option<Day>,
}

/// A table of summaries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryTable {
    /// The table: CSV(.gz) or Parquet.
    pub table: PathBuf,
    /// Repeat purchases.
    pub x: String,
    /// Time of the last purchase since the first.
    pub t_x: String,
    /// Time from the first purchase to the end of the observation.
    pub age: String,
    /// Mean value of the repeat purchases; 0 or missing where there is none.
    pub value: Option<String>,
    /// Numbers that are known of every customer and move when they buy and leave; at most [`MAX_COVARIATES`].
    pub covariates: Vec<String>,
}

impl Source {
    /// The table.
    #[must_use]
    pub const fn table(&self) -> &PathBuf {
        match self {
            Self::Transactions(source) => &source.table,
            Self::Summary(source) => &source.table,
        }
    }
}

/// What to fit, and how.
#[derive(Clone, Debug)]
pub struct LifetimeOptions {
    /// The model's name.
    pub name: String,
    /// The customers.
    pub source: Source,
    /// In what time is counted; of a summary, in what it was.
    pub unit: TimeUnit,
    /// Fit up to this day, itself included, and hold what follows against it; of transactions alone.
    pub calibration_end: Option<Day>,
    /// How far lifetime values look.
    pub horizon: Horizon,
    /// Runs of the parametric bootstrap; 0 for none.
    pub bootstrap: usize,
    /// Of the bootstrap's draws.
    pub seed: Seed,
}

#[cfg(test)]
mod tests;
