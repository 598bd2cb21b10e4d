//! `nextbest report`: what the policy does to the customers of a project, what prices they were shown,
//! what becomes of them, and whether the at-risk list was right.

use comfy_table::{Table, presets::NOTHING};
use nextbest_models::artifact::Artifact;
use nextbest_models::units::Timestamp;
use nextbest_training::cutoff::fold;
use nextbest_training::decisions::{DecisionReport, Tally};
use nextbest_training::event_log::EventLog;
use nextbest_training::report::decisions_html;
use rayon::prelude::*;

use crate::exit::{Failure, Outcome};
use crate::folder::Folder;
use crate::progress;

mod at_risk;
mod metrics;
mod page;
mod prices;

use page::PageArgs;

/// What `nextbest report` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest report decisions --project examples/shop")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Whom each action reaches, where the funnel loses the others, which factors decide, and the control groups.
    #[command(after_help = "Example:\n  nextbest report decisions --project examples/shop")]
    Decisions(PageArgs),
    /// What prices were shown to whom, ladders and elasticities, and margins beside what was expected.
    Prices(prices::Args),
    /// What becomes of customers: activation, retention, churn, loyalty, stages, promoters, contacts.
    #[command(after_help = "Example:\n  nextbest report metrics --project examples/shop")]
    Metrics(PageArgs),
    /// The at-risk lists of past days beside what became of their customers: churners, value, calibration, contacts.
    AtRisk(at_risk::Args),
}

/// Makes the report, writes its page, tells.
pub fn run(args: &Args) -> Outcome {
    match &args.what {
        What::Decisions(args) => {
            let folder = args.folder()?;
            let log = EventLog::open(folder.events())?;
            let report = decide_all(&folder, &log, args.as_of(&log)?)?;
            args.hand_over(&folder, "decisions.html", &decisions_html(&report), &report, table)
        }
        What::Prices(args) => prices::run(args),
        What::Metrics(args) => metrics::run(args),
        What::AtRisk(args) => at_risk::run(args),
    }
}

/// Every customer of the project's event log, decided once.
fn decide_all(folder: &Folder, log: &EventLog, as_of: Timestamp) -> Result<DecisionReport, Failure> {
    let artifact = current(folder)?;
    let bar = progress::bar(log.n_buckets().into(), "deciding");
    let decide = |bucket: u32| -> Result<Tally, Failure> {
        let mut tally = Tally::default();
        for group in log.customers(bucket)? {
            let (id, events) = group?;
            let (customer, _) = fold(&folder.project.schema, &id, &events, as_of);
            if customer.n_events() > 0 {
                tally.add(&folder.project, artifact.as_ref(), &customer, as_of);
            }
        }
        bar.inc(1);
        Ok(tally)
    };
    let parts: Vec<Result<Tally, Failure>> = (0..log.n_buckets()).into_par_iter().map(decide).collect();
    bar.finish_and_clear();
    let mut all = Tally::default();
    for part in parts {
        all.merge(part?);
    }
    Ok(all.report(&folder.project, artifact.as_ref(), as_of))
}

/// The artifact in use; none before the first training.
pub fn current(folder: &Folder) -> Result<Option<Artifact>, Failure> {
    let name = folder.artifacts().join("CURRENT");
    if !name.exists() {
        return Ok(None);
    }
    let path = folder.artifacts().join(std::fs::read_to_string(name)?.trim());
    let artifact = Artifact::from_bytes(std::fs::read(path)?, Some(folder.project.schema.fingerprint()))?;
    Ok(Some(artifact))
}

fn table(report: &DecisionReport) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["action", "survives for", "first for", "share", "most fall by"]);
    for action in &report.actions {
        let most = action.losses.first().map_or_else(String::new, |loss| loss.component.clone());
        table.add_row(vec![
            action.action_id.clone(),
            action.n_survived.to_string(),
            action.n_first.to_string(),
            format!("{:.1} %", 100.0 * action.share_first),
            most,
        ]);
    }
    let factors: Vec<String> = report
        .sensitivity
        .iter()
        .filter_map(|one| Some(format!("{:?} {:.0} %", one.factor, 100.0 * one.share?.value)))
        .collect();
    format!("{table}\nwinners that change without a factor: {}", factors.join(", "))
}
