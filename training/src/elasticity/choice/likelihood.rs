//! The log-likelihood of choices with its first two derivatives, its top, and what a price does there.

use std::path::Path;

use ndarray::Array2;

use super::ChoiceError;
use super::table::Choices;
use crate::cholesky::Cholesky;

/// Most steps.
const MAX_STEPS: usize = 100;
/// The end: the step promises less than this share of the log-likelihood.
const RELATIVE_GAIN: f64 = 1e-12;
/// A coefficient whose standard error, times how far its attribute reaches, is above this many units of log-odds is not
/// bounded by the data: at a bounded top it is a few units, without one it grows as the square root of the odds.
const UNBOUNDED: f64 = 1e3;

/// Coefficients at the top.
pub(super) struct Fitted {
    pub(super) point: Vec<f64>,
    pub(super) standard_errors: Vec<f64>,
    pub(super) log_likelihood: f64,
}

/// Why there is no top; numbers are parameters.
pub(super) enum NoTop {
    Unidentified(usize),
    Separated(usize),
}

impl NoTop {
    pub(super) fn named(&self, path: &Path, choices: &Choices) -> ChoiceError {
        let path = path.to_owned();
        match self {
            Self::Unidentified(at) => ChoiceError::Unidentified { path, parameter: choices.parameter(*at) },
            Self::Separated(at) => ChoiceError::Separated { path, parameter: choices.parameter(*at) },
        }
    }
}

/// The top, with standard errors.
pub(super) fn fit(choices: &Choices) -> Result<Fitted, NoTop> {
    let (point, reached) = climb(choices)?;
    let inverse = Cholesky::new(reached.information.clone()).map_err(NoTop::Separated)?.inverse();
    let naive: Vec<f64> = (0..point.len()).map(|at| inverse[[at, at]].sqrt()).collect();
    let reach = reach(choices);
    if (0..point.len()).any(|at| naive[at] * reach[at] > UNBOUNDED) {
        // The one that has gone farthest pulls the others along.
        let farthest = (0..point.len())
            .max_by(|&a, &b| (point[a].abs() * reach[a]).total_cmp(&(point[b].abs() * reach[b])));
        return Err(NoTop::Separated(farthest.unwrap_or(0)));
    }
    let standard_errors = match &choices.clusters {
        None => naive,
        Some(clusters) => sandwich(&inverse, &reached.scores, &clusters.of_row, clusters.n),
    };
    Ok(Fitted { point, standard_errors, log_likelihood: reached.log_likelihood })
}

/// Newton's steps from 0, halved where they would fall.
fn climb(choices: &Choices) -> Result<(Vec<f64>, Derivatives), NoTop> {
    let mut point = vec![0.0; choices.n_parameters()];
    let mut reached = Derivatives::at(choices, &point);
    for step in 0..MAX_STEPS {
        let fault = |at| if step == 0 { NoTop::Unidentified(at) } else { NoTop::Separated(at) };
        let direction = Cholesky::new(reached.information.clone()).map_err(fault)?.solve(&reached.gradient);
        let promised: f64 = 0.5 * direction.iter().zip(&reached.gradient).map(|(d, g)| d * g).sum::<f64>();
        let mut length = 1.0;
        loop {
            let next: Vec<f64> = point.iter().zip(&direction).map(|(p, d)| p + length * d).collect();
            let there = Derivatives::at(choices, &next);
            if there.log_likelihood >= reached.log_likelihood || length < 1e-6 {
                (point, reached) = (next, there);
                break;
            }
            length *= 0.5;
        }
        if promised <= RELATIVE_GAIN * reached.log_likelihood.abs().max(f64::MIN_POSITIVE) {
            break;
        }
    }
    Ok((point, reached))
}

/// How far apart alternatives lie in a row at most, by parameter.
fn reach(choices: &Choices) -> Vec<f64> {
    let mut reach = vec![1.0; choices.n_parameters()];
    for (at, reach) in reach.iter_mut().enumerate().take(choices.attributes.len()) {
        let spread = |row: usize| {
            let values = (0..choices.alternatives.len()).map(|j| choices.of(row, j)[at]);
            let (low, high) =
                values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
            high - low
        };
        *reach = (0..choices.n_rows()).map(spread).fold(0.0, f64::max);
    }
    reach
}

/// The design of alternative `j`: what is known of it, then 1 at its constant.
fn regressors(choices: &Choices, row: usize, j: usize) -> Vec<f64> {
    let mut z = choices.of(row, j).to_vec();
    z.resize(choices.n_parameters(), 0.0);
    if j > 0 {
        z[choices.attributes.len() + j - 1] = 1.0;
    }
    z
}

/// Probabilities of the alternatives in row `row`, and the logarithm of the chosen one's.
fn probabilities(choices: &Choices, row: usize, point: &[f64]) -> (Vec<f64>, f64) {
    let constant = |j: usize| if j > 0 { point[choices.attributes.len() + j - 1] } else { 0.0 };
    let value =
        |j: usize| choices.of(row, j).iter().zip(point).map(|(z, b)| z * b).sum::<f64>() + constant(j);
    let values: Vec<f64> = (0..choices.alternatives.len()).map(value).collect();
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = values.iter().map(|value| (value - most).exp()).sum();
    let log = values[choices.chosen[row]] - most - sum.ln();
    (values.iter().map(|value| (value - most).exp() / sum).collect(), log)
}

/// At one point: the log-likelihood, its gradient, minus its Hessian, and every row's part of the gradient.
struct Derivatives {
    log_likelihood: f64,
    gradient: Vec<f64>,
    information: Array2<f64>,
    scores: Vec<Vec<f64>>,
}

impl Derivatives {
    /// `s_i = z_i,chosen - E z_i` and `I = sum_i E (z_i - E z_i)(z_i - E z_i)'`, expectations by the probabilities.
    fn at(choices: &Choices, point: &[f64]) -> Self {
        let k = point.len();
        let mut at = Self {
            log_likelihood: 0.0,
            gradient: vec![0.0; k],
            information: Array2::zeros((k, k)),
            scores: Vec::with_capacity(choices.n_rows()),
        };
        for row in 0..choices.n_rows() {
            let (p, log) = probabilities(choices, row, point);
            at.log_likelihood += log;
            let mut z: Vec<Vec<f64>> = (0..p.len()).map(|j| regressors(choices, row, j)).collect();
            let mean: Vec<f64> = (0..k).map(|c| z.iter().zip(&p).map(|(z, p)| p * z[c]).sum()).collect();
            z.iter_mut().for_each(|z| z.iter_mut().zip(&mean).for_each(|(z, mean)| *z -= mean));
            for (z, p) in z.iter().zip(&p) {
                for a in 0..k {
                    for b in 0..=a {
                        at.information[[a, b]] += p * z[a] * z[b];
                    }
                }
            }
            let score = z.swap_remove(choices.chosen[row]);
            at.gradient.iter_mut().zip(&score).for_each(|(sum, score)| *sum += score);
            at.scores.push(score);
        }
        at
    }
}

/// Standard errors by `H^-1 (sum_g s_g s_g') H^-1 G / (G - 1)`.
fn sandwich(inverse: &Array2<f64>, scores: &[Vec<f64>], cluster_of: &[u32], n_clusters: usize) -> Vec<f64> {
    let k = inverse.nrows();
    let mut sums = Array2::<f64>::zeros((n_clusters, k));
    for (score, cluster) in scores.iter().zip(cluster_of) {
        score.iter().enumerate().for_each(|(at, score)| sums[[*cluster as usize, at]] += score);
    }
    let factor = n_clusters as f64 / (n_clusters as f64 - 1.0);
    let influence = sums.dot(inverse);
    (0..k)
        .map(|at| (factor * influence.column(at).iter().map(|value| value * value).sum::<f64>()).sqrt())
        .collect()
}

/// Row j, column k: the elasticity of j's expected share with respect to k's price.
pub(super) fn elasticities(choices: &Choices, point: &[f64]) -> Vec<Vec<f64>> {
    let n = choices.alternatives.len();
    let (mut sums, mut shares) = (vec![vec![0.0; n]; n], vec![0.0; n]);
    for row in 0..choices.n_rows() {
        let (p, _) = probabilities(choices, row, point);
        for j in 0..n {
            shares[j] += p[j];
            for k in 0..n {
                let same = f64::from(u8::from(j == k));
                sums[j][k] += p[j] * point[0] * choices.of(row, k)[0] * (same - p[k]);
            }
        }
    }
    let divided = sums.iter().zip(&shares).map(|(row, share)| row.iter().map(|sum| sum / share).collect());
    divided.collect()
}
