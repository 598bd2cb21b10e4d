//! Tables read into purchases, or into summaries. Everything wrong with a file is found in one pass.

use std::collections::HashMap;

use nextbest_models::table::{MissingTokens, number};
use nextbest_models::units::Day;
use nextbest_models::value::{CustomerSummary, PurchaseSummary, SpendSummary, SummaryFault};

use super::cells::{Faults, day, places};
use super::error::LifetimeError;
use super::purchases::{Purchase, Purchases};
use super::{SummaryTable, Transactions};
use crate::table::{Rows, TableError, TableFile, find};

const FINITE: &str = "a finite number";
const DATE: &str = "a date (20260131 or 2026-01-31) of the years 1900 to 2199";
const KEY: &str = "a customer";
const BY_END: &str = "on or before the end of the observation";

/// Reads purchases.
pub(super) fn purchases(source: &Transactions) -> Result<Purchases, LifetimeError> {
    let file = TableFile::open(&source.table)?;
    let [customer, date, value] = places(
        &file,
        [
            ("--customer", Some(&source.customer)),
            ("--date", Some(&source.date)),
            ("--value", source.value.as_ref()),
        ],
    )?;
    let names = file.names.clone();
    let (customer, date) = (customer.unwrap_or(0), date.unwrap_or(0));
    let tokens = MissingTokens::with(&[]);
    let (mut faults, mut known) = (Faults::default(), HashMap::<String, u32>::new());
    let mut found = Purchases::default();
    // Dates repeat: each text is read once.
    let mut dates = HashMap::<String, Option<Day>>::new();
    for rows in file {
        let rows = rows?;
        for at in 0..rows.len() {
            found.n_rows += 1;
            let (who, when) = (rows.cell(at, customer), rows.cell(at, date));
            if who.is_empty() {
                faults.add(&names[customer], KEY, rows.place(at), who);
            }
            let bought_on = match dates.get(when) {
                Some(known) => *known,
                None => *dates.entry(when.to_owned()).or_insert(day(when)),
            };
            match bought_on {
                None => faults.add(&names[date], DATE, rows.place(at), when),
                Some(on) if source.observation_end.is_some_and(|end| on > end) => {
                    faults.add(&names[date], BY_END, rows.place(at), when);
                }
                Some(_) => {}
            }
            let worth = value.map_or(Some(f64::NAN), |column| match rows.cell(at, column) {
                text if tokens.among_numbers(text) => Some(f64::NAN),
                text => number(text).filter(|value| value.is_finite()).or_else(|| {
                    faults.add(&names[column], FINITE, rows.place(at), text);
                    None
                }),
            });
            let (Some(on), Some(worth)) = (bought_on, worth) else { continue };
            let next = known.len() as u32;
            let who = match known.get(who) {
                Some(number) => *number,
                None => {
                    found.keys.push(who.to_owned());
                    *known.entry(who.to_owned()).or_insert(next)
                }
            };
            found.all.push(Purchase { who, on, worth });
        }
    }
    faults.check(&source.table)?;
    if found.n_rows == 0 {
        return Err(TableError::NoRows(source.table.clone()).into());
    }
    found.has_values = value.is_some();
    found.sort(source.observation_end);
    Ok(found)
}

/// Customers of a table of summaries, in the order of its rows.
#[derive(Default)]
pub(super) struct Summaries {
    pub(super) customers: Vec<CustomerSummary>,
    /// Their names, where a column has them.
    pub(super) keys: Vec<String>,
    /// Repeaters whose mean value is missing, 0 or below.
    pub(super) n_without_value: u64,
    /// Of each customer, one after the other, the covariates.
    pub(super) covariates: Vec<f64>,
}

/// Reads summaries, each named by `key` where there is one.
pub(super) fn summaries(source: &SummaryTable, key: Option<&String>) -> Result<Summaries, LifetimeError> {
    let file = TableFile::open(&source.table)?;
    let columns = places(
        &file,
        [
            ("--x", Some(&source.x)),
            ("--t-x", Some(&source.t_x)),
            ("--age", Some(&source.age)),
            ("--value", source.value.as_ref()),
            ("--key", key),
        ],
    )?;
    let mut covariates = Vec::with_capacity(source.covariates.len());
    for name in &source.covariates {
        let place = find(&file, "--covariate", name)?;
        if covariates.contains(&place) {
            return Err(LifetimeError::NamedTwice("--covariate", "--covariate", name.clone()));
        }
        covariates.push(place);
    }
    let mut reading = Reading {
        names: file.names.clone(),
        columns,
        covariates,
        tokens: MissingTokens::with(&[]),
        faults: Faults::default(),
        found: Summaries::default(),
        n_rows: 0,
    };
    for rows in file {
        let rows = rows?;
        (0..rows.len()).for_each(|at| reading.take(&rows, at));
    }
    reading.faults.check(&source.table)?;
    if reading.n_rows == 0 {
        return Err(TableError::NoRows(source.table.clone()).into());
    }
    Ok(reading.found)
}

/// A table of summaries under way.
struct Reading {
    names: Vec<String>,
    columns: [Option<usize>; 5],
    covariates: Vec<usize>,
    tokens: MissingTokens,
    faults: Faults,
    found: Summaries,
    n_rows: u64,
}

impl Reading {
    fn take(&mut self, rows: &Rows, at: usize) {
        self.n_rows += 1;
        let mut numbers = [f64::NAN; 3];
        for (side, found) in numbers.iter_mut().enumerate() {
            let Some(column) = self.columns[side] else { continue };
            let text = rows.cell(at, column);
            match number(text).filter(|value| value.is_finite()) {
                Some(value) => *found = value,
                None => self.faults.add(&self.names[column], FINITE, rows.place(at), text),
            }
        }
        let mean = self.mean(rows, at);
        let n_known = self.found.covariates.len();
        let is_told = self.covariates(rows, at);
        if !is_told || numbers.iter().any(|value| value.is_nan()) {
            self.found.covariates.truncate(n_known);
            return;
        }
        let [x, t_x, age] = numbers;
        match PurchaseSummary::new(x, t_x, age) {
            Err(fault) => self.contradiction(&fault, rows.place(at), numbers),
            Ok(purchases) => {
                let spend = mean.and_then(|mean| SpendSummary::new(x, mean).ok());
                self.found.n_without_value += u64::from(x > 0.0 && spend.is_none());
                self.found.customers.push(CustomerSummary { purchases, spend, truncated: false });
                self.found.keys.extend(self.columns[4].map(|column| rows.cell(at, column).to_owned()));
            }
        }
    }

    /// Takes the covariates of a row; whether all of them are numbers.
    fn covariates(&mut self, rows: &Rows, at: usize) -> bool {
        let mut all = true;
        for column in &self.covariates {
            let text = rows.cell(at, *column);
            match number(text).filter(|value| value.is_finite()) {
                Some(value) => self.found.covariates.push(value),
                None => {
                    self.faults.add(&self.names[*column], FINITE, rows.place(at), text);
                    all = false;
                }
            }
        }
        all
    }

    /// The mean value of a row, if it is there and a number.
    fn mean(&mut self, rows: &Rows, at: usize) -> Option<f64> {
        let column = self.columns[3]?;
        let text = rows.cell(at, column);
        if self.tokens.among_numbers(text) {
            return None;
        }
        let value = number(text).filter(|value| value.is_finite());
        if value.is_none() {
            self.faults.add(&self.names[column], FINITE, rows.place(at), text);
        }
        value
    }

    fn contradiction(&mut self, fault: &SummaryFault, row: u64, [x, t_x, age]: [f64; 3]) {
        let name = |side: usize| self.names[self.columns[side].unwrap_or(0)].clone();
        let (column, bound) = match fault {
            SummaryFault::Number { name: "x", .. } => (name(0), "at least 0"),
            SummaryFault::Number { name: "t_x", .. } => (name(1), "at least 0"),
            SummaryFault::Number { .. } => (name(2), "at least 0"),
            SummaryFault::Fraction(_) => (name(0), "a whole number"),
            SummaryFault::AfterEnd { .. } => (name(1), "at most the age"),
            SummaryFault::NoTime(_) | SummaryFault::Spend { .. } => {
                (name(1), "above 0 where there are repeat purchases")
            }
            SummaryFault::NoRepeat(_) => (name(1), "0 where there is no repeat purchase"),
        };
        self.faults.add(&column, bound, row, &format!("x {x}, t_x {t_x}, age {age}"));
    }
}
