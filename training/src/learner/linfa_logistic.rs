//! Logistic regression by linfa: L2-penalised maximum likelihood on prepared columns.
//!
//! linfa takes the more frequent outcome for its positive class, and refuses NaN: the labels it reports are read, and
//! columns are imputed before. Its gradient is a sum over rows, so the tolerance grows with them. Its L-BFGS needs
//! hundreds of passes over many one-hot columns, so it starts where a few Newton steps lead (`newton`): it then finds
//! its gradient small enough within a few. linfa knows no weights: with weights the Newton steps are the fit.
//!
//! Under monotone constraints a prepared column whose coefficient points the wrong way is taken out and the rest fitted
//! again, until none does: every prepared column rises with its quantity, so right signs are enough.

use linfa::traits::Fit;
use linfa_logistic::{FittedLogisticRegression, LogisticRegression};
use ndarray::{Array1, Array2, ArrayView1, ShapeBuilder};
use nextbest_models::artifact::SealedScorer;
use nextbest_models::propensity::linear::{ColumnSpec, Transform};
use nextbest_models::units::Seed;

use super::{
    Direction, Fitted, LearnError, Learner, Monotone, Sample, ScorerForm, directions, dropped_note,
    monotone_note,
};
use crate::encoding::Encoding;

mod newton;

const NAME: &str = "linfa_logistic";
/// Rows prepared at a time for a prediction.
const BATCH_ROWS: usize = 4096;

/// Its settings.
#[derive(Clone, Debug, PartialEq)]
pub struct LinfaLogistic {
    /// L2 penalty `alpha / 2 * |coefficients|^2` on standardised columns, > 0.
    pub alpha: f64,
    /// Most iterations of L-BFGS.
    pub max_iterations: u64,
    /// The solver stops when the gradient per row is below this.
    pub gradient_per_row: f64,
    /// Most rows.
    pub max_rows: usize,
    /// Monotone constraints.
    pub monotone: Monotone,
}

impl Default for LinfaLogistic {
    fn default() -> Self {
        let monotone = Monotone::new();
        Self { alpha: 1.0, max_iterations: 100, gradient_per_row: 1e-6, max_rows: 100_000, monotone }
    }
}

struct FittedLogistic {
    encoding: Encoding,
    /// Of each prepared column, towards the outcome.
    coefficients: Vec<f64>,
    intercept: f64,
    promise: Option<String>,
    /// linfa's own, where it fitted.
    model: Option<FittedLogisticRegression<f64, bool>>,
}

#[expect(clippy::needless_pass_by_value, reason = "errors and texts alike are told where they arise")]
fn failed(message: impl ToString) -> LearnError {
    LearnError::Library { learner: NAME, message: message.to_string() }
}

impl Learner for LinfaLogistic {
    fn name(&self) -> &'static str {
        NAME
    }

    fn max_rows(&self) -> usize {
        self.max_rows
    }

    fn fit(&self, sample: &Sample<'_>, _seed: Seed) -> Result<Box<dyn Fitted>, LearnError> {
        let directions = directions(&self.monotone, sample)?;
        let mut encoding = Encoding::fit(sample.dataset(), sample.row_numbers());
        loop {
            if encoding.linear.is_empty() {
                return Err(LearnError::NoColumns(dropped_note(&encoding).join("; ")));
            }
            let fitted = self.solve(sample, encoding)?;
            let against = fitted.against(&directions);
            if !against.contains(&true) {
                return Ok(Box::new(fitted));
            }
            encoding = without(fitted.encoding, &against, sample);
        }
    }
}

impl LinfaLogistic {
    /// Fits the columns of `encoding`.
    fn solve(&self, sample: &Sample<'_>, encoding: Encoding) -> Result<FittedLogistic, LearnError> {
        let x = matrix(&encoding, &sample.rows())?;
        let promise = monotone_note(&self.monotone);
        let fitted = match sample.weights() {
            Some(weights) => {
                let found = newton::near_optimum(&x, sample.outcomes(), Some(&weights), self.alpha);
                let mut coefficients = found.ok_or_else(|| failed("Newton's method found no optimum"))?;
                let intercept = coefficients.pop().unwrap_or(0.0);
                FittedLogistic { encoding, coefficients, intercept, promise, model: None }
            }
            None => {
                let model = self.by_linfa(x, sample)?;
                // linfa's positive class need not be the outcome.
                let sign = if model.labels().pos.class { 1.0 } else { -1.0 };
                let coefficients = model.params().iter().map(|coefficient| sign * coefficient).collect();
                let intercept = sign * model.intercept();
                FittedLogistic { encoding, coefficients, intercept, promise, model: Some(model) }
            }
        };
        if fitted.intercept.is_finite() && fitted.coefficients.iter().all(|number| number.is_finite()) {
            Ok(fitted)
        } else {
            Err(failed("the solver ended at coefficients that are not finite"))
        }
    }

    fn by_linfa(
        &self,
        x: Array2<f64>,
        sample: &Sample<'_>,
    ) -> Result<FittedLogisticRegression<f64, bool>, LearnError> {
        let y = Array1::from(sample.outcomes().to_vec());
        let start = newton::near_optimum(&x, &is_positive(sample.outcomes()), None, self.alpha);
        let parameters = LogisticRegression::default()
            .alpha(self.alpha)
            .max_iterations(self.max_iterations)
            .gradient_tolerance(self.gradient_per_row * sample.n_rows() as f64);
        let data = linfa::Dataset::new(x, y);
        // A line search may refuse a start at which there is nothing left to gain; from zero it always descends.
        let warm = start.map(|start| parameters.clone().initial_params(Array1::from(start)).fit(&data));
        match warm {
            Some(Ok(model)) => Ok(model),
            _ => parameters.fit(&data).map_err(failed),
        }
    }
}

/// `encoding` without the linear columns `against` a constraint, which are named.
fn without(mut encoding: Encoding, against: &[bool], sample: &Sample<'_>) -> Encoding {
    let mut wrong = against.iter().copied();
    let names = sample.dataset().columns();
    let dropped = &mut encoding.dropped;
    encoding.linear.retain(|column| {
        let is_wrong = wrong.next().unwrap_or(false);
        if is_wrong {
            let logged =
                if matches!(column.transform, Transform::SignedLog { .. }) { ", logged" } else { "" };
            let name = format!("{}{logged}", names[column.feature].name);
            dropped.push((name, "moved against its monotone constraint"));
        }
        !is_wrong
    });
    encoding
}

/// Which rows are of linfa's positive class: the more frequent outcome, of equals that of the first row.
fn is_positive(outcomes: &[bool]) -> Vec<bool> {
    let n_true = outcomes.iter().filter(|outcome| **outcome).count();
    let positive = match (2 * n_true).cmp(&outcomes.len()) {
        std::cmp::Ordering::Equal => outcomes.first().copied().unwrap_or(true),
        order => order == std::cmp::Ordering::Greater,
    };
    outcomes.iter().map(|&outcome| outcome == positive).collect()
}

/// Column-major, which the gradient's products read in order.
fn matrix(encoding: &Encoding, rows: &[&[f64]]) -> Result<Array2<f64>, LearnError> {
    let width = encoding.linear.len();
    let mut x = Array2::zeros((rows.len(), width).f());
    for (at, row) in rows.iter().enumerate() {
        x.row_mut(at).iter_mut().zip(encoding.linear_values(row)).for_each(|(cell, value)| *cell = value);
    }
    if x.iter().all(|value| value.is_finite()) {
        Ok(x)
    } else {
        Err(failed("a prepared column is not finite"))
    }
}

impl FittedLogistic {
    /// Which prepared columns move the score against their feature's direction.
    fn against(&self, directions: &[Option<Direction>]) -> Vec<bool> {
        let columns = self.encoding.linear.iter().zip(&self.coefficients);
        let is_against = |(column, &coefficient): (&ColumnSpec, &f64)| {
            let is_quantity =
                matches!(column.transform, Transform::Value { .. } | Transform::SignedLog { .. });
            is_quantity
                && match directions[column.feature] {
                    Some(Direction::Increasing) => coefficient < 0.0,
                    Some(Direction::Decreasing) => coefficient > 0.0,
                    None => false,
                }
        };
        columns.map(is_against).collect()
    }

    /// The log-odds of prepared rows.
    fn of_batch(&self, x: &Array2<f64>) -> Vec<f64> {
        let Some(model) = &self.model else {
            return (x.dot(&ArrayView1::from(&self.coefficients)) + self.intercept).to_vec();
        };
        let odds = |p: f64| {
            let p = p.clamp(1e-15, 1.0 - 1e-15);
            (p / (1.0 - p)).ln()
        };
        let sign = if model.labels().pos.class { 1.0 } else { -1.0 };
        model.predict_probabilities(x).iter().map(|&p| sign * odds(p)).collect()
    }
}

impl Fitted for FittedLogistic {
    fn margins(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
        let mut margins = Vec::with_capacity(rows.len());
        for batch in rows.chunks(BATCH_ROWS) {
            margins.extend(self.of_batch(&matrix(&self.encoding, batch)?));
        }
        Ok(margins)
    }

    fn seal(&self) -> Result<SealedScorer, LearnError> {
        let columns = self.encoding.linear.iter().copied().zip(self.coefficients.iter().copied());
        Ok(SealedScorer::linear(self.intercept, &columns.collect::<Vec<_>>()))
    }

    fn form(&self) -> ScorerForm {
        ScorerForm::Linear
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = dropped_note(&self.encoding);
        notes.extend(self.promise.clone());
        if self.model.is_none() {
            notes.push("weighted: fitted by Newton's method".to_owned());
        }
        notes
    }
}

#[cfg(test)]
mod tests;
