//! `nextbest fit-uplift`: treated and untreated rows in, the difference the treatment makes and a sealed model out.

use std::path::{Path, PathBuf};

use nextbest_models::table::LabelValue;
use nextbest_models::units::Seed;
use nextbest_training::uplift::{
    self, Choice, Design, KeyedUplift, Method, OutcomeColumn, UpliftError, UpliftOptions,
};
use nextbest_training::{report, seal};

use crate::exit::{Failure, Outcome, say};
use crate::fit::label;
use crate::output::{self, STDOUT};
use crate::progress::spinner;
use told::told;

mod told;

/// The difference a treatment makes, and for whom: one sealed artifact
///
/// Two arms of any CSV(.gz) or Parquet table are compared: how much more often the outcome happens among treated than
/// among control rows, and for whom more than for others. Learners and one effect for everybody compete out of fold.
/// Columns known only after the treatment must be dropped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 fitted; 1 the data is faulty or teaches nothing; 2 the call is wrong. Nothing is \
written but with 0.\n\nExamples:\n  nextbest fit-uplift --table hillstrom.csv.gz --treated \"segment=Mens E-Mail\" --control \
\"segment=No E-Mail\" --outcome visit --drop conversion,spend --out mens.nba\n  nextbest fit-uplift --table mails.csv \
--key id --treated mail=1 --control mail=0 --outcome bought=yes --treatment-probability p_mail --json"
)]
pub struct Args {
    /// CSV (.csv .tsv .txt), plain or gzipped, or Parquet
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// The column that names a row; rows of one key stay in one fold. Default: the row's number
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Rows that were treated; rows of neither arm are left out
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = label)]
    treated: LabelValue,
    /// Rows that were not
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = label)]
    control: LabelValue,
    /// What is to be brought about: a column of 0 and 1, or the value that counts as 1
    #[arg(long, value_name = "COLUMN[=VALUE]", value_parser = outcome)]
    outcome: OutcomeColumn,
    /// Columns to leave out, above all those known only after the treatment
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
    /// Folds as this column has them
    #[arg(long, value_name = "COLUMN")]
    fold_column: Option<String>,
    /// The probability, as logged, with which a row came to be treated: above 0 and below 1
    #[arg(long, value_name = "COLUMN", conflicts_with = "design")]
    treatment_probability: Option<String>,
    /// Who was treated: drawn at random with one probability, or chosen by what the features hold
    ///
    /// auto takes it as drawn at random unless features tell the arms apart out of fold.
    #[arg(long, value_enum, default_value = "auto")]
    design: Drawn,
    /// Which learner is sealed; auto lets all compete with one effect for everybody, and takes the simplest that cannot
    /// be told from the best; best takes the best learner all the same
    #[arg(long, value_enum, default_value = "auto")]
    learner: Learner,
    /// Of every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The model's name. Default: the outcome's column
    #[arg(long)]
    name: Option<String>,
    /// The artifact to write
    #[arg(long, value_name = "FILE.nba")]
    out: Option<PathBuf>,
    /// Write key, uplift out of fold, arm, outcome and pseudo-outcome of every row used
    #[arg(long, value_name = "FILE.csv")]
    predictions: Option<PathBuf>,
    /// Print the report as JSON instead of the text, or write it to a file
    #[arg(long, value_name = "FILE.json", num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
    /// Write the report as a page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// A design, as it is typed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Drawn {
    Auto,
    Randomised,
    Observed,
}

/// A learner, as it is typed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Learner {
    Auto,
    Best,
    Constant,
    T,
    X,
    Dr,
}

/// Fits, writes, tells.
pub fn run(args: &Args) -> Outcome {
    let named = [
        ("--out", &args.out),
        ("--json", &args.json),
        ("--predictions", &args.predictions),
        ("--report", &args.report),
    ];
    let outputs = named.iter().filter_map(|(option, path)| Some((*option, path.as_deref()?)));
    output::check(&outputs.collect::<Vec<_>>(), &[&args.table])?;
    let bar = spinner();
    bar.set_message("fitting");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let fitted = uplift::fit(&options(args));
    bar.finish_and_clear();
    let to_stdout = args.json.as_deref() == Some(Path::new(STDOUT));
    let fitted = match fitted {
        Ok(fitted) => fitted,
        Err(error) => return Err(failure(error, to_stdout)?),
    };
    let json = serde_json::to_string_pretty(&fitted.report)?;
    if let Some(path) = args.predictions.as_deref() {
        seal::place(path, &out_of_fold(&fitted.predictions)?)?;
    }
    if let Some(path) = args.report.as_deref() {
        seal::place(path, report::uplift_html(&fitted.report).as_bytes())?;
    }
    if let Some(path) = args.json.as_deref().filter(|_| !to_stdout) {
        seal::place(path, json.as_bytes())?;
    }
    if let Some(path) = args.out.as_deref() {
        seal::place(path, fitted.artifact.as_bytes())?;
    }
    if to_stdout {
        say!("{json}");
    } else {
        say!("{}", told(&fitted.report, args.out.as_deref()));
    }
    Ok(())
}

/// How the command ends that met `error`; a refusal is printed as JSON where that was asked for.
fn failure(error: UpliftError, as_json: bool) -> Result<Failure, Failure> {
    if let (UpliftError::Refused(refusal), true) = (&error, as_json) {
        say!("{}", serde_json::to_string_pretty(refusal)?);
    }
    Ok(if error.is_wrong_call() { Failure::call(error) } else { error.into() })
}

fn out_of_fold(predictions: &[KeyedUplift]) -> anyhow::Result<Vec<u8>> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    lines.write_record(["row_key", "uplift", "treated", "outcome", "pseudo_outcome"])?;
    for row in predictions {
        let [treated, outcome] = [row.treated, row.outcome].map(|yes| u8::from(yes).to_string());
        let [uplift, pseudo] = [row.uplift, row.pseudo].map(|number| number.to_string());
        lines.write_record([&row.key, &uplift, &treated, &outcome, &pseudo])?;
    }
    Ok(lines.into_inner()?)
}

/// `visit`, or `bought=yes`.
fn outcome(text: &str) -> Result<OutcomeColumn, String> {
    if text.contains('=') {
        let LabelValue { column, value } = label(text)?;
        return Ok(OutcomeColumn { column, value: Some(value) });
    }
    match text.trim() {
        "" => Err("no column is named".to_owned()),
        column => Ok(OutcomeColumn { column: column.to_owned(), value: None }),
    }
}

fn options(args: &Args) -> UpliftOptions {
    UpliftOptions {
        table: args.table.clone(),
        name: args.name.clone().unwrap_or_else(|| args.outcome.column.clone()),
        key: args.key.clone(),
        treated: args.treated.clone(),
        control: args.control.clone(),
        outcome: args.outcome.clone(),
        drop: args.drop.clone(),
        keep: args.keep.clone(),
        category: args.category.clone(),
        missing: args.missing.clone(),
        fold_column: args.fold_column.clone(),
        treatment_probability: args.treatment_probability.clone(),
        design: match args.design {
            Drawn::Auto => Design::Auto,
            Drawn::Randomised => Design::Randomised,
            Drawn::Observed => Design::Observed,
        },
        learner: match args.learner {
            Learner::Auto => Choice::Auto,
            Learner::Best => Choice::Best,
            Learner::Constant => Choice::Only(Method::Constant),
            Learner::T => Choice::Only(Method::T),
            Learner::X => Choice::Only(Method::X),
            Learner::Dr => Choice::Only(Method::Dr),
        },
        seed: Seed(args.seed),
    }
}
