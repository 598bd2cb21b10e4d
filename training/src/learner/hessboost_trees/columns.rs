//! What hessboost sees of a row: 32-bit numbers, NaN where missing, made of the features one by one.
//!
//! A quantity is its own number. A category code is one of three things: a category (leaf-wise trees partition them),
//! or, for symmetric trees, which take numbers only, an indicator of one code, and the rate of the outcome among rows of
//! that code. Codes too rare to tell apart, and codes never seen, share one value. Each is a function of the code alone,
//! so a test of it is a set of codes, and nothing of this needs to be sealed.

use std::collections::BTreeMap;

use hessboost::data::FeatureType;
use nextbest_models::units::Seed;

use super::Growth;
use super::configuration::MANY_ROWS;
use crate::dataset::ColumnKind;
use crate::learner::Sample;

/// A code in fewer rows than this is not told apart.
const MIN_CODE_ROWS: usize = 10;
/// Codes above this are not told apart: the artifact cannot name them in a test.
const LARGEST_CODE: u32 = (1 << 20) - 1;
/// At most this many codes of a feature are told apart, the most frequent.
const MAX_CODES: usize = 254;
/// At most this many codes of a feature get an indicator, the most frequent; of many rows none, since each costs as much as
/// a quantity and rates are then exact.
const MAX_INDICATORS: usize = 12;
/// A rate is drawn to the overall one by this many rows.
const PRIOR_ROWS: f64 = 10.0;
/// Parts of the training rows, each of which gets the rates of the others.
const RATE_PARTS: u32 = 5;

/// How a feature becomes a column.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reading {
    /// The number, rounded.
    Number,
    /// A value by code, ascending by code; another for all other codes.
    Codes { values: Vec<(u32, f32)>, other: f32 },
}

/// One column of the matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MatrixColumn {
    pub(super) feature: usize,
    pub(super) reading: Reading,
    kind: FeatureType,
    /// Holds rates of the outcome: training rows get those of other parts.
    is_rate: bool,
}

/// The columns of one training set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Columns {
    columns: Vec<MatrixColumn>,
    /// Feature names left out, with the reason.
    pub(super) dropped: Vec<(String, &'static str)>,
}

/// The category code of `x`, unless it is missing: not a whole number >= 0. Codes too large for 32 bits become the
/// largest of these, which is not told apart.
fn code(x: f64) -> Option<u32> {
    (x >= 0.0 && x.fract() == 0.0).then_some(x as u32)
}

fn cell(row: &[f64], feature: usize) -> f64 {
    row.get(feature).copied().filter(|x| x.is_finite()).unwrap_or(f64::NAN)
}

impl MatrixColumn {
    fn value(&self, row: &[f64]) -> f32 {
        let x = cell(row, self.feature);
        match &self.reading {
            // Numbers beyond the range of 32 bits are held at its ends; NaN stays.
            Reading::Number => (x as f32).clamp(f32::MIN, f32::MAX),
            Reading::Codes { values, other } => code(x).map_or(f32::NAN, |code| {
                values.binary_search_by_key(&code, |(known, _)| *known).map_or(*other, |at| values[at].1)
            }),
        }
    }
}

impl Columns {
    /// Learns the columns from `sample`.
    pub(super) fn fit(sample: &Sample<'_>, growth: Growth) -> Self {
        let mut fitted = Self { columns: Vec::new(), dropped: Vec::new() };
        let rows = sample.rows();
        for (feature, column) in sample.dataset().columns().iter().enumerate() {
            let before = fitted.columns.len();
            let reason = match column.kind {
                ColumnKind::Numeric => fitted.add_number(feature, &rows),
                ColumnKind::Code => fitted.add_codes(feature, &rows, sample, growth),
            };
            if fitted.columns.len() == before {
                fitted.dropped.push((column.name.clone(), reason));
            }
        }
        fitted
    }

    fn push(&mut self, feature: usize, reading: Reading, kind: FeatureType, is_rate: bool) {
        self.columns.push(MatrixColumn { feature, reading, kind, is_rate });
    }

    /// Adds nothing where the column says nothing; the answer is why.
    fn add_number(&mut self, feature: usize, rows: &[&[f64]]) -> &'static str {
        let values = rows.iter().map(|row| cell(row, feature));
        let n_missing = values.clone().filter(|value| value.is_nan()).count();
        let known = values.filter(|value| !value.is_nan());
        let (low, high) = known.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        if low < high || (n_missing > 0 && n_missing < rows.len()) {
            self.push(feature, Reading::Number, FeatureType::Numerical, false);
        }
        if n_missing == rows.len() { "missing in every row" } else { "constant" }
    }

    fn add_codes(
        &mut self,
        feature: usize,
        rows: &[&[f64]],
        sample: &Sample<'_>,
        growth: Growth,
    ) -> &'static str {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        rows.iter().filter_map(|row| code(cell(row, feature))).for_each(|code| {
            *counts.entry(code).or_default() += 1;
        });
        let n_known: usize = counts.values().sum();
        if n_known == 0 {
            return "missing in every row";
        }
        if counts.len() == 1 && n_known == rows.len() {
            return "constant";
        }
        let told_apart = |(code, n): &(u32, usize)| *n >= MIN_CODE_ROWS && *code <= LARGEST_CODE;
        let mut kept: Vec<(u32, usize)> = counts.into_iter().filter(told_apart).collect();
        kept.sort_by_key(|&(code, n)| (std::cmp::Reverse(n), code));
        kept.truncate(MAX_CODES);
        let frequent: Vec<u32> = kept.iter().map(|(code, _)| *code).collect();
        if frequent.is_empty() && n_known == rows.len() {
            return "every code is rare";
        }
        let mut sorted = frequent.clone();
        sorted.sort_unstable();
        match growth {
            Growth::LeafWise => {
                let values = sorted.iter().enumerate().map(|(at, &code)| (code, at as f32)).collect();
                let reading = Reading::Codes { values, other: sorted.len() as f32 };
                self.push(feature, reading, FeatureType::Categorical, false);
            }
            Growth::Symmetric => self.add_encoded(feature, &frequent, &sorted, sample),
        }
        "every code is rare"
    }

    /// Indicators of the most frequent codes and, where there are more than two, the outcome's rate by code.
    fn add_encoded(&mut self, feature: usize, frequent: &[u32], sorted: &[u32], sample: &Sample<'_>) {
        let n_indicators = match (frequent.len(), sample.n_rows()) {
            (0..=2, _) => 1,
            (_, 0..MANY_ROWS) => MAX_INDICATORS,
            _ => 0,
        };
        for &code in frequent.iter().take(n_indicators) {
            let reading = Reading::Codes { values: vec![(code, 1.0)], other: 0.0 };
            self.push(feature, reading, FeatureType::Numerical, false);
        }
        if frequent.len() > 2 {
            let tally = Tally::new(sample, feature, sorted, None);
            let values = sorted.iter().enumerate().map(|(at, &code)| (code, tally.rate(at))).collect();
            let reading = Reading::Codes { values, other: tally.rate(sorted.len()) };
            self.push(feature, reading, FeatureType::Numerical, true);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    pub(super) fn column(&self, at: usize) -> &MatrixColumn {
        &self.columns[at]
    }

    pub(super) fn kinds(&self) -> Vec<FeatureType> {
        self.columns.iter().map(|column| column.kind).collect()
    }

    /// The feature each column is made of.
    pub(super) fn features(&self) -> impl Iterator<Item = usize> {
        self.columns.iter().map(|column| column.feature)
    }

    /// Appends the cells of `row`.
    pub(super) fn fill(&self, row: &[f64], cells: &mut Vec<f32>) {
        cells.extend(self.columns.iter().map(|column| column.value(row)));
    }

    /// The cells of the rows the columns were learned from: rates are those of the other parts, so that no row's own
    /// outcome stands in its cells.
    pub(super) fn training_cells(&self, sample: &Sample<'_>, seed: Seed) -> Vec<f32> {
        let rows = sample.rows();
        let mut cells = Vec::with_capacity(rows.len() * self.len());
        rows.iter().for_each(|row| self.fill(row, &mut cells));
        let parts = sample.parts_by_customer(RATE_PARTS, seed);
        for (at, column) in self.columns.iter().enumerate().filter(|(_, column)| column.is_rate) {
            let Reading::Codes { values, .. } = &column.reading else { continue };
            let codes: Vec<u32> = values.iter().map(|(code, _)| *code).collect();
            let left_out = |part| Tally::new(sample, column.feature, &codes, Some((&parts, part)));
            let tallies: Vec<Tally> = (0..RATE_PARTS).map(left_out).collect();
            for (number, row) in rows.iter().enumerate() {
                if let Some(code) = code(cell(row, column.feature)) {
                    let place = codes.binary_search(&code).unwrap_or(codes.len());
                    cells[number * self.len() + at] = tallies[parts[number] as usize].rate(place);
                }
            }
        }
        cells
    }
}

/// Weights of rows, and of those with the outcome, by place of their code; the last place is that of other codes.
struct Tally {
    counts: Vec<(f64, f64)>,
    prior: f64,
}

impl Tally {
    /// Over the rows of `sample` that are not in the part left out.
    fn new(sample: &Sample<'_>, feature: usize, sorted: &[u32], left_out: Option<(&[u32], u32)>) -> Self {
        let weights = sample.weights();
        let mut counts = vec![(0.0, 0.0); sorted.len() + 1];
        let mut total = (0.0, 0.0);
        for (at, (row, outcome)) in sample.rows().into_iter().zip(sample.outcomes()).enumerate() {
            if left_out.is_some_and(|(parts, part)| parts[at] == part) {
                continue;
            }
            let weight = weights.as_ref().map_or(1.0, |weights| weights[at]);
            let positive = if *outcome { weight } else { 0.0 };
            total = (total.0 + weight, total.1 + positive);
            if let Some(code) = code(cell(row, feature)) {
                let count: &mut (f64, f64) = &mut counts[sorted.binary_search(&code).unwrap_or(sorted.len())];
                *count = (count.0 + weight, count.1 + positive);
            }
        }
        Self { counts, prior: if total.0 > 0.0 { total.1 / total.0 } else { 0.5 } }
    }

    fn rate(&self, place: usize) -> f32 {
        let (n, positive) = self.counts[place];
        ((positive + PRIOR_ROWS * self.prior) / (n + PRIOR_ROWS)) as f32
    }
}
