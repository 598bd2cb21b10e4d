//! What a run may take: the capacity of each campaign and the budgets of policy.toml, as the store counts them.

use std::collections::BTreeMap;

use nextbest_models::decision::Name;
use nextbest_models::policy::Policy;
use nextbest_models::policy::contact::Budget;
use nextbest_models::policy::hopper::Form;
use nextbest_models::units::Timestamp;

use crate::app::App;
use crate::store::{Draw, StoreError};

/// The limits of a run.
pub(super) struct Limits<'a> {
    pub(super) app: &'a App,
    pub(super) now: Timestamp,
    /// In which forms campaigns contact.
    pub(super) forms: Vec<Form>,
    /// Capacities of campaigns, then budgets. Of the one at place n, contacts are limit 2n and cost is limit 2n + 1.
    budgets: Vec<&'a Budget>,
}

/// What the limits leave.
pub(super) struct Rooms {
    /// By limit; 0 where there is none.
    pub(super) left: Vec<i64>,
    /// The budgets without a contact left, and until when.
    pub(super) exhausted: BTreeMap<Name, Timestamp>,
}

impl<'a> Limits<'a> {
    pub(super) fn new(app: &'a App, now: Timestamp) -> Self {
        let policy = &app.project.policy;
        let budgets = policy.capacities().iter().chain(policy.budgets()).collect();
        Self { app, now, forms: policy.hopper_forms(), budgets }
    }

    pub(super) fn policy(&self) -> &'a Policy {
        &self.app.project.policy
    }

    /// What is left now, after what was held and is over was given back.
    pub(super) async fn rooms(&self) -> Result<Rooms, StoreError> {
        let mut rooms = Rooms { left: Vec::new(), exhausted: BTreeMap::new() };
        for budget in &self.budgets {
            let (period, ends) = budget.period.around(self.now);
            let draw = Draw { budget_id: budget.id.clone(), period, cost_minor: 0 };
            self.app.store.give_back_expired(&draw, self.now).await?;
            let state = self.app.store.budget(&draw).await?;
            let most = budget.max_contacts.map(|most| i64::try_from(most).unwrap_or(i64::MAX));
            let left = |most: Option<i64>, used: i64| most.map_or(0, |most| (most - used).max(0));
            let contacts = left(most, state.n_contacts);
            rooms.left.extend([contacts, left(budget.max_cost_minor, state.cost_minor)]);
            if most.is_some() && contacts == 0 {
                rooms.exhausted.insert(Name::from(budget.id.as_str()), ends);
            }
        }
        Ok(rooms)
    }

    /// What a contact of each form takes of which limits.
    pub(super) fn kinds(&self) -> Vec<Vec<(usize, i64)>> {
        let n_campaigns = self.policy().capacities().len();
        let kind = |form: &Form| {
            let drawn = form.budgets.iter().map(|at| n_campaigns + at);
            let takes = |at: usize| {
                let contacts = self.budgets[at].max_contacts.is_some().then_some((2 * at, 1));
                let costs = self.budgets[at].max_cost_minor.is_some() && form.cost_minor > 0;
                contacts.into_iter().chain(costs.then_some((2 * at + 1, form.cost_minor)))
            };
            std::iter::once(form.campaign).chain(drawn).flat_map(takes).collect()
        };
        self.forms.iter().map(kind).collect()
    }

    /// Contacts that can be made at most.
    pub(super) fn n_places(&self, rooms: &Rooms) -> u64 {
        (0..self.policy().capacities().len()).map(|campaign| rooms.of_campaign(campaign)).sum()
    }
}

impl Rooms {
    /// Contacts left to a campaign.
    pub(super) fn of_campaign(&self, campaign: usize) -> u64 {
        u64::try_from(self.left[2 * campaign]).unwrap_or(0)
    }
}
