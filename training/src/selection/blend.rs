//! A blend: a weighted sum of candidates' log-odds, with weights that are never negative.
//!
//! Weights and intercept minimise the log-loss of rows that no member saw. What the blend would lose on new rows is
//! measured with weights fitted without the row's fold; the weights that are sealed are fitted on all rows.

use std::sync::Arc;

use nextbest_models::artifact::SealedScorer;
use nextbest_models::units::Probability;

use crate::learner::{Fitted, LearnError, ScorerForm};

/// Pull of the weights towards equal ones, in rows: settles what log-loss leaves open where members nearly agree.
const PULL: f64 = 1.0;
/// Most Newton steps.
const MAX_STEPS: usize = 50;

/// Intercept and one weight per member.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Weights {
    pub(super) intercept: f64,
    pub(super) members: Vec<f64>,
}

impl Weights {
    /// Minimises `-sum log p(y_i) + PULL / 2 * sum (w_m - 1/M)^2` over w >= 0 and a free intercept, where the log-odds
    /// of row i are `intercept + sum w_m z_mi`; `members[m][i]` is z_mi. By Bertsekas' projected Newton method (1982).
    pub(super) fn fit(members: &[&[f64]], outcomes: &[bool]) -> Self {
        let equal = 1.0 / members.len().max(1) as f64;
        // The intercept stands last.
        let mut point = vec![equal; members.len()];
        point.push(0.0);
        let mut loss = loss_at(members, outcomes, &point);
        for _ in 0..MAX_STEPS {
            let (gradient, hessian) = derivatives(members, outcomes, &point);
            // A weight at its bound that would go below stays there and is left out of the step.
            let free: Vec<usize> = (0..point.len())
                .filter(|&m| m == members.len() || point[m] > 0.0 || gradient[m] < 0.0)
                .collect();
            let Some(step) = newton_step(&free, &gradient, &hessian) else { break };
            let mut length = 1.0;
            let moved = loop {
                let mut next = point.clone();
                free.iter().zip(&step).for_each(|(&m, step)| next[m] -= length * step);
                next[..members.len()].iter_mut().for_each(|weight| *weight = weight.max(0.0));
                let reached = loss_at(members, outcomes, &next);
                if reached < loss {
                    let gain = loss - reached;
                    (point, loss) = (next, reached);
                    break gain > 1e-12 * loss;
                }
                length *= 0.5;
                if length < 1e-9 {
                    break false;
                }
            };
            if !moved {
                break;
            }
        }
        let intercept = point.pop().unwrap_or(0.0);
        Self { intercept, members: point }
    }

    /// The blended log-odds of each row.
    pub(super) fn apply(&self, members: &[&[f64]], row: usize) -> f64 {
        let weighted = self.members.iter().zip(members).map(|(weight, margins)| weight * margins[row]);
        self.intercept + weighted.sum::<f64>()
    }
}

/// The blended log-odds of each row with weights fitted without the row's fold.
pub(super) fn cross_fitted(members: &[&[f64]], outcomes: &[bool], folds: &[u32]) -> Vec<f64> {
    let mut distinct = folds.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let mut blended = vec![0.0; outcomes.len()];
    for fold in distinct {
        let kept: Vec<usize> = (0..folds.len()).filter(|&at| folds[at] != fold).collect();
        let pick = |margins: &&[f64]| -> Vec<f64> { kept.iter().map(|&at| margins[at]).collect() };
        let kept_margins: Vec<Vec<f64>> = members.iter().map(pick).collect();
        let kept_outcomes: Vec<bool> = kept.iter().map(|&at| outcomes[at]).collect();
        let views: Vec<&[f64]> = kept_margins.iter().map(Vec::as_slice).collect();
        let weights = Weights::fit(&views, &kept_outcomes);
        let out = (0..folds.len()).filter(|&at| folds[at] == fold);
        out.for_each(|at| blended[at] = weights.apply(members, at));
    }
    blended
}

fn margin(members: &[&[f64]], point: &[f64], row: usize) -> f64 {
    members.iter().zip(point).map(|(margins, weight)| weight * margins[row]).sum::<f64>()
        + point[members.len()]
}

fn pull(point: &[f64], n_members: usize) -> impl Iterator<Item = f64> + '_ {
    point[..n_members].iter().map(move |weight| weight - 1.0 / n_members as f64)
}

fn loss_at(members: &[&[f64]], outcomes: &[bool], point: &[f64]) -> f64 {
    let of = |(row, &outcome): (usize, &bool)| {
        let margin = margin(members, point, row);
        let signed = if outcome { margin } else { -margin };
        // log(1 + exp(-s)), without overflow.
        (-signed).max(0.0) + (-signed.abs()).exp().ln_1p()
    };
    let penalty = pull(point, members.len()).map(|off| off * off).sum::<f64>();
    outcomes.iter().enumerate().map(of).sum::<f64>() + 0.5 * PULL * penalty
}

fn derivatives(members: &[&[f64]], outcomes: &[bool], point: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = point.len();
    let (mut gradient, mut hessian) = (vec![0.0; n], vec![vec![0.0; n]; n]);
    let mut z = vec![1.0; n];
    for (row, &outcome) in outcomes.iter().enumerate() {
        z.iter_mut().zip(members).for_each(|(z, margins)| *z = margins[row]);
        let p = Probability::from_log_odds(margin(members, point, row)).get();
        let residual = p - f64::from(u8::from(outcome));
        for i in 0..n {
            gradient[i] += residual * z[i];
            (0..n).for_each(|j| hessian[i][j] += p * (1.0 - p) * z[i] * z[j]);
        }
    }
    for (m, off) in pull(point, members.len()).enumerate() {
        gradient[m] += PULL * off;
        hessian[m][m] += PULL;
    }
    (gradient, hessian)
}

/// `H^-1 g` over the free coordinates, by elimination; `None` where a pivot vanishes.
fn newton_step(free: &[usize], gradient: &[f64], hessian: &[Vec<f64>]) -> Option<Vec<f64>> {
    let n = free.len();
    let mut rows: Vec<Vec<f64>> =
        free.iter().map(|&i| free.iter().map(|&j| hessian[i][j]).chain([gradient[i]]).collect()).collect();
    for at in 0..n {
        let pivot = rows[at][at];
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        let row = rows[at].clone();
        for (_, below) in rows.iter_mut().enumerate().filter(|(other, _)| *other != at) {
            let factor = below[at] / pivot;
            below.iter_mut().zip(&row).for_each(|(b, a)| *b -= factor * a);
        }
    }
    Some((0..n).map(|at| rows[at][n] / rows[at][at]).collect())
}

/// Fitted members with their weights: itself something fitted.
pub(super) struct Blended {
    pub(super) intercept: f64,
    pub(super) members: Vec<(f64, Arc<dyn Fitted>)>,
}

impl Fitted for Blended {
    fn margins(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
        let mut sums = vec![self.intercept; rows.len()];
        for (weight, member) in &self.members {
            let margins = member.margins(rows)?;
            sums.iter_mut().zip(margins).for_each(|(sum, margin)| *sum += weight * margin);
        }
        Ok(sums)
    }

    fn seal(&self) -> Result<SealedScorer, LearnError> {
        let sealed = self.members.iter().map(|(weight, member)| Ok((*weight, member.seal()?)));
        let sealed: Vec<(f64, SealedScorer)> = sealed.collect::<Result<_, LearnError>>()?;
        SealedScorer::blend(self.intercept, sealed)
            .map_err(|error| LearnError::Library { learner: super::BLEND, message: error.to_string() })
    }

    fn form(&self) -> ScorerForm {
        ScorerForm::Additive
    }

    fn notes(&self) -> Vec<String> {
        self.members.iter().flat_map(|(_, member)| member.notes()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Three margins, of which the outcome follows .7, .5 and 0 times.
    fn drawn(n: usize, seed: u64) -> (Vec<Vec<f64>>, Vec<bool>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut members = vec![Vec::new(); 3];
        let mut outcomes = Vec::new();
        for _ in 0..n {
            let z: [f64; 3] = std::array::from_fn(|_| rng.random_range(-2.0..2.0));
            outcomes.push(rng.random_bool(Probability::from_log_odds(0.7 * z[0] + 0.5 * z[1] - 0.3).get()));
            members.iter_mut().zip(z).for_each(|(margins, z)| margins.push(z));
        }
        (members, outcomes)
    }

    #[test]
    fn weights_find_the_truth() {
        let (members, outcomes) = drawn(20_000, 1);
        let views: Vec<&[f64]> = members.iter().map(Vec::as_slice).collect();
        let found = Weights::fit(&views, &outcomes);
        // Information per row about a weight: E[p (1 - p) z^2] >= .19 * E[z^2] = .19 * 4/3: standard error at most
        // 1 / sqrt(20,000 * .25) = .014; four of them. The pull is one row of 20,000.
        for (weight, truth) in found.members.iter().zip([0.7, 0.5, 0.0]) {
            assert!((weight - truth).abs() < 0.056 && *weight >= 0.0, "{found:?}");
        }
        assert!((found.intercept + 0.3).abs() < 0.064, "{found:?}");
    }

    #[test]
    fn a_member_that_misleads_gets_nothing() {
        let (mut members, outcomes) = drawn(4_000, 2);
        members[2] = members[0].iter().map(|z| -z).collect();
        members.remove(0);
        let views: Vec<&[f64]> = members.iter().map(Vec::as_slice).collect();
        let found = Weights::fit(&views, &outcomes);
        assert_eq!(found.members[1], 0.0);
        let (gradient, _) =
            derivatives(&views, &outcomes, &[found.members[0], found.members[1], found.intercept]);
        // The conditions of an optimum: free coordinates are flat, a bound one would only rise. Newton ends where a step
        // gains less than 1e-12 of a loss near 2,600, at curvatures of at most 4,000 * 1/4 * 4.
        assert!(gradient[0].abs() < 5e-3 && gradient[2].abs() < 5e-3 && gradient[1] > 0.0, "{gradient:?}");
    }

    #[test]
    fn a_rows_own_fold_has_no_say_in_its_blend() {
        let (members, mut outcomes) = drawn(900, 3);
        let views: Vec<&[f64]> = members.iter().map(Vec::as_slice).collect();
        let folds: Vec<u32> = (0..900).map(|row| row % 3).collect();
        let before = cross_fitted(&views, &outcomes, &folds);
        outcomes.iter_mut().step_by(3).for_each(|outcome| *outcome = !*outcome);
        let after = cross_fitted(&views, &outcomes, &folds);
        for row in 0..900 {
            assert_eq!(before[row] == after[row], row % 3 == 0, "{row}");
        }
    }
}
