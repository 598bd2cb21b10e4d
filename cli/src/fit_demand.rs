//! `nextbest fit-demand`: a table of prices and quantities in, elasticities with their intervals out.

use std::path::{Path, PathBuf};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use nextbest_models::units::Seed;
use nextbest_training::elasticity::choice::{self, ChoiceError, ChoiceOptions, ChoiceReport};
use nextbest_training::elasticity::{
    self, ElasticityError, ElasticityOptions, ElasticityReport, GroupEstimate, Interval, Method,
};
use nextbest_training::seal;

use crate::exit::{Failure, Outcome, say};
use crate::import::grouped;
use crate::output::{self, STDOUT};
use crate::progress::spinner;

/// Price elasticities of any CSV(.gz) or Parquet table of prices and quantities
///
/// Log quantity on log price, for every group and for all rows, net of controls and fixed effects. Where the price
/// varied too little to tell, it says so and gives no number. With --choice, the table holds choices among several
/// priced alternatives instead, and a multinomial logit is fitted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 fitted; 1 the data is faulty or tells nothing; 2 the call is wrong.\n\nExamples:\n  \
nextbest fit-demand --table oj.csv.gz --quantity logmove --log-quantity --price price --by brand,feat\n  nextbest \
fit-demand --table oj.csv.gz --quantity logmove --log-quantity --price price --by brand --fixed-effects store,week \
--cluster store --method dml\n  nextbest fit-demand --table catsup.csv.gz --choice choice --price price --attributes \
disp,feat --json"
)]
pub struct Args {
    /// CSV (.csv .tsv .txt), plain or gzipped, or Parquet
    #[arg(long, value_name = "FILE")]
    table: PathBuf,
    /// Units sold
    #[arg(long, value_name = "COLUMN", required_unless_present = "choice", conflicts_with = "choice")]
    quantity: Option<String>,
    /// The quantity's column holds logarithms
    #[arg(long, conflicts_with = "choice")]
    log_quantity: bool,
    /// The price of a unit; with --choice, what the names of the price columns begin with
    #[arg(long, value_name = "COLUMN")]
    price: String,
    /// The price's column holds logarithms
    #[arg(long, conflicts_with = "choice")]
    log_price: bool,
    /// Quantity on price, without logarithms: the answer is a slope, its elasticity at the means beside it
    #[arg(long, conflicts_with = "choice")]
    linear: bool,
    /// An elasticity for every combination of these columns' values, and one for all rows
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "choice")]
    by: Vec<String>,
    /// What may have moved price and demand together: columns of numbers, or of names
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "choice")]
    controls: Vec<String>,
    /// Columns whose every value has a level of its own, such as store or week
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "choice")]
    fixed_effects: Vec<String>,
    /// Rows of one value may have errors in common; 40 values and more make good intervals
    #[arg(long, value_name = "COLUMN")]
    cluster: Option<String>,
    /// Least squares, or double machine learning, whose boosted trees let controls bend and interact
    #[arg(long, value_enum, default_value = "ols", conflicts_with = "choice")]
    method: Way,
    /// Leave out, and count, rows whose quantity or price has no logarithm
    #[arg(long, conflicts_with = "choice")]
    drop_nonpositive: bool,
    /// Of every random split
    #[arg(long, default_value_t = 1, conflicts_with = "choice")]
    seed: u64,
    /// The column that names the alternative chosen; prices stand in PRICE.ALTERNATIVE or PRICE_ALTERNATIVE
    #[arg(long, value_name = "COLUMN")]
    choice: Option<String>,
    /// With --choice: what else is known of every alternative, in columns named as prices are
    #[arg(long, value_name = "A,B", value_delimiter = ',', conflicts_with = "quantity")]
    attributes: Vec<String>,
    /// Print the report as JSON instead of the text, or write it to a file
    #[arg(long, value_name = "FILE.json", num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
}

/// An estimator, as it is typed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Way {
    Ols,
    Dml,
}

/// Fits and tells.
pub fn run(args: &Args) -> Outcome {
    let outputs: Vec<(&str, &Path)> = args.json.as_deref().map(|path| ("--json", path)).into_iter().collect();
    output::check(&outputs, &[&args.table])?;
    let bar = spinner();
    bar.set_message("fitting");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let (json, text) = match &args.choice {
        Some(column) => {
            let report = choice::fit(&choice_options(args, column));
            bar.finish_and_clear();
            let report = report.map_err(choice_failure)?;
            (serde_json::to_string_pretty(&report)?, told_choice(&report, &args.price))
        }
        None => {
            let report = elasticity::fit(&options(args));
            bar.finish_and_clear();
            let report = report.map_err(failure)?;
            (serde_json::to_string_pretty(&report)?, told(&report))
        }
    };
    match args.json.as_deref() {
        Some(path) if path == Path::new(STDOUT) => say!("{json}"),
        Some(path) => {
            seal::place(path, json.as_bytes())?;
            say!("{text}");
        }
        None => say!("{text}"),
    }
    Ok(())
}

fn failure(error: ElasticityError) -> Failure {
    if error.is_wrong_call() { Failure::call(error) } else { error.into() }
}

fn choice_failure(error: ChoiceError) -> Failure {
    if error.is_wrong_call() { Failure::call(error) } else { error.into() }
}

fn options(args: &Args) -> ElasticityOptions {
    ElasticityOptions {
        table: args.table.clone(),
        quantity: args.quantity.clone().unwrap_or_default(),
        log_quantity: args.log_quantity,
        price: args.price.clone(),
        log_price: args.log_price,
        linear: args.linear,
        by: args.by.clone(),
        controls: args.controls.clone(),
        fixed_effects: args.fixed_effects.clone(),
        cluster: args.cluster.clone(),
        method: match args.method {
            Way::Ols => Method::Ols,
            Way::Dml => Method::Dml,
        },
        drop_nonpositive: args.drop_nonpositive,
        seed: Seed(args.seed),
    }
}

fn choice_options(args: &Args, column: &str) -> ChoiceOptions {
    ChoiceOptions {
        table: args.table.clone(),
        choice: column.to_owned(),
        price: args.price.clone(),
        attributes: args.attributes.clone(),
        cluster: args.cluster.clone(),
    }
}

/// Groups that the text shows.
const N_SHOWN: usize = 40;

/// The report for a person.
fn told(report: &ElasticityReport) -> String {
    let mut parts = vec![estimates(report)];
    let reasons = report.groups.iter().take(N_SHOWN).chain([&report.pooled]);
    let reasons = reasons.filter_map(|one| Some(format!("{}: {}", name(one), one.reason.as_ref()?)));
    parts.push(
        reasons.chain(report.notes.iter().cloned()).chain(left_out(report)).collect::<Vec<_>>().join("\n"),
    );
    parts.push(report.next.clone());
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn left_out(report: &ElasticityReport) -> Vec<String> {
    let missing = report.left_out.missing.iter();
    let mut lines: Vec<String> =
        missing.map(|(column, n)| format!("{} rows lack {column} and are left out", grouped(*n))).collect();
    if report.left_out.nonpositive > 0 {
        lines.push(format!(
            "{} rows have no logarithm and are left out",
            grouped(report.left_out.nonpositive)
        ));
    }
    lines
}

fn estimates(report: &ElasticityReport) -> String {
    let linear = report.form == "linear";
    let mut head = vec!["", "elasticity", "95 % interval"];
    if linear {
        head.extend(["slope", "95 % interval"]);
    }
    if report.population.is_some() {
        head.extend(["shrunk", "95 % interval"]);
    }
    head.extend(["rows", "clusters", "price varies", "net of the rest"]);
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(&head);
    for one in report.groups.iter().take(N_SHOWN).chain([&report.pooled]) {
        let mut row = vec![name(one)];
        let code = one.code.and_then(|code| serde_json::to_value(code).ok());
        match code.as_ref().and_then(|code| code.as_str()) {
            Some(code) => row.extend([code.replace('_', " "), String::new()]),
            None => row.extend(shown(one.elasticity)),
        }
        if linear {
            row.extend(shown(one.slope));
        }
        if report.population.is_some() {
            row.extend(shown(one.shrunk));
        }
        row.push(grouped(one.n as u64));
        row.push(one.n_clusters.map_or(String::new(), |n| grouped(n as u64)));
        row.extend([one.price.log_sd, one.price.net_log_sd].map(|sd| format!("{:.1} %", 100.0 * sd)));
        table.add_row(row);
    }
    for right in 1..head.len() {
        if let Some(column) = table.column_mut(right) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let more = report.groups.len().saturating_sub(N_SHOWN);
    let rest = if more > 0 {
        format!("\n and {} groups more: --json lists them", grouped(more as u64))
    } else {
        String::new()
    };
    format!("{table}{rest}")
}

/// `brand=tropicana feat=0`.
fn name(one: &GroupEstimate) -> String {
    if one.group.is_empty() {
        return "all rows".to_owned();
    }
    let pairs: Vec<String> = one.group.iter().map(|(column, value)| format!("{column}={value}")).collect();
    pairs.join(" ")
}

/// Value and interval.
fn shown(number: Option<Interval>) -> [String; 2] {
    number.map_or([String::new(), String::new()], |one| {
        [format!("{:.3}", one.value), format!("{:.3} to {:.3}", one.lo, one.hi)]
    })
}

/// The report of choices for a person.
fn told_choice(report: &ChoiceReport, price: &str) -> String {
    let mut coefficients = Table::new();
    coefficients.load_style(NOTHING).set_header(["", "coefficient", "95 % interval"]);
    let all = [(price, &report.price)].into_iter();
    let all = all.chain(report.coefficients.iter().map(|(name, one)| (name.as_str(), one)));
    for (name, one) in all {
        let [value, interval] = shown(Some(*one));
        coefficients.add_row([name.to_owned(), value, interval]);
    }
    let mut matrix = Table::new();
    let names = report.alternatives.iter().map(|one| one.name.clone());
    matrix.load_style(NOTHING).set_header(["share of \\ price of".to_owned()].into_iter().chain(names));
    for (one, row) in report.alternatives.iter().zip(&report.elasticities) {
        let cells = row.iter().map(|elasticity| format!("{elasticity:.3}"));
        matrix.add_row([one.name.clone()].into_iter().chain(cells));
    }
    for (table, width) in [(&mut coefficients, 3), (&mut matrix, report.alternatives.len() + 1)] {
        for right in 1..width {
            if let Some(column) = table.column_mut(right) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    let clusters = report.n_clusters.map_or(String::new(), |n| format!(", {} clusters", grouped(n as u64)));
    format!(
        "{coefficients}\n\n{matrix}\n\n{} choices{clusters}; log-likelihood {:.3}, of shares alone {:.3}\n\n{}",
        grouped(report.n as u64),
        report.log_likelihood,
        report.log_likelihood_of_shares,
        report.next
    )
}
