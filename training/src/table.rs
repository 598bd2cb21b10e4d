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

pub use error::TableError;
pub use fit::{Fit, KeyedPrediction, Progress, fit};
pub use folds::{N_FOLDS, PartCount, SplitReport};
pub use guard::{Duplicates, FixedOutcome, LEAK_AUC, SuspectedLeak};
pub use options::FitOptions;
pub(crate) use options::find;
pub(crate) use read::{Rows, TableFile};
pub use report::{ColumnReport, FitReport};
pub use score::{ScoreOptions, ScoreReport, score};

#[cfg(test)]
mod tests;
