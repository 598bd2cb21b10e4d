//! Any table is enough: a CSV(.gz) or Parquet file in, a sealed model out; and scores of another such file.
//!
//! [`fit`] reads the file twice: once to infer what its columns are, once to fill numbers in, so that it is never held
//! as texts. What would mislead a learner is left out and named, what cannot be used is refused with its place.
//! [`score`] reads a file by the schema inside the artifact, row by row. No learner is called but through
//! [`crate::selection::train`].

mod read;
mod options;
mod distinct;
mod profile;
mod survey;
mod infer;
mod columns;
mod fill;
mod folds;
mod split;
mod guard;
mod fit;
mod report;
mod score;
mod error;

pub(crate) use columns::Inferred;
pub(crate) use distinct::hash as bond;
pub use error::TableError;
pub(crate) use fill::UNDATED;
pub use fit::{Fit, KeyedPrediction, Progress, fit};
pub use folds::{N_FOLDS, PartCount, SplitReport};
pub(crate) use folds::{by_column, by_hash, fold_of as fold_by_hash};
pub use guard::{Duplicates, FixedOutcome, LEAK_AUC, SuspectedLeak};
pub(crate) use guard::{Levels, leaks};
pub(crate) use infer::Wish;
pub use options::FitOptions;
pub(crate) use options::{Roles, find};
pub(crate) use profile::Profile;
pub(crate) use read::{Rows, TableFile};
pub use report::{ColumnReport, FitReport};
pub use score::{ScoreOptions, ScoreReport, score};

#[cfg(test)]
mod tests;
