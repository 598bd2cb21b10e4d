//! `learn`: what became of the contacts that decisions led to, counted by action, so that the next decisions know.
//!
//! Run with the nightly snapshot. It reads the log of the last [`WINDOW_DAYS`] anew each time, so a run that is repeated or
//! lost changes nothing. Counted are contacts that were made by decisions of the artifact in use (what another model
//! expected says nothing of this one), whose horizon is over, lateness included. What was learned is one item in the store;
//! functions read it when they start, servers now and then.

use std::collections::BTreeMap;

use nextbest_models::decision::{Candidate, Name};
use nextbest_models::event::{Event, EventType};
use nextbest_models::posterior::Evidence;
use nextbest_models::project::ResponseRule;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::decisions::Mode;
use crate::decisions::record::Record;
use crate::store::{LogItem, StoreError};

/// How far back contacts are counted, in days.
pub const WINDOW_DAYS: i32 = 90;
/// The log is read in so many parts, of which one is in memory.
const SEGMENTS: i32 = 16;

/// What was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Learned {
    /// When.
    pub as_of: Timestamp,
    /// Of which artifact's decisions; none while there is none.
    pub artifact_sha256: Option<String>,
    /// By action.
    pub evidence: BTreeMap<Name, Evidence>,
}

/// Counts, writes down what was counted, and believes it from now on.
pub async fn learn(app: &App) -> Result<Learned, StoreError> {
    let now = app.clock.now();
    let mut learned = Learned { as_of: now, artifact_sha256: in_use(app), evidence: BTreeMap::new() };
    for segment in 0..SEGMENTS {
        let mut log = Log::default();
        let mut scan = app.store.scan_decisions(segment, SEGMENTS, now.as_millis() / 1000);
        while let Some(page) = scan.next().await? {
            page.into_iter().for_each(|(id, item)| log.take(id, item));
        }
        log.count(app, now, &mut learned.evidence);
    }
    app.store.put_beliefs(&learned).await?;
    app.beliefs.set(learned.evidence.clone());
    tracing::info!(n_actions = learned.evidence.len(), "learned from outcomes");
    Ok(learned)
}

/// Takes over what was learned last, if it is of the artifact in use. A store that is away leaves what is believed.
pub async fn believe(app: &App) {
    match app.store.beliefs::<Learned>().await {
        Ok(Some(learned)) if learned.artifact_sha256 == in_use(app) => app.beliefs.set(learned.evidence),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "what was learned from outcomes cannot be read"),
    }
}

fn in_use(app: &App) -> Option<String> {
    app.artifact.as_ref().map(|artifact| artifact.sha256().to_owned())
}

/// A part of the log, by decision.
#[derive(Default)]
struct Log {
    decisions: BTreeMap<String, Record>,
    outcomes: BTreeMap<String, Vec<Event>>,
}

impl Log {
    /// What is no record or no event (a price is a decision too) tells nothing of actions.
    fn take(&mut self, id: String, item: LogItem) {
        match item {
            LogItem::Decision(document) => {
                if let Ok(record) = serde_json::from_value::<Record>(document) {
                    self.decisions.insert(id, record);
                }
            }
            LogItem::Outcome(document) => {
                if let Ok(event) = serde_json::from_value(document) {
                    self.outcomes.entry(id).or_default().push(event);
                }
            }
        }
    }

    fn count(&self, app: &App, now: Timestamp, evidence: &mut BTreeMap<Name, Evidence>) {
        let artifact = in_use(app);
        let of_now = |record: &&Record| record.mode == Mode::Live && record.artifact_sha256 == artifact;
        for record in self.decisions.values().filter(of_now) {
            let Some(outcomes) = self.outcomes.get(&record.decision_id) else { continue };
            for candidate in &record.decision.actions {
                let Some(rule) = app.project.settings.responses.get(&*candidate.propensity_model) else {
                    continue;
                };
                if let Some(succeeded) = outcome(app, rule, candidate, outcomes, now)
                    && let Some(expected) = app.project.policy.believed(&record.situation, candidate)
                {
                    evidence.entry(candidate.action_id.clone()).or_default().add(succeeded, expected);
                }
            }
        }
    }
}

/// Whether the contact that `candidate` led to succeeded; none where none was made within the window, or its time is not
/// over.
fn outcome(
    app: &App,
    rule: &ResponseRule,
    candidate: &Candidate,
    outcomes: &[Event],
    now: Timestamp,
) -> Option<bool> {
    let own = |event: &&Event| event.action_id.as_deref().is_none_or(|id| *id == *candidate.action_id);
    let made = |event: &&Event| matches!(event.event_type, EventType::Contacted | EventType::Impression);
    let contact = outcomes.iter().filter(own).filter(made).map(|event| event.occurred_at).min()?;
    let over = contact.plus_days(rule.horizon_days + app.project.settings.lateness_days);
    let counts = contact >= now.plus_days(-WINDOW_DAYS) && over <= now;
    let met = |event: &Event| rule.is_met(event.event_type, event.occurred_at, contact);
    counts.then(|| outcomes.iter().filter(own).any(met))
}
