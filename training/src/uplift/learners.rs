//! Learners of the effect, given what is known of outcomes without it. All are sums of boosted trees with squared loss,
//! so each seals into one additive scorer whose margin is a difference of probabilities.
//!
//! With `m1(x)`, `m0(x)` the probability of the outcome with and without treatment, `e(x)` that of treatment, y the
//! outcome and t the treatment of a row:
//! - **T** (two models): `m1 - m0`. Errors of the two add up.
//! - **X** (Künzel, Sekhon, Bickel & Yu 2019, PNAS 116): trees of `y - m0(x)` on treated rows and of `m1(x) - y` on
//!   control rows, weighed by the share of control and of treated rows: the effect is learned for itself, and a large
//!   arm helps a small one.
//! - **DR** (Kennedy 2020, arXiv:2004.14497): trees of `m1 - m0 + t (y - m1) / e - (1 - t) (y - m0) / (1 - e)`, whose
//!   mean given x is the effect if either the `m` or `e` is right.
//!
//! `m` and `e` of a row come from trees that did not see it. Effects are small beside the noise of single outcomes:
//! trees of an effect are shallow, slow, few, and of large leaves. All assume that nothing but the features moved
//! treatment and outcome together (with a randomised treatment nothing did), and that a row's treatment touches no
//! other row.

use nextbest_models::artifact::SealedScorer;
use nextbest_models::units::Seed;
use nextbest_models::uplift::ANSWERED;
use serde::Serialize;

use super::crossfit::{Nuisances, OutcomeTrees};
use super::trial::Trial;
use crate::learner::hessboost_trees::quantity::{Budget, Loss, Quantities, grow};
use crate::learner::{Fitted, LearnError};

/// What tells the effect of a row; the simplest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The same effect for everybody.
    Constant,
    /// That, but for who will answer (`answered`).
    Answered,
    /// Doubly robust pseudo-outcomes: one ensemble.
    Dr,
    /// Two models of the outcome.
    T,
    /// Imputed effects by arm.
    X,
}

impl Method {
    /// Those that learn, the simplest first.
    pub const LEARNERS: [Self; 3] = [Self::Dr, Self::T, Self::X];

    /// In artifacts and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Answered => ANSWERED,
            Self::Dr => "dr_learner",
            Self::T => "t_learner",
            Self::X => "x_learner",
        }
    }
}

/// A fitted effect: a weighed sum of trees.
pub(super) struct Effect {
    terms: Vec<(f64, Box<dyn Fitted>)>,
}

impl Effect {
    /// The raw effect of each of `rows`.
    pub(super) fn of(&self, rows: &[&[f64]]) -> Result<Vec<f64>, LearnError> {
        let mut sum = vec![0.0; rows.len()];
        for (weight, fitted) in &self.terms {
            sum.iter_mut().zip(fitted.margins(rows)?).for_each(|(sum, margin)| *sum += weight * margin);
        }
        Ok(sum)
    }

    /// The form that scores without the library.
    pub(super) fn seal(&self) -> Result<SealedScorer, LearnError> {
        let members: Result<Vec<_>, LearnError> =
            self.terms.iter().map(|(weight, fitted)| Ok((*weight, fitted.seal()?))).collect();
        let mut members = members?;
        if let [(weight, _)] = members.as_slice()
            && *weight == 1.0
        {
            return Ok(members.swap_remove(0).1);
        }
        let failed =
            |error: &dyn ToString| LearnError::Library { learner: "uplift", message: error.to_string() };
        SealedScorer::blend(0.0, members).map_err(|error| failed(&error))
    }
}

/// Fits `method` on `rows` of `trial`; `nuisances` holds one entry for each of them.
pub(super) fn fit(
    method: Method,
    trial: &Trial,
    rows: &[usize],
    nuisances: &Nuisances,
    outcome_trees: &OutcomeTrees,
) -> Result<Effect, LearnError> {
    let seed = outcome_trees.seed;
    let terms = match method {
        Method::Constant | Method::Answered => Vec::new(),
        Method::T => vec![
            (1.0, outcome_trees.grow(trial, rows, true)?),
            (-1.0, outcome_trees.grow(trial, rows, false)?),
        ],
        Method::Dr => {
            let targets: Vec<f64> = (0..rows.len()).map(|at| nuisances.pseudo(trial, rows, at)).collect();
            vec![(1.0, trees(trial, rows, &targets, seed)?)]
        }
        Method::X => {
            let share = rows.iter().map(|&row| trial.t(row)).sum::<f64>() / rows.len() as f64;
            let of_arm = |treated: bool| {
                let arm = (0..rows.len()).filter(|&at| trial.treated[rows[at]] == treated);
                let imputed = arm.map(|at| {
                    let y = trial.y(rows[at]);
                    (rows[at], if treated { y - nuisances.control[at] } else { nuisances.treated[at] - y })
                });
                let (rows, targets): (Vec<usize>, Vec<f64>) = imputed.unzip();
                trees(trial, &rows, &targets, seed)
            };
            vec![(1.0 - share, of_arm(true)?), (share, of_arm(false)?)]
        }
    };
    Ok(Effect { terms })
}

/// Trees of an effect.
fn trees(trial: &Trial, rows: &[usize], targets: &[f64], seed: Seed) -> Result<Box<dyn Fitted>, LearnError> {
    // A leaf holds a twenty-fifth of all rows, within bounds: an effect of a tenth of an outcome's deviation takes some
    // hundred rows to be seen at all.
    let n = rows.len() as f64;
    let min_rows = (n / 25.0).clamp((n / 8.0).min(100.0), 2_000.0);
    let budget = Budget { n_trees: 120, depth: 2, rate: 0.03, min_rows, seed };
    grow(&Quantities { dataset: &trial.dataset, rows, targets, loss: Loss::Squared }, budget)
}
