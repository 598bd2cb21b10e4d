//! What was decided and why: the row of the log. Candidates keep every factor of their priority, rejections the
//! stage, component and code at which they fell.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::action::CampaignType;
use crate::event::AttributeValue;
use crate::lifecycle::Stage;
use crate::units::{Probability, Timestamp};

/// What the caller says of the moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    /// Only treatments of this channel are considered; absent: of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// inbound or outbound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// Where on the page or in the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    /// Anything else, kept in the log.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// The factors whose product is the priority. A factor that takes no part is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factors {
    /// P(outcome | customer) by the action's model.
    pub propensity: Probability,
    /// How well it fits the moment.
    pub context_weight: f64,
    /// Worth of the outcome, in minor units.
    pub value: f64,
    /// Business weight.
    pub lever: f64,
}

impl Factors {
    /// Expected worth in minor units: propensity x context weight x value x lever.
    #[must_use]
    pub fn priority(&self) -> f64 {
        self.propensity.get() * self.context_weight * self.value * self.lever
    }
}

/// An action that survived.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// From 1.
    pub rank: u32,
    /// Which action.
    pub action_id: String,
    /// Of which kind.
    pub campaign_type: CampaignType,
    /// The model whose outcome it is about.
    pub propensity_model: String,
    /// In which form.
    pub treatment_id: String,
    /// Through which channel.
    pub channel: String,
    /// Until when the offer stands.
    pub expires_at: Timestamp,
    /// Product of the factors.
    pub priority: f64,
    /// What makes it up.
    pub factors: Factors,
}

/// An action that fell, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which action.
    pub action_id: String,
    /// The step of the funnel: availability, eligibility, treatment, propensity, arbitration.
    pub stage: String,
    /// What in that step: lifecycle_stage, channel, model, ...
    pub component: String,
    /// Stable, for programs.
    pub code: String,
    /// Until when it holds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How a decision came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionOutcome {
    /// At least one action.
    Offer,
    /// Nothing survived.
    NoAction,
    /// The customer belongs to the control group.
    Control,
    /// Decided without model or state; `degraded` says why.
    Fallback,
}

/// A decision: pure content, without the ids and clocks of the request that asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// How it came out.
    pub outcome: DecisionOutcome,
    /// Where the customer stands; absent when nothing is known of them.
    pub lifecycle_stage: Option<Stage>,
    /// What is offered, best first.
    pub actions: Vec<Candidate>,
    /// What is not, and why.
    pub suppressed: Vec<Rejection>,
    /// Probability with which the policy chose `actions`; 1 while it does not explore.
    pub choice_probability: Probability,
    /// What was missing: `unknown_customer`, `no_model:NAME`, ...
    pub degraded: Vec<String>,
}
