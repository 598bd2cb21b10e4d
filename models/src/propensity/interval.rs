//! How far a probability can be off: a band around the calibration, sealed as numbers.
//!
//! At some margins (knots) the artifact holds a lower and an upper confidence bound for the share of outcomes among rows
//! of that margin. That share does not fall as the margin grows, so between two knots the lower bound of the one below
//! and the upper bound of the one above hold as well. Checked once at open, infallible after. How the bounds are found,
//! and what they cover, is said where they are fitted.

use crate::units::Probability;

/// A band of lower and upper bounds by margin.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbabilityInterval {
    level: f64,
    knots: Vec<Knot>,
}

/// The bounds at one margin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knot {
    /// Log-odds before calibration.
    pub margin: f64,
    /// Lower bound, in 0 ..= 1.
    pub lo: f64,
    /// Upper bound, in 0 ..= 1.
    pub hi: f64,
}

/// Why numbers are no [`ProbabilityInterval`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum IntervalError {
    /// Not a level and at least one knot of three numbers.
    #[error("{0} numbers are not a level and whole knots")]
    Length(usize),
    /// Not finite, not ascending, or outside 0 ..= 1.
    #[error("interval number {at} ({value}) is not finite, not ascending or not in 0 ..= 1")]
    Value {
        /// Which number, from 0.
        at: usize,
        /// Its value.
        value: f64,
    },
}

impl ProbabilityInterval {
    /// A band that covers with probability `level` (between 0 and 1); `knots` ascend strictly in their margins.
    pub fn new(level: f64, knots: &[Knot]) -> Result<Self, IntervalError> {
        let knots_flat = knots.iter().flat_map(|knot| [knot.margin, knot.lo, knot.hi]);
        Self::from_numbers(&[level].into_iter().chain(knots_flat).collect::<Vec<_>>())
    }

    /// The probability with which the band covers, between 0 and 1.
    #[must_use]
    pub const fn level(&self) -> f64 {
        self.level
    }

    /// The interval at `margin` (log-odds), widened to hold the calibrated `probability` itself.
    #[must_use]
    pub fn around(&self, margin: f64, probability: Probability) -> (Probability, Probability) {
        let above = self.knots.partition_point(|knot| knot.margin <= margin);
        let lo = above.checked_sub(1).and_then(|at| self.knots.get(at)).map_or(0.0, |knot| knot.lo);
        // A knot at the margin itself bounds it from both sides.
        let from = self.knots.partition_point(|knot| knot.margin < margin);
        let hi = self.knots.get(from).map_or(1.0, |knot| knot.hi);
        let bounded = |bound: f64| Probability::new(bound).unwrap_or(probability);
        (bounded(lo.min(probability.get())), bounded(hi.max(probability.get())))
    }

    /// The numbers as sealed: the level, then margin, lower and upper bound of each knot.
    #[must_use]
    pub fn to_numbers(&self) -> Vec<f64> {
        let knots = self.knots.iter().flat_map(|knot| [knot.margin, knot.lo, knot.hi]);
        [self.level].into_iter().chain(knots).collect()
    }

    /// The inverse of [`Self::to_numbers`], checked.
    pub fn from_numbers(numbers: &[f64]) -> Result<Self, IntervalError> {
        let [level, ref flat @ ..] = *numbers else { return Err(IntervalError::Length(0)) };
        if flat.is_empty() || flat.len() % 3 != 0 {
            return Err(IntervalError::Length(numbers.len()));
        }
        if level.is_nan() || level <= 0.0 || level >= 1.0 {
            return Err(IntervalError::Value { at: 0, value: level });
        }
        let mut before = f64::NEG_INFINITY;
        for (at, &value) in flat.iter().enumerate() {
            let sound = match at % 3 {
                0 => value.is_finite() && value > std::mem::replace(&mut before, value),
                _ => (0.0..=1.0).contains(&value),
            };
            if !sound {
                return Err(IntervalError::Value { at: at + 1, value });
            }
        }
        let knot = |three: &[f64]| match *three {
            [margin, lo, hi] => Some(Knot { margin, lo, hi }),
            _ => None,
        };
        Ok(Self { level, knots: flat.chunks_exact(3).filter_map(knot).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_between_knots_and_open_outside() {
        let band = ProbabilityInterval::from_numbers(&[0.9, -1.0, 0.1, 0.3, 1.0, 0.4, 0.6]).unwrap();
        let at = |margin: f64, p: f64| {
            let (lo, hi) = band.around(margin, Probability::new(p).unwrap());
            (lo.get(), hi.get())
        };
        assert_eq!(at(-2.0, 0.2), (0.0, 0.3));
        assert_eq!(at(-1.0, 0.2), (0.1, 0.3));
        assert_eq!(at(0.0, 0.3), (0.1, 0.6));
        assert_eq!(at(1.0, 0.5), (0.4, 0.6));
        assert_eq!(at(2.0, 0.5), (0.4, 1.0));
        assert_eq!(at(0.0, 0.7), (0.1, 0.7), "the probability itself is never outside");
        assert_eq!(ProbabilityInterval::from_numbers(&band.to_numbers()), Ok(band));
    }

    #[test]
    fn numbers_that_are_no_interval_are_named() {
        let refused = |numbers: &[f64]| ProbabilityInterval::from_numbers(numbers).unwrap_err();
        assert_eq!(refused(&[]), IntervalError::Length(0));
        assert_eq!(refused(&[0.9]), IntervalError::Length(1));
        assert_eq!(refused(&[1.0, 0.0, 0.1, 0.2]), IntervalError::Value { at: 0, value: 1.0 });
        assert_eq!(refused(&[0.9, 0.0, 0.1, 1.2]), IntervalError::Value { at: 3, value: 1.2 });
        assert_eq!(
            refused(&[0.9, 0.0, 0.1, 0.2, 0.0, 0.1, 0.2]),
            IntervalError::Value { at: 4, value: 0.0 },
            "margins ascend"
        );
    }
}
