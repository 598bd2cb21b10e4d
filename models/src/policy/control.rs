//! Control groups: who is held out, by a stable hash of salt, period and customer.
//!
//! Two groups with salts of their own. The *policy* control gets nothing, so that what the policy brings can be measured;
//! the *model* control is decided with average propensities, so that what the models bring can be. Decisions, prices,
//! lists and exports ask this one function.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::customer::CustomerId;
use crate::units::{DAY_MS, Timestamp};

/// One group of `[control]` in policy.toml.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ControlGroup {
    /// Share of customers, 0 ..= 0.5.
    pub share: f64,
    /// Another salt, another draw.
    pub salt: String,
    /// The draw is made anew after so many days, 1 ..= 3650.
    #[serde(default = "a_quarter")]
    pub period_days: i32,
}

const fn a_quarter() -> i32 {
    91
}

/// `[control]` of policy.toml.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ControlRules {
    /// Gets nothing but mandatory and service actions.
    pub policy: Option<ControlGroup>,
    /// Is decided with average propensities.
    pub model: Option<ControlGroup>,
}

/// To which groups a customer belongs at an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Held out of the policy.
    pub policy: bool,
    /// Decided without models.
    pub model: bool,
}

impl ControlGroup {
    /// What is wrong with it, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        if !(0.0..=0.5).contains(&self.share) {
            return Some(format!("share {} lies outside 0 ..= 0.5", self.share));
        }
        if !(1..=3650).contains(&self.period_days) {
            return Some(format!("period_days {} lies outside 1 ..= 3650", self.period_days));
        }
        self.salt.is_empty().then(|| "salt must not be empty".to_owned())
    }

    /// Whether `customer` is in it at `now`: the same answer all through a period, wherever it is asked.
    #[must_use]
    pub fn holds(&self, customer: &CustomerId, now: Timestamp) -> bool {
        let period = now.as_millis().div_euclid(i64::from(self.period_days.max(1)) * DAY_MS);
        let mut hash = Sha256::new();
        // The lengths keep ("ab", "c") apart from ("a", "bc").
        for part in [self.salt.as_bytes(), &period.to_be_bytes(), customer.as_str().as_bytes()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let first = hash.finalize().iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        unit(first) < self.share
    }
}

/// In 0 .. 1, by the upper 53 bits.
#[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

impl ControlRules {
    /// The groups of `customer` at `now`.
    #[must_use]
    pub fn assign(&self, customer: &CustomerId, now: Timestamp) -> Assignment {
        let holds =
            |group: &Option<ControlGroup>| group.as_ref().is_some_and(|group| group.holds(customer, now));
        Assignment { policy: holds(&self.policy), model: holds(&self.model) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(salt: &str) -> ControlGroup {
        ControlGroup { share: 0.1, salt: salt.to_owned(), period_days: 90 }
    }

    fn at(day: i32) -> Timestamp {
        crate::units::Day::from_number(day).start()
    }

    fn members(group: &ControlGroup, day: i32) -> Vec<bool> {
        (0..20_000).map(|n| group.holds(&CustomerId::new(format!("C{n}")).unwrap(), at(day))).collect()
    }

    fn share(members: impl Iterator<Item = bool>) -> f64 {
        members.filter(|held| *held).count() as f64 / 20_000.0
    }

    /// Standard error of a share of one tenth among 20,000 is 0.0021, of one hundredth 0.0007; five of them are allowed.
    #[test]
    fn the_share_is_kept_and_salts_and_periods_are_independent() {
        let (one, other, later) =
            (members(&group("a"), 18_000), members(&group("b"), 18_000), members(&group("a"), 18_090));
        assert!((share(one.iter().copied()) - 0.1).abs() < 0.0106);
        for second in [&other, &later] {
            let both = share(one.iter().zip(second).map(|(a, b)| *a && *b));
            assert!((both - 0.01).abs() < 0.0035, "{both}");
        }
    }

    #[test]
    fn a_period_gives_one_answer() {
        // Day 18,000 is the first of a period of 90 days: 200 x 90.
        assert_eq!(members(&group("a"), 18_000), members(&group("a"), 18_089));
    }
}
