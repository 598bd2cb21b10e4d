//! A wide table of choices: one row per choice, a column per alternative and attribute.

use std::collections::BTreeMap;

use nextbest_models::table::number;

use super::super::error::{FINITE, Fault};
use super::super::ols::Clusters;
use super::{Alternative, ChoiceError, ChoiceOptions};
use crate::table::{Rows, TableError, TableFile, find};

/// Places a fault names.
const N_PLACES: usize = 5;

/// Choices as numbers.
pub(super) struct Choices {
    pub(super) alternatives: Vec<Alternative>,
    /// The price, then the attributes.
    pub(super) attributes: Vec<String>,
    /// By row, alternative and attribute.
    pub(super) values: Vec<f64>,
    /// By row.
    pub(super) chosen: Vec<usize>,
    pub(super) clusters: Option<Clusters>,
}

impl Choices {
    pub(super) fn n_rows(&self) -> usize {
        self.chosen.len()
    }

    /// Price, attributes, and a constant for every alternative but the first.
    pub(super) fn n_parameters(&self) -> usize {
        self.attributes.len() + self.alternatives.len() - 1
    }

    /// What parameter `at` is called.
    pub(super) fn parameter(&self, at: usize) -> String {
        let constant = || format!("constant:{}", self.alternatives[at + 1 - self.attributes.len()].name);
        self.attributes.get(at).cloned().unwrap_or_else(constant)
    }

    /// What is known of alternative `alternative` in row `row`.
    pub(super) fn of(&self, row: usize, alternative: usize) -> &[f64] {
        let width = self.attributes.len();
        let start = (row * self.alternatives.len() + alternative) * width;
        &self.values[start..start + width]
    }

    /// `sum_j n_j ln(n_j / n)`.
    pub(super) fn log_likelihood_of_shares(&self) -> f64 {
        let n = self.n_rows() as f64;
        self.alternatives.iter().map(|one| one.n_chosen as f64 * (one.n_chosen as f64 / n).ln()).sum()
    }
}

/// Reads the table of `options`.
pub(super) fn read(options: &ChoiceOptions) -> Result<Choices, ChoiceError> {
    let file = TableFile::open(&options.table)?;
    let choice = find(&file, "--choice", &options.choice)?;
    let cluster = options.cluster.as_ref().map(|name| find(&file, "--cluster", name)).transpose()?;
    let (alternatives, places) = places(options, &file)?;
    let names = file.names.clone();
    let mut reading =
        Reading { options, names, choice, cluster, places, alternatives, ..Reading::empty(options) };
    for rows in file {
        reading.take(&rows?);
    }
    reading.finish()
}

/// The alternatives by the order of their price columns, and the column of every one's price and attributes.
fn places(options: &ChoiceOptions, file: &TableFile) -> Result<(Vec<String>, Vec<Vec<usize>>), ChoiceError> {
    let after = |name: &str, prefix: &str| {
        let rest = name.strip_prefix(prefix)?;
        rest.strip_prefix(['.', '_']).filter(|rest| !rest.is_empty()).map(str::to_owned)
    };
    let path = || options.table.clone();
    let priced: Vec<(usize, String)> = file
        .names
        .iter()
        .enumerate()
        .filter_map(|(at, name)| Some((at, after(name, &options.price)?)))
        .collect();
    if priced.len() < 2 {
        return Err(ChoiceError::Prices { path: path(), prefix: options.price.clone(), found: priced.len() });
    }
    let mut places: Vec<Vec<usize>> = priced.iter().map(|(at, _)| vec![*at]).collect();
    let mut taken = vec![&options.price];
    for prefix in &options.attributes {
        if taken.contains(&prefix) {
            return Err(ChoiceError::NamedTwice(prefix.clone()));
        }
        taken.push(prefix);
        for ((_, alternative), places) in priced.iter().zip(&mut places) {
            let named = |name: &String| after(name, prefix).as_ref() == Some(alternative);
            let Some(at) = file.names.iter().position(named) else {
                let alternative = alternative.clone();
                return Err(ChoiceError::Attribute { path: path(), prefix: prefix.clone(), alternative });
            };
            places.push(at);
        }
    }
    Ok((priced.into_iter().map(|(_, name)| name).collect(), places))
}

/// A table under way.
struct Reading<'a> {
    options: &'a ChoiceOptions,
    names: Vec<String>,
    choice: usize,
    cluster: Option<usize>,
    alternatives: Vec<String>,
    places: Vec<Vec<usize>>,
    values: Vec<f64>,
    chosen: Vec<usize>,
    cluster_of: Vec<u32>,
    known_clusters: BTreeMap<String, u32>,
    faults: BTreeMap<usize, Fault>,
    unknown: Option<(u64, u64, String)>,
}

impl<'a> Reading<'a> {
    fn empty(options: &'a ChoiceOptions) -> Self {
        Self {
            options,
            names: Vec::new(),
            choice: 0,
            cluster: None,
            alternatives: Vec::new(),
            places: Vec::new(),
            values: Vec::new(),
            chosen: Vec::new(),
            cluster_of: Vec::new(),
            known_clusters: BTreeMap::new(),
            faults: BTreeMap::new(),
            unknown: None,
        }
    }

    fn take(&mut self, rows: &Rows) {
        for at in 0..rows.len() {
            let chosen = rows.cell(at, self.choice);
            match self.alternatives.iter().position(|name| name == chosen) {
                Some(place) => self.chosen.push(place),
                None => {
                    let first = (0, rows.place(at), chosen.to_owned());
                    self.unknown.get_or_insert(first).0 += 1;
                }
            }
            for &column in self.places.iter().flatten() {
                let text = rows.cell(at, column);
                match number(text).filter(|value| value.is_finite()) {
                    Some(value) => self.values.push(value),
                    None => {
                        let fault =
                            Fault { column: self.names[column].clone(), bound: FINITE, n: 0, first: vec![] };
                        let fault = self.faults.entry(column).or_insert(fault);
                        fault.n += 1;
                        if fault.first.len() < N_PLACES {
                            fault.first.push((rows.place(at), text.to_owned()));
                        }
                    }
                }
            }
            if let Some(column) = self.cluster {
                let next = self.known_clusters.len() as u32;
                let text = rows.cell(at, column).to_owned();
                self.cluster_of.push(*self.known_clusters.entry(text).or_insert(next));
            }
        }
    }

    fn finish(self) -> Result<Choices, ChoiceError> {
        let path = || self.options.table.clone();
        if !self.faults.is_empty() {
            return Err(ChoiceError::Unusable { path: path(), faults: self.faults.into_values().collect() });
        }
        if let Some((n, row, value)) = self.unknown {
            let known = self.alternatives.join(", ");
            return Err(ChoiceError::UnknownChoice { path: path(), n, row, value, known });
        }
        if self.chosen.is_empty() {
            return Err(TableError::NoRows(path()).into());
        }
        let mut counts = vec![0; self.alternatives.len()];
        self.chosen.iter().for_each(|&at| counts[at] += 1);
        let counted = self.alternatives.into_iter().zip(counts);
        let alternatives: Vec<Alternative> =
            counted.map(|(name, n_chosen)| Alternative { name, n_chosen }).collect();
        let never: Vec<String> =
            alternatives.iter().filter(|one| one.n_chosen == 0).map(|one| one.name.clone()).collect();
        if !never.is_empty() {
            return Err(ChoiceError::NeverChosen { path: self.options.table.clone(), alternatives: never });
        }
        let attributes = [&self.options.price].into_iter().chain(&self.options.attributes).cloned().collect();
        let clusters = self.cluster.map(|_| Clusters::new(&self.cluster_of));
        Ok(Choices { alternatives, attributes, values: self.values, chosen: self.chosen, clusters })
    }
}
