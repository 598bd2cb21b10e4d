//! Orders: who came back, how soon, how often, and in which months.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use nextbest_models::event::{Event, EventType};
use nextbest_models::units::Day;

use super::measure::{Halves, Mean};
use super::{Code, Cohort, Look, MAX_MONTHS, Measure, Retention};

/// What was counted of orders.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Orders {
    /// Customers with an order, and with a second.
    n_buyers: u64,
    n_repeaters: u64,
    /// Customers whose time for a second order is over, and those who placed it in time.
    n_matured: u64,
    n_activated: u64,
    /// Orders within the activity window, of those with one.
    recent: Mean,
    /// Half days between orders, the median of each customer.
    gaps: Halves,
    cohorts: BTreeMap<Month, Months>,
}

/// Customers of a cohort, and those with an order so many months later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Months {
    n: u64,
    retained: [u64; MAX_MONTHS],
}

/// A month of the UTC calendar: months since year 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Month(i32);

const EPOCH: Date = Date::constant(1970, 1, 1);

impl Month {
    fn of(day: Day) -> Self {
        let date = EPOCH.saturating_add(jiff::Span::new().days(day.number()));
        Self(12 * i32::from(date.year()) + i32::from(date.month()) - 1)
    }

    fn name(self) -> String {
        format!("{:04}-{:02}", self.0.div_euclid(12), self.0.rem_euclid(12) + 1)
    }
}

/// The days with an order that stands by what is `known`, ascending: more qualifying events on them than were taken back whole.
fn active_days(look: &Look<'_>, known: &[Event]) -> Vec<Day> {
    let rule = &look.project.settings.activity;
    let takes_orders = rule.event.contains(&EventType::OrderPlaced);
    let mut standing: BTreeMap<Day, i64> = BTreeMap::new();
    for event in known {
        if rule.event.contains(&event.event_type) {
            *standing.entry(event.occurred_at.day()).or_default() += 1;
        } else if takes_orders && event.takes_back_whole() {
            *standing.entry(event.booked_at().day()).or_default() -= 1;
        }
    }
    standing.into_iter().filter(|(_, n)| *n > 0).map(|(day, _)| day).collect()
}

/// Twice the median of the days between one of `days` and the next; none of fewer than two.
fn median_gap(days: &[Day]) -> Option<u64> {
    let pairs = days.iter().zip(days.iter().skip(1));
    let mut gaps: Vec<u64> = pairs.map(|(a, b)| u64::from(b.since(*a).unsigned_abs())).collect();
    gaps.sort_unstable();
    let middle = gaps.len() / 2;
    let (high, low) = (gaps.get(middle)?, gaps.get(middle - usize::from(gaps.len().is_multiple_of(2)))?);
    Some(low + high)
}

impl Orders {
    pub(super) fn add(&mut self, look: &Look<'_>, known: &[Event]) {
        let days = active_days(look, known);
        let Some(&first) = days.first() else { return };
        self.n_buyers += 1;
        self.n_repeaters += u64::from(days.len() > 1);
        let in_days = look.project.settings.lifecycle.at_risk_days;
        if first.plus(in_days).plus(1).start() <= look.as_of {
            self.n_matured += 1;
            self.n_activated += u64::from(days.get(1).is_some_and(|second| second.since(first) <= in_days));
        }
        let window = look.today().plus(-look.project.settings.activity.window_days);
        let n_recent = days.iter().filter(|day| **day >= window).count();
        if n_recent > 0 {
            self.recent.add(n_recent as u64);
        }
        median_gap(&days).into_iter().for_each(|gap| self.gaps.add(gap));
        let begun = Month::of(first);
        let cohort = self.cohorts.entry(begun).or_default();
        cohort.n += 1;
        let months: BTreeSet<i32> = days.iter().map(|day| Month::of(*day).0 - begun.0).collect();
        for month in months.into_iter().filter(|month| *month > 0) {
            let place = usize::try_from(month - 1).ok().and_then(|at| cohort.retained.get_mut(at));
            place.into_iter().for_each(|n| *n += 1);
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.n_buyers += other.n_buyers;
        self.n_repeaters += other.n_repeaters;
        self.n_matured += other.n_matured;
        self.n_activated += other.n_activated;
        self.recent.merge(other.recent);
        self.gaps.merge(&other.gaps);
        for (month, theirs) in &other.cohorts {
            let ours = self.cohorts.entry(*month).or_default();
            ours.n += theirs.n;
            ours.retained.iter_mut().zip(theirs.retained).for_each(|(n, more)| *n += more);
        }
    }

    pub(super) fn activation(&self) -> Measure {
        let code = if self.n_buyers > 0 { Code::NotMatured } else { Code::NoCustomers };
        Measure::share(self.n_activated, self.n_matured, code)
    }

    pub(super) fn repeat(&self) -> Measure {
        Measure::share(self.n_repeaters, self.n_buyers, Code::NoCustomers)
    }

    pub(super) fn frequency(&self) -> Measure {
        self.recent.measure()
    }

    pub(super) fn gap(&self) -> Measure {
        self.gaps.median()
    }

    /// A cohort's month is told once it is over at the look.
    pub(super) fn retention(&self, look: &Look<'_>) -> Retention {
        // The month of the look is not over, even where it has just begun.
        let n_over = |begun: Month| usize::try_from(Month::of(look.today()).0 - begun.0 - 1).unwrap_or(0);
        let mut cohorts = Vec::new();
        let mut all: Vec<(u64, u64)> = Vec::new();
        for (begun, months) in &self.cohorts {
            let told: Vec<u64> = months.retained.iter().take(n_over(*begun)).copied().collect();
            all.resize(all.len().max(told.len()), (0, 0));
            for (sum, n) in all.iter_mut().zip(&told) {
                *sum = (sum.0 + n, sum.1 + months.n);
            }
            let share = |n: &u64| Measure::share(*n, months.n, Code::NoCustomers);
            let months_told = told.iter().map(share).collect();
            cohorts.push(Cohort { month: begun.name(), n_customers: months.n, months: months_told });
        }
        let months = all.into_iter().map(|(n, of)| Measure::share(n, of, Code::NotMatured)).collect();
        Retention { months, cohorts }
    }
}
