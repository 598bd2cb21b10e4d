//! Gauss-Legendre quadrature on 0 ..= 1, exact for polynomials up to degree `2 K - 1` with `K` points.
//!
//! The points are the zeros of the Legendre polynomial `P_K`, found at compile time by Newton's method from
//! `cos(pi (k + 3/4) / (K + 1/2))`; the weights are `2 / ((1 - x^2) P'_K(x)^2)` (Abramowitz & Stegun 25.4.29), moved from
//! -1 ..= 1 to 0 ..= 1.

use std::f64::consts::PI;

/// Points and weights of the rule with `K` points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quadrature<const K: usize> {
    /// Ascending in 0 ..= 1, exclusive.
    pub(super) points: [f64; K],
    /// Positive, of sum 1.
    pub(super) weights: [f64; K],
}

impl<const K: usize> Quadrature<K> {
    /// The rule.
    pub(super) const RULE: Self = Self::new();

    const fn new() -> Self {
        let (mut points, mut weights) = ([0.5; K], [1.0; K]);
        let mut k = 0;
        while k < K {
            let mut x = cosine(PI * (k as f64 + 0.75) / (K as f64 + 0.5));
            let mut step = 0;
            while step < 6 {
                let (value, slope) = legendre(K, x);
                x -= value / slope;
                step += 1;
            }
            let (_, slope) = legendre(K, x);
            points[K - 1 - k] = (1.0 + x) / 2.0;
            weights[K - 1 - k] = 1.0 / ((1.0 - x * x) * slope * slope);
            k += 1;
        }
        Self { points, weights }
    }
}

/// `P_n(x)` and its derivative, for x inside -1 .. 1, by Bonnet's recursion.
const fn legendre(n: usize, x: f64) -> (f64, f64) {
    let (mut below, mut value) = (1.0, x);
    let mut k = 2;
    while k <= n {
        let order = k as f64;
        (below, value) = (value, ((2.0 * order - 1.0) * x * value - (order - 1.0) * below) / order);
        k += 1;
    }
    (value, n as f64 * (x * value - below) / (x * x - 1.0))
}

/// The cosine of an angle in 0 ..= pi, by its series: good to 1e-9, which Newton's method makes exact.
const fn cosine(angle: f64) -> f64 {
    let (mut sum, mut term, mut k) = (0.0, 1.0, 0);
    while k < 14 {
        sum += term;
        let next = 2.0 * k as f64;
        term *= -angle * angle / ((next + 1.0) * (next + 2.0));
        k += 1;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integrates_powers<const K: usize>() {
        let rule = Quadrature::<K>::RULE;
        for degree in 0..2 * K {
            let terms = rule.points.iter().zip(rule.weights);
            let sum: f64 = terms.map(|(x, weight)| weight * x.powf(degree as f64)).sum();
            let exact = 1.0 / (degree as f64 + 1.0);
            // K products rounded, points and weights good to a few units in the last place each.
            let bound = 64.0 * K as f64 * f64::EPSILON;
            assert!((sum - exact).abs() <= bound, "{K} points, degree {degree}: {sum} {exact}");
        }
    }

    #[test]
    fn powers_up_to_twice_the_points_are_exact() {
        integrates_powers::<2>();
        integrates_powers::<4>();
        integrates_powers::<6>();
        integrates_powers::<8>();
        integrates_powers::<16>();
        integrates_powers::<32>();
    }
}
