//! Why no lifetime value is told of a table: the value, the bound and the place.

use std::path::PathBuf;

use nextbest_models::artifact::ArtifactError;
use serde::Serialize;

use super::covariates::MAX_COVARIATES;
use crate::table::TableError;

/// Places a fault names.
pub(super) const N_PLACES: usize = 5;

/// Cells that cannot be used for one reason: how many, and where the first stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LifetimeFault {
    /// The column, or columns.
    pub column: String,
    /// What is asked of them.
    pub bound: &'static str,
    /// How many rows break it.
    pub n: u64,
    /// Line (CSV, its header is line 1) or row (Parquet, from 1) and text of the first.
    pub first: Vec<(u64, String)>,
}

/// Why the rows tell no model, by code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Untold {
    /// Nobody bought twice.
    AllOneTimeBuyers,
    /// Too few bought twice.
    TooFewRepeaters,
    /// No top was found.
    NoConvergence,
    /// The top is a ridge or lies at infinity: the rows do not tell a parameter.
    NotIdentified,
    /// No value was asked for.
    NoValueColumn,
}

impl Untold {
    /// As it is written in answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AllOneTimeBuyers => "all_one_time_buyers",
            Self::TooFewRepeaters => "too_few_repeaters",
            Self::NoConvergence => "no_convergence",
            Self::NotIdentified => "not_identified",
            Self::NoValueColumn => "no_value_column",
        }
    }
}

/// Why nothing is told.
#[derive(Debug, thiserror::Error)]
pub enum LifetimeError {
    /// A table that cannot be read, or lacks a column.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Rows that cannot be used; all of the file.
    #[error("{}: {}", .path.display(), told(.faults))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// By column and reason.
        faults: Vec<LifetimeFault>,
    },
    /// Rows that tell no model.
    #[error("{}: {}: {reason}", .path.display(), .code.as_str())]
    Untold {
        /// The file.
        path: PathBuf,
        /// Why.
        code: Untold,
        /// The same in a sentence.
        reason: String,
    },
    /// A calibration that ends where there is nothing to calibrate on, or to hold against.
    #[error("--calibration-end {end}: purchases lie from {first} to {last}; it must lie between the two")]
    Calibration {
        /// As asked.
        end: String,
        /// First purchase.
        first: String,
        /// End of the observation.
        last: String,
    },
    /// One column for two things.
    #[error("{0} and {1} name one column, {2:?}")]
    NamedTwice(&'static str, &'static str, String),
    /// More covariates than are fitted.
    #[error("--covariate names {0} columns; at most {MAX_COVARIATES} are fitted")]
    TooManyCovariates(usize),
    /// Purchases, for a model that asks for more of a customer.
    #[error("the model asks for {}: a row per customer, not per purchase, tells them (--table)", .0.join(", "))]
    NoCovariates(Vec<String>),
    /// An artifact without a lifetime model.
    #[error("the artifact has no lifetime-value model (nextbest fit-clv seals one)")]
    NoLifetimeModel,
    /// What was sealed does not open.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Scores could not be written.
    #[error("scores could not be written: {0}")]
    Write(#[from] std::io::Error),
}

impl LifetimeError {
    /// Whether the call is at fault, not the data.
    #[must_use]
    pub const fn is_wrong_call(&self) -> bool {
        match self {
            Self::Table(error) => error.is_wrong_call(),
            Self::Calibration { .. }
            | Self::NamedTwice(..)
            | Self::TooManyCovariates(_)
            | Self::NoCovariates(_)
            | Self::NoLifetimeModel => true,
            _ => false,
        }
    }
}

fn told(faults: &[LifetimeFault]) -> String {
    let fault = |fault: &LifetimeFault| {
        let LifetimeFault { column, bound, n, first } = fault;
        let places: Vec<String> = first.iter().map(|(row, text)| format!("{row}:{text:?}")).collect();
        let more = if *n > first.len() as u64 { ", ..." } else { "" };
        let rows = if *n == 1 { "1 row is".to_owned() } else { format!("{n} rows are") };
        format!("{column}: {rows} not {bound} (row {}{more})", places.join(", "))
    };
    faults.iter().map(fault).collect::<Vec<_>>().join("; ")
}
