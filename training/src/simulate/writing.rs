//! Lives blocks of customers on all threads and writes them in order, into a folder that is whole or untouched.
//!
//! One thread writes while the others simulate; a block holds few customers, so that memory does not grow with
//! their number. What the rows look like stands in `output`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nextbest_models::event::EventType;
use nextbest_models::units::{Currency, Timestamp};
use rayon::prelude::*;

use super::life::Life;
use super::output::{self, Table, batch};
use super::{Counts, FORMAT_VERSION, Options, Shop, SimulateError, Summary};
use super::{campaign, journal, market, traits};
use crate::event_log::columns::to_batch;

/// Customers in one block of output.
pub(super) const BLOCK: u64 = 128;
/// Blocks simulated at a time, to be shared among threads.
const BLOCKS_AT_A_TIME: u64 = 16;

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
