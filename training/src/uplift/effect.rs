//! The average effect: the difference of the arms' means, and the same net of what features and assignment explain.

use serde::Serialize;

use crate::demand::estimate::normal_quantile;
use crate::elasticity::Interval;
use crate::metrics;

/// One arm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Arm {
    /// Rows.
    pub n: u64,
    /// Rows with the outcome.
    pub n_positive: u64,
    /// Their share.
    pub rate: f64,
}

/// The average effect, in differences of probabilities, with 95 % intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AverageEffect {
    /// Share of outcomes among treated less that among control rows; the effect only where treatment was drawn at
    /// random with one probability. Wald's interval: both arms hold at least 50 rows of either outcome.
    pub difference_of_means: Interval,
    /// The mean of doubly robust pseudo-outcomes (AIPW: Robins, Rotnitzky & Zhao 1994; cross-fitted: Chernozhukov et
    /// al. 2018), with the standard error of a mean. With a randomised treatment the same number, less noisy; with
    /// logged probabilities unbiased whatever the outcome models say; with estimated ones as good as the features
    /// explain.
    pub adjusted: Interval,
    /// The same among rows that could well have been in either arm, where probabilities differ from row to row: those
    /// of 0.1 to 0.9 (Crump, Hotz, Imbens & Mitnik 2009). Another question than that of all rows, and one the table can
    /// answer.
    pub overlapping: Option<Overlapping>,
}

/// The mean effect among rows of either arm.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overlapping {
    /// Rows whose probability of treatment lies in 0.1 to 0.9.
    pub n: u64,
    /// Their mean effect.
    pub effect: Interval,
}

impl AverageEffect {
    /// Of two arms, and of pseudo-outcomes with the probabilities of treatment, row by row.
    pub(super) fn of(arms: (&Arm, &Arm), pseudo: &[f64], shares: &[f64]) -> Self {
        let varies = shares.windows(2).any(|pair| pair[0] != pair[1]);
        let both = shares.iter().zip(pseudo).filter(|(share, _)| (0.1..=0.9).contains(*share));
        let both: Vec<f64> = both.map(|(_, psi)| *psi).collect();
        let overlapping = Overlapping { n: both.len() as u64, effect: mean(&both) };
        Self {
            difference_of_means: difference(arms.0, arms.1),
            adjusted: mean(pseudo),
            overlapping: (varies && both.len() > 1).then_some(overlapping),
        }
    }
}

/// The 97.5 % quantile of the standard normal.
pub(super) fn quantile() -> f64 {
    normal_quantile(0.975)
}

/// 95 % of normal errors.
pub(super) fn interval(value: f64, se: f64) -> Interval {
    Interval::of(value, se, quantile())
}

impl Arm {
    pub(super) fn of(n: u64, n_positive: u64) -> Self {
        Self { n, n_positive, rate: n_positive as f64 / n.max(1) as f64 }
    }

    /// Rows without the outcome.
    #[must_use]
    pub const fn n_negative(&self) -> u64 {
        self.n - self.n_positive
    }

    fn variance(&self) -> f64 {
        self.rate * (1.0 - self.rate) / self.n.max(1) as f64
    }
}

/// The difference of two arms' shares.
pub(super) fn difference(treated: &Arm, control: &Arm) -> Interval {
    interval(treated.rate - control.rate, (treated.variance() + control.variance()).sqrt())
}

/// The mean of `values` with the standard error of a mean.
pub(super) fn mean(values: &[f64]) -> Interval {
    let mean = metrics::mean(values);
    interval(mean.value, mean.se)
}
