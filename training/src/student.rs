//! Student's t: the quantile that makes an interval of a standard error and its degrees of freedom.

use crate::demand::estimate::normal_quantile;

/// The probability with which an interval covers.
pub const LEVEL: f64 = 0.95;
/// From so many degrees of freedom on the expansion is used.
const MANY: usize = 300;

/// The (1 + [`LEVEL`]) / 2 quantile of t with `freedom` degrees of freedom, at least 1.
///
/// Below 300 by bisection of the distribution function, a finite sum for whole degrees (Abramowitz & Stegun 1964, 26.7.3
/// and 26.7.4); from there on by Fisher's expansion about the normal quantile (26.7.5), off by less than 1e-7.
#[must_use]
pub fn quantile(freedom: usize) -> f64 {
    let z = normal_quantile(0.5 * (1.0 + LEVEL));
    if freedom >= MANY {
        let nu = freedom as f64;
        let (z3, z5) = (z.powi(3), z.powi(5));
        return z + (z3 + z) / (4.0 * nu) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * nu * nu);
    }
    let (mut low, mut high) = (0.0, 1e3);
    while high - low > 1e-10 * high {
        let middle = 0.5 * (low + high);
        if inside(middle, freedom.max(1)) < LEVEL { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(-t < T < t).
fn inside(t: f64, freedom: usize) -> f64 {
    let theta = (t / (freedom as f64).sqrt()).atan();
    let (sin, cos) = theta.sin_cos();
    let odd = freedom % 2 == 1;
    let (mut term, mut sum) = if odd { (cos, 0.0) } else { (1.0, 0.0) };
    let mut k = if odd { 3 } else { 2 };
    while k <= freedom {
        sum += term;
        term *= cos * cos * (k - 1) as f64 / k as f64;
        k += 2;
    }
    if odd { 2.0 / std::f64::consts::PI * (theta + sin * sum) } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_printed_tables() {
        // Three decimals, as printed.
        for (freedom, printed) in [(1, 12.706), (2, 4.303), (3, 3.182), (9, 2.262), (30, 2.042), (120, 1.980)]
        {
            assert!((quantile(freedom) - printed).abs() < 5.1e-4, "{freedom}: {}", quantile(freedom));
        }
        // The two forms meet.
        assert!((quantile(299) - quantile(300)).abs() < 3e-5, "{} {}", quantile(299), quantile(300));
        assert!((quantile(1_000_000) - 1.959_964).abs() < 1e-5);
    }
}
