//! Dates and times as tables write them, read as days since 1970-01-01.
//!
//! A time without offset is taken as UTC: days are measured from each other, and an offset that is the same in every
//! row moves all alike. Years have four digits.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::units::DAY_MS;

/// How the dates of one column are written. A time of day may follow: `14:30` or `14:30:59`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeForm {
    /// `2026-01-31`, with a time behind `T` or a blank, with or without offset (ISO 8601).
    Iso,
    /// `2026/01/31`.
    YearSlash,
    /// `31.01.2026`.
    DayDot,
    /// `31/01/2026`.
    DaySlash,
    /// `01/31/2026`.
    MonthSlash,
}

impl TimeForm {
    /// All forms.
    pub const ALL: [Self; 5] = [Self::Iso, Self::YearSlash, Self::DayDot, Self::DaySlash, Self::MonthSlash];

    /// The form as people write it.
    #[must_use]
    pub const fn pattern(self) -> &'static str {
        match self {
            Self::Iso => "YYYY-MM-DD",
            Self::YearSlash => "YYYY/MM/DD",
            Self::DayDot => "DD.MM.YYYY",
            Self::DaySlash => "DD/MM/YYYY",
            Self::MonthSlash => "MM/DD/YYYY",
        }
    }

    /// Days from 1970-01-01T00:00Z to `text`, the time of day as a fraction; `None` for another form, or a day that
    /// never was.
    #[must_use]
    pub fn days(self, text: &str) -> Option<f64> {
        let reading = match self {
            Self::Iso => return iso(text),
            Self::YearSlash => civil(text, '/', |[year, month, day]| [year, month, day]),
            Self::DayDot => civil(text, '.', |[day, month, year]| [year, month, day]),
            Self::DaySlash => civil(text, '/', |[day, month, year]| [year, month, day]),
            Self::MonthSlash => civil(text, '/', |[month, day, year]| [year, month, day]),
        };
        since_epoch(reading?)
    }
}

fn iso(text: &str) -> Option<f64> {
    // Also keeps out numbers such as 20260131, which a calendar would take.
    if text.as_bytes().get(4) != Some(&b'-') {
        return None;
    }
    let has_offset = text.get(10..).is_some_and(|rest| rest.contains(['Z', 'z', '+', '-']));
    if has_offset {
        let instant: jiff::Timestamp = text.parse().ok()?;
        return Some(instant.as_millisecond() as f64 / DAY_MS as f64);
    }
    since_epoch(text.parse().ok()?)
}

/// A date of three numbers between `separator`s, put into the order year, month, day, and what time follows.
fn civil(text: &str, separator: char, order: fn([&str; 3]) -> [&str; 3]) -> Option<DateTime> {
    let (date, clock) = text.split_once([' ', 'T']).unwrap_or((text, ""));
    let mut parts = date.split(separator);
    let [year, month, day] = order([parts.next()?, parts.next()?, parts.next()?]);
    if parts.next().is_some() || year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    let date =
        Date::new(whole(year)?, i8::try_from(whole(month)?).ok()?, i8::try_from(whole(day)?).ok()?).ok()?;
    let mut clock = clock.split(':').filter(|part| !part.is_empty());
    let mut next = || clock.next().map_or(Some(0), |part| i8::try_from(whole(part)?).ok());
    let (hour, minute, second) = (next()?, next()?, next()?);
    if clock.next().is_some() {
        return None;
    }
    Some(date.to_datetime(jiff::civil::Time::new(hour, minute, second, 0).ok()?))
}

/// Digits and nothing else.
fn whole(text: &str) -> Option<i16> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn since_epoch(reading: DateTime) -> Option<f64> {
    let instant = TimeZone::UTC.to_timestamp(reading).ok()?;
    Some(instant.as_millisecond() as f64 / DAY_MS as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_its_own_days() {
        for (form, text, days) in [
            (TimeForm::Iso, "1970-01-02", 1.0),
            (TimeForm::Iso, "1970-01-02 12:00", 1.5),
            (TimeForm::Iso, "1969-12-31T18:00:00", -0.25),
            (TimeForm::Iso, "1970-01-02T01:00:00+01:00", 1.0),
            (TimeForm::Iso, "1970-01-02T00:00:00Z", 1.0),
            (TimeForm::YearSlash, "1970/01/03", 2.0),
            (TimeForm::DayDot, "03.01.1970", 2.0),
            (TimeForm::DaySlash, "3/1/1970 06:00:00", 2.25),
            (TimeForm::MonthSlash, "1/3/1970", 2.0),
        ] {
            assert_eq!(form.days(text), Some(days), "{form:?} {text}");
        }
    }

    #[test]
    fn what_is_no_date_is_none_in_every_form() {
        for text in [
            "",
            "20260131",
            "2026",
            "2026-02-30",
            "31/31/2026",
            "1/2",
            "1/2/3/4",
            "1/2/26",
            "-1/2/2026",
            "x/y/zzzz",
            "2026-01-31T25:00",
            "01.02.2026 25:00",
            "1/2/2026 1:2:3:4",
            "٣/1/1970",
        ] {
            for form in TimeForm::ALL {
                assert_eq!(form.days(text), None, "{form:?} {text}");
            }
        }
    }
}
