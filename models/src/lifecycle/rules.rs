//! The thresholds of a life: `[lifecycle]` of nextbest.toml.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest span of any threshold, in days: a century.
const MAX_DAYS: i32 = 36_500;

/// `[lifecycle]` of nextbest.toml. What is not written takes the default.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Days over which active days are counted, today included.
    #[serde(default = "one_year")]
    pub habit_days: i32,
    /// Active days below which one who was active is no longer, 1 ..= `active_from_days` - 1; by default half of
    /// `active_from_days`, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_until_days: Option<u32>,
    /// Active days below which one who was loyal is no longer, `active_until_days` ..= `loyal_from_days` - 1; by default
    /// two thirds of `loyal_from_days`, rounded up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loyal_until_days: Option<u32>,
    /// Active days since the return until which one who had defected counts as recovered, at least 2 and
    /// `active_until_days`; by default `active_from_days`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered_until_days: Option<u32>,
    /// Days for which a look at a product makes one considering.
    #[serde(default = "a_month")]
    pub considering_days: i32,
    /// Days for which a referral or the answer of a promoter makes the loyal an advocate.
    #[serde(default = "one_year")]
    pub advocate_days: i32,
    /// Days after which a contact without an answer counts as ignored.
    #[serde(default = "a_week")]
    pub response_days: i32,
    /// How many contacts in a row have to be ignored for the customer to be ignoring us, at least 1.
    #[serde(default = "three")]
    pub ignoring_contacts: u32,
    /// Days within which those contacts lie, up to 400.
    #[serde(default = "three_months")]
    pub ignoring_days: i32,
}

const fn one_year() -> i32 {
    365
}

const fn a_month() -> i32 {
    30
}

const fn a_week() -> i32 {
    7
}

const fn three() -> u32 {
    3
}

const fn three_months() -> i32 {
    90
}

impl LifecycleRules {
    /// Active days below which the active fall back.
    #[must_use]
    pub fn active_until(&self) -> u32 {
        self.active_until_days.unwrap_or(self.active_from_days.div_ceil(2))
    }

    /// Active days below which the loyal fall back.
    #[must_use]
    pub fn loyal_until(&self) -> u32 {
        let two_thirds = self.loyal_from_days - self.loyal_from_days / 3;
        self.loyal_until_days.unwrap_or(two_thirds.min(self.loyal_from_days.saturating_sub(1)))
    }

    /// Active days since the return from which the recovered are active again.
    #[must_use]
    pub fn recovered_until(&self) -> u32 {
        self.recovered_until_days.unwrap_or(self.active_from_days)
    }

    /// What is wrong with the thresholds, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.counts_fault().or_else(|| self.days_fault())
    }

    fn counts_fault(&self) -> Option<String> {
        let (active, loyal) = (self.active_from_days, self.loyal_from_days);
        if active < 2 || loyal <= active {
            return Some(format!("needs 2 <= active_from_days ({active}) < loyal_from_days ({loyal})"));
        }
        let (active_until, loyal_until) = (self.active_until(), self.loyal_until());
        if active_until < 1 || active_until >= active {
            return Some(format!(
                "needs 1 <= active_until_days ({active_until}) < active_from_days ({active}), or a customer at the \
                 threshold flickers"
            ));
        }
        if loyal_until < active_until || loyal_until >= loyal {
            return Some(format!(
                "needs active_until_days ({active_until}) <= loyal_until_days ({loyal_until}) < loyal_from_days \
                 ({loyal}), or a customer at the threshold flickers"
            ));
        }
        let recovered = self.recovered_until();
        if recovered < active_until.max(2) {
            let least = active_until.max(2);
            return Some(format!("recovered_until_days ({recovered}) lies below {least}"));
        }
        (self.ignoring_contacts < 1).then(|| "ignoring_contacts (0) lies below 1".to_owned())
    }

    fn days_fault(&self) -> Option<String> {
        let (risk, defected) = (self.at_risk_days, self.defected_days);
        if risk < 1 || defected <= risk {
            return Some(format!("needs 1 <= at_risk_days ({risk}) < defected_days ({defected})"));
        }
        let spans = [
            ("defected_days", defected, MAX_DAYS),
            ("habit_days", self.habit_days, MAX_DAYS),
            ("considering_days", self.considering_days, MAX_DAYS),
            ("advocate_days", self.advocate_days, MAX_DAYS),
            ("response_days", self.response_days, crate::customer::contacts::CONTACT_DAYS),
            ("ignoring_days", self.ignoring_days, crate::customer::contacts::CONTACT_DAYS),
        ];
        let wrong = spans.into_iter().find(|(_, days, most)| !(1..=*most).contains(days));
        wrong.map(|(name, days, most)| format!("{name} {days} lies outside 1 ..= {most}"))
    }
}
