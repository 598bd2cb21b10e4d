//! `nextbest fit`: any table in, one sealed model out, with what was inferred of every column.

use std::path::{Path, PathBuf};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use nextbest_models::table::LabelValue;
use nextbest_models::units::Seed;
use nextbest_training::learner::{self, Direction, Monotone};
use nextbest_training::metrics::Estimate;
use nextbest_training::table::{
    self, ColumnReport, FitOptions, FitReport, KeyedPrediction, Progress, TableError,
};
use nextbest_training::{report, seal};

use crate::exit::{Failure, Outcome, say};
use crate::import::grouped;
use crate::output::{self, STDOUT};
use crate::progress::spinner;
use crate::train::candidates;

/// Fit a model on any CSV(.gz) or Parquet table: one sealed artifact
///
/// The columns' kinds are inferred and shown: numbers, dates, yes and no, categories. Ids, constants, sentences and
/// columns that alone nearly decide the outcome are left out and named; --keep takes one all the same. Candidates are
/// compared out of fold, or out of time with --time-column.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 fitted; 1 the data is faulty or teaches nothing; 2 the call is wrong. Nothing is \
written but with 0.\n\nExamples:\n  nextbest fit --table telco_churn.csv.gz --key customerID --label Churn=Yes --out \
churn.nba\n  nextbest fit --table visits.parquet --label bought=1 --time-column day --drop comment --out buy.nba \
--report buy.html\n  nextbest fit --table offers.csv --label bought=1 --monotone \"price=-1,income=+1\" --out offer.nba"
)]
pub struct Args {
    /// CSV (.csv .tsv .txt), plain or gzipped, or Parquet
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// The column that names a row; rows of one key stay in one fold. Default: the row's number
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// The outcome: this column has this value; rows where it is missing are left out
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = label)]
    label: LabelValue,
    /// Columns to leave out
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    drop: Vec<String>,
    /// Columns to keep although they look like ids, sentences or leaks
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    keep: Vec<String>,
    /// Columns whose cells are names, though they look like numbers
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    category: Vec<String>,
    /// Texts that count as missing, besides NA, N/A, null, nan and the like
    #[arg(long, value_name = "A,B", value_delimiter = ',', allow_hyphen_values = true)]
    missing: Vec<String>,
    /// A column of weights, at least 0
    #[arg(long, value_name = "COLUMN")]
    weight_column: Option<String>,
    /// Test on the last fifth of the rows by this column of dates or numbers, calibrate on the fifth before
    #[arg(long, value_name = "COLUMN")]
    time_column: Option<String>,
    /// Folds as this column has them
    #[arg(long, value_name = "COLUMN")]
    fold_column: Option<String>,
    /// Keep rows of one group in one fold
    #[arg(long, value_name = "COLUMN")]
    group_column: Option<String>,
    /// Columns along which the probability may only rise (+1) or only fall (-1), of numbers, dates, or yes and no
    ///
    /// A rising price that must never make a purchase likelier: --monotone "price=-1,income=+1". Candidates that cannot
    /// promise it are left out and named.
    #[arg(long, value_name = "A=+1,B=-1", value_delimiter = ',', value_parser = direction)]
    monotone: Vec<(String, Direction)>,
    /// Of every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The model's name. Default: the label's column
    #[arg(long)]
    name: Option<String>,
    /// The artifact to write
    #[arg(long, value_name = "FILE.nba")]
    out: PathBuf,
    /// Write key, probability and outcome of every row scored out of fold, or of the last fifth in time
    #[arg(long, value_name = "FILE.csv")]
    predictions: Option<PathBuf>,
    /// Write the report as JSON; - prints it instead of the text
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
    /// Write the report as a page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// Fits, writes, tells.
pub fn run(args: &Args) -> Outcome {
    let mut outputs: Vec<(&str, &Path)> = vec![("--out", &args.out)];
    outputs.extend(args.json.as_deref().map(|path| ("--json", path)));
    outputs.extend(args.predictions.as_deref().map(|path| ("--predictions", path)));
    outputs.extend(args.report.as_deref().map(|path| ("--report", path)));
    output::check(&outputs, &[&args.table])?;
    let bar = spinner();
    let fitted = table::fit(&options(args)?, &learner::constrained, &|progress| {
        bar.set_message(match progress {
            Progress::Inferring(n) => format!("what the columns are: {} rows", grouped(n)),
            Progress::Filling(n) => format!("reading numbers: {} rows", grouped(n)),
            Progress::Fitting => "fitting candidates".to_owned(),
        });
        bar.tick();
    });
    bar.finish_and_clear();
    let fitted = fitted.map_err(failure)?;
    let json = serde_json::to_string_pretty(&fitted.report)?;
    let to_stdout = args.json.as_deref() == Some(Path::new(STDOUT));
    if let Some(path) = args.predictions.as_deref() {
        seal::place(path, &out_of_sample(&fitted.predictions)?)?;
    }
    if let Some(path) = args.report.as_deref() {
        seal::place(path, report::fit_html(&fitted.report).as_bytes())?;
    }
    if let Some(path) = args.json.as_deref().filter(|_| !to_stdout) {
        seal::place(path, json.as_bytes())?;
    }
    seal::place(&args.out, fitted.artifact.as_bytes())?;
    if to_stdout {
        say!("{json}");
    } else {
        say!("{}", told(&fitted.report, &args.out));
    }
    Ok(())
}

/// The rows scored by models that had not seen them, as CSV.
fn out_of_sample(predictions: &[KeyedPrediction]) -> anyhow::Result<Vec<u8>> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    lines.write_record(["row_key", "probability", "outcome"])?;
    for row in predictions {
        let outcome = u8::from(row.outcome).to_string();
        lines.write_record([row.key.as_str(), &row.probability.to_string(), &outcome])?;
    }
    Ok(lines.into_inner()?)
}

/// How a command ends that met `error`.
pub fn failure(error: TableError) -> Failure {
    if error.is_wrong_call() { Failure::call(error) } else { error.into() }
}

pub fn label(text: &str) -> Result<LabelValue, String> {
    let (column, value) = text.split_once('=').unwrap_or((text, ""));
    let (column, value) = (column.trim().to_owned(), value.trim().to_owned());
    if column.is_empty() || value.is_empty() {
        return Err("a label is COLUMN=VALUE, such as Churn=Yes".to_owned());
    }
    Ok(LabelValue { column, value })
}

/// `price=-1`: a column and which way the probability may move along it.
fn direction(text: &str) -> Result<(String, Direction), String> {
    let (column, sign) = text.rsplit_once('=').unwrap_or((text, ""));
    let direction = match sign.trim() {
        "+1" => Direction::Increasing,
        "-1" => Direction::Decreasing,
        _ => return Err("a constraint is COLUMN=+1 (never falls) or COLUMN=-1 (never rises)".to_owned()),
    };
    if column.trim().is_empty() {
        Err("no column is named".to_owned())
    } else {
        Ok((column.trim().to_owned(), direction))
    }
}

fn options(args: &Args) -> Result<FitOptions, Failure> {
    let mut monotone = Monotone::new();
    for (column, direction) in &args.monotone {
        if monotone.insert(column.clone(), *direction).is_some_and(|before| before != *direction) {
            return Err(Failure::call(format!("--monotone: {column:?} is held to both directions")));
        }
    }
    Ok(FitOptions {
        table: args.table.clone(),
        name: args.name.clone().unwrap_or_else(|| args.label.column.clone()),
        key: args.key.clone(),
        label: args.label.clone(),
        drop: args.drop.clone(),
        keep: args.keep.clone(),
        category: args.category.clone(),
        missing: args.missing.clone(),
        weight_column: args.weight_column.clone(),
        time_column: args.time_column.clone(),
        fold_column: args.fold_column.clone(),
        group_column: args.group_column.clone(),
        monotone,
        seed: Seed(args.seed),
    })
}

/// The report for a person.
fn told(report: &FitReport, out: &Path) -> String {
    let mut parts = vec![columns(&report.columns), warnings(report).join("\n"), split(report)];
    parts.push(candidates(std::slice::from_ref(&report.propensity)));
    parts.push(outcome(report, out));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

/// Columns that the text shows.
const N_SHOWN: usize = 100;

fn columns(columns: &[ColumnReport]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["column", "is", "missing", "different", ""]);
    for column in columns.iter().take(N_SHOWN) {
        let least = if column.distinct_exact { "" } else { "> " };
        table.add_row([
            column.name.clone(),
            use_of(column),
            if column.n_missing > 0 { grouped(column.n_missing) } else { String::new() },
            format!("{least}{}", grouped(column.n_distinct)),
            remark(column),
        ]);
    }
    for right in [2, 3] {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let more = columns.len().saturating_sub(N_SHOWN);
    let rest = if more > 0 { format!("\n and {more} more: --json lists them") } else { String::new() };
    format!("{table}{rest}")
}

/// `number`, or `left out: id like`.
fn use_of(column: &ColumnReport) -> String {
    match (&column.left_out, column.kind) {
        (Some(reason), _) => {
            let reason = serde_json::to_value(reason).ok();
            let reason =
                reason.as_ref().and_then(|reason| reason.as_str()).unwrap_or_default().replace('_', " ");
            format!("left out: {reason}")
        }
        (None, kind) => kind.unwrap_or_default().to_owned(),
    }
}

/// Range or levels, missing tokens, and what was noted.
fn remark(column: &ColumnReport) -> String {
    let mut parts = Vec::new();
    if column.left_out.is_none() {
        match (column.kind, column.range) {
            (Some("number"), Some((low, high))) => parts.push(format!("{low} to {high}")),
            (Some("category"), _) => {
                let levels: Vec<&str> =
                    column.frequent.iter().take(3).map(|(text, _)| text.as_str()).collect();
                let n_levels = column.n_levels.unwrap_or_default();
                let more = if n_levels > levels.len() { ", ..." } else { "" };
                parts.push(format!("{n_levels} levels: {}{more}", levels.join(", ")));
            }
            _ => {}
        }
        if column.n_other > 0 {
            parts.push(format!("{} rows of rarer levels share one code", grouped(column.n_other)));
        }
        let tokens = column.missing.keys().filter(|token| !token.is_empty());
        let tokens: Vec<String> = tokens.map(|token| format!("{token:?}")).collect();
        if !tokens.is_empty() {
            parts.push(format!("{} taken as missing", tokens.join(", ")));
        }
    }
    if !column.note.is_empty() {
        parts.push(column.note.clone());
    }
    parts.join("; ")
}

/// What a person should look at before trusting the model.
fn warnings(report: &FitReport) -> Vec<String> {
    let mut lines = Vec::new();
    for leak in &report.suspected_leaks {
        let column = report.columns.iter().find(|column| column.name == leak.column);
        let kept = column.is_some_and(|column| column.left_out.is_none());
        let done = if kept { "kept as asked" } else { "left out; --keep takes it all the same" };
        lines.push(format!("suspected leak: {}: {} ({done})", leak.column, leak.why()));
    }
    let duplicates = report.duplicates;
    if duplicates.n_rows > 0 {
        lines.push(format!(
            "{} rows equal an earlier one in every feature and the outcome, {} of them one in another fold",
            grouped(duplicates.n_rows),
            grouped(duplicates.n_across)
        ));
    }
    if report.n_repeated_keys > 0 {
        lines.push(format!("{} rows repeat a key; they are kept", grouped(report.n_repeated_keys)));
    }
    if report.n_unlabelled > 0 {
        lines.push(format!("{} rows have no label and are left out", grouped(report.n_unlabelled)));
    }
    lines.extend(report.notes.iter().cloned());
    lines
}

fn split(report: &FitReport) -> String {
    let split = &report.split;
    let by = match &split.column {
        Some(column) => format!("{} {column}", split.by.replace('_', " ")),
        None => split.by.to_owned(),
    };
    let part = |part: &table::PartCount| {
        format!(
            "{} {} rows, {} with",
            part.name,
            grouped(part.n_rows as u64),
            grouped(part.n_positive as u64)
        )
    };
    let parts: Vec<String> = split.parts.iter().map(part).collect();
    format!("split by {by}: {}", parts.join("; "))
}

fn outcome(report: &FitReport, out: &Path) -> String {
    let test = &report.propensity.test;
    let show = |e: Estimate| format!("{:.4} (standard error {:.4})", e.value, e.se);
    let n_features = report.columns.iter().filter(|column| column.left_out.is_none()).count();
    format!(
        "{} rows, {} with {}; {n_features} features; AUC {}, log-loss {}; sealed into {}",
        grouped(report.n_rows),
        grouped(report.n_positive),
        report.label,
        test.auc.map_or("-".to_owned(), show),
        show(test.log_loss),
        out.display()
    )
}
