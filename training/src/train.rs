//! The training job: an event log in, one artifact and its report out.
//!
//! One task per bucket replays customers at every cut-off and gathers prices and sales; then each label is trained,
//! the demand model fitted, everything sealed. Nothing known at or after the run's present goes in.

use std::collections::BTreeMap;

use nextbest_models::artifact::{Artifact, ArtifactBuilder, ArtifactError, Metadata};
use nextbest_models::digest::sha256_hex;
use nextbest_models::event::EventType;
use nextbest_models::pricing::purchase::PURCHASE;
use nextbest_models::project::Project;
use nextbest_models::units::{Seed, Timestamp};
use rayon::prelude::*;
use serde::Serialize;

use crate::cutoff::{Plan, PlanError, Split, empty_dataset, replay};
use crate::dataset::{Dataset, DatasetError, Labelled};
use crate::demand::{self, DemandOptions, DemandReport, DemandTable, RandomisedRule};
use crate::diagnostics::{self, Subject};
use crate::event_log::{EventLog, EventLogError};
use crate::learner::{self, MIN_PER_CLASS, Sample};
use crate::lifetime::{FoldedReport, RealisedReport, ValueHistory, ValuePlan, ValueReport};
use crate::periods::Periods;
use crate::purchase::{self, PurchasePlan, Showings};
use crate::response::{self, ResponsePlan};
use crate::selection::{
    self, Parts, Prediction, PropensityReport, PropensityRequest, Target, TrainedPropensity, Validation,
};
use crate::uplift::{ContactDays, ProjectUplift, UpliftPlan};

/// Folds of a response model where contacts are few.
const N_FOLDS: u32 = 5;

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
    /// The lifetime-value model; absent where none is asked for, or customers tell none.
    pub lifetime_value: Option<FoldedReport>,
    /// Trees of realised value against it, where customers do not buy as it says, or it is absent.
    pub realised_value: Option<RealisedReport>,
    /// One per `[uplifts]` that contacts tell.
    pub uplifts: Vec<ProjectUplift>,
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
    let plans =
        Plans { cutoffs: plan, responses: Vec::new(), purchases: None, uplifts: Vec::new(), value: None };
    let gathered = gather(project, log, &plans, progress)?;
    Ok((gathered.dataset, plans.cutoffs))
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

/// What is gathered of the log, and how.
struct Plans {
    cutoffs: Plan,
    responses: Vec<ResponsePlan>,
    purchases: Option<PurchasePlan>,
    uplifts: Vec<UpliftPlan>,
    /// Where a lifetime value is asked for.
    value: Option<ValuePlan>,
}

/// What one bucket gives.
struct Gathered {
    dataset: Dataset,
    /// One per response plan.
    responses: Vec<Dataset>,
    showings: Showings,
    /// One per uplift plan.
    contact_days: Vec<ContactDays>,
    /// What customers brought, where a lifetime value is asked for.
    value: ValueHistory,
    demand: DemandTable,
    n_refused: u64,
}

/// A trained propensity, on its way into the report.
struct Told<'a> {
    report: PropensityReport,
    validation: Validation,
    predictions: Vec<Prediction>,
    dataset: &'a Dataset,
    /// Texts behind the codes of the columns.
    levels: Vec<Vec<String>>,
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
    let first = total.first_occurred_at.unwrap_or(as_of);
    let (responses, mut too_short) = response::plans(project, first, as_of);
    let n_shown = total.by_type.get(&EventType::PriceShown).copied().unwrap_or(0);
    let purchases = project.settings.purchases.as_ref().and_then(|rule| {
        let plan = PurchasePlan::new(project, rule, n_shown, (first, as_of));
        too_short.extend(plan.is_none().then(|| PURCHASE.to_owned()));
        plan
    });
    let n_contacts = total.by_type.get(&EventType::Contacted).copied().unwrap_or(0);
    let mut uplifts = Vec::new();
    for (name, rule) in &project.settings.uplifts {
        match UpliftPlan::new(project, (name, rule), (first, as_of), (n_contacts, total.n_customers)) {
            Some(plan) => uplifts.push(plan),
            None => too_short.push(name.clone()),
        }
    }
    let horizon = project.settings.lifetime_value.map(|rule| rule.horizon());
    // A horizon out of its bounds was refused when the project was read.
    let value = horizon.and_then(Result::ok).map(|horizon| ValuePlan::new(horizon, first, as_of));
    let plans = Plans { cutoffs: plan, responses, purchases, uplifts, value };
    let gathered = gather(project, log, &plans, progress)?;
    let plan = &plans.cutoffs;
    let seed = project.settings.training.seed;
    let mut builder = ArtifactBuilder::new(metadata(project, log, as_of));
    let mut propensities = Vec::new();
    for (name, label) in &project.settings.labels {
        // The plan was refused if a label had no split.
        let Some(split) = plan.split(label) else { continue };
        let dataset = &gathered.dataset;
        let validation = Validation::InTime(Parts::by_cutoff(dataset, name, &split)?);
        let request = PropensityRequest {
            name,
            target: Target::Label(label),
            dataset,
            validation,
            split: Some(split),
            seed,
        };
        let trained = selection::train(&request, &learner::all())?;
        propensities.push(add(&mut builder, trained, request, feature_levels(project)));
    }
    let mut notes: Vec<String> =
        too_short.iter().map(|name| format!("no model {name}: the log is too short")).collect();
    let specs: Vec<_> =
        plans.responses.iter().zip(&gathered.responses).map(|(plan, dataset)| plan.spec(dataset)).collect();
    for ((plan, dataset), spec) in plans.responses.iter().zip(&gathered.responses).zip(&specs) {
        let (validation, split) = kept_apart(plan.name(), plan.periods(), dataset, seed)?;
        let (name, target) = (plan.name(), Target::Response(spec));
        let request = PropensityRequest { name, target, dataset, validation, split, seed };
        // A project that has hardly contacted anyone decides by its priors.
        match selection::train(&request, &learner::all()) {
            Ok(trained) => {
                let levels = feature_levels(project).into_iter().chain(plan.levels()).collect();
                propensities.push(add(&mut builder, trained, request, levels));
            }
            Err(error) => notes.push(format!("no response model {error}")),
        }
    }
    let purchases =
        plans.purchases.as_ref().map(|plan| plan.dataset(project, &gathered.showings)).transpose()?;
    if let (Some(plan), Some((spec, dataset))) = (&plans.purchases, &purchases) {
        let (validation, split) = kept_apart(PURCHASE, plan.periods(), dataset, seed)?;
        let (name, target) = (PURCHASE, Target::Purchase(spec));
        let request = PropensityRequest { name, target, dataset, validation, split, seed };
        match selection::train(&request, &learner::constrained(&purchase::monotone(spec))) {
            Ok(trained) => {
                let levels = feature_levels(project).into_iter().chain(purchase::levels(spec)).collect();
                propensities.push(add(&mut builder, trained, request, levels));
            }
            Err(error) => notes.push(format!("no purchase model {error}")),
        }
    }
    let value = plans.value.as_ref().map(|plan| plan.seal(&gathered.value, seed, &mut builder));
    let ValueReport { lifetime_value, realised_value, notes: untold } = value.unwrap_or_default();
    notes.extend(untold);
    let mut uplifts = Vec::new();
    let rests_on_answers = |plan: &UpliftPlan| plan.rule().answer.is_some();
    let told = plans.uplifts.iter().any(rests_on_answers).then(|| builder.clone().seal()).transpose()?;
    for (plan, days) in plans.uplifts.iter().zip(gathered.contact_days) {
        let answers = plan.rule().answer.as_ref().and_then(|name| {
            let at = plans.responses.iter().position(|response| response.name() == name)?;
            plans.responses[at].answers(plan, told.as_ref()?, &gathered.responses[at])
        });
        if let Some(name) = plan.rule().answer.as_ref().filter(|_| answers.is_none()) {
            notes.push(format!(
                "uplift {}: no model tells who answers ({name}); what differs is learned",
                plan.name()
            ));
        }
        match plan.fit(days, answers, seed) {
            Ok((parts, report)) => {
                builder.uplift(parts);
                uplifts.push(report);
            }
            Err(error) => notes.push(format!("no uplift {}: {error}", plan.name())),
        }
    }
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
    let propensities = propensities.into_iter().map(|told| diagnosed(&artifact, told)).collect();
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
        lifetime_value,
        realised_value,
        uplifts,
        demand,
        notes,
    };
    Ok(Trained { artifact, report })
}

/// Parts apart in time where each has enough of both outcomes; else, where contacts are few, folds of customers.
fn kept_apart(
    name: &str,
    periods: &Periods,
    dataset: &Dataset,
    seed: Seed,
) -> Result<(Validation, Option<Split>), TrainError> {
    let split = periods.split();
    let parts = Parts::by_cutoff(dataset, name, split)?;
    let enough = |part: &Labelled| {
        let n_positive = part.outcomes.iter().filter(|outcome| **outcome).count();
        n_positive.min(part.outcomes.len() - n_positive) >= MIN_PER_CLASS
    };
    if [&parts.fit, &parts.calibrate, &parts.test].into_iter().all(enough) {
        return Ok((Validation::InTime(parts), Some(split.clone())));
    }
    // All rows are labelled: a number for each of them. Too few even so, and the training says so.
    Ok(match Sample::checked(dataset, dataset.labelled(name)?, "all", name) {
        Ok(all) => {
            let fold_of_row = all.parts_by_customer(N_FOLDS, seed);
            (Validation::Folds { fold_of_row, n_folds: N_FOLDS }, None)
        }
        Err(_) => (Validation::InTime(parts), Some(split.clone())),
    })
}

/// Seals what was trained; returns what is to be told of it.
fn add<'a>(
    builder: &mut ArtifactBuilder,
    trained: TrainedPropensity,
    request: PropensityRequest<'a>,
    levels: Vec<Vec<String>>,
) -> Told<'a> {
    builder.propensity(trained.parts);
    if let Some(interval) = &trained.interval {
        builder.interval(interval);
    }
    let PropensityRequest { dataset, validation, .. } = request;
    Told { report: trained.report, validation, predictions: trained.predictions, dataset, levels }
}

/// The texts behind the codes of each feature, by code.
fn feature_levels(project: &Project) -> Vec<Vec<String>> {
    let texts = |categories: &[String]| -> Vec<String> {
        let others = (!categories.is_empty()).then(|| "(others)".to_owned());
        categories.iter().cloned().chain(others).collect()
    };
    project.schema.specs().iter().map(|spec| texts(&spec.categories)).collect()
}

/// The report with the diagnostics of what was sealed.
fn diagnosed(artifact: &Artifact, told: Told<'_>) -> PropensityReport {
    let Told { mut report, validation, predictions, dataset, levels } = told;
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
}

/// Replays every bucket; they come together in their order, so threads make no difference.
fn gather(
    project: &Project,
    log: &EventLog,
    plans: &Plans,
    progress: &(dyn Fn() + Sync),
) -> Result<Gathered, TrainError> {
    let bucket = |bucket: u32| {
        let gathered = gather_bucket(project, log, plans, bucket);
        progress();
        gathered
    };
    let buckets: Vec<Result<Gathered, TrainError>> =
        (0..log.n_buckets()).into_par_iter().map(bucket).collect();
    let mut all = nothing_yet(project, plans)?;
    for one in buckets {
        let one = one?;
        all.dataset.append(one.dataset)?;
        for (mine, theirs) in all.responses.iter_mut().zip(one.responses) {
            mine.append(theirs)?;
        }
        all.showings.append(one.showings);
        for (mine, theirs) in all.contact_days.iter_mut().zip(one.contact_days) {
            mine.append(theirs)?;
        }
        all.value.append(one.value)?;
        all.demand.merge(one.demand);
        all.n_refused += one.n_refused;
    }
    Ok(all)
}

fn nothing_yet(project: &Project, plans: &Plans) -> Result<Gathered, TrainError> {
    let demand = DemandTable::new(project.settings.currency, RandomisedRule::default());
    let responses: Result<Vec<Dataset>, _> =
        plans.responses.iter().map(|plan| plan.empty_dataset(project)).collect();
    let contact_days: Result<Vec<ContactDays>, _> =
        plans.uplifts.iter().map(|plan| plan.empty(project)).collect();
    Ok(Gathered {
        dataset: empty_dataset(project)?,
        responses: responses?,
        showings: Showings::default(),
        contact_days: contact_days?,
        value: ValuePlan::empty(project)?,
        demand,
        n_refused: 0,
    })
}

fn gather_bucket(
    project: &Project,
    log: &EventLog,
    plans: &Plans,
    bucket: u32,
) -> Result<Gathered, TrainError> {
    let mut gathered = nothing_yet(project, plans)?;
    let plan = &plans.cutoffs;
    for group in log.customers(bucket)? {
        let (id, events) = group.map_err(EventLogError::from)?;
        let known = events.iter().filter(|event| event.known() < plan.as_of());
        known.for_each(|event| gathered.demand.observe(event));
        gathered.n_refused += replay(project, plan, &id, &events, &mut gathered.dataset)?;
        for (plan, dataset) in plans.responses.iter().zip(&mut gathered.responses) {
            plan.replay(project, &id, &events, dataset)?;
        }
        if let Some(plan) = &plans.purchases {
            plan.replay(project, &id, &events, &mut gathered.showings);
        }
        for (plan, days) in plans.uplifts.iter().zip(&mut gathered.contact_days) {
            plan.replay(project, &id, &events, days)?;
        }
        if let Some(plan) = &plans.value {
            plan.replay(project, &id, &events, &mut gathered.value)?;
        }
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
