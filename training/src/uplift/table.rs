//! Two arms of a table as numbers: one pass for what the columns are and every cell that cannot be used, one to fill
//! numbers in. Rows of neither arm, and rows without an outcome, are counted and not read further. No statistics here.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nextbest_models::table::LabelValue;
use rayon::prelude::*;

use super::UpliftOptions;
use super::error::UpliftError;
use super::trial::Trial;
use crate::table::{Inferred, Profile, Roles, Rows, TableError, TableFile};
use cells::{Faults, Places, Row, arm, bind, named, outcome, probability};

mod cells;
mod fill;

/// Values of an arm's column that are kept, and named.
const N_KEPT: usize = 1_000;

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
}
