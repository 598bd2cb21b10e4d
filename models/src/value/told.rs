//! Who tells a lifetime value: trees of realised value where an artifact has them, else the closed form.
//!
//! One place says so, that what the at-risk list shows and what a formula of policy.toml is given are the same number.

use super::lifetime::{LifetimeModel, ValueScore};
use super::realised::{RealisedModel, RealisedTold};
use super::summary::{CustomerSummary, TimeUnit};

/// The models of an artifact that tell what customers will still bring.
#[derive(Clone, Copy, Debug)]
pub struct LifetimeModels<'a> {
    /// BG/NBD and Gamma-Gamma.
    pub closed: Option<&'a LifetimeModel>,
    /// Trees of realised value; where there are some, they tell the value.
    pub realised: Option<&'a RealisedModel>,
}

/// What they tell of one customer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LifetimeTold {
    /// By the closed form.
    pub closed: Option<ValueScore>,
    /// By trees.
    pub realised: Option<RealisedTold>,
}

impl LifetimeModels<'_> {
    /// Whether there is any.
    #[must_use]
    pub const fn are_there(&self) -> bool {
        self.closed.is_some() || self.realised.is_some()
    }

    /// In what time the summaries that they take count.
    #[must_use]
    pub fn unit(&self) -> TimeUnit {
        self.closed.map_or(TimeUnit::Week, LifetimeModel::unit)
    }

    /// All that they tell of a customer with a purchase that stands: `of` in their unit of time, `features` in the artifact's
    /// order, NaN where missing.
    #[must_use]
    pub fn score(&self, of: &CustomerSummary, features: &[f64]) -> LifetimeTold {
        LifetimeTold {
            closed: self.closed.map(|model| model.score(of)),
            realised: self.realised.map(|model| model.score(features)),
        }
    }

    /// The value alone, as [`LifetimeTold::value_minor`] of [`Self::score`]; a model that does not tell it is not asked.
    #[must_use]
    pub fn value_minor(&self, of: &CustomerSummary, features: &[f64]) -> Option<i64> {
        let closed = self.closed.filter(|_| self.realised.is_none());
        Self { closed, ..*self }.score(of, features).value_minor()
    }
}

impl LifetimeTold {
    /// Discounted margin within the horizon, in whole minor units, at least 0; none where no model tells a value.
    #[must_use]
    pub fn value_minor(&self) -> Option<i64> {
        let closed = || self.closed.and_then(|told| told.lifetime_value);
        self.realised.map(|told| told.value_minor).or_else(closed).map(whole)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "amounts stay far below 2^53")]
fn whole(minor: f64) -> i64 {
    minor.round() as i64
}
