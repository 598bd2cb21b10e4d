//! Exact decimal numbers, from the text in a file to integer minor units.
//!
//! No float takes part, so 0.1 + 0.2 is 0.3 and 2.675 stands exactly between 2.67 and 2.68. Where a product has more
//! places than the currency, it is rounded once, half to even (IEEE 754 roundTiesToEven, bankers' rounding).

use std::cmp::Ordering;

/// Most digits of a number in a file; the product of two such numbers fits 128 bits.
pub(crate) const MAX_DIGITS: usize = 18;

/// `mantissa` / 10^`scale`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    mantissa: i128,
    scale: u32,
}

/// Why a text is no [`Decimal`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecimalError {
    /// Letters, two points, nothing.
    #[error("is no decimal number")]
    Syntax,
    /// More than [`MAX_DIGITS`].
    #[error("has more than {MAX_DIGITS} digits")]
    TooLong,
}

impl Decimal {
    /// Reads `-1,234.50` with `decimal_mark` between whole and fraction; the other of `.` and `,` may group
    /// thousands in threes. An exponent (`1e-05`, as floats are printed) is taken too.
    pub(crate) fn parse(text: &str, decimal_mark: char) -> Result<Self, DecimalError> {
        let (digits, exponent) = match text.split_once(['e', 'E']) {
            Some((digits, exponent)) => (digits, exponent.parse::<i32>().map_err(|_| DecimalError::Syntax)?),
            None => (text, 0),
        };
        let (negative, digits) = match digits.as_bytes().first() {
            Some(b'-') => (true, &digits[1..]),
            Some(b'+') => (false, &digits[1..]),
            _ => (false, digits),
        };
        let (whole, fraction) = digits.split_once(decimal_mark).unwrap_or((digits, ""));
        let group = if decimal_mark == ',' { '.' } else { ',' };
        check_groups(whole, group)?;
        let mut mantissa: i128 = 0;
        let mut n_digits = 0;
        for digit in whole.chars().filter(|&c| c != group).chain(fraction.chars()) {
            let value = digit.to_digit(10).ok_or(DecimalError::Syntax)?;
            n_digits += usize::from(mantissa != 0 || value != 0);
            if n_digits > MAX_DIGITS {
                return Err(DecimalError::TooLong);
            }
            mantissa = mantissa * 10 + i128::from(value);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(DecimalError::Syntax);
        }
        let places = i32::try_from(fraction.len()).map_err(|_| DecimalError::TooLong)?;
        let mantissa = if negative { -mantissa } else { mantissa };
        Self { mantissa, scale: 0 }.shifted(places.saturating_sub(exponent))
    }

    /// Divided by 10^`places`; negative places multiply.
    fn shifted(self, places: i32) -> Result<Self, DecimalError> {
        let too_long = |_| DecimalError::TooLong;
        if self.mantissa == 0 {
            return Ok(Self { mantissa: 0, scale: 0 });
        }
        let limit = 2 * u32::try_from(MAX_DIGITS).map_err(too_long)?;
        if places.unsigned_abs() > limit {
            return Err(DecimalError::TooLong);
        }
        match u32::try_from(places) {
            Ok(scale) => Ok(Self { mantissa: self.mantissa, scale }),
            Err(_) => {
                let factor = 10_i128.checked_pow(places.unsigned_abs()).ok_or(DecimalError::TooLong)?;
                let mantissa = self.mantissa.checked_mul(factor).ok_or(DecimalError::TooLong)?;
                if mantissa.unsigned_abs() >= 10_u128.pow(18) {
                    return Err(DecimalError::TooLong);
                }
                Ok(Self { mantissa, scale: 0 })
            }
        }
    }

    /// Without its sign.
    pub(crate) fn abs(self) -> Self {
        Self { mantissa: self.mantissa.abs(), ..self }
    }

    pub(crate) fn is_negative(self) -> bool {
        self.mantissa < 0
    }

    /// The whole number it is, or `None` if it has a fraction or does not fit.
    pub(crate) fn to_i64(self) -> Option<i64> {
        let unit = 10_i128.checked_pow(self.scale)?;
        if self.mantissa % unit != 0 {
            return None;
        }
        i64::try_from(self.mantissa / unit).ok()
    }

    /// This times `factor`, exactly.
    pub(crate) fn times(self, factor: i64) -> Option<Self> {
        Some(Self { mantissa: self.mantissa.checked_mul(i128::from(factor))?, scale: self.scale })
    }

    /// In hundredths, rounded half to even; `None` beyond 64 bits.
    pub(crate) fn to_minor(self) -> Option<i64> {
        let hundredfold = self.mantissa.checked_mul(100)?;
        let Some(unit) = 10_i128.checked_pow(self.scale) else { return Some(0) };
        i64::try_from(divide_half_even(hundredfold, unit)).ok()
    }

    /// How it compares to `other`.
    pub(crate) fn compare(self, other: Self) -> Ordering {
        let (sign, other_sign) = (self.mantissa.signum(), other.mantissa.signum());
        if sign != other_sign || sign == 0 {
            return sign.cmp(&other_sign);
        }
        // Same sign: align the smaller scale; where that overflows, the one that was multiplied is the larger.
        let gap = self.scale.abs_diff(other.scale);
        let factor = 10_i128.checked_pow(gap);
        let aligned = |mantissa: i128| factor.and_then(|factor| mantissa.checked_mul(factor));
        let (left, right) = if self.scale < other.scale {
            (aligned(self.mantissa), Some(other.mantissa))
        } else {
            (Some(self.mantissa), aligned(other.mantissa))
        };
        match (left, right) {
            (Some(left), Some(right)) => left.cmp(&right),
            (None, _) => sign.cmp(&0),
            (_, None) => 0.cmp(&sign),
        }
    }
}

/// `a` / `b` for positive `b`, rounded half to even.
pub(crate) fn divide_half_even(a: i128, b: i128) -> i128 {
    let (quotient, remainder) = (a.div_euclid(b), a.rem_euclid(b));
    match (remainder * 2).cmp(&b) {
        Ordering::Less => quotient,
        Ordering::Greater => quotient + 1,
        Ordering::Equal => quotient + quotient.rem_euclid(2),
    }
}

/// Groups, where there are any, must be of three digits behind a first of one to three.
fn check_groups(whole: &str, group: char) -> Result<(), DecimalError> {
    let mut parts = whole.split(group);
    let first = parts.next().unwrap_or_default();
    let mut rest = parts.peekable();
    if rest.peek().is_some() && !(1..=3).contains(&first.len()) {
        return Err(DecimalError::Syntax);
    }
    if rest.all(|part| part.len() == 3) { Ok(()) } else { Err(DecimalError::Syntax) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minor(text: &str) -> Option<i64> {
        Decimal::parse(text, '.').ok()?.to_minor()
    }

    #[test]
    fn ties_go_to_the_even_neighbour_and_nothing_else_moves() {
        let cases = [
            ("2.675", 268),
            ("2.665", 266),
            ("2.6650001", 267),
            ("-2.675", -268),
            ("-2.665", -266),
            ("0.005", 0),
            ("0.015", 2),
            ("1.005", 100),
            ("11062.06", 1_106_206),
            ("0.001", 0),
            ("1,234.5", 123_450),
            ("7", 700),
            (".5", 50),
            ("5.", 500),
            ("+3", 300),
            ("1e-05", 0),
            ("1.5e3", 150_000),
            ("-0", 0),
            ("0e99", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(minor(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", ".", "1.2.3", "12a", "1,23", ",123", "1e", "nan", "inf", "0x1", "١", "1234,567"]
        {
            assert!(Decimal::parse(text, '.').is_err(), "{text}");
        }
        assert_eq!(Decimal::parse("1234567890123456789", '.').err(), Some(DecimalError::TooLong));
        assert_eq!(Decimal::parse("1e18", '.').err(), Some(DecimalError::TooLong));
        assert_eq!(Decimal::parse("1.234,56", ',').unwrap().to_minor(), Some(123_456));
    }

    #[test]
    fn whole_numbers_may_carry_an_empty_fraction() {
        let whole = |text| Decimal::parse(text, '.').unwrap().to_i64();
        assert_eq!((whole("6.0"), whole("-6"), whole("6.5")), (Some(6), Some(-6), None));
    }

    proptest! {
        /// Against integers: a number of hundredths written with two places is itself.
        #[test]
        fn hundredths_read_back(amount in -10_i64.pow(17)..10_i64.pow(17)) {
            let sign = if amount < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", amount.abs() / 100, amount.abs() % 100);
            prop_assert_eq!(minor(&text), Some(amount));
        }

        /// quantity x price is exact: a thousandth times q, in hundredths, is q/10 rounded half to even.
        #[test]
        fn products_are_rounded_once(price in 0_i64..100_000, quantity in 0_i64..1_000_000) {
            let unit = Decimal::parse(&format!("{}.{:03}", price / 1000, price % 1000), '.').unwrap();
            let tenths = price * quantity;
            let (down, rest) = (tenths / 10, tenths % 10);
            let expected = down + i64::from(rest > 5 || (rest == 5 && down % 2 == 1));
            prop_assert_eq!(unit.times(quantity).unwrap().to_minor(), Some(expected));
        }

        #[test]
        fn comparison_agrees_with_integers(a in -10_000_i64..10_000, b in -10_000_i64..10_000, places in 0..6_u32) {
            let factor = 10_i64.pow(places);
            let longer = format!("{}{}.{:0width$}", if b < 0 { "-" } else { "" }, b.abs() / factor, b.abs() % factor, width = places as usize);
            let left = Decimal::parse(&(a.to_string()), '.').unwrap();
            let right = Decimal::parse(longer.trim_end_matches('.'), '.').unwrap();
            if places > 0 {
                prop_assert_eq!(left.compare(right), (a * factor).cmp(&b));
                prop_assert_eq!(right.compare(left), b.cmp(&(a * factor)));
            }
        }
    }
}
