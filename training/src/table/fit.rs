//! From a table to a sealed model: survey, infer, fill, split, guard, train, seal.

use std::collections::BTreeMap;

use nextbest_models::artifact::{Artifact, ArtifactBuilder, ArtifactError, Metadata, PropensityParts};
use nextbest_models::units::Timestamp;

use super::columns::{Inferred, time_form};
use super::error::TableError;
use super::fill::{self, Filled, Meaning, UNDATED};
use super::guard;
use super::options::{FitOptions, Roles};
use super::read::{TableFile, separator_name};
use super::report::FitReport;
use super::split::Split;
use super::survey::{Tally, profiled};
use crate::diagnostics::{self, Subject};
use crate::import::read::hash;
use crate::learner::{Learner, Monotone};
use crate::selection::{self, PropensityRequest, Target};

/// How far a fit is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Rows read to infer the columns' kinds.
    Inferring(u64),
    /// Rows turned into numbers.
    Filling(u64),
    /// Candidates are being fitted.
    Fitting,
}

/// A finished fit.
#[derive(Debug)]
pub struct Fit {
    /// To be written where the caller wants it.
    pub artifact: Artifact,
    /// What there is to tell.
    pub report: FitReport,
    /// Rows scored by models that had not seen them: what the report's quality is measured on.
    pub predictions: Vec<KeyedPrediction>,
}

/// A row's probability by a model that had not seen it.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyedPrediction {
    /// The row's key, or its number.
    pub key: String,
    /// Calibrated.
    pub probability: f64,
    /// What happened.
    pub outcome: bool,
}

/// A table as numbers, with what is known of its columns.
struct Prepared {
    names: Vec<String>,
    roles: Roles,
    tally: Tally,
    inferred: Inferred,
    filled: Filled,
    trained_through: Option<Timestamp>,
    notes: Vec<String>,
}

/// Fits the learners that `learners` makes of the constraints on the table that `options` name, and seals the best;
/// `progress` is told how far it is.
pub fn fit(
    options: &FitOptions,
    learners: &dyn Fn(&Monotone) -> Vec<Box<dyn Learner>>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Fit, TableError> {
    let (table_sha256, _) = hash(&options.table)?;
    let Prepared { names, roles, tally, mut inferred, filled, trained_through, notes } =
        prepared(options, progress)?;
    let split = Split::of(options, &roles, &names, &filled)?;
    let Filled { mut dataset, outcomes, keys, n_other: _, bonds, times, folds } = filled;
    // What only the split needed is gone when learners begin.
    drop((bonds, times, folds));
    let (guard_folds, n_folds) = (&split.guard_folds, split.n_guard_folds);
    let leaks = guard::leaks(&dataset, &inferred.schema.columns, &outcomes, guard_folds, n_folds);
    let keep = inferred.without(&leaks, &roles);
    if !keep.contains(&true) {
        return Err(inferred.nothing_left());
    }
    inferred.allow(&options.monotone)?;
    dataset.keep_columns(&keep)?;
    let duplicates = guard::duplicates(&dataset, &outcomes, &split.part_of_row);
    progress(Progress::Fitting);
    let (name, seed) = (options.name.as_str(), options.seed);
    let request = PropensityRequest {
        name,
        target: Target::Given,
        dataset: &dataset,
        validation: split.validation,
        split: None,
        seed,
    };
    let mut trained = selection::train(&request, &learners(&options.monotone))?;
    let artifact = sealed(options, &inferred, trained.parts, trained_through, &table_sha256)?;
    trained.report.diagnostics = artifact.propensity(name).map(|model| {
        diagnostics::diagnose(&Subject {
            dataset: &dataset,
            validation: &request.validation,
            predictions: &trained.predictions,
            report: &trained.report,
            artifact: &artifact,
            model,
            levels: &diagnostics::table_levels(&inferred.schema),
        })
    });
    let customers = dataset.customers();
    let keyed = |p: &selection::Prediction| KeyedPrediction {
        key: customers[p.row].as_str().to_owned(),
        probability: p.probability,
        outcome: p.outcome,
    };
    let predictions = trained.predictions.iter().map(keyed).collect();
    let report = FitReport {
        name: options.name.clone(),
        table: options.table.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        table_sha256,
        label: format!("{}={}", options.label.column, options.label.value),
        n_rows: tally.n_rows,
        n_unlabelled: tally.n_rows - tally.n_labelled(),
        n_positive: tally.n_positive,
        n_repeated_keys: tally.n_labelled().saturating_sub(keys),
        columns: inferred.columns,
        suspected_leaks: leaks,
        duplicates,
        split: split.report,
        trained_through,
        seed,
        schema_fingerprint: artifact.metadata().schema_fingerprint.clone(),
        artifact_sha256: artifact.sha256().to_owned(),
        propensity: trained.report,
        notes,
    };
    Ok(Fit { artifact, report, predictions })
}

/// Both passes over the file. What the first one kept of every column is gone when learners begin.
fn prepared(options: &FitOptions, progress: &(dyn Fn(Progress) + Sync)) -> Result<Prepared, TableError> {
    let file = TableFile::open(&options.table)?;
    let roles = Roles::bind(options, &file)?;
    let names = file.names.clone();
    let separated = |separator| format!("cells are separated by {}", separator_name(separator));
    let notes = file.separator.map(separated).into_iter().collect();
    let (profiles, tally) = profiled(file, &roles, &options.label, progress)?;
    tally.check(options, &profiles[roles.label])?;
    let mut inferred = Inferred::of(options, &names, &roles, &profiles)?;
    inferred.allow(&options.monotone)?;
    let time_form = time_form(&names, &roles, &profiles)?;
    drop(profiles);
    let (schema, places) = (&inferred.schema, inferred.places.as_slice());
    let meaning = Meaning { roles: &roles, schema, label_name: &options.name, places, time_form };
    let told = |n| progress(Progress::Filling(n));
    let filled = fill::fill(TableFile::open(&options.table)?, &meaning, tally.n_labelled(), &told)?;
    for (&place, &n_other) in inferred.places.iter().zip(&filled.n_other) {
        inferred.columns[place].n_other = n_other;
    }
    let latest = filled.times.iter().copied().max_by(f64::total_cmp);
    let trained_through = latest.filter(|_| time_form.is_some()).and_then(fill::instant);
    Ok(Prepared { names, roles, tally, inferred, filled, trained_through, notes })
}

fn sealed(
    options: &FitOptions,
    inferred: &Inferred,
    parts: PropensityParts,
    trained_through: Option<Timestamp>,
    table_sha256: &str,
) -> Result<Artifact, ArtifactError> {
    let schema = &inferred.schema;
    let mut builder = ArtifactBuilder::new(Metadata {
        name: options.name.clone(),
        schema_fingerprint: schema.fingerprint(),
        feature_names: schema.feature_names(),
        trained_through: trained_through.unwrap_or(UNDATED),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: options.seed,
        sources: BTreeMap::from([("table".to_owned(), table_sha256.to_owned())]),
        table: Some(schema.clone()),
        models: Vec::new(),
    });
    builder.propensity(parts);
    builder.seal()
}
