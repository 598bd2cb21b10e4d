//! Why no elasticity is told of a table: the value, the bound and the place.

use std::path::PathBuf;

use crate::table::TableError;

/// Cells of one column that cannot be used for one reason: how many, and where the first stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The column.
    pub column: String,
    /// What is asked of a cell: `a finite number`.
    pub bound: &'static str,
    /// How many cells break it.
    pub n: u64,
    /// Line (CSV, its header is line 1) or row (Parquet, from 1) and text of the first.
    pub first: Vec<(u64, String)>,
}

/// Why no elasticity is told.
#[derive(Debug, thiserror::Error)]
pub enum ElasticityError {
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
    /// No row is left.
    #[error("{}: no row is left of {n_rows}: {why}", .path.display())]
    NoRowLeft {
        /// The file.
        path: PathBuf,
        /// Rows of the file.
        n_rows: u64,
        /// Where they went.
        why: String,
    },
    /// One price throughout.
    #[error(
        "{}: {column:?} is {value} in every one of the {n_rows} rows; a price that never moved tells no elasticity",
        .path.display()
    )]
    ConstantPrice {
        /// The file.
        path: PathBuf,
        /// The price's column.
        column: String,
        /// The one price.
        value: String,
        /// Rows.
        n_rows: usize,
    },
    /// A name given twice to one option.
    #[error("{option}: {column:?} is named twice")]
    NamedTwice {
        /// The option.
        option: &'static str,
        /// The column.
        column: String,
    },
    /// A control of too many names to give each a column.
    #[error(
        "--controls: {column:?} has {found} different names, at most {bound} are controls; in --fixed-effects there is no bound"
    )]
    TooManyLevels {
        /// The column.
        column: String,
        /// Its names.
        found: usize,
        /// The bound.
        bound: usize,
    },
    /// Options that exclude each other.
    #[error("{0}")]
    Options(&'static str),
    /// Levels that could not be taken out.
    #[error(
        "--fixed-effects: {columns} are entangled: after {sweeps} sweeps the last still moved {moved:.1e} standard deviations, above {bound:.0e}"
    )]
    NotAbsorbed {
        /// The columns.
        columns: String,
        /// Sweeps taken.
        sweeps: usize,
        /// The last change.
        moved: f64,
        /// The bound.
        bound: f64,
    },
    /// The trees' library failed.
    #[error("boosted trees: {0}")]
    Trees(#[from] hessboost::error::HessboostError),
}

impl ElasticityError {
    /// Whether the call is at fault, not the data.
    #[must_use]
    pub const fn is_wrong_call(&self) -> bool {
        match self {
            Self::Table(error) => error.is_wrong_call(),
            Self::NamedTwice { .. } | Self::TooManyLevels { .. } | Self::Options(_) => true,
            _ => false,
        }
    }
}

pub(super) fn told(faults: &[Fault]) -> String {
    let fault = |fault: &Fault| {
        let Fault { column, bound, n, first } = fault;
        let places: Vec<String> = first.iter().map(|(row, text)| format!("{row}:{text:?}")).collect();
        let more = if *n > first.len() as u64 { ", ..." } else { "" };
        let cells = if *n == 1 { "1 cell is".to_owned() } else { format!("{n} cells are") };
        format!("{column}: {cells} not {bound} (row {}{more})", places.join(", "))
    };
    let told: Vec<String> = faults.iter().map(fault).collect();
    let hint = if faults.iter().any(|fault| fault.bound == ABOVE_ZERO) {
        "; --drop-nonpositive leaves out rows without a logarithm, --linear takes none"
    } else {
        ""
    };
    format!("{}{hint}", told.join("; "))
}

/// What is asked where a logarithm is taken.
pub(super) const ABOVE_ZERO: &str = "above 0, where its logarithm is taken";
/// What is asked of every number.
pub(super) const FINITE: &str = "a finite number";
