//! From a table to a sealed model: infer, fill, split, guard, train, seal.

use std::collections::BTreeMap;

use nextbest_models::artifact::{Artifact, ArtifactBuilder, Metadata};
use nextbest_models::table::{CellKind, LabelValue, LeftOut, TableColumn, TableSchema, TimeForm};
use nextbest_models::units::Timestamp;
use rayon::prelude::*;

use super::error::TableError;
use super::fill::{self, Filled, Meaning, UNDATED};
use super::folds::{self, N_FOLDS, PartCount, SplitReport};
use super::guard::{self, SuspectedLeak};
use super::infer::{Finding, infer};
use super::options::{FitOptions, Roles};
use super::profile::Profile;
use super::read::{TableFile, separator_name};
use super::report::{ColumnReport, FitReport};
use crate::import::read::hash;
use crate::learner::{Learner, MIN_PER_CLASS};
use crate::selection::{self, PropensityRequest, Validation};

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
}

/// Fits `learners` on the table that `options` name and seals the best; `progress` is told how far it is.
pub fn fit(
    options: &FitOptions,
    learners: &[Box<dyn Learner>],
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Fit, TableError> {
    let (table_sha256, _) = hash(&options.table)?;
    let file = TableFile::open(&options.table)?;
    let roles = Roles::bind(options, &file)?;
    let names = file.names.clone();
    let mut notes = Vec::new();
    if let Some(separator) = file.separator {
        notes.push(format!("cells are separated by {}", separator_name(separator)));
    }
    let (profiles, tally) = profiled(file, &roles, &options.label, progress)?;
    tally.check(options, &profiles[roles.label])?;
    let mut inferred = Inferred::of(options, &names, &roles, &profiles)?;
    let meaning = Meaning {
        roles: &roles,
        schema: &inferred.schema,
        label_name: &options.name,
        places: &inferred.places,
        time_form: time_form(&names, &roles, &profiles)?,
    };
    let filled = fill::fill(TableFile::open(&options.table)?, &meaning, tally.n_labelled(), &|n| {
        progress(Progress::Filling(n));
    })?;
    let trained_through = meaning.time_form.and_then(|_| latest(&filled.times));
    for (&place, &n_other) in inferred.places.iter().zip(&filled.n_other) {
        inferred.columns[place].n_other = n_other;
    }
    let rows = Split::of(options, &roles, &names, &filled)?;
    let mut dataset = filled.dataset;
    let leaks = guard::leaks(
        &dataset,
        &inferred.schema.columns,
        &filled.outcomes,
        &rows.guard_folds,
        rows.n_guard_folds,
    );
    let keep = inferred.without(&leaks, &roles);
    if !keep.contains(&true) {
        return Err(inferred.nothing_left());
    }
    dataset.keep_columns(&keep)?;
    let duplicates = guard::duplicates(&dataset, &filled.outcomes, &rows.part_of_row);
    progress(Progress::Fitting);
    let request = PropensityRequest {
        name: &options.name,
        label: None,
        dataset: &dataset,
        validation: rows.validation,
        split: None,
        seed: options.seed,
    };
    let trained = selection::train(&request, learners)?;
    let schema = inferred.schema;
    let fingerprint = schema.fingerprint();
    let mut builder = ArtifactBuilder::new(Metadata {
        name: options.name.clone(),
        schema_fingerprint: fingerprint.clone(),
        feature_names: schema.feature_names(),
        trained_through: trained_through.unwrap_or(UNDATED),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: options.seed,
        sources: BTreeMap::from([("table".to_owned(), table_sha256.clone())]),
        table: Some(schema),
        models: Vec::new(),
    });
    builder.propensity(trained.parts);
    let artifact = builder.seal()?;
    let report = FitReport {
        name: options.name.clone(),
        table: options.table.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        table_sha256,
        label: format!("{}={}", options.label.column, options.label.value),
        n_rows: tally.n_rows,
        n_unlabelled: tally.n_rows - tally.n_labelled(),
        n_positive: tally.n_positive,
        n_repeated_keys: tally.n_labelled().saturating_sub(filled.keys.0),
        columns: inferred.columns,
        suspected_leaks: leaks,
        duplicates,
        split: rows.report,
        trained_through,
        seed: options.seed,
        schema_fingerprint: fingerprint,
        artifact_sha256: artifact.sha256().to_owned(),
        propensity: trained.report,
        notes,
    };
    Ok(Fit { artifact, report })
}

/// What the first pass says of the label.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    n_rows: u64,
    n_positive: u64,
    n_negative: u64,
}

impl Tally {
    const fn n_labelled(&self) -> u64 {
        self.n_positive + self.n_negative
    }

    /// Refuses labels that teach nothing.
    fn check(&self, options: &FitOptions, label: &Profile) -> Result<(), TableError> {
        let (path, LabelValue { column, value }) = (options.table.clone(), options.label.clone());
        if self.n_rows == 0 {
            return Err(TableError::NoRows(path));
        }
        let named = format!("{column}={value}");
        if self.n_positive == 0 {
            return Err(TableError::LabelValue { path, column, value, known: known(label) });
        }
        if self.n_negative == 0 {
            return Err(TableError::OneClass { path, label: named, n_rows: self.n_positive });
        }
        for (found, which) in [(self.n_positive, "have"), (self.n_negative, "do not have")] {
            if found < MIN_PER_CLASS as u64 {
                return Err(TableError::TooFew { path, which: format!("{which} {named}"), found });
            }
        }
        Ok(())
    }
}

/// The values of a label's column, the most frequent first.
fn known(label: &Profile) -> String {
    const N_NAMED: usize = 10;
    let levels = label.levels();
    let mut named: Vec<String> =
        levels.iter().take(N_NAMED).map(|(text, n)| format!("{text:?} ({n} rows)")).collect();
    if label.n_distinct() > named.len() as u64 {
        named.push(format!("{} more", label.n_distinct() - named.len() as u64));
    }
    if named.is_empty() { "no values, every cell is missing".to_owned() } else { named.join(", ") }
}

/// The first pass: what every column is made of.
fn profiled(
    file: TableFile,
    roles: &Roles,
    label: &LabelValue,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<(Vec<Profile>, Tally), TableError> {
    let of_names = |at: usize| at == roles.label || roles.wishes[at].category;
    let mut profiles: Vec<Profile> = (0..file.names.len())
        .map(|at| if of_names(at) { Profile::of_names() } else { Profile::default() })
        .collect();
    let mut tally = Tally::default();
    for rows in file {
        let rows = rows?;
        profiles.par_iter_mut().enumerate().for_each(|(column, profile)| {
            (0..rows.len())
                .for_each(|at| profile.observe(rows.place(at), rows.cell(at, column), &roles.tokens));
        });
        tally.n_rows += rows.len() as u64;
        for at in 0..rows.len() {
            match fill::outcome(label, rows.cell(at, roles.label), roles) {
                Some(true) => tally.n_positive += 1,
                Some(false) => tally.n_negative += 1,
                None => {}
            }
        }
        progress(Progress::Inferring(tally.n_rows));
    }
    Ok((profiles, tally))
}

/// The form of the time column; none where it holds numbers.
fn time_form(names: &[String], roles: &Roles, profiles: &[Profile]) -> Result<Option<TimeForm>, TableError> {
    let Some(column) = roles.time else { return Ok(None) };
    match infer(&names[column], &profiles[column], super::infer::Wish::default()) {
        Finding::Feature(CellKind::Time(form)) => Ok(Some(form)),
        Finding::LeftOut(LeftOut::AmbiguousDate, why) => {
            Err(TableError::NoTime { column: names[column].clone(), why })
        }
        // What is no number is told with its place when it is read.
        _ => Ok(None),
    }
}

fn latest(times: &[f64]) -> Option<Timestamp> {
    times.iter().copied().max_by(f64::total_cmp).and_then(fill::instant)
}

/// What the columns are.
struct Inferred {
    schema: TableSchema,
    /// The place of each feature in the header.
    places: Vec<usize>,
    columns: Vec<ColumnReport>,
}

impl Inferred {
    fn of(
        options: &FitOptions,
        names: &[String],
        roles: &Roles,
        profiles: &[Profile],
    ) -> Result<Self, TableError> {
        let (mut columns, mut places, mut features) = (Vec::new(), Vec::new(), Vec::new());
        for (at, (name, profile)) in names.iter().zip(profiles).enumerate() {
            let mut column = ColumnReport::new(name, profile, None);
            match (roles.left_out[at], infer(name, profile, roles.wishes[at])) {
                (Some(reason), _) => column.left_out = Some(reason),
                (None, Finding::LeftOut(reason, why)) => {
                    column.left_out = Some(reason);
                    column.note = why;
                }
                (None, Finding::Feature(kind)) => {
                    column = ColumnReport::new(name, profile, Some(&kind));
                    places.push(at);
                    features.push(TableColumn { name: name.clone(), kind });
                }
                (None, Finding::Fault(found, fault)) => {
                    let (path, column) = (options.table.clone(), name.clone());
                    return Err(TableError::Cell { path, row: found.row, column, fault });
                }
            }
            columns.push(column);
        }
        let schema = TableSchema {
            key: roles.key.map(|at| names[at].clone()),
            label: options.label.clone(),
            time_column: roles.time.map(|at| names[at].clone()),
            columns: features,
            left_out: Vec::new(),
            missing: roles.tokens.clone(),
        };
        let inferred = Self { schema, places, columns };
        if inferred.places.is_empty() { Err(inferred.nothing_left()) } else { Ok(inferred) }
    }

    /// Leaves suspected leaks out, unless they are kept by name; which features stay.
    fn without(&mut self, leaks: &[SuspectedLeak], roles: &Roles) -> Vec<bool> {
        let mut keep = vec![true; self.places.len()];
        for leak in leaks {
            let Some(feature) = self.schema.columns.iter().position(|column| column.name == leak.column)
            else {
                continue;
            };
            let place = self.places[feature];
            self.columns[place].note = leak.why();
            if !roles.wishes[place].keep {
                keep[feature] = false;
                self.columns[place].left_out = Some(LeftOut::SuspectedLeak);
                self.columns[place].kind = None;
            }
        }
        let mut kept = keep.iter();
        self.schema.columns.retain(|_| kept.next().copied().unwrap_or(false));
        let left_out = self.columns.iter().filter_map(|column| Some((column.name.clone(), column.left_out?)));
        self.schema.left_out = left_out.collect();
        keep
    }

    fn nothing_left(&self) -> TableError {
        const N_NAMED: usize = 20;
        let reasons = self.columns.iter().filter_map(|column| {
            let reason = serde_json::to_value(column.left_out?).ok()?;
            let reason = reason.as_str()?.replace('_', " ");
            let note = if column.note.is_empty() { String::new() } else { format!(" ({})", column.note) };
            Some(format!("{} is left out as {reason}{note}", column.name))
        });
        let reasons: Vec<String> = reasons.take(N_NAMED).collect();
        TableError::NoFeatures(reasons.join("; "))
    }
}

/// How the rows are split.
struct Split {
    validation: Validation,
    report: SplitReport,
    /// Fold or part of every row.
    part_of_row: Vec<u32>,
    /// Folds by which columns are judged alone.
    guard_folds: Vec<u32>,
    n_guard_folds: u32,
}

impl Split {
    fn of(
        options: &FitOptions,
        roles: &Roles,
        names: &[String],
        filled: &Filled,
    ) -> Result<Self, TableError> {
        let column = roles.time.or(roles.fold).or(roles.group).or(roles.key).map(|at| names[at].clone());
        let hashed = folds::by_hash(&filled.bonds, options.seed);
        let outcomes = &filled.outcomes;
        if let Some(at) = roles.time {
            const PARTS: [&str; 3] = ["fit", "calibrate", "test"];
            let part_of_row = folds::by_time(&filled.times, &names[at])?;
            let name = |part: usize| format!("the {} part", PARTS[part]);
            let advice = "take a longer table, or another label";
            let mut parts = folds::counted(&part_of_row, outcomes, name, 3, advice)?;
            parts.iter_mut().zip(PARTS).for_each(|(part, name)| part.name = name.to_owned());
            let validation = folds::in_time(&part_of_row, outcomes);
            let report = SplitReport { by: "time", column, parts };
            return Ok(Self { validation, report, part_of_row, guard_folds: hashed, n_guard_folds: N_FOLDS });
        }
        let (by, (fold_of_row, n_folds), advice) = match (roles.fold, roles.group) {
            (Some(at), _) => {
                ("fold_column", folds::by_column(&filled.folds, &names[at])?, "change the column")
            }
            (None, Some(at)) => (
                "group",
                folds::by_group(&filled.bonds, options.seed, &names[at])?,
                "other groups, another --seed, or --fold-column",
            ),
            (None, None) => (
                if roles.key.is_some() { "key" } else { "row" },
                (hashed, N_FOLDS),
                "another --seed, or --fold-column",
            ),
        };
        let name = |fold: usize| format!("fold {}", fold + 1);
        let parts: Vec<PartCount> = folds::counted(&fold_of_row, outcomes, name, n_folds, advice)?;
        Ok(Self {
            validation: Validation::Folds { fold_of_row: fold_of_row.clone(), n_folds },
            report: SplitReport { by, column, parts },
            part_of_row: fold_of_row.clone(),
            guard_folds: fold_of_row,
            n_guard_folds: n_folds,
        })
    }
}
