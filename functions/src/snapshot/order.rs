//! The orders in which the list can be read.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

use super::row::AtRisk;

/// By what customers are ranked, the largest first; who has no such number comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// What saving them is expected to bring, after the cost of the contact.
    NetSaveValue,
    /// Churn probability times what they spent lately.
    ValueAtRisk,
    /// Churn probability.
    ChurnProbability,
    /// What they will still bring.
    LifetimeValue,
    /// How much less likely a contact makes them to leave.
    SaveUplift,
}

impl Order {
    /// All of them, the most useful first.
    pub const ALL: [Self; 5] = [
        Self::NetSaveValue,
        Self::ValueAtRisk,
        Self::ChurnProbability,
        Self::LifetimeValue,
        Self::SaveUplift,
    ];

    /// As it stands in queries and keys.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NetSaveValue => "net_save_value",
            Self::ValueAtRisk => "value_at_risk",
            Self::ChurnProbability => "churn_probability",
            Self::LifetimeValue => "lifetime_value",
            Self::SaveUplift => "save_uplift",
        }
    }

    /// The order of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|order| order.as_str() == name)
    }

    /// The comparison: equal numbers by churn probability, then by id, so that the order is one.
    #[must_use]
    pub fn compare(self) -> fn(&AtRisk, &AtRisk) -> Ordering {
        match self {
            Self::NetSaveValue => |a, b| by(a, b, |row| row.net_save_value_minor),
            Self::ValueAtRisk => |a, b| by(a, b, |row| Some(row.value_at_risk_minor)),
            Self::ChurnProbability => |a, b| by(a, b, |row| Some(sortable(row.churn_probability))),
            Self::LifetimeValue => |a, b| by(a, b, |row| row.clv.map(|clv| clv.value_minor)),
            Self::SaveUplift => |a, b| by(a, b, |row| row.save_uplift.map(|uplift| sortable(uplift.value))),
        }
    }
}

fn by(a: &AtRisk, b: &AtRisk, key: fn(&AtRisk) -> Option<i64>) -> Ordering {
    // None is less than any number, and so comes last.
    Reverse(key(a))
        .cmp(&Reverse(key(b)))
        .then_with(|| b.churn_probability.total_cmp(&a.churn_probability))
        .then_with(|| a.customer_id.cmp(&b.customer_id))
}

/// A number that orders as `x` does, which lies within -1 to 1.
#[expect(clippy::cast_possible_truncation, reason = "2^53 times a number of at most 1 fits")]
fn sortable(x: f64) -> i64 {
    (x * (1_u64 << 53) as f64) as i64
}
