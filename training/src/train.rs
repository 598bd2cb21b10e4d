//! The training job: an event log in, one artifact and its report out.
//!
//! One task per bucket replays customers at every cut-off and gathers prices and sales; then each label is trained,
//! the demand model fitted, everything sealed. Nothing known at or after the run's present goes in.

use std::collections::BTreeMap;

use nextbest_models::artifact::{Artifact, ArtifactBuilder, ArtifactError, Metadata};
use nextbest_models::digest::sha256_hex;
use nextbest_models::project::Project;
use nextbest_models::units::{Seed, Timestamp};
use rayon::prelude::*;
use serde::Serialize;

use crate::cutoff::{Plan, PlanError, empty_dataset, replay};
use crate::dataset::{Dataset, DatasetError};
use crate::demand::{self, DemandOptions, DemandReport, DemandTable, RandomisedRule};
use crate::diagnostics::{self, Subject};
use crate::event_log::{EventLog, EventLogError};
use crate::learner;
use crate::selection::{self, Parts, Prediction, PropensityReport, PropensityRequest, Validation};

/// Why there is no new artifact; the one in use stays.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] EventLogError),
    /// There is nothing in it.
    #[error("the event log is empty: import events first")]
    Empty,
    /// It is too short.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Rows that make no training set.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A label that cannot be learned.
    #[error(transparent)]
    Propensity(#[from] selection::TrainError),
    /// What was sealed does not open.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}

/// All that a training run has to tell.
#[derive(Clone, Debug, Serialize)]
pub struct TrainingReport {
    /// The project.
    pub name: String,
    /// SHA-256 of the artifact.
    pub artifact_sha256: String,
    /// Nothing known at or after this instant went in.
    pub trained_through: Timestamp,
    /// Of every random choice.
    pub seed: Seed,
    /// The cut-offs, ascending.
    pub cutoffs: Vec<Timestamp>,
    /// Rows of the training set: customers x cut-offs at which they were active.
    pub n_rows: usize,
    /// Customers of the log.
    pub n_customers: u64,
    /// Events of the log.
    pub n_events: u64,
    /// Events the fold refused, such as those later than the allowed lateness.
    pub n_refused: u64,
    /// One per label.
    pub propensities: Vec<PropensityReport>,
    /// The demand model; absent when nothing was sold.
    pub demand: Option<DemandReport>,
    /// What a reader should know besides.
    pub notes: Vec<String>,
}

/// A finished run.
#[derive(Debug)]
pub struct Trained {
    /// To be written to the project's artifacts.
    pub artifact: Artifact,
    /// To be written beside it.
    pub report: TrainingReport,
}

/// The training set of `project`: a row per customer and cut-off on what `log` knew before `as_of` (default: all of it),
/// and the plan of its cut-offs.
pub fn dataset(
    project: &Project,
    log: &EventLog,
    as_of: Option<Timestamp>,
    progress: &(dyn Fn() + Sync),
) -> Result<(Dataset, Plan), TrainError> {
    let plan = plan(project, log, as_of)?;
    let gathered = gather(project, log, &plan, progress)?;
    Ok((gathered.dataset, plan))
}

/// The cut-offs the log has room for.
fn plan(project: &Project, log: &EventLog, as_of: Option<Timestamp>) -> Result<Plan, TrainError> {
    let total = &log.manifest().total;
    let (Some(first), Some(last)) = (total.first_occurred_at, total.last_known_at) else {
        return Err(TrainError::Empty);
    };
    let as_of = as_of.unwrap_or_else(|| last.day().plus(1).start());
    Ok(Plan::new(&project.settings, first, as_of)?)
}

/// What one bucket gives.
struct Gathered {
    dataset: Dataset,
    demand: DemandTable,
    n_refused: u64,
}

/// Trains every label of `project` and its demand model on what `log` knew before `as_of` (default: all of it).
/// `progress` is told each bucket that has been replayed.
pub fn train(
    project: &Project,
    log: &EventLog,
    as_of: Option<Timestamp>,
    progress: &(dyn Fn() + Sync),
) -> Result<Trained, TrainError> {
    let total = &log.manifest().total;
    let plan = plan(project, log, as_of)?;
    let as_of = plan.as_of();
    let gathered = gather(project, log, &plan, progress)?;
    let seed = project.settings.training.seed;
    let mut builder = ArtifactBuilder::new(metadata(project, log, as_of));
    let mut propensities = Vec::new();
    for (name, label) in &project.settings.labels {
        // The plan was refused if a label had no split.
        let Some(split) = plan.split(label) else { continue };
        let dataset = &gathered.dataset;
        let validation = Validation::InTime(Parts::by_cutoff(dataset, name, &split)?);
        let request =
            PropensityRequest { name, label: Some(label), dataset, validation, split: Some(split), seed };
        let trained = selection::train(&request, &learner::all())?;
        builder.propensity(trained.parts);
        if let Some(interval) = &trained.interval {
            builder.interval(interval);
        }
        propensities.push((trained.report, request.validation, trained.predictions));
    }
    let mut notes = Vec::new();
    let demand = match fit_demand(project, &gathered.demand) {
        Ok(trained) => {
            builder.demand(trained.metadata, trained.sealed);
            Some(trained.report)
        }
        Err(error) => {
            notes.push(format!("no demand model: {error}"));
            None
        }
    };
    let artifact = builder.seal()?;
    let propensities = diagnosed(project, &artifact, &gathered.dataset, propensities);
    let report = TrainingReport {
        name: project.settings.name.clone(),
        artifact_sha256: artifact.sha256().to_owned(),
        trained_through: as_of,
        seed,
        cutoffs: plan.cutoffs().to_vec(),
        n_rows: gathered.dataset.n_rows(),
        n_customers: total.n_customers,
        n_events: total.n_events,
        n_refused: gathered.n_refused,
        propensities,
        demand,
        notes,
    };
    Ok(Trained { artifact, report })
}

/// The reports with the diagnostics of what was sealed.
fn diagnosed(
    project: &Project,
    artifact: &Artifact,
    dataset: &Dataset,
    trained: Vec<(PropensityReport, Validation, Vec<Prediction>)>,
) -> Vec<PropensityReport> {
    let texts = |categories: &[String]| -> Vec<String> {
        let others = (!categories.is_empty()).then(|| "(others)".to_owned());
        categories.iter().cloned().chain(others).collect()
    };
    let levels: Vec<Vec<String>> =
        project.schema.specs().iter().map(|spec| texts(&spec.categories)).collect();
    let one = |(mut report, validation, predictions): (PropensityReport, Validation, Vec<Prediction>)| {
        report.diagnostics = artifact.propensity(&report.name).map(|model| {
            diagnostics::diagnose(&Subject {
                dataset,
                validation: &validation,
                predictions: &predictions,
                report: &report,
                artifact,
                model,
                levels: &levels,
            })
        });
        report
    };
    trained.into_iter().map(one).collect()
}

/// Replays every bucket; they come together in their order, so threads make no difference.
fn gather(
    project: &Project,
    log: &EventLog,
    plan: &Plan,
    progress: &(dyn Fn() + Sync),
) -> Result<Gathered, TrainError> {
    let bucket = |bucket: u32| {
        let gathered = gather_bucket(project, log, plan, bucket);
        progress();
        gathered
    };
    let buckets: Vec<Result<Gathered, TrainError>> =
        (0..log.n_buckets()).into_par_iter().map(bucket).collect();
    let mut all = nothing_yet(project)?;
    for one in buckets {
        let one = one?;
        all.dataset.append(one.dataset)?;
        all.demand.merge(one.demand);
        all.n_refused += one.n_refused;
    }
    Ok(all)
}

fn nothing_yet(project: &Project) -> Result<Gathered, TrainError> {
    let demand = DemandTable::new(project.settings.currency, RandomisedRule::default());
    Ok(Gathered { dataset: empty_dataset(project)?, demand, n_refused: 0 })
}

fn gather_bucket(
    project: &Project,
    log: &EventLog,
    plan: &Plan,
    bucket: u32,
) -> Result<Gathered, TrainError> {
    let mut gathered = nothing_yet(project)?;
    for group in log.customers(bucket)? {
        let (id, events) = group.map_err(EventLogError::from)?;
        let known = events.iter().filter(|event| event.known() < plan.as_of());
        known.for_each(|event| gathered.demand.observe(event));
        gathered.n_refused += replay(project, plan, &id, &events, &mut gathered.dataset)?;
    }
    for event in log.anonymous(bucket)? {
        let event = event.map_err(EventLogError::from)?;
        if event.known() < plan.as_of() {
            gathered.demand.observe(&event);
        }
    }
    Ok(gathered)
}

fn fit_demand(project: &Project, table: &DemandTable) -> Result<demand::TrainedDemand, demand::FitError> {
    let category = |sku: &str| project.pricing.sku(sku).and_then(|rules| rules.category.clone());
    demand::fit(&table.observations(), category, DemandOptions::default())
}

fn metadata(project: &Project, log: &EventLog, as_of: Timestamp) -> Metadata {
    let mut sources: BTreeMap<String, String> =
        project.sha256.iter().map(|(file, sha256)| ((*file).to_owned(), sha256.clone())).collect();
    let buckets = log.manifest().buckets.iter().map(|bucket| bucket.sha256.as_str()).collect::<Vec<_>>();
    sources.insert("events".to_owned(), sha256_hex(buckets.join("\n").as_bytes()));
    Metadata {
        name: project.settings.name.clone(),
        schema_fingerprint: project.schema.fingerprint().to_owned(),
        feature_names: project.schema.names().to_vec(),
        trained_through: as_of,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: project.settings.training.seed,
        sources,
        table: None,
        models: Vec::new(),
    }
}
