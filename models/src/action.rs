//! Actions: what may be done for a customer, as policy.toml lists them. Plain data, not yet checked; the checked form is
//! [`Policy`](crate::policy::Policy).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lifecycle::Stage;
use crate::units::Timestamp;

/// The ten campaign types of customer-lifecycle practice, and service messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum CampaignType {
    FollowUp,
    Remarketing,
    KeepWarm,
    ReEngage,
    Upsell,
    Survey,
    Referral,
    Renewal,
    PreventDefection,
    Recovery,
    Service,
}

impl CampaignType {
    /// All of them, service last.
    pub const ALL: [Self; 11] = [
        Self::FollowUp,
        Self::Remarketing,
        Self::KeepWarm,
        Self::ReEngage,
        Self::Upsell,
        Self::Survey,
        Self::Referral,
        Self::Renewal,
        Self::PreventDefection,
        Self::Recovery,
        Self::Service,
    ];

    /// The name in files and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FollowUp => "follow_up",
            Self::Remarketing => "remarketing",
            Self::KeepWarm => "keep_warm",
            Self::ReEngage => "re_engage",
            Self::Upsell => "upsell",
            Self::Survey => "survey",
            Self::Referral => "referral",
            Self::Renewal => "renewal",
            Self::PreventDefection => "prevent_defection",
            Self::Recovery => "recovery",
            Self::Service => "service",
        }
    }
}

/// The creative or channel form of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Treatment {
    /// Unique within the action.
    pub id: String,
    /// email, web, phone, ...
    pub channel: String,
    /// What delivering it costs, in minor units; it is taken off the expected value and drawn from budgets.
    #[serde(default)]
    pub cost_minor: i64,
}

/// What an action is worth if the outcome its model predicts comes true, or is averted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ActionValue {
    /// A fixed amount, in minor units.
    FixedMinor(i64),
    /// A share, 0 ..= 1, of what the customer spent in the activity window.
    ShareOfRecentValue(f64),
    /// A CEL expression that gives minor units, over the names that rules know; `customer.lifetime_value_minor` and
    /// `customer.margin` are among them.
    Formula(String),
}

/// A condition in CEL, with the code that says that it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum RuleSpec {
    /// The expression alone; its code is its place in the list.
    Text(String),
    /// With a code of its own.
    Named {
        /// The expression.
        rule: String,
        /// snake_case; told where an action fell by it.
        code: String,
    },
}

impl RuleSpec {
    /// The expression.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Text(rule) | Self::Named { rule, .. } => rule,
        }
    }
}

/// A business weight that holds for some time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DatedLever {
    /// 0 ..= 100; multiplies the action's lever.
    pub weight: f64,
    /// From this instant on; absent: since ever.
    #[serde(default)]
    pub from: Option<Timestamp>,
    /// Until before this instant; absent: for ever.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

/// What is believed of an action before it has outcomes of its own.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PriorSpec {
    /// Above 0 and below 1.
    pub propensity: f64,
    /// As many outcomes as the belief is worth, 1 ..= 1,000,000.
    pub evidence: f64,
}

/// A case that policy.toml says the answer to; checked when it is loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Names of the rules' vocabulary and their values; what is not given is unknown.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub given: toml::Table,
    /// Whether stages and rules let the action through.
    pub offered: bool,
}

/// One `[[action]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Unique.
    pub id: String,
    /// What kind of campaign it belongs to.
    pub campaign_type: CampaignType,
    /// Business issue, such as retention or growth; for weights, selectors and reports.
    #[serde(default)]
    pub issue: String,
    /// Group within the issue; for selectors and reports.
    #[serde(default)]
    pub group: String,
    /// For people: what sets the campaign off.
    #[serde(default)]
    pub trigger: String,
    /// For people: what ends it.
    #[serde(default)]
    pub exit: String,
    /// For people: the figure it is judged by.
    #[serde(default)]
    pub kpi: String,
    /// The stages it is meant for.
    pub stages: Vec<Stage>,
    /// Who may have it: by law or contract.
    #[serde(default)]
    pub eligibility: Vec<RuleSpec>,
    /// For whom it makes sense now.
    #[serde(default)]
    pub applicability: Vec<RuleSpec>,
    /// For whom it is right.
    #[serde(default)]
    pub suitability: Vec<RuleSpec>,
    /// Only for customers who were contacted by one of these actions before.
    #[serde(default)]
    pub follows: Vec<String>,
    /// The propensity model (a label of nextbest.toml) whose outcome it is about.
    pub propensity: String,
    /// What is believed of it while it is young.
    #[serde(default)]
    pub prior: Option<PriorSpec>,
    /// What that outcome is worth.
    pub value: ActionValue,
    /// Business weight, 0 ..= 100; 1 leaves the priority alone.
    #[serde(default = "one")]
    pub lever: f64,
    /// Weights for some time, multiplied with `lever`.
    #[serde(default)]
    pub levers: Vec<DatedLever>,
    /// Not before this instant.
    #[serde(default)]
    pub available_from: Option<Timestamp>,
    /// Not at or after this instant.
    #[serde(default)]
    pub available_until: Option<Timestamp>,
    /// How long the offer stands, in days.
    #[serde(default = "two_weeks")]
    pub valid_days: i32,
    /// Sorts before all others and is exempt from caps and from exploration.
    #[serde(default)]
    pub mandatory: bool,
    /// Its forms, at least one, the preferred first.
    #[serde(default, rename = "treatment")]
    pub treatments: Vec<Treatment>,
    /// Cases with their answer.
    #[serde(default, rename = "example")]
    pub examples: Vec<Example>,
}

impl Action {
    /// Its lever at `now`: the steady weight times those dated weights that hold.
    #[must_use]
    pub fn lever_at(&self, now: Timestamp) -> f64 {
        let holds = |dated: &&DatedLever| {
            dated.from.is_none_or(|from| from <= now) && dated.until.is_none_or(|until| now < until)
        };
        self.levers.iter().filter(holds).fold(self.lever, |lever, dated| lever * dated.weight)
    }
}

const fn one() -> f64 {
    1.0
}

const fn two_weeks() -> i32 {
    14
}
