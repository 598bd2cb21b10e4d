//! The one place where this crate reads a clock or draws randomness.
//!
//! A request reads the time once, here, and passes it down as a value; so a test, a replay or a demo on data of
//! years ago only needs another [`Clock`]. Ids, keys and retry jitter draw from the operating system's generator.
//! Nothing else in the crate may ask for the time or for random bytes.

use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nextbest_models::units::Timestamp;

/// Where the time of a request comes from.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Copy, Debug)]
enum Source {
    System,
    Shifted { offset_ms: i64 },
    Fixed(Timestamp),
}

/// The operating system had no random bytes to give.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no random bytes from the operating system: {0}")]
pub struct NoEntropy(String);

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub const fn system() -> Self {
        Self { source: Source::System }
    }

    /// A clock that shows `start` now and runs on from there: demos on data that ends years ago.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        Self { source: Source::Shifted { offset_ms: start.as_millis() - system_millis() } }
    }

    /// A clock that stands still at `at`: tests.
    #[must_use]
    pub const fn fixed(at: Timestamp) -> Self {
        Self { source: Source::Fixed(at) }
    }

    /// The time now, in UTC milliseconds.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.source {
            Source::System => instant(system_millis()),
            Source::Shifted { offset_ms } => instant(system_millis().saturating_add(offset_ms)),
            Source::Fixed(at) => at,
        }
    }
}

/// A start of a duration, from the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this module is the room where clocks are read")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Whole microseconds since the start.
    #[must_use]
    pub fn elapsed_us(&self) -> u64 {
        u64::try_from(self.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// The time since the start.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// `N` random bytes.
#[expect(clippy::disallowed_methods, reason = "this module is the room where randomness is drawn")]
pub fn random_bytes<const N: usize>() -> Result<[u8; N], NoEntropy> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| NoEntropy(e.to_string()))?;
    Ok(bytes)
}

/// A new id: `prefix`, an underscore and 128 random bits in hex. Nothing may be read out of it.
pub fn new_id(prefix: &str) -> Result<String, NoEntropy> {
    let mut id = String::with_capacity(prefix.len() + 33);
    id.push_str(prefix);
    id.push('_');
    for byte in random_bytes::<16>()? {
        let _infallible = write!(id, "{byte:02x}");
    }
    Ok(id)
}

/// A random share of `bound`, for retry jitter; the whole of it where there is no randomness.
#[must_use]
pub fn random_share(bound: Duration) -> Duration {
    match random_bytes::<4>() {
        Ok(bytes) => bound.mul_f64(f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)),
        Err(_) => bound,
    }
}

#[expect(clippy::disallowed_methods, reason = "this module is the room where clocks are read")]
fn system_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn instant(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis.clamp(Timestamp::MIN.as_millis(), Timestamp::MAX.as_millis()))
        .unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shifted_clock_starts_where_it_is_told_and_a_fixed_one_stays() {
        let start: Timestamp = "2011-12-09T00:00:00Z".parse().unwrap();
        assert_eq!(Clock::fixed(start).now(), start);
        let shown = Clock::starting_at(start).now();
        assert!(shown >= start && shown < start.plus_days(1), "{shown}");
    }

    #[test]
    fn ids_are_fresh_and_jitter_is_bounded() {
        assert_ne!(new_id("dec").unwrap(), new_id("dec").unwrap());
        let bound = Duration::from_millis(20);
        assert!((0..100).all(|_| random_share(bound) <= bound));
    }
}
