//! BG/NBD with time-invariant covariates, by maximum likelihood (Fader and Hardie 2007).
//!
//! A customer with standardised covariates `z` has `alpha exp(-rate' z)`, `a exp(leave_a' z)` and `b exp(leave_b' z)`; the likelihood is
//! BG/NBD's at these. `4 + 3 k` parameters are found at once, from the top without covariates. Nobody is alike any more, so no
//! customers are grouped: a step costs a dozen gamma functions each. The likelihood-ratio statistic against that top, `2 (L - L0)`, is
//! chi-square with `3 k` degrees of freedom if no covariate says anything (Wilks 1938).
//!
//! Coefficients are what customers differ by, not what a change of the covariate would do; what is known only after the first purchase
//! (such as how much was bought since) tells purchases by themselves. Covariates that say the same are told as not identified.

use nextbest_models::value::gamma::{digamma, ln_gamma};
use nextbest_models::value::{BgNbd, Covariate, CustomerSummary};
use rayon::prelude::*;
use serde::Serialize;

use super::error::Untold;
use super::goodness::upper_tail;
use super::grouped::CHUNK;
use super::optimum::{Objective, Optimum, QUANTILE, find};
use crate::elasticity::Interval;

/// Most covariates.
pub const MAX_COVARIATES: usize = 6;
/// Of BG/NBD, before the coefficients.
const N_BASE: usize = 4;

/// One covariate of a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CovariateReport {
    /// The column.
    pub name: String,
    /// Its mean over customers.
    pub mean: f64,
    /// Its standard deviation.
    pub sd: f64,
    /// Of the logarithm of the rate of purchase, by a standard deviation.
    pub rate: Interval,
    /// Of the logarithm of the first shape of the chance to leave.
    pub leave_a: Interval,
    /// Of that of the second.
    pub leave_b: Interval,
}

/// What covariates add.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CovariatesReport {
    /// In the order they were named.
    pub covariates: Vec<CovariateReport>,
    /// Log-likelihood without any of them.
    pub log_likelihood_without: f64,
    /// `2 (L - L0)`.
    pub likelihood_ratio: f64,
    /// Three for each.
    pub degrees_of_freedom: usize,
    /// P(a statistic this large | no covariate says anything).
    pub p_value: f64,
}

/// A fit with covariates, parameters those of a customer with the mean of each.
pub(super) struct Moved {
    pub(super) bg_nbd: BgNbd,
    pub(super) parameters: [Interval; 4],
    pub(super) log_likelihood: f64,
    pub(super) covariates: Vec<Covariate>,
    pub(super) report: CovariatesReport,
}

/// Columns of numbers, row by row, with what they are standardised by.
pub(super) struct Standardised {
    /// Mean and deviation of each column.
    pub(super) moments: Vec<(f64, f64)>,
    z: Vec<f64>,
}

impl Standardised {
    /// Of `values`, `n_columns` a row; the number of a column that is the same in every row where there is one.
    pub(super) fn of(values: &[f64], n_columns: usize) -> Result<Self, usize> {
        let n = (values.len() / n_columns) as f64;
        let column = |at: usize| values.iter().skip(at).step_by(n_columns);
        let mut moments = Vec::with_capacity(n_columns);
        for at in 0..n_columns {
            let mean = column(at).sum::<f64>() / n;
            let sd = (column(at).map(|value| (value - mean).powi(2)).sum::<f64>() / n).sqrt();
            // Rounding of the mean is no difference.
            if sd.is_nan() || sd <= 1e-12 * mean.abs() || sd <= f64::MIN_POSITIVE {
                return Err(at);
            }
            moments.push((mean, sd));
        }
        // As scores hold them, so that a wild cell moves neither.
        let one = |(at, value): (usize, &f64)| {
            let (mean, sd) = moments[at % n_columns];
            ((value - mean) / sd).clamp(-8.0, 8.0)
        };
        let z = values.iter().enumerate().map(one).collect();
        Ok(Self { moments, z })
    }
}

/// Customers with their covariates.
pub(super) struct Varied<'a> {
    pub(super) customers: &'a [CustomerSummary],
    pub(super) z: &'a Standardised,
}

impl<const K: usize> Objective<K> for Varied<'_> {
    /// Over `[ln r, ln alpha, ln a, ln b, rate.., leave_a.., leave_b..]`. With the derivatives of one customer's log-likelihood by
    /// their own `ln alpha`, `ln a` and `ln b` (see the grouped likelihood), those by a coefficient are `-z`, `z` and `z`
    /// times these.
    fn at(&self, logs: &[f64; K]) -> (f64, [f64; K]) {
        let width = self.z.moments.len();
        let (base, coefficients) = logs.split_at(N_BASE);
        let dot = |part: usize, z: &[f64]| -> f64 {
            coefficients[part * width..(part + 1) * width].iter().zip(z).map(|(c, z)| c * z).sum()
        };
        let one = |(of, z): (&CustomerSummary, &[f64])| {
            let own = [base[0], base[1] - dot(0, z), base[2] + dot(1, z), base[3] + dot(2, z)];
            customer(of, own.map(f64::exp))
        };
        let chunk = |(customers, z): (&[CustomerSummary], &[f64])| {
            let mut sum = (0.0, [0.0; K]);
            for (of, z) in customers.iter().zip(z.chunks(width)) {
                let (log, slopes) = one((of, z));
                sum.0 += log;
                for (at, slope) in slopes.iter().enumerate() {
                    sum.1[at] += slope;
                    if at > 0 {
                        let side = if at == 1 { -slope } else { *slope };
                        let from = N_BASE + (at - 1) * width;
                        sum.1[from..from + width].iter_mut().zip(z).for_each(|(sum, z)| *sum += side * z);
                    }
                }
            }
            sum
        };
        let parts: Vec<(f64, [f64; K])> =
            self.customers.par_chunks(CHUNK).zip(self.z.z.par_chunks(CHUNK * width)).map(chunk).collect();
        let mut sum = (0.0, [0.0; K]);
        for part in parts {
            sum.0 += part.0;
            sum.1.iter_mut().zip(part.1).for_each(|(sum, part)| *sum += part);
        }
        sum
    }
}

/// The log-likelihood of one customer, and its derivatives by the logarithms of their own `[r, alpha, a, b]`.
fn customer(of: &CustomerSummary, [r, alpha, a, b]: [f64; 4]) -> (f64, [f64; 4]) {
    let (x, t_x, age) = (of.purchases.x(), of.purchases.t_x(), of.purchases.age());
    let (shape, stay, leave) = (r + x, alpha + age, alpha + t_x);
    let both = digamma(a + b) - digamma(a + b + x);
    let (ln_stay, ln_leave, ln_alpha) = (stay.ln(), leave.ln(), alpha.ln());
    let left = if x == 0.0 { f64::NEG_INFINITY } else { a.ln() - (b + x - 1.0).ln() };
    let odds = (left + shape * (ln_stay - ln_leave)).exp();
    let (w, bracket) = if odds.is_finite() {
        (odds / (1.0 + odds), odds.ln_1p() - shape * ln_stay)
    } else {
        (1.0, left - shape * ln_leave)
    };
    let log = ln_gamma(shape) - ln_gamma(r) + ln_gamma(b + x) - ln_gamma(b) + ln_gamma(a + b)
        - ln_gamma(a + b + x)
        + r * ln_alpha
        + bracket;
    let by_r = digamma(shape) - digamma(r) + ln_alpha - (1.0 - w) * ln_stay - w * ln_leave;
    let by_alpha = r / alpha - shape * ((1.0 - w) / stay + w / leave);
    let by_b = digamma(b + x) - digamma(b) + both - if w == 0.0 { 0.0 } else { w / (b + x - 1.0) };
    (log, [r * by_r, alpha * by_alpha, a * both + w, b * by_b])
}

/// The top with covariates of these `names`, from the top without; else why there is none, and whose parameter is at fault.
pub(super) fn fit(
    customers: &[CustomerSummary],
    names: &[String],
    z: &Standardised,
    without: &Optimum<4>,
) -> Result<Moved, (Untold, String)> {
    let varied = Varied { customers, z };
    match names.len() {
        1 => climbed::<7>(&varied, names, without),
        2 => climbed::<10>(&varied, names, without),
        3 => climbed::<13>(&varied, names, without),
        4 => climbed::<16>(&varied, names, without),
        5 => climbed::<19>(&varied, names, without),
        _ => climbed::<22>(&varied, names, without),
    }
}

fn climbed<const K: usize>(
    varied: &Varied<'_>,
    names: &[String],
    without: &Optimum<4>,
) -> Result<Moved, (Untold, String)> {
    let width = names.len();
    let start = std::array::from_fn(|at| if at < N_BASE { without.logs[at] } else { 0.0 });
    let parameter = |at: usize| match at.checked_sub(N_BASE) {
        None => ["r", "alpha", "a", "b"][at].to_owned(),
        Some(at) => format!("{} of {}", ["rate", "leave_a", "leave_b"][at / width], names[at % width]),
    };
    let found: Optimum<K> =
        find(varied, varied.customers.len() as f64, start).map_err(|(code, at)| (code, parameter(at)))?;
    let ends = found.intervals();
    let coefficient = |part: usize, at: usize| {
        let place = N_BASE + part * width + at;
        let (value, se) = (found.logs[place], found.standard_errors[place]);
        Interval { value, se, lo: value - QUANTILE * se, hi: value + QUANTILE * se }
    };
    let unsealable = |fault: &dyn ToString| (Untold::NotIdentified, fault.to_string());
    let (mut covariates, mut told) = (Vec::new(), Vec::new());
    for (at, name) in names.iter().enumerate() {
        let (mean, sd) = varied.z.moments[at];
        let [rate, leave_a, leave_b] = [0, 1, 2].map(|part| coefficient(part, at));
        let values = [rate, leave_a, leave_b].map(|one| one.value);
        covariates
            .push(Covariate::new(name.clone(), (mean, sd), values).map_err(|fault| unsealable(&fault))?);
        told.push(CovariateReport { name: name.clone(), mean, sd, rate, leave_a, leave_b });
    }
    let [r, alpha, a, b] = [0, 1, 2, 3].map(|at| ends[at].value);
    let statistic = (2.0 * (found.log_likelihood - without.log_likelihood)).max(0.0);
    let freedom = 3 * width;
    Ok(Moved {
        bg_nbd: BgNbd::new(r, alpha, a, b).map_err(|fault| unsealable(&fault))?,
        parameters: [0, 1, 2, 3].map(|at| ends[at]),
        log_likelihood: found.log_likelihood,
        covariates,
        report: CovariatesReport {
            covariates: told,
            log_likelihood_without: without.log_likelihood,
            likelihood_ratio: statistic,
            degrees_of_freedom: freedom,
            p_value: upper_tail(freedom, statistic),
        },
    })
}
