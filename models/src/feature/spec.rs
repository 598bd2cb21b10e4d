//! What features.toml may say, and the checks a single feature can be given alone.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MAX_WINDOW_DAYS;
use super::measure::{Field, Filter};
use crate::event::EventType;

/// The kinds of feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeatureKind {
    /// Latest value of a field; texts become the index in `categories`, others the next index.
    Attribute,
    /// Events, less those taken back.
    Count,
    /// Sum of a field, less what was taken back.
    Sum,
    /// Sum over count.
    Mean,
    /// Days since the last event that still stands.
    Recency,
    /// Days since the first event.
    Tenure,
    /// Different values of a field.
    Distinct,
    /// One feature over another.
    Ratio,
    /// (recent - previous) / (recent + previous), of two adjoining windows.
    Trend,
    /// Count with weight 2^(-age / half-life).
    DecayedCount,
}

impl fmt::Display for FeatureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What a feature that cannot be computed becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Missing: NaN, and its name is told.
    #[default]
    Nan,
    /// Nought, where nothing seen does mean none.
    Zero,
}

/// One `[[feature]]` of features.toml.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// snake_case, unique.
    pub name: String,
    /// What is computed.
    pub kind: FeatureKind,
    /// Types of event, empty for any.
    #[serde(default)]
    pub event: Vec<EventType>,
    /// Field -> text it must equal.
    #[serde(default, rename = "where")]
    pub equal: BTreeMap<Field, String>,
    /// The field it is taken of.
    #[serde(default)]
    pub of: Option<Field>,
    /// Whole days before the day of scoring; absent: since ever.
    #[serde(default)]
    pub window_days: Option<i32>,
    /// Of a decayed count, in days.
    #[serde(default)]
    pub half_life_days: Option<f64>,
    /// Of a ratio: the name of a feature defined above.
    #[serde(default)]
    pub numerator: Option<String>,
    /// Of a ratio: the name of a feature defined above.
    #[serde(default)]
    pub denominator: Option<String>,
    /// Of an attribute that holds texts: the known ones.
    #[serde(default)]
    pub categories: Vec<String>,
    /// For people: orders, days, minor units.
    #[serde(default)]
    pub unit: String,
    /// What it becomes when it cannot be computed.
    #[serde(default)]
    pub missing: Missing,
}

/// Why a feature does not compile.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("feature {feature:?}: {message}")]
pub struct SpecError {
    /// Its name.
    pub feature: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl FeatureSpec {
    pub(super) fn filter(&self) -> Filter {
        Filter { event: self.event.clone(), equal: self.equal.clone() }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if self.name.is_empty() || !self.name.chars().all(snake) {
            return Err("a name takes lower-case letters, digits and _".to_owned());
        }
        // A trend looks back on two windows.
        let widest = if self.kind == FeatureKind::Trend { MAX_WINDOW_DAYS / 2 } else { MAX_WINDOW_DAYS };
        if let Some(days) = self.window_days
            && !(1..=widest).contains(&days)
        {
            return Err(format!("window_days {days} lies outside 1 ..= {widest}"));
        }
        if let Some(days) = self.half_life_days
            && !(0.5..=365.0).contains(&days)
        {
            return Err(format!("half_life_days {days} lies outside 0.5 ..= 365"));
        }
        let takes_amount = matches!(self.kind, FeatureKind::Sum | FeatureKind::Mean);
        let is_amount = matches!(self.of, Some(Field::Value | Field::Quantity | Field::Attribute(_)));
        if takes_amount && self.of.is_some() && !is_amount {
            return Err(format!("{} is taken of value, quantity or attributes.NAME", self.kind));
        }
        Ok(())
    }
}
