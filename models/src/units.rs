//! The units every other room speaks: instants, days, money, probabilities, seeds.
//!
//! Each is checked where it is made and carries its unit in its type, so that a score is never added to a price
//! and a local time never to an instant. Nothing here reads a clock: an instant always comes from an argument.

use std::borrow::Cow;
use std::{fmt, str::FromStr};

use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Milliseconds in a day of the UTC calendar; leap seconds do not exist on this scale.
pub const DAY_MS: i64 = 86_400_000;

/// An instant: milliseconds since 1970-01-01T00:00:00Z, within the years 1900 to 2200.
///
/// The bounds catch the usual accidents (seconds read as milliseconds, an empty date read as year 1) at the door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text or a number is no [`Timestamp`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimestampError {
    /// Not RFC 3339.
    #[error("{0:?} is no RFC 3339 time such as 2026-01-31T09:30:00Z")]
    Syntax(String),
    /// Outside 1900-01-01 ..= 2199-12-31.
    #[error("{0} lies outside the years 1900 to 2199")]
    Range(String),
}

impl Timestamp {
    /// 1900-01-01T00:00:00Z.
    pub const MIN: Self = Self(-2_208_988_800_000);
    /// 2199-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(7_258_118_399_999);

    /// An instant from UTC milliseconds since 1970; an error names a value outside [`Self::MIN`]`..=`[`Self::MAX`].
    pub fn from_millis(millis: i64) -> Result<Self, TimestampError> {
        if (Self::MIN.0..=Self::MAX.0).contains(&millis) {
            Ok(Self(millis))
        } else {
            Err(TimestampError::Range(format!("{millis} ms since 1970")))
        }
    }

    /// UTC milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// The UTC day this instant falls on.
    #[must_use]
    pub fn day(self) -> Day {
        // The bounds keep the quotient far inside i32.
        Day(i32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(i32::MAX))
    }

    /// This instant moved by `days` whole days (negative: earlier), kept within the bounds.
    #[must_use]
    pub fn plus_days(self, days: i32) -> Self {
        self.plus_millis(i64::from(days) * DAY_MS)
    }

    /// This instant moved by `millis`, kept within the bounds.
    #[must_use]
    pub fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis).clamp(Self::MIN.0, Self::MAX.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimestampError::Syntax(text.to_owned()))?;
        Self::from_millis(instant.as_millisecond()).map_err(|_| TimestampError::Range(text.to_owned()))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339: 2026-11-02T08:00:00Z" })
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = Cow::<'de, str>::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            Self::from_millis(i64::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}

/// A day of the UTC calendar, as the number of days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Day(i32);

impl Day {
    /// The day that is `number` days after 1970-01-01.
    #[must_use]
    pub const fn from_number(number: i32) -> Self {
        Self(number)
    }

    /// Days since 1970-01-01.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Its first instant, kept within the bounds of [`Timestamp`].
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp((i64::from(self.0) * DAY_MS).clamp(Timestamp::MIN.0, Timestamp::MAX.0))
    }

    /// The day `days` later (negative: earlier).
    #[must_use]
    pub const fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days))
    }

    /// The first day of the calendar month it lies in, and of the next.
    #[must_use]
    pub fn month(self) -> (Self, Self) {
        let epoch = jiff::civil::date(1970, 1, 1);
        let number = |date: jiff::civil::Date| {
            let days = epoch.until(date).map_or(self.0, |span| span.get_days());
            Self(days)
        };
        let today = epoch.saturating_add(jiff::Span::new().days(self.0));
        let first = today.first_of_month();
        (number(first), number(first.saturating_add(jiff::Span::new().months(1))))
    }

    /// Whole days from `earlier` to this one; negative when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.start().to_string();
        f.write_str(text.split('T').next().unwrap_or(&text))
    }
}

/// An ISO 4217 currency: three capital letters. All currencies are taken to count in hundredths ("minor units").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is no [`Currency`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no currency: three capital letters such as EUR")]
pub struct CurrencyError(String);

impl FromStr for Currency {
    type Err = CurrencyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(code) if code.iter().all(u8::is_ascii_uppercase) => Ok(Self(code)),
            _ => Err(CurrencyError(text.to_owned())),
        }
    }
}

impl Currency {
    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({ "type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217: EUR, GBP, USD" })
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// An amount of money in integer minor units (pence, cents) of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// Minor units: 1999 is 19.99.
    pub amount_minor: i64,
    /// Its currency.
    pub currency: Currency,
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.amount_minor < 0 { "-" } else { "" };
        let minor = self.amount_minor.unsigned_abs();
        write!(f, "{sign}{}.{:02} {}", minor / 100, minor % 100, self.currency)
    }
}

/// A probability: a finite number in 0 ..= 1.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Probability(f64);

/// A number that is no [`Probability`].
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("{0} is no probability: it must lie in 0 ..= 1")]
pub struct ProbabilityError(f64);

impl Probability {
    /// Certainty.
    pub const ONE: Self = Self(1.0);

    /// A probability from a number in 0 ..= 1; NaN and all else is an error that names the value.
    pub fn new(value: f64) -> Result<Self, ProbabilityError> {
        if (0.0..=1.0).contains(&value) { Ok(Self(value)) } else { Err(ProbabilityError(value)) }
    }

    /// The logistic function of `log_odds`: 1 / (1 + exp(-x)). NaN, which no sealed model yields, is taken as 0.
    #[must_use]
    pub fn from_log_odds(log_odds: f64) -> Self {
        Self(1.0 / (1.0 + (-log_odds).exp())).or_zero()
    }

    fn or_zero(self) -> Self {
        if self.0.is_nan() { Self(0.0) } else { self }
    }

    /// The number, in 0 ..= 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Probability {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(f64::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A seed of a deterministic random stream; always an argument, always printed beside what it made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Seed(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_survives_its_text() {
        for text in ["2010-12-01T08:26:00Z", "1969-12-31T23:59:59.999Z", "2199-12-31T23:59:59.999Z"] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_timestamp_names_what_is_wrong() {
        assert_eq!("yesterday".parse::<Timestamp>(), Err(TimestampError::Syntax("yesterday".into())));
        assert!(matches!("0001-01-01T00:00:00Z".parse::<Timestamp>(), Err(TimestampError::Range(_))));
        assert!(matches!(Timestamp::from_millis(i64::MAX), Err(TimestampError::Range(_))));
    }

    #[test]
    fn days_before_1970_round_down() {
        let late: Timestamp = "1969-12-31T23:59:59Z".parse().unwrap();
        assert_eq!(late.day(), Day::from_number(-1));
        assert_eq!(late.day().to_string(), "1969-12-31");
        assert_eq!(late.day().start().to_string(), "1969-12-31T00:00:00Z");
    }

    #[test]
    fn money_reads_as_people_write_it() {
        let currency = "GBP".parse().unwrap();
        assert_eq!(Money { amount_minor: -1205, currency }.to_string(), "-12.05 GBP");
        assert!("gbp".parse::<Currency>().is_err() && "EURO".parse::<Currency>().is_err());
    }

    #[test]
    fn probabilities_are_bounded() {
        assert!(Probability::new(f64::NAN).is_err() && Probability::new(1.0 + f64::EPSILON).is_err());
        assert!((Probability::from_log_odds(0.0).get() - 0.5).abs() < f64::EPSILON);
        assert!((Probability::from_log_odds(-800.0).get() - 0.0).abs() < f64::EPSILON);
    }
}
