//! What a caller says of a table, bound to its columns: every column has one role.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nextbest_models::table::{LabelValue, LeftOut, MissingTokens};
use nextbest_models::units::Seed;

use super::error::TableError;
use super::infer::Wish;
use super::read::TableFile;
use crate::learner::Monotone;
use crate::nearest::nearest;

/// What to fit, and how.
#[derive(Clone, Debug)]
pub struct FitOptions {
    /// The table: CSV(.gz) or Parquet.
    pub table: PathBuf,
    /// The model's name.
    pub name: String,
    /// The column that names a row; rows of one key stay in one fold.
    pub key: Option<String>,
    /// The outcome.
    pub label: LabelValue,
    /// Columns to leave out.
    pub drop: Vec<String>,
    /// Columns to keep although they look like ids, sentences or leaks, and the time column as a feature.
    pub keep: Vec<String>,
    /// Columns whose cells are names, whatever they look like.
    pub category: Vec<String>,
    /// Texts that count as missing besides the conventional ones.
    pub missing: Vec<String>,
    /// Weights of rows, at least 0.
    pub weight_column: Option<String>,
    /// Times or numbers that order the rows: the last are tested on.
    pub time_column: Option<String>,
    /// Folds as given.
    pub fold_column: Option<String>,
    /// Rows of one group stay in one fold.
    pub group_column: Option<String>,
    /// Which way the probability may move along a column of numbers, dates, or yes and no.
    pub monotone: Monotone,
    /// Of every random choice.
    pub seed: Seed,
}

/// The columns of one table by what they are for; numbers are places in its header.
#[derive(Clone, Debug)]
pub(crate) struct Roles {
    pub(crate) key: Option<usize>,
    pub(crate) label: usize,
    pub(crate) weight: Option<usize>,
    pub(crate) time: Option<usize>,
    pub(crate) fold: Option<usize>,
    pub(crate) group: Option<usize>,
    /// Why a column is no feature, by what the caller said; one entry per column.
    pub(crate) left_out: Vec<Option<LeftOut>>,
    /// What the caller wishes of each column.
    pub(crate) wishes: Vec<Wish>,
    pub(crate) tokens: MissingTokens,
}

impl Roles {
    /// Finds the columns that `options` name in `file`.
    pub(crate) fn bind(options: &FitOptions, file: &TableFile) -> Result<Self, TableError> {
        let mut binding = Binding { file, taken: BTreeMap::new() };
        let label = binding.one("--label", &options.label.column)?;
        let key = binding.maybe("--key", options.key.as_ref())?;
        let weight = binding.maybe("--weight-column", options.weight_column.as_ref())?;
        let time = binding.maybe("--time-column", options.time_column.as_ref())?;
        let fold = binding.maybe("--fold-column", options.fold_column.as_ref())?;
        let splits = [(time, "--time-column"), (fold, "--fold-column")];
        let named: Vec<&str> =
            splits.iter().filter(|(at, _)| at.is_some()).map(|(_, option)| *option).collect();
        let group = match &options.group_column {
            // Groups may be the keys: that is what keys do anyway.
            Some(name) if options.key.as_ref() == Some(name) => key,
            name => binding.maybe("--group-column", name.as_ref())?,
        };
        match (named.as_slice(), group) {
            ([first, second], _) => return Err(TableError::TwoSplits(first, second)),
            ([first], Some(_)) => return Err(TableError::TwoSplits(first, "--group-column")),
            _ => {}
        }
        let width = file.names.len();
        let mut left_out = vec![None; width];
        for name in &options.drop {
            let at = binding.one("--drop", name)?;
            left_out[at] = Some(LeftOut::Dropped);
        }
        let mut wishes = vec![Wish::default(); width];
        for name in &options.keep {
            wishes[binding.feature("--keep", name)?].keep = true;
        }
        for name in &options.category {
            wishes[binding.feature("--category", name)?].category = true;
        }
        for name in options.monotone.keys() {
            binding.feature("--monotone", name)?;
        }
        left_out[label] = Some(LeftOut::Label);
        for (at, reason) in [
            (key, LeftOut::Key),
            (weight, LeftOut::Weight),
            (fold, LeftOut::Fold),
            (group.filter(|at| Some(*at) != key), LeftOut::Group),
            (time.filter(|at| !wishes[*at].keep), LeftOut::Time),
        ] {
            if let Some(at) = at {
                left_out[at] = Some(reason);
            }
        }
        let tokens = MissingTokens::with(&options.missing);
        Ok(Self { key, label, weight, time, fold, group, left_out, wishes, tokens })
    }
}

/// Columns under way to their roles.
struct Binding<'a> {
    file: &'a TableFile,
    taken: BTreeMap<usize, &'static str>,
}

impl Binding<'_> {
    /// A column that may be a feature: it has no role, or dates the rows.
    fn feature(&self, option: &'static str, name: &str) -> Result<usize, TableError> {
        let at = find(self.file, option, name)?;
        match self.taken.get(&at) {
            Some(&first) if first != "--time-column" => {
                Err(TableError::TwoRoles { column: self.file.names[at].clone(), first, second: option })
            }
            _ => Ok(at),
        }
    }

    /// A column that has no role yet.
    fn one(&mut self, option: &'static str, name: &str) -> Result<usize, TableError> {
        let at = find(self.file, option, name)?;
        match self.taken.insert(at, option) {
            Some(first) if first != option => {
                Err(TableError::TwoRoles { column: self.file.names[at].clone(), first, second: option })
            }
            _ => Ok(at),
        }
    }

    fn maybe(&mut self, option: &'static str, name: Option<&String>) -> Result<Option<usize>, TableError> {
        name.map(|name| self.one(option, name)).transpose()
    }
}

/// The place of column `name`; `option` says who asks.
pub(crate) fn find(file: &TableFile, option: &'static str, name: &str) -> Result<usize, TableError> {
    file.names.iter().position(|known| known == name.trim()).ok_or_else(|| TableError::UnknownColumn {
        option,
        path: file.path().clone(),
        column: name.to_owned(),
        nearest: nearest(name, &file.names).map(str::to_owned),
    })
}
