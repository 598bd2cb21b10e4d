//! `events`: takes events in, answers each, folds them into their customers.
//!
//! A request is answered as a whole only when every customer's fold is stored; sent again after a failure, what was
//! stored answers `duplicate` (or `too_late`, once it lies beyond the allowed lateness), so nothing is counted twice
//! and nothing lost. Events are folded in the order in which they became known, as an offline replay folds them. What
//! they change of a customer's lifecycle stage is logged, in one write, if anything changed. Prices that were shown go into
//! their ledger.

pub mod shown;

use std::collections::BTreeMap;

use axum::extract::{Extension, State};
use axum::{Router, routing::post};
use nextbest_models::customer::{Applied, Customer, CustomerId};
use nextbest_models::event::{Event, EventDraft, EventFault};
use nextbest_models::lifecycle::{Stage, Transition};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use utoipa::ToSchema;

use crate::app::App;
use crate::door::RequestId;
use crate::problem::Problem;
use crate::provenance::Timing;
use crate::request::Json;
use crate::store::{StoreError, Subject};

/// Most events of one request.
pub const MAX_EVENTS: usize = 500;
/// How far a caller's clock may run ahead of ours, in milliseconds.
pub const MAX_AHEAD_MS: i64 = 5 * 60 * 1000;
/// How long the outcome of a decision is kept, in days: as long as the decision.
pub const KEEP_DAYS: i32 = 400;

const CONCURRENT_FOLDS: usize = 8;

/// POST /v1/events.
pub fn routes() -> Router<App> {
    Router::new().route("/v1/events", post(take_in))
}

/// The body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// 1 to 500 events.
    #[schema(value_type = Vec<Object>)]
    events: Vec<serde_json::Value>,
}

/// The answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Receipt {
    /// Names the request.
    pub request_id: String,
    /// Events by status.
    pub counts: BTreeMap<&'static str, usize>,
    /// One per event, in the order of the request.
    pub results: Vec<EventResult>,
    /// Microseconds by step.
    pub timing_us: BTreeMap<&'static str, u64>,
}

/// What became of one event.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EventResult {
    /// Its id, where it has one.
    pub event_id: Option<String>,
    /// `accepted`, `duplicate`, `late_accepted` or `rejected`.
    pub status: &'static str,
    /// Why it was rejected: code, path in the request, message.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub fault: Option<EventFault>,
}

type Answer = Result<Applied, EventFault>;

async fn take_in(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Json(batch): Json<Batch>,
) -> Result<axum::Json<Receipt>, Problem> {
    let mut timing = Timing::start();
    let now = app.clock.now();
    let n_events = check_size(&batch)?;
    let ids = batch.events.iter().map(event_id).collect::<Vec<_>>();
    let (groups, mut answers) = parse(batch, now);
    let mut shown = shown::Ledgers::new();
    groups.values().flatten().for_each(|(_, event)| shown::note_in(&mut shown, event));
    timing.step("parse");

    let (folded, changes) = fold(&app, groups, now).await?;
    timing.step("fold");

    log_changes(&app, &changes, now).await;
    timing.step("stages");

    // Also of events that are known already: a ledger holds a price once, however often it is told, and an earlier
    // request may have ended between the two.
    shown::note(&app.store, &shown).await?;
    let accepted = folded
        .iter()
        .filter(|(_, _, answer)| matches!(answer, Ok(Applied::Accepted | Applied::LateAccepted)));
    shown::count_orders(&app, accepted.map(|(_, event, _)| event)).await;
    timing.step("prices");

    let stored = folded.iter().filter(|(_, _, answer)| answer.is_ok()).map(|(_, event, _)| event);
    app.store.attach_outcomes(stored, expiry_seconds(now, KEEP_DAYS)).await?;
    timing.step("outcomes");

    answers.extend(folded.into_iter().map(|(at, _, answer)| (at, answer)));
    let results = ids.into_iter().enumerate().map(|(at, event_id)| result(at, event_id, answers.remove(&at)));
    let results: Vec<EventResult> = results.collect();
    debug_assert_eq!(results.len(), n_events);
    let mut counts =
        BTreeMap::from([("accepted", 0), ("duplicate", 0), ("late_accepted", 0), ("rejected", 0)]);
    for result in &results {
        *counts.entry(result.status).or_default() += 1;
    }
    Ok(axum::Json(Receipt { request_id, counts, results, timing_us: timing.steps() }))
}

/// Seconds since 1970, `days` after `now`.
#[must_use]
pub fn expiry_seconds(now: Timestamp, days: i32) -> i64 {
    now.plus_days(days).as_millis() / 1000
}

fn check_size(batch: &Batch) -> Result<usize, Problem> {
    match batch.events.len() {
        n @ 1..=MAX_EVENTS => Ok(n),
        n => Err(Problem::invalid("events", format!("{n} events; a request takes 1 to {MAX_EVENTS}"))),
    }
}

fn event_id(event: &serde_json::Value) -> Option<String> {
    event.get("event_id").and_then(serde_json::Value::as_str).map(str::to_owned)
}

type Groups = BTreeMap<Subject, Vec<(usize, Event)>>;

/// The good events by subject, in the order they are to be folded, and the faults of the others.
fn parse(batch: Batch, now: Timestamp) -> (Groups, BTreeMap<usize, Answer>) {
    let (mut groups, mut faults) = (Groups::new(), BTreeMap::new());
    for (at, json) in batch.events.into_iter().enumerate() {
        match parse_event(json, now) {
            Ok((subject, event)) => groups.entry(subject).or_default().push((at, event)),
            Err(fault) => {
                faults.insert(at, Err(fault));
            }
        }
    }
    for events in groups.values_mut() {
        events.sort_by(|(_, a), (_, b)| {
            (a.known(), a.occurred_at, &a.event_id).cmp(&(b.known(), b.occurred_at, &b.event_id))
        });
    }
    (groups, faults)
}

fn parse_event(json: serde_json::Value, now: Timestamp) -> Result<(Subject, Event), EventFault> {
    let draft: EventDraft = serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().to_string();
        EventFault::new("invalid_field", &path, error.into_inner().to_string())
    })?;
    let mut event = Event::try_from(draft)?;
    for (path, time) in [("occurred_at", Some(event.occurred_at)), ("known_at", event.known_at)] {
        if let Some(time) = time.filter(|time| *time > now.plus_millis(MAX_AHEAD_MS)) {
            let message = format!("{time} lies more than 5 minutes after now, {now}");
            return Err(EventFault::new("in_future", path, message));
        }
    }
    event.known_at.get_or_insert(now);
    let subject = match (&event.customer_id, &event.anonymous_id) {
        (Some(id), _) => Subject::Customer(id.clone()),
        (None, Some(id)) => {
            let id = CustomerId::new(id.clone());
            let id = id.map_err(|error| EventFault::new("bad_id", "anonymous_id", error.to_string()))?;
            Subject::Visitor(id)
        }
        (None, None) => return Err(EventFault::new("missing", "customer_id", "whose event is it?")),
    };
    Ok((subject, event))
}

/// Folds `events` of one subject and attaches them to the decisions they name.
pub(crate) async fn fold_all(app: &App, subject: &Subject, events: Vec<Event>) -> Result<(), Problem> {
    let now = app.clock.now();
    let (folded, changes) = fold_one(app, subject, events.into_iter().enumerate().collect(), now).await?;
    log_changes(app, &changes, now).await;
    if let Some(fault) = folded.iter().find_map(|(_, _, answer)| answer.as_ref().err()) {
        return Err(Problem::internal(fault));
    }
    let events = folded.iter().map(|(_, event, _)| event);
    app.store.attach_outcomes(events, expiry_seconds(now, KEEP_DAYS)).await?;
    Ok(())
}

type FoldedEvent = (usize, Event, Answer);
pub(crate) type Changes = Vec<(CustomerId, Transition)>;

/// Logs changes of stage. Their events are folded already, so a failure fails no request: the nightly run, which logs
/// the changes of the last days again, makes up for it.
pub(crate) async fn log_changes(app: &App, changes: &Changes, now: Timestamp) {
    for (_, change) in changes {
        let from = change.from.map(Stage::as_str);
        tracing::info!(day = %change.day, from, to = change.to.as_str(), cause = change.cause.as_str(), "stage changed");
    }
    if let Err(error) = app.store.put_transitions(changes, expiry_seconds(now, KEEP_DAYS)).await {
        tracing::error!(%error, n_changes = changes.len(), "changes of stage are not logged until the next snapshot");
    }
}

/// Folds every group, some at a time; the first failure of the store ends the request.
async fn fold(app: &App, groups: Groups, now: Timestamp) -> Result<(Vec<FoldedEvent>, Changes), Problem> {
    let (mut folded, mut changes) = (Vec::new(), Changes::new());
    let mut running = JoinSet::new();
    let mut groups = groups.into_iter();
    loop {
        while running.len() < CONCURRENT_FOLDS
            && let Some((subject, events)) = groups.next()
        {
            let app = app.clone();
            running.spawn(async move { fold_one(&app, &subject, events, now).await });
        }
        match running.join_next().await {
            None => return Ok((folded, changes)),
            Some(Ok(group)) => {
                let (events, of_one) = group?;
                folded.extend(events);
                changes.extend(of_one);
            }
            Some(Err(error)) => return Err(Problem::internal(&error)),
        }
    }
}

async fn fold_one(
    app: &App,
    subject: &Subject,
    events: Vec<(usize, Event)>,
    now: Timestamp,
) -> Result<(Vec<FoldedEvent>, Changes), StoreError> {
    let schema = &app.project.schema;
    let apply = |customer: &mut Customer| {
        let before = customer.clone();
        let answers: Vec<Answer> =
            events.iter().map(|(_, event)| apply(app, subject, customer, event)).collect();
        let changed =
            answers.iter().any(|answer| matches!(answer, Ok(Applied::Accepted | Applied::LateAccepted)));
        let changes = if changed { changes(app, subject, &before, customer, now) } else { Changes::new() };
        ((answers, changes), changed)
    };
    let (answers, changes) = match app.store.fold(subject, schema, now, apply).await {
        Ok(folded) => folded.answer,
        Err(error @ StoreError::TooLarge { .. }) => {
            let fault = EventFault::new("customer_full", "customer_id", error.to_string());
            (vec![Err(fault); events.len()], Changes::new())
        }
        Err(error) => return Err(error),
    };
    let folded = events.into_iter().zip(answers).map(|((at, event), answer)| (at, event, answer));
    Ok((folded.collect(), changes))
}

/// The changes of stage that a fold brought about; visitors have no stages until they are identified.
pub(crate) fn changes(
    app: &App,
    subject: &Subject,
    before: &Customer,
    after: &Customer,
    now: Timestamp,
) -> Changes {
    let Subject::Customer(id) = subject else { return Changes::new() };
    let rules = &app.project.settings.lifecycle;
    let changes = rules.changes(before, after, &app.project.schema, now.day());
    changes.into_iter().map(|change| (id.clone(), change)).collect()
}

fn apply(app: &App, subject: &Subject, customer: &mut Customer, event: &Event) -> Answer {
    match subject {
        Subject::Customer(_) => customer.apply(&app.project.schema, event),
        // A visitor's state is kept under their anonymous id until they are identified.
        Subject::Visitor(id) => {
            let event = Event { customer_id: Some(id.clone()), ..event.clone() };
            customer.apply(&app.project.schema, &event)
        }
    }
}

fn result(at: usize, event_id: Option<String>, answer: Option<Answer>) -> EventResult {
    let (status, fault) = match answer {
        Some(Ok(Applied::Accepted)) => ("accepted", None),
        Some(Ok(Applied::LateAccepted)) => ("late_accepted", None),
        Some(Ok(Applied::Duplicate)) => ("duplicate", None),
        Some(Err(fault)) => ("rejected", Some(fault)),
        None => {
            ("rejected", Some(EventFault::new("unanswered", "", "the event got no answer; send it again")))
        }
    };
    let fault = fault.map(|fault| {
        let dot = if fault.path.is_empty() || fault.path == "." { "" } else { "." };
        let path = format!("events[{at}]{dot}{}", fault.path.trim_start_matches('.'));
        EventFault { path, ..fault }
    });
    EventResult { event_id, status, fault }
}
