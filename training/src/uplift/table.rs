//! Two arms of a table as numbers: one pass for what the columns are and every cell that cannot be used, one to fill
//! numbers in. Rows of neither arm, and rows without an outcome, are counted and not read further. No statistics here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nextbest_models::customer::CustomerId;
use nextbest_models::table::{LabelValue, LeftOut, MissingTokens, RowReader, number};
use rayon::prelude::*;

use super::UpliftOptions;
use super::error::{Fault, UpliftError};
use super::trial::Trial;
use crate::dataset::{Column, Dataset};
use crate::learner::Monotone;
use crate::table::{
    FitOptions, Inferred, N_FOLDS, Profile, Roles, Rows, TableError, TableFile, UNDATED, Wish, bond,
    by_column, by_hash, find,
};

/// Places a fault names.
const N_PLACES: usize = 5;
/// Values of an arm's column that are kept, and named.
const N_KEPT: usize = 1_000;
const N_NAMED: usize = 10;

/// What a table holds for uplift.
pub(super) struct Arms {
    pub(super) trial: Trial,
    pub(super) inferred: Inferred,
    pub(super) roles: Roles,
    pub(super) counts: Counts,
    /// What split the rows: `fold_column`, `key` or `row`, and the column.
    pub(super) split: (&'static str, Option<String>),
}

/// Rows of the file, by what became of them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) n_rows: u64,
    pub(super) n_neither: u64,
    pub(super) n_without_outcome: u64,
}

/// The places of the columns with a role.
struct Places {
    treated: usize,
    control: usize,
    outcome: usize,
    key: Option<usize>,
    fold: Option<usize>,
    probability: Option<usize>,
}

/// What the first pass finds.
pub(super) struct Surveyed {
    file: TableFileAgain,
    places: Places,
    roles: Roles,
    profiles: Vec<Profile>,
    pub(super) counts: Counts,
    /// Rows with and without the outcome: of control, of treated.
    pub(super) outcomes: [[u64; 2]; 2],
    values: [BTreeMap<String, u64>; 2],
}

/// A table that will be opened again.
struct TableFileAgain {
    path: PathBuf,
    names: Vec<String>,
}

/// The first pass; refuses cells that cannot be used, all of them.
pub(super) fn survey(options: &UpliftOptions) -> Result<Surveyed, UpliftError> {
    if options.treated == options.control {
        let LabelValue { column, value } = &options.treated;
        return Err(UpliftError::OneArm(format!("{column}={value}")));
    }
    let file = TableFile::open(&options.table)?;
    let (places, roles) = bind(options, &file)?;
    let names = file.names.clone();
    let of_names = |at: usize| roles.wishes[at].category;
    let profiles =
        (0..names.len()).map(|at| if of_names(at) { Profile::of_names() } else { Profile::default() });
    let mut surveyed = Surveyed {
        file: TableFileAgain { path: file.path().clone(), names },
        places,
        profiles: profiles.collect(),
        roles,
        counts: Counts::default(),
        outcomes: [[0; 2]; 2],
        values: [BTreeMap::new(), BTreeMap::new()],
    };
    let mut faults = Faults::default();
    for rows in file {
        surveyed.take(&rows?, options, &mut faults);
    }
    if surveyed.counts.n_rows == 0 {
        return Err(TableError::NoRows(options.table.clone()).into());
    }
    surveyed.check_values(options)?;
    faults.finish(&surveyed.file.path)?;
    Ok(surveyed)
}

/// Finds the columns that `options` name; each has one role.
fn bind(options: &UpliftOptions, file: &TableFile) -> Result<(Places, Roles), UpliftError> {
    let mut taken: BTreeMap<usize, &'static str> = BTreeMap::new();
    let mut left_out = vec![None; file.names.len()];
    let mut take = |option: &'static str, name: &str, reason: LeftOut| -> Result<usize, TableError> {
        let at = find(file, option, name)?;
        let both_arms = |first| [first, option] == ["--treated", "--control"];
        match taken.insert(at, option) {
            Some(first) if first != option && !both_arms(first) => {
                return Err(TableError::TwoRoles { column: file.names[at].clone(), first, second: option });
            }
            _ => {}
        }
        left_out[at] = Some(reason);
        Ok(at)
    };
    let mut maybe = |option, name: &Option<String>, reason| {
        name.as_ref().map(|name| take(option, name, reason)).transpose()
    };
    let key = maybe("--key", &options.key, LeftOut::Key)?;
    let fold = maybe("--fold-column", &options.fold_column, LeftOut::Fold)?;
    let logged = &options.treatment_probability;
    let probability = maybe("--treatment-probability", logged, LeftOut::Treatment)?;
    let outcome = take("--outcome", &options.outcome.column, LeftOut::Label)?;
    let treated = take("--treated", &options.treated.column, LeftOut::Treatment)?;
    let control = take("--control", &options.control.column, LeftOut::Treatment)?;
    for name in &options.drop {
        take("--drop", name, LeftOut::Dropped)?;
    }
    let mut wishes = vec![Wish::default(); file.names.len()];
    for (option, names) in [("--keep", &options.keep), ("--category", &options.category)] {
        for name in names {
            let at = find(file, option, name)?;
            if let Some(&first) = taken.get(&at) {
                let column = file.names[at].clone();
                return Err(TableError::TwoRoles { column, first, second: option }.into());
            }
            let wish = &mut wishes[at];
            if option == "--keep" { wish.keep = true } else { wish.category = true }
        }
    }
    let tokens = MissingTokens::with(&options.missing);
    let roles =
        Roles { key, label: outcome, weight: None, time: None, fold, group: None, left_out, wishes, tokens };
    Ok((Places { treated, control, outcome, key, fold, probability }, roles))
}

/// What a row is for.
struct Row {
    treated: bool,
    outcome: bool,
}

impl Surveyed {
    fn take(&mut self, rows: &Rows, options: &UpliftOptions, faults: &mut Faults) {
        let mut used = Vec::new();
        for at in 0..rows.len() {
            for (values, column) in self.values.iter_mut().zip([self.places.treated, self.places.control]) {
                let text = rows.cell(at, column);
                if values.len() < N_KEPT || values.contains_key(text) {
                    *values.entry(text.to_owned()).or_default() += 1;
                }
            }
            if let Some(row) = self.row(rows, at, options, faults) {
                self.outcomes[usize::from(row.treated)][usize::from(row.outcome)] += 1;
                used.push(at);
            }
        }
        let tokens = &self.roles.tokens;
        self.profiles.par_iter_mut().enumerate().for_each(|(column, profile)| {
            used.iter().for_each(|&at| profile.observe(rows.place(at), rows.cell(at, column), tokens));
        });
    }

    /// Counts a row and finds what is wrong with it; none where it is not used.
    fn row(&mut self, rows: &Rows, at: usize, options: &UpliftOptions, faults: &mut Faults) -> Option<Row> {
        self.counts.n_rows += 1;
        let names = &self.file.names;
        let mut fault = |column: usize, bound| {
            faults.add(column, &names[column], bound, rows.place(at), rows.cell(at, column));
        };
        let treated = match arm(options, &self.places, rows, at) {
            Err(()) => {
                fault(self.places.treated, "of one arm");
                return None;
            }
            Ok(None) => {
                self.counts.n_neither += 1;
                return None;
            }
            Ok(Some(treated)) => treated,
        };
        let outcome = match outcome(options, &self.roles.tokens, rows.cell(at, self.places.outcome)) {
            Err(()) => {
                fault(
                    self.places.outcome,
                    "0 or 1 (--outcome COLUMN=VALUE names another value that counts as 1)",
                );
                return None;
            }
            Ok(None) => {
                self.counts.n_without_outcome += 1;
                return None;
            }
            Ok(Some(outcome)) => outcome,
        };
        for (column, bound) in [(self.places.key, "a key"), (self.places.fold, "a fold")] {
            if let Some(column) = column
                && self.roles.tokens.anywhere(rows.cell(at, column))
            {
                fault(column, bound);
            }
        }
        if let Some(column) = self.places.probability
            && probability(rows.cell(at, column)).is_none()
        {
            fault(column, "a probability above 0 and below 1");
        }
        Some(Row { treated, outcome })
    }

    /// Refuses an arm that no row is in although its column has other values.
    fn check_values(&self, options: &UpliftOptions) -> Result<(), UpliftError> {
        let arms = [("--treated", &options.treated), ("--control", &options.control)];
        for ((option, arm), values) in arms.into_iter().zip(&self.values) {
            let other = if option == "--treated" { &options.control } else { &options.treated };
            let known: Vec<(&String, &u64)> =
                values.iter().filter(|(text, _)| !self.roles.tokens.anywhere(text)).collect();
            let unnamed = |text: &str| !(other.column == arm.column && other.is(text));
            if !known.iter().any(|(text, _)| arm.is(text)) && known.iter().any(|(text, _)| unnamed(text)) {
                return Err(UpliftError::ArmValue {
                    option,
                    path: self.file.path.clone(),
                    column: arm.column.clone(),
                    value: arm.value.clone(),
                    known: named(known),
                });
            }
        }
        Ok(())
    }

    /// The second pass.
    pub(super) fn fill(self, options: &UpliftOptions) -> Result<Arms, UpliftError> {
        let Self { file, places, roles, profiles, counts, outcomes, values: _ } = self;
        let inferred = Inferred::of(&as_fit(options), &file.names, &roles, &profiles)?;
        drop(profiles);
        let columns = inferred.schema.columns.iter().map(|column| {
            let of = if column.kind.is_code() { Column::code } else { Column::numeric };
            of(column.name.as_str())
        });
        let mut dataset = Dataset::new(columns.collect(), Vec::new())?;
        dataset.reserve(usize::try_from(outcomes.iter().flatten().sum::<u64>()).unwrap_or(0));
        let mut filling = Filling {
            reader: RowReader::new(&inferred.schema),
            columns: &inferred.places,
            places: &places,
            options,
            roles: &roles,
            n_read: 0,
            texts: Vec::new(),
            trial: Trial {
                dataset,
                treated: Vec::new(),
                outcomes: Vec::new(),
                probability: places.probability.map(|_| Vec::new()),
                bonds: Vec::new(),
                fold_of_row: Vec::new(),
                n_folds: N_FOLDS,
            },
        };
        for rows in TableFile::open(&file.path)? {
            filling.take(&rows?, &file)?;
        }
        let Filling { mut trial, texts, .. } = filling;
        let (by, column) = match (places.fold, places.key) {
            (Some(at), _) => {
                (trial.fold_of_row, trial.n_folds) = by_column(&texts, &file.names[at])?;
                ("fold_column", Some(at))
            }
            (None, key) => {
                trial.fold_of_row = by_hash(&trial.bonds, options.seed);
                (if key.is_some() { "key" } else { "row" }, key)
            }
        };
        let split = (by, column.map(|at| file.names[at].clone()));
        Ok(Arms { trial, inferred, roles, counts, split })
    }
}

/// What a fit of the outcome on the table would be asked: how columns are inferred depends on that.
fn as_fit(options: &UpliftOptions) -> FitOptions {
    let value = options.outcome.value.clone().unwrap_or_else(|| "1".to_owned());
    FitOptions {
        table: options.table.clone(),
        name: options.name.clone(),
        key: options.key.clone(),
        label: LabelValue { column: options.outcome.column.clone(), value },
        drop: options.drop.clone(),
        keep: options.keep.clone(),
        category: options.category.clone(),
        missing: options.missing.clone(),
        weight_column: None,
        time_column: None,
        fold_column: options.fold_column.clone(),
        group_column: None,
        monotone: Monotone::new(),
        seed: options.seed,
    }
}

struct Filling<'a> {
    reader: RowReader,
    columns: &'a [usize],
    places: &'a Places,
    options: &'a UpliftOptions,
    roles: &'a Roles,
    n_read: u64,
    /// Of folds.
    texts: Vec<String>,
    trial: Trial,
}

impl Filling<'_> {
    fn take(&mut self, rows: &Rows, file: &TableFileAgain) -> Result<(), UpliftError> {
        let used = |at: &usize| {
            let treated = arm(self.options, self.places, rows, *at).ok().flatten()?;
            let text = rows.cell(*at, self.places.outcome);
            let outcome = outcome(self.options, &self.roles.tokens, text).ok().flatten()?;
            Some((*at, Row { treated, outcome }))
        };
        let used: Vec<(usize, Row)> = (0..rows.len()).filter_map(|at| used(&at)).collect();
        let read: Vec<Result<Vec<f64>, TableError>> =
            used.par_iter().map(|(at, _)| self.features(rows, *at, file)).collect();
        for ((at, row), features) in used.into_iter().zip(read) {
            self.push(rows, at, &row, &features?, file)?;
        }
        self.n_read += rows.len() as u64;
        Ok(())
    }

    fn features(&self, rows: &Rows, at: usize, file: &TableFileAgain) -> Result<Vec<f64>, TableError> {
        let read = |(feature, &column): (usize, &usize)| {
            let reading = self.reader.read(feature, rows.cell(at, column));
            let reading = reading.map_err(|why| cell(file, rows, at, column, &why))?;
            Ok(reading.value())
        };
        self.columns.iter().enumerate().map(read).collect()
    }

    fn push(
        &mut self,
        rows: &Rows,
        at: usize,
        row: &Row,
        features: &[f64],
        file: &TableFileAgain,
    ) -> Result<(), UpliftError> {
        let number = || (self.n_read + at as u64 + 1).to_string();
        let key = self.places.key.map_or_else(number, |column| rows.cell(at, column).to_owned());
        self.trial.bonds.push(bond(&key));
        let place = self.places.key.unwrap_or(self.places.outcome);
        let customer = CustomerId::new(key).map_err(|why| cell(file, rows, at, place, &why))?;
        self.trial.dataset.push(customer, UNDATED, features, &[])?;
        self.trial.treated.push(row.treated);
        self.trial.outcomes.push(row.outcome);
        if let (Some(probabilities), Some(column)) = (&mut self.trial.probability, self.places.probability) {
            // Refused in the first pass where it is none.
            probabilities.push(probability(rows.cell(at, column)).unwrap_or(0.5));
        }
        if let Some(column) = self.places.fold {
            self.texts.push(rows.cell(at, column).to_owned());
        }
        Ok(())
    }
}

fn cell(file: &TableFileAgain, rows: &Rows, at: usize, column: usize, why: &dyn ToString) -> TableError {
    let (path, row) = (file.path.clone(), rows.place(at));
    TableError::Cell { path, row, column: file.names[column].clone(), fault: why.to_string() }
}

/// Whether a row is treated; none of neither arm, an error of both.
fn arm(options: &UpliftOptions, places: &Places, rows: &Rows, at: usize) -> Result<Option<bool>, ()> {
    let treated = options.treated.is(rows.cell(at, places.treated));
    let control = options.control.is(rows.cell(at, places.control));
    match (treated, control) {
        (true, true) => Err(()),
        (true, false) => Ok(Some(true)),
        (false, true) => Ok(Some(false)),
        (false, false) => Ok(None),
    }
}

/// What a cell says of the outcome; none where it is missing, an error where it is neither 0 nor 1.
fn outcome(options: &UpliftOptions, tokens: &MissingTokens, text: &str) -> Result<Option<bool>, ()> {
    if tokens.anywhere(text) {
        return Ok(None);
    }
    if let Some(value) = &options.outcome.value {
        let label = LabelValue { column: String::new(), value: value.clone() };
        return Ok(Some(label.is(text)));
    }
    match number(text) {
        Some(0.0) => Ok(Some(false)),
        Some(1.0) => Ok(Some(true)),
        _ => Err(()),
    }
}

fn probability(text: &str) -> Option<f64> {
    number(text).filter(|value| *value > 0.0 && *value < 1.0)
}

/// The values of a column, the most frequent first.
fn named(mut values: Vec<(&String, &u64)>) -> String {
    values.sort_by_key(|(text, n)| (std::cmp::Reverse(**n), (*text).clone()));
    let mut told: Vec<String> =
        values.iter().take(N_NAMED).map(|(text, n)| format!("{text:?} ({n} rows)")).collect();
    if values.len() > told.len() {
        told.push(format!("{} more", values.len() - told.len()));
    }
    told.join(", ")
}

/// Cells that cannot be used, by column and reason.
#[derive(Default)]
struct Faults(BTreeMap<(usize, &'static str), Fault>);

impl Faults {
    fn add(&mut self, at: usize, name: &str, bound: &'static str, row: u64, text: &str) {
        let fault = self.0.entry((at, bound)).or_insert_with(|| Fault {
            column: name.to_owned(),
            bound,
            n: 0,
            first: Vec::new(),
        });
        fault.n += 1;
        if fault.first.len() < N_PLACES {
            fault.first.push((row, text.to_owned()));
        }
    }

    fn finish(self, path: &std::path::Path) -> Result<(), UpliftError> {
        let faults: Vec<Fault> = self.0.into_values().collect();
        if faults.is_empty() { Ok(()) } else { Err(UpliftError::Unusable { path: path.to_owned(), faults }) }
    }
}
