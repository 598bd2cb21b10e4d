//! Claims: the contacts that are about to be sent are asked about once more, and handed out once.
//!
//! Hours lie between the list and the sending. A claim reads the customer anew and decides again by the same code; where
//! the contact still stands it is made, in the customer's state and in the budgets, and the answer is `send`; where not,
//! it is `dropped` with the code of where it fell, and what it held is free for others at once. All of it is one fold of
//! the customer, so that two who claim the same contact do not both get it.

use axum::extract::{Extension, Path, State};
use nextbest_models::customer::{Applied, CustomerId};
use nextbest_models::decision::{Candidate, Name};
use nextbest_models::event::Event;
use nextbest_models::lifecycle::Transition;
use nextbest_models::policy::{Question, decide};
use nextbest_models::units::{Seed, Timestamp};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use utoipa::ToSchema;

use super::Listed;
use crate::app::App;
use crate::decisions::activate::{contacted, customer_id};
use crate::decisions::known::situation;
use crate::decisions::record::Record;
use crate::door::RequestId;
use crate::events;
use crate::problem::Problem;
use crate::request::Json;
use crate::store::{Reservation, StoreError, StoredCustomer, Subject};

/// Most contacts of one request.
pub const MAX_CLAIMS: usize = 100;
const CONCURRENT: usize = 8;

/// The body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// 1 to 100 decisions of the list that are about to be sent.
    decision_ids: Vec<String>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Claimed {
    request_id: String,
    snapshot_id: String,
    /// One per decision, in the order of the request.
    results: Vec<Verdict>,
}

/// What became of one claim.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Verdict {
    decision_id: String,
    #[serde(flatten)]
    fate: Fate,
}

/// Whether to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Fate {
    /// Send it now: it counts as made.
    Send {
        /// To whom.
        customer_id: String,
        /// What.
        action_id: String,
        /// In which form.
        treatment_id: String,
        /// Through which channel.
        channel: String,
    },
    /// The store did not answer: claim it again.
    Retry {
        /// Always `store_failed`.
        code: String,
    },
    /// Do not send it; nothing is held for it any more.
    Dropped {
        /// Of the funnel where it fell there, such as `no_consent`; else `unknown_decision`, `already_claimed`, `expired`,
        /// `released`.
        code: String,
        /// What in the funnel: a rule, a channel, a cap; null where it did not fall there.
        component: Option<String>,
    },
}

impl Fate {
    fn dropped(code: &str) -> Self {
        Self::Dropped { code: code.to_owned(), component: None }
    }
}

pub(super) async fn claim(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Path(snapshot_id): Path<String>,
    Json(claims): Json<Claims>,
) -> Result<axum::Json<Claimed>, Problem> {
    let n = claims.decision_ids.len();
    if !(1..=MAX_CLAIMS).contains(&n) {
        let detail = format!("{n} decisions; a request takes 1 to {MAX_CLAIMS}");
        return Err(Problem::invalid("decision_ids", detail));
    }
    let now = app.clock.now();
    let (mut fates, mut error) = (vec![None; n], None);
    let mut running = JoinSet::new();
    let mut waiting = claims.decision_ids.iter().cloned().enumerate();
    loop {
        while running.len() < CONCURRENT
            && let Some((at, id)) = waiting.next()
        {
            let (app, list) = (app.clone(), snapshot_id.clone());
            running.spawn(async move { (at, one(&app, &list, &id, now).await) });
        }
        let Some(joined) = running.join_next().await else { break };
        match joined.map_err(|error| Problem::internal(&error))? {
            (at, Ok(fate)) => fates[at] = Some(fate),
            (_, Err(failed)) => error = Some(failed),
        }
    }
    if let Some(error) = error {
        if fates.iter().all(Option::is_none) {
            return Err(error.into());
        }
        // One that fails takes no other with it: those may be handed out already.
        tracing::warn!(%error, "a claim is not answered");
    }
    let verdict = |(decision_id, fate): (String, Option<Fate>)| {
        let retry = || Fate::Retry { code: "store_failed".to_owned() };
        Verdict { decision_id, fate: fate.unwrap_or_else(retry) }
    };
    let results = claims.decision_ids.into_iter().zip(fates).map(verdict).collect();
    Ok(axum::Json(Claimed { request_id, snapshot_id, results }))
}

/// What a fold of the customer said, and what has to be logged of it.
struct Judged {
    fate: Fate,
    event: Option<Event>,
    changes: Vec<(CustomerId, Transition)>,
}

impl Judged {
    fn fate(fate: Fate) -> Self {
        Self { fate, event: None, changes: Vec::new() }
    }
}

async fn one(app: &App, snapshot_id: &str, decision_id: &str, now: Timestamp) -> Result<Fate, StoreError> {
    let logged = app.store.decision(decision_id, now.as_millis() / 1000).await?;
    let record = logged.and_then(|logged| serde_json::from_value::<Record>(logged.document).ok());
    let of_list = |record: &Record| record.snapshot_id.as_deref() == Some(snapshot_id);
    let Some(record) = record.filter(of_list) else { return Ok(Fate::dropped("unknown_decision")) };
    let Some((subject, event)) = contact(&record, now) else { return Ok(Fate::dropped("unknown_decision")) };
    let judge = |stored: &mut StoredCustomer| judge(app, &record, &event, stored, now);
    let judged = app.store.fold_stored(&subject, &app.project.schema, now, judge).await?.answer;
    events::log_changes(app, &judged.changes, now).await;
    let expires = events::expiry_seconds(now, events::KEEP_DAYS);
    // The contact is made and handed out, whether or not the decision's log tells of it.
    if let Err(error) = app.store.attach_outcomes(&judged.event, expires).await {
        tracing::error!(%error, decision_id, "a contact is missing among its decision's outcomes");
    }
    Ok(judged.fate)
}

/// Whose contact it is, and the event that it was made.
fn contact(record: &Record, now: Timestamp) -> Option<(Subject, Event)> {
    let action = record.decision.actions.first()?;
    let event = contacted(record, &action.action_id, now).ok()?;
    Some((Subject::Customer(customer_id(record).ok()?), event))
}

/// Makes the contact of `record`, or gives it up: whether `stored` changed.
fn judge(
    app: &App,
    record: &Record,
    event: &Event,
    stored: &mut StoredCustomer,
    now: Timestamp,
) -> (Judged, bool) {
    let offered = record.reservations.first();
    if offered.is_some_and(|held| held.is_made(&stored.customer)) {
        return (Judged::fate(Fate::dropped("already_claimed")), false);
    }
    let own = |held: &Reservation| held.decision_id == record.decision_id;
    let Some(at) = stored.reservations.iter().position(own) else {
        let over = offered.is_none_or(|held| !held.is_live(now));
        return (Judged::fate(Fate::dropped(if over { "expired" } else { "released" })), false);
    };
    if !stored.reservations[at].is_live(now) {
        return (Judged::fate(Fate::dropped("expired")), false);
    }
    let held = stored.reservations.remove(at);
    if let Some(fallen) = fallen(app, record, &held, stored, now) {
        return (Judged::fate(fallen), true);
    }
    // Made, it is settled by the fold as it is written.
    stored.reservations.insert(at, held);
    let before = stored.customer.clone();
    if !matches!(
        stored.customer.apply(&app.project.schema, event),
        Ok(Applied::Accepted | Applied::LateAccepted)
    ) {
        return (Judged::fate(Fate::dropped("already_claimed")), false);
    }
    let subject = Subject::Customer(before.id().clone());
    let changes = events::changes(app, &subject, &before, &stored.customer, now);
    (Judged { fate: send(record), event: Some(event.clone()), changes }, true)
}

/// Where the contact falls now, asked without itself; none where it still stands.
fn fallen(
    app: &App,
    record: &Record,
    held: &Reservation,
    stored: &StoredCustomer,
    now: Timestamp,
) -> Option<Fate> {
    let action = record.decision.actions.first()?;
    let mut situation = situation(app, stored, true, now, Seed(0));
    // Its own share of a budget is not spent for it.
    held.draws.iter().for_each(|draw| {
        situation.exhausted.remove(&Name::from(draw.budget_id.as_str()));
    });
    let mut question: Question = record.question.clone();
    question.context.channel = Some(held.channel.clone());
    let decision = decide(&app.project.policy, &situation, &question);
    let same = |one: &&Candidate| one.treatment_id == action.treatment_id;
    if decision.actions.first().filter(same).is_some() {
        return None;
    }
    let fallen = decision.suppressed.iter().find(|fallen| fallen.action_id == action.action_id);
    // Nothing suppressed: the policy of today has another treatment first, or no such action any more.
    let Some(fallen) = fallen else { return Some(Fate::dropped("no_longer_offered")) };
    let code = serde_json::to_value(fallen.code).ok();
    let code = code.as_ref().and_then(serde_json::Value::as_str).unwrap_or("no_longer_offered");
    Some(Fate::Dropped { code: code.to_owned(), component: Some(fallen.component.to_string()) })
}

fn send(record: &Record) -> Fate {
    let Some(action) = record.decision.actions.first() else { return Fate::dropped("unknown_decision") };
    Fate::Send {
        customer_id: record.customer_id.clone(),
        action_id: action.action_id.to_string(),
        treatment_id: action.treatment_id.to_string(),
        channel: action.channel.to_string(),
    }
}

/// Gives back what a contact of a list holds.
pub(super) async fn release(app: &App, row: &Listed, now: Timestamp) -> Result<(), StoreError> {
    let Ok(id) = CustomerId::new(row.customer_id.as_str()) else { return Ok(()) };
    let give_up = |stored: &mut StoredCustomer| {
        let n_before = stored.reservations.len();
        stored.reservations.retain(|held| held.decision_id != row.decision_id);
        ((), stored.reservations.len() < n_before)
    };
    app.store.fold_stored(&Subject::Customer(id), &app.project.schema, now, give_up).await.map(|_| ())
}
