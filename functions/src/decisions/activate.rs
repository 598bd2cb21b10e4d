//! Activation: the caller says that it goes ahead with what was decided.
//!
//! A decision is a computation, a contact is an act. Activating turns what is held into contacts, in the customer's state
//! and in the budgets; of a decision that deferred it, caps and budgets are asked now. Repeating it changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use nextbest_models::customer::stable_hash;
use nextbest_models::decision::{Decision, RejectionCode};
use nextbest_models::event::{Event, EventDraft, EventFault, EventType};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::known::Known;
use super::record::Record;
use super::{Mode, Request, logged};
use crate::app::App;
use crate::clock::Stopwatch;
use crate::problem::Problem;
use crate::request::Json;
use crate::store::{Committed, Reservation, StoreError, StoredCustomer, Subject};

use super::keep::{Asked, MAX_ROUNDS, Terms};

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
    /// The decision by which a deferred one asked caps and budgets now; null where nothing had to be asked.
    held_by: Option<String>,
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
    let held_by = match record.deferred {
        true => hold_now(&app, &record, &subject, &action_ids, now).await?,
        false => None,
    };
    let events: Result<Vec<Event>, _> =
        action_ids.iter().map(|action| contacted(&record, action, now)).collect();
    let events = events.map_err(|fault| Problem::internal(&fault))?;
    crate::events::fold_all(&app, &subject, events).await?;
    Ok(axum::Json(Activated { decision_id: record.decision_id, action_ids, held_by, activated_at: now }))
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
    if let Some(deferred) = &record.holds_for {
        let detail = format!("it only holds what {deferred} offered; activate that one");
        return Err(Problem::new(StatusCode::CONFLICT, "holds_for_another", detail));
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
    // In one order and each once, so that the same wish is the same decision.
    let wished: BTreeSet<&String> = body.action_ids.iter().collect();
    Ok(wished.into_iter().cloned().collect())
}

/// Of a deferred decision: caps and budgets are asked now, by deciding among those of `action_ids` that are neither made nor
/// held yet, as often as others come first; the id of that decision. What is refused leaves no trace, so that asking later may
/// have another answer.
async fn hold_now(
    app: &App,
    record: &Record,
    subject: &Subject,
    action_ids: &[String],
    now: Timestamp,
) -> Result<Option<String>, Problem> {
    let mut exhausted = BTreeMap::new();
    for round in 0..MAX_ROUNDS {
        let stored = app.store.customer(subject, &app.project.schema).await?;
        let known = Known::fresh(stored, subject, app);
        let open = |id: &&String| !is_settled(&known.stored, &record.decision_id, id, now);
        let open: Vec<String> = action_ids.iter().filter(open).cloned().collect();
        if open.is_empty() {
            return Ok(None);
        }
        // Callers who race for the same actions of the same state are one decision; the version tells later ones apart.
        let decision_id = format!("{}.held.{}.{}", record.decision_id, known.stored.version, open.join("+"));
        let asked = Asked {
            app,
            request: &Request::to_hold(record, &open),
            request_id: &record.request_id,
            subject,
            decision_id: &decision_id,
            hold_as: &record.decision_id,
            now,
            since: Stopwatch::start(),
            terms: Terms::live(app),
        };
        let mut situation = known.situation(app, asked.seed(round), now);
        situation.exhausted.append(&mut exhausted);
        let held = asked.record(&known, situation);
        if let Some(missing) = open.iter().find(|id| !offers(&held.decision, id)) {
            return Err(refused(&held.decision, missing));
        }
        match asked.keep(&held, &known).await? {
            Committed::Done => return Ok(Some(decision_id)),
            Committed::CustomerChanged => exhausted = held.situation.exhausted,
            Committed::BudgetSpent(draw) => {
                let mut situation = held.situation;
                asked.spent(&draw, &mut situation).await;
                exhausted = situation.exhausted;
            }
        }
    }
    Err(StoreError::Contended { key: subject.to_string(), attempts: MAX_ROUNDS }.into())
}

/// Whether the decision's contact by `action_id` was made, or is held.
fn is_settled(stored: &StoredCustomer, decision_id: &str, action_id: &str, now: Timestamp) -> bool {
    let (decision, action) = (Some(stable_hash(decision_id)), Some(stable_hash(action_id)));
    let mut made = stored.customer.contacts().since(Timestamp::MIN, Timestamp::MAX);
    let held =
        |one: &Reservation| one.decision_id == decision_id && one.action_id == action_id && one.is_live(now);
    made.any(|contact| contact.decision == decision && contact.action == action)
        || stored.reservations.iter().any(held)
}

fn offers(decision: &Decision, action_id: &str) -> bool {
    decision.actions.iter().any(|action| &*action.action_id == action_id)
}

/// Why `missing` is not offered any more.
fn refused(decision: &Decision, missing: &str) -> Problem {
    let fallen = decision.suppressed.iter().find(|fallen| &*fallen.action_id == missing);
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
    Problem::new(StatusCode::CONFLICT, code, detail)
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
