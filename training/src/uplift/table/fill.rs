//! The second pass over two arms: every row that is used becomes numbers.

use nextbest_models::customer::CustomerId;
use nextbest_models::table::{LabelValue, RowReader};
use rayon::prelude::*;

use super::super::UpliftOptions;
use super::super::error::UpliftError;
use super::super::trial::Trial;
use super::cells::{Places, Row, arm, outcome, probability};
use super::{Arms, Surveyed, TableFileAgain};
use crate::dataset::{Column, Dataset};
use crate::learner::Monotone;
use crate::table::{
    FitOptions, Inferred, N_FOLDS, Roles, Rows, TableError, TableFile, UNDATED, bond, by_column, by_hash,
};

impl Surveyed {
    /// The second pass.
    pub(in super::super) fn fill(self, options: &UpliftOptions) -> Result<Arms, UpliftError> {
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
