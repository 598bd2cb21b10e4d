//! What is known of a row without its own outcome: the nuisances of uplift, told by trees grown on other rows.
//!
//! For every fold, its rows are told by trees grown on all other folds, and those other rows, on which effects are then
//! learned, by trees grown on other parts of themselves: an outcome of the fold that is judged has no say in anything
//! it is judged by (but in how many trees are grown, one number each).

use nextbest_models::units::{Probability, Seed};
use rayon::prelude::*;

use super::assignment::Assignment;
use super::trial::Trial;
use crate::learner::hessboost_trees::quantity::{Budget, Loss, Quantities, grow, n_trees};
use crate::learner::{Fitted, LearnError};

/// Parts among the rows that effects are learned on.
const N_PARTS: u32 = 4;
/// Part held out when trees are counted, of so many.
const N_COUNTING: u32 = 4;
/// Estimated probabilities of treatment are held this far from 0 and 1.
pub(super) const CLIP: f64 = 0.01;

/// For some rows of a trial, in their order: P(outcome | x, arm), and P(treated | x).
#[derive(Clone, Debug, Default)]
pub(super) struct Nuisances {
    pub(super) treated: Vec<f64>,
    pub(super) control: Vec<f64>,
    pub(super) share: Vec<f64>,
}

impl Nuisances {
    /// The doubly robust pseudo-outcome of row `rows[at]` (see `learners`); its mean is the average effect (AIPW:
    /// Robins, Rotnitzky & Zhao 1994).
    pub(super) fn pseudo(&self, trial: &Trial, rows: &[usize], at: usize) -> f64 {
        let (y, e) = (trial.y(rows[at]), self.share[at]);
        let (m1, m0) = (self.treated[at], self.control[at]);
        let off = if trial.treated[rows[at]] { (y - m1) / e } else { -(y - m0) / (1.0 - e) };
        m1 - m0 + off
    }

    /// Every row by trees grown on the other parts of `rows`.
    pub(super) fn across_parts(
        trial: &Trial,
        rows: &[usize],
        assignment: &Assignment,
        trees: &OutcomeTrees,
    ) -> Result<Self, LearnError> {
        let parts = trial.parts(rows, N_PARTS, Seed(trees.seed.0 ^ 0x5eed));
        let mut all = Self {
            treated: vec![0.0; rows.len()],
            control: vec![0.0; rows.len()],
            share: vec![0.0; rows.len()],
        };
        for part in 0..N_PARTS {
            let (places, others): (Vec<usize>, Vec<usize>) =
                (0..rows.len()).partition(|&at| parts[at] == part);
            let pick = |places: &[usize]| places.iter().map(|&at| rows[at]).collect::<Vec<_>>();
            let told = Self::asked(trial, &pick(&others), &pick(&places), assignment, trees)?;
            for (from, &at) in places.iter().enumerate() {
                all.treated[at] = told.treated[from];
                all.control[at] = told.control[from];
                all.share[at] = told.share[from];
            }
        }
        Ok(all)
    }

    /// The rows `asked` by trees grown on `grown`.
    pub(super) fn asked(
        trial: &Trial,
        grown: &[usize],
        asked: &[usize],
        assignment: &Assignment,
        trees: &OutcomeTrees,
    ) -> Result<Self, LearnError> {
        let features: Vec<&[f64]> = asked.iter().map(|&row| trial.dataset.row(row)).collect();
        let share = match assignment {
            Assignment::Constant(share) => vec![*share; asked.len()],
            Assignment::Logged(shares) => asked.iter().map(|&row| shares[row]).collect(),
            Assignment::Estimated(n_trees) => {
                let margins = share_trees(trial, grown, *n_trees, trees.seed)?.margins(&features)?;
                let clipped = |margin| Probability::from_log_odds(margin).get().clamp(CLIP, 1.0 - CLIP);
                margins.into_iter().map(clipped).collect()
            }
        };
        let arm = |treated| -> Result<Vec<f64>, LearnError> {
            let told = trees.grow(trial, grown, treated)?.margins(&features)?;
            // Squared loss knows no bounds.
            Ok(told.into_iter().map(|mean| mean.clamp(0.0, 1.0)).collect())
        };
        Ok(Self { treated: arm(true)?, control: arm(false)?, share })
    }
}

/// How trees of the outcome are grown in either arm.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutcomeTrees {
    /// Trees of the treated and the control arm.
    n_trees: [usize; 2],
    pub(super) seed: Seed,
}

impl OutcomeTrees {
    /// Counts, once for all folds, the trees that each arm takes.
    pub(super) fn settle(trial: &Trial, seed: Seed) -> Result<Self, LearnError> {
        let count = |treated: bool| {
            let rows = trial.arm(&(0..trial.len()).collect::<Vec<_>>(), treated);
            let target = |row: usize| trial.y(row);
            count(trial, &rows, &target, Loss::Squared, outcome_budget(rows.len(), seed))
        };
        let (treated, control) = rayon::join(|| count(true), || count(false));
        Ok(Self { n_trees: [treated?, control?], seed })
    }

    /// Trees of the outcome on those of `rows` in one arm; margins are probabilities.
    pub(super) fn grow(
        &self,
        trial: &Trial,
        rows: &[usize],
        treated: bool,
    ) -> Result<Box<dyn Fitted>, LearnError> {
        let rows = trial.arm(rows, treated);
        let targets: Vec<f64> = rows.iter().map(|&row| trial.y(row)).collect();
        let budget =
            Budget { n_trees: self.n_trees[usize::from(!treated)], ..outcome_budget(rows.len(), self.seed) };
        let of = Quantities { dataset: &trial.dataset, rows: &rows, targets: &targets, loss: Loss::Squared };
        grow(&of, budget)
    }
}

fn outcome_budget(n_rows: usize, seed: Seed) -> Budget {
    let min_rows = (n_rows as f64 / 200.0).clamp(5.0, 100.0);
    Budget { n_trees: 300, depth: 3, rate: 0.05, min_rows, seed }
}

fn share_budget(seed: Seed) -> Budget {
    Budget { n_trees: 400, depth: 4, rate: 0.1, min_rows: 1.0, seed }
}

/// Trees of who is treated.
fn share_trees(
    trial: &Trial,
    rows: &[usize],
    n_trees: usize,
    seed: Seed,
) -> Result<Box<dyn Fitted>, LearnError> {
    let targets: Vec<f64> = rows.iter().map(|&row| trial.t(row)).collect();
    let of = Quantities { dataset: &trial.dataset, rows, targets: &targets, loss: Loss::Logistic };
    grow(&of, Budget { n_trees, ..share_budget(seed) })
}

/// The trees that telling who is treated takes.
pub(super) fn count_share_trees(trial: &Trial, seed: Seed) -> Result<usize, LearnError> {
    let rows: Vec<usize> = (0..trial.len()).collect();
    count(trial, &rows, &|row| trial.t(row), Loss::Logistic, share_budget(seed))
}

/// P(treated | x) of every row, by trees grown on other folds, unclipped.
pub(super) fn shares(trial: &Trial, n_trees: usize, seed: Seed) -> Result<Vec<f64>, LearnError> {
    let of_fold = |fold: u32| -> Result<(Vec<usize>, Vec<f64>), LearnError> {
        let (asked, grown) = trial.split(fold);
        let features: Vec<&[f64]> = asked.iter().map(|&row| trial.dataset.row(row)).collect();
        let margins = share_trees(trial, &grown, n_trees, seed)?.margins(&features)?;
        let shares = margins.into_iter().map(|margin| Probability::from_log_odds(margin).get());
        Ok((asked, shares.collect()))
    };
    let folds: Result<Vec<_>, LearnError> = (0..trial.n_folds).into_par_iter().map(of_fold).collect();
    let mut all = vec![0.0; trial.len()];
    for (rows, shares) in folds? {
        rows.into_iter().zip(shares).for_each(|(row, share)| all[row] = share);
    }
    Ok(all)
}

/// How many trees tell a fourth of `rows` best when grown on the others.
fn count(
    trial: &Trial,
    rows: &[usize],
    target: &dyn Fn(usize) -> f64,
    loss: Loss,
    budget: Budget,
) -> Result<usize, LearnError> {
    let parts = trial.parts(rows, N_COUNTING, Seed(budget.seed.0 ^ 0xc0de));
    let pick = |wanted: bool| -> (Vec<usize>, Vec<f64>) {
        let those = rows.iter().zip(&parts).filter(|(_, part)| (**part == 0) == wanted);
        those.map(|(&row, _)| (row, target(row))).unzip()
    };
    let ((ask, asked), (grow, grown)) = (pick(true), pick(false));
    let of = |rows, targets| Quantities { dataset: &trial.dataset, rows, targets, loss };
    if ask.is_empty() || grow.is_empty() {
        return Ok(1);
    }
    n_trees(&of(&grow, &grown), &of(&ask, &asked), budget)
}
