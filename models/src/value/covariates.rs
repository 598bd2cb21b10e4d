//! What else is known of a customer, and how it moves when they buy and leave.

use serde::{Deserialize, Serialize};

use super::bg_nbd::BgNbd;
use super::lifetime::LifetimeModel;

/// Standard deviations beyond which a value counts as so many: one wild cell must not rule.
const FARTHEST: f64 = 8.0;
/// Largest magnitude of a coefficient, and of their sum over a customer's covariates.
const LARGEST: f64 = 30.0;

/// A time-invariant covariate of BG/NBD (Fader and Hardie 2007, "Incorporating time-invariant covariates into the Pareto/NBD and
/// BG/NBD models").
///
/// With `z = (value - mean) / sd`, a customer has `alpha exp(-rate' z)`, `a exp(leave_a' z)` and `b exp(leave_b' z)`: who has a
/// standard deviation more buys `exp(rate)` times as often while a customer. It is what customers differ by, not what
/// a change of it would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct Covariate {
    name: String,
    mean: f64,
    sd: f64,
    rate: f64,
    leave_a: f64,
    leave_b: f64,
}

#[derive(Deserialize)]
struct Draft {
    name: String,
    mean: f64,
    sd: f64,
    rate: f64,
    leave_a: f64,
    leave_b: f64,
}

/// A number of a covariate that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the {number} of covariate {name:?} is {value}; it is {bound}")]
pub struct CovariateFault {
    /// The covariate.
    pub name: String,
    /// Which number.
    pub number: &'static str,
    /// What it is.
    pub value: f64,
    /// What it must be.
    pub bound: &'static str,
}

impl TryFrom<Draft> for Covariate {
    type Error = CovariateFault;

    fn try_from(draft: Draft) -> Result<Self, CovariateFault> {
        let Draft { name, mean, sd, rate, leave_a, leave_b } = draft;
        Self::new(name, (mean, sd), [rate, leave_a, leave_b])
    }
}

impl Covariate {
    /// Checked: a finite mean, a deviation above 0, coefficients `[rate, leave_a, leave_b]` within 30 of 0.
    pub fn new(
        name: String,
        (mean, sd): (f64, f64),
        [rate, leave_a, leave_b]: [f64; 3],
    ) -> Result<Self, CovariateFault> {
        let within = |value: f64| value.abs() <= LARGEST;
        let checks = [
            ("mean", mean, mean.is_finite(), "finite"),
            ("deviation", sd, sd.is_finite() && sd > 0.0, "finite and above 0"),
            ("rate", rate, within(rate), "within 30 of 0"),
            ("leave_a", leave_a, within(leave_a), "within 30 of 0"),
            ("leave_b", leave_b, within(leave_b), "within 30 of 0"),
        ];
        match checks.iter().find(|check| !check.2) {
            Some(&(number, value, _, bound)) => Err(CovariateFault { name, number, value, bound }),
            None => Ok(Self { name, mean, sd, rate, leave_a, leave_b }),
        }
    }

    /// The column it is read from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Standard deviations from the mean, at most 8; 0 of what is no number.
    fn z(&self, value: f64) -> f64 {
        let z = (value - self.mean) / self.sd;
        if z.is_nan() { 0.0 } else { z.clamp(-FARTHEST, FARTHEST) }
    }
}

impl LifetimeModel {
    /// The model of a customer with these values, one for each covariate in their order; what is missing counts as the
    /// mean. Without covariates it is the model itself.
    #[must_use]
    pub fn of(&self, values: &[f64]) -> Self {
        if self.covariates().is_empty() {
            return self.clone();
        }
        let moved = |of: fn(&Covariate) -> f64| -> f64 {
            let parts = self.covariates().iter().zip(values).map(|(one, value)| of(one) * one.z(*value));
            parts.sum::<f64>().clamp(-LARGEST, LARGEST).exp()
        };
        let [r, alpha, a, b] = self.bg_nbd().parameters();
        let (rate, by_a, by_b) = (moved(|one| one.rate), moved(|one| one.leave_a), moved(|one| one.leave_b));
        // Parameters at the edge of numbers stay where they are.
        self.with_bg_nbd(BgNbd::new(r, alpha / rate, a * by_a, b * by_b).unwrap_or(*self.bg_nbd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{CustomerSummary, Horizon, PurchaseSummary, TimeUnit};

    fn model() -> LifetimeModel {
        let bg_nbd = BgNbd::new(0.243, 4.414, 0.793, 2.426).unwrap();
        let plain = LifetimeModel::new(TimeUnit::Week, bg_nbd, None, Horizon::new(39, 0.0, 1.0).unwrap());
        let one = |name: &str, of| Covariate::new(name.to_owned(), (10.0, 2.0), of).unwrap();
        plain.with_covariates(vec![one("u", [0.5, 0.0, 0.25]), one("w", [0.0, -1.0, 0.0])])
    }

    #[test]
    fn parameters_of_a_customer_are_those_by_hand() {
        // One deviation above, two below.
        let [r, alpha, a, b] = model().of(&[12.0, 6.0]).bg_nbd().parameters();
        for (found, by_hand) in [
            (r, 0.243),
            (alpha, 4.414 * (-0.5_f64).exp()),
            (a, 0.793 * 2.0_f64.exp()),
            (b, 2.426 * 0.25_f64.exp()),
        ] {
            assert!((found - by_hand).abs() < 1e-14 * by_hand.abs(), "{found} {by_hand}");
        }
        assert_eq!(model().of(&[10.0, f64::NAN]).bg_nbd(), model().bg_nbd());
        assert_eq!(model().of(&[1e9, 10.0]), model().of(&[26.0, 10.0]), "8 deviations and no more");
        assert!(
            model().of(&[12.0, 6.0]).covariates().is_empty(),
            "of one customer there is nothing left to tell apart"
        );
        let read: LifetimeModel = serde_json::from_str(&serde_json::to_string(&model()).unwrap()).unwrap();
        assert_eq!(read, model());
    }

    #[test]
    fn numbers_that_are_no_covariate_are_named() {
        let fault = |moments, of| Covariate::new("u".to_owned(), moments, of).unwrap_err().number;
        assert_eq!(fault((f64::NAN, 1.0), [0.0; 3]), "mean");
        assert_eq!(fault((0.0, 0.0), [0.0; 3]), "deviation");
        assert_eq!(fault((0.0, 1.0), [f64::INFINITY, 0.0, 0.0]), "rate");
        assert_eq!(fault((0.0, 1.0), [0.0, 31.0, 0.0]), "leave_a");
        assert_eq!(fault((0.0, 1.0), [0.0, 0.0, f64::NAN]), "leave_b");
    }

    #[test]
    fn the_farthest_customers_are_scored() {
        let wild = |of: [f64; 3]| Covariate::new("u".to_owned(), (0.0, 1.0), of).unwrap();
        let purchases = PurchaseSummary::new(2.0, 30.0, 38.0).unwrap();
        let of = CustomerSummary { purchases, spend: None, truncated: false };
        for coefficients in [[30.0; 3], [-30.0; 3], [30.0, -30.0, 30.0]] {
            let model = model().with_covariates(vec![wild(coefficients)]);
            for value in [-9.0, 9.0] {
                assert!(
                    model.of(&[value]).score(&of).expected_purchases.is_finite(),
                    "{coefficients:?} {value}"
                );
            }
        }
    }
}
