//! Why no uplift is told of a table: the value, the bound and the place; and refusals, which are data.

use std::fmt;
use std::path::PathBuf;

use nextbest_models::artifact::ArtifactError;
use serde::Serialize;

use super::effect::Arm;
use crate::dataset::DatasetError;
pub use crate::elasticity::Fault;
use crate::elasticity::Interval;
use crate::import::read::FileError;
use crate::learner::LearnError;
use crate::table::TableError;

/// Why nothing can be learned of a sound table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// No row is treated.
    NoTreated,
    /// No row is control.
    NoControl,
    /// Every row has the same outcome.
    OneOutcome,
    /// Too few rows of one outcome in one arm.
    TooFewOutcomes,
    /// Treated and control rows have nothing in common.
    NoOverlap,
}

/// A refusal: what is told instead of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refusal {
    /// Why.
    pub code: RefusalCode,
    /// The same in a sentence.
    pub reason: String,
    /// Treated rows, where there are any.
    pub treated: Option<Arm>,
    /// Control rows, where there are any.
    pub control: Option<Arm>,
    /// The difference of the arms' means, where it can be told and treatment was not found to follow features.
    pub difference_of_means: Option<Interval>,
    /// No model.
    pub artifact_sha256: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = serde_json::to_value(self.code).ok();
        let code = code.as_ref().and_then(|code| code.as_str()).unwrap_or_default();
        write!(f, "{code}: {}", self.reason)
    }
}

/// Why no uplift is told.
#[derive(Debug, thiserror::Error)]
pub enum UpliftError {
    /// A table that cannot be read, or lacks a column.
    #[error(transparent)]
    Table(#[from] TableError),
    /// Cells that cannot be used; all of the file.
    #[error("{}: {}", .path.display(), told(.faults))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// By column and reason.
        faults: Vec<Fault>,
    },
    /// An arm's value never occurs, and others do.
    #[error("{option}: {}: no row has {column} = {value:?}; there are {known}", .path.display())]
    ArmValue {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// As named.
        value: String,
        /// The values there are, with their rows.
        known: String,
    },
    /// Both arms are the same rows.
    #[error("--treated and --control both name {0}; they are two arms")]
    OneArm(String),
    /// The table is sound and teaches nothing.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The learners failed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// Rows that make no training set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// What was sealed does not open.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

impl From<FileError> for UpliftError {
    fn from(error: FileError) -> Self {
        Self::Table(error.into())
    }
}

impl UpliftError {
    /// Whether the call is at fault, not the data.
    #[must_use]
    pub const fn is_wrong_call(&self) -> bool {
        match self {
            Self::Table(error) => error.is_wrong_call(),
            Self::ArmValue { .. } | Self::OneArm(_) => true,
            _ => false,
        }
    }
}

/// A refusal under way, which lacks the arms; or a failure of the learners.
#[derive(Debug)]
pub(super) enum Refused {
    Because(RefusalCode, String),
    Learn(LearnError),
}

impl From<LearnError> for Refused {
    fn from(error: LearnError) -> Self {
        Self::Learn(error)
    }
}

fn told(faults: &[Fault]) -> String {
    let fault = |fault: &Fault| {
        let Fault { column, bound, n, first } = fault;
        let places: Vec<String> = first.iter().map(|(row, text)| format!("{row}:{text:?}")).collect();
        let more = if *n > first.len() as u64 { ", ..." } else { "" };
        let cells = if *n == 1 { "1 cell is".to_owned() } else { format!("{n} cells are") };
        format!("{column}: {cells} not {bound} (row {}{more})", places.join(", "))
    };
    faults.iter().map(fault).collect::<Vec<_>>().join("; ")
}
