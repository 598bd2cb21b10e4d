//! Contacts: how often they were answered, by type of campaign, and whom they drove to withdraw consent.

use std::collections::BTreeMap;

use nextbest_models::action::CampaignType;
use nextbest_models::customer::consent::is_withdrawal;
use nextbest_models::event::{Event, EventType};
use nextbest_models::project::ResponseRule;
use nextbest_models::units::Timestamp;

use super::measure::Tries;
use super::{Code, Look, Measure, OPT_OUT_DAYS, RECENT_DAYS, Response};
use crate::response::Successes;

/// What counts as an answer, where it names the contact.
const ANSWERS: [EventType; 3] = [EventType::Clicked, EventType::Accepted, EventType::SurveyAnswered];

/// What was counted of contacts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Contacts {
    all: Tries,
    /// By type; known ones first.
    by_type: BTreeMap<(bool, Option<CampaignType>), Tries>,
    /// Customers contacted long enough ago, and those who withdrew.
    n_contacted: u64,
    n_withdrew: u64,
}

impl Contacts {
    pub(super) fn add(&mut self, look: &Look<'_>, known: &[Event]) {
        let contacts: Vec<&Event> =
            known.iter().filter(|event| event.event_type == EventType::Contacted).collect();
        if contacts.is_empty() {
            return;
        }
        self.add_answers(look, known, &contacts);
        self.add_withdrawals(look, known, &contacts);
    }

    fn add_answers(&mut self, look: &Look<'_>, known: &[Event], contacts: &[&Event]) {
        let horizon_days = look.project.settings.lifecycle.response_days;
        let successes = Successes::of(&ResponseRule { event: ANSWERS.to_vec(), horizon_days }, known);
        let mut own: BTreeMap<Option<CampaignType>, (u64, u64)> = BTreeMap::new();
        for contact in contacts.iter().filter(|contact| is_recent(look, contact, horizon_days)) {
            let action = contact.action_id.as_deref().and_then(|id| look.project.policy.action(id));
            let (n, answered) = own.entry(action.map(|action| action.campaign_type)).or_default();
            *n += 1;
            *answered += u64::from(successes.follow(contact));
        }
        if own.is_empty() {
            return;
        }
        let sum = own.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        self.all.add(sum.0, sum.1);
        for (kind, (n, answered)) in own {
            self.by_type.entry((kind.is_none(), kind)).or_default().add(n, answered);
        }
    }

    fn add_withdrawals(&mut self, look: &Look<'_>, known: &[Event], contacts: &[&Event]) {
        let recent: Vec<Timestamp> = contacts
            .iter()
            .filter(|contact| is_recent(look, contact, OPT_OUT_DAYS))
            .map(|contact| contact.occurred_at)
            .collect();
        if recent.is_empty() {
            return;
        }
        self.n_contacted += 1;
        let follows = |at: Timestamp| {
            recent.iter().any(|contact| *contact <= at && at < contact.plus_days(OPT_OUT_DAYS))
        };
        let mut withdrawals = known.iter().filter(|event| is_withdrawal(event));
        self.n_withdrew += u64::from(withdrawals.any(|event| follows(event.occurred_at)));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.all.merge(&other.all);
        for (kind, theirs) in &other.by_type {
            self.by_type.entry(*kind).or_default().merge(theirs);
        }
        self.n_contacted += other.n_contacted;
        self.n_withdrew += other.n_withdrew;
    }

    pub(super) fn response(&self) -> Measure {
        self.all.measure()
    }

    pub(super) fn opt_out(&self) -> Measure {
        Measure::share(self.n_withdrew, self.n_contacted, Code::NoContacts)
    }

    pub(super) fn responses(&self) -> Vec<Response> {
        let name = |kind: &Option<CampaignType>| kind.map_or("unknown", CampaignType::as_str).to_owned();
        let told = self.by_type.iter().map(|((_, kind), tries)| Response {
            campaign_type: name(kind),
            n_customers: tries.n_customers(),
            measure: tries.measure(),
        });
        told.collect()
    }
}

/// Whether `days` after the contact are over, and no more than [`RECENT_DAYS`] ago.
fn is_recent(look: &Look<'_>, contact: &Event, days: i32) -> bool {
    let until = look.as_of.plus_days(-days);
    until.plus_days(-RECENT_DAYS) <= contact.occurred_at && contact.occurred_at.plus_days(days) <= look.as_of
}
