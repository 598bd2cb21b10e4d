//! Scores of a table by an artifact that was fitted on one: a row in, a row out, nothing held but the batch.
//!
//! The artifact alone says how cells are read. Columns it needs and does not find are refused by name before a row is
//! written; columns it does not know are named and not read; levels never seen in fitting are counted.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;

use nextbest_models::artifact::Artifact;
use nextbest_models::propensity::{Contribution, Explanation, PropensityModel};
use nextbest_models::table::{CellKind, Reading, RowReader, TableSchema};
use nextbest_models::uplift::{Uplift, UpliftModel};
use rayon::prelude::*;
use serde::Serialize;

use super::distinct::Distinct;
use super::error::TableError;
use super::options::find;
use super::read::{Rows, TableFile};
use crate::nearest::nearest;

/// What to score.
#[derive(Clone, Debug)]
pub struct ScoreOptions {
    /// The table: CSV(.gz) or Parquet.
    pub table: PathBuf,
    /// The column that names a row, where it is not called as in fitting.
    pub key: Option<String>,
    /// Reasons per row, the strongest first.
    pub n_reasons: usize,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoreReport {
    /// The model's name.
    pub model: String,
    /// SHA-256 of the artifact.
    pub artifact_sha256: String,
    /// Rows scored.
    pub n_rows: u64,
    /// Rows whose key stands in an earlier row too; each is scored.
    pub n_repeated_keys: u64,
    /// Whether that is exact; beyond four million keys it is estimated.
    pub repeated_keys_exact: bool,
    /// Mean probability; absent without rows, and of uplift.
    pub mean_probability: Option<f64>,
    /// Mean uplift; absent without rows, and of probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_uplift: Option<f64>,
    /// Columns the artifact does not know; they were not read.
    pub unknown_columns: Vec<String>,
    /// What was missing or new, for each feature where anything was.
    pub features: Vec<FeatureCount>,
}

/// How often a feature was missing or of a level never seen in fitting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeatureCount {
    /// Its name.
    pub feature: String,
    /// Rows where it is missing.
    pub n_missing: u64,
    /// Rows of a level without a code of its own.
    pub n_unseen: u64,
    /// Some of those levels, in the order of the rows.
    pub unseen: Vec<String>,
}

/// Different keys that are counted exactly, in some 75 MB; beyond, their number is estimated.
const MAX_EXACT_KEYS: usize = 1 << 22;
/// Levels named per feature.
const N_NAMED: usize = 5;

/// Scores the table that `options` name and writes CSV, `key,probability[,reason_1..]`, or `key,uplift,lo,hi` by an
/// artifact of uplift, to `out`; `progress` is told the rows scored.
pub fn score(
    artifact: &Artifact,
    options: &ScoreOptions,
    out: &mut dyn Write,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<ScoreReport, TableError> {
    let schema = artifact.metadata().table.as_ref().ok_or(TableError::NoTable)?;
    let model = Model::of(artifact).ok_or(TableError::NoTable)?;
    if options.n_reasons > 0 && matches!(model, Model::Uplift(_)) {
        return Err(TableError::NoReasons);
    }
    let file = TableFile::open(&options.table)?;
    let columns = bind(schema, &file)?;
    let key = match (&options.key, &schema.key) {
        (Some(name), _) => Some(find(&file, "--key", name)?),
        (None, Some(name)) => Some(find(&file, "--key (as in fitting)", name)?),
        (None, None) => None,
    };
    let scoring = Scoring {
        model,
        schema,
        reader: RowReader::new(schema),
        columns,
        key,
        names: file.names.clone(),
        path: file.path().clone(),
        n_reasons: options.n_reasons,
    };
    let mut tally = Tally::new(schema);
    let unknown_columns = unknown(schema, &file, key);
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(model.header(options.n_reasons)).map_err(io)?;
    for rows in file {
        scoring.rows(&rows?, &mut tally, &mut csv)?;
        progress(tally.n_rows);
    }
    csv.flush()?;
    if tally.n_rows == 0 {
        return Err(TableError::NoRows(options.table.clone()));
    }
    let mean = Some(tally.sum / tally.n_rows as f64);
    let (mean_probability, mean_uplift) = match model {
        Model::Propensity(_) => (mean, None),
        Model::Uplift(_) => (None, mean),
    };
    Ok(ScoreReport {
        model: model.name().to_owned(),
        artifact_sha256: artifact.sha256().to_owned(),
        n_rows: tally.n_rows,
        n_repeated_keys: tally.keys.n_repeated(tally.n_rows),
        repeated_keys_exact: tally.keys.is_exact(),
        mean_probability,
        mean_uplift,
        unknown_columns,
        features: tally.features.into_iter().filter(|count| count.n_missing + count.n_unseen > 0).collect(),
    })
}

/// What scores a row.
#[derive(Clone, Copy)]
enum Model<'a> {
    Propensity(&'a PropensityModel),
    Uplift(&'a UpliftModel),
}

impl<'a> Model<'a> {
    /// The first of its kind in `artifact`.
    fn of(artifact: &'a Artifact) -> Option<Self> {
        let propensity = artifact.propensities().next().map(Self::Propensity);
        propensity.or_else(|| artifact.uplifts().next().map(Self::Uplift))
    }

    fn name(&self) -> &'a str {
        match self {
            Self::Propensity(model) => model.name(),
            Self::Uplift(model) => model.name(),
        }
    }

    fn header(&self, n_reasons: usize) -> Vec<String> {
        match self {
            Self::Propensity(_) => {
                let reasons = (1..=n_reasons).map(|n| format!("reason_{n}"));
                ["key".to_owned(), "probability".to_owned()].into_iter().chain(reasons).collect()
            }
            Self::Uplift(_) => ["key", "uplift", "lo", "hi"].map(str::to_owned).to_vec(),
        }
    }
}

/// The place of each feature in the file; those that are not there are refused, all of them by name.
fn bind(schema: &TableSchema, file: &TableFile) -> Result<Vec<usize>, TableError> {
    let (mut places, mut missing) = (Vec::new(), Vec::new());
    let fitted: HashSet<&str> = schema.columns.iter().map(|column| column.name.as_str()).collect();
    for column in &schema.columns {
        match file.names.iter().position(|name| *name == column.name) {
            Some(place) => places.push(place),
            None => {
                let spare = file.names.iter().filter(|name| !fitted.contains(name.as_str()));
                let near = nearest(&column.name, spare);
                let hint = near.map_or(String::new(), |near| format!(" (is it {near:?}?)"));
                missing.push(format!("{:?}{hint}", column.name));
            }
        }
    }
    if missing.is_empty() {
        Ok(places)
    } else {
        Err(TableError::MissingColumns { path: file.path().clone(), missing })
    }
}

/// Columns that were not in the fitted table.
fn unknown(schema: &TableSchema, file: &TableFile, key: Option<usize>) -> Vec<String> {
    let features = schema.columns.iter().map(|column| &column.name);
    let known: HashSet<&String> = features.chain(schema.left_out.iter().map(|(name, _)| name)).collect();
    let columns = file.names.iter().enumerate();
    columns
        .filter(|(at, name)| key != Some(*at) && !known.contains(name))
        .map(|(_, name)| name.clone())
        .collect()
}

/// Counts over all rows.
struct Tally {
    n_rows: u64,
    sum: f64,
    keys: Distinct,
    features: Vec<FeatureCount>,
}

impl Tally {
    fn new(schema: &TableSchema) -> Self {
        let nothing = |feature| FeatureCount { feature, n_missing: 0, n_unseen: 0, unseen: Vec::new() };
        let features = schema.feature_names().into_iter().map(nothing).collect();
        Self { n_rows: 0, sum: 0.0, keys: Distinct::new(MAX_EXACT_KEYS), features }
    }
}

/// One row, scored.
struct Scored {
    value: f64,
    /// What stands behind the value: reasons, or the ends of an interval.
    rest: Vec<String>,
    missing: Vec<usize>,
    unseen: Vec<usize>,
}

struct Scoring<'a> {
    model: Model<'a>,
    schema: &'a TableSchema,
    reader: RowReader,
    columns: Vec<usize>,
    key: Option<usize>,
    names: Vec<String>,
    path: PathBuf,
    n_reasons: usize,
}

impl Scoring<'_> {
    /// Scores a batch by all threads and writes it in its order.
    fn rows(
        &self,
        rows: &Rows,
        tally: &mut Tally,
        csv: &mut csv::Writer<&mut dyn Write>,
    ) -> Result<(), TableError> {
        let scored: Vec<Result<Scored, TableError>> =
            (0..rows.len()).into_par_iter().map(|at| self.row(rows, at)).collect();
        for (at, scored) in scored.into_iter().enumerate() {
            let scored = scored?;
            tally.n_rows += 1;
            let number = tally.n_rows.to_string();
            let key = self.key.map_or(number.as_str(), |column| rows.cell(at, column));
            tally.keys.add(key);
            tally.sum += scored.value;
            scored.missing.iter().for_each(|&feature| tally.features[feature].n_missing += 1);
            for &feature in &scored.unseen {
                let (count, level) = (&mut tally.features[feature], rows.cell(at, self.columns[feature]));
                count.n_unseen += 1;
                if count.unseen.len() < N_NAMED && !count.unseen.iter().any(|known| known == level) {
                    count.unseen.push(level.to_owned());
                }
            }
            let mut record = vec![key.to_owned(), scored.value.to_string()];
            record.extend(scored.rest);
            csv.write_record(record).map_err(io)?;
        }
        Ok(())
    }

    fn row(&self, rows: &Rows, at: usize) -> Result<Scored, TableError> {
        let fault = |column: usize, fault: String| TableError::Cell {
            path: self.path.clone(),
            row: rows.place(at),
            column: self.names[column].clone(),
            fault,
        };
        if let Some(column) = self.key
            && rows.cell(at, column).is_empty()
        {
            return Err(fault(column, "the key is missing".to_owned()));
        }
        let (mut missing, mut unseen) = (Vec::new(), Vec::new());
        let mut values = Vec::with_capacity(self.columns.len());
        for (feature, &column) in self.columns.iter().enumerate() {
            let reading = self.reader.read(feature, rows.cell(at, column));
            let reading = reading.map_err(|why| fault(column, why.to_string()))?;
            match reading {
                Reading::Known(_) => {}
                Reading::Missing => missing.push(feature),
                Reading::Unseen(_) => unseen.push(feature),
            }
            values.push(reading.value());
        }
        let (value, rest) = match self.model {
            Model::Propensity(model) if self.n_reasons > 0 => {
                let (probability, explanation) = model.score_and_explain(&values);
                let mut reasons = self.reasons(&explanation, rows, at, &values);
                reasons.resize(self.n_reasons, String::new());
                (probability.get(), reasons)
            }
            Model::Propensity(model) => (model.score(&values).get(), Vec::new()),
            Model::Uplift(model) => {
                let Uplift { value, lo, hi, .. } = model.score(&values);
                (value, vec![lo.to_string(), hi.to_string()])
            }
        };
        Ok(Scored { value, rest, missing, unseen })
    }

    /// `Contract=Two year -1.20`: what a feature is and what it adds to the log-odds, the strongest first.
    fn reasons(&self, explanation: &Explanation, rows: &Rows, at: usize, values: &[f64]) -> Vec<String> {
        let strongest = explanation.strongest(self.n_reasons);
        let reason = |contribution: &Contribution| {
            let feature = contribution.feature;
            let (name, text) = (&self.schema.columns[feature].name, rows.cell(at, self.columns[feature]));
            let is_missing = values[feature].is_nan();
            let unseen = matches!(self.schema.columns[feature].kind, CellKind::Category { .. }) && is_missing;
            let value = match text {
                "" => "missing",
                _ if is_missing && !unseen => "missing",
                text => text,
            };
            format!("{name}={value} {:+.2}", contribution.log_odds)
        };
        strongest.iter().map(reason).collect()
    }
}

fn io(error: csv::Error) -> TableError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => TableError::Write(error),
        other => TableError::Write(std::io::Error::other(format!("{other:?}"))),
    }
}
