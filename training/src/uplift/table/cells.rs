//! What the columns of two arms are for, and what a cell of each may be; cells that cannot be used.

use std::collections::BTreeMap;
use std::path::Path;

use nextbest_models::table::{LabelValue, LeftOut, MissingTokens, number};

use super::super::UpliftOptions;
use super::super::error::{Fault, UpliftError};
use crate::table::{Roles, Rows, TableError, TableFile, Wish, find};

/// Places a fault names.
const N_PLACES: usize = 5;
const N_NAMED: usize = 10;

/// The places of the columns with a role.
pub(super) struct Places {
    pub(super) treated: usize,
    pub(super) control: usize,
    pub(super) outcome: usize,
    pub(super) key: Option<usize>,
    pub(super) fold: Option<usize>,
    pub(super) probability: Option<usize>,
}

/// Finds the columns that `options` name; each has one role.
pub(super) fn bind(options: &UpliftOptions, file: &TableFile) -> Result<(Places, Roles), UpliftError> {
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
pub(super) struct Row {
    pub(super) treated: bool,
    pub(super) outcome: bool,
}

/// Whether a row is treated; none of neither arm, an error of both.
pub(super) fn arm(
    options: &UpliftOptions,
    places: &Places,
    rows: &Rows,
    at: usize,
) -> Result<Option<bool>, ()> {
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
pub(super) fn outcome(
    options: &UpliftOptions,
    tokens: &MissingTokens,
    text: &str,
) -> Result<Option<bool>, ()> {
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

pub(super) fn probability(text: &str) -> Option<f64> {
    number(text).filter(|value| *value > 0.0 && *value < 1.0)
}

/// The values of a column, the most frequent first.
pub(super) fn named(mut values: Vec<(&String, &u64)>) -> String {
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
pub(super) struct Faults(BTreeMap<(usize, &'static str), Fault>);

impl Faults {
    pub(super) fn add(&mut self, at: usize, name: &str, bound: &'static str, row: u64, text: &str) {
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

    pub(super) fn finish(self, path: &Path) -> Result<(), UpliftError> {
        let faults: Vec<Fault> = self.0.into_values().collect();
        if faults.is_empty() { Ok(()) } else { Err(UpliftError::Unusable { path: path.to_owned(), faults }) }
    }
}
