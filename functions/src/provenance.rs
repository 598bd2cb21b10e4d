//! What every answer of a decision carries: which decision, made when, from which policy, models and features.
//!
//! A number that is not there is null beside a code that says why, never a stand-in.

use std::collections::BTreeMap;

use nextbest_models::artifact::Artifact;
use nextbest_models::customer::Customer;
use nextbest_models::policy::control::Assignment;
use nextbest_models::project::Project;
use nextbest_models::propensity::{Explanation, ProbabilityInterval, PropensityModel};
use nextbest_models::units::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::clock::Stopwatch;

/// The head of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Provenance {
    /// Names the decision, in events and in `GET /v1/decisions/{id}`.
    pub decision_id: String,
    /// Names the request, in the logs.
    pub request_id: String,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Until when it may be used.
    #[schema(value_type = String, format = DateTime)]
    pub valid_until: Timestamp,
    /// What was missing, by code; empty when nothing was.
    pub degraded: Vec<String>,
    /// What the business decided.
    pub policy: PolicyVersion,
    /// The models that were in use.
    pub models: Vec<ModelVersion>,
    /// The features that were seen.
    pub features: FeatureState,
    /// The arm of an experiment.
    pub experiment: Experiment,
    /// How the choice was made.
    pub exploration: Exploration,
}

/// Identity of the project folder.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PolicyVersion {
    /// The project's name and the first digits of the hash.
    pub version: String,
    /// Over all four files.
    pub sha256: String,
}

/// Identity of a model.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ModelVersion {
    /// The label it predicts.
    pub name: String,
    /// Day of the last data and first digits of the hash.
    pub version: String,
    /// Of the artifact.
    pub sha256: String,
    /// Nothing known at or after this instant went in.
    #[schema(value_type = String, format = DateTime)]
    pub trained_through: Timestamp,
}

/// The features as they were seen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeatureState {
    /// Fingerprint of the feature definitions.
    pub schema_sha256: String,
    /// The instant they describe.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Seconds since the customer's latest event; null when nothing is known of them.
    pub age_seconds: Option<i64>,
    /// Names of the features without a value.
    pub missing: Vec<String>,
}

/// What the customer is held out of.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Experiment {
    /// `policy_control` where nothing is decided for the customer, `model_control` where averages decide; else null.
    pub arm: Option<&'static str>,
    /// Whether the customer is held out.
    pub control: bool,
}

impl Experiment {
    /// Of a customer of these groups.
    #[must_use]
    pub const fn of(control: Assignment) -> Self {
        let arm = match (control.policy, control.model) {
            (true, _) => Some("policy_control"),
            (false, true) => Some("model_control"),
            (false, false) => None,
        };
        Self { arm, control: control.policy }
    }
}

/// How the winner was chosen.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Exploration {
    /// `none`, `epsilon_softmax` or `thompson`.
    pub kind: &'static str,
    /// Probability with which the policy put the first action first.
    pub choice_probability: f64,
}

/// A number that is not there, and why.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Absent {
    value: Option<f64>,
    code: &'static str,
}

impl Absent {
    /// Nothing, because of `code`.
    #[must_use]
    pub const fn because(code: &'static str) -> Self {
        Self { value: None, code }
    }
}

/// How far a probability can be off; bounds that are not there are null beside a code that says why.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct Interval {
    /// Lower bound.
    lo: Option<f64>,
    /// Upper bound.
    hi: Option<f64>,
    /// Probability with which the bounds hold.
    level: Option<f64>,
    /// Why there are none; null where there are.
    code: Option<&'static str>,
}

impl Interval {
    /// Of the probability that `model` gives for `row`.
    #[must_use]
    pub fn of(model: &PropensityModel, row: &[f64]) -> Self {
        let bounds = model.score_interval(row).map(|(lo, hi)| (lo.get(), hi.get()));
        Self::new(bounds, model.interval().map(ProbabilityInterval::level))
    }

    /// From bounds that were computed at `level`.
    #[must_use]
    pub fn new(bounds: Option<(f64, f64)>, level: Option<f64>) -> Self {
        match bounds.zip(level) {
            Some(((lo, hi), level)) => Self { lo: Some(lo), hi: Some(hi), level: Some(level), code: None },
            None => Self::because("not_estimated"),
        }
    }

    /// Nothing, because of `code`.
    #[must_use]
    pub const fn because(code: &'static str) -> Self {
        Self { lo: None, hi: None, level: None, code: Some(code) }
    }
}

impl Provenance {
    /// The head of the answer to `request_id`, made at `now` from what `app` holds.
    #[must_use]
    pub fn new(app: &App, decision_id: String, request_id: String, now: Timestamp) -> Self {
        Self {
            decision_id,
            request_id,
            created_at: now,
            valid_until: now,
            degraded: Vec::new(),
            policy: policy_version(app),
            models: app.artifact.as_ref().map(model_versions).unwrap_or_default(),
            features: FeatureState::unknown(app, now),
            experiment: Experiment::of(Assignment::default()),
            exploration: Exploration { kind: "none", choice_probability: 1.0 },
        }
    }
}

impl FeatureState {
    /// Of nobody.
    #[must_use]
    pub fn unknown(app: &App, now: Timestamp) -> Self {
        let schema_sha256 = app.project.schema.fingerprint().to_owned();
        Self { schema_sha256, as_of: now, age_seconds: None, missing: Vec::new() }
    }

    /// Of `customer`, whose features at `now` are `features`.
    #[must_use]
    pub fn of(app: &App, customer: &Customer, features: &[f64], now: Timestamp) -> Self {
        let age = |latest: Timestamp| (now.as_millis() - latest.as_millis()).max(0) / 1000;
        let named = app.project.schema.names().iter().zip(features);
        let missing = named.filter(|(_, value)| value.is_nan()).map(|(name, _)| name.clone());
        Self {
            age_seconds: customer.latest().map(age),
            missing: missing.collect(),
            ..Self::unknown(app, now)
        }
    }
}

fn policy_version(app: &App) -> PolicyVersion {
    let sha256 = app.policy_sha256.clone();
    let short = sha256.get(..8).unwrap_or_default();
    PolicyVersion { version: format!("{}-{short}", app.project.settings.name), sha256 }
}

/// Every model of `artifact`, demand included.
#[must_use]
pub fn model_versions(artifact: &Artifact) -> Vec<ModelVersion> {
    let metadata = artifact.metadata();
    let short = artifact.sha256().get(..8).unwrap_or_default();
    let version = format!("{}-{short}", metadata.trained_through.day());
    let versions = metadata.models.iter().map(|model| ModelVersion {
        name: model.name.clone(),
        version: version.clone(),
        sha256: artifact.sha256().to_owned(),
        trained_through: metadata.trained_through,
    });
    versions.collect()
}

/// Why a score is what it is, one reason of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reason {
    /// Stable, for programs: of the project's list of reasons, or the name of a feature that the list leaves alone.
    pub code: String,
    /// For people, in this direction; null for a feature that the list leaves alone.
    pub text: Option<String>,
    /// `raises` or `lowers` the probability.
    pub direction: &'static str,
    /// Added to the log-odds: the sum over the features.
    pub contribution: f64,
    /// Whether none of the features had a value.
    pub missing: bool,
    /// The features of the reason that the model uses.
    pub features: Vec<String>,
}

/// The `n` strongest reasons of `model` for `row`, as `project` names them, strongest first.
#[must_use]
pub fn reasons(project: &Project, model: &PropensityModel, row: &[f64], n: usize) -> Vec<Reason> {
    if n == 0 { Vec::new() } else { named_reasons(project, &model.explain(row), n) }
}

/// The `n` strongest reasons of `explanation`, as `project` names them, strongest first.
#[must_use]
pub fn named_reasons(project: &Project, explanation: &Explanation, n: usize) -> Vec<Reason> {
    let named = project.reasons.name_contributions(explanation).into_iter();
    let reasons = named.take(n).filter(|part| part.log_odds != 0.0).map(|part| Reason {
        code: part.code.to_owned(),
        text: part.text.map(str::to_owned),
        direction: part.direction.as_str(),
        contribution: part.log_odds,
        missing: part.missing,
        features: part.features.into_iter().map(str::to_owned).collect(),
    });
    reasons.collect()
}

/// Microseconds of the steps of a request.
#[derive(Clone, Debug)]
pub struct Timing {
    start: Stopwatch,
    last_us: u64,
    steps: BTreeMap<&'static str, u64>,
}

impl Timing {
    /// Starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Stopwatch::start(), last_us: 0, steps: BTreeMap::new() }
    }

    /// Ends a step that began where the last ended.
    pub fn step(&mut self, name: &'static str) {
        let now_us = self.start.elapsed_us();
        self.steps.insert(name, now_us - self.last_us);
        self.last_us = now_us;
    }

    /// The steps so far and their `total`.
    #[must_use]
    pub fn steps(&self) -> BTreeMap<&'static str, u64> {
        let mut steps = self.steps.clone();
        steps.insert("total", self.start.elapsed_us());
        steps
    }
}
