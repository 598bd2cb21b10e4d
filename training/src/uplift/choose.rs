//! Which learner tells effects best, judged on rows that had no say in it.
//!
//! The loss of an effect `f` is the mean of `(pseudo - f(x))^2` over rows out of fold. Given x, pseudo-outcomes have
//! the effect as their mean (doubly robust: see `learners`), so the loss is least at the true effect, up to a constant
//! that all candidates share (Nie & Wager 2021; Schuler et al. 2018 compare such criteria). Each candidate is
//! calibrated by the line through the other folds' rows first, so that none loses for saying everything too loudly (two
//! numbers, fitted to raw scores whose trees did see the fold). Of those that cannot be told from the best by one
//! standard error of the paired difference the simplest is taken; the constant effect is a candidate like any other.

use nextbest_models::uplift::UpliftCalibration;
use serde::Serialize;

use super::Choice;
use super::curve::Ranking;
use super::learners::Method;
use super::line;
use crate::elasticity::Interval;
use crate::metrics::{self, Estimate};
use crate::selection::choice::simplest_of_equals;

/// A candidate, judged out of fold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpliftCandidate {
    /// What tells the effect.
    pub method: Method,
    /// How much lower its loss is than that of the constant effect, with the standard error of the paired difference.
    pub gain: Estimate,
    /// How much higher its loss is than the least.
    pub behind: Estimate,
    /// Its Qini coefficient.
    pub qini: Interval,
    /// Whether it is the one that is sealed.
    pub chosen: bool,
}

/// A candidate's answers out of fold.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) method: Method,
    /// Raw scores; of the constant effect all 0.
    pub(super) raw: Vec<f64>,
    /// Uplift by the line of the other folds.
    pub(super) values: Vec<f64>,
    losses: Vec<f64>,
}

impl Contender {
    pub(super) fn new(method: Method, raw: Vec<f64>, pseudo: &[f64], folds: (&[u32], u32)) -> Self {
        let (fold_of_row, n_folds) = folds;
        let mut values = vec![0.0; raw.len()];
        for fold in 0..n_folds {
            let others = (0..raw.len()).filter(|&row| fold_of_row[row] != fold);
            let (s, psi): (Vec<f64>, Vec<f64>) = others.map(|row| (raw[row], pseudo[row])).unzip();
            let line: UpliftCalibration = line::fit(&s, &psi);
            (0..raw.len())
                .filter(|&row| fold_of_row[row] == fold)
                .for_each(|row| values[row] = line.apply(raw[row]).value);
        }
        let losses = values.iter().zip(pseudo).map(|(value, psi)| (psi - value).powi(2)).collect();
        Self { method, raw, values, losses }
    }
}

/// The number of the contender to seal, and what is told of all. They stand in the order of simplicity, the constant
/// effect first; one that `wanted` names is taken whatever it is worth.
pub(super) fn choose(
    contenders: &[Contender],
    pseudo: &[f64],
    folds: &[u32],
    wanted: Choice,
) -> (usize, Vec<UpliftCandidate>) {
    let losses: Vec<Option<&[f64]>> = contenders.iter().map(|one| Some(one.losses.as_slice())).collect();
    // There is always the constant effect.
    let choice = simplest_of_equals(&losses);
    let of_rule = choice.as_ref().map_or(0, |choice| choice.chosen);
    let least = |one: &&Contender| metrics::mean(&one.losses).value;
    let best = contenders.iter().skip(1).min_by(|a, b| least(a).total_cmp(&least(b)));
    let wanted = match wanted {
        Choice::Auto => None,
        Choice::Best => best.map(|one| one.method),
        Choice::Only(method) => Some(method),
    };
    let chosen = wanted.and_then(|method| contenders.iter().position(|one| one.method == method));
    let chosen = chosen.unwrap_or(of_rule);
    let nothing = Estimate { value: 0.0, se: 0.0 };
    let told = contenders.iter().enumerate().map(|(at, one)| {
        let gains = contenders[0].losses.iter().zip(&one.losses).map(|(constant, loss)| constant - loss);
        UpliftCandidate {
            method: one.method,
            gain: metrics::mean(&gains.collect::<Vec<f64>>()),
            behind: choice.as_ref().and_then(|choice| choice.behind[at]).unwrap_or(nothing),
            qini: Ranking::of(&one.values, pseudo, folds).qini,
            chosen: at == chosen,
        }
    });
    (chosen, told.collect())
}
