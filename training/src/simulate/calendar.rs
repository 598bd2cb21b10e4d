//! Seasons: how much more or less customers come on one day than on another, and what they come for.
//!
//! All of it is a fixed function of the UTC calendar day and of the day since the simulation's start; nothing here
//! is random, and nothing knows a customer.

use nextbest_models::units::Day;

use super::catalogue::{CATEGORIES, N_CATEGORIES};

/// Weight of a visit on Monday .. Sunday; the mean is 1.
pub const WEEKDAY: [f64; 7] = [1.05, 1.00, 0.95, 0.95, 1.05, 0.80, 1.20];
/// Days of a year, for phases.
const YEAR_DAYS: f64 = 365.2425;

/// Monday = 0 .. Sunday = 6.
#[must_use]
pub fn weekday(day: Day) -> usize {
    // 1970-01-01 was a Thursday.
    usize::try_from((day.number() + 3).rem_euclid(7)).unwrap_or(0)
}

/// Month (1 ..= 12) and day of the month, by Hinnant's civil-from-days algorithm
/// (<https://howardhinnant.github.io/date_algorithms.html>).
#[must_use]
pub fn month_and_day(day: Day) -> (i32, i32) {
    let of_era = (day.number() + 719_468).rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    (if month < 10 { month + 3 } else { month - 9 }, of_year - (153 * month + 2) / 5 + 1)
}

/// Position in the year, 0 .. 365.2425, good to a day.
#[must_use]
pub fn day_of_year(day: Day) -> f64 {
    // 1970-01-01 is a first of January; the error of the mean year stays below one day over the supported range.
    f64::from(day.number()).rem_euclid(YEAR_DAYS)
}

/// Weight of a visit on `day`, which is `age_days` days after the start: week x year x holidays x trend.
#[must_use]
pub fn visit_weight(day: Day, age_days: i32) -> f64 {
    let yearly = 1.0 + 0.10 * (std::f64::consts::TAU * (day_of_year(day) - 345.0) / YEAR_DAYS).cos();
    let trend = 1.0 + 0.08 * f64::from(age_days) / YEAR_DAYS;
    WEEKDAY[weekday(day)] * yearly * holiday(day) * trend
}

fn holiday(day: Day) -> f64 {
    match month_and_day(day) {
        (1, 2..=15) => 1.15,
        (2, 8..=13) => 1.20,
        (11, 22..=30) => 1.60,
        (12, 1..=18) => 1.35,
        (12, 24..=26) => 0.50,
        _ => 1.0,
    }
}

/// How much each category is wanted on `day`; means over a year are near 1.
#[must_use]
pub fn category_weights(day: Day) -> [f64; N_CATEGORIES] {
    let at = day_of_year(day);
    CATEGORIES.map(|category| {
        let phase = std::f64::consts::TAU * (at - category.peak_day) / YEAR_DAYS;
        (category.season_strength * phase.cos()).exp()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextbest_models::units::Timestamp;

    fn day(text: &str) -> Day {
        format!("{text}T00:00:00Z").parse::<Timestamp>().unwrap().day()
    }

    #[test]
    fn days_fall_where_the_calendar_says() {
        assert_eq!(weekday(day("2025-01-01")), 2);
        assert_eq!(weekday(day("1969-12-29")), 0);
        for (text, expected) in [
            ("2024-02-29", (2, 29)),
            ("2025-12-31", (12, 31)),
            ("2026-03-01", (3, 1)),
            ("1970-01-01", (1, 1)),
        ] {
            assert_eq!(month_and_day(day(text)), expected);
        }
    }

    #[test]
    fn the_week_has_mean_one() {
        assert!((WEEKDAY.iter().sum::<f64>() - 7.0).abs() < 1e-12);
    }
}
