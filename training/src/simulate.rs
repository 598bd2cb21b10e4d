//! The simulated shop: events as a shop would log them, and the truth that made them.
//!
//! Ground truth of the other rooms' tests, so it must not be built from what the learners assume: customers have
//! hidden moods, frailties and temperaments (`mood`, `traits`), prices move purchases through a discrete choice
//! (`shopping`), a randomised legacy policy contacts them (`campaign`), and the truth is summed over the same laws
//! (`truth`), never fitted. The model is written down in docs/simulation.md. Only [`write`] touches files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nextbest_models::customer::CustomerId;
use nextbest_models::units::{Currency, DAY_MS, Seed, Timestamp};
use serde::Serialize;

use crate::event_log::columns::ColumnsError;

pub mod calendar;
pub mod campaign;
pub mod catalogue;
pub mod elasticity;
pub mod journal;
pub mod life;
pub mod market;
pub mod mood;
pub mod output;
pub mod pricing;
pub mod random;
pub mod shopper;
pub mod shopping;
pub mod takeover;
pub mod traits;
pub mod truth;
mod writing;

#[cfg(test)]
mod tests;

use life::{Frame, Life, live};
use market::Market;
use takeover::{Errand, Takeover};
pub use writing::write;

/// Version of the model and of the files; a change of either changes it.
pub const FORMAT_VERSION: u32 = 1;
/// Most customers of one simulation.
pub const MAX_CUSTOMERS: u64 = 10_000_000;
/// Fewest and most days.
pub const DAYS_RANGE: (i32, i32) = (30, 3650);
/// First day of a log unless told: fixed, so that a log does not depend on the day it is made.
pub const DEFAULT_START: &str = "2025-01-01T00:00:00Z";
/// Days before the log's end on which the truth about customers is stated.
pub const TRUTH_DAYS_BEFORE_END: [i32; 3] = [120, 60, 0];

/// What to simulate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    n_customers: u64,
    n_days: i32,
    seed: Seed,
    start: Timestamp,
}

/// What went wrong with a simulation.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum SimulateError {
    #[error("{name} is {value}, must be {min} ..= {max}")]
    OutOfRange { name: &'static str, value: i64, min: i64, max: i64 },
    #[error("start is {0}, must be midnight UTC (…T00:00:00Z)")]
    NotMidnight(Timestamp),
    #[error("{} is not empty; name another folder, or overwrite an earlier simulation with --force", .0.display())]
    NotEmpty(PathBuf),
    #[error("{} is not empty and holds no simulation.json; it will not be overwritten", .0.display())]
    NotASimulation(PathBuf),
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{}: {source}", path.display())]
    Parquet { path: PathBuf, source: parquet::errors::ParquetError },
    #[error("{}: {source}", path.display())]
    Csv { path: PathBuf, source: csv::Error },
    #[error("events do not fit their columns: {0}")]
    Columns(#[from] ColumnsError),
    #[error("rows do not fit their table: {0}")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("simulation.json: {0}")]
    Json(#[from] serde_json::Error),
}

impl Options {
    /// Checked options: 1 ..= [`MAX_CUSTOMERS`] customers, [`DAYS_RANGE`] days, a start at midnight UTC.
    pub fn new(n_customers: u64, n_days: i32, seed: Seed, start: Timestamp) -> Result<Self, SimulateError> {
        let check = |name, value: i64, min: i64, max: i64| {
            let error = SimulateError::OutOfRange { name, value, min, max };
            if (min..=max).contains(&value) { Ok(()) } else { Err(error) }
        };
        let shown = i64::try_from(n_customers).unwrap_or(i64::MAX);
        check("customers", shown, 1, i64::try_from(MAX_CUSTOMERS).unwrap_or(i64::MAX))?;
        check("days", i64::from(n_days), i64::from(DAYS_RANGE.0), i64::from(DAYS_RANGE.1))?;
        if start.as_millis().rem_euclid(DAY_MS) != 0 {
            return Err(SimulateError::NotMidnight(start));
        }
        Ok(Self { n_customers, n_days, seed, start })
    }

    /// How many customers.
    #[must_use]
    pub const fn n_customers(&self) -> u64 {
        self.n_customers
    }

    /// Days of the log.
    #[must_use]
    pub const fn n_days(&self) -> i32 {
        self.n_days
    }

    /// First instant of the log.
    #[must_use]
    pub const fn start(&self) -> Timestamp {
        self.start
    }

    /// Of the whole simulation.
    #[must_use]
    pub const fn seed(&self) -> Seed {
        self.seed
    }
}

/// A shop, ready to have its customers lived one by one, in any order and on any thread.
pub struct Shop {
    frame: Frame,
    market: Market,
    n_customers: u64,
}

impl Shop {
    /// The shop of these options: its market is drawn, no customer yet.
    #[must_use]
    pub fn new(options: &Options, currency: Currency) -> Self {
        let Options { n_customers, n_days, seed, start } = *options;
        let ages = TRUTH_DAYS_BEFORE_END.iter().filter_map(|before| usize::try_from(n_days - before).ok());
        let frame = Frame { seed, start, days: n_days, truth_ages: ages.collect(), currency };
        Self { frame, market: Market::new(seed, start.day(), n_days), n_customers }
    }

    /// The same shop; its lives state the hidden state at the start of day `age` as well.
    #[must_use]
    pub fn stating(mut self, age: usize) -> Self {
        self.frame.truth_ages.push(age);
        self
    }

    /// The market.
    #[must_use]
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// The life of customer `number`; the same however many customers there are.
    #[must_use]
    pub fn customer(&self, number: u64) -> Option<Life> {
        let id = CustomerId::new(format!("C{number:07}")).ok()?;
        Some(live(&self.frame, &self.market, id, number, None, None))
    }

    /// The same life with another policy in force from some day on; until then it is the same to the last event.
    #[must_use]
    pub fn customer_under(&self, number: u64, takeover: Takeover<'_>) -> Option<Life> {
        let id = CustomerId::new(format!("C{number:07}")).ok()?;
        Some(live(&self.frame, &self.market, id, number, Some(takeover), None))
    }

    /// The same life with one contact more; until that day it is the same to the last event.
    #[must_use]
    pub fn customer_with(&self, number: u64, errand: Errand) -> Option<Life> {
        let id = CustomerId::new(format!("C{number:07}")).ok()?;
        Some(live(&self.frame, &self.market, id, number, None, Some(errand)))
    }
}

/// What was written.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Rows of events.parquet.
    pub n_events: u64,
    /// Of these, second deliveries.
    pub n_duplicates: u64,
    /// Events left out because they became known after the log's end.
    pub n_not_yet_known: u64,
    /// Distinct orders.
    pub n_orders: u64,
    /// Customers who had left for good by the end.
    pub n_gone: u64,
    /// Rows of decisions.parquet.
    pub n_decisions: u64,
    /// Events by type, second deliveries included.
    pub events_by_type: BTreeMap<&'static str, u64>,
}

/// The content of simulation.json.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// See [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Version of the program.
    pub code_version: &'static str,
    /// What was asked for.
    pub options: Options,
    /// First instant after the log.
    pub end: Timestamp,
    /// The days on which truth/states.parquet states the truth.
    pub truth_as_of: Vec<Timestamp>,
    /// Parameters a reader of the files needs; the others are in docs/simulation.md.
    pub parameters: BTreeMap<&'static str, f64>,
    /// What was written.
    pub counts: Counts,
}
