//! From a model's margin to a probability that means what it says.
//!
//! A calibration is a non-decreasing map from log-odds to probability, fitted on rows the model did not see.
//! Sealed as a plain list of numbers; checked once at open, infallible after.

use serde::{Deserialize, Serialize};

use crate::units::Probability;

/// A non-decreasing map from margin (log-odds) to probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum Calibration {
    /// The logistic function of the margin itself.
    Identity,
    /// `1 / (1 + exp(-(slope * margin + intercept)))` (Platt 1999; Lin, Lin & Weng 2007), `slope > 0`.
    Platt {
        /// Factor on the margin.
        slope: f64,
        /// Added after.
        intercept: f64,
    },
    /// Straight lines between knots, flat outside (isotonic regression, Zadrozny & Elkan 2002).
    Isotonic {
        /// Margins, strictly ascending.
        margins: Vec<f64>,
        /// Probabilities, non-decreasing, one per margin.
        probabilities: Vec<f64>,
    },
}

/// Why numbers are no [`Calibration`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// A method this version does not know.
    #[error("calibration method {0} is not known")]
    Method(f64),
    /// The wrong count of numbers.
    #[error("calibration has {0} numbers, which is too few or not in pairs")]
    Length(usize),
    /// Not finite, not ascending, or outside 0 ..= 1.
    #[error("calibration number {at} ({value}) is not finite, not ascending or not in its bounds")]
    Value {
        /// Which number, from 0.
        at: usize,
        /// Its value.
        value: f64,
    },
}

impl Calibration {
    /// The probability at `margin` (log-odds; finite).
    #[must_use]
    pub fn apply(&self, margin: f64) -> Probability {
        match self {
            Self::Identity => Probability::from_log_odds(margin),
            Self::Platt { slope, intercept } => Probability::from_log_odds(slope * margin + intercept),
            Self::Isotonic { margins, probabilities } => interpolate(margins, probabilities, margin),
        }
    }

    /// A short name for reports: `identity`, `platt`, `isotonic`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Platt { .. } => "platt",
            Self::Isotonic { .. } => "isotonic",
        }
    }

    /// The numbers as sealed: the method (0, 1, 2), then its parameters.
    #[must_use]
    pub fn to_numbers(&self) -> Vec<f64> {
        match self {
            Self::Identity => vec![0.0],
            Self::Platt { slope, intercept } => vec![1.0, *slope, *intercept],
            Self::Isotonic { margins, probabilities } => {
                let mut numbers = vec![2.0];
                margins.iter().zip(probabilities).for_each(|(&x, &y)| numbers.extend([x, y]));
                numbers
            }
        }
    }

    /// The inverse of [`Self::to_numbers`], checked.
    pub fn from_numbers(numbers: &[f64]) -> Result<Self, CalibrationError> {
        if let Some(at) = numbers.iter().position(|number| !number.is_finite()) {
            return Err(CalibrationError::Value { at, value: numbers[at] });
        }
        match *numbers {
            [0.0] => Ok(Self::Identity),
            [1.0, slope, intercept] if slope > 0.0 && slope < 1e6 && intercept.abs() < 1e6 => {
                Ok(Self::Platt { slope, intercept })
            }
            [1.0, slope, _] => Err(CalibrationError::Value { at: 1, value: slope }),
            [2.0, ref pairs @ ..] if pairs.len() >= 2 && pairs.len() % 2 == 0 => isotonic(pairs),
            [method, ..] if method != 0.0 && method != 1.0 && method != 2.0 => {
                Err(CalibrationError::Method(method))
            }
            _ => Err(CalibrationError::Length(numbers.len())),
        }
    }
}

fn isotonic(pairs: &[f64]) -> Result<Calibration, CalibrationError> {
    let margins: Vec<f64> = pairs.iter().step_by(2).copied().collect();
    let probabilities: Vec<f64> = pairs.iter().skip(1).step_by(2).copied().collect();
    for at in 0..margins.len() {
        let rises = at == 0 || margins[at] > margins[at - 1] && probabilities[at] >= probabilities[at - 1];
        if !rises || !(0.0..=1.0).contains(&probabilities[at]) || margins[at].abs() > 1e6 {
            return Err(CalibrationError::Value { at: 1 + 2 * at, value: margins[at] });
        }
    }
    Ok(Calibration::Isotonic { margins, probabilities })
}

fn interpolate(margins: &[f64], probabilities: &[f64], margin: f64) -> Probability {
    let above = margins.partition_point(|&knot| knot <= margin);
    let value = match (above.checked_sub(1), probabilities.get(above)) {
        (None, first) => first.copied().unwrap_or(0.0),
        (Some(below), None) => probabilities.get(below).copied().unwrap_or(0.0),
        (Some(below), Some(&high)) => {
            let (low, width) = (probabilities[below], margins[above] - margins[below]);
            low + (high - low) * ((margin - margins[below]) / width)
        }
    };
    Probability::new(value.clamp(0.0, 1.0)).unwrap_or(Probability::from_log_odds(f64::NEG_INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_that_are_no_calibration_are_named() {
        assert_eq!(Calibration::from_numbers(&[]), Err(CalibrationError::Length(0)));
        assert_eq!(Calibration::from_numbers(&[7.0]), Err(CalibrationError::Method(7.0)));
        assert!(Calibration::from_numbers(&[1.0, -1.0, 0.0]).is_err());
        assert!(Calibration::from_numbers(&[2.0, 0.0, 0.5, 0.0, 0.6]).is_err(), "margins must ascend");
        assert!(
            Calibration::from_numbers(&[2.0, 0.0, 0.5, 1.0, 0.4]).is_err(),
            "probabilities must not fall"
        );
        assert!(Calibration::from_numbers(&[2.0, 0.0, 0.5, 1.0, 1.1]).is_err());
    }

    #[test]
    fn isotonic_is_flat_outside_and_straight_between() {
        let map = Calibration::from_numbers(&[2.0, -1.0, 0.2, 1.0, 0.6]).unwrap();
        for (margin, expected) in [(-9.0, 0.2), (-1.0, 0.2), (0.0, 0.4), (1.0, 0.6), (9.0, 0.6)] {
            assert!((map.apply(margin).get() - expected).abs() < 1e-15, "{margin}");
        }
    }

    proptest! {
        #[test]
        fn calibration_never_falls(a in -20.0..20.0f64, step in 0.0..5.0f64, slope in 0.01..5.0f64, shift in -3.0..3.0f64) {
            let knots = vec![2.0, -2.0, 0.1, 0.0, 0.1, 0.5, 0.7];
            for map in [
                Calibration::Identity,
                Calibration::Platt { slope, intercept: shift },
                Calibration::from_numbers(&knots).unwrap(),
            ] {
                prop_assert!(map.apply(a + step).get() >= map.apply(a).get());
                prop_assert_eq!(Calibration::from_numbers(&map.to_numbers()).unwrap(), map);
            }
        }
    }
}
