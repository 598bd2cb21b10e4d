//! What a fit has to tell: the columns and what became of them, the rows and their folds, what was suspicious, and the
//! quality of every candidate.

use std::collections::BTreeMap;

use nextbest_models::table::{CellKind, LeftOut};
use nextbest_models::units::{Seed, Timestamp};
use serde::Serialize;

use super::folds::SplitReport;
use super::guard::{Duplicates, SuspectedLeak};
use super::profile::Profile;
use crate::selection::PropensityReport;

/// Levels that a report names.
const N_NAMED: usize = 5;

/// One column of the table.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnReport {
    /// Its name.
    pub name: String,
    /// `number`, `time`, `boolean`, `category` of a feature; absent for others.
    pub kind: Option<&'static str>,
    /// Why it is no feature.
    pub left_out: Option<LeftOut>,
    /// What else there is to say of it.
    pub note: String,
    /// Rows where it is missing.
    pub n_missing: u64,
    /// Rows by the text that stood for missing.
    pub missing: BTreeMap<String, u64>,
    /// Different known cells; of many fractions at least so many.
    pub n_distinct: u64,
    /// Whether that is exact.
    pub distinct_exact: bool,
    /// Smallest and largest number.
    pub range: Option<(f64, f64)>,
    /// Its most frequent texts with their rows.
    pub frequent: Vec<(String, u64)>,
    /// Levels with a code of their own.
    pub n_levels: Option<usize>,
    /// Rows of rarer levels, which share one.
    pub n_other: u64,
}

impl ColumnReport {
    pub(crate) fn new(name: &str, profile: &Profile, kind: Option<&CellKind>) -> Self {
        let mut missing = profile.missing.clone();
        if matches!(kind, Some(CellKind::Number | CellKind::Time(_))) {
            missing.extend(profile.missing_among_numbers.clone());
        }
        let is_text = profile.n_texts > 0 || matches!(kind, Some(CellKind::Category { .. }));
        let frequent =
            if is_text { profile.levels().into_iter().take(N_NAMED).collect() } else { Vec::new() };
        let n_levels = kind.and_then(|kind| match kind {
            CellKind::Category { levels, .. } => Some(levels.len()),
            _ => None,
        });
        let note = match kind {
            Some(CellKind::Time(form)) => format!("{} as days since 1970-01-01", form.pattern()),
            Some(CellKind::Boolean { yes, no }) => format!("{yes} is 1, {no} is 0"),
            _ => String::new(),
        };
        Self {
            name: name.to_owned(),
            kind: kind.map(CellKind::name),
            left_out: None,
            note,
            n_missing: missing.values().sum(),
            missing,
            n_distinct: profile.n_distinct(),
            distinct_exact: profile.is_exact(),
            range: profile.range,
            frequent,
            n_levels,
            n_other: 0,
        }
    }
}

/// All that a fit has to tell.
#[derive(Clone, Debug, Serialize)]
pub struct FitReport {
    /// The model's name.
    pub name: String,
    /// The file's name.
    pub table: String,
    /// Its SHA-256, in hex.
    pub table_sha256: String,
    /// The label, as `column=value`.
    pub label: String,
    /// Rows of the file.
    pub n_rows: u64,
    /// Rows without a label, left out.
    pub n_unlabelled: u64,
    /// Rows with the outcome.
    pub n_positive: u64,
    /// Rows whose key stands in an earlier row too; they are kept, in its fold.
    pub n_repeated_keys: u64,
    /// Every column, in the file's order.
    pub columns: Vec<ColumnReport>,
    /// Columns that may know the outcome; those not kept by name are left out.
    pub suspected_leaks: Vec<SuspectedLeak>,
    /// Rows that stand twice.
    pub duplicates: Duplicates,
    /// How rows were split.
    pub split: SplitReport,
    /// The latest time of the time column.
    pub trained_through: Option<Timestamp>,
    /// Of every random choice.
    pub seed: Seed,
    /// SHA-256 of the schema that the artifact reads tables by.
    pub schema_fingerprint: String,
    /// SHA-256 of the artifact.
    pub artifact_sha256: String,
    /// Every candidate and the quality of the chosen one.
    pub propensity: PropensityReport,
    /// What a reader should know.
    pub notes: Vec<String>,
}
