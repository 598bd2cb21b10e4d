//! Activation: the caller says that it goes ahead with what was decided.
//!
//! A decision is a computation, a contact is an act. Activating turns what is held into contacts, in the customer's state
//! and in the budgets; of a decision that deferred it, caps and budgets are asked now. Repeating it changes nothing.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use nextbest_models::decision::RejectionCode;
use nextbest_models::event::{Event, EventDraft, EventFault, EventType};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::Record;
use super::{Mode, Request, logged};
use crate::app::App;
use crate::clock::Stopwatch;
use crate::problem::Problem;
use crate::request::Json;
use crate::store::Subject;

use super::keep::{Asked, Terms};

/// The body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Activation {
    /// Only these of the offered actions; absent: the first.
    #[serde(default)]
    action_ids: Vec<String>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Activated {
    decision_id: String,
    /// The actions that are contacts now.
    action_ids: Vec<String>,
    #[schema(value_type = String, format = DateTime)]
    activated_at: Timestamp,
}

pub(super) async fn activate(
    State(app): State<App>,
    Path(id): Path<String>,
    Json(body): Json<Activation>,
) -> Result<axum::Json<Activated>, Problem> {
    let now = app.clock.now();
    let record: Record = serde_json::from_value(logged(&app, &id).await?.document)
        .map_err(|error| Problem::internal(&error))?;
    let action_ids = chosen(&record, &body)?;
    let subject = match record.visitor {
        true => Subject::Visitor(customer_id(&record)?),
        false => Subject::Customer(customer_id(&record)?),
    };
    let last = match record.reservations.first() {
        Some(held) if !record.deferred => held.expires_at,
        _ => record.decision.actions.iter().map(|action| action.expires_at).min().unwrap_or(now),
    };
    if last <= now {
        let detail = format!("what {id} offered was held until {last}; ask for a new decision");
        return Err(Problem::new(StatusCode::GONE, "activation_expired", detail));
    }
    if record.deferred {
        hold_now(&app, &record, &subject, &action_ids, now).await?;
    }
    let events: Result<Vec<Event>, _> =
        action_ids.iter().map(|action| contacted(&record, action, now)).collect();
    let events = events.map_err(|fault| Problem::internal(&fault))?;
    crate::events::fold_all(&app, &subject, events).await?;
    Ok(axum::Json(Activated { decision_id: record.decision_id, action_ids, activated_at: now }))
}

pub(crate) fn customer_id(record: &Record) -> Result<nextbest_models::customer::CustomerId, Problem> {
    nextbest_models::customer::CustomerId::new(record.customer_id.as_str())
        .map_err(|error| Problem::internal(&error))
}

fn chosen(record: &Record, body: &Activation) -> Result<Vec<String>, Problem> {
    if record.mode != Mode::Live {
        let detail = "only a live decision can be activated; this one was made for comparison";
        return Err(Problem::new(StatusCode::CONFLICT, "not_live", detail));
    }
    let offered = || record.decision.actions.iter().map(|action| &*action.action_id);
    if body.action_ids.is_empty() {
        let nothing =
            || Problem::new(StatusCode::CONFLICT, "nothing_offered", "the decision offered nothing");
        return Ok(vec![offered().next().ok_or_else(nothing)?.to_owned()]);
    }
    if let Some(at) = body.action_ids.iter().position(|id| !offered().any(|offered| offered == id)) {
        let detail = format!(
            "{:?} is not among what was offered: {}",
            body.action_ids[at],
            offered().collect::<Vec<_>>().join(", ")
        );
        return Err(Problem::invalid(format!("action_ids[{at}]"), detail));
    }
    Ok(body.action_ids.clone())
}

/// Of a deferred decision: caps and budgets are asked now, by deciding among these actions alone under an id of its own.
async fn hold_now(
    app: &App,
    record: &Record,
    subject: &Subject,
    action_ids: &[String],
    now: Timestamp,
) -> Result<(), Problem> {
    let request = Request::to_hold(record, action_ids);
    let decision_id = format!("{}.held", record.decision_id);
    // What was asked before has its answer, a refusal too: a caller who repeats it is told the same.
    let before = app.store.decision(&decision_id, now.as_millis() / 1000).await?;
    let decision = match before {
        Some(logged) => {
            let record: Record =
                serde_json::from_value(logged.document).map_err(|error| Problem::internal(&error))?;
            record.decision
        }
        None => {
            let asked = Asked {
                app,
                request: &request,
                request_id: &record.request_id,
                subject,
                decision_id: &decision_id,
                hold_as: &record.decision_id,
                now,
                since: Stopwatch::start(),
                terms: Terms::live(app),
            };
            asked.decide().await?.record.decision
        }
    };
    let held = |id: &&String| !decision.actions.iter().any(|action| *action.action_id == ***id);
    let Some(missing) = action_ids.iter().find(held) else { return Ok(()) };
    let fallen = decision.suppressed.iter().find(|fallen| *fallen.action_id == **missing);
    let because = fallen.map_or_else(String::new, |fallen| {
        let until = fallen.until.map_or_else(String::new, |until| format!(" until {until}"));
        format!(": {} ({:?}){until}", fallen.component, fallen.code)
    });
    let code = match fallen.map(|fallen| fallen.code) {
        Some(RejectionCode::CapReached) => "cap_reached",
        Some(RejectionCode::BudgetExhausted) => "budget_exhausted",
        _ => "no_longer_offered",
    };
    let detail = format!("{missing:?} cannot be offered any more{because}");
    Err(Problem::new(StatusCode::CONFLICT, code, detail))
}

/// The contact as an event; the same decision and action give the same id, so that it counts once.
pub(crate) fn contacted(record: &Record, action_id: &str, now: Timestamp) -> Result<Event, EventFault> {
    let action = record.decision.actions.iter().find(|action| &*action.action_id == action_id);
    let id = || Some(record.customer_id.clone());
    let draft = EventDraft {
        event_id: format!("activate.{}.{action_id}", record.decision_id),
        event_type: EventType::Contacted.as_str().to_owned(),
        occurred_at: Some(now),
        customer_id: if record.visitor { None } else { id() },
        anonymous_id: if record.visitor { id() } else { None },
        decision_id: Some(record.decision_id.clone()),
        action_id: Some(action_id.to_owned()),
        treatment_id: action.map(|action| action.treatment_id.to_string()),
        channel: action.map(|action| action.channel.to_string()),
        ..EventDraft::default()
    };
    Event::try_from(draft)
}
