//! A table as the estimators take it: two numbers a row, and codes for everything else.
//!
//! Rows stand in an order that depends on their cells alone, so that neither sums nor splits depend on the order of the
//! file. Cells that cannot be used are all found in one pass. No statistics here.

use std::collections::BTreeMap;
use std::path::Path;

use nextbest_models::table::{MissingTokens, number};

use super::error::{ABOVE_ZERO, ElasticityError, FINITE, Fault};
use super::names::{Interned, Names};
use super::{ElasticityOptions, LeftOut};
use crate::table::{Rows, TableError, TableFile, find};

/// Places a fault names.
const N_PLACES: usize = 5;

/// The rows that are used.
#[derive(Clone, Debug, Default)]
pub(super) struct Panel {
    /// Quantity, or its logarithm.
    pub(super) y: Vec<f64>,
    /// Price, or its logarithm.
    pub(super) x: Vec<f64>,
    pub(super) by: Vec<Names>,
    pub(super) controls: Vec<Names>,
    pub(super) effects: Vec<Names>,
    pub(super) cluster: Option<Names>,
    /// Rows of the file.
    pub(super) n_rows: u64,
    pub(super) left_out: LeftOut,
}

/// The places of the columns used: by, controls, effects, cluster in this order.
struct Places {
    y: usize,
    x: usize,
    names: Vec<usize>,
}

/// Reads the table of `options`.
pub(super) fn read(options: &ElasticityOptions) -> Result<Panel, ElasticityError> {
    let file = TableFile::open(&options.table)?;
    let places = places(options, &file)?;
    let mut reading = Reading::new(options, &file, &places);
    for rows in file {
        reading.take(&rows?, &places);
    }
    reading.finish(options)
}

fn places(options: &ElasticityOptions, file: &TableFile) -> Result<Places, ElasticityError> {
    let y = find(file, "--quantity", &options.quantity)?;
    let x = find(file, "--price", &options.price)?;
    let mut taken = BTreeMap::from([(y, "--quantity")]);
    let mut take = |at: usize, option: &'static str| match taken.insert(at, option) {
        Some(first) if first == option => {
            Err(ElasticityError::NamedTwice { option, column: file.names[at].clone() })
        }
        Some(first) => {
            let column = file.names[at].clone();
            Err(TableError::TwoRoles { column, first, second: option }.into())
        }
        None => Ok(()),
    };
    take(x, "--price")?;
    let lists = [
        ("--by", &options.by),
        ("--controls", &options.controls),
        ("--fixed-effects", &options.fixed_effects),
    ];
    let mut names = Vec::new();
    for (option, list) in lists {
        for name in list {
            let at = find(file, option, name)?;
            take(at, option)?;
            names.push(at);
        }
    }
    // Rows of one store may well have a level in common and errors in common: a cluster takes no column away.
    names.extend(options.cluster.as_ref().map(|name| find(file, "--cluster", name)).transpose()?);
    if options.cluster.is_some() && names.last().is_some_and(|at| *at == y || *at == x) {
        return Err(ElasticityError::Options("--cluster: names the quantity's or the price's column"));
    }
    Ok(Places { y, x, names })
}

/// A table under way.
struct Reading {
    names: Vec<Interned>,
    y: Vec<f64>,
    x: Vec<f64>,
    /// Of quantity and price: the column, and whether its logarithm is taken.
    sides: [(String, bool); 2],
    drop_nonpositive: bool,
    tokens: MissingTokens,
    faults: BTreeMap<(usize, &'static str), Fault>,
    n_rows: u64,
    left_out: LeftOut,
}

impl Reading {
    fn new(options: &ElasticityOptions, file: &TableFile, places: &Places) -> Self {
        let interned = |at: &usize| Interned::new(&file.names[*at]);
        Self {
            names: places.names.iter().map(interned).collect(),
            y: Vec::new(),
            x: Vec::new(),
            sides: [
                (file.names[places.y].clone(), !options.linear && !options.log_quantity),
                (file.names[places.x].clone(), !options.linear && !options.log_price),
            ],
            drop_nonpositive: options.drop_nonpositive,
            tokens: MissingTokens::with(&[]),
            faults: BTreeMap::new(),
            n_rows: 0,
            left_out: LeftOut::default(),
        }
    }

    fn take(&mut self, rows: &Rows, places: &Places) {
        for at in 0..rows.len() {
            self.n_rows += 1;
            if let Some([y, x]) = self.numbers(rows, at, places) {
                self.y.push(y);
                self.x.push(x);
                for (interned, &column) in self.names.iter_mut().zip(&places.names) {
                    interned.push(rows.cell(at, column));
                }
            }
        }
    }

    /// Both numbers of a row that is used; what is wrong with it is noted, both sides of it.
    fn numbers(&mut self, rows: &Rows, at: usize, places: &Places) -> Option<[f64; 2]> {
        let cells = [rows.cell(at, places.y), rows.cell(at, places.x)];
        let missing = [0, 1].into_iter().find(|&side| self.tokens.among_numbers(cells[side]));
        let missing = missing.map(|side| self.sides[side].0.clone()).or_else(|| {
            let gone = |(_, column): &(&Interned, &usize)| self.tokens.anywhere(rows.cell(at, **column));
            self.names.iter().zip(&places.names).find(gone).map(|(interned, _)| interned.column().to_owned())
        });
        if let Some(column) = missing {
            *self.left_out.missing.entry(column).or_default() += 1;
            return None;
        }
        let (mut found, mut dropped) = ([f64::NAN; 2], false);
        for side in [0, 1] {
            let text = cells[side];
            let logged = self.sides[side].1;
            match number(text).filter(|value| value.is_finite()) {
                None => self.fault(side, FINITE, rows.place(at), text),
                Some(value) if logged && value <= 0.0 && self.drop_nonpositive => dropped = true,
                Some(value) if logged && value <= 0.0 => self.fault(side, ABOVE_ZERO, rows.place(at), text),
                Some(value) => found[side] = if logged { value.ln() } else { value },
            }
        }
        self.left_out.nonpositive += u64::from(dropped);
        found.iter().all(|value| value.is_finite()).then_some(found)
    }

    fn fault(&mut self, side: usize, bound: &'static str, row: u64, text: &str) {
        let column = self.sides[side].0.clone();
        let fault =
            self.faults.entry((side, bound)).or_insert(Fault { column, bound, n: 0, first: Vec::new() });
        fault.n += 1;
        if fault.first.len() < N_PLACES {
            fault.first.push((row, text.to_owned()));
        }
    }

    fn finish(self, options: &ElasticityOptions) -> Result<Panel, ElasticityError> {
        let path = options.table.clone();
        if self.n_rows == 0 {
            return Err(TableError::NoRows(path).into());
        }
        if !self.faults.is_empty() {
            return Err(ElasticityError::Unusable { path, faults: self.faults.into_values().collect() });
        }
        if self.y.is_empty() {
            return Err(ElasticityError::NoRowLeft { path, n_rows: self.n_rows, why: why(&self.left_out) });
        }
        refuse_one_price(&path, &self.sides[1], &self.x)?;
        let mut names: Vec<Names> = self.names.into_iter().map(Interned::sorted).collect();
        let cluster = options.cluster.as_ref().and_then(|_| names.pop());
        let effects = names.split_off(options.by.len() + options.controls.len());
        let controls = names.split_off(options.by.len());
        let panel = Panel {
            y: self.y,
            x: self.x,
            by: names,
            controls,
            effects,
            cluster,
            n_rows: self.n_rows,
            left_out: self.left_out,
        };
        Ok(panel.ordered())
    }
}

fn why(left_out: &LeftOut) -> String {
    let mut parts: Vec<String> =
        left_out.missing.iter().map(|(column, n)| format!("{n} lack {column}")).collect();
    if left_out.nonpositive > 0 {
        parts.push(format!("{} have no logarithm", left_out.nonpositive));
    }
    parts.join(", ")
}

fn refuse_one_price(
    path: &Path,
    (column, logged): &(String, bool),
    x: &[f64],
) -> Result<(), ElasticityError> {
    let (first, n_rows) = (x[0], x.len());
    if n_rows < 2 || x.iter().any(|value| *value != first) {
        return Ok(());
    }
    let value = if *logged { first.exp() } else { first };
    // As it was written, for prices of up to 12 digits.
    let value = format!("{}", (value * 1e6).round() / 1e6);
    Err(ElasticityError::ConstantPrice { path: path.to_owned(), column: column.clone(), value, n_rows })
}

impl Panel {
    /// How many rows are used.
    pub(super) fn len(&self) -> usize {
        self.y.len()
    }

    /// Sorted by every cell that is used: rows that are alike in all may stand in any order, as nothing can tell.
    fn ordered(self) -> Self {
        let mut order: Vec<usize> = (0..self.len()).collect();
        let codes = || self.by.iter().chain(&self.cluster).chain(&self.effects).chain(&self.controls);
        order.sort_by(|&a, &b| {
            let names = codes().map(|names| names.codes[a].cmp(&names.codes[b]));
            let by_names = names.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then);
            by_names.then(self.x[a].total_cmp(&self.x[b])).then(self.y[a].total_cmp(&self.y[b]))
        });
        self.rows(&order)
    }

    /// The rows at `places` alone.
    pub(super) fn rows(&self, places: &[usize]) -> Self {
        let names = |names: &Names| names.rows(places);
        Self {
            y: places.iter().map(|&at| self.y[at]).collect(),
            x: places.iter().map(|&at| self.x[at]).collect(),
            by: self.by.iter().map(names).collect(),
            controls: self.controls.iter().map(names).collect(),
            effects: self.effects.iter().map(names).collect(),
            cluster: self.cluster.as_ref().map(names),
            n_rows: self.n_rows,
            left_out: self.left_out.clone(),
        }
    }

    /// A group's number for every row, and each group's values; one group, with no values, without `--by`.
    pub(super) fn groups(&self) -> (Vec<u32>, Vec<Vec<String>>) {
        let key = |row: usize| self.by.iter().map(|names| names.codes[row]).collect::<Vec<u32>>();
        let mut known: BTreeMap<Vec<u32>, u32> = (0..self.len()).map(|row| (key(row), 0)).collect();
        known.values_mut().enumerate().for_each(|(at, number)| *number = at as u32);
        let values = |codes: &Vec<u32>| {
            codes.iter().zip(&self.by).map(|(code, names)| names.levels[*code as usize].clone()).collect()
        };
        let groups = known.keys().map(values).collect();
        ((0..self.len()).map(|row| known[&key(row)]).collect(), groups)
    }
}
