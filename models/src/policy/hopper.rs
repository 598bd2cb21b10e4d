//! The hopper: which contacts are made overnight, chosen over all customers at once.
//!
//! A live decision looks at one customer; a call centre that makes 200 calls a night asks which 200. Each campaign names an
//! action and how many contacts a night it has; whether a customer may be contacted is still decided by
//! [`decide`](super::decide), under [`Campaign::question`]. What is left is a packing problem: [`choose`] picks under
//! capacities and budgets, at most one contact a customer, and says how far from the best it can be at most.
//! [`Shortlist`] keeps of any number of customers those that can still be chosen.

mod choose;
mod prices;
mod shortlist;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contact::{Budget, Period};
use super::selector::{Selector, Subject};
use super::{CheckedTreatment, Policy, Question};
use crate::decision::{Context, Direction, Name};

pub use choose::{Bound, Choice, Entry, Instance, choose};
pub use shortlist::{Shortlist, Shortlisted};

/// `[hopper]` of policy.toml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HopperRules {
    /// A contact that was listed and not claimed is given back after so many minutes, 1 ..= 10080.
    pub reserve_minutes: u32,
    /// What is run overnight.
    #[serde(rename = "campaign")]
    pub campaigns: Vec<Campaign>,
}

impl Default for HopperRules {
    fn default() -> Self {
        Self { reserve_minutes: 720, campaigns: Vec::new() }
    }
}

impl HopperRules {
    pub(super) fn capacities(&self) -> Vec<Budget> {
        self.campaigns.iter().map(Campaign::capacity).collect()
    }
}

/// One `[[hopper.campaign]]`: an action that is run overnight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Campaign {
    /// The action.
    pub action: String,
    /// Only its treatments through this channel; absent: the first that fits.
    #[serde(default)]
    pub channel: Option<String>,
    /// Most contacts a night, 0 (it rests) ..= 1,000,000. Nights begin at midnight UTC, as days of budgets do.
    pub max_contacts: u32,
    /// Most cost a night, in minor units; absent: any.
    #[serde(default)]
    pub max_cost_minor: Option<i64>,
}

/// What the ids of capacities begin with.
pub(super) const CAPACITY: &str = "hopper#";

/// Whether a budget is the capacity of a campaign, so that a contact that draws on it stands on an overnight list.
#[must_use]
pub fn is_capacity(budget_id: &str) -> bool {
    budget_id.starts_with(CAPACITY)
}

impl Campaign {
    /// Unique within the hopper: the action, and the channel where one is named.
    #[must_use]
    pub fn id(&self) -> String {
        match &self.channel {
            Some(channel) => format!("{}.{channel}", self.action),
            None => self.action.clone(),
        }
    }

    /// What is asked of each customer: this action alone, outbound.
    #[must_use]
    pub fn question(&self) -> Question {
        let context = Context {
            channel: self.channel.clone(),
            direction: Some(Direction::Outbound),
            ..Context::default()
        };
        Question {
            context,
            max_actions: 1,
            candidate_actions: vec![self.action.clone()],
            ..Question::default()
        }
    }

    /// What it has a night, as a budget that nothing but its own contacts draw on: counted in the store, so that runs that
    /// meet share it.
    pub(super) fn capacity(&self) -> Budget {
        Budget {
            id: format!("{CAPACITY}{}", self.id()),
            selector: Selector {
                action: Some(self.action.clone()),
                channel: self.channel.clone(),
                ..Selector::default()
            },
            period: Period::Day,
            max_contacts: Some(self.max_contacts.into()),
            max_cost_minor: self.max_cost_minor,
        }
    }

    /// Whether two campaigns could list the same treatment.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let apart = self.channel.is_some() && other.channel.is_some() && self.channel != other.channel;
        self.action == other.action && !apart
    }
}

/// A form in which a campaign may contact: all its contacts cost the same and draw on the same budgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// The place of the campaign in [`HopperRules::campaigns`].
    pub campaign: usize,
    /// The treatment.
    pub treatment_id: Name,
    /// Its cost, in minor units.
    pub cost_minor: i64,
    /// The budgets of policy.toml that it draws on, by their places there; none for a mandatory action.
    pub budgets: Vec<usize>,
}

impl Policy {
    /// What is run overnight.
    #[must_use]
    pub const fn hopper(&self) -> &HopperRules {
        &self.hopper
    }

    /// The capacity of each campaign, in the order of the file.
    #[must_use]
    pub fn capacities(&self) -> &[Budget] {
        &self.capacities
    }

    /// The budget or capacity called `id`.
    #[must_use]
    pub fn allowance(&self, id: &str) -> Option<&Budget> {
        self.budgets().chain(&self.capacities).find(|budget| budget.id == id)
    }

    /// Every form of every campaign, in the order of the file.
    #[must_use]
    pub fn hopper_forms(&self) -> Vec<Form> {
        let mut forms = Vec::new();
        for (campaign, rules) in self.hopper.campaigns.iter().enumerate() {
            let Some(action) = self.actions.iter().find(|action| action.spec.id == rules.action) else {
                continue;
            };
            let fits = |one: &&CheckedTreatment| {
                rules.channel.as_deref().is_none_or(|channel| *one.channel == *channel)
            };
            for treatment in action.treatments.iter().filter(fits) {
                let subject: Subject<'_> = action.subject(treatment, Some(Direction::Outbound));
                let drawn = |(at, (_, budget)): (usize, &(Name, Budget))| {
                    (!action.spec.mandatory && budget.selector.takes(&subject)).then_some(at)
                };
                forms.push(Form {
                    campaign,
                    treatment_id: treatment.id.clone(),
                    cost_minor: treatment.cost_minor,
                    budgets: self.budgets.iter().enumerate().filter_map(drawn).collect(),
                });
            }
        }
        forms
    }
}
