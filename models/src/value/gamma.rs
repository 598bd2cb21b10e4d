//! The gamma function's logarithm and its derivative, for arguments above 0.

/// `ln Γ(x)`, `x` above 0: libm's, within an ulp or two.
#[must_use]
pub fn ln_gamma(x: f64) -> f64 {
    libm::lgamma(x)
}

/// `ψ(x) = d ln Γ(x) / dx`, `x` above 0.
///
/// `ψ(x) = ψ(x + 1) - 1/x` up to 10, then `ln x - 1/(2x) - sum B_2k / (2k x^2k)` to `k = 7` (Abramowitz & Stegun 1964,
/// 6.3.5 and 6.3.18): the first term left out is below 5e-17 there.
#[must_use]
pub fn digamma(mut x: f64) -> f64 {
    let mut below = 0.0;
    while x < 10.0 {
        below += 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    const TERMS: [f64; 7] =
        [1.0 / 12.0, -1.0 / 120.0, 1.0 / 252.0, -1.0 / 240.0, 1.0 / 132.0, -691.0 / 32_760.0, 1.0 / 12.0];
    let tail = TERMS.iter().rev().fold(0.0, |sum, term| (sum + term) * y);
    x.ln() - 0.5 / x - tail - below
}

/// `ln(exp(a) + exp(b))` without overflow.
#[must_use]
pub fn ln_sum_exp(a: f64, b: f64) -> f64 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}
