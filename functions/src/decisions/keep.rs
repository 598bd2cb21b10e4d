//! Deciding and keeping what was decided, until both fit together: who races for a cap or a budget decides again.

use std::collections::BTreeMap;
use std::time::Duration;

use nextbest_models::customer::stable_hash;
use nextbest_models::decision::{Candidate, Name};
use nextbest_models::policy::contact::Budget;
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::units::{Seed, Timestamp};

use super::known::Known;
use super::record::Record;
use super::{Mode, Request};
use crate::app::App;
use crate::clock::Stopwatch;
use crate::events::{KEEP_DAYS, expiry_seconds};
use crate::problem::Problem;
use crate::store::{Committed, Draw, Hold, Limit, LogEntry, Reservation, StoreError, Subject, Taking};

/// Times that a decision is made again because others came first; each of them made progress.
pub(super) const MAX_ROUNDS: u32 = 200;

/// On which terms contacts are held.
#[derive(Clone, Copy)]
pub(crate) struct Terms<'a> {
    /// For how long.
    pub(crate) reserve_minutes: u32,
    /// The overnight list they stand on, and the capacity that they draw on besides their budgets.
    pub(crate) listing: Option<(&'a str, &'a Budget)>,
}

impl Terms<'_> {
    /// Those of a live decision.
    pub(crate) fn live(app: &App) -> Self {
        Self { reserve_minutes: app.project.policy.contact().reserve_minutes, listing: None }
    }
}

/// What a request is about.
pub(crate) struct Asked<'a> {
    pub(crate) app: &'a App,
    pub(crate) request: &'a Request,
    pub(crate) request_id: &'a str,
    pub(crate) subject: &'a Subject,
    pub(crate) decision_id: &'a str,
    /// Under which decision contacts are held: this one, or the deferred one that is activated.
    pub(crate) hold_as: &'a str,
    pub(crate) now: Timestamp,
    pub(crate) since: Stopwatch,
    pub(crate) terms: Terms<'a>,
}

/// A decision that is made and, unless it is a dry run, kept.
pub(super) struct Kept {
    pub(super) record: Record,
    pub(super) known: Known,
}

impl Asked<'_> {
    /// Of one round's draws.
    pub(super) fn seed(&self, round: u32) -> Seed {
        Seed(stable_hash(&format!("{}#{round}", self.decision_id)))
    }

    /// What is left of the deadline.
    fn left(&self) -> Duration {
        self.app.deadline.saturating_sub(self.since.elapsed())
    }

    /// Decides and keeps.
    pub(super) async fn decide(&self) -> Result<Kept, Problem> {
        // A part of the time is for the answer that is given when the store does not come back.
        let mut known = Known::load(self.app, self.subject, self.left() / 2).await?;
        let mut situation = known.situation(self.app, self.seed(0), self.now);
        for round in 0..MAX_ROUNDS {
            // A draw that led to where others came first says something of the next one: each round has its own.
            situation.seed = self.seed(round);
            let record = self.record(&known, situation.clone());
            match tokio::time::timeout(self.left(), self.keep(&record, &known)).await {
                Ok(Ok(Committed::Done)) => return Ok(Kept { record, known }),
                Ok(Ok(Committed::CustomerChanged)) => {
                    known = Known::load(self.app, self.subject, self.left() / 2).await?;
                    let exhausted = situation.exhausted;
                    situation = known.situation(self.app, self.seed(round), self.now);
                    situation.exhausted.extend(exhausted);
                }
                Ok(Ok(Committed::BudgetSpent(draw))) => self.spent(&draw, &mut situation).await,
                Ok(Err(error)) => {
                    tracing::warn!(%error, decision_id = self.decision_id, "the decision could not be kept");
                    return Ok(self.without_store(record, known).await);
                }
                Err(_) => return Ok(self.without_store(record, known).await),
            }
        }
        situation.seed = self.seed(MAX_ROUNDS);
        let record = self.record(&known, situation);
        Ok(self.without_store(record, known).await)
    }

    pub(super) fn record(&self, known: &Known, situation: Situation) -> Record {
        let (app, request) = (self.app, self.request);
        let question = question(request);
        let decision = decide(&app.project.policy, &situation, &question);
        let holds = request.mode == Mode::Live && known.fresh && !request.defer_activation;
        // A contact on a list takes of a capacity, whether or not anything else counts it.
        let counted = |action: &Candidate| action.counted || self.terms.listing.is_some();
        let reservations = decision.actions.iter().filter(|action| holds && counted(action));
        let reservations = reservations.map(|action| self.reservation(action)).collect();
        Record {
            decision_id: self.decision_id.to_owned(),
            request_id: self.request_id.to_owned(),
            customer_id: self.subject.id().as_str().to_owned(),
            visitor: matches!(self.subject, Subject::Visitor(_)),
            created_at: self.now,
            mode: request.mode,
            policy_sha256: app.policy_sha256.clone(),
            schema_sha256: app.project.schema.fingerprint().to_owned(),
            artifact_sha256: app.artifact.as_ref().map(|artifact| artifact.sha256().to_owned()),
            question,
            situation,
            degraded: known.degraded.iter().map(|code| (*code).to_owned()).collect(),
            decision,
            reservations,
            deferred: request.defer_activation,
            holds_for: (self.hold_as != self.decision_id).then(|| self.hold_as.to_owned()),
            snapshot_id: self.terms.listing.map(|(snapshot_id, _)| snapshot_id.to_owned()),
        }
    }

    fn reservation(&self, action: &Candidate) -> Reservation {
        let minutes = i64::from(self.terms.reserve_minutes);
        let budget = |id: &Name| self.app.project.policy.allowance(id);
        let capacity = self.terms.listing.map(|(_, capacity)| capacity);
        let draw = |budget: &Budget| Draw {
            budget_id: budget.id.clone(),
            period: budget.period.around(self.now).0,
            cost_minor: action.cost_minor,
        };
        Reservation {
            decision_id: self.hold_as.to_owned(),
            action_id: action.action_id.to_string(),
            channel: action.channel.to_string(),
            at: self.now,
            expires_at: self.now.plus_millis(minutes * 60_000),
            draws: action.budgets.iter().filter_map(budget).chain(capacity).map(draw).collect(),
        }
    }

    /// Logs the decision, and holds its contacts with the same write.
    pub(super) async fn keep(&self, record: &Record, known: &Known) -> Result<Committed, StoreError> {
        let app = self.app;
        if record.mode == Mode::DryRun {
            return Ok(Committed::Done);
        }
        let document = serde_json::to_string(record).unwrap_or_default();
        let entry = LogEntry {
            decision_id: self.decision_id,
            customer_id: &record.customer_id,
            document: &document,
            expires_at_seconds: expiry_seconds(record.created_at, KEEP_DAYS),
        };
        let Some(last) = record.reservations.last() else {
            return app.store.log_decision(&entry).await.map(|()| Committed::Done);
        };
        let standing = known.stored.reservations.iter().filter(|held| held.is_live(self.now));
        let reservations: Vec<Reservation> = standing.chain(&record.reservations).cloned().collect();
        let hold = Hold {
            subject: self.subject,
            customer: &known.stored.customer,
            version: known.stored.version,
            reservations: &reservations,
            takings: &takings(app, &record.reservations),
            expires_at: last.expires_at,
        };
        app.store.commit(&app.project.schema, &entry, &hold).await
    }

    /// A budget had no room: gives back what expired of it, else does without it for a while.
    pub(super) async fn spent(&self, draw: &Draw, situation: &mut Situation) {
        let giving_back = self.app.store.give_back_expired(draw, self.now);
        if !matches!(tokio::time::timeout(self.left(), giving_back).await, Ok(Ok(true))) {
            let rules = self.app.project.policy.allowance(&draw.budget_id);
            let ends = rules.map_or(self.now, |rules| rules.period.around(self.now).1);
            self.app.budgets.note(&draw.budget_id, ends, self.now);
            situation.exhausted.insert(Name::from(draw.budget_id.as_str()), ends);
        }
    }

    /// Nothing could be held: decides again among what nobody counts, and logs it if that is possible at all. What an
    /// attempt may have held under this decision's id all the same expires by itself.
    async fn without_store(&self, record: Record, mut known: Known) -> Kept {
        let mut record = record;
        if !record.reservations.is_empty() {
            known.fresh = false;
            let seed = self.seed(MAX_ROUNDS + 1);
            let situation = Situation { limits_unknown: true, seed, ..record.situation };
            record = self.record(&known, situation);
        }
        record.degraded.push("not_logged".to_owned());
        Kept { record, known }
    }
}

/// What `reservations` take of budgets, summed where several draw on the same.
fn takings(app: &App, reservations: &[Reservation]) -> Vec<Taking> {
    let mut takings: BTreeMap<&str, Taking> = BTreeMap::new();
    for draw in reservations.iter().flat_map(|reservation| &reservation.draws) {
        let nothing = || {
            let limit = app.project.policy.allowance(&draw.budget_id).map(Limit::of).unwrap_or_default();
            Taking { draw: Draw { cost_minor: 0, ..draw.clone() }, n_contacts: 0, limit }
        };
        let taking = takings.entry(&draw.budget_id).or_insert_with(nothing);
        taking.n_contacts += 1;
        taking.draw.cost_minor += draw.cost_minor;
    }
    takings.into_values().collect()
}

fn question(request: &Request) -> Question {
    Question {
        context: request.context.clone(),
        max_actions: request.max_actions,
        candidate_actions: request.candidate_actions.clone(),
        excluded_actions: request.excluded_actions.clone(),
        treatments: request.treatments.clone(),
        consent: request.consent.clone(),
    }
}
