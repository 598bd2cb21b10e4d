//! `nextbest report at-risk`: lists of past days, built as they would have been then, beside what became of their customers.
//!
//! A list is judged by models that knew nothing from its day on: the newest artifact of the project whose training had ended
//! by then, else models trained for the report.

use std::path::Path;

use comfy_table::{Table, presets::NOTHING};
use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::keys::Keys;
use nextbest_functions::snapshot::{self, AtRisk, CHURN, Order, SAVE};
use nextbest_functions::store::{Store, StoredCustomer};
use nextbest_models::artifact::Artifact;
use nextbest_models::event::Event;
use nextbest_models::project::{LabelRule, Project};
use nextbest_models::units::Timestamp;
use nextbest_training::backtest::{AtCutoff, Backtest, Listed, ModelSource, followed, judge};
use nextbest_training::cutoff::fold;
use nextbest_training::event_log::EventLog;
use nextbest_training::report::backtest_html;
use nextbest_training::train::{self, TrainError};
use rayon::prelude::*;

use super::page::PageArgs;
use crate::exit::{Failure, Outcome};
use crate::folder::Folder;
use crate::load::config;
use crate::progress;

/// What `nextbest report at-risk` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest report at-risk --project examples/shop --cutoffs 2")]
pub struct Args {
    #[command(flatten)]
    page: PageArgs,
    /// So many lists, `step_days` of nextbest.toml apart, the last as late as churn has matured
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=24))]
    cutoffs: u8,
}

/// Builds and counts, writes the page, tells.
pub fn run(args: &Args) -> Outcome {
    let folder = args.page.folder()?;
    let report = look(&folder, args)?;
    args.page.hand_over(&folder, "at-risk.html", &backtest_html(&report), &report, table)
}

fn look(folder: &Folder, args: &Args) -> Result<Backtest, Failure> {
    let project = &folder.project;
    let label = project.settings.labels.get(CHURN);
    let label = label.ok_or_else(|| Failure::call(format!("nextbest.toml has no [labels.{CHURN}]")))?;
    let log = EventLog::open(folder.events())?;
    let as_of = args.page.as_of(&log)?;
    let last = as_of.day().plus(-label.horizon_days);
    let lists: Result<Vec<List>, Failure> = (0..i32::from(args.cutoffs))
        .rev()
        .map(|back| {
            let cutoff = last.plus(-back * project.settings.training.step_days).start();
            List::of(folder, &log, label, (cutoff, as_of))
        })
        .collect();
    let lists = lists?;
    let order = lists.iter().filter_map(|list| list.order).next_back().unwrap_or(Order::ValueAtRisk);
    let valued = lists.iter().all(|list| list.order.is_none() || list.valued);
    Ok(Backtest {
        name: project.settings.name.clone(),
        policy_sha256: project.fingerprint(),
        as_of,
        churn_definition: label.clone(),
        order: order.as_str(),
        value: if valued { "lifetime_value" } else { "recent_value" },
        notes: notes(&lists),
        cutoffs: lists.into_iter().map(|list| list.told).collect(),
    })
}

/// One list, and how it came about.
struct List {
    told: AtCutoff,
    /// None where nothing was listed.
    order: Option<Order>,
    /// Whether lifetime values were told.
    valued: bool,
}

impl List {
    fn of(
        folder: &Folder,
        log: &EventLog,
        label: &LabelRule,
        (cutoff, as_of): (Timestamp, Timestamp),
    ) -> Result<Self, Failure> {
        let mut told = AtCutoff {
            cutoff,
            source: None,
            trained_through: None,
            artifact_sha256: None,
            judged: None,
            code: None,
            reason: None,
        };
        let (artifact, source) = match models_of(folder, log, cutoff) {
            Ok(found) => found,
            Err(TrainError::Plan(error)) => {
                (told.code, told.reason) = (Some("too_early"), Some(error.to_string()));
                return Ok(Self { told, order: None, valued: false });
            }
            Err(error) => return Err(error.into()),
        };
        told.source = Some(source);
        told.trained_through = Some(artifact.metadata().trained_through);
        told.artifact_sha256 = Some(artifact.sha256().to_owned());
        let app = app(folder, artifact, cutoff)?;
        let mut rows = listed(&app, log, label, (cutoff, as_of))?;
        let order = first_order(&rows);
        let valued = rows.iter().all(|(row, _)| row.clv.is_some());
        rows.sort_by(|a, b| order.compare()(&a.0, &b.0));
        let list: Vec<Listed> =
            rows.into_iter().map(|(row, listed)| with_value(&row, listed, valued)).collect();
        told.judged = judge(&list);
        if told.judged.is_none() {
            let activity = &folder.project.settings.activity;
            told.code = Some("nobody_listed");
            told.reason = Some(format!("nobody was active within the {} days before", activity.window_days));
        }
        let order = told.judged.is_some().then_some(order);
        Ok(Self { told, order, valued })
    }
}

/// The first order the list has, as the snapshot chooses it.
fn first_order(rows: &[(AtRisk, Listed)]) -> Order {
    let some = |of: fn(&AtRisk) -> bool| rows.iter().any(|(row, _)| of(row));
    if some(|row| row.net_save_value_minor.is_some()) { Order::NetSaveValue } else { Order::ValueAtRisk }
}

#[expect(clippy::cast_precision_loss, reason = "amounts stay far below 2^53")]
fn with_value(row: &AtRisk, listed: Listed, valued: bool) -> Listed {
    let value = row.clv.filter(|_| valued).map_or(row.recent_value_minor, |clv| clv.value_minor);
    Listed { value_minor: value as f64, ..listed }
}

/// The newest artifact that knew nothing from `cutoff` on; without one, models trained on what was known by then.
fn models_of(
    folder: &Folder,
    log: &EventLog,
    cutoff: Timestamp,
) -> Result<(Artifact, ModelSource), TrainError> {
    let fingerprint = folder.project.schema.fingerprint();
    let open = |path: &Path| {
        let sealed = path.extension().is_some_and(|extension| extension == "nba");
        // What does not open, or is of other features, is no artifact of this project.
        let artifact =
            Artifact::from_bytes(std::fs::read(path).ok().filter(|_| sealed)?, Some(fingerprint)).ok()?;
        let knew_nothing = artifact.metadata().trained_through <= cutoff;
        (knew_nothing && artifact.propensity(CHURN).is_some()).then_some(artifact)
    };
    let files = std::fs::read_dir(folder.artifacts()).into_iter().flatten().flatten();
    let found = files.filter_map(|file| open(&file.path()));
    if let Some(newest) = found.max_by_key(|one| (one.metadata().trained_through, one.sha256().to_owned())) {
        return Ok((newest, ModelSource::Artifact));
    }
    let bar = progress::bar(log.n_buckets().into(), "training as of then");
    let trained = train::train(&folder.project, log, Some(cutoff), &|| bar.inc(1));
    bar.finish_and_clear();
    Ok((trained?.artifact, ModelSource::Refitted))
}

/// The functions as they would have run on that day; nothing is read from a store.
fn app(folder: &Folder, artifact: Artifact, now: Timestamp) -> Result<App, Failure> {
    let store = Store::local("http://127.0.0.1:1", "none");
    Ok(App::with_artifact(&config(folder, &store, Keys::default()), artifact, store, Clock::fixed(now))?)
}

/// Every customer of the list of `cutoff`, with what became of them by `as_of`.
fn listed(
    app: &App,
    log: &EventLog,
    label: &LabelRule,
    (cutoff, as_of): (Timestamp, Timestamp),
) -> Result<Vec<(AtRisk, Listed)>, Failure> {
    let project = &app.project;
    let bar = progress::bar(log.n_buckets().into(), "listing customers");
    let of_bucket = |bucket: u32| -> Result<Vec<(AtRisk, Listed)>, Failure> {
        let mut rows = Vec::new();
        for group in log.customers(bucket)? {
            let (id, events) = group?;
            let (customer, _) = fold(&project.schema, &id, &events, cutoff);
            if customer.n_events() == 0 {
                continue;
            }
            let stored = StoredCustomer { customer, version: 1, reservations: Vec::new() };
            let row = snapshot::score(app, &stored);
            rows.extend(row.and_then(|row| judged(project, label, row, &events, (cutoff, as_of))));
        }
        bar.inc(1);
        Ok(rows)
    };
    let parts: Vec<_> = (0..log.n_buckets()).into_par_iter().map(of_bucket).collect();
    bar.finish_and_clear();
    let parts: Result<Vec<_>, Failure> = parts.into_iter().collect();
    Ok(parts?.into_iter().flatten().collect())
}

/// The row beside what followed; its value is filled in once it is known what all rows have.
fn judged(
    project: &Project,
    label: &LabelRule,
    row: AtRisk,
    events: &[Event],
    between: (Timestamp, Timestamp),
) -> Option<(AtRisk, Listed)> {
    let saving = project.settings.uplifts.get(SAVE).map_or(&[][..], |rule| &rule.campaign_type);
    let of_list =
        |id: &str| project.policy.action(id).is_some_and(|action| saving.contains(&action.campaign_type));
    let (churned, contacted) = followed(label, events, between, of_list)?;
    let listed = Listed {
        churn_probability: row.churn_probability,
        band: row.band.clone(),
        value_minor: 0.0,
        held_out: row.control.policy,
        contacted,
        churned,
    };
    Some((row, listed))
}

fn notes(lists: &[List]) -> Vec<String> {
    let refitted = lists.iter().filter(|list| list.told.source == Some(ModelSource::Refitted)).count();
    let mut notes = Vec::new();
    if refitted > 0 {
        notes.push(format!(
            "{refitted} of {} lists are by models trained for this report: no artifact of the project is old enough",
            lists.len()
        ));
    }
    if lists.iter().any(|list| {
        list.told.judged.as_ref().is_some_and(|it| it.difference.code == Some("control_contacted"))
    }) {
        notes.push(
            "customers whom today's policy holds out were contacted: the log is of another policy, and tells no difference"
                .to_owned(),
        );
    }
    notes
}

fn table(report: &Backtest) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "list of",
        "models",
        "customers",
        "expected to leave",
        "left",
        "in the first tenth",
        "contacted less held out",
    ]);
    for at in &report.cutoffs {
        let source = at.source.map_or("-".to_owned(), |source| format!("{source:?}").to_lowercase());
        let Some(judged) = &at.judged else {
            let code = at.code.unwrap_or_default().to_owned();
            table.add_row([at.cutoff.day().to_string(), source, code]);
            continue;
        };
        let (first, last) = (judged.curve.get(judged.curve.len() / 10), judged.curve.last());
        let difference = judged.difference;
        table.add_row([
            at.cutoff.day().to_string(),
            source,
            judged.n_customers.to_string(),
            last.map_or(String::new(), |end| format!("{:.0}", end.expected_churners)),
            judged.n_churned.to_string(),
            first
                .and_then(|point| point.share_of_churners)
                .map_or("-".to_owned(), |of| format!("{:.1} %", 100.0 * of)),
            difference.estimate.map_or(difference.code.unwrap_or_default().to_owned(), |it| {
                format!("{:+.1} ({:+.1} to {:+.1}) points", 100.0 * it.value, 100.0 * it.lo, 100.0 * it.hi)
            }),
        ]);
    }
    let notes: String = report.notes.iter().map(|note| format!("\nnote: {note}")).collect();
    format!("lists by {}\n{table}{notes}", report.order)
}
