//! Purchases by customer and day, and the summaries they come to at the end of any day.
//!
//! Sorted by customer, day and value, so that no sum depends on the order of the file.

use nextbest_models::units::Day;
use nextbest_models::value::{CustomerSummary, PurchaseSummary, SpendSummary, TimeUnit};
use rayon::prelude::*;

/// A row of the file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Purchase {
    pub(super) who: u32,
    pub(super) on: Day,
    /// NaN where it is not known.
    pub(super) worth: f64,
}

/// All of a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Purchases {
    /// Names of customers, in the order in which the file meets them.
    pub(super) keys: Vec<String>,
    pub(super) all: Vec<Purchase>,
    /// Where each customer's purchases end in `all`.
    ends: Vec<usize>,
    pub(super) n_rows: u64,
    pub(super) has_values: bool,
    pub(super) first: Option<Day>,
    /// The end of the observation.
    pub(super) last: Option<Day>,
}

/// One customer at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Customer {
    /// Their number in the file.
    pub(super) who: usize,
    pub(super) first: Day,
    pub(super) summary: CustomerSummary,
}

impl Purchases {
    /// Orders them; `end` is the end of the observation where one was given, else the last purchase's day is.
    pub(super) fn sort(&mut self, end: Option<Day>) {
        self.all.par_sort_unstable_by(|a, b| {
            a.who.cmp(&b.who).then(a.on.cmp(&b.on)).then(a.worth.total_cmp(&b.worth))
        });
        self.first = self.all.iter().map(|purchase| purchase.on).min();
        self.last = end.or(self.all.iter().map(|purchase| purchase.on).max());
        self.ends = self.all.chunk_by(|a, b| a.who == b.who).map(<[Purchase]>::len).collect();
        let mut end = 0;
        self.ends.iter_mut().for_each(|length| {
            end += *length;
            *length = end;
        });
    }

    /// The purchases of customer `who`.
    fn of(&self, who: usize) -> &[Purchase] {
        let start = if who == 0 { 0 } else { self.ends[who - 1] };
        &self.all[start..self.ends[who]]
    }

    /// Days on which customer `who` bought, ascending.
    pub(super) fn days(&self, who: usize) -> impl Iterator<Item = Day> {
        self.of(who).chunk_by(|a, b| a.on == b.on).map(|day| day[0].on)
    }

    /// Rows that share customer and day with another, which makes them one purchase.
    pub(super) fn n_same_day(&self) -> u64 {
        let days: usize = (0..self.ends.len()).map(|who| self.days(who).count()).sum();
        (self.all.len() - days) as u64
    }

    /// Everybody who had bought by the end of `through`, as they were then.
    pub(super) fn customers(&self, through: Day, unit: TimeUnit) -> Vec<Customer> {
        (0..self.ends.len()).into_par_iter().filter_map(|who| self.customer(who, through, unit)).collect()
    }

    fn customer(&self, who: usize, through: Day, unit: TimeUnit) -> Option<Customer> {
        let known = self.of(who);
        let known = &known[..known.partition_point(|purchase| purchase.on <= through)];
        let first = known.first()?.on;
        let last = known.last()?.on;
        let (mut x, mut n_known, mut sum) = (0.0, 0.0, 0.0);
        for day in known.chunk_by(|a, b| a.on == b.on).skip(1) {
            x += 1.0;
            // A day of which nothing is known is no purchase of 0.
            let worth = day.iter().map(|purchase| purchase.worth).filter(|worth| !worth.is_nan());
            let (n, total) = worth.fold((0, 0.0), |(n, sum), worth| (n + 1, sum + worth));
            n_known += f64::from(u8::from(n > 0));
            sum += total;
        }
        let since = |day: Day| f64::from(day.since(first)) / unit.days();
        let purchases = PurchaseSummary::new(x, since(last), since(through)).ok()?;
        let spend = SpendSummary::new(n_known, sum / n_known).ok();
        let summary = CustomerSummary { purchases, spend, truncated: false };
        Some(Customer { who, first, summary })
    }
}
