//! BG/NBD: when customers buy again, and whether they still are customers.

use serde::{Deserialize, Serialize};

use super::gamma::{ln_gamma, ln_sum_exp};
use super::summary::PurchaseSummary;
use super::{ParameterFault, dropout, positive};

/// The beta-geometric / negative binomial model (Fader, Hardie and Lee 2005, "Counting your customers" the easy way).
///
/// While alive a customer buys at rate `lambda` (Poisson); after each repeat purchase they leave for good with
/// probability `p`. Over customers `lambda ~ Gamma(r, rate alpha)` and `p ~ Beta(a, b)`, independently.
///
/// It misleads where purchases are regular or seasonal (Poisson is neither), where customers leave by a date (contracts),
/// where many never come back (nobody can leave before the first repeat: see [`PAlive::NoRepeat`]), and where the project
/// changed: the rates are those of the time it was fitted on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Draft")]
pub struct BgNbd {
    r: f64,
    alpha: f64,
    a: f64,
    b: f64,
}

#[derive(Deserialize)]
struct Draft {
    r: f64,
    alpha: f64,
    a: f64,
    b: f64,
}

impl TryFrom<Draft> for BgNbd {
    type Error = ParameterFault;

    fn try_from(Draft { r, alpha, a, b }: Draft) -> Result<Self, ParameterFault> {
        Self::new(r, alpha, a, b)
    }
}

/// Whether a customer still is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PAlive {
    /// The probability, above 0 (or rounded to it) and below 1.
    Known(f64),
    /// Nobody leaves before a first repeat purchase in this model, so one-time buyers have 1 by assumption, however
    /// long ago they bought: it says nothing about them.
    NoRepeat,
}

impl PAlive {
    /// The number, 1 by assumption included.
    #[must_use]
    pub const fn get(self) -> f64 {
        match self {
            Self::Known(p) => p,
            Self::NoRepeat => 1.0,
        }
    }
}

impl BgNbd {
    /// Checked: all finite and above 0. `alpha` is in units of time.
    pub fn new(r: f64, alpha: f64, a: f64, b: f64) -> Result<Self, ParameterFault> {
        positive([("r", r), ("alpha", alpha), ("a", a), ("b", b)])?;
        Ok(Self { r, alpha, a, b })
    }

    /// `[r, alpha, a, b]`.
    #[must_use]
    pub const fn parameters(&self) -> [f64; 4] {
        [self.r, self.alpha, self.a, self.b]
    }

    /// `ln (alpha + T)^-(r + x)` and, of repeaters, `ln a / (b + x - 1) (alpha + t_x)^-(r + x)`: still there, and left
    /// right after the last purchase.
    fn stayed_or_left(&self, of: &PurchaseSummary) -> (f64, f64) {
        let shape = self.r + of.x();
        let stayed = -shape * (self.alpha + of.age()).ln();
        if of.x() == 0.0 {
            return (stayed, f64::NEG_INFINITY);
        }
        let odds = self.a.ln() - (self.b + of.x() - 1.0).ln();
        (stayed, odds - shape * (self.alpha + of.t_x()).ln())
    }

    /// The log-likelihood of one customer, `(x, t_x, T)`:
    /// `ln Γ(r+x)/Γ(r) B(a,b+x)/B(a,b) alpha^r [(alpha+T)^-(r+x) + (x>0) a/(b+x-1) (alpha+t_x)^-(r+x)]`.
    ///
    /// All in logarithms, the bracket by log-sum-exp; finite for every summary.
    #[must_use]
    pub fn log_likelihood(&self, of: &PurchaseSummary) -> f64 {
        let Self { r, alpha, a, b } = *self;
        let x = of.x();
        let (stayed, left) = self.stayed_or_left(of);
        ln_gamma(r + x) - ln_gamma(r) + ln_gamma(b + x) - ln_gamma(b) + ln_gamma(a + b) - ln_gamma(a + b + x)
            + r * alpha.ln()
            + ln_sum_exp(stayed, left)
    }

    /// P(alive at T): `1 / (1 + a/(b+x-1) ((alpha+T)/(alpha+t_x))^(r+x))`. Frequent buyers who have been away for long
    /// fall fastest.
    #[must_use]
    pub fn p_alive(&self, of: &PurchaseSummary) -> PAlive {
        if of.x() == 0.0 {
            return PAlive::NoRepeat;
        }
        let (stayed, left) = self.stayed_or_left(of);
        PAlive::Known(1.0 / (1.0 + (left - stayed).exp()))
    }

    /// Expected purchases in the next `t`, which is at least 0 and finite (else taken as 0): P(alive) times
    /// `(a+b+x-1)/(a-1) [1 - ((alpha+T)/(alpha+T+t))^(r+x) 2F1(r+x, b+x; a+b+x-1; t/(alpha+T+t))]`.
    ///
    /// Computed as a mean over the chance to leave, with no difference of near numbers and no pole at `a = 1`: within
    /// some 1e-11 of its value for any `t`. For long `t` it grows as `t^(1-a)` if `a < 1`, and comes to a bound otherwise.
    #[must_use]
    pub fn expected_purchases(&self, of: &PurchaseSummary, t: f64) -> f64 {
        self.p_alive(of).get() * self.expected_if_alive(of, t)
    }

    /// The same of one known to be alive.
    pub(super) fn expected_if_alive(&self, of: &PurchaseSummary, t: f64) -> f64 {
        let t = if t.is_finite() { t } else { 0.0 };
        dropout::expected(self.r + of.x(), t / (self.alpha + of.age()), self.a, self.b + of.x())
    }

    /// The size of the derivative of an even `order`, above 0, of [`Self::expected_if_alive`] by time, at 0 where it is largest:
    /// with `A = r + x`, `E[p^(order-1)] A (A+1) .. (A+order-1) / (alpha+T)^order`, `p ~ Beta(a, b+x)`.
    pub(super) fn derivative(&self, of: &PurchaseSummary, order: u32) -> f64 {
        let (shape, age, b) = (self.r + of.x(), self.alpha + of.age(), self.b + of.x());
        let rise = |k: f64| (shape + k) / age;
        let moment = |k: f64| (self.a + k) / (self.a + b + k);
        let later = (1..order).map(f64::from).map(|k| rise(k) * moment(k - 1.0));
        rise(0.0) * later.product::<f64>()
    }

    /// Expected repeat purchases `E[X(t)]` of a customer drawn at random, in the `t` since their first purchase; `t` at
    /// least 0 and finite (else taken as 0).
    #[must_use]
    pub fn expected_repeats(&self, t: f64) -> f64 {
        let t = if t.is_finite() { t } else { 0.0 };
        dropout::expected(self.r, t / self.alpha, self.a, self.b)
    }

    /// `P(X(t) = x)` for `x` in `0 .. n`, of a customer drawn at random: what frequencies should be. `t` at least 0.
    ///
    /// `B(a,b+x)/B(a,b) NB(x) + (x>0) B(a+1,b+x-1)/B(a,b) P(NB >= x)`, `NB` with shape `r` and `1 - z = alpha/(alpha+t)`.
    /// The tail of `NB` is what its head leaves of 1, so probabilities are right to some 1e-15, not to a share of theirs.
    #[must_use]
    pub fn probabilities(&self, t: f64, n: usize) -> Vec<f64> {
        let Self { r, alpha, a, b } = *self;
        let u = t.max(0.0) / alpha;
        let z = u / (1.0 + u);
        let mut mass = (-r * u.ln_1p()).exp();
        // Alive after x chances to leave, and left at the x-th.
        let (mut stays, mut tail, mut found) = (1.0, 1.0, Vec::with_capacity(n));
        for at in 0..n {
            let x = at as f64;
            let left = if at == 0 { 0.0 } else { stays * a / (b + x - 1.0) };
            found.push((stays * mass + left * tail).max(0.0));
            tail = (tail - mass).max(0.0);
            mass *= z * (r + x) / (x + 1.0);
            stays *= (b + x) / (a + b + x);
        }
        found
    }
}
