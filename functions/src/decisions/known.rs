//! What is known of the customer when a decision is made: from the store, else from memory, else nothing.
//!
//! full -> stale -> nothing: each step down has a code in `degraded`, and from the second on nothing is held, so that
//! what caps or budgets count is not offered.

use std::time::Duration;

use nextbest_models::policy::Situation;
use nextbest_models::units::{Seed, Timestamp};

use crate::app::App;
use crate::problem::Problem;
use crate::store::{Reservation, StoreError, StoredCustomer, Subject};

/// The customer, and how that came about.
pub(crate) struct Known {
    pub(crate) stored: StoredCustomer,
    /// Whether anything was ever known of them.
    pub(crate) known: bool,
    /// Whether the store answered, so that contacts can be held.
    pub(crate) fresh: bool,
    /// What was missing.
    pub(crate) degraded: Vec<&'static str>,
}

impl Known {
    /// Asks the store for as long as `limit`, then the memory of this process.
    pub(crate) async fn load(app: &App, subject: &Subject, limit: Duration) -> Result<Self, Problem> {
        let schema = &app.project.schema;
        let answer = tokio::time::timeout(limit, app.store.customer(subject, schema)).await;
        let code = match answer {
            Ok(Ok(Some(stored))) => {
                app.memory.keep(subject, &stored);
                return Ok(Self::fresh(Some(stored), subject, app));
            }
            Ok(Ok(None)) => {
                return Ok(Self { degraded: vec!["unknown_customer"], ..Self::fresh(None, subject, app) });
            }
            Ok(Err(StoreError::State { .. })) => "stale_state",
            Ok(Err(error)) if error.is_transient() => {
                tracing::warn!(%error, "deciding without the store");
                "store_unreachable"
            }
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => "store_slow",
        };
        Ok(match app.memory.find(subject) {
            Some(stored) => {
                let degraded = vec![code, "stale_features"];
                Self { stored, known: true, fresh: false, degraded }
            }
            None => {
                let stored = StoredCustomer::new(subject, schema);
                Self { stored, known: false, fresh: false, degraded: vec![code] }
            }
        })
    }

    /// Of a customer whom the store just gave, or has not.
    pub(crate) fn fresh(stored: Option<StoredCustomer>, subject: &Subject, app: &App) -> Self {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| StoredCustomer::new(subject, &app.project.schema));
        Self { stored, known, fresh: true, degraded: Vec::new() }
    }

    /// The situation at `now`; `seed` is that of the exploration.
    pub(crate) fn situation(&self, app: &App, seed: Seed, now: Timestamp) -> Situation {
        let situation = situation(app, &self.stored, self.known, now, seed);
        Situation { limits_unknown: !self.fresh, ..situation }
    }
}

/// All that a decision on `stored` at `now` rests on: what is held for them, models, evidence and spent budgets included.
pub(crate) fn situation(
    app: &App,
    stored: &StoredCustomer,
    known: bool,
    now: Timestamp,
    seed: Seed,
) -> Situation {
    let project = &app.project;
    let blank = Situation::of(project, &stored.customer, known, now, seed);
    let live = stored.reservations.iter().filter(|held| held.is_live(now));
    let mut situation = blank.reserved(live.map(Reservation::as_contact));
    situation.evidence = app.beliefs.evidence();
    situation.exhausted = app.budgets.exhausted(now);
    match &app.artifact {
        Some(artifact) => situation.scored(project, artifact),
        None => situation,
    }
}
