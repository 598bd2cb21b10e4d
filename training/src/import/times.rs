//! Times in files: from the text and a time zone to an instant.
//!
//! A text with an offset is that instant. A text without one is a clock reading in the source's zone, by the rule of
//! RFC 5545 ("compatible"): a reading that happened twice (clocks set back) is the first of the two; one that never
//! happened (clocks set forward) is read with the offset from before the gap, so 01:30 in a gap of one hour is 02:30.
//! Both are counted by the caller. A date alone is its first midnight. Zones come from the bundled IANA database.

use jiff::civil::DateTime;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use nextbest_models::units::{Timestamp, TimestampError};

/// How the times of one column are read.
#[derive(Clone, Debug)]
pub(crate) struct TimeReader {
    format: TimeFormat,
    zone: TimeZone,
    /// The text read last and what came of it: files are full of runs of the same time.
    last: Option<(String, Instant)>,
}

#[derive(Clone, Debug)]
enum TimeFormat {
    /// RFC 3339, or the same without offset.
    Rfc3339,
    UnixSeconds,
    UnixMillis,
    Strptime(String),
}

/// An instant, and whether the clock reading it came from happened not exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instant {
    pub(crate) at: Timestamp,
    pub(crate) ambiguous: bool,
}

/// Why a text is no time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TimeError {
    #[error("{text:?} is no time of the form {form}: {reason}")]
    Syntax { text: String, form: String, reason: String },
    #[error(transparent)]
    Range(TimestampError),
}

/// A time zone that is not in the database, or a format that no time can be read with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeReaderError {
    /// Not an IANA name.
    #[error("{0:?} is no IANA time zone such as Europe/London")]
    Zone(String),
    /// Not a strptime format.
    #[error("{0:?} is no time format such as %Y-%m-%d %H:%M:%S")]
    Format(String),
}

impl TimeReader {
    /// A reader of `format` (absent: RFC 3339) in the IANA zone `zone`.
    pub(crate) fn new(format: Option<&str>, zone: &str) -> Result<Self, TimeReaderError> {
        let zone = TimeZone::get(zone).map_err(|_| TimeReaderError::Zone(zone.to_owned()))?;
        let format = match format {
            None => TimeFormat::Rfc3339,
            Some("unix_s") => TimeFormat::UnixSeconds,
            Some("unix_ms") => TimeFormat::UnixMillis,
            Some(format) => {
                // A format that cannot print a time cannot read one either.
                let probe = jiff::Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC);
                let printed = strtime::format(format, &probe);
                if !format.contains('%') || printed.is_err() {
                    return Err(TimeReaderError::Format(format.to_owned()));
                }
                TimeFormat::Strptime(format.to_owned())
            }
        };
        Ok(Self { format, zone, last: None })
    }

    /// The instant `text` stands for.
    pub(crate) fn read(&mut self, text: &str) -> Result<Instant, TimeError> {
        if let Some((last, instant)) = &self.last
            && last == text
        {
            return Ok(*instant);
        }
        let instant = self.read_new(text)?;
        self.last = Some((text.to_owned(), instant));
        Ok(instant)
    }

    fn read_new(&self, text: &str) -> Result<Instant, TimeError> {
        match &self.format {
            TimeFormat::UnixSeconds => {
                let seconds: i64 = text.parse().map_err(|e| syntax(text, "unix_s", e))?;
                whole(Timestamp::from_millis(seconds.saturating_mul(1000)))
            }
            TimeFormat::UnixMillis => {
                whole(Timestamp::from_millis(text.parse().map_err(|e| syntax(text, "unix_ms", e))?))
            }
            TimeFormat::Rfc3339 => match text.parse::<jiff::Timestamp>() {
                Ok(instant) => whole(Timestamp::from_millis(instant.as_millisecond())),
                Err(error) => match text.parse::<DateTime>() {
                    Ok(reading) => self.resolve(text, reading),
                    Err(_) => Err(syntax(text, "2026-01-31T09:30:00Z", error)),
                },
            },
            TimeFormat::Strptime(format) => {
                let parts = strtime::parse(format, text).map_err(|e| syntax(text, format, e))?;
                if parts.offset().is_some() {
                    let instant = parts.to_timestamp().map_err(|e| syntax(text, format, e))?;
                    return whole(Timestamp::from_millis(instant.as_millisecond()));
                }
                let reading = match parts.hour() {
                    Some(_) => parts.to_datetime(),
                    None => parts.to_date().map(|date| date.at(0, 0, 0, 0)),
                };
                self.resolve(text, reading.map_err(|e| syntax(text, format, e))?)
            }
        }
    }

    fn resolve(&self, text: &str, reading: DateTime) -> Result<Instant, TimeError> {
        let ambiguous = self.zone.to_ambiguous_timestamp(reading);
        let is_ambiguous = ambiguous.is_ambiguous();
        let instant = ambiguous.compatible().map_err(|_| TimeError::Range(out_of_range(text)))?;
        let at = Timestamp::from_millis(instant.as_millisecond());
        let at = at.map_err(|_| TimeError::Range(out_of_range(text)))?;
        Ok(Instant { at, ambiguous: is_ambiguous })
    }
}

fn syntax(text: &str, form: &str, reason: impl std::fmt::Display) -> TimeError {
    TimeError::Syntax { text: text.to_owned(), form: form.to_owned(), reason: reason.to_string() }
}

fn out_of_range(text: &str) -> TimestampError {
    TimestampError::Range(text.to_owned())
}

fn whole(at: Result<Timestamp, TimestampError>) -> Result<Instant, TimeError> {
    at.map(|at| Instant { at, ambiguous: false }).map_err(TimeError::Range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: Option<&str>, zone: &str, text: &str) -> Result<(String, bool), String> {
        let instant = TimeReader::new(format, zone).unwrap().read(text).map_err(|e| e.to_string())?;
        Ok((instant.at.to_string(), instant.ambiguous))
    }

    const CLOCK: Option<&str> = Some("%Y-%m-%d %H:%M:%S");

    #[test]
    fn a_clock_reading_is_taken_in_its_zone() {
        let at = |text| read(CLOCK, "Europe/London", text).unwrap();
        assert_eq!(at("2010-12-01 08:26:00"), ("2010-12-01T08:26:00Z".into(), false));
        assert_eq!(at("2011-07-01 08:26:00"), ("2011-07-01T07:26:00Z".into(), false));
    }

    #[test]
    fn gaps_go_forward_and_folds_to_the_first() {
        let at = |text| read(CLOCK, "Europe/London", text).unwrap();
        // 2011-03-27 01:00 GMT became 02:00 BST: 01:30 never was; with the offset from before it is 01:30Z = 02:30 BST.
        assert_eq!(at("2011-03-27 01:30:00"), ("2011-03-27T01:30:00Z".into(), true));
        // 2011-10-30 02:00 BST became 01:00 GMT: 01:30 was twice; the first was BST.
        assert_eq!(at("2011-10-30 01:30:00"), ("2011-10-30T00:30:00Z".into(), true));
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(read(Some("%Y%m%d"), "America/New_York", "19970101").unwrap().0, "1997-01-01T05:00:00Z");
        assert_eq!(read(Some("unix_s"), "UTC", "0").unwrap().0, "1970-01-01T00:00:00Z");
        assert_eq!(read(Some("unix_ms"), "UTC", "1500").unwrap().0, "1970-01-01T00:00:01.5Z");
        assert_eq!(read(None, "UTC", "2026-01-31T09:30:00+02:00").unwrap().0, "2026-01-31T07:30:00Z");
        assert_eq!(read(None, "Asia/Tokyo", "2026-01-31 09:30").unwrap().0, "2026-01-31T00:30:00Z");
        let offset = Some("%d/%m/%Y %H:%M %z");
        assert_eq!(read(offset, "UTC", "31/01/2026 09:30 +0100").unwrap().0, "2026-01-31T08:30:00Z");
    }

    #[test]
    fn faults_name_text_and_bound() {
        let fault = read(CLOCK, "UTC", "yesterday").unwrap_err();
        assert!(fault.starts_with("\"yesterday\" is no time of the form %Y-%m-%d %H:%M:%S: "), "{fault}");
        let fault = read(CLOCK, "UTC", "0001-01-01 00:00:00").unwrap_err();
        assert_eq!(fault, "0001-01-01 00:00:00 lies outside the years 1900 to 2199");
        assert!(read(CLOCK, "UTC", "2011-02-30 00:00:00").is_err());
        assert_eq!(
            TimeReader::new(None, "Europe/Londn").err(),
            Some(TimeReaderError::Zone("Europe/Londn".into()))
        );
        assert!(
            TimeReader::new(Some("%Q!%"), "UTC").is_err() && TimeReader::new(Some("ymd"), "UTC").is_err()
        );
    }

    #[test]
    fn a_remembered_text_is_read_the_same() {
        let mut reader = TimeReader::new(CLOCK, "Europe/London").unwrap();
        let first = reader.read("2011-10-30 01:30:00");
        assert_eq!(reader.read("2011-10-30 01:30:00"), first);
        assert_ne!(reader.read("2011-10-30 01:31:00"), first);
    }
}
