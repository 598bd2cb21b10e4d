//! What was decided and why: the row of the log. Candidates keep every factor of their priority and the probability of
//! being chosen; rejections the stage, component and code at which they fell.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::action::CampaignType;
use crate::event::AttributeValue;
use crate::lifecycle::Stage;
use crate::units::{Probability, Timestamp};

/// A name that many decisions share: of an action, a rule, a limit.
pub type Name = Arc<str>;

/// Who started the conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The customer came to us.
    Inbound,
    /// We go to the customer.
    Outbound,
}

impl Direction {
    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// What the caller says of the moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Context {
    /// Only treatments of this channel are considered; absent: of any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// inbound or outbound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Where on the page or in the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    /// What `[context]` of policy.toml declares for rules, and anything else; kept in the log.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, AttributeValue>,
}

/// The factors whose product is the priority. A factor that takes no part is 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Factors {
    /// P(outcome | customer, action).
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

/// An action that survived the funnel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// From 1.
    pub rank: u32,
    /// Which action.
    pub action_id: Name,
    /// Of which kind.
    pub campaign_type: CampaignType,
    /// The model whose outcome it is about.
    pub propensity_model: Name,
    /// In which form.
    pub treatment_id: Name,
    /// Through which channel.
    pub channel: Name,
    /// Until when the offer stands.
    pub expires_at: Timestamp,
    /// Sorts before all others and is exempt from caps.
    pub mandatory: bool,
    /// What delivering it costs, in minor units.
    pub cost_minor: i64,
    /// Product of the factors, in minor units.
    pub priority: f64,
    /// What makes it up.
    pub factors: Factors,
    /// How the propensity came about.
    pub maturity: Maturity,
    /// Probability with which the policy puts this candidate first among those that are not mandatory; 1 for a
    /// mandatory one that is first.
    pub choice_probability: f64,
    /// Whether a cap or budget counts its contacts, so that offering it reserves one.
    pub counted: bool,
    /// Budgets that one delivery draws on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Name>,
    /// Caps that would have held it back, were it not mandatory.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exempt_from: Vec<Name>,
}

/// Where a propensity comes from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Maturity {
    /// What the model said, before the action's own outcomes and prior; none where no model spoke.
    #[serde(default)]
    pub model: Option<Probability>,
    /// Weight of the model, 0 ..= 1; the rest is the action's prior.
    pub model_weight: f64,
    /// Matured outcomes of this action.
    pub n_outcomes: u64,
}

/// The steps of the funnel, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum FunnelStage {
    Control,
    Availability,
    Eligibility,
    Applicability,
    Suitability,
    Treatment,
    Consent,
    ContactPolicy,
    Propensity,
    Value,
    Arbitration,
}

impl FunnelStage {
    /// All of them, in the order in which an action passes them.
    pub const ALL: [Self; 11] = [
        Self::Control,
        Self::Availability,
        Self::Eligibility,
        Self::Applicability,
        Self::Suitability,
        Self::Treatment,
        Self::Consent,
        Self::ContactPolicy,
        Self::Propensity,
        Self::Value,
        Self::Arbitration,
    ];
}

/// Why an action fell: stable, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectionCode {
    /// The customer is held out.
    ControlGroup,
    /// The caller listed others.
    NotRequested,
    /// The caller excluded it.
    ExcludedByCaller,
    /// Its time has not come.
    NotYetAvailable,
    /// Its time is over.
    Expired,
    /// Meant for other stages of life.
    StageNotEligible,
    /// A rule says no.
    RuleNotMet,
    /// A rule lacks a fact it needs.
    FactMissing,
    /// None of the actions it follows was there before.
    PredecessorMissing,
    /// It has no form for the channel that was asked for.
    NoTreatmentForChannel,
    /// The customer objected to decisions of this kind.
    Objected,
    /// The channel needs a consent that is not there, or was withdrawn.
    NoConsent,
    /// A cap or budget counts it, and the store that keeps count is away.
    LimitsUnknown,
    /// A cap over a rolling window is reached.
    CapReached,
    /// Silenced by what became of earlier contacts.
    Suppressed,
    /// A budget or volume of the period is used up.
    BudgetExhausted,
    /// An overnight list holds a contact of this customer already.
    AlreadyListed,
    /// Neither a model nor a prior.
    NoModel,
    /// Below the least propensity.
    BelowMinPropensity,
    /// The value cannot be computed.
    ValueUnknown,
    /// Not worth its cost, or below the least priority.
    BelowMinPriority,
    /// Others came first.
    Outranked,
}

/// An action that fell, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Which action.
    pub action_id: Name,
    /// The step of the funnel.
    pub stage: FunnelStage,
    /// What in that step: a rule, a cap, a channel, a model.
    pub component: Cow<'static, str>,
    /// Stable, for programs.
    pub code: RejectionCode,
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
    /// Decided without what was needed; `degraded` says why.
    Fallback,
}

/// A decision: pure content, without the ids and clocks of the request that asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// How it came out.
    pub outcome: DecisionOutcome,
    /// Where the customer stands.
    pub lifecycle_stage: Stage,
    /// What is offered, best first.
    pub actions: Vec<Candidate>,
    /// What survived and was not offered, best first: with the offered ones, the whole set that was chosen from.
    pub outranked: Vec<Candidate>,
    /// What fell, and why; the outranked too.
    pub suppressed: Vec<Rejection>,
    /// Probability with which the policy chose the first action; 1 when there was no choice.
    pub choice_probability: f64,
    /// What was missing: `no_model:NAME`, ...
    pub degraded: Vec<String>,
}
