//! The simulated shop: events as a shop would log them, and the truth that made them.
//!
//! Ground truth of the other rooms' tests, so it must not be built from what the learners assume: customers have
//! hidden moods, frailties and temperaments (`mood`, `traits`), prices move purchases through a discrete choice
//! (`shopping`), a randomised legacy policy contacts them (`campaign`), and the truth is summed over the same laws
//! (`truth`), never fitted. The model is written down in docs/simulation.md. Only [`write`] touches files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nextbest_models::customer::CustomerId;
use nextbest_models::event::EventType;
use nextbest_models::units::{Currency, DAY_MS, Seed, Timestamp};
use rayon::prelude::*;
use serde::Serialize;

use crate::event_log::columns::{ColumnsError, to_batch};

pub mod calendar;
pub mod campaign;
pub mod catalogue;
pub mod elasticity;
pub mod journal;
pub mod life;
pub mod market;
pub mod mood;
pub mod output;
pub mod random;
pub mod shopper;
pub mod shopping;
pub mod traits;
pub mod truth;

#[cfg(test)]
mod tests;

use life::{Frame, Life, live};
use market::Market;
use output::{Table, batch};

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
/// Customers in one block of output.
const BLOCK: u64 = 128;
/// Blocks simulated at a time, to be shared among threads.
const BLOCKS_AT_A_TIME: u64 = 16;

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

    /// The market.
    #[must_use]
    pub const fn market(&self) -> &Market {
        &self.market
    }

    /// The life of customer `number`; the same however many customers there are.
    #[must_use]
    pub fn customer(&self, number: u64) -> Option<Life> {
        let id = CustomerId::new(format!("C{number:07}")).ok()?;
        Some(live(&self.frame, &self.market, id, number))
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

/// Simulates and writes everything into `out`, which must be absent or empty, or with `force` an earlier simulation.
///
/// Files are made in a folder beside `out` and moved into place at the end, so that `out` is whole or untouched.
/// `progress` is told the number of customers done. Memory does not grow with the number of customers.
pub fn write(
    options: &Options,
    currency: Currency,
    out: &Path,
    force: bool,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Summary, SimulateError> {
    let io = |source| SimulateError::Io { path: out.to_owned(), source };
    let replaces = check_out(out, force)?;
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(io)?;
    let work = tempfile::Builder::new().prefix(".nextbest-simulate-").tempdir_in(parent).map_err(io)?;
    let made = work.path().join("simulation");
    let summary = fill(options, currency, &made, progress)?;
    if replaces {
        std::fs::rename(out, work.path().join("replaced")).map_err(io)?;
    }
    std::fs::rename(&made, out).map_err(io)?;
    Ok(summary)
}

/// Whether there is something to replace; an error if that is not allowed.
fn check_out(out: &Path, force: bool) -> Result<bool, SimulateError> {
    let mut entries = match std::fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(source) => return Err(SimulateError::Io { path: out.to_owned(), source }),
    };
    if entries.next().is_none() {
        return Ok(true);
    }
    if !force {
        return Err(SimulateError::NotEmpty(out.to_owned()));
    }
    if out.join("simulation.json").is_file() {
        Ok(true)
    } else {
        Err(SimulateError::NotASimulation(out.to_owned()))
    }
}

fn fill(
    options: &Options,
    currency: Currency,
    dir: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Summary, SimulateError> {
    let io = |source| SimulateError::Io { path: dir.to_owned(), source };
    std::fs::create_dir_all(dir.join("truth")).map_err(io)?;
    let shop = Shop::new(options, currency);
    output::write_skus(&dir.join("truth/skus.csv"), options.seed)?;
    output::write_prices(&dir.join("truth/prices.csv"), shop.market())?;
    let counts = write_lives(&shop, dir, progress)?;
    let summary = Summary {
        format_version: FORMAT_VERSION,
        code_version: env!("CARGO_PKG_VERSION"),
        options: options.clone(),
        end: options.start.plus_days(options.n_days),
        truth_as_of: shop.frame.truth_ages.iter().map(|&age| day_of(options.start, age)).collect(),
        parameters: BTreeMap::from([
            ("duplicate_rate", journal::DUPLICATE_RATE),
            ("base_share", traits::BASE_SHARE),
            ("legacy_no_action", campaign::NO_ACTION),
            ("decision_days", f64::from(campaign::DECISION_DAYS)),
            ("response_days", f64::from(campaign::RESPONSE_DAYS)),
            ("manager_response", market::MANAGER_RESPONSE),
        ]),
        counts,
    };
    let path = dir.join("simulation.json");
    let text = serde_json::to_string_pretty(&summary)? + "\n";
    std::fs::write(&path, text).map_err(|source| SimulateError::Io { path, source })?;
    Ok(summary)
}

fn day_of(start: Timestamp, age: usize) -> Timestamp {
    start.plus_days(i32::try_from(age).unwrap_or(i32::MAX))
}

/// One block of customers, ready to be written.
struct Block {
    n_customers: u64,
    batches: [Option<arrow::array::RecordBatch>; 5],
    counts: Counts,
}

/// The files of [`Block::batches`], in order.
const FILES: [&str; 5] = [
    "events.parquet",
    "decisions.parquet",
    "truth/customers.parquet",
    "truth/states.parquet",
    "truth/decisions.parquet",
];

fn write_lives(shop: &Shop, dir: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Counts, SimulateError> {
    let mut tables = Vec::new();
    for path in FILES.map(|file| dir.join(file)) {
        let table =
            Table::create(&path).map_err(|source| SimulateError::Io { path: path.clone(), source })?;
        tables.push((path, table));
    }
    let (send, receive) = std::sync::mpsc::sync_channel::<Vec<Result<Block, SimulateError>>>(1);
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || write_blocks(receive, tables, progress));
        let n_blocks = shop.n_customers.div_ceil(BLOCK);
        for first in (0..n_blocks).step_by(usize::try_from(BLOCKS_AT_A_TIME).unwrap_or(1)) {
            let blocks = first..(first + BLOCKS_AT_A_TIME).min(n_blocks);
            let made: Vec<_> = blocks.into_par_iter().map(|block| simulate_block(shop, block)).collect();
            // The writer has hung up: it has an error to tell, which the join returns.
            if send.send(made).is_err() {
                break;
            }
        }
        drop(send);
        writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn simulate_block(shop: &Shop, block: u64) -> Result<Block, SimulateError> {
    let numbers = block * BLOCK..((block + 1) * BLOCK).min(shop.n_customers);
    let n_customers = numbers.end - numbers.start;
    let mut lives: Vec<Life> = numbers.filter_map(|number| shop.customer(number)).collect();
    let counts = count(&lives);
    let events: Vec<_> = lives.iter_mut().flat_map(|life| std::mem::take(&mut life.entries.events)).collect();
    let start = shop.frame.start;
    let batches = [
        Some(to_batch(&events)?),
        batch(lives.iter().flat_map(output::decision_rows))?,
        batch(lives.iter().map(output::customer_row))?,
        batch(lives.iter().flat_map(|life| output::state_rows(life, start)))?,
        batch(lives.iter().flat_map(output::decision_truth_rows))?,
    ];
    Ok(Block { n_customers, batches, counts })
}

fn count(lives: &[Life]) -> Counts {
    let mut counts = Counts::default();
    for life in lives {
        counts.n_events += life.entries.events.len() as u64;
        counts.n_duplicates += life.entries.n_duplicates;
        counts.n_not_yet_known += life.entries.n_not_yet_known;
        counts.n_orders += life.orders.len() as u64;
        counts.n_gone += u64::from(life.gone.is_some());
        counts.n_decisions += life.decisions.len() as u64;
        for event in &life.entries.events {
            *counts.events_by_type.entry(event.event_type.as_str()).or_default() += 1;
        }
    }
    counts
}

fn write_blocks(
    receive: std::sync::mpsc::Receiver<Vec<Result<Block, SimulateError>>>,
    mut tables: Vec<(PathBuf, Table)>,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Counts, SimulateError> {
    let mut total = Counts {
        events_by_type: EventType::ALL.iter().map(|kind| (kind.as_str(), 0)).collect(),
        ..Counts::default()
    };
    let mut n_done = 0;
    for blocks in receive {
        for block in blocks {
            let block = block?;
            for ((path, table), batch) in tables.iter_mut().zip(block.batches) {
                if let Some(batch) = batch {
                    let failed = |source| SimulateError::Parquet { path: path.clone(), source };
                    table.write(&batch).map_err(failed)?;
                }
            }
            total.add(&block.counts);
            n_done += block.n_customers;
            progress(n_done);
        }
    }
    for (path, table) in tables {
        table.close().map_err(|source| SimulateError::Parquet { path, source })?;
    }
    Ok(total)
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.n_events += other.n_events;
        self.n_duplicates += other.n_duplicates;
        self.n_not_yet_known += other.n_not_yet_known;
        self.n_orders += other.n_orders;
        self.n_gone += other.n_gone;
        self.n_decisions += other.n_decisions;
        for (kind, n) in &other.events_by_type {
            *self.events_by_type.entry(kind).or_default() += n;
        }
    }
}
