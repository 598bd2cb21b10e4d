//! The sealed form of a lifetime-value model: a few numbers as JSON, and golden customers.

use super::golden::{GOLDEN_TOLERANCE, Golden};
use super::{GoldenCheck, GoldenMismatch};
use crate::value::{CustomerSummary, LifetimeModel, PurchaseSummary, SpendSummary, ValueScore};

/// Of a golden customer: x, t_x, T, purchases of known value and their mean (both missing where none is); the values of
/// the model's covariates stand behind.
const N_COLUMNS: usize = 5;
/// What is compared, each in a section of its own.
pub(super) const ROLES: [&str; 3] = ["golden_p_alive", "golden_purchases", "golden_value"];

/// The model with its golden customers.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) model: LifetimeModel,
    name: String,
    golden: [Golden; 3],
}

/// The model of a section's bytes; the error is a sentence.
pub(super) fn read(bytes: &[u8]) -> Result<LifetimeModel, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("its lifetime section: {error}"))
}

/// The section's bytes.
pub(super) fn seal(model: &LifetimeModel) -> Vec<u8> {
    // Plain numbers: writing them to memory does not fail.
    serde_json::to_vec(model).unwrap_or_default()
}

/// A customer, the values of their covariates, and what the model told of them when it was fitted.
pub(super) type GoldenCustomer = (CustomerSummary, Vec<f64>, ValueScore);

/// Numbers of a golden row of `model`.
pub(super) fn width(model: &LifetimeModel) -> usize {
    N_COLUMNS + model.covariates().len()
}

/// By role, the columns of each customer and the number expected; a number that is null is not compared.
pub(super) fn golden_rows(golden: &[GoldenCustomer]) -> [Vec<(Vec<f64>, f64)>; 3] {
    let rows = |told: fn(&ValueScore) -> Option<f64>| {
        let row = |(of, values, score): &GoldenCustomer| Some((columns(of, values), told(score)?));
        golden.iter().filter_map(row).collect()
    };
    [
        rows(|score| Some(score.p_alive)),
        rows(|score| Some(score.expected_purchases)),
        rows(|score| score.lifetime_value),
    ]
}

fn columns(of: &CustomerSummary, values: &[f64]) -> Vec<f64> {
    let spend = of.spend.map_or([f64::NAN; 2], |spend| [spend.n(), spend.mean()]);
    let purchases = [of.purchases.x(), of.purchases.t_x(), of.purchases.age()];
    purchases.into_iter().chain(spend).chain(values.iter().copied()).collect()
}

/// The customer of a golden row; none where its numbers are no summary.
fn customer(row: &[f64]) -> Option<(CustomerSummary, &[f64])> {
    let [x, t_x, age, n, mean, values @ ..] = row else { return None };
    let purchases = PurchaseSummary::new(*x, *t_x, *age).ok()?;
    let spend = SpendSummary::new(*n, *mean).ok();
    Some((CustomerSummary { purchases, spend, truncated: false }, values))
}

impl Sealed {
    /// Of parts that were read.
    pub(super) fn new(name: &str, model: LifetimeModel, golden: [Golden; 3]) -> Self {
        Self { model, name: name.to_owned(), golden }
    }

    /// Scores the golden customers; values are compared relative to what is expected where that is above 1.
    pub(super) fn check(&self, check: &mut GoldenCheck) -> Result<(), GoldenMismatch> {
        let told: [fn(&ValueScore) -> f64; 3] = [
            |score| score.p_alive,
            |score| score.expected_purchases,
            |score| score.lifetime_value.unwrap_or(f64::NAN),
        ];
        for (golden, told) in self.golden.iter().zip(told) {
            for (row, (columns, expected)) in golden.rows().into_iter().enumerate() {
                let score = customer(&columns).map(|(of, values)| self.model.of(values).score(&of));
                let found = score.as_ref().map_or(f64::NAN, told);
                let difference = (found - expected).abs() / expected.abs().max(1.0);
                if difference.is_nan() || difference > GOLDEN_TOLERANCE {
                    return Err(GoldenMismatch { model: self.name.clone(), row, expected, found });
                }
                check.n_rows += 1;
                check.largest_difference = check.largest_difference.max(difference);
            }
        }
        Ok(())
    }
}
