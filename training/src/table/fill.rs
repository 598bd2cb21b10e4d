//! The second pass over a table: every row with a label becomes numbers, with what says where it belongs.

use nextbest_models::customer::CustomerId;
use nextbest_models::table::{LabelValue, Reading, RowReader, TableSchema, TimeForm, number};
use nextbest_models::units::{DAY_MS, Timestamp};
use rayon::prelude::*;

use super::distinct::{Distinct, hash};
use super::error::TableError;
use super::options::Roles;
use super::read::{Rows, TableFile};
use crate::dataset::{Column, Dataset};

/// The rows with a label, in the order of the file.
pub(crate) struct Filled {
    pub(crate) dataset: Dataset,
    pub(crate) outcomes: Vec<bool>,
    /// A hash of the text that binds a row to others: its group, or else its key.
    pub(crate) bonds: Vec<u64>,
    /// Where a time column is named: one number per row.
    pub(crate) times: Vec<f64>,
    /// Where a fold column is named: its text, per row.
    pub(crate) folds: Vec<String>,
    /// Different keys.
    pub(crate) keys: u64,
    /// Cells per feature that read as the code of rare levels.
    pub(crate) n_other: Vec<u64>,
}

/// What the columns of one table mean.
pub(crate) struct Meaning<'a> {
    pub(crate) roles: &'a Roles,
    pub(crate) schema: &'a TableSchema,
    /// What the training set calls its label.
    pub(crate) label_name: &'a str,
    /// The place of each feature in the header.
    pub(crate) places: &'a [usize],
    /// The form of the time column, where it is no column of numbers.
    pub(crate) time_form: Option<TimeForm>,
}

/// Reads `file` again. `n_rows` have a label; `progress` is told the rows read.
pub(crate) fn fill(
    file: TableFile,
    meaning: &Meaning<'_>,
    n_rows: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Filled, TableError> {
    let columns = meaning.schema.columns.iter().map(|column| {
        let of = if column.kind.is_code() { Column::code } else { Column::numeric };
        of(column.name.as_str())
    });
    let mut dataset = Dataset::new(columns.collect(), vec![meaning.label_name.to_owned()])?;
    dataset.reserve(usize::try_from(n_rows).unwrap_or(0));
    let mut filling = Filling {
        meaning,
        reader: RowReader::new(meaning.schema),
        path: file.path().clone(),
        keys: Distinct::new(usize::MAX),
        weights: Vec::new(),
        filled: Filled {
            dataset,
            outcomes: Vec::new(),
            bonds: Vec::new(),
            times: Vec::new(),
            folds: Vec::new(),
            keys: 0,
            n_other: vec![0; meaning.schema.columns.len()],
        },
    };
    let names = file.names.clone();
    let mut n_read = 0;
    for rows in file {
        let rows = rows?;
        filling.take(&rows, &names, n_read)?;
        n_read += rows.len() as u64;
        progress(n_read);
    }
    filling.finish(&names)
}

struct Filling<'a> {
    meaning: &'a Meaning<'a>,
    reader: RowReader,
    path: std::path::PathBuf,
    keys: Distinct,
    weights: Vec<f64>,
    filled: Filled,
}

impl Filling<'_> {
    /// Takes some rows; `n_before` came before them.
    fn take(&mut self, rows: &Rows, names: &[String], n_before: u64) -> Result<(), TableError> {
        let (roles, width) = (self.meaning.roles, self.reader.n_columns());
        let mut values = vec![f64::NAN; rows.len() * width];
        let read: Vec<Result<Vec<usize>, TableError>> = values
            .par_chunks_mut(width)
            .enumerate()
            .map(|(at, row)| self.features(rows, at, names, row))
            .collect();
        // In their order, so that of several faults the first is told.
        for rare in read {
            rare?.into_iter().for_each(|feature| self.filled.n_other[feature] += 1);
        }
        for (at, row) in values.chunks(width).enumerate() {
            if let Some(outcome) = outcome(&self.meaning.schema.label, rows.cell(at, roles.label), roles) {
                let place = rows.place(at);
                self.row(rows, at, n_before + at as u64 + 1, outcome, row).map_err(|(column, fault)| {
                    let (path, column) = (self.path.clone(), names[column].clone());
                    TableError::Cell { path, row: place, column, fault }
                })?;
            }
        }
        Ok(())
    }

    /// Takes one row with its outcome and features; the fault has its column.
    fn row(
        &mut self,
        rows: &Rows,
        at: usize,
        number: u64,
        outcome: bool,
        features: &[f64],
    ) -> Result<(), (usize, String)> {
        let roles = self.meaning.roles;
        let key = match roles.key.map(|column| (column, rows.cell(at, column))) {
            Some((column, "")) => return Err((column, "the key is missing".to_owned())),
            Some((_, key)) => key.to_owned(),
            None => number.to_string(),
        };
        if let Some(column) = roles.weight {
            self.weights.push(weight(rows.cell(at, column), roles).map_err(|fault| (column, fault))?);
        }
        if let Some(column) = roles.time {
            let time = self.time(rows.cell(at, column)).map_err(|fault| (column, fault))?;
            self.filled.times.push(time);
        }
        let present = |column, what| {
            let text = present(rows.cell(at, column), roles, what);
            text.map_err(|fault| (column, fault))
        };
        if let Some(column) = roles.fold {
            self.filled.folds.push(present(column, "fold")?.to_owned());
        }
        let bond = roles.group.map_or(Ok(key.as_str()), |column| present(column, "group"))?;
        self.filled.bonds.push(hash(bond));
        self.keys.add(&key);
        let key_column = roles.key.unwrap_or(roles.label);
        let customer = CustomerId::new(key).map_err(|error| (key_column, error.to_string()))?;
        let dated = self.filled.times.last().filter(|_| self.meaning.time_form.is_some());
        let moment = dated.and_then(|days| instant(*days)).unwrap_or(UNDATED);
        let pushed = self.filled.dataset.push(customer, moment, features, &[Some(outcome)]);
        pushed.map_err(|error| (key_column, error.to_string()))?;
        self.filled.outcomes.push(outcome);
        Ok(())
    }

    /// The features of one row into `row`; those that read as rare levels are given back.
    fn features(
        &self,
        rows: &Rows,
        at: usize,
        names: &[String],
        row: &mut [f64],
    ) -> Result<Vec<usize>, TableError> {
        let mut rare = Vec::new();
        for (feature, (&column, value)) in self.meaning.places.iter().zip(row).enumerate() {
            let reading =
                self.reader.read(feature, rows.cell(at, column)).map_err(|fault| TableError::Cell {
                    path: self.path.clone(),
                    row: rows.place(at),
                    column: names[column].clone(),
                    fault: fault.to_string(),
                })?;
            if matches!(reading, Reading::Unseen(_)) {
                rare.push(feature);
            }
            *value = reading.value();
        }
        Ok(rare)
    }

    fn time(&self, text: &str) -> Result<f64, String> {
        let value = match self.meaning.time_form {
            Some(form) => form.days(text),
            None => number(text).filter(|value| value.is_finite()),
        };
        value.ok_or_else(|| match self.meaning.time_form {
            Some(form) => {
                format!("{text:?} is no date of the form {}; every row needs its time", form.pattern())
            }
            None => format!("{text:?} is no finite number; every row needs its time"),
        })
    }

    fn finish(mut self, names: &[String]) -> Result<Filled, TableError> {
        if let Some(column) = self.meaning.roles.weight {
            if self.weights.iter().all(|weight| *weight == 0.0) {
                return Err(TableError::NoWeight { path: self.path, column: names[column].clone() });
            }
            self.filled.dataset.set_weights(self.weights)?;
        }
        self.filled.keys = self.keys.count();
        Ok(self.filled)
    }
}

/// The outcome a cell of the label's column says; `None` where it is missing.
pub(crate) fn outcome(label: &LabelValue, text: &str, roles: &Roles) -> Option<bool> {
    if label.is(text) {
        return Some(true);
    }
    (!text.is_empty() && !roles.tokens.anywhere(text)).then_some(false)
}

fn weight(text: &str, roles: &Roles) -> Result<f64, String> {
    let text_or_missing =
        if roles.tokens.among_numbers(text) { "missing".to_owned() } else { format!("{text:?}") };
    match number(text) {
        Some(weight) if weight.is_finite() && weight >= 0.0 => Ok(weight),
        _ => Err(format!("the weight is {text_or_missing}; a weight is a finite number, at least 0")),
    }
}

fn present<'a>(text: &'a str, roles: &Roles, what: &str) -> Result<&'a str, String> {
    let is_missing = text.is_empty() || roles.tokens.anywhere(text);
    if is_missing { Err(format!("the {what} is missing; every row needs one")) } else { Ok(text) }
}

/// Of rows without a date.
pub(crate) const UNDATED: Timestamp = Timestamp::MIN;

/// The instant `days` after 1970-01-01, within what can be said.
pub(crate) fn instant(days: f64) -> Option<Timestamp> {
    // Bounded by the years of the calendar, far inside i64.
    Timestamp::from_millis((days * DAY_MS as f64).round() as i64).ok()
}
