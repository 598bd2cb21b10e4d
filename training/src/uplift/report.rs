//! What a fit of uplift has to tell.

use nextbest_models::units::Seed;
use nextbest_models::uplift::UpliftCalibration;
use serde::Serialize;

use super::assignment::{AssignmentReport, Basis};
use super::balance::Differing;
use super::choose::UpliftCandidate;
use super::curve::Ranking;
use super::effect::{Arm, AverageEffect, interval};
use super::learners::Method;
use crate::elasticity::Interval;
use crate::table::{ColumnReport, SplitReport, SuspectedLeak};

/// Why there is no ranking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoRanking {
    /// No learner can be told from one effect for everybody.
    ConstantEffect,
}

/// The line from raw scores to uplift.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LineReport {
    /// Uplift per unit of raw score: 1 where raw scores say what comes true, 0 where their differences are noise.
    pub slope: Interval,
    /// Standard deviation of groups' effects about the line, beyond chance; it widens every interval.
    pub misfit: f64,
}

/// All that a fit has to tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpliftReport {
    /// The model's name.
    pub name: String,
    /// The file's name.
    pub table: String,
    /// Its SHA-256, in hex.
    pub table_sha256: String,
    /// The treated arm, as `column=value`.
    pub treated: String,
    /// The control arm.
    pub control: String,
    /// The outcome.
    pub outcome: String,
    /// Rows of the file.
    pub n_rows: u64,
    /// Rows of neither arm, left out.
    pub n_neither: u64,
    /// Rows without an outcome, left out.
    pub n_without_outcome: u64,
    /// Rows used.
    pub n_used: u64,
    /// Treated rows.
    pub treated_arm: Arm,
    /// Control rows.
    pub control_arm: Arm,
    /// Who was treated.
    pub assignment: AssignmentReport,
    /// The average effect.
    pub effect: AverageEffect,
    /// What is sealed.
    pub learner: Method,
    /// Every candidate, out of fold.
    pub candidates: Vec<UpliftCandidate>,
    /// From raw scores to uplift; none of a constant effect.
    pub line: Option<LineReport>,
    /// What predicted uplift is worth, out of fold; none of a constant effect.
    pub ranking: Option<Ranking>,
    /// Why there is none.
    pub code: Option<NoRanking>,
    /// Every column, in the file's order.
    pub columns: Vec<ColumnReport>,
    /// Columns that may know the outcome; those not kept by name are left out.
    pub suspected_leaks: Vec<SuspectedLeak>,
    /// Columns that differ between the arms although treatment was drawn at random.
    pub differing: Vec<Differing>,
    /// How rows were split.
    pub split: SplitReport,
    /// Of every random choice.
    pub seed: Seed,
    /// SHA-256 of the schema that the artifact reads tables by.
    pub schema_fingerprint: String,
    /// SHA-256 of the artifact.
    pub artifact_sha256: String,
    /// What to do next.
    pub next: String,
}

impl LineReport {
    pub(super) fn of(line: &UpliftCalibration) -> Self {
        Self { slope: interval(line.slope, line.slope_variance.sqrt()), misfit: line.misfit.sqrt() }
    }
}

/// What a reader should do next.
pub(super) fn next(learner: Method, effect: &AverageEffect, basis: Basis, differing: &[Differing]) -> String {
    let told = match (learner, effect.adjusted) {
        _ if !differing.is_empty() && basis == Basis::Constant => {
            "First look at the columns that differ between the arms: drop those known only after the treatment, and fit again."
        }
        _ if basis == Basis::Estimated => {
            "Treatment was not drawn at random: drop columns known only after it, and do not forget what moved both it and \
             the outcome and is not in the table. Hold a control group out at random before much depends on these numbers."
        }
        (Method::Constant, effect) if effect.lo > 0.0 => {
            "Treat everybody whom it costs less than it brings: nobody can be told for whom it does more."
        }
        (Method::Constant, effect) if effect.hi < 0.0 => "Stop: the treatment keeps the outcome away.",
        (Method::Constant, _) => {
            "Nothing can be told of the treatment: take more rows, or another treatment."
        }
        _ => {
            "Treat those whose uplift is worth more than the treatment costs, the largest first, and keep a control group to \
             see it come true."
        }
    };
    told.to_owned()
}
