//! Bounded, order-independent memory of one customer: what each measure keeps of the events it saw.
//!
//! Everything is an integer and every update commutes, so any arrival order gives the same bits. Days older than a
//! measure's window plus the allowed lateness are forgotten as the watermark moves; totals are kept for ever. A
//! float never enters here: it would make sums depend on the order in which events arrive.

use serde::{Deserialize, Serialize};

use crate::units::{Day, Timestamp};

/// One day of a [`Daily`] series, net of what was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayTotal {
    /// The UTC day.
    pub day: Day,
    /// Events, less those wholly taken back.
    pub count: i64,
    /// Sum of the measured amount, less what was taken back, in its fixed-point unit.
    pub sum: i128,
}

/// Counts and sums per day, and since ever.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Daily {
    days: Vec<DayTotal>,
    /// Net events since ever.
    pub total_count: i64,
    /// Net sum since ever.
    pub total_sum: i128,
}

impl Daily {
    pub(crate) const fn new() -> Self {
        Self { days: Vec::new(), total_count: 0, total_sum: 0 }
    }

    /// Books `count` events of `sum` on `day`; `remembered` false books them on the totals alone.
    pub(crate) fn book(&mut self, day: Day, count: i64, sum: i128, remembered: bool) {
        self.total_count += count;
        self.total_sum += sum;
        if !remembered {
            return;
        }
        match self.days.binary_search_by_key(&day, |total| total.day) {
            Ok(at) => {
                self.days[at].count += count;
                self.days[at].sum += sum;
            }
            Err(at) => self.days.insert(at, DayTotal { day, count, sum }),
        }
    }

    /// Forgets days before `first`.
    pub(crate) fn forget_before(&mut self, first: Day) {
        let n_old = self.days.partition_point(|total| total.day < first);
        self.days.drain(..n_old);
    }

    /// The remembered days before `first`, ascending.
    #[must_use]
    pub fn before(&self, first: Day) -> &[DayTotal] {
        let n_old = self.days.partition_point(|total| total.day < first);
        self.days.get(..n_old).unwrap_or_default()
    }

    /// The remembered days on which something remains, net, ascending.
    pub fn active_days(&self) -> impl Iterator<Item = Day> {
        self.days.iter().filter(|total| total.count > 0).map(|total| total.day)
    }

    /// The remembered days in `first ..= last`, ascending.
    #[must_use]
    pub fn between(&self, first: Day, last: Day) -> &[DayTotal] {
        let start = self.days.partition_point(|total| total.day < first);
        let end = self.days.partition_point(|total| total.day <= last);
        self.days.get(start..end).unwrap_or_default()
    }

    /// The latest remembered day up to `last` on which something remains, net.
    #[must_use]
    pub fn last_active(&self, last: Day) -> Option<Day> {
        let end = self.days.partition_point(|total| total.day <= last);
        self.days.iter().take(end).rev().find(|total| total.count > 0).map(|total| total.day)
    }
}

/// One (day, key) of a [`Keyed`] series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DayKey {
    /// The UTC day.
    pub day: Day,
    /// [`stable_hash`](crate::customer::stable_hash) of the key.
    pub key: u64,
    /// Events with that key, less those wholly taken back.
    pub count: i64,
}

/// Counts per day and key, of at most [`Keyed::MAX_ENTRIES`] pairs.
///
/// Kept are the greatest pairs by (day, key), an entry that fell to zero included: whatever is among the greatest at
/// the end was among them all along, so its count is whole and no arrival order makes a difference. Beyond the bound
/// a distinct count saturates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keyed {
    entries: Vec<DayKey>,
}

impl Keyed {
    /// Most pairs remembered; at 12 bytes each about 48 kB, well inside a 400 kB item.
    pub const MAX_ENTRIES: usize = 4096;

    pub(crate) fn book(&mut self, day: Day, key: u64, count: i64) {
        match self.entries.binary_search_by_key(&(day, key), |entry| (entry.day, entry.key)) {
            Ok(at) => self.entries[at].count += count,
            Err(at) => {
                self.entries.insert(at, DayKey { day, key, count });
                if self.entries.len() > Self::MAX_ENTRIES {
                    self.entries.remove(0);
                }
            }
        }
    }

    pub(crate) fn forget_before(&mut self, first: Day) {
        let n_old = self.entries.partition_point(|entry| entry.day < first);
        self.entries.drain(..n_old);
    }

    /// How many different keys have something left in `first ..= last`.
    #[must_use]
    pub fn n_distinct(&self, first: Day, last: Day) -> usize {
        let start = self.entries.partition_point(|entry| entry.day < first);
        let end = self.entries.partition_point(|entry| entry.day <= last);
        let window = self.entries.get(start..end).unwrap_or_default();
        let mut keys: Vec<u64> =
            window.iter().filter(|entry| entry.count > 0).map(|entry| entry.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.len()
    }
}

/// A value an attribute can hold, in a form that compares and stores exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Held {
    /// A text.
    Text(String),
    /// A number in millionths.
    Micros(i64),
    /// True or false.
    Flag(bool),
}

/// The latest value of a field: the one with the greatest (time it happened, hash of its event id).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    held: Option<(Timestamp, u64, Held)>,
}

impl Latest {
    pub(crate) fn offer(&mut self, at: Timestamp, event_hash: u64, value: Held) {
        let offered = (at, event_hash, value);
        if self.held.as_ref().is_none_or(|held| *held < offered) {
            self.held = Some(offered);
        }
    }

    /// The value, if one was ever set.
    #[must_use]
    pub fn value(&self) -> Option<&Held> {
        self.held.as_ref().map(|(_, _, value)| value)
    }
}

/// The day of the earliest event; revisions leave it alone, since the customer did come that day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct First {
    day: Option<Day>,
}

impl First {
    pub(crate) fn offer(&mut self, day: Day) {
        self.day = Some(self.day.map_or(day, |first| first.min(day)));
    }

    /// The day, if there was an event.
    #[must_use]
    pub const fn day(self) -> Option<Day> {
        self.day
    }
}

/// What one measure of the schema remembers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Series {
    /// Counts and sums per day.
    Daily(Daily),
    /// Counts per day and key.
    Keyed(Keyed),
    /// The latest value.
    Latest(Latest),
    /// The earliest day.
    First(First),
}
