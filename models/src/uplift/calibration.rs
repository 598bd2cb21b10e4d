//! From a raw score to an uplift with its interval: a straight line with the errors of its two numbers.
//!
//! `value(s) = effect + slope (s - center)`, `se(s)^2 = v_effect + 2 c (s - center) + v_slope (s - center)^2 + misfit`,
//! and the interval is `value(s)` give or take `quantile` of these. `s` is the raw score, held between the least and
//! the largest raw score of the rows the line was fitted on, so that nothing is said beyond them. `misfit` is the
//! variance by which groups of rows missed the line beyond chance.

use super::{Uplift, UpliftCode};

/// The line and its errors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct UpliftCalibration {
    /// Mean effect, a difference of probabilities.
    pub effect: f64,
    /// Uplift per unit of raw score, at least 0.
    pub slope: f64,
    /// The raw score at which the line gives `effect`.
    pub center: f64,
    /// Variance of `effect`.
    pub effect_variance: f64,
    /// Variance of `slope`.
    pub slope_variance: f64,
    /// Covariance of the two.
    pub covariance: f64,
    /// Variance of the uplift about the line, among groups of rows.
    pub misfit: f64,
    /// Least and largest raw score.
    pub range: (f64, f64),
    /// Standard errors to either end of the interval, above 0.
    pub quantile: f64,
}

/// Why numbers are no [`UpliftCalibration`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    /// Not ten numbers.
    #[error("{0} numbers are not the 10 of an uplift's calibration")]
    Length(usize),
    /// A number outside its bounds.
    #[error("the calibration's {name} is {value}; it is {bound}")]
    Value {
        /// Which.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What it must be.
        bound: &'static str,
    },
}

impl UpliftCalibration {
    /// The same effect for everybody, give or take `quantile` standard errors.
    #[must_use]
    pub const fn constant(effect: f64, se: f64, quantile: f64) -> Self {
        Self {
            effect,
            slope: 0.0,
            center: 0.0,
            effect_variance: se * se,
            slope_variance: 0.0,
            covariance: 0.0,
            misfit: 0.0,
            range: (0.0, 0.0),
            quantile,
        }
    }

    /// The uplift at the raw score `raw`; what is no number counts as the center.
    #[must_use]
    pub fn apply(&self, raw: f64) -> Uplift {
        let raw = if raw.is_nan() { self.center } else { raw.clamp(self.range.0, self.range.1) };
        let from_center = raw - self.center;
        let value = (self.effect + self.slope * from_center).clamp(-1.0, 1.0);
        let variance = self.effect_variance
            + 2.0 * self.covariance * from_center
            + self.slope_variance * from_center * from_center
            + self.misfit;
        // Rounding alone can bring it below 0, since the errors of the two numbers are checked to be possible.
        let reach = self.quantile * variance.max(0.0).sqrt();
        let (lo, hi) = ((value - reach).max(-1.0), (value + reach).min(1.0));
        let code = match () {
            () if lo > 0.0 => UpliftCode::Raises,
            () if hi < 0.0 => UpliftCode::Lowers,
            () => UpliftCode::Undecided,
        };
        Uplift { value, lo, hi, code }
    }

    /// The numbers as sealed.
    #[must_use]
    pub const fn to_numbers(&self) -> [f64; 10] {
        [
            self.effect,
            self.slope,
            self.center,
            self.effect_variance,
            self.slope_variance,
            self.covariance,
            self.misfit,
            self.range.0,
            self.range.1,
            self.quantile,
        ]
    }

    /// The inverse of [`Self::to_numbers`], checked: past it [`Self::apply`] gives finite numbers in -1 ..= 1.
    pub fn from_numbers(numbers: &[f64]) -> Result<Self, CalibrationError> {
        let &[
            effect,
            slope,
            center,
            effect_variance,
            slope_variance,
            covariance,
            misfit,
            low,
            high,
            quantile,
        ] = numbers
        else {
            return Err(CalibrationError::Length(numbers.len()));
        };
        // Bounds under which no product of theirs overflows.
        const LARGE: f64 = 1e12;
        let is_variance = |value: f64| (0.0..=LARGE).contains(&value);
        let possible = covariance * covariance <= effect_variance * slope_variance * (1.0 + 1e-9);
        let checks = [
            ("effect", effect, (-1.0..=1.0).contains(&effect), "in -1 ..= 1"),
            ("slope", slope, (0.0..=LARGE).contains(&slope), "in 0 ..= 1e12"),
            ("variance of the effect", effect_variance, is_variance(effect_variance), "in 0 ..= 1e12"),
            ("variance of the slope", slope_variance, is_variance(slope_variance), "in 0 ..= 1e12"),
            ("covariance", covariance, possible, "at most the root of the product of the variances"),
            ("misfit", misfit, is_variance(misfit), "in 0 ..= 1e12"),
            ("least raw score", low, low.abs() <= LARGE, "in -1e12 ..= 1e12"),
            ("largest raw score", high, high >= low && high <= LARGE, "at least the least, at most 1e12"),
            ("center", center, (low..=high).contains(&center), "between least and largest raw score"),
            ("quantile", quantile, quantile > 0.0 && quantile <= 100.0, "above 0, at most 100"),
        ];
        if let Some(&(name, value, _, bound)) = checks.iter().find(|check| !check.2) {
            return Err(CalibrationError::Value { name, value, bound });
        }
        Ok(Self {
            effect,
            slope,
            center,
            effect_variance,
            slope_variance,
            covariance,
            misfit,
            range: (low, high),
            quantile,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: UpliftCalibration = UpliftCalibration {
        effect: 0.05,
        slope: 0.5,
        center: 0.1,
        effect_variance: 1e-4,
        slope_variance: 0.01,
        covariance: 5e-4,
        misfit: 2e-4,
        range: (-0.3, 0.9),
        quantile: 2.0,
    };

    #[test]
    fn value_and_interval_are_those_by_hand() {
        // 0.2 above the center: 0.05 + 0.5 x 0.2; variance 1e-4 + 2 x 5e-4 x 0.2 + 0.01 x 0.04 + 2e-4 = 9e-4.
        let told = LINE.apply(0.3);
        for (found, by_hand) in [(told.value, 0.15), (told.lo, 0.09), (told.hi, 0.21)] {
            assert!((found - by_hand).abs() < 1e-12, "{told:?}");
        }
        assert_eq!(told.code, UpliftCode::Raises);
        // At the center the variance is 3e-4: 0.05 give or take 0.0346.
        assert_eq!(LINE.apply(0.1).code, UpliftCode::Raises);
        // 0.4 below: value -0.15, variance 1e-4 - 4e-4 + 16e-4 + 2e-4 = 15e-4, so up to -0.0725.
        let least = LINE.apply(-0.3);
        assert!(least.code == UpliftCode::Lowers && (least.hi + 0.15 - 2.0 * 15e-4_f64.sqrt()).abs() < 1e-12);
        assert_eq!(LINE.apply(0.0).code, UpliftCode::Undecided);
    }

    #[test]
    fn nothing_is_said_beyond_the_scores_that_were_seen() {
        assert_eq!(LINE.apply(5.0), LINE.apply(0.9));
        assert_eq!(LINE.apply(f64::NEG_INFINITY), LINE.apply(-0.3));
        assert_eq!(LINE.apply(f64::NAN), LINE.apply(0.1));
        let steep = UpliftCalibration { slope: 50.0, ..LINE };
        let told = steep.apply(0.9);
        assert!(told.value == 1.0 && told.hi == 1.0 && told.lo < 1.0);
        let constant = UpliftCalibration::constant(0.02, 0.005, 2.0);
        assert_eq!(constant.apply(0.7), constant.apply(-3.0));
        assert!((constant.apply(0.0).lo - 0.01).abs() < 1e-12);
    }

    #[test]
    fn numbers_that_are_no_calibration_are_named() {
        assert_eq!(UpliftCalibration::from_numbers(&LINE.to_numbers()), Ok(LINE));
        assert_eq!(UpliftCalibration::from_numbers(&[0.0; 9]), Err(CalibrationError::Length(9)));
        // Place, value, which name must be told.
        for (at, value, name) in [
            (0, 1.5, "effect"),
            (1, -0.1, "slope"),
            (2, 1.0, "center"),
            (3, -1e-9, "variance of the effect"),
            (4, f64::NAN, "variance of the slope"),
            (5, 0.1, "covariance"),
            (6, f64::INFINITY, "misfit"),
            (7, f64::NAN, "least raw score"),
            (8, -0.4, "largest raw score"),
            (9, 0.0, "quantile"),
        ] {
            let mut numbers = LINE.to_numbers();
            numbers[at] = value;
            let fault = UpliftCalibration::from_numbers(&numbers).unwrap_err();
            assert!(matches!(fault, CalibrationError::Value { name: told, .. } if told == name), "{fault}");
        }
    }
}
