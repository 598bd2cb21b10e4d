//! Newton's method for penalised logistic regression, to hand a solver a start near the optimum.
//!
//! Minimises `-sum log p(y_i) + alpha / 2 * |w|^2` over coefficients w and a free intercept, by iteratively reweighted
//! least squares with halved steps: each costs one pass and one Cholesky factorisation.

use ndarray::{Array1, Array2, Axis};

/// Most steps.
const MAX_STEPS: usize = 25;
/// Rows whose weighted copy is held at a time.
const CHUNK_ROWS: usize = 4096;
/// The end: the step promises less than this share of the loss.
const RELATIVE_GAIN: f64 = 1e-10;

/// Coefficients, then the intercept. `None` where the Hessian cannot be factorised or a number is not finite.
pub(super) fn near_optimum(x: &Array2<f64>, positive: &[bool], alpha: f64) -> Option<Vec<f64>> {
    let width = x.ncols();
    let mut point = vec![0.0; width + 1];
    let mut loss = loss_at(x, positive, alpha, &point);
    for _ in 0..MAX_STEPS {
        let (gradient, mut hessian) = derivatives(x, positive, alpha, &point);
        let step = solve(&mut hessian, &gradient)?;
        let promised: f64 = 0.5 * step.iter().zip(&gradient).map(|(s, g)| s * g).sum::<f64>();
        let mut length = 1.0;
        loop {
            let next: Vec<f64> = point.iter().zip(&step).map(|(p, s)| p - length * s).collect();
            let reached = loss_at(x, positive, alpha, &next);
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

fn loss_at(x: &Array2<f64>, positive: &[bool], alpha: f64, point: &[f64]) -> f64 {
    let of = |(&margin, &positive): (&f64, &bool)| {
        let signed = if positive { margin } else { -margin };
        // log(1 + exp(-s)), without overflow.
        (-signed).max(0.0) + (-signed.abs()).exp().ln_1p()
    };
    let penalty = point[..x.ncols()].iter().map(|w| w * w).sum::<f64>();
    margins(x, point).iter().zip(positive).map(of).sum::<f64>() + 0.5 * alpha * penalty
}

/// Gradient and Hessian of the loss; the intercept is last.
fn derivatives(x: &Array2<f64>, positive: &[bool], alpha: f64, point: &[f64]) -> (Vec<f64>, Array2<f64>) {
    let width = x.ncols();
    let probabilities = margins(x, point).mapv(|margin| 1.0 / (1.0 + (-margin).exp()));
    let residuals: Array1<f64> =
        probabilities.iter().zip(positive).map(|(p, &y)| p - f64::from(u8::from(y))).collect();
    let weights = probabilities.mapv(|p| p * (1.0 - p));
    let mut gradient = x.t().dot(&residuals).to_vec();
    gradient.iter_mut().zip(point).for_each(|(g, w)| *g += alpha * w);
    gradient.push(residuals.sum());
    let (mut square, mut border) = (Array2::zeros((width, width)), Array1::zeros(width));
    let chunks = x.axis_chunks_iter(Axis(0), CHUNK_ROWS).zip(weights.axis_chunks_iter(Axis(0), CHUNK_ROWS));
    for (rows, weights) in chunks {
        let weighted = &rows * &weights.insert_axis(Axis(1));
        square += &rows.t().dot(&weighted);
        border += &weighted.sum_axis(Axis(0));
    }
    let hessian = Array2::from_shape_fn((width + 1, width + 1), |(i, j)| match (i < width, j < width) {
        (true, true) => square[[i, j]] + if i == j { alpha } else { 0.0 },
        (true, false) => border[i],
        (false, true) => border[j],
        (false, false) => weights.sum(),
    });
    (gradient, hessian)
}

/// `h^-1 g` for symmetric positive definite `h`, which is overwritten by its Cholesky factor.
fn solve(h: &mut Array2<f64>, g: &[f64]) -> Option<Vec<f64>> {
    let n = g.len();
    for j in 0..n {
        let pivot = h[[j, j]] - (0..j).map(|k| h[[j, k]] * h[[j, k]]).sum::<f64>();
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        h[[j, j]] = pivot.sqrt();
        for i in j + 1..n {
            let dot: f64 = (0..j).map(|k| h[[i, k]] * h[[j, k]]).sum();
            h[[i, j]] = (h[[i, j]] - dot) / h[[j, j]];
        }
    }
    let mut y = g.to_vec();
    for i in 0..n {
        let dot: f64 = (0..i).map(|k| h[[i, k]] * y[k]).sum();
        y[i] = (y[i] - dot) / h[[i, i]];
    }
    for i in (0..n).rev() {
        let dot: f64 = (i + 1..n).map(|k| h[[k, i]] * y[k]).sum();
        y[i] = (y[i] - dot) / h[[i, i]];
    }
    Some(y)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gradient_vanishes_at_the_optimum() {
        let x = Array2::from_shape_fn((200, 3), |(row, column)| {
            ((row * (column + 3) * 7919) % 101) as f64 / 50.0 - 1.0
        });
        let positive: Vec<bool> = (0..200).map(|row| (row * 31) % 7 < 3).collect();
        let point = near_optimum(&x, &positive, 1.0).unwrap();
        let (gradient, _) = derivatives(&x, &positive, 1.0, &point);
        // A step that promises 1e-10 of a loss near 140, at a Hessian of at most 200 * 1/4 * (1 + 3): the gradient is at
        // most sqrt(2 * 200 * 140e-10) before that step, which is then taken and squares what is left.
        assert!(gradient.iter().all(|g| g.abs() < 2.4e-3), "{gradient:?}");
        let start = loss_at(&x, &positive, 1.0, &[0.0; 4]);
        assert!((start - 200.0 * 2.0_f64.ln()).abs() < 1e-9);
        assert!(loss_at(&x, &positive, 1.0, &point) < start);
    }
}
