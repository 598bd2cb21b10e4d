//! Actions: what may be done for a customer, as policy.toml lists them.

use serde::{Deserialize, Serialize};

use crate::lifecycle::Stage;

/// The ten campaign types of customer-lifecycle practice, and service messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// The creative or channel form of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Treatment {
    /// Unique within the action.
    pub id: String,
    /// email, web, phone, ...
    pub channel: String,
}

/// What an action is worth if the outcome its model predicts comes true, or is averted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum ActionValue {
    /// A fixed amount, in minor units.
    FixedMinor(i64),
    /// A share, 0 ..= 1, of what the customer spent in the activity window.
    ShareOfRecentValue(f64),
}

/// One `[[action]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// Unique.
    pub id: String,
    /// What kind of campaign it belongs to.
    pub campaign_type: CampaignType,
    /// The stages it is meant for.
    pub stages: Vec<Stage>,
    /// The propensity model (a label of nextbest.toml) whose outcome it is about.
    pub propensity: String,
    /// What that outcome is worth.
    pub value: ActionValue,
    /// Business weight, 0 ..= 100; 1 leaves the priority alone.
    #[serde(default = "one")]
    pub lever: f64,
    /// How long the offer stands, in days.
    #[serde(default = "two_weeks")]
    pub valid_days: i32,
    /// Its forms, at least one.
    #[serde(rename = "treatment")]
    pub treatments: Vec<Treatment>,
}

const fn one() -> f64 {
    1.0
}

const fn two_weeks() -> i32 {
    14
}
