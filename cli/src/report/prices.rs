//! `nextbest report prices`: two passes over the event log, a page, a table.

use std::collections::BTreeSet;

use comfy_table::{Table, presets::NOTHING};
use nextbest_models::artifact::Artifact;
use nextbest_models::customer::CustomerId;
use nextbest_models::event::{AttributeValue, Event, EventType};
use nextbest_models::project::Project;
use nextbest_models::units::Timestamp;
use nextbest_training::cutoff::fold;
use nextbest_training::event_log::EventLog;
use nextbest_training::prices::{GroupKey, Levels, Parity, PriceAudit, audit};
use nextbest_training::report::prices_html;
use rayon::prelude::*;

use super::current;
use super::page::PageArgs;
use crate::exit::{Failure, Outcome};
use crate::folder::Folder;
use crate::progress;

/// What `nextbest report prices` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest report prices --project examples/shop --days 90")]
pub struct Args {
    #[command(flatten)]
    page: PageArgs,
    /// So many days back
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=3650))]
    days: u16,
}

/// Counts, writes the page, tells.
pub fn run(args: &Args) -> Outcome {
    let folder = args.page.folder()?;
    let report = look(&folder, args)?;
    args.page.hand_over(&folder, "prices.html", &prices_html(&report), &report, table)
}

fn look(folder: &Folder, args: &Args) -> Result<PriceAudit, Failure> {
    let log = EventLog::open(folder.events())?;
    let until = args.page.as_of(&log)?;
    let from = until.plus_days(-i32::from(args.days));
    let artifact = current(folder)?;
    let project = &folder.project;
    let bar = progress::bar(2 * u64::from(log.n_buckets()), "reading prices");
    let levels = |bucket: u32| -> Result<Levels, Failure> {
        let mut levels = Levels::default();
        for group in log.customers(bucket)? {
            let (id, events) = group?;
            let (demand, groups) =
                (artifact.as_ref().and_then(Artifact::demand), groups_of(project, &id, &events, until));
            within(&events, from, until).for_each(|event| levels.add(project, demand, &groups, event));
        }
        bar.inc(1);
        Ok(levels)
    };
    let mut all = Levels::default();
    for part in (0..log.n_buckets()).into_par_iter().map(levels).collect::<Vec<_>>() {
        all.merge(part?);
    }
    let parity = |bucket: u32| -> Result<Parity, Failure> {
        let mut parity = Parity::default();
        for group in log.customers(bucket)? {
            let (id, events) = group?;
            let shown: Vec<Event> = within(&events, from, until).cloned().collect();
            parity.add(project, &all, &groups_of(project, &id, &events, until), &shown);
        }
        bar.inc(1);
        Ok(parity)
    };
    let mut sum = Parity::default();
    for part in (0..log.n_buckets()).into_par_iter().map(parity).collect::<Vec<_>>() {
        sum.merge(&part?);
    }
    bar.finish_and_clear();
    Ok(audit(project, artifact.as_ref(), &all, &sum, (from, until)))
}

fn within(events: &[Event], from: Timestamp, until: Timestamp) -> impl Iterator<Item = &Event> {
    events.iter().filter(move |event| event.occurred_at >= from && event.occurred_at < until)
}

/// What a customer is compared by, as of `until`: the audited attributes as they were told last, and the stage of life.
fn groups_of(project: &Project, id: &CustomerId, events: &[Event], until: Timestamp) -> BTreeSet<GroupKey> {
    let (customer, _) = fold(&project.schema, id, events, until);
    let stage = project.settings.lifecycle.stage(&customer, &project.schema, until.day());
    let stage = ("stage".to_owned(), stage.as_str().to_owned());
    let fields = project.pricing.audit_fields.iter();
    fields
        .filter_map(|field| {
            let told = events
                .iter()
                .filter(|event| event.event_type == EventType::AttributeSet && event.occurred_at < until);
            let latest = told.filter_map(|event| Some((event.occurred_at, event.attributes.get(field)?)));
            let (_, value) = latest.max_by_key(|(at, _)| *at)?;
            let text = match value {
                AttributeValue::Text(text) => text.clone(),
                AttributeValue::Number(number) => number.to_string(),
                AttributeValue::Flag(flag) => flag.to_string(),
            };
            Some((field.clone(), text))
        })
        .chain([stage])
        .collect()
}

fn table(report: &PriceAudit) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "field",
        "value",
        "customers",
        "prices",
        "price ratio, 95 %",
        "discount rate ratio, 95 %",
    ]);
    for group in &report.groups {
        let ratio =
            |r: nextbest_training::prices::Ratio| format!("{:.3} ({:.3} to {:.3})", r.value, r.lo, r.hi);
        table.add_row([
            group.field.clone(),
            group.value.clone(),
            group.n_customers.to_string(),
            group.n_shown.to_string(),
            group.price_ratio.map_or_else(|| "-".to_owned(), ratio),
            group.discount_ratio.map_or_else(|| "-".to_owned(), ratio),
        ]);
    }
    let margin: i64 = report.skus.iter().filter_map(|sku| sku.margin_minor).sum();
    let expected: f64 = report.skus.iter().filter_map(|sku| sku.expected_margin_minor).sum();
    let notes: String = report.notes.iter().map(|note| format!("\nnote: {note}")).collect();
    format!(
        "{} prices shown to {} customers; a ratio is against everybody else, same SKU and week\n{table}\nmargin {:.0}, expected at the \
         prices shown {:.0} (in the currency's units){notes}",
        report.n_shown,
        report.n_customers,
        margin as f64 / 100.0,
        expected / 100.0,
    )
}
