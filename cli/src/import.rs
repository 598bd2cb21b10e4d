//! `nextbest import`: a business's own files into the event log of a project, and what became of every row.
//!
//! Only wiring and the text of the report: the work is done by `nextbest_training::import`. Rejected rows are named
//! in the report; what counts as a wrong call (2) and what as failed work (1) is said by the error.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use nextbest_models::project::Settings;
use nextbest_training::event_log::N_BUCKETS;
use nextbest_training::event_log::manifest::Contents;
use nextbest_training::import::report::ImportReport;
use nextbest_training::import::{ImportError, Options, Progress, Rules, import};

use crate::exit::{Failure, Outcome, say};
use crate::progress::{spinner, stopwatch};

/// Import files into the event log, which is built anew from exactly these files
///
/// CSV and JSON lines (plain or gzipped) and Parquet are mapped through the [[source]] tables of nextbest.toml;
/// files that have the columns of events need none. Every row ends in exactly one bucket of the report. An earlier
/// log stands until the new one is complete: name all files each time, naming one twice changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 imported; 1 the data is faulty or the work failed; 2 the call or the project \
is wrong. Nothing is written but with 0.\n\nExample:\n  nextbest import --project examples/retail \
folder/online_retail.csv.gz"
)]
pub struct Args {
    /// The project folder
    #[arg(long, value_name = "DIR")]
    project: PathBuf,
    /// CSV(.gz), JSON lines(.gz) or Parquet
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Map every file by this source, whatever its name
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Write the log although up to this many rows are rejected
    #[arg(long, value_name = "N", default_value_t = 0)]
    max_rejected: u64,
    /// Write every rejected row with its fault into this CSV file
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Memory for sorting; what does not fit waits on disk
    #[arg(long, value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    memory_mib: u32,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> Outcome {
    let path = args.project.join("nextbest.toml");
    let text = fs::read_to_string(&path).map_err(|e| Failure::call(format!("{}: {e}", path.display())))?;
    let settings = Settings::parse(&text);
    let settings = settings.map_err(|e| Failure::call(format!("in {}:\n{e}", args.project.display())))?;
    let begun = stopwatch();
    match run_import(&settings, args) {
        Ok(report) if args.json => say!("{}", serde_json::to_string_pretty(&report)?),
        Ok(report) => say!("{}", told(&report, begun.elapsed())),
        Err(ImportError::Rejected { report, max_rejected }) => {
            let refused = ImportError::Rejected { report: report.clone(), max_rejected };
            let text = if args.json {
                serde_json::to_string_pretty(&report)?
            } else {
                told(&report, begun.elapsed())
            };
            say!("{text}");
            return Err(Failure::Work(anyhow::anyhow!("{refused}; nothing was written")));
        }
        Err(error) if error.is_wrong_call() => return Err(Failure::call(error)),
        Err(error) => return Err(Failure::Work(error.into())),
    }
    Ok(())
}

/// Imports the files of `args` into its project, with a bar where standard error is a terminal.
fn run_import(settings: &Settings, args: &Args) -> Result<ImportReport, ImportError> {
    let options = Options {
        source: args.source.clone(),
        max_rejected: args.max_rejected,
        rejects: args.rejects.clone(),
        memory_bytes: usize::try_from(args.memory_mib).unwrap_or(usize::MAX).saturating_mul(1 << 20),
    };
    with_bar(Rules::from(settings), &args.files, &args.project.join("data/events"), &options)
}

/// Imports `files` into the log `log_dir`, with a bar where standard error is a terminal.
pub fn with_bar(
    rules: Rules<'_>,
    files: &[PathBuf],
    log_dir: &Path,
    options: &Options,
) -> Result<ImportReport, ImportError> {
    let bar = spinner();
    let report = import(rules, files, log_dir, options, &|progress| {
        match progress {
            Progress::Rows(n) => bar.set_message(format!("reading: {n} rows")),
            Progress::Buckets(n) => bar.set_message(format!("writing: bucket {n} of {N_BUCKETS}")),
        }
        bar.tick();
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    report
}

/// The report for a person.
pub fn told(report: &ImportReport, elapsed: Duration) -> String {
    let mut parts = vec![buckets(report), conditions(report), notes(report)];
    if !report.faults.is_empty() {
        parts.push(faults(report));
    }
    parts.push(outcome(report, elapsed));
    parts.join("\n")
}

/// Faulty rows that the text names.
const NAMED: usize = 20;

fn table(header: [&str; 3]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    if let Some(column) = table.column_mut(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn buckets(report: &ImportReport) -> String {
    let mut table = table(["every row ends in one of", "rows", "which"]);
    for bucket in report.buckets.iter().filter(|bucket| bucket.n_rows > 0) {
        table.add_row([bucket.name.clone(), grouped(bucket.n_rows), bucket.meaning.clone()]);
    }
    let sum: u64 = report.buckets.iter().map(|bucket| bucket.n_rows).sum();
    table.add_row(["sum".to_owned(), grouped(sum), format!("rows read: {}", grouped(report.n_rows))]);
    table.to_string()
}

fn conditions(report: &ImportReport) -> String {
    let mut table = table(["true of, wherever they ended", "rows", "in"]);
    let duplicates = report.bucket("duplicate");
    for condition in &report.conditions {
        table.add_row([condition.name.clone(), grouped(condition.n_rows), spread(&condition.by_bucket)]);
    }
    table.add_row([
        "duplicate".to_owned(),
        grouped(duplicates),
        format!("{} duplicate", grouped(duplicates)),
    ]);
    table.to_string()
}

fn spread(by_bucket: &BTreeMap<String, u64>) -> String {
    by_bucket.iter().map(|(name, n)| format!("{} {name}", grouped(*n))).collect::<Vec<_>>().join("\n")
}

fn notes(report: &ImportReport) -> String {
    let counts = &report.cancellations;
    let mut lines = Vec::new();
    if counts.n_revisions > 0 {
        lines.push(format!(
            "cancellations: {} revisions, {} of them of a whole line, {} of a line at another price, {} capped by {} \
             minor units; {} units worth {} minor units found no line",
            grouped(counts.n_revisions),
            grouped(counts.n_whole),
            grouped(counts.n_other_price),
            grouped(counts.n_value_capped),
            counts.value_capped_minor,
            counts.quantity_unmatched,
            counts.value_unmatched_minor,
        ));
    }
    if report.n_times_ambiguous > 0 {
        lines.push(format!(
            "times: {} clock readings happened twice or never when clocks were changed; the first, or the offset \
             from before, was taken",
            grouped(report.n_times_ambiguous)
        ));
    }
    for file in &report.files {
        let source = file.source.as_deref().unwrap_or("events as they are");
        lines.push(format!(
            "{}: {} rows, {source}, sha256 {}",
            file.name,
            grouped(file.n_rows),
            &file.sha256
        ));
    }
    lines.join("\n")
}

fn faults(report: &ImportReport) -> String {
    let n_rejected = report.bucket("rejected");
    let codes = report.rejected_by_code.iter().map(|(code, n)| format!("{n} {code}")).collect::<Vec<_>>();
    let mut lines = vec![format!("rejected: {}", codes.join(", "))];
    lines.extend(report.faults.iter().take(NAMED).map(|fault| format!("  {fault}")));
    let more = n_rejected.saturating_sub(NAMED as u64);
    if more > 0 {
        lines.push(format!("  and {more} more: --rejects FILE writes all of them"));
    }
    lines.join("\n")
}

fn outcome(report: &ImportReport, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    let Some(log) = &report.log else { return format!("no log was written ({seconds:.1} s)") };
    let replaced = match &report.replaced {
        Some(old) => format!(", in place of one of {} events", grouped(old.n_events)),
        None => String::new(),
    };
    format!("log: {}{replaced} ({seconds:.1} s)", contents(log))
}

fn contents(log: &Contents) -> String {
    let span = match (log.first_occurred_at, log.last_occurred_at) {
        (Some(first), Some(last)) => format!(", {} to {}", first.day(), last.day()),
        _ => String::new(),
    };
    format!(
        "{} events of {} customers, {} of no customer{span}",
        grouped(log.n_events),
        grouped(log.n_customers),
        grouped(log.n_anonymous)
    )
}

/// 541909 as 541,909.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_in_threes() {
        assert_eq!([0, 999, 1000, 541_909].map(grouped), ["0", "999", "1,000", "541,909"]);
    }
}
