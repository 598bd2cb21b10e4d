//! `next-best-action`: chooses what to do for one customer next, logs it, and shows logged decisions.
//!
//! One read, one pure decision, one write. Without the store or a model the answer is still an answer: no action,
//! outcome `fallback`, and `degraded` says what was missing. The log keeps what was asked, every feature that was
//! seen and every candidate with its factors, so that the decision can be replayed bit for bit.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::routing::{get, post};
use nextbest_models::action::CampaignType;
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::decision::{Candidate, Context, Decision, DecisionOutcome, Factors, Rejection};
use nextbest_models::feature::FeatureVector;
use nextbest_models::lifecycle::Stage;
use nextbest_models::policy::{Known, Question, decide};
use nextbest_models::units::{Probability, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::clock;
use crate::door::RequestId;
use crate::events::{KEEP_DAYS, expiry_seconds};
use crate::problem::Problem;
use crate::provenance::{Absent, FeatureState, Interval, Provenance, Reason, Timing, reasons};
use crate::request::Json;
use crate::store::{LoggedDecision, StoreError, Subject};

const MAX_ACTIONS: u32 = 10;
const CODES: usize = 3;
/// How long a decision without an offer holds, in milliseconds: a day; after a failure, a minute.
const IDLE_MS: i64 = 24 * 3_600_000;
const FAILED_MS: i64 = 60_000;

/// POST /v1/decisions/next-best-action, GET /v1/decisions/{id}.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/decisions/next-best-action", post(next_best_action))
        .route("/v1/decisions/{id}", get(show))
}

/// The body.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    anonymous_id: Option<CustomerId>,
    #[serde(default)]
    #[schema(value_type = Object)]
    context: Context,
    #[serde(default = "one")]
    max_actions: u32,
    #[serde(default)]
    candidate_actions: Vec<String>,
    #[serde(default)]
    excluded_actions: Vec<String>,
    #[serde(default)]
    explain: Explain,
    /// Channels the customer consents to (true) or not (false), as known by the caller; silence is no objection.
    #[serde(default)]
    consent: BTreeMap<String, bool>,
    #[serde(default)]
    mode: Mode,
}

const fn one() -> u32 {
    1
}

/// How much of the why is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Explain {
    None,
    #[default]
    Codes,
    Full,
}

/// What is done with the decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Logged, to be acted upon.
    #[default]
    Live,
    /// Logged, not acted upon.
    Shadow,
    /// Not logged.
    DryRun,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answer {
    #[serde(flatten)]
    head: Provenance,
    /// offer, no_action, control or fallback.
    #[schema(value_type = String)]
    outcome: DecisionOutcome,
    mode: Mode,
    #[schema(value_type = Option<String>)]
    lifecycle_stage: Option<Stage>,
    actions: Vec<Offered>,
    /// action_id, stage, component, code, until.
    #[schema(value_type = Vec<Object>)]
    suppressed: Vec<Rejection>,
    timing_us: BTreeMap<&'static str, u64>,
}

/// An action that is offered.
#[derive(Debug, Serialize, ToSchema)]
struct Offered {
    rank: u32,
    action_id: String,
    #[schema(value_type = String)]
    campaign_type: CampaignType,
    treatment_id: String,
    channel: String,
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// Expected worth in minor units: the product of the factors.
    priority: f64,
    /// propensity, context_weight, value, lever.
    #[schema(value_type = Object)]
    factors: Factors,
    propensity_model: String,
    /// Of the propensity.
    interval: Interval,
    evidence: BTreeMap<String, u64>,
    uplift: Absent,
    reason_codes: Vec<Reason>,
}

async fn next_best_action(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Json(request): Json<Request>,
) -> Result<axum::Json<Answer>, Problem> {
    let mut timing = Timing::start();
    let now = app.clock.now();
    let subject = check(&app, &request)?;
    let decision_id = clock::new_id("dec")?;
    timing.step("parse");

    let mut head = Provenance::new(&app, decision_id, request_id, now);
    let customer = load(&app, &subject, &mut head.degraded).await?;
    timing.step("load");

    let features = customer.as_ref().map(|customer| app.project.schema.features(customer, now));
    let decision = decide_for(&app, &request, customer.as_ref(), features.as_ref(), now);
    if let (Some(customer), Some(features)) = (&customer, &features) {
        head.features = FeatureState::of(&app, customer, features, now);
    }
    let mut answer = compose(&app, head, &request, decision, features.as_ref());
    timing.step("decide");

    save(&app, &request, &subject, &mut answer, features.as_ref()).await;
    timing.step("save");
    answer.timing_us = timing.steps();
    Ok(axum::Json(answer))
}

async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    let logged = app.store.decision(&id, app.clock.now().as_millis() / 1000).await?;
    let unknown = || Problem::not_found("unknown_decision", format!("there is no decision {id:?}"));
    let LoggedDecision { document, outcomes } = logged.ok_or_else(unknown)?;
    Ok(axum::Json(json!({ "decision": document, "outcomes": outcomes })))
}

fn check(app: &App, request: &Request) -> Result<Subject, Problem> {
    if !(1..=MAX_ACTIONS).contains(&request.max_actions) {
        let detail = format!("{} lies outside 1 ..= {MAX_ACTIONS}", request.max_actions);
        return Err(Problem::invalid("max_actions", detail));
    }
    let lists =
        [("candidate_actions", &request.candidate_actions), ("excluded_actions", &request.excluded_actions)];
    for (name, list) in lists {
        let known = |id: &String| app.project.policy.actions().iter().any(|action| action.id == *id);
        if let Some(at) = list.iter().position(|id| !known(id)) {
            let detail = format!("{:?} is no action of policy.toml", list[at]);
            return Err(Problem::invalid(format!("{name}[{at}]"), detail));
        }
    }
    match (&request.customer_id, &request.anonymous_id) {
        (Some(id), _) => Ok(Subject::Customer(id.clone())),
        (None, Some(id)) => Ok(Subject::Visitor(id.clone())),
        (None, None) => Err(Problem::invalid("customer_id", "a decision needs customer_id or anonymous_id")),
    }
}

/// The customer; none, with a code in `degraded`, where the store is away or holds nothing that can be used.
async fn load(app: &App, subject: &Subject, degraded: &mut Vec<String>) -> Result<Option<Customer>, Problem> {
    let code = match app.store.customer(subject, &app.project.schema).await {
        Ok(Some(stored)) => return Ok(Some(stored.customer)),
        Ok(None) => "unknown_customer",
        Err(StoreError::State { .. }) => "stale_state",
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "deciding without the store");
            "store_unreachable"
        }
        Err(error) => return Err(error.into()),
    };
    degraded.push(code.to_owned());
    Ok(None)
}

fn decide_for(
    app: &App,
    request: &Request,
    customer: Option<&Customer>,
    features: Option<&FeatureVector>,
    now: Timestamp,
) -> Decision {
    let propensity = |name: &str, row: &[f64]| -> Option<Probability> {
        Some(app.artifact.as_ref()?.propensity(name)?.score(row))
    };
    let known = Known {
        project: &app.project,
        customer,
        features: features.map(FeatureVector::values).unwrap_or_default(),
        propensity,
        now,
    };
    let question = Question {
        context: request.context.clone(),
        max_actions: request.max_actions,
        candidate_actions: request.candidate_actions.clone(),
        excluded_actions: request.excluded_actions.clone(),
        denied_channels: denied_channels(&request.consent),
    };
    decide(&known, &question)
}

fn denied_channels(consent: &BTreeMap<String, bool>) -> Vec<String> {
    consent.iter().filter(|(_, granted)| !**granted).map(|(channel, _)| channel.clone()).collect()
}

fn compose(
    app: &App,
    mut head: Provenance,
    request: &Request,
    decision: Decision,
    features: Option<&FeatureVector>,
) -> Answer {
    let codes = decision.degraded.into_iter().filter(|code| code != "unknown_customer");
    head.degraded.extend(codes);
    head.exploration.choice_probability = decision.choice_probability.get();
    let idle_ms = if decision.outcome == DecisionOutcome::Fallback { FAILED_MS } else { IDLE_MS };
    let expiry = decision.actions.iter().map(|action| action.expires_at).min();
    head.valid_until = expiry.unwrap_or_else(|| head.created_at.plus_millis(idle_ms));
    let row = features.map(FeatureVector::values).unwrap_or_default();
    let actions = decision.actions.into_iter().map(|candidate| offered(app, request.explain, candidate, row));
    Answer {
        outcome: decision.outcome,
        mode: request.mode,
        lifecycle_stage: decision.lifecycle_stage,
        actions: actions.collect(),
        suppressed: if request.explain == Explain::None { Vec::new() } else { decision.suppressed },
        timing_us: BTreeMap::new(),
        head,
    }
}

fn offered(app: &App, explain: Explain, candidate: Candidate, row: &[f64]) -> Offered {
    let n_reasons = match explain {
        Explain::None => 0,
        Explain::Codes => CODES,
        Explain::Full => usize::MAX,
    };
    let model = app.artifact.as_ref().and_then(|artifact| artifact.propensity(&candidate.propensity_model));
    Offered {
        rank: candidate.rank,
        action_id: candidate.action_id,
        campaign_type: candidate.campaign_type,
        treatment_id: candidate.treatment_id,
        channel: candidate.channel,
        expires_at: candidate.expires_at,
        priority: candidate.priority,
        factors: candidate.factors,
        propensity_model: candidate.propensity_model,
        interval: model.map_or(Interval::because("no_model"), |model| Interval::of(model, row)),
        evidence: model.map(|model| model.metadata().counts.clone()).unwrap_or_default(),
        uplift: Absent::because("no_uplift_model"),
        reason_codes: model.map(|model| reasons(&app.project, model, row, n_reasons)).unwrap_or_default(),
    }
}

/// Logs the decision, unless it is a dry run; a decision that cannot be logged says so.
async fn save(
    app: &App,
    request: &Request,
    subject: &Subject,
    answer: &mut Answer,
    features: Option<&FeatureVector>,
) {
    if request.mode == Mode::DryRun {
        return;
    }
    let names = app.project.schema.names().iter();
    let seen: BTreeMap<&str, f64> = features
        .map(|features| names.map(String::as_str).zip(features.values().iter().copied()).collect())
        .unwrap_or_default();
    let document = json!({ "answer": answer, "request": request, "features": seen });
    let expires = expiry_seconds(answer.head.created_at, KEEP_DAYS);
    let id = &answer.head.decision_id;
    if let Err(error) = app.store.log_decision(id, subject.id().as_str(), &document, expires).await {
        tracing::warn!(%error, decision_id = id, "the decision could not be logged");
        answer.head.degraded.push("not_logged".to_owned());
    }
}
