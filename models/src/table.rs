//! A plain table: what its columns mean, and how a raw cell becomes a number, the same in fitting and in scoring.
//!
//! A [`TableSchema`] is inferred once, from the table a model is fitted on, and travels in the artifact. A
//! [`RowReader`] made from it turns the texts of a row into the numbers the model takes: quantities as they are,
//! times as days since 1970-01-01, yes and no as 1 and 0, categories as codes, missing as NaN. Reading files is the
//! caller's.

use serde::{Deserialize, Serialize};

use crate::digest::sha256_hex;

mod cell;
mod time;

pub use cell::{CellFault, Reading, RowReader, number};
pub use time::TimeForm;

/// Most levels of a category that get a code of their own; further ones share the code behind the last.
pub const MAX_LEVELS: usize = 254;

/// Texts that stand for a missing cell in a column of any kind.
pub const MISSING_ANYWHERE: [&str; 11] =
    ["", "NA", "N/A", "n/a", "#N/A", "null", "NULL", "Null", "nan", "NaN", "NAN"];
/// Texts that stand for a missing cell only where the others are numbers or times: elsewhere they may be levels.
pub const MISSING_AMONG_NUMBERS: [&str; 7] = ["?", "-", "--", ".", "None", "none", "NONE"];

/// The texts that stand for a missing cell; cells are compared without the blanks around them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingTokens {
    /// In a column of any kind.
    pub anywhere: Vec<String>,
    /// Only among numbers and times.
    pub among_numbers: Vec<String>,
}

impl MissingTokens {
    /// The conventional texts, and `more` that count in every column.
    #[must_use]
    pub fn with(more: &[String]) -> Self {
        let mut anywhere = MISSING_ANYWHERE.map(str::to_owned).to_vec();
        for token in more.iter().map(|token| token.trim()) {
            if !anywhere.iter().any(|known| known == token) {
                anywhere.push(token.to_owned());
            }
        }
        Self { anywhere, among_numbers: MISSING_AMONG_NUMBERS.map(str::to_owned).to_vec() }
    }

    /// Whether `text`, trimmed, is missing in a column of any kind.
    #[must_use]
    pub fn anywhere(&self, text: &str) -> bool {
        self.anywhere.iter().any(|token| token == text)
    }

    /// Whether `text`, trimmed, is missing in a column of numbers or times.
    #[must_use]
    pub fn among_numbers(&self, text: &str) -> bool {
        self.anywhere(text) || self.among_numbers.iter().any(|token| token == text)
    }
}

/// What the cells of a feature column are, and with it how they are read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellKind {
    /// Decimal numbers.
    Number,
    /// Dates or times of one form, read as days since 1970-01-01 (UTC), the time of day as a fraction.
    Time(TimeForm),
    /// Two texts, compared without case: 1 and 0.
    Boolean {
        /// Reads as 1.
        yes: String,
        /// Reads as 0.
        no: String,
    },
    /// Texts of which only equality counts: level `n` reads as code `n`.
    Category {
        /// The most frequent first, at most [`MAX_LEVELS`].
        levels: Vec<String>,
        /// Whether there were more: they, and those never seen, read as code `levels.len()`. Without, a level never
        /// seen is missing.
        other: bool,
    },
}

impl CellKind {
    /// One word for reports: `number`, `time`, `boolean`, `category`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Time(_) => "time",
            Self::Boolean { .. } => "boolean",
            Self::Category { .. } => "category",
        }
    }

    /// Whether its numbers are codes, of which only equality means something.
    #[must_use]
    pub const fn is_code(&self) -> bool {
        matches!(self, Self::Category { .. })
    }
}

/// One feature column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableColumn {
    /// Its name in the header.
    pub name: String,
    /// What its cells are.
    pub kind: CellKind,
}

/// Why a column of the fitted table is no feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftOut {
    /// It names the rows.
    Key,
    /// It holds the outcome.
    Label,
    /// It holds the weights.
    Weight,
    /// It dates the rows.
    Time,
    /// It holds the folds.
    Fold,
    /// It holds the groups.
    Group,
    /// It says who was treated, or with what probability.
    Treatment,
    /// The caller said so.
    Dropped,
    /// Missing in every row.
    Empty,
    /// One value in every row.
    Constant,
    /// Nearly every value distinct, and no measurement.
    IdLike,
    /// Sentences.
    FreeText,
    /// Dates of which day and month cannot be told apart.
    AmbiguousDate,
    /// Numbers written with currency, percent or thousands separators.
    WrittenNumber,
    /// It alone nearly decides the outcome.
    SuspectedLeak,
}

/// The outcome a model predicts: `column` has `value`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelValue {
    /// The column.
    pub column: String,
    /// Its value where the outcome happened, without blanks around it.
    pub value: String,
}

impl LabelValue {
    /// Whether `text`, trimmed, is the value: the same text, or the same number (`1` and `1.0`).
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.value == text || number(&self.value).is_some_and(|value| number(text) == Some(value))
    }
}

/// What a model's table looks like: enough to read another of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableSchema {
    /// The column that names a row; absent, its number does.
    pub key: Option<String>,
    /// The outcome.
    pub label: LabelValue,
    /// The column by which rows were ordered in time, if any.
    pub time_column: Option<String>,
    /// The features, in the order of a row.
    pub columns: Vec<TableColumn>,
    /// The other columns of the fitted table, in its order.
    pub left_out: Vec<(String, LeftOut)>,
    /// What counts as missing.
    pub missing: MissingTokens,
}

impl TableSchema {
    /// SHA-256 in hex of everything it says: the same columns, kinds and levels give the same.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // Structs of texts always serialise.
        let json = serde_json::to_vec(self).unwrap_or_default();
        sha256_hex(&[b"nextbest table 1\n".as_slice(), &json].concat())
    }

    /// The features' names, in the order of a row.
    #[must_use]
    pub fn feature_names(&self) -> Vec<String> {
        self.columns.iter().map(|column| column.name.clone()).collect()
    }

    /// The levels of feature `feature` where it is a category.
    #[must_use]
    pub fn levels(&self, feature: usize) -> &[String] {
        match self.columns.get(feature).map(|column| &column.kind) {
            Some(CellKind::Category { levels, .. }) => levels,
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> TableSchema {
        TableSchema {
            key: Some("id".into()),
            label: LabelValue { column: "left".into(), value: "1".into() },
            time_column: None,
            columns: vec![
                TableColumn { name: "age".into(), kind: CellKind::Number },
                TableColumn {
                    name: "plan".into(),
                    kind: CellKind::Category { levels: vec!["basic".into()], other: false },
                },
                TableColumn { name: "since".into(), kind: CellKind::Time(TimeForm::Iso) },
            ],
            left_out: vec![("id".into(), LeftOut::Key)],
            missing: MissingTokens::with(&["-999".into(), "NA".into()]),
        }
    }

    #[test]
    fn a_schema_travels_as_json_and_keeps_its_fingerprint() {
        let json = serde_json::to_string(&schema()).unwrap();
        let back: TableSchema = serde_json::from_str(&json).unwrap();
        assert_eq!((back.fingerprint(), &back), (schema().fingerprint(), &schema()));
        let mut other = schema();
        other.columns[1].kind = CellKind::Category { levels: vec!["basic".into()], other: true };
        assert_ne!(other.fingerprint(), schema().fingerprint());
        assert_eq!(schema().levels(1), ["basic"]);
        assert!(schema().levels(0).is_empty() && schema().levels(9).is_empty());
    }

    #[test]
    fn a_label_is_its_text_or_its_number() {
        let label = schema().label;
        assert!(label.is("1") && label.is("1.0") && !label.is("10") && !label.is("yes"));
        let text = LabelValue { column: "y".into(), value: "Yes".into() };
        assert!(text.is("Yes") && !text.is("yes"));
    }

    #[test]
    fn some_tokens_are_missing_only_among_numbers() {
        let missing = schema().missing;
        assert!(missing.anywhere("-999") && missing.anywhere("") && missing.among_numbers("NA"));
        assert!(!missing.anywhere("None") && missing.among_numbers("None"));
        assert_eq!(missing.anywhere.iter().filter(|token| *token == "NA").count(), 1);
    }
}
