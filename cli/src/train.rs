//! `nextbest train`: the event log in, one sealed artifact and its report out.

use std::path::PathBuf;

use comfy_table::{Table, presets::NOTHING};
use nextbest_models::pricing::DemandLevel;
use nextbest_models::units::Timestamp;
use nextbest_training::event_log::EventLog;
use nextbest_training::lifetime::{RealisedCode, RealisedReport};
use nextbest_training::seal::{self, Sealed};
use nextbest_training::selection::PropensityReport;
use nextbest_training::train::{self, TrainError, TrainingReport};
use serde::Serialize;

use crate::ask::Product;
use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::progress;

/// What `nextbest train` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest train --project examples/retail --as-of 2011-12-10T00:00:00Z")]
pub struct Args {
    /// The project folder.
    #[arg(long, default_value = "examples/shop")]
    project: PathBuf,
    /// The present of the run: nothing known at or after it goes in. Default: the end of the log.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
}

/// What a run made.
#[derive(Serialize)]
pub struct Trained {
    files: Sealed,
    report: TrainingReport,
}

/// Trains and tells.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.project)?;
    let log = EventLog::open(folder.events())?;
    let trained = train(&folder, &log, args.as_of)?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&trained)?);
    } else {
        say!("{}\n\n{}", trained.table(), trained.sentence());
    }
    Ok(())
}

/// Trains on `log` and writes the artifact and reports into the folder.
pub fn train(folder: &Folder, log: &EventLog, as_of: Option<Timestamp>) -> Result<Trained, Failure> {
    let bar = progress::bar(log.n_buckets().into(), "replaying customers");
    let trained = train::train(&folder.project, log, as_of, &|| bar.inc(1));
    bar.finish_and_clear();
    let trained = trained.map_err(|error| match error {
        // A log too short for the labels is the project's to change.
        TrainError::Plan(_) => Failure::call(error),
        other => other.into(),
    })?;
    let files = seal::write(&folder.artifacts(), &trained)?;
    Ok(Trained { files, report: trained.report })
}

impl Trained {
    /// Every candidate with its quality out of time.
    pub fn table(&self) -> String {
        candidates(&self.report.propensities)
    }

    /// What was made, for people.
    pub fn sentence(&self) -> String {
        let report = &self.report;
        let chosen = report.propensities.iter().map(|model| {
            let auc = model.test.auc.map_or("-".to_owned(), |auc| format!("{:.3}", auc.value));
            format!("{} AUC {auc}", model.name)
        });
        let chosen: Vec<String> = chosen.collect();
        let demand = report.demand.as_ref().map_or("no demand model".to_owned(), |demand| {
            format!(
                "demand of {} SKUs",
                demand.records.iter().filter(|r| r.level == DemandLevel::Sku).count()
            )
        });
        let value = report.realised_value.as_ref().and_then(value).unwrap_or_default();
        let (rows, file) = (report.n_rows, self.files.artifact.display());
        format!("{rows} rows; {}; {demand}; {value}sealed into {file}", chosen.join(", "))
    }

    /// Where the report for people lies.
    pub fn page(&self) -> String {
        self.files.report_html.display().to_string()
    }

    /// A product to ask a price for: of those with a list price in pricing.toml, or else of all, the one of which
    /// most is known.
    pub fn product(&self, folder: &Folder) -> Result<Product, Failure> {
        let records = self.report.demand.as_ref().map(|demand| demand.records.as_slice()).unwrap_or_default();
        let rules = &folder.project.pricing;
        let skus =
            records.iter().filter(|record| record.level == DemandLevel::Sku && record.elasticity.is_some());
        let best =
            skus.max_by_key(|record| (rules.sku(&record.name).is_some(), record.n_weeks, record.n_units));
        let best =
            best.ok_or_else(|| Failure::Work(anyhow::anyhow!("no product was ever sold at two prices")))?;
        let list = rules.sku(&best.name).map(|rules| rules.list_price_minor);
        Ok(Product { sku: best.name.clone(), list_price_minor: list.unwrap_or(best.reference_price_minor) })
    }
}

/// Who tells what customers will bring where the closed form misfits, and how far off each was; none where nothing was compared.
fn value(report: &RealisedReport) -> Option<String> {
    let trees = report.error("trees")?;
    let others = ["closed_form", "mean"].iter().filter_map(|name| report.error(name));
    let others: Vec<String> =
        others.map(|error| format!("{:.0} by {}", error.rmse, error.model.replace('_', " "))).collect();
    let teller = if report.code == RealisedCode::LessError { "trees" } else { "closed form" };
    Some(format!(
        "lifetime value by {teller} (error over {} weeks {:.0} by trees, {}); ",
        report.n_weeks,
        trees.rmse,
        others.join(", ")
    ))
}

/// Every candidate of `models` with its quality on rows it was not fitted on, the chosen ones starred; below them, who was left
/// out, and why.
pub fn candidates(models: &[PropensityReport]) -> String {
    let (mut table, mut left_out) = (Table::new(), String::new());
    table.load_style(NOTHING);
    table.set_header([
        "",
        "model",
        "learner",
        "AUC",
        "log-loss",
        "calibration error",
        "base rate",
        "test rows",
    ]);
    for model in models {
        for candidate in &model.candidates {
            let mark = if candidate.chosen { "*" } else { "" };
            let Some(quality) = &candidate.test else {
                let why = candidate.failure.as_deref().unwrap_or(candidate.learner);
                left_out += &format!("\na candidate is left out: {why} ({})", model.name);
                continue;
            };
            table.add_row([
                mark.to_owned(),
                model.name.clone(),
                candidate.learner.to_owned(),
                quality.auc.map_or("-".to_owned(), |auc| format!("{:.4}", auc.value)),
                format!("{:.4}", quality.log_loss.value),
                format!("{:.4}", quality.calibration_error),
                format!("{:.4}", quality.base_rate),
                quality.n.to_string(),
            ]);
        }
    }
    format!("{table}{left_out}")
}
