//! `nextbest report metrics`: one pass over the event log, a page, a table.

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use nextbest_models::units::Timestamp;
use nextbest_training::event_log::EventLog;
use nextbest_training::lifecycle::{LifecycleReport, Look, Tally, Unit};
use nextbest_training::report::{interval, lifecycle_html};
use rayon::prelude::*;

use super::page::PageArgs;
use crate::exit::{Failure, Outcome};
use crate::folder::Folder;
use crate::progress;

/// Counts, writes the page, tells.
pub fn run(args: &PageArgs) -> Outcome {
    let folder = args.folder()?;
    let log = EventLog::open(folder.events())?;
    let report = look(&folder, &log, args.as_of(&log)?)?;
    args.hand_over(&folder, "metrics.html", &lifecycle_html(&report), &report, table)
}

fn look(folder: &Folder, log: &EventLog, as_of: Timestamp) -> Result<LifecycleReport, Failure> {
    let look = Look::new(&folder.project, as_of);
    let bar = progress::bar(log.n_buckets().into(), "counting customers");
    let count = |bucket: u32| -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for group in log.customers(bucket)? {
            let (id, events) = group?;
            look.add(&id, &events, &mut tally);
        }
        bar.inc(1);
        Ok(tally)
    };
    let parts: Vec<Result<Tally, Failure>> = (0..log.n_buckets()).into_par_iter().map(count).collect();
    bar.finish_and_clear();
    let mut all = Tally::default();
    for part in parts {
        all.merge(&part?);
    }
    Ok(look.report(&all))
}

fn table(report: &LifecycleReport) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["metric", "value", "95 % interval", "of"]);
    for metric in &report.metrics {
        let (value, between) = interval(metric.unit, &metric.measure);
        let of = format!("{} {}", metric.measure.denominator, metric.denominator_is);
        table.add_row([metric.title.to_owned(), value, between, of]);
    }
    table.column_mut(1).into_iter().for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    let stages = report
        .stages
        .iter()
        .filter(|one| one.share.numerator > Some(0))
        .map(|one| format!("{} {}", one.stage.as_str(), interval(Unit::Share, &one.share).0));
    let notes: String = report.notes.iter().map(|note| format!("\nnote: {note}")).collect();
    format!(
        "{} customers as of {}\n{table}\nstages: {}{notes}",
        report.n_customers,
        report.as_of,
        stages.collect::<Vec<_>>().join(", ")
    )
}
