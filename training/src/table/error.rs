//! Why a table is not fitted or scored: which file, which row and column, what value, what bound.

use std::path::PathBuf;

use nextbest_models::artifact::ArtifactError;

use crate::dataset::DatasetError;
use crate::event_log::columns::ColumnsError;
use crate::import::read::FileError;
use crate::learner::MIN_PER_CLASS;
use crate::selection::TrainError;

/// Why a table is not fitted or scored. Nothing is written after one of these.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// A file that cannot be read on.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither CSV nor Parquet.
    #[error("{}: a table is CSV (.csv .tsv .txt), plain or gzipped, or Parquet", .0.display())]
    Format(PathBuf),
    /// A Parquet column that has no text.
    #[error("{path}: {source}", path = .path.display())]
    Texts {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Box<ColumnsError>,
    },
    /// Two columns of one name.
    #[error("{}: two columns are named {column:?}", .path.display())]
    DuplicateColumn {
        /// The file.
        path: PathBuf,
        /// The name.
        column: String,
    },
    /// A row of another width than the header.
    #[error("{}:{row}: {found} cells under a header of {expected}", .path.display())]
    Ragged {
        /// The file.
        path: PathBuf,
        /// The line.
        row: u64,
        /// Cells in it.
        found: usize,
        /// Columns of the header.
        expected: usize,
    },
    /// A header and nothing else.
    #[error("{}: has a header and no rows", .0.display())]
    NoRows(PathBuf),
    /// An option names a column that is not there.
    #[error("{option}: {} has no column {column:?}{}", .path.display(), hint(.nearest))]
    UnknownColumn {
        /// The option.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// As named.
        column: String,
        /// A similar name that is there.
        nearest: Option<String>,
    },
    /// One column in two roles.
    #[error("{column:?} is named by {first} and by {second}; a column has one role")]
    TwoRoles {
        /// The column.
        column: String,
        /// An option.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// Ways to split rows that exclude each other.
    #[error("{0} and {1} both say how rows are split; give one")]
    TwoSplits(&'static str, &'static str),
    /// A cell that cannot be used.
    #[error("{}:{row}:{column}: {fault}", .path.display())]
    Cell {
        /// The file.
        path: PathBuf,
        /// The line of a CSV (its header is line 1), the row of a Parquet file (from 1).
        row: u64,
        /// The column.
        column: String,
        /// The value, and what is allowed.
        fault: String,
    },
    /// The label's value never occurs.
    #[error("{}: no row has {column} = {value:?}; there are {known}", .path.display())]
    LabelValue {
        /// The file.
        path: PathBuf,
        /// The label's column.
        column: String,
        /// As named.
        value: String,
        /// The values there are, with their rows.
        known: String,
    },
    /// Only one outcome.
    #[error("{}: every one of the {n_rows} rows with a label has {label}; both outcomes are needed", .path.display())]
    OneClass {
        /// The file.
        path: PathBuf,
        /// The label.
        label: String,
        /// Rows with a label.
        n_rows: u64,
    },
    /// Too few of one outcome.
    #[error("{}: {found} rows {which}; at least {MIN_PER_CLASS} are needed", .path.display())]
    TooFew {
        /// The file.
        path: PathBuf,
        /// `have churn=yes` or `do not have churn=yes`.
        which: String,
        /// How many there are.
        found: u64,
    },
    /// A part of the rows with one outcome.
    #[error("{part} has {n_rows} rows, all {which}; both outcomes are needed in each: {advice}")]
    OneClassPart {
        /// `fold 3`, `the test part`.
        part: String,
        /// Rows in it.
        n_rows: usize,
        /// `with the outcome` or `without the outcome`.
        which: &'static str,
        /// What the caller can do.
        advice: &'static str,
    },
    /// Too few or too many folds.
    #[error("{column:?} has {found} different values; {bound} are needed as {what}")]
    FoldCount {
        /// The column.
        column: String,
        /// Its values.
        found: usize,
        /// `2 to 50`.
        bound: String,
        /// `folds` or `groups`.
        what: &'static str,
    },
    /// Times that leave a part empty.
    #[error(
        "{column:?} has {found} different times; fit, calibrate and test need at least 3, and enough rows at each"
    )]
    Times {
        /// The column.
        column: String,
        /// Its different values.
        found: usize,
    },
    /// A time column whose cells can be read in two ways.
    #[error("--time-column: {column:?} cannot be ordered: {why}")]
    NoTime {
        /// The column.
        column: String,
        /// Why.
        why: String,
    },
    /// A monotone constraint on a column without order, or on no feature.
    #[error("--monotone: {column:?} {why}")]
    Monotone {
        /// The column.
        column: String,
        /// What it is.
        why: String,
    },
    /// No weight is above 0.
    #[error("{}: every weight in {column:?} is 0", .path.display())]
    NoWeight {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
    },
    /// Nothing to learn from.
    #[error("no column is left to learn from: {0}")]
    NoFeatures(String),
    /// The artifact was not fitted on a table.
    #[error(
        "the artifact was trained on a project's features (nextbest train), not on a table; the functions score it"
    )]
    NoTable,
    /// Reasons asked of an uplift model.
    #[error("--reasons: the artifact holds uplift, which has an interval and no reasons")]
    NoReasons,
    /// The table lacks columns the model reads.
    #[error("{}: the model reads {} columns that are not there: {}", .path.display(), .missing.len(), .missing.join(", "))]
    MissingColumns {
        /// The file.
        path: PathBuf,
        /// Their names, each with a similar one that is there.
        missing: Vec<String>,
    },
    /// The rows teach nothing.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// Rows that make no training set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// What was sealed does not open.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// Scores could not be written.
    #[error("scores could not be written: {0}")]
    Write(#[from] std::io::Error),
}

impl TableError {
    /// Whether the call is at fault, not the data: a file that is not there, a column nobody has, a table that does
    /// not fit the artifact, a constraint on a category.
    #[must_use]
    pub const fn is_wrong_call(&self) -> bool {
        match self {
            Self::File(error) => matches!(error, FileError::Open { .. } | FileError::Format(_)),
            Self::Format(_)
            | Self::UnknownColumn { .. }
            | Self::TwoRoles { .. }
            | Self::TwoSplits(..)
            | Self::LabelValue { .. }
            | Self::Monotone { .. }
            | Self::NoTable
            | Self::NoReasons
            | Self::MissingColumns { .. } => true,
            _ => false,
        }
    }
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or(String::new(), |name| format!("; did you mean {name:?}?"))
}
