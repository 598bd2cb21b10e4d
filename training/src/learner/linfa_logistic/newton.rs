//! Newton's method for penalised logistic regression, to hand a solver a start near the optimum.
//!
//! Minimises `-sum v_i log p(y_i) + alpha / 2 * |w|^2` over coefficients w and a free intercept, v being the rows' weights (1
//! without), by iteratively reweighted
//! least squares with halved steps: each costs one pass and one Cholesky factorisation.

use ndarray::{Array1, Array2, Axis};

use crate::cholesky::Cholesky;

/// Most steps.
const MAX_STEPS: usize = 25;
/// Rows whose weighted copy is held at a time.
const CHUNK_ROWS: usize = 4096;
/// The end: the step promises less than this share of the loss.
const RELATIVE_GAIN: f64 = 1e-10;

/// Coefficients, then the intercept. `None` where the Hessian cannot be factorised or a number is not finite.
pub(super) fn near_optimum(
    x: &Array2<f64>,
    positive: &[bool],
    weights: Option<&[f64]>,
    alpha: f64,
) -> Option<Vec<f64>> {
    let width = x.ncols();
    let mut point = vec![0.0; width + 1];
    let rows = Rows { x, positive, weights };
    let mut loss = rows.loss_at(alpha, &point);
    for _ in 0..MAX_STEPS {
        let (gradient, hessian) = rows.derivatives(alpha, &point);
        let step = Cholesky::new(hessian).ok()?.solve(&gradient);
        let promised: f64 = 0.5 * step.iter().zip(&gradient).map(|(s, g)| s * g).sum::<f64>();
        let mut length = 1.0;
        loop {
            let next: Vec<f64> = point.iter().zip(&step).map(|(p, s)| p - length * s).collect();
            let reached = rows.loss_at(alpha, &next);
            if reached <= loss {
                (point, loss) = (next, reached);
                break;
            }
            length *= 0.5;
            if length < 1e-6 {
                return Some(point);
            }
        }
        if promised < RELATIVE_GAIN * loss {
            break;
        }
    }
    point.iter().all(|number| number.is_finite()).then_some(point)
}

fn margins(x: &Array2<f64>, point: &[f64]) -> Array1<f64> {
    let (coefficients, intercept) = point.split_at(x.ncols());
    x.dot(&Array1::from(coefficients.to_vec())) + intercept[0]
}

/// What is fitted: columns, outcomes, and weights where there are any.
struct Rows<'a> {
    x: &'a Array2<f64>,
    positive: &'a [bool],
    weights: Option<&'a [f64]>,
}

impl Rows<'_> {
    fn weight(&self, row: usize) -> f64 {
        self.weights.map_or(1.0, |weights| weights[row])
    }

    fn loss_at(&self, alpha: f64, point: &[f64]) -> f64 {
        let of = |(row, (&margin, &positive)): (usize, (&f64, &bool))| {
            let signed = if positive { margin } else { -margin };
            // log(1 + exp(-s)), without overflow.
            self.weight(row) * ((-signed).max(0.0) + (-signed.abs()).exp().ln_1p())
        };
        let penalty = point[..self.x.ncols()].iter().map(|w| w * w).sum::<f64>();
        let margins = margins(self.x, point);
        margins.iter().zip(self.positive).enumerate().map(of).sum::<f64>() + 0.5 * alpha * penalty
    }

    /// Gradient and Hessian of the loss; the intercept is last.
    fn derivatives(&self, alpha: f64, point: &[f64]) -> (Vec<f64>, Array2<f64>) {
        let (x, width) = (self.x, self.x.ncols());
        let probabilities = margins(x, point).mapv(|margin| 1.0 / (1.0 + (-margin).exp()));
        let off = |(row, (p, &y)): (usize, (&f64, &bool))| self.weight(row) * (p - f64::from(u8::from(y)));
        let residuals: Array1<f64> = probabilities.iter().zip(self.positive).enumerate().map(off).collect();
        let mut curvatures = probabilities.mapv(|p| p * (1.0 - p));
        curvatures.iter_mut().enumerate().for_each(|(row, curvature)| *curvature *= self.weight(row));
        let mut gradient = x.t().dot(&residuals).to_vec();
        gradient.iter_mut().zip(point).for_each(|(g, w)| *g += alpha * w);
        gradient.push(residuals.sum());
        let (mut square, mut border) = (Array2::zeros((width, width)), Array1::zeros(width));
        let chunks =
            x.axis_chunks_iter(Axis(0), CHUNK_ROWS).zip(curvatures.axis_chunks_iter(Axis(0), CHUNK_ROWS));
        for (rows, curvatures) in chunks {
            let weighted = &rows * &curvatures.insert_axis(Axis(1));
            square += &rows.t().dot(&weighted);
            border += &weighted.sum_axis(Axis(0));
        }
        let hessian = Array2::from_shape_fn((width + 1, width + 1), |(i, j)| match (i < width, j < width) {
            (true, true) => square[[i, j]] + if i == j { alpha } else { 0.0 },
            (true, false) => border[i],
            (false, true) => border[j],
            (false, false) => curvatures.sum(),
        });
        (gradient, hessian)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> (Array2<f64>, Vec<bool>) {
        let x = Array2::from_shape_fn((200, 3), |(row, column)| {
            ((row * (column + 3) * 7919) % 101) as f64 / 50.0 - 1.0
        });
        (x, (0..200).map(|row| (row * 31) % 7 < 3).collect())
    }

    #[test]
    fn the_gradient_vanishes_at_the_optimum() {
        let (x, positive) = drawn();
        let point = near_optimum(&x, &positive, None, 1.0).unwrap();
        let rows = Rows { x: &x, positive: &positive, weights: None };
        let (gradient, _) = rows.derivatives(1.0, &point);
        // A step that promises 1e-10 of a loss near 140, at a Hessian of at most 200 * 1/4 * (1 + 3): the gradient is at
        // most sqrt(2 * 200 * 140e-10) before that step, which is then taken and squares what is left.
        assert!(gradient.iter().all(|g| g.abs() < 2.4e-3), "{gradient:?}");
        let start = rows.loss_at(1.0, &[0.0; 4]);
        assert!((start - 200.0 * 2.0_f64.ln()).abs() < 1e-9);
        assert!(rows.loss_at(1.0, &point) < start);
    }

    #[test]
    fn a_weight_counts_as_rows_do() {
        let (x, positive) = drawn();
        let weights: Vec<f64> = (0..200).map(|row| f64::from(row % 3)).collect();
        let repeated: Vec<usize> = (0..200).flat_map(|row| vec![row; row % 3]).collect();
        let rows = x.select(Axis(0), &repeated);
        let outcomes: Vec<bool> = repeated.iter().map(|&row| positive[row]).collect();
        let weighted = near_optimum(&x, &positive, Some(&weights), 1.0).unwrap();
        let plain = near_optimum(&rows, &outcomes, None, 1.0).unwrap();
        // The same sums in another order: both end where a gradient below 2.4e-3 meets a curvature of at least the
        // penalty, 1, or for the intercept 200 * p (1 - p), more than 1 too.
        assert!(
            weighted.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 2.0 * 2.4e-3),
            "{weighted:?} {plain:?}"
        );
    }
}
