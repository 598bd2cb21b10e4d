//! The ledger of one SKU in one market and channel: prices shown, and the price that stands.
//!
//! Of each price the first and the last time it was shown: the order in which showings arrive does not matter, and the
//! lowest price of any past window is known. A price shown twice counts as shown in between too, so the lowest is never
//! overstated and a discount never claimed too high. The standing price is what the policy last settled on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::units::{DAY_MS, Timestamp};

/// A showing is written at most once in so many milliseconds; the last time is late by so much at most, and taken so.
pub const GRAIN_MS: i64 = 3_600_000;
/// Prices last shown earlier are forgotten, in days.
pub const KEEP_DAYS: i32 = 400;
/// Most prices kept; beyond, the highest are forgotten, which no lowest price notices.
const MAX_PRICES: usize = 400;

/// When a price was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// First.
    pub first: Timestamp,
    /// Last; up to [`GRAIN_MS`] later showings may not be written.
    pub last: Timestamp,
}

/// The price that the policy settled on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// In minor units.
    pub price_minor: i64,
    /// Since when it is shown.
    pub since: Timestamp,
    /// When it was last thought over.
    pub reviewed: Timestamp,
    /// Logarithm of what recent demand multiplies the price by.
    pub tilt: f64,
}

impl Standing {
    /// Whether it is to be thought over at `now`, `cool_down_hours` after the last time; without, always.
    #[must_use]
    pub fn is_due(&self, now: Timestamp, cool_down_hours: Option<u32>) -> bool {
        let rest = cool_down_hours.map_or(0, |hours| i64::from(hours) * 3_600_000);
        now >= self.reviewed.plus_millis(rest)
    }
}

/// Prices shown of one SKU in one market and channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// By price, in minor units.
    pub prices: BTreeMap<i64, Shown>,
    /// What the policy settled on; none before its first price.
    pub standing: Option<Standing>,
}

impl Ledger {
    /// Notes that `price_minor` was shown at `at`; whether that has to be written.
    pub fn show(&mut self, price_minor: i64, at: Timestamp) -> bool {
        let Some(shown) = self.prices.get_mut(&price_minor) else {
            self.prices.insert(price_minor, Shown { first: at, last: at });
            self.forget(at);
            return true;
        };
        let late = at.as_millis() - shown.last.as_millis() >= GRAIN_MS;
        let early = at < shown.first;
        if late {
            shown.last = at;
        }
        if early {
            shown.first = at;
        }
        late || early
    }

    /// Notes all that `other` saw shown; whether that has to be written. The price that stands is its own.
    pub fn merge(&mut self, other: &Self) -> bool {
        let mut changed = false;
        for (price_minor, shown) in &other.prices {
            changed |= self.show(*price_minor, shown.first);
            changed |= self.show(*price_minor, shown.last);
        }
        changed
    }

    fn forget(&mut self, now: Timestamp) {
        let oldest = now.plus_days(-KEEP_DAYS);
        self.prices.retain(|_, shown| shown.last >= oldest);
        while self.prices.len() > MAX_PRICES {
            self.prices.pop_last();
        }
    }

    /// The lowest price shown in the `days` before `before`, in minor units; none where nothing was.
    #[must_use]
    pub fn lowest_minor(&self, before: Timestamp, days: u16) -> Option<i64> {
        let since = before.as_millis() - i64::from(days) * DAY_MS - GRAIN_MS;
        let inside = |shown: &Shown| shown.last.as_millis() >= since && shown.first < before;
        self.prices.iter().find(|(_, shown)| inside(shown)).map(|(price, _)| *price)
    }

    /// The price that a discount to `price_minor` is claimed on: the lowest of the `days` before it began.
    ///
    /// A price that stands began when the policy settled on it; another begins at `now`.
    #[must_use]
    pub fn prior_minor(&self, price_minor: i64, now: Timestamp, days: u16) -> Option<i64> {
        let stands = self.standing.filter(|standing| standing.price_minor == price_minor);
        self.lowest_minor(stands.map_or(now, |standing| standing.since), days)
    }
}

/// The whole percent that may be claimed for `price_minor` against `prior_minor`: rounded down, 0 for none.
#[must_use]
pub fn claimable_percent(price_minor: i64, prior_minor: i64) -> u8 {
    let saved = i128::from(prior_minor) - i128::from(price_minor);
    let percent = if saved > 0 { saved * 100 / i128::from(prior_minor) } else { 0 };
    u8::try_from(percent).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + hours * 3_600_000).unwrap()
    }

    #[test]
    fn a_discount_is_claimed_on_the_lowest_price_of_the_days_before_it() {
        let mut ledger = Ledger::default();
        ledger.show(1000, at(0));
        ledger.show(800, at(24 * 10));
        ledger.show(1200, at(24 * 20));
        let now = at(24 * 25);
        assert_eq!(ledger.prior_minor(900, now, 30), Some(800), "800 was shown 15 days ago");
        assert_eq!(claimable_percent(900, 800), 0, "900 is no discount, though 1200 was shown yesterday");
        assert_eq!(ledger.prior_minor(900, now, 10), Some(1200));
        assert_eq!(claimable_percent(900, 1200), 25);
        assert_eq!(claimable_percent(999, 1000), 0, "a tenth of a percent is rounded down");
        ledger.show(700, now);
        ledger.standing = Some(Standing { price_minor: 700, since: now, reviewed: now, tilt: 0.0 });
        assert_eq!(
            ledger.prior_minor(700, at(24 * 28), 30),
            Some(800),
            "the price itself is not its own prior"
        );
        assert_eq!(Ledger::default().prior_minor(700, now, 30), None);
    }

    proptest! {
        /// The lowest price is never above that of the true history, whatever the order of arrival; and where each
        /// price was shown in one go, it is that of the history.
        #[test]
        fn the_lowest_price_is_never_overstated(
            showings in prop::collection::vec((1..40i64, 0..2000i64), 1..80),
            days in 1..60u16,
            until in 0..2000i64,
        ) {
            let mut ledger = Ledger::default();
            for (price, hour) in &showings {
                ledger.show(*price, at(*hour));
            }
            let mut backwards = Ledger::default();
            for (price, hour) in showings.iter().rev() {
                backwards.show(*price, at(*hour));
            }
            prop_assert_eq!(&ledger, &backwards);
            let (mut left, mut right) = (Ledger::default(), Ledger::default());
            for (number, (price, hour)) in showings.iter().enumerate() {
                if number % 3 == 0 { left.show(*price, at(*hour)) } else { right.show(*price, at(*hour)) };
            }
            left.merge(&right);
            prop_assert_eq!(&ledger, &left, "nor how they are split");
            prop_assert!(!left.merge(&right), "what is known has not to be written");
            let inside = |hour: i64| hour < until && hour >= until - i64::from(days) * 24;
            let truth = showings.iter().filter(|(_, hour)| inside(*hour)).map(|(price, _)| *price).min();
            let told = ledger.lowest_minor(at(until), days);
            prop_assert!(truth.is_none_or(|truth| told.is_some_and(|told| told <= truth)), "{told:?} {truth:?}");
        }
    }
}
