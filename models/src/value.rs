//! What a customer is worth: what they spent lately, and what they will still bring.
//!
//! The second is a lifetime value in closed form: BG/NBD says how many purchases follow ([`BgNbd`]), Gamma-Gamma what
//! one of them is worth ([`GammaGamma`]), [`LifetimeModel`] joins and discounts them. Customers buy when they like and
//! leave without a word (no contract); for subscriptions this is the wrong model. Where customers do not buy as it says, a
//! sum of trees learned from what they brought stands beside it ([`RealisedModel`]). Fitting lives in training.

use crate::customer::Customer;
use crate::feature::Schema;
use crate::units::Day;

pub mod gamma;
mod summary;
mod dropout;
mod bg_nbd;
mod gamma_gamma;
mod discount;
mod lifetime;
mod covariates;
mod errors;
pub mod realised;
mod told;

pub use bg_nbd::{BgNbd, PAlive};
pub use covariates::{Covariate, CovariateFault};
pub use errors::{ErrorsFault, ParameterErrors, ValueInterval};
pub use gamma_gamma::GammaGamma;
pub use lifetime::{Horizon, LifetimeModel, ModelFault, ScoreCode, ValueScore};
pub use realised::{RealisedLine, RealisedModel, RealisedTold, VALUE_LEVEL};
pub use summary::{CustomerSummary, PurchaseSummary, SpendSummary, SummaryFault, TimeUnit};
pub use told::{LifetimeModels, LifetimeTold};

/// A parameter of a model that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{name} is {value}; it must be a finite number above 0")]
pub struct ParameterFault {
    /// Its symbol.
    pub name: &'static str,
    /// What it is.
    pub value: f64,
}

/// Every one finite and above 0, or the first that is not.
fn positive<const N: usize>(parameters: [(&'static str, f64); N]) -> Result<(), ParameterFault> {
    let wrong = parameters.into_iter().find(|(_, value)| !value.is_finite() || *value <= 0.0);
    wrong.map_or(Ok(()), |(name, value)| Err(ParameterFault { name, value }))
}

/// Minor units of qualifying events that stand, in the `window_days` whole days before `today` and today so far;
/// never negative.
#[must_use]
pub fn recent_value_minor(customer: &Customer, schema: &Schema, today: Day, window_days: i32) -> i64 {
    let days = customer.activity(schema).between(today.plus(-window_days), today);
    let sum: i128 = days.iter().map(|day| day.sum).sum();
    i64::try_from(sum.max(0)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
