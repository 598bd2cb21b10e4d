//! How many purchases follow in a time, of one who may leave after each: `E[(1 - (1 + p u)^-A) / p]`, `p ~ Beta(a, b)`.
//!
//! The published form is a Gauss hypergeometric, `(a + b - 1) / (a - 1) (1 - (1 + u)^-A 2F1(A, b; a + b - 1; u / (1 + u)))`:
//! a difference of near numbers for short times, 0/0 at `a = 1`, a series that crawls for long times. Both ways here
//! add terms above 0 only, and each is what the tests hold the other against.

/// Beyond so many terms of the sum the integral is cheaper.
const MAX_TERMS: f64 = 320.0;
/// `(1 + u)^-A` stays a normal number above this.
const LEAST_EXPONENT: f64 = -600.0;
/// The integral has converged when halving its step moves it by less than this share.
const RELATIVE: f64 = 1e-11;
/// Where the weight's logarithm lies so far below its top, nothing is left: e^-60 is 1e-26.
const NEGLIGIBLE: f64 = -60.0;
/// Points of the first and the last attempt.
const N_POINTS: (u32, u32) = (128, 4096);

/// Expected purchases in `t`, where `u = t / (alpha + T)`, `shape = r + x`, of one who is alive and whose chance to leave
/// after a purchase is Beta(`a`, `b`). All above 0 and finite, `u` at least 0.
pub(super) fn expected(shape: f64, u: f64, a: f64, b: f64) -> f64 {
    if u <= 0.0 {
        return 0.0;
    }
    let n_terms = shape * u + 40.0 * (1.0 + u);
    if n_terms < MAX_TERMS && -shape * u.ln_1p() > LEAST_EXPONENT {
        by_sum(shape, u, a, b)
    } else {
        by_integral(shape, u, a, b)
    }
}

/// `sum_k NB(k) N_k`: `NB` the probability of `k` purchases if nobody left, `N_k = sum_{j<k} E[(1 - p)^j]` those made before
/// leaving. Truncated where a geometric bound of the rest is below rounding.
pub(super) fn by_sum(shape: f64, u: f64, a: f64, b: f64) -> f64 {
    let z = u / (1.0 + u);
    let mut mass = (-shape * u.ln_1p()).exp();
    let (mut made, mut stays, mut sum, mut k) = (0.0, 1.0, 0.0, 0.0);
    loop {
        let ratio = z * (shape + k) / (k + 1.0);
        mass *= ratio;
        made += stays;
        stays *= (b + k) / (a + b + k);
        k += 1.0;
        sum += mass * made;
        // The next ratio bounds all later ones, and N_k grows more slowly than k.
        let next = z * (shape + k) / (k + 1.0) * (k + 1.0) / k;
        if next < 1.0 && mass * made * next / (1.0 - next) <= f64::EPSILON * sum {
            return sum;
        }
    }
}

/// The same by the trapezoidal rule over `s`, `p = 1 / (1 + e^-s)`, drawn out by a hyperbolic sine about the top of the
/// weight `p^a (1 - p)^b`, and divided by the same rule's integral of that weight. The step is halved until nothing moves.
pub(super) fn by_integral(shape: f64, u: f64, a: f64, b: f64) -> f64 {
    let top = (a / b).ln();
    let most = weight(top, a, b);
    let end = |side: f64| {
        let mut far = 1.0;
        while weight(top + side * far, a, b) - most > NEGLIGIBLE {
            far *= 1.5;
        }
        side * f64::asinh(far)
    };
    let (low, high) = (end(-1.0), end(1.0));
    let attempt = |n: u32| {
        let step = (high - low) / f64::from(n);
        let (mut sum, mut norm) = (0.0, 0.0);
        for at in 0..=n {
            let tau = low + step * f64::from(at);
            let s = top + tau.sinh();
            let mass = (weight(s, a, b) - most).exp() * tau.cosh();
            norm += mass;
            sum += mass * follow(s, shape, u);
        }
        sum / norm
    };
    let (mut n, last) = N_POINTS;
    let mut found = attempt(n);
    while n < last {
        n *= 2;
        let finer = attempt(n);
        let moved = (finer - found).abs();
        found = finer;
        if moved <= RELATIVE * found {
            break;
        }
    }
    found
}

/// `a ln p + b ln(1 - p)` at `s`.
fn weight(s: f64, a: f64, b: f64) -> f64 {
    // ln(1 + e^s) = max(s, 0) + ln(1 + e^-|s|).
    let rest = (-s.abs()).exp().ln_1p();
    -a * ((-s).max(0.0) + rest) - b * (s.max(0.0) + rest)
}

/// `(1 - (1 + p u)^-A) / p` at `s`; `A u` as `p` goes to 0.
fn follow(s: f64, shape: f64, u: f64) -> f64 {
    let p = 1.0 / (1.0 + (-s).exp());
    if p < 1e-300 { shape * u } else { -(-shape * (p * u).ln_1p()).exp_m1() / p }
}
