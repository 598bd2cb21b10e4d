//! Value learned from what customers brought: a sealed sum of trees over a project's features, for shops whose customers do
//! not buy as the closed form says.
//!
//! The trees tell the margin of the next weeks in units of its mean; [`RealisedLine`] makes of it minor units over the
//! horizon, and tells between what bounds the outcome lies. How both were found, and what the bounds cover, is said where they
//! are fitted. Everything was checked when the artifact was opened: scoring cannot fail.

use std::sync::Arc;

use serde::Serialize;

use crate::artifact::metadata::ModelMetadata;
use crate::propensity::{Scorer, ScorerSummary};

/// The probability with which the intervals of a lifetime value cover what they are of.
pub const VALUE_LEVEL: f64 = 0.9;

/// From which score on an outcome lies between which bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RealisedKnot {
    /// Least score, in units of the mean margin.
    pub from: f64,
    /// Lower bound of the outcome, in the same unit.
    pub lo: f64,
    /// Upper bound.
    pub hi: f64,
}

/// From scores to amounts: `value(s) = unit x stretch x max(s, 0)`, and bounds by bins of `s`.
#[derive(Clone, Debug, PartialEq)]
pub struct RealisedLine {
    level: f64,
    unit_minor: f64,
    stretch: f64,
    knots: Vec<RealisedKnot>,
}

/// Why numbers are no [`RealisedLine`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum RealisedFault {
    /// Not three numbers and at least one knot of three.
    #[error("{0} numbers are not a level, a unit, a stretch and whole knots")]
    Length(usize),
    /// A number outside its bounds.
    #[error("the realised value's {name} is {value}; it is {bound}")]
    Value {
        /// Which.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        bound: &'static str,
    },
}

/// What a customer will bring, with an interval of the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RealisedTold {
    /// Expected discounted margin within the horizon, in minor units, at least 0.
    pub value_minor: f64,
    /// Lower end of the outcome, at most `value_minor`; below 0 where refunds outweigh purchases.
    pub lo_minor: f64,
    /// Upper end, at least `value_minor`.
    pub hi_minor: f64,
}

impl RealisedLine {
    /// Bounds that cover with probability `level`; `unit_minor` the mean margin of the weeks learned from, in minor units;
    /// `stretch` what the horizon is worth in these weeks, 1 where they are the horizon; `knots` ascend strictly.
    pub fn new(
        level: f64,
        unit_minor: f64,
        stretch: f64,
        knots: &[RealisedKnot],
    ) -> Result<Self, RealisedFault> {
        let flat = knots.iter().flat_map(|knot| [knot.from, knot.lo, knot.hi]);
        Self::from_numbers(&[level, unit_minor, stretch].into_iter().chain(flat).collect::<Vec<_>>())
    }

    /// The probability with which bounds cover the outcome, between 0 and 1.
    #[must_use]
    pub const fn level(&self) -> f64 {
        self.level
    }

    /// What the horizon is worth in the weeks learned from.
    #[must_use]
    pub const fn stretch(&self) -> f64 {
        self.stretch
    }

    /// Amounts at the score `raw`; what is no number counts as 0. Scores below the first knot have its bounds, which are
    /// widened to hold the value itself: a mean may lie above nine tenths of the outcomes.
    #[must_use]
    pub fn apply(&self, raw: f64) -> RealisedTold {
        let raw = if raw.is_nan() { 0.0 } else { raw };
        let scale = self.unit_minor * self.stretch;
        let at = self.knots.partition_point(|knot| knot.from <= raw).saturating_sub(1);
        let value = raw.clamp(0.0, LARGE);
        let (lo, hi) = self.knots.get(at).map_or((value, value), |knot| (knot.lo, knot.hi));
        RealisedTold {
            value_minor: scale * value,
            lo_minor: scale * lo.min(value),
            hi_minor: scale * hi.max(value),
        }
    }

    /// The numbers as sealed: level, unit, stretch, then each knot.
    #[must_use]
    pub fn to_numbers(&self) -> Vec<f64> {
        let knots = self.knots.iter().flat_map(|knot| [knot.from, knot.lo, knot.hi]);
        [self.level, self.unit_minor, self.stretch].into_iter().chain(knots).collect()
    }

    /// The inverse of [`Self::to_numbers`], checked: past it [`Self::apply`] gives finite numbers.
    pub fn from_numbers(numbers: &[f64]) -> Result<Self, RealisedFault> {
        let [level, unit_minor, stretch, ref flat @ ..] = *numbers else {
            return Err(RealisedFault::Length(numbers.len()));
        };
        if flat.is_empty() || flat.len() % 3 != 0 {
            return Err(RealisedFault::Length(numbers.len()));
        }
        let knots: Vec<RealisedKnot> = flat
            .chunks_exact(3)
            .map(|three| RealisedKnot { from: three[0], lo: three[1], hi: three[2] })
            .collect();
        let checks = [
            ("level", level, level > 0.0 && level < 1.0, "between 0 and 1"),
            ("unit", unit_minor, unit_minor > 0.0 && unit_minor <= LARGE, "above 0, at most 1e12"),
            ("stretch", stretch, stretch > 0.0 && stretch <= LARGE, "above 0, at most 1e12"),
        ];
        let wrong = checks.iter().find(|check| !check.2);
        if let Some(&(name, value, _, bound)) = wrong {
            return Err(RealisedFault::Value { name, value, bound });
        }
        let mut before = f64::NEG_INFINITY;
        for knot in &knots {
            let checks = [
                (
                    "knot",
                    knot.from,
                    knot.from.abs() <= LARGE && knot.from > before,
                    "ascending, in -1e12 ..= 1e12",
                ),
                ("lower bound", knot.lo, knot.lo.abs() <= LARGE, "in -1e12 ..= 1e12"),
                (
                    "upper bound",
                    knot.hi,
                    knot.hi >= knot.lo && knot.hi <= LARGE,
                    "at least the lower one, at most 1e12",
                ),
            ];
            if let Some(&(name, value, _, bound)) = checks.iter().find(|check| !check.2) {
                return Err(RealisedFault::Value { name, value, bound });
            }
            before = knot.from;
        }
        Ok(Self { level, unit_minor, stretch, knots })
    }
}

/// Bounds under which no product of three overflows.
const LARGE: f64 = 1e12;

/// A sealed model of realised value, ready to score.
#[derive(Clone, Debug)]
pub struct RealisedModel {
    metadata: Arc<ModelMetadata>,
    scorer: Scorer,
    line: RealisedLine,
}

impl RealisedModel {
    pub(crate) const fn new(metadata: Arc<ModelMetadata>, scorer: Scorer, line: RealisedLine) -> Self {
        Self { metadata, scorer, line }
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    /// What is known of how it was made.
    #[must_use]
    pub fn metadata(&self) -> &ModelMetadata {
        &self.metadata
    }

    /// Scores to amounts.
    #[must_use]
    pub const fn line(&self) -> &RealisedLine {
        &self.line
    }

    /// The margin of `row`: the features in the artifact's order, NaN where missing.
    #[must_use]
    pub fn score(&self, row: &[f64]) -> RealisedTold {
        self.line.apply(self.scorer.margin(row))
    }

    /// A short description for `inspect`.
    #[must_use]
    pub fn summary(&self) -> ScorerSummary {
        ScorerSummary::of(&self.scorer, "realised")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> RealisedLine {
        let knots = [
            RealisedKnot { from: 0.1, lo: 0.0, hi: 0.5 },
            RealisedKnot { from: 1.0, lo: 0.2, hi: 3.0 },
            RealisedKnot { from: 2.0, lo: -0.5, hi: 9.0 },
        ];
        RealisedLine::new(0.9, 1_000.0, 2.5, &knots).unwrap()
    }

    #[test]
    fn amounts_are_those_by_hand() {
        let at = |raw: f64| {
            let told = line().apply(raw);
            [told.value_minor, told.lo_minor, told.hi_minor]
        };
        assert_eq!(at(0.2), [500.0, 0.0, 1_250.0]);
        assert_eq!(at(1.0), [2_500.0, 500.0, 7_500.0]);
        assert_eq!(at(4.0), [10_000.0, -1_250.0, 22_500.0]);
        // Below the first knot and below 0; a value beyond its bounds widens them.
        assert_eq!(at(-3.0), [0.0, 0.0, 1_250.0]);
        assert_eq!(at(0.9), [2_250.0, 0.0, 2_250.0]);
        assert_eq!(at(f64::NAN), at(0.0));
        assert!(at(f64::INFINITY).iter().all(|amount| amount.is_finite()));
    }

    #[test]
    fn numbers_that_are_no_line_are_named() {
        assert_eq!(RealisedLine::from_numbers(&line().to_numbers()), Ok(line()));
        for n in [0, 3, 5] {
            assert_eq!(RealisedLine::from_numbers(&vec![0.5; n]), Err(RealisedFault::Length(n)));
        }
        for (at, value, name) in [
            (0, 1.0, "level"),
            (1, 0.0, "unit"),
            (2, f64::NAN, "stretch"),
            (6, 0.1, "knot"),
            (7, f64::NEG_INFINITY, "lower bound"),
            (8, 0.1, "upper bound"),
        ] {
            let mut numbers = line().to_numbers();
            numbers[at] = value;
            let fault = RealisedLine::from_numbers(&numbers).unwrap_err();
            assert!(matches!(fault, RealisedFault::Value { name: told, .. } if told == name), "{fault}");
        }
    }
}
