//! How sure a closed-form lifetime value is: the errors of its parameters carried to the expectation.

use serde::{Deserialize, Serialize};

use super::lifetime::LifetimeModel;
use super::realised::VALUE_LEVEL;
use super::summary::CustomerSummary;

/// Of a normal's two-sided 90 %.
const QUANTILE: f64 = 1.644_853_626_951_472_7;
/// Of central differences over logarithms: its square is the error, beside 1e-12 of rounding over it.
const STEP: f64 = 1e-4;

/// Covariances of the logarithms of the parameters, by the inverse of minus the Hessian at the top of the likelihood. BG/NBD
/// and Gamma-Gamma are fitted apart, so nothing goes between the two.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct ParameterErrors {
    bg_nbd: [[f64; 4]; 4],
    gamma_gamma: Option<[[f64; 3]; 3]>,
}

#[derive(Deserialize)]
struct Draft {
    bg_nbd: [[f64; 4]; 4],
    gamma_gamma: Option<[[f64; 3]; 3]>,
}

/// A matrix of covariances that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error(
    "the covariance of parameters {row} and {column} of {model} is {value}; it must be finite, symmetric, and at most the \
     root of the product of the two variances"
)]
pub struct ErrorsFault {
    /// `bg_nbd` or `gamma_gamma`.
    pub model: &'static str,
    /// From 0.
    pub row: usize,
    /// From 0.
    pub column: usize,
    /// What it is.
    pub value: f64,
}

impl TryFrom<Draft> for ParameterErrors {
    type Error = ErrorsFault;

    fn try_from(draft: Draft) -> Result<Self, ErrorsFault> {
        Self::new(draft.bg_nbd, draft.gamma_gamma)
    }
}

/// Bound of a variance of a logarithm, under which no sum of products overflows.
const LARGEST: f64 = 1e12;

fn check<const K: usize>(model: &'static str, of: &[[f64; K]; K]) -> Result<(), ErrorsFault> {
    for row in 0..K {
        for column in 0..K {
            let (value, root) = (of[row][column], (of[row][row] * of[column][column]).sqrt());
            let near = 1e-9 * (1e-300 + root);
            let sound = value.abs() <= LARGEST
                && (row != column || value >= 0.0)
                && value.abs() <= root + near
                && (value - of[column][row]).abs() <= near;
            if !sound {
                return Err(ErrorsFault { model, row, column, value });
            }
        }
    }
    Ok(())
}

/// `g' c g`; rounding alone can bring it below 0.
fn quadratic<const K: usize>(gradient: &[f64; K], of: &[[f64; K]; K]) -> f64 {
    let row = |(g, row): (&f64, &[f64; K])| g * row.iter().zip(gradient).map(|(c, g)| c * g).sum::<f64>();
    gradient.iter().zip(of).map(row).sum::<f64>().max(0.0)
}

impl ParameterErrors {
    /// Checked: finite, symmetric, no correlation beyond 1.
    pub fn new(bg_nbd: [[f64; 4]; 4], gamma_gamma: Option<[[f64; 3]; 3]>) -> Result<Self, ErrorsFault> {
        check("bg_nbd", &bg_nbd)?;
        if let Some(of) = &gamma_gamma {
            check("gamma_gamma", of)?;
        }
        Ok(Self { bg_nbd, gamma_gamma })
    }
}

/// Two ends, in the unit of value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ValueInterval {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
    /// The probability with which it covers.
    pub level: f64,
}

impl LifetimeModel {
    /// The 90 % interval of the lifetime value told of a customer, by the delta method: with `g` the gradient of `ln V` over the
    /// logarithms of the parameters and `c` their covariance, `V exp(-+ 1.645 sqrt(g' c g))`. Taken on the logarithm, so that
    /// ends are above 0. None where there is no value, or none of the errors its parameters need.
    ///
    /// It is an interval of the expectation: where the mean margin of all customers with this history lies, as far as the
    /// parameters are known and if the model is right. What one of them will bring scatters far wider. It misleads where the
    /// model does not fit, and says nothing of that; with few customers logarithms are not normal and it is short. Costs
    /// eight times the purchases of a score.
    #[must_use]
    pub fn interval(&self, of: &CustomerSummary) -> Option<ValueInterval> {
        let errors = self.errors()?;
        let value = self.score(of).lifetime_value?;
        let spend = match (self.gamma_gamma(), errors.gamma_gamma) {
            (Some(model), Some(c)) => quadratic(&model.log_gradient(of.spend.as_ref())?, &c),
            _ => return None,
        };
        let mut gradient = [0.0; 4];
        for (at, gradient) in gradient.iter_mut().enumerate() {
            let beside = |by: f64| {
                let mut parameters = self.bg_nbd().parameters();
                parameters[at] *= f64::exp(by);
                self.discounted_under(parameters, of).map(f64::ln)
            };
            *gradient = (beside(STEP)? - beside(-STEP)?) / (2.0 * STEP);
        }
        let reach = QUANTILE * (quadratic(&gradient, &errors.bg_nbd) + spend).sqrt();
        let (lo, hi) = (value * (-reach).exp(), value * reach.exp());
        // A value that was rounded to 0 has no logarithm.
        (lo.is_finite() && hi.is_finite()).then_some(ValueInterval { lo, hi, level: VALUE_LEVEL })
    }
}
