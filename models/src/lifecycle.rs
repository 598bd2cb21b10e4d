//! Where a customer stands in their life with the business, by thresholds that are data.
//!
//! First version: a pure function of the days with a qualifying event and of the time since the last one. Every
//! customer is in exactly one stage.

use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::feature::Schema;
use crate::units::Day;

/// The stages, in the order of a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Known, without a qualifying event that stands.
    Considering,
    /// One active day so far.
    New,
    /// A few active days, not yet a habit.
    Activating,
    /// A habit.
    Active,
    /// A strong habit.
    Loyal,
    /// Silent for longer than `at_risk_days`.
    AtRisk,
    /// Silent for longer than `defected_days`.
    Defected,
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Considering,
        Self::New,
        Self::Activating,
        Self::Active,
        Self::Loyal,
        Self::AtRisk,
        Self::Defected,
    ];
}

/// `[lifecycle]` of nextbest.toml.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LifecycleRules {
    /// Active days from which a customer is active, at least 2.
    pub active_from_days: u32,
    /// Active days from which a customer is loyal, above `active_from_days`.
    pub loyal_from_days: u32,
    /// Days of silence beyond which a customer is at risk.
    pub at_risk_days: i32,
    /// Days of silence beyond which a customer has defected, above `at_risk_days`.
    pub defected_days: i32,
}

impl LifecycleRules {
    /// What is wrong with the thresholds, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if self.active_from_days < 2 || self.loyal_from_days <= self.active_from_days {
            let (active, loyal) = (self.active_from_days, self.loyal_from_days);
            return Some(format!("needs 2 <= active_from_days ({active}) < loyal_from_days ({loyal})"));
        }
        if self.at_risk_days < 1 || self.defected_days <= self.at_risk_days {
            let (risk, defected) = (self.at_risk_days, self.defected_days);
            return Some(format!("needs 1 <= at_risk_days ({risk}) < defected_days ({defected})"));
        }
        None
    }

    /// The stage on `today`.
    #[must_use]
    pub fn stage(&self, customer: &Customer, schema: &Schema, today: Day) -> Stage {
        let activity = customer.activity(schema);
        if activity.total_count <= 0 {
            return Stage::Considering;
        }
        // An activity no longer remembered lies further back than any threshold.
        let silent_days = customer.inactive_days(schema, today).unwrap_or(i32::MAX);
        if silent_days > self.defected_days {
            return Stage::Defected;
        }
        if silent_days > self.at_risk_days {
            return Stage::AtRisk;
        }
        match u32::try_from(activity.n_active_days(today)).unwrap_or(u32::MAX) {
            0 | 1 => Stage::New,
            n_days if n_days < self.active_from_days => Stage::Activating,
            n_days if n_days < self.loyal_from_days => Stage::Active,
            _ => Stage::Loyal,
        }
    }
}
