//! `nextbest score`: a table in, a probability for every row out, by an artifact of `nextbest fit` alone; or lifetime
//! values for every customer, by one of `nextbest fit-clv`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use nextbest_models::artifact::Artifact;
use nextbest_training::seal;
use nextbest_training::seal::Placing;
use nextbest_training::table::{self, ScoreOptions, ScoreReport, TableError};

use crate::exit::{Failure, Outcome, say, tell};
use crate::fit::failure;
use crate::import::grouped;
use crate::inspect;
use crate::output::{self, STDOUT};
use crate::progress::spinner;

mod lifetime;

/// Score any table by an artifact of `nextbest fit`, `nextbest fit-clv` or `nextbest fit-uplift`
///
/// Cells are read as they were in fitting. A column that the model reads and the table lacks is refused by name;
/// columns it does not know are named and not read; levels never seen in fitting are counted.
/// A lifetime-value model reads purchases or a summary of them, as fit-clv does, and tells every customer.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Writes CSV: key,probability[,reason_1..]; of an uplift model key,uplift,lo,hi; of a lifetime-value model \
key,p_alive,p_alive_code,expected_purchases,expected_spend,expected_spend_code,lifetime_value. Exit codes: 0 scored; 1 the data is faulty; 2 the call \
is wrong, or the table does not fit the artifact. A file is written but with 0.\n\nExamples:\n  nextbest score --artifact \
churn.nba --table telco_churn.csv.gz --key customerID --reasons 3 --out scores.csv\n  nextbest score --artifact churn.nba \
--table today.parquet --out - | head\n  nextbest score --artifact clv.nba --transactions sales.csv --customer id --date \
day --value spent --out values.csv"
)]
pub struct Args {
    /// What `nextbest fit`, `fit-clv` or `fit-uplift` sealed
    #[arg(long, value_name = "FILE.nba")]
    artifact: PathBuf,
    /// CSV (.csv .tsv .txt), plain or gzipped, or Parquet
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "transactions",
        conflicts_with = "transactions"
    )]
    table: Option<PathBuf>,
    /// The column that names a row. Default: that of fitting
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Reasons per row: features with what they add to the log-odds, the strongest first
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=100))]
    reasons: u16,
    /// The CSV to write; - is standard output
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Write what was counted as JSON; - prints it instead of the text
    #[arg(long, value_name = "FILE.json")]
    json: Option<PathBuf>,
    #[command(flatten)]
    lifetime: lifetime::Columns,
}

/// Scores and tells.
pub fn run(args: &Args) -> Outcome {
    let stdout = Path::new(STDOUT);
    if args.out == stdout && args.json.as_deref() == Some(stdout) {
        return Err(Failure::call("--out - and --json - both want standard output"));
    }
    let mut outputs: Vec<(&str, &Path)> = vec![("--out", &args.out)];
    outputs.extend(args.json.as_deref().map(|path| ("--json", path)));
    let read = args.table.as_ref().or(args.lifetime.transactions.as_ref());
    output::check(
        &outputs,
        &read.into_iter().chain([&args.artifact]).map(PathBuf::as_path).collect::<Vec<_>>(),
    )?;
    let artifact = inspect::open(&args.artifact)?;
    if artifact.lifetime().is_some() {
        return lifetime::run(args, &artifact);
    }
    let Some(table) = args.table.as_ref().filter(|_| !args.lifetime.any()) else {
        return Err(Failure::call(
            "the artifact has no lifetime-value model: its rows are in --table, and purchases, --x, --t-x, --age and \
             --value are nothing to it (nextbest fit-clv seals one)",
        ));
    };
    let report = if args.out == stdout {
        match scored(args, table, &artifact, &mut io::stdout().lock()) {
            // A reader that has seen enough.
            Err(TableError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            report => report.map_err(failure)?,
        }
    } else {
        let mut file = Placing::new(&args.out)?;
        let report = scored(args, table, &artifact, &mut file).map_err(failure)?;
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
    args: &Args,
    table: &Path,
    artifact: &Artifact,
    out: &mut dyn Write,
) -> Result<ScoreReport, TableError> {
    let options =
        ScoreOptions { table: table.to_owned(), key: args.key.clone(), n_reasons: args.reasons.into() };
    let bar = spinner();
    let report = table::score(artifact, &options, out, &|n| {
        bar.set_message(format!("scoring: {} rows", grouped(n)));
        bar.tick();
    });
    bar.finish_and_clear();
    report
}

/// The report for a person.
fn told(report: &ScoreReport, out: &Path) -> String {
    let mut parts = Vec::new();
    if !report.features.is_empty() {
        let mut table = Table::new();
        table.load_style(NOTHING).set_header(["feature", "missing", "not seen in fitting", ""]);
        for count in &report.features {
            let levels: Vec<String> = count.unseen.iter().map(|level| format!("{level:?}")).collect();
            table.add_row([
                count.feature.clone(),
                grouped(count.n_missing),
                grouped(count.n_unseen),
                levels.join(", "),
            ]);
        }
        parts.push(table.to_string());
    }
    if !report.unknown_columns.is_empty() {
        parts.push(format!("not read, the model does not know them: {}", report.unknown_columns.join(", ")));
    }
    if report.n_repeated_keys > 0 {
        let about = if report.repeated_keys_exact { "" } else { "about " };
        parts.push(format!("{about}{} rows repeat a key; each is scored", grouped(report.n_repeated_keys)));
    }
    let mean = match (report.mean_probability, report.mean_uplift) {
        (_, Some(uplift)) => format!("mean uplift {uplift:.4}"),
        (probability, None) => {
            format!("mean probability {}", probability.map_or("-".to_owned(), |mean| format!("{mean:.4}")))
        }
    };
    let place =
        if out == Path::new(STDOUT) { "standard output".to_owned() } else { out.display().to_string() };
    parts.push(format!("{} rows scored by {}, {mean}, into {place}", grouped(report.n_rows), report.model));
    parts.join("\n\n")
}
