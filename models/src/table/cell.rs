//! From the text of a cell to the number a model takes.

use std::collections::HashMap;

use super::{CellKind, MissingTokens, TableSchema, TimeForm};

/// What a cell says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Reading {
    /// A finite number.
    Known(f64),
    /// Nothing: NaN.
    Missing,
    /// A level that was not there in fitting, or too rare for a code of its own. Holds the code that the rare ones
    /// share, or NaN where there is none.
    Unseen(f64),
}

impl Reading {
    /// The number of a model's row.
    #[must_use]
    pub const fn value(self) -> f64 {
        match self {
            Self::Known(value) | Self::Unseen(value) => value,
            Self::Missing => f64::NAN,
        }
    }
}

/// Why a cell cannot be read; `text` is the cell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellFault {
    /// A column of numbers.
    #[error("{0:?} is no number, the other cells of the column are")]
    NoNumber(String),
    /// Infinite, or beyond the largest double.
    #[error("{0:?} is infinite; a number is finite, or missing")]
    Infinite(String),
    /// A column of times.
    #[error("{text:?} is no date of the form {form}", form = .form.pattern())]
    NoTime {
        /// The cell.
        text: String,
        /// The column's form.
        form: TimeForm,
    },
}

/// A decimal number, as floats are printed (`-1.5e-3`); infinite where it says so or overflows. `None` for anything
/// else, `nan` among it.
#[must_use]
pub fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| !value.is_nan())
}

/// Reads the cells of rows by the schema it was made from.
#[derive(Clone, Debug)]
pub struct RowReader {
    columns: Vec<Codes>,
    missing: MissingTokens,
    /// Missing tokens that are numbers, such as -999.
    sentinels: Vec<String>,
}

#[derive(Clone, Debug)]
enum Codes {
    Number,
    Time(TimeForm),
    Boolean { yes: String, no: String },
    Category { code: HashMap<String, u32>, other: f64 },
}

impl RowReader {
    /// A reader of the features of `schema`.
    #[must_use]
    pub fn new(schema: &TableSchema) -> Self {
        let codes = schema.columns.iter().map(|column| match &column.kind {
            CellKind::Number => Codes::Number,
            CellKind::Time(form) => Codes::Time(*form),
            CellKind::Boolean { yes, no } => Codes::Boolean { yes: yes.clone(), no: no.clone() },
            CellKind::Category { levels, other } => {
                let other = if *other { levels.len() as f64 } else { f64::NAN };
                Codes::Category {
                    code: (0..).zip(levels).map(|(code, level)| (level.clone(), code)).collect(),
                    other,
                }
            }
        });
        let (columns, missing) = (codes.collect(), schema.missing.clone());
        let sentinels = missing.anywhere.iter().filter(|token| number(token).is_some()).cloned().collect();
        Self { columns, missing, sentinels }
    }

    /// How many features a row has.
    #[must_use]
    pub const fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// The cell `text` of feature `column` (one past the last is missing); blanks around it do not count.
    pub fn read(&self, column: usize, text: &str) -> Result<Reading, CellFault> {
        let text = text.trim();
        match self.columns.get(column) {
            None => Ok(Reading::Missing),
            Some(_) if text.is_empty() => Ok(Reading::Missing),
            Some(Codes::Number) => self.number(text),
            Some(Codes::Time(form)) => match form.days(text) {
                Some(days) => Ok(Reading::Known(days)),
                None if self.missing.among_numbers(text) => Ok(Reading::Missing),
                None => Err(CellFault::NoTime { text: text.to_owned(), form: *form }),
            },
            Some(Codes::Boolean { yes, no }) => Ok(match text {
                _ if text.eq_ignore_ascii_case(yes) => Reading::Known(1.0),
                _ if text.eq_ignore_ascii_case(no) => Reading::Known(0.0),
                _ if self.missing.anywhere(text) => Reading::Missing,
                _ => Reading::Unseen(f64::NAN),
            }),
            Some(Codes::Category { code, other }) => Ok(match code.get(text) {
                Some(&code) => Reading::Known(f64::from(code)),
                None if self.missing.anywhere(text) => Reading::Missing,
                None => Reading::Unseen(*other),
            }),
        }
    }

    fn number(&self, text: &str) -> Result<Reading, CellFault> {
        match number(text) {
            Some(_) if self.sentinels.iter().any(|sentinel| sentinel == text) => Ok(Reading::Missing),
            // -0 is 0: learners and tables of codes must not tell them apart.
            Some(value) if value.is_finite() => Ok(Reading::Known(value + 0.0)),
            Some(_) => Err(CellFault::Infinite(text.to_owned())),
            None if self.missing.among_numbers(text) => Ok(Reading::Missing),
            None => Err(CellFault::NoNumber(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{LabelValue, TableColumn};

    fn reader() -> RowReader {
        let kinds = [
            CellKind::Number,
            CellKind::Time(TimeForm::DaySlash),
            CellKind::Boolean { yes: "yes".into(), no: "no".into() },
            CellKind::Category { levels: vec!["a".into(), "b".into()], other: true },
            CellKind::Category { levels: vec!["a".into(), "None".into()], other: false },
        ];
        let columns =
            kinds.into_iter().map(|kind| TableColumn { name: kind.name().to_owned(), kind }).collect();
        RowReader::new(&TableSchema {
            key: None,
            label: LabelValue { column: "y".into(), value: "1".into() },
            time_column: None,
            columns,
            left_out: vec![],
            missing: MissingTokens::with(&["-999".into()]),
        })
    }

    #[test]
    fn cells_of_every_kind_are_read() {
        let reader = reader();
        let read = |column, text| reader.read(column, text).unwrap();
        assert_eq!(read(0, " -1.5e1 "), Reading::Known(-15.0));
        assert!(matches!(read(0, "-0"), Reading::Known(zero) if zero.is_sign_positive()));
        assert_eq!(read(1, "02/01/1970"), Reading::Known(1.0));
        assert_eq!((read(2, "YES"), read(2, "no")), (Reading::Known(1.0), Reading::Known(0.0)));
        assert_eq!((read(3, "b"), read(3, "z")), (Reading::Known(1.0), Reading::Unseen(2.0)));
        assert_eq!(read(4, "None"), Reading::Known(1.0), "a level, not a missing token");
        assert!(matches!(read(4, "z"), Reading::Unseen(code) if code.is_nan()));
        assert!(matches!(read(2, "maybe"), Reading::Unseen(code) if code.is_nan()));
        for (column, text) in
            [(0, "?"), (0, "-999"), (0, "NaN"), (1, "-"), (2, "NA"), (3, ""), (3, " null "), (9, "1")]
        {
            assert_eq!(read(column, text), Reading::Missing, "{column} {text}");
        }
        assert!(Reading::Missing.value().is_nan());
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_text() {
        let fault = |column, text| reader().read(column, text).unwrap_err().to_string();
        assert_eq!(fault(0, "12 EUR"), "\"12 EUR\" is no number, the other cells of the column are");
        assert_eq!(fault(0, "1e999"), "\"1e999\" is infinite; a number is finite, or missing");
        assert_eq!(fault(0, "-inf"), "\"-inf\" is infinite; a number is finite, or missing");
        assert_eq!(fault(1, "soon"), "\"soon\" is no date of the form DD/MM/YYYY");
    }
}
