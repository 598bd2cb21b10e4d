//! Deciding for an overnight list: what survives is logged and held, what does not leaves no trace.
//!
//! The same decision as a live one, of one action, on a fresh reading of the customer; but where a live request gets an
//! answer whatever happens, a list has others to ask.

use std::borrow::Cow;
use std::collections::BTreeMap;

use nextbest_models::decision::{FunnelStage, Name, Rejection, RejectionCode};
use nextbest_models::policy::hopper::is_capacity;
use nextbest_models::units::Timestamp;

use super::keep::{Asked, MAX_ROUNDS};
use super::known::Known;
use super::record::Record;
use crate::store::{Committed, StoreError, StoredCustomer};

/// What came of it.
pub(crate) enum Held {
    /// Logged and held.
    Listed(Box<Record>),
    /// The customer may not, or need not, be contacted any more.
    Fell(Rejection),
    /// The campaign has no capacity left.
    Full,
}

impl Asked<'_> {
    /// Decides, and holds what is offered. An error leaves nothing held that does not expire by itself.
    pub(crate) async fn hold(&self) -> Result<Held, StoreError> {
        let mut exhausted = BTreeMap::new();
        for round in 0..MAX_ROUNDS {
            let stored = self.app.store.customer(self.subject, &self.app.project.schema).await?;
            let known = Known::fresh(stored, self.subject, self.app);
            if known.stored.reservations.iter().any(|held| held.decision_id == self.decision_id) {
                return self.held_before().await;
            }
            if let Some(fallen) = already_listed(&known.stored, self.action_id(), self.now) {
                return Ok(Held::Fell(fallen));
            }
            let mut situation = known.situation(self.app, self.seed(round), self.now);
            situation.exhausted.append(&mut exhausted);
            let record = self.record(&known, situation);
            if record.decision.actions.is_empty() {
                return Ok(Held::Fell(self.fallen(&record)));
            }
            match self.keep(&record, &known).await? {
                Committed::Done => return Ok(Held::Listed(Box::new(record))),
                Committed::CustomerChanged => exhausted = record.situation.exhausted,
                Committed::BudgetSpent(draw) => {
                    let mut situation = record.situation;
                    self.spent(&draw, &mut situation).await;
                    if is_capacity(&draw.budget_id)
                        && situation.exhausted.contains_key(draw.budget_id.as_str())
                    {
                        return Ok(Held::Full);
                    }
                    exhausted = situation.exhausted;
                }
            }
        }
        Err(StoreError::Contended { key: self.subject.to_string(), attempts: MAX_ROUNDS })
    }

    /// An earlier attempt went through and its answer was lost: what it logged.
    async fn held_before(&self) -> Result<Held, StoreError> {
        let logged = self.app.store.decision(self.decision_id, self.now.as_millis() / 1000).await?;
        let record = logged.and_then(|logged| serde_json::from_value(logged.document).ok());
        let gone = || StoreError::Corrupt {
            key: self.decision_id.to_owned(),
            problem: "a contact is held for it, and it is not logged".to_owned(),
        };
        record.map(|record| Held::Listed(Box::new(record))).ok_or_else(gone)
    }

    fn action_id(&self) -> Name {
        let asked = self.request.candidate_actions.first();
        asked.map_or_else(|| Name::from(""), |id| Name::from(id.as_str()))
    }

    /// Where the action that was asked about fell.
    fn fallen(&self, record: &Record) -> Rejection {
        let action_id = self.action_id();
        let fallen = record.decision.suppressed.iter().find(|fallen| fallen.action_id == action_id);
        fallen.cloned().unwrap_or(Rejection {
            action_id,
            stage: FunnelStage::Availability,
            component: Cow::Borrowed("candidate_actions"),
            code: RejectionCode::NotRequested,
            until: None,
        })
    }
}

/// The rejection of whoever is held for a list already.
pub(crate) fn already_listed(stored: &StoredCustomer, action_id: Name, now: Timestamp) -> Option<Rejection> {
    let listed = stored.reservations.iter().filter(|held| held.is_live(now)).find(|held| held.is_listed())?;
    Some(Rejection {
        action_id,
        stage: FunnelStage::ContactPolicy,
        component: Cow::Borrowed("hopper"),
        code: RejectionCode::AlreadyListed,
        until: Some(listed.expires_at),
    })
}
