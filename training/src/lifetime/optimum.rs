//! The top of a log-likelihood over logarithms of parameters, and how sharp it is.
//!
//! argmin's L-BFGS climbs (More and Thuente's line search), Newton's steps end it: a quasi-Newton method stops where a line
//! search no longer sees a gain, some 1e-8 short, and its own Hessian is no measure of how sharp the top is. That
//! one is taken by central differences of the analytic gradient.

use std::cell::RefCell;

use argmin::core::{CostFunction, Error, Executor, Gradient, State as _};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::quasinewton::LBFGS;
use ndarray::{Array1, Array2};

use super::error::Untold;
use crate::cholesky::Cholesky;
use crate::elasticity::Interval;

/// Steps of the climb.
const MAX_STEPS: u64 = 300;
/// Newton's steps behind it.
const MAX_NEWTON: usize = 30;
/// The climb ends where the mean log-likelihood's gradient is this short.
const GRADIENT: f64 = 1e-6;
/// At the top half of Newton's decrement, what another step would add to the log-likelihood, is below this.
const GAIN: f64 = 1e-8;
/// A logarithm beyond this has gone to infinity: e^12 is 163,000 in any unit.
const FARTHEST: f64 = 16.0;
/// Of central differences: errors of its square, 1e-8, against rounding over it, 1e-11.
const STEP: f64 = 1e-4;
/// Of a normal's two-sided 95 %.
pub(super) const QUANTILE: f64 = 1.959_963_984_540_054;

/// A log-likelihood.
pub(super) trait Objective<const K: usize> {
    /// It and its gradient, both over logarithms of parameters.
    fn at(&self, logs: &[f64; K]) -> (f64, [f64; K]);
}

/// The top of one.
#[derive(Clone, Debug)]
pub(super) struct Optimum<const K: usize> {
    /// Logarithms of the parameters.
    pub(super) logs: [f64; K],
    pub(super) log_likelihood: f64,
    /// Standard errors of the logarithms, by the inverse of minus the Hessian.
    pub(super) standard_errors: [f64; K],
    /// Their covariances, by the same.
    pub(super) covariance: [[f64; K]; K],
}

impl<const K: usize> Optimum<K> {
    /// The parameters.
    pub(super) fn parameters(&self) -> [f64; K] {
        self.logs.map(f64::exp)
    }

    /// 95 % intervals, ends taken on the logarithm (so above 0) and standard errors by the delta method.
    pub(super) fn intervals(&self) -> [Interval; K] {
        std::array::from_fn(|at| {
            let (log, se) = (self.logs[at], self.standard_errors[at]);
            let end = |side: f64| (log + side * QUANTILE * se).exp();
            Interval { value: log.exp(), se: log.exp() * se, lo: end(-1.0), hi: end(1.0) }
        })
    }
}

/// A point, the value there and its gradient.
type Known<const K: usize> = ([f64; K], f64, [f64; K]);

/// Minus the mean log-likelihood as argmin asks for it: value and gradient of one point come together, so the last
/// point is remembered.
struct Climb<'a, const K: usize, O: Objective<K>> {
    objective: &'a O,
    n: f64,
    last: RefCell<Option<Known<K>>>,
}

impl<const K: usize, O: Objective<K>> Climb<'_, K, O> {
    fn at(&self, point: &Array1<f64>) -> (f64, [f64; K]) {
        let logs: [f64; K] = std::array::from_fn(|at| point[at].clamp(-2.0 * FARTHEST, 2.0 * FARTHEST));
        if let Some((known, value, gradient)) = *self.last.borrow()
            && known == logs
        {
            return (value, gradient);
        }
        let (value, gradient) = self.objective.at(&logs);
        let (value, gradient) = (-value / self.n, gradient.map(|part| -part / self.n));
        *self.last.borrow_mut() = Some((logs, value, gradient));
        (value, gradient)
    }
}

impl<const K: usize, O: Objective<K>> CostFunction for Climb<'_, K, O> {
    type Param = Array1<f64>;
    type Output = f64;

    fn cost(&self, point: &Array1<f64>) -> Result<f64, Error> {
        Ok(self.at(point).0)
    }
}

impl<const K: usize, O: Objective<K>> Gradient for Climb<'_, K, O> {
    type Param = Array1<f64>;
    type Gradient = Array1<f64>;

    fn gradient(&self, point: &Array1<f64>) -> Result<Array1<f64>, Error> {
        Ok(self.at(point).1.to_vec().into())
    }
}

/// The top of `objective`, a sum over `n`, from `start` (logarithms). Else why there is none: a parameter that has gone
/// to 0 or infinity, or steps that came to no end; with the number of that parameter, or of the least sure one.
pub(super) fn find<const K: usize, O: Objective<K>>(
    objective: &O,
    n: f64,
    start: [f64; K],
) -> Result<Optimum<K>, (Untold, usize)> {
    let mut logs = climb(objective, n, start).unwrap_or(start);
    let (mut value, mut gradient) = objective.at(&logs);
    for _ in 0..MAX_NEWTON {
        if let Some(at) = logs.iter().position(|log| log.is_nan() || log.abs() > FARTHEST) {
            return Err((Untold::NotIdentified, at));
        }
        let information = information(objective, &logs);
        let factors = match Cholesky::new(information) {
            Ok(factors) => factors,
            Err(at) => return Err((Untold::NotIdentified, at)),
        };
        let direction = factors.solve(&gradient);
        let gain = 0.5 * direction.iter().zip(&gradient).map(|(d, g)| d * g).sum::<f64>();
        if gain.abs() <= GAIN {
            let inverse = factors.inverse();
            let standard_errors = std::array::from_fn(|at| inverse[[at, at]].sqrt());
            // Solved column by column, so the two halves differ by rounding.
            let both = |row: usize, column: usize| 0.5 * (inverse[[row, column]] + inverse[[column, row]]);
            let covariance = std::array::from_fn(|row| std::array::from_fn(|column| both(row, column)));
            return Ok(Optimum { logs, log_likelihood: value, standard_errors, covariance });
        }
        let mut length = 1.0;
        loop {
            let next = std::array::from_fn(|at| logs[at] + length * direction[at].clamp(-2.0, 2.0));
            let (found, slope) = objective.at(&next);
            if found > value || length < 1e-4 {
                (logs, value, gradient) = (next, found, slope);
                break;
            }
            length *= 0.5;
        }
    }
    let steepest = (0..K).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs()));
    Err((Untold::NoConvergence, steepest.unwrap_or(0)))
}

/// Where L-BFGS ends; none where its line search found no way at all.
fn climb<const K: usize, O: Objective<K>>(objective: &O, n: f64, start: [f64; K]) -> Option<[f64; K]> {
    let problem = Climb { objective, n, last: RefCell::new(None) };
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 8).with_tolerance_grad(GRADIENT).ok()?;
    let solver = solver.with_tolerance_cost(1e-13).ok()?;
    let start = Array1::from(start.to_vec());
    let executor = Executor::new(problem, solver).configure(|state| state.param(start).max_iters(MAX_STEPS));
    let ended = executor.run().ok()?;
    let best = ended.state().get_best_param()?.clone();
    best.iter().all(|log| log.is_finite()).then(|| std::array::from_fn(|at| best[at]))
}

/// Minus the Hessian.
fn information<const K: usize, O: Objective<K>>(objective: &O, logs: &[f64; K]) -> Array2<f64> {
    let mut h = Array2::zeros((K, K));
    for row in 0..K {
        let beside = |by: f64| {
            let mut logs = *logs;
            logs[row] += by;
            objective.at(&logs).1
        };
        let (up, down) = (beside(STEP), beside(-STEP));
        for column in 0..K {
            let second = (down[column] - up[column]) / (2.0 * STEP);
            h[[row, column]] += 0.5 * second;
            h[[column, row]] += 0.5 * second;
        }
    }
    h
}
