//! Cholesky's factorisation of small symmetric positive definite matrices: Newton steps, inverses of Hessians.
//!
//! Dense and in place, for some hundred columns at most. Nothing here knows what a matrix means.

use ndarray::Array2;

/// Below this share of its diagonal a pivot is rounding: the column is told by those before it.
const LEAST_PIVOT: f64 = 1e-13;

/// A lower triangular `l` with `l l' = h`, in the lower half of what was given.
#[derive(Clone, Debug)]
pub(crate) struct Cholesky(Array2<f64>);

impl Cholesky {
    /// Factorises `h`; the column whose pivot is not positive where there is none.
    pub(crate) fn new(mut h: Array2<f64>) -> Result<Self, usize> {
        for j in 0..h.nrows() {
            let diagonal = h[[j, j]];
            let pivot = diagonal - (0..j).map(|k| h[[j, k]] * h[[j, k]]).sum::<f64>();
            if pivot.is_nan() || pivot <= LEAST_PIVOT * diagonal.max(0.0) {
                return Err(j);
            }
            h[[j, j]] = pivot.sqrt();
            for i in j + 1..h.nrows() {
                let dot: f64 = (0..j).map(|k| h[[i, k]] * h[[j, k]]).sum();
                h[[i, j]] = (h[[i, j]] - dot) / h[[j, j]];
            }
        }
        Ok(Self(h))
    }

    /// `h^-1 g`.
    pub(crate) fn solve(&self, g: &[f64]) -> Vec<f64> {
        let (h, n) = (&self.0, g.len());
        let mut y = g.to_vec();
        for i in 0..n {
            let dot: f64 = (0..i).map(|k| h[[i, k]] * y[k]).sum();
            y[i] = (y[i] - dot) / h[[i, i]];
        }
        for i in (0..n).rev() {
            let dot: f64 = (i + 1..n).map(|k| h[[k, i]] * y[k]).sum();
            y[i] = (y[i] - dot) / h[[i, i]];
        }
        y
    }

    /// `h^-1`.
    pub(crate) fn inverse(&self) -> Array2<f64> {
        let n = self.0.nrows();
        let mut inverse = Array2::zeros((n, n));
        for column in 0..n {
            let unit: Vec<f64> = (0..n).map(|at| f64::from(u8::from(at == column))).collect();
            self.solve(&unit).into_iter().enumerate().for_each(|(row, value)| inverse[[row, column]] = value);
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let a = Array2::from_shape_fn((5, 5), |(i, j)| ((i * 7 + j * 3) % 5) as f64 / 3.0);
        let h = a.dot(&a.t()) + Array2::<f64>::eye(5);
        let one = h.dot(&Cholesky::new(h.clone()).unwrap().inverse());
        // Entries below 10, condition below 100: roundings of 1e-16 stay below 1e-12.
        assert!((&one - &Array2::<f64>::eye(5)).iter().all(|off| off.abs() < 1e-12));
        let twins = Array2::from_shape_fn((2, 2), |_| 1.0);
        assert_eq!(Cholesky::new(twins).unwrap_err(), 1);
    }
}
