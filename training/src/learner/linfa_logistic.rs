//! Logistic regression by linfa: L2-penalised maximum likelihood on prepared columns.
//!
//! linfa takes the more frequent outcome for its positive class, and refuses NaN: the labels it reports are read, and
//! columns are imputed before. Its gradient is a sum over rows, so the tolerance grows with them. Its L-BFGS needs
//! hundreds of passes over many one-hot columns, so it starts where a few Newton steps lead (`newton`): it then finds
//! its gradient small enough within a few.

use linfa::traits::Fit;
use linfa_logistic::{FittedLogisticRegression, LogisticRegression};
use ndarray::{Array1, Array2, ShapeBuilder};
use nextbest_models::artifact::SealedScorer;
use nextbest_models::units::Seed;

use super::{Fitted, LearnError, Learner, Sample, ScorerForm, dropped_note};
use crate::encoding::Encoding;

mod newton;

const NAME: &str = "linfa_logistic";

/// Its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinfaLogistic {
    /// L2 penalty `alpha / 2 * |coefficients|^2` on standardised columns, > 0.
    pub alpha: f64,
    /// Most iterations of L-BFGS.
    pub max_iterations: u64,
    /// The solver stops when the gradient per row is below this.
    pub gradient_per_row: f64,
    /// Most rows.
    pub max_rows: usize,
}

impl Default for LinfaLogistic {
    fn default() -> Self {
        Self { alpha: 1.0, max_iterations: 100, gradient_per_row: 1e-6, max_rows: 100_000 }
    }
}

struct FittedLogistic {
    encoding: Encoding,
    model: FittedLogisticRegression<f64, bool>,
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
        if sample.dataset().weights().is_some() {
            return Err(LearnError::Weights(NAME));
        }
        let encoding = Encoding::fit(sample.dataset(), sample.row_numbers());
        if encoding.linear.is_empty() {
            return Err(LearnError::NoColumns(dropped_note(&encoding).join("; ")));
        }
        let x = matrix(&encoding, &sample.rows())?;
        let y = Array1::from(sample.outcomes().to_vec());
        let start = newton::near_optimum(&x, &is_positive(sample.outcomes()), self.alpha);
        let parameters = LogisticRegression::default()
            .alpha(self.alpha)
            .max_iterations(self.max_iterations)
            .gradient_tolerance(self.gradient_per_row * sample.n_rows() as f64);
        let data = linfa::Dataset::new(x, y);
        // A line search may refuse a start at which there is nothing left to gain; from zero it always descends.
        let warm = start.map(|start| parameters.clone().initial_params(Array1::from(start)).fit(&data));
        let model = match warm {
            Some(Ok(model)) => model,
            _ => parameters.fit(&data).map_err(failed)?,
        };
        let finite = model.intercept().is_finite() && model.params().iter().all(|number| number.is_finite());
        if !finite {
            return Err(failed("the solver ended at coefficients that are not finite"));
        }
        Ok(Box::new(FittedLogistic { encoding, model }))
    }
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
    /// Whether linfa's positive class is the outcome itself.
    fn is_upright(&self) -> bool {
        self.model.labels().pos.class
    }
}

impl Fitted for FittedLogistic {
    fn margins(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
        let probabilities = self.model.predict_probabilities(&matrix(&self.encoding, rows)?);
        let odds = |p: f64| {
            let p = p.clamp(1e-15, 1.0 - 1e-15);
            (p / (1.0 - p)).ln()
        };
        let sign = if self.is_upright() { 1.0 } else { -1.0 };
        Ok(probabilities.iter().map(|&p| sign * odds(p)).collect())
    }

    fn seal(&self) -> Result<SealedScorer, LearnError> {
        let sign = if self.is_upright() { 1.0 } else { -1.0 };
        let coefficients = self.model.params().iter().map(|coefficient| sign * coefficient);
        let columns: Vec<_> = self.encoding.linear.iter().copied().zip(coefficients).collect();
        Ok(SealedScorer::linear(sign * self.model.intercept(), &columns))
    }

    fn form(&self) -> ScorerForm {
        ScorerForm::Linear
    }

    fn notes(&self) -> Vec<String> {
        dropped_note(&self.encoding)
    }
}
