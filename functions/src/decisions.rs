//! `next-best-action`: chooses what to do for one customer next, logs it, and shows logged decisions.
//!
//! One read, one pure decision, one write: the write logs the decision and holds the contacts it offers. Without the store
//! or a model the answer is still an answer, and `degraded` says what was missing. The log keeps all that the decision
//! was made from, so that it can be made again bit for bit.

pub mod activate;
pub(crate) mod hold;
mod keep;
pub(crate) mod known;
pub mod record;

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::routing::{get, post};
use nextbest_models::action::CampaignType;
use nextbest_models::customer::CustomerId;
use nextbest_models::decision::{Candidate, Context, DecisionOutcome, Factors, Maturity, Rejection};
use nextbest_models::lifecycle::Stage;
use nextbest_models::policy::{Question, Situation};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::clock::{self, Stopwatch};
use crate::door::RequestId;
use crate::hopper;
use crate::problem::Problem;
use crate::provenance::{
    Absent, Experiment, Exploration, FeatureState, Interval, Provenance, Reason, Timing, reasons,
};
use crate::request::Json;
use crate::route::Function;
use crate::store::{LoggedDecision, Subject};
use keep::Kept;

pub(crate) use hold::Held;
pub(crate) use keep::{Asked, Terms};

const MAX_ACTIONS: u32 = 10;
/// Most actions that a caller may list.
const MAX_LISTED: usize = 1000;
const CODES: usize = 3;
/// How long a decision without an offer holds, in milliseconds: a day; after a failure, a minute.
const IDLE_MS: i64 = 24 * 3_600_000;
const FAILED_MS: i64 = 60_000;

/// POST /v1/decisions/next-best-action, GET /v1/decisions/{id}, POST /v1/decisions/{id}/activate, and what the hopper
/// decided overnight.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/decisions/next-best-action", post(next_best_action))
        .route("/v1/decisions/{id}", get(show))
        .route("/v1/decisions/{id}/activate", post(activate::activate))
        .merge(hopper::routes())
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
    /// What a deferred decision offered, where it is activated.
    #[serde(skip)]
    treatments: Vec<String>,
    #[serde(default)]
    explain: Explain,
    /// Channels the customer consents to (true) or not (false), as known by the caller; silence is no objection.
    #[serde(default)]
    consent: BTreeMap<String, bool>,
    #[serde(default)]
    mode: Mode,
    /// Hold contacts only when the caller says that it goes ahead (`/activate`), not at once.
    #[serde(default)]
    defer_activation: bool,
}

const fn one() -> u32 {
    1
}

impl Request {
    /// `question`, to be held at once.
    pub(crate) fn live(question: Question) -> Self {
        Self {
            customer_id: None,
            anonymous_id: None,
            context: question.context,
            max_actions: question.max_actions,
            candidate_actions: question.candidate_actions,
            excluded_actions: question.excluded_actions,
            treatments: question.treatments,
            explain: Explain::None,
            consent: question.consent,
            mode: Mode::Live,
            defer_activation: false,
        }
    }

    /// The request behind `record`, for these of its actions alone, in the forms that were offered, to be held at once.
    fn to_hold(record: &record::Record, action_ids: &[String]) -> Self {
        let offered =
            record.decision.actions.iter().filter(|one| action_ids.iter().any(|id| *one.action_id == **id));
        Self::live(Question {
            treatments: offered.map(|one| one.treatment_id.to_string()).collect(),
            max_actions: u32::try_from(action_ids.len()).unwrap_or(MAX_ACTIONS),
            candidate_actions: action_ids.to_vec(),
            excluded_actions: Vec::new(),
            ..record.question.clone()
        })
    }
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
pub enum Mode {
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
    #[schema(value_type = String)]
    lifecycle_stage: Stage,
    /// Until when the offered contacts are held for the caller to make them; null where none is held.
    #[schema(value_type = Option<String>, format = DateTime)]
    activate_until: Option<Timestamp>,
    actions: Vec<Offered>,
    /// With `explain: full`, all that survived, with factors and choice probabilities.
    #[schema(value_type = Vec<Object>)]
    candidates: Vec<Candidate>,
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
    mandatory: bool,
    cost_minor: i64,
    /// Expected worth in minor units: the product of the factors.
    priority: f64,
    /// propensity, context_weight, value, lever.
    #[schema(value_type = Object)]
    factors: Factors,
    /// model_weight, n_outcomes: how much of the propensity is the model's, the rest being the action's prior.
    #[schema(value_type = Object)]
    maturity: Maturity,
    /// Probability with which the policy put it first.
    choice_probability: f64,
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
    Extension(since): Extension<Stopwatch>,
    Json(request): Json<Request>,
) -> Result<axum::Json<Answer>, Problem> {
    let now = app.clock.now();
    let answer = answer(&app, &request, &request_id, since, now).await?;
    app.metrics.answered(Function::NextBestAction, &answer.head.degraded, now);
    Ok(axum::Json(answer))
}

/// What a decision on `request` would be; nothing is written, and nothing is counted.
pub(crate) async fn what_if(app: &App, request: Request, request_id: &str) -> Result<Answer, Problem> {
    let request = Request { mode: Mode::DryRun, ..request };
    answer(app, &request, request_id, Stopwatch::start(), app.clock.now()).await
}

async fn answer(
    app: &App,
    request: &Request,
    request_id: &str,
    since: Stopwatch,
    now: Timestamp,
) -> Result<Answer, Problem> {
    let mut timing = Timing::start();
    let subject = check(app, request)?;
    let decision_id = clock::new_id("dec")?;
    timing.step("parse");

    let asked = Asked {
        app,
        request,
        request_id,
        subject: &subject,
        decision_id: &decision_id,
        hold_as: &decision_id,
        now,
        since,
        terms: Terms::live(app),
    };
    let kept = asked.decide().await?;
    timing.step("decide");

    let mut answer = compose(app, request, &kept);
    timing.step("explain");
    answer.timing_us = timing.steps();
    Ok(answer)
}

async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    let LoggedDecision { document, outcomes } = logged(&app, &id).await?;
    Ok(axum::Json(json!({ "decision": document, "outcomes": outcomes })))
}

async fn logged(app: &App, id: &str) -> Result<LoggedDecision, Problem> {
    let logged = app.store.decision(id, app.clock.now().as_millis() / 1000).await?;
    logged.ok_or_else(|| Problem::not_found("unknown_decision", format!("there is no decision {id:?}")))
}

fn check(app: &App, request: &Request) -> Result<Subject, Problem> {
    if !(1..=MAX_ACTIONS).contains(&request.max_actions) {
        let detail = format!("{} lies outside 1 ..= {MAX_ACTIONS}", request.max_actions);
        return Err(Problem::invalid("max_actions", detail));
    }
    let lists =
        [("candidate_actions", &request.candidate_actions), ("excluded_actions", &request.excluded_actions)];
    for (name, list) in lists {
        if list.len() > MAX_LISTED {
            let detail = format!("{} actions, at most {MAX_LISTED}", list.len());
            return Err(Problem::invalid(name, detail));
        }
        if let Some(at) = list.iter().position(|id| app.project.policy.action(id).is_none()) {
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

fn compose(app: &App, request: &Request, kept: &Kept) -> Answer {
    let Kept { record, known } = kept;
    let decision = &record.decision;
    let mut head =
        Provenance::new(app, record.decision_id.clone(), record.request_id.clone(), record.created_at);
    head.degraded = record.degraded.iter().chain(&decision.degraded).cloned().collect();
    if !head.degraded.is_empty() {
        tracing::warn!(degraded = head.degraded.join(","), decision_id = record.decision_id, "degraded");
    }
    head.features =
        FeatureState::of(app, &known.stored.customer, &record.situation.features, record.created_at);
    head.experiment = Experiment::of(record.situation.control);
    head.exploration = Exploration {
        kind: app.project.policy.exploration().name(),
        choice_probability: decision.choice_probability,
    };
    let idle_ms = if decision.outcome == DecisionOutcome::Fallback { FAILED_MS } else { IDLE_MS };
    let expiry = decision.actions.iter().map(|action| action.expires_at).min();
    head.valid_until = expiry.unwrap_or_else(|| head.created_at.plus_millis(idle_ms));
    let held = record.reservations.first().map(|held| held.expires_at);
    Answer {
        outcome: decision.outcome,
        mode: request.mode,
        lifecycle_stage: decision.lifecycle_stage,
        activate_until: if record.deferred { Some(head.valid_until) } else { held },
        actions: decision
            .actions
            .iter()
            .map(|one| offered(app, request.explain, one, &record.situation))
            .collect(),
        candidates: match request.explain {
            Explain::Full => decision.actions.iter().chain(&decision.outranked).cloned().collect(),
            _ => Vec::new(),
        },
        suppressed: match request.explain {
            Explain::None => Vec::new(),
            _ => decision.suppressed.clone(),
        },
        timing_us: BTreeMap::new(),
        head,
    }
}

fn offered(app: &App, explain: Explain, candidate: &Candidate, situation: &Situation) -> Offered {
    let n_reasons = match explain {
        Explain::None => 0,
        Explain::Codes => CODES,
        Explain::Full => usize::MAX,
    };
    let model = app.artifact.as_ref().and_then(|artifact| artifact.propensity(&candidate.propensity_model));
    // Of an action that it never saw the model says nothing; the prior spoke.
    let model = model.filter(|_| candidate.maturity.model.is_some());
    let row = model.map(|model| situation.row_of(candidate, model)).unwrap_or_default();
    Offered {
        rank: candidate.rank,
        action_id: candidate.action_id.to_string(),
        campaign_type: candidate.campaign_type,
        treatment_id: candidate.treatment_id.to_string(),
        channel: candidate.channel.to_string(),
        expires_at: candidate.expires_at,
        mandatory: candidate.mandatory,
        cost_minor: candidate.cost_minor,
        priority: candidate.priority,
        factors: candidate.factors,
        maturity: candidate.maturity,
        choice_probability: candidate.choice_probability,
        propensity_model: candidate.propensity_model.to_string(),
        interval: model.map_or(Interval::because("no_model"), |model| Interval::of(model, &row)),
        evidence: model.map(|model| model.metadata().counts.clone()).unwrap_or_default(),
        uplift: Absent::because("no_uplift_model"),
        reason_codes: model.map(|model| reasons(&app.project, model, &row, n_reasons)).unwrap_or_default(),
    }
}
