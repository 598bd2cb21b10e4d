//! Scoring by a lifetime-value model: which columns, and what is told of the run.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nextbest_models::artifact::Artifact;
use nextbest_models::units::Day;
use nextbest_training::lifetime::{
    self, LifetimeError, LifetimeScoreOptions, LifetimeScoreReport, Source, SummaryTable, Transactions,
};
use nextbest_training::seal;
use nextbest_training::seal::Placing;

use crate::exit::{Failure, Outcome, say, tell};
use crate::fit_clv::{day, failure};
use crate::import::grouped;
use crate::output::STDOUT;
use crate::progress::spinner;

/// Of a lifetime-value model: where its customers stand.
#[derive(Debug, clap::Args)]
pub struct Columns {
    /// Lifetime values: a row per purchase instead of --table
    #[arg(long, value_name = "FILE")]
    pub transactions: Option<PathBuf>,
    /// Lifetime values: who bought. Default: customer_id
    #[arg(long, value_name = "COLUMN", requires = "transactions")]
    customer: Option<String>,
    /// Lifetime values: when. Default: date
    #[arg(long, value_name = "COLUMN", requires = "transactions")]
    date: Option<String>,
    /// Lifetime values: the end of the observation. Default: the last purchase's day
    #[arg(long, value_name = "DAY", value_parser = day, requires = "transactions")]
    observation_end: Option<Day>,
    /// Lifetime values: what was paid; of a summary the mean over repeat purchases
    #[arg(long, value_name = "COLUMN")]
    value: Option<String>,
    /// Lifetime values: repeat purchases. Default: x
    #[arg(long, value_name = "COLUMN", conflicts_with = "transactions")]
    x: Option<String>,
    /// Lifetime values: time of the last purchase since the first. Default: t_x
    #[arg(long, value_name = "COLUMN", conflicts_with = "transactions")]
    t_x: Option<String>,
    /// Lifetime values: time from the first purchase to the end of the observation. Default: T
    #[arg(long, value_name = "COLUMN", conflicts_with = "transactions")]
    age: Option<String>,
}

impl Columns {
    /// Whether anything was said that only a lifetime-value model reads.
    pub fn any(&self) -> bool {
        [&self.customer, &self.date, &self.value, &self.x, &self.t_x, &self.age]
            .into_iter()
            .any(Option::is_some)
            || self.transactions.is_some()
    }
}

/// Scores every customer and tells.
pub fn run(args: &super::Args, artifact: &Artifact) -> Outcome {
    if args.reasons > 0 {
        return Err(Failure::call(
            "--reasons: a lifetime value is a closed form of x, t_x and T; it has no reasons",
        ));
    }
    let stdout = Path::new(STDOUT);
    let report = if args.out == stdout {
        match scored(args, artifact, &mut io::stdout().lock()) {
            // A reader that has seen enough.
            Err(LifetimeError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            report => report.map_err(failure)?,
        }
    } else {
        let mut file = Placing::new(&args.out)?;
        let report = scored(args, artifact, &mut file).map_err(failure)?;
        file.finish()?;
        report
    };
    let json = serde_json::to_string_pretty(&report)?;
    match args.json.as_deref() {
        Some(path) if path == stdout => say!("{json}"),
        path => {
            if let Some(path) = path {
                seal::place(path, json.as_bytes())?;
            }
            let text = told(&report, &args.out);
            if args.out == stdout { tell(&text) } else { say!("{text}") }
        }
    }
    Ok(())
}

fn scored(
    args: &super::Args,
    artifact: &Artifact,
    out: &mut dyn Write,
) -> Result<LifetimeScoreReport, LifetimeError> {
    let bar = spinner();
    bar.set_message("scoring");
    let report = lifetime::score(artifact, &options(args), out);
    bar.finish_and_clear();
    report
}

fn options(args: &super::Args) -> LifetimeScoreOptions {
    let columns = &args.lifetime;
    let named = |column: &Option<String>, default: &str| column.clone().unwrap_or_else(|| default.to_owned());
    let source = match (&columns.transactions, &args.table) {
        (Some(table), _) => Source::Transactions(Transactions {
            table: table.clone(),
            customer: named(&columns.customer, "customer_id"),
            date: named(&columns.date, "date"),
            value: columns.value.clone(),
            observation_end: columns.observation_end,
        }),
        (None, table) => Source::Summary(SummaryTable {
            table: table.clone().unwrap_or_default(),
            x: named(&columns.x, "x"),
            t_x: named(&columns.t_x, "t_x"),
            age: named(&columns.age, "T"),
            value: columns.value.clone(),
            // By the model's own names.
            covariates: Vec::new(),
        }),
    };
    LifetimeScoreOptions { source, key: args.key.clone() }
}

/// The report for a person.
fn told(report: &LifetimeScoreReport, out: &Path) -> String {
    let place =
        if out == Path::new(STDOUT) { "standard output".to_owned() } else { out.display().to_string() };
    let value = report.lifetime_value.map_or(String::new(), |value| format!(", worth {value:.2}"));
    let through = report.observed_through.as_ref().map_or(String::new(), |day| format!(" after {day}"));
    format!(
        "{} customers scored by {}, {} of them one-time buyers (alive by assumption): {:.1} purchases expected in {}{through}{value}, into {place}",
        grouped(report.n_customers),
        report.model,
        grouped(report.n_one_time_buyers),
        report.expected_purchases,
        report.horizon,
    )
}
