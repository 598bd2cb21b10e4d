//! Who was treated, and with what probability: one number, a logged column, or what the features tell.

use serde::Serialize;

use super::Design;
use super::crossfit::{CLIP, count_share_trees, shares};
use super::error::{RefusalCode, Refused};
use super::trial::Trial;
use crate::metrics::{self, Estimate};
use nextbest_models::units::Seed;

/// Features that tell the arms apart by more standard errors than this speak against a random draw.
const TELLING: f64 = 3.0;
/// From this share of rows beyond the clip on, arms do not overlap.
const MOST_CLIPPED: f64 = 0.5;

/// P(treated | x), as estimators take it.
#[derive(Clone, Debug)]
pub(super) enum Assignment {
    /// The same for every row.
    Constant(f64),
    /// As logged, row by row.
    Logged(Vec<f64>),
    /// Estimated by so many trees, grown on other rows.
    Estimated(usize),
}

/// Where probabilities of treatment come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// The share of treated rows.
    Constant,
    /// A column of the table.
    Column,
    /// Boosted trees, cross-fitted and held inside 0.01 to 0.99.
    Estimated,
}

/// How far the two arms hold the same kind of rows: probabilities of treatment.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// The least.
    pub least: f64,
    /// The largest.
    pub largest: f64,
    /// 5 and 95 of 100 treated rows lie below.
    pub treated: (f64, f64),
    /// 5 and 95 of 100 control rows lie below.
    pub control: (f64, f64),
    /// Rows below 0.01 or above 0.99; where estimated, they are held there.
    pub n_extreme: usize,
}

/// Who was treated, as it is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AssignmentReport {
    /// Where the probabilities come from.
    pub basis: Basis,
    /// Out of fold, how well features tell treated from control rows: 0.5 where treatment was drawn at random. None
    /// where nobody asked.
    pub auc: Option<Estimate>,
    /// The probabilities.
    pub overlap: Overlap,
}

/// Settles who was treated with what probability; refuses arms that do not overlap.
pub(super) fn settle(
    trial: &Trial,
    design: Design,
    seed: Seed,
) -> Result<(Assignment, AssignmentReport), Refused> {
    let share = trial.n_treated() as f64 / trial.len() as f64;
    let told = |basis, auc, shares: &[f64]| AssignmentReport { basis, auc, overlap: overlap(trial, shares) };
    if let Some(logged) = &trial.probability {
        return Ok((Assignment::Logged(logged.clone()), told(Basis::Column, None, logged)));
    }
    let constant = |auc| {
        let shares = vec![share; trial.len()];
        (Assignment::Constant(share), told(Basis::Constant, auc, &shares))
    };
    if design == Design::Randomised {
        return Ok(constant(None));
    }
    let n_trees = count_share_trees(trial, seed)?;
    let estimated = shares(trial, n_trees, seed)?;
    let auc = metrics::auc(&estimated, &trial.treated);
    let telling = auc.is_some_and(|auc| auc.value - 0.5 > TELLING * auc.se);
    if design == Design::Auto && !telling {
        return Ok(constant(auc));
    }
    let report = told(Basis::Estimated, auc, &estimated);
    let n_extreme = report.overlap.n_extreme;
    if n_extreme as f64 > MOST_CLIPPED * trial.len() as f64 {
        let reason = format!(
            "the features tell treated from control rows so well that {n_extreme} of {} rows have a probability of \
             treatment below {CLIP} or above {}: the arms have no rows in common to compare (AUC {:.3})",
            trial.len(),
            1.0 - CLIP,
            auc.map_or(0.5, |auc| auc.value)
        );
        return Err(Refused::Because(RefusalCode::NoOverlap, reason));
    }
    Ok((Assignment::Estimated(n_trees), report))
}

fn overlap(trial: &Trial, shares: &[f64]) -> Overlap {
    let arm = |treated: bool| {
        let mut arm: Vec<f64> =
            shares.iter().zip(&trial.treated).filter(|(_, t)| **t == treated).map(|(e, _)| *e).collect();
        arm.sort_by(f64::total_cmp);
        let at = |part: f64| arm[((arm.len() - 1) as f64 * part).round() as usize];
        (at(0.05), at(0.95))
    };
    let (least, largest) =
        shares.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &e| (low.min(e), high.max(e)));
    let n_extreme = shares.iter().filter(|e| !(CLIP..=1.0 - CLIP).contains(*e)).count();
    Overlap { least, largest, treated: arm(true), control: arm(false), n_extreme }
}
