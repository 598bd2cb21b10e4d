//! `nextbest simulate`: a shop's event log and the truth that made it.
//!
//! Only wiring: options are checked and the shop is simulated by `nextbest_training::simulate`; here they are read
//! from the command line, and the outcome is told as text or JSON.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nextbest_models::units::{Currency, Seed, Timestamp};
use nextbest_training::simulate::{
    DAYS_RANGE, DEFAULT_START, MAX_CUSTOMERS, Options, SimulateError, Summary, write,
};

use crate::exit::{Failure, Outcome, say};
use crate::progress;

/// Simulate a shop: events as they would be logged, and the truth that made them
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Customers who join before the log ends, 1 to 10,000,000
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=MAX_CUSTOMERS))]
    customers: u64,
    /// Days logged, 30 to 3650
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(i32).range(i64::from(DAYS_RANGE.0)..=i64::from(DAYS_RANGE.1)))]
    days: i32,
    /// Same seed, same bytes
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// First instant of the log, midnight UTC
    #[arg(long, default_value = DEFAULT_START)]
    start: Timestamp,
    /// Folder to write; must be absent or empty
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace an earlier simulation in that folder
    #[arg(long)]
    force: bool,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let options =
        Options::new(args.customers, args.days, Seed(args.seed), args.start).map_err(Failure::call)?;
    let currency: Currency = "GBP".parse()?;
    let bar = progress::bar(args.customers, "simulating customers");
    #[expect(clippy::disallowed_methods, reason = "the command tells how long it took")]
    let begun = Instant::now();
    let written = write(&options, currency, &args.out, args.force, &|n_done| bar.set_position(n_done));
    bar.finish_and_clear();
    let summary = written.map_err(failure)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        say!("{}", told(&summary, args, begun.elapsed()));
    }
    Ok(())
}

/// A folder that is in the way is the caller's to choose; all else is work that failed.
fn failure(error: SimulateError) -> Failure {
    match error {
        SimulateError::NotEmpty(_) | SimulateError::NotASimulation(_) => Failure::call(error),
        other => Failure::Work(other.into()),
    }
}

fn told(summary: &Summary, args: &Args, elapsed: Duration) -> String {
    let counts = &summary.counts;
    format!(
        "{} events of {} customers over {} days, seed {}, in {:.1} s\n\
         {} orders, {} decisions, {} customers gone, {} events delivered twice, {} not yet known at the end\n\
         {}: events.parquet, decisions.parquet, truth/, simulation.json",
        counts.n_events,
        args.customers,
        args.days,
        args.seed,
        elapsed.as_secs_f64(),
        counts.n_orders,
        counts.n_decisions,
        counts.n_gone,
        counts.n_duplicates,
        counts.n_not_yet_known,
        args.out.display(),
    )
}
