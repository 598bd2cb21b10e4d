//! The difference an action makes, from a table of treated and untreated rows.
//!
//! [`fit`] reads the two arms of a table, tells the average effect, and learns for whom it is larger: three learners
//! over boosted trees and the constant effect compete out of fold, by a loss whose expectation is least at the truth
//! (`choose`), and the simplest that cannot be told from the best is calibrated and sealed. What decides who was
//! treated (`assignment`) is a constant, a column, or estimated. Nothing here knows what an outcome is worth, or whom
//! to contact.

use std::path::PathBuf;

use nextbest_models::table::LabelValue;
use nextbest_models::units::Seed;
use serde::Serialize;

mod table;
mod balance;
mod trial;
mod answered;
mod assignment;
mod crossfit;
mod learners;
mod line;
mod study;
mod choose;
mod curve;
mod effect;
mod refuse;
mod fit;
mod report;
mod error;
mod project;

pub use answered::Answers;
pub use assignment::{AssignmentReport, Basis, Overlap};
pub use balance::Differing;
pub use choose::UpliftCandidate;
pub use curve::{CurvePoint, Decile, Ranking, TopShare};
pub use effect::{Arm, AverageEffect, Overlapping};
pub use error::{Fault, Refusal, RefusalCode, UpliftError};
pub use fit::{FittedUplift, KeyedUplift, fit};
pub use learners::Method;
pub use project::{ContactDays, ProjectUplift, UpliftPlan};
pub use report::{LineReport, NoRanking, UpliftReport};

/// The outcome: a column of 0 and 1, or a column with the value that counts as 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeColumn {
    /// The column.
    pub column: String,
    /// Its value where the outcome happened; absent, cells are 0 or 1.
    pub value: Option<String>,
}

/// Which learners compete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// All, and the constant effect: the simplest that cannot be told from the best.
    Auto,
    /// The learner of the least loss, though it may not be told from the constant effect: where a list must be ordered.
    Best,
    /// This one is taken whatever it is worth.
    Only(Method),
}

/// What the caller says of who was treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// Randomised, unless features tell the arms apart.
    Auto,
    /// Drawn at random with one probability.
    Randomised,
    /// Chosen by what the features hold.
    Observed,
}

/// What to fit, and how.
#[derive(Clone, Debug)]
pub struct UpliftOptions {
    /// The table: CSV(.gz) or Parquet.
    pub table: PathBuf,
    /// The model's name.
    pub name: String,
    /// The column that names a row; rows of one key stay in one fold.
    pub key: Option<String>,
    /// Rows that were treated.
    pub treated: LabelValue,
    /// Rows that were not.
    pub control: LabelValue,
    /// What is to be brought about.
    pub outcome: OutcomeColumn,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Columns to keep although they look like ids, sentences or leaks.
    pub keep: Vec<String>,
    /// Columns whose cells are names, whatever they look like.
    pub category: Vec<String>,
    /// Texts that count as missing besides the conventional ones.
    pub missing: Vec<String>,
    /// Folds as given.
    pub fold_column: Option<String>,
    /// The probability with which a row's treatment was chosen, logged: P(treated), inside 0 to 1.
    pub treatment_probability: Option<String>,
    /// What is said of who was treated, where no column holds probabilities.
    pub design: Design,
    /// Which learners compete.
    pub learner: Choice,
    /// Of every random choice.
    pub seed: Seed,
}

#[cfg(test)]
mod tests;
