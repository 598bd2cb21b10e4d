//! `nextbest fit-clv`: purchases or a summary of them in, a sealed lifetime-value model and what it rests on out.

use std::path::{Path, PathBuf};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use nextbest_models::units::{Day, Seed};
use nextbest_models::value::{Horizon, TimeUnit};
use nextbest_training::elasticity::Interval;
use nextbest_training::lifetime::{
    self, Bootstrap, CovariatesReport, Holdout, LifetimeError, LifetimeOptions, LifetimeReport, Source,
    SummaryTable, Transactions,
};
use nextbest_training::{report, seal};

use crate::exit::{Failure, Outcome, say};
use crate::import::grouped;
use crate::output::{self, STDOUT};
use crate::progress::spinner;

/// Lifetime values from any CSV(.gz) or Parquet table of purchases, or of one row a customer
///
/// BG/NBD tells when customers buy again and whether they still are customers, Gamma-Gamma what a purchase is worth, both
/// by maximum likelihood with 95 % intervals. It is for shops, where customers leave without a word; not for contracts.
/// With --calibration-end the model is followed into what came after.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 fitted; 1 the data is faulty or tells nothing; 2 the call is wrong.\n\nExamples:\n  \
nextbest fit-clv --transactions cdnow_master.csv.gz --customer id --date date --value spent --calibration-end 1997-09-30 \
--out clv.nba --report clv.html\n  nextbest fit-clv --summary customers.csv --x x --t-x t_x --age T --value zbar --out \
clv.nba\n  nextbest fit-clv --summary customers.csv --bootstrap 500 --json\n  nextbest score --artifact clv.nba --table \
customers.csv --value zbar --out values.csv"
)]
pub struct Args {
    /// A row per purchase, in any order; several of one customer on one day are one purchase
    #[arg(long, value_name = "FILE", required_unless_present = "summary", conflicts_with = "summary")]
    transactions: Option<PathBuf>,
    /// Who bought
    #[arg(
        long,
        value_name = "COLUMN",
        requires = "transactions",
        default_value_if("transactions", clap::builder::ArgPredicate::IsPresent, "customer_id")
    )]
    customer: Option<String>,
    /// When: 20260131, or ISO 8601, whose time of day does not count
    #[arg(
        long,
        value_name = "COLUMN",
        requires = "transactions",
        default_value_if("transactions", clap::builder::ArgPredicate::IsPresent, "date")
    )]
    date: Option<String>,
    /// Fit up to this day, and hold what follows against the model
    #[arg(long, value_name = "DAY", value_parser = day, requires = "transactions")]
    calibration_end: Option<Day>,
    /// The end of the observation; a later purchase is a fault. Default: the last purchase's day
    #[arg(long, value_name = "DAY", value_parser = day, requires = "transactions")]
    observation_end: Option<Day>,
    /// A row per customer
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Of a summary: repeat purchases
    #[arg(long, value_name = "COLUMN", default_value = "x", conflicts_with = "transactions")]
    x: String,
    /// Of a summary: time of the last purchase since the first
    #[arg(long, value_name = "COLUMN", default_value = "t_x", conflicts_with = "transactions")]
    t_x: String,
    /// Of a summary: time from the first purchase to the end of the observation
    #[arg(long, value_name = "COLUMN", default_value = "T", conflicts_with = "transactions")]
    age: String,
    /// What was paid; of a summary the mean over repeat purchases
    #[arg(long, value_name = "COLUMN")]
    value: Option<String>,
    /// Of a summary: numbers known of every customer that move when they buy and leave, at most 6
    #[arg(
        long,
        value_name = "COLUMN,...",
        value_delimiter = ',',
        requires = "summary",
        conflicts_with = "bootstrap"
    )]
    covariate: Vec<String>,
    /// In what time is counted, or was in the summary
    #[arg(long, value_enum, default_value = "week")]
    unit: Unit,
    /// Units of time a lifetime value looks ahead
    #[arg(long, value_name = "N", default_value_t = 52)]
    horizon: u32,
    /// Discount rate per unit of time
    #[arg(long, value_name = "RATE", default_value_t = 0.0)]
    discount_rate: f64,
    /// Share of a purchase's value that is kept
    #[arg(long, value_name = "SHARE", default_value_t = 1.0)]
    margin: f64,
    /// Intervals by so many runs of a parametric bootstrap as well
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    bootstrap: u32,
    /// Of the bootstrap's draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The model's name
    #[arg(long, default_value = "lifetime_value")]
    name: String,
    /// The artifact to seal
    #[arg(long, value_name = "FILE.nba")]
    out: Option<PathBuf>,
    /// A page for people
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
    /// Print the report as JSON instead of the text, or write it to a file
    #[arg(long, value_name = "FILE.json", num_args = 0..=1, default_missing_value = STDOUT)]
    json: Option<PathBuf>,
}

/// A unit of time, as it is typed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Unit {
    Day,
    Week,
    Month,
}

/// A day, as it is typed.
pub fn day(text: &str) -> Result<Day, String> {
    lifetime::day(text).ok_or_else(|| "no day such as 2026-01-31 or 20260131".to_owned())
}

/// Fits, seals, tells.
pub fn run(args: &Args) -> Outcome {
    let options = options(args)?;
    let written = [("--out", &args.out), ("--report", &args.report), ("--json", &args.json)];
    let written = written.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    output::check(&written.collect::<Vec<_>>(), &[options.source.table()])?;
    let bar = spinner();
    bar.set_message("fitting");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    let fitted = lifetime::fit(&options);
    bar.finish_and_clear();
    let fitted = fitted.map_err(failure)?;
    let json = serde_json::to_string_pretty(&fitted.report)?;
    if let Some(path) = &args.out {
        seal::place(path, fitted.artifact.as_bytes())?;
    }
    if let Some(path) = &args.report {
        seal::place(path, report::lifetime_html(&fitted.report).as_bytes())?;
    }
    match args.json.as_deref() {
        Some(path) if path == Path::new(STDOUT) => say!("{json}"),
        path => {
            if let Some(path) = path {
                seal::place(path, json.as_bytes())?;
            }
            say!("{}", told(&fitted.report, args.out.as_deref()));
        }
    }
    Ok(())
}

/// A failure of fitting or scoring, by whose fault it is.
pub fn failure(error: LifetimeError) -> Failure {
    if error.is_wrong_call() { Failure::call(error) } else { error.into() }
}

fn options(args: &Args) -> Result<LifetimeOptions, Failure> {
    let source = match (&args.transactions, &args.summary) {
        (Some(table), _) => Source::Transactions(Transactions {
            table: table.clone(),
            customer: args.customer.clone().unwrap_or_default(),
            date: args.date.clone().unwrap_or_default(),
            value: args.value.clone(),
            observation_end: args.observation_end,
        }),
        (None, table) => Source::Summary(SummaryTable {
            table: table.clone().unwrap_or_default(),
            x: args.x.clone(),
            t_x: args.t_x.clone(),
            age: args.age.clone(),
            value: args.value.clone(),
            covariates: args.covariate.clone(),
        }),
    };
    Ok(LifetimeOptions {
        name: args.name.clone(),
        source,
        unit: match args.unit {
            Unit::Day => TimeUnit::Day,
            Unit::Week => TimeUnit::Week,
            Unit::Month => TimeUnit::Month,
        },
        calibration_end: args.calibration_end,
        horizon: Horizon::new(args.horizon, args.discount_rate, args.margin).map_err(Failure::call)?,
        bootstrap: args.bootstrap as usize,
        seed: Seed(args.seed),
    })
}

/// The report for a person.
fn told(report: &LifetimeReport, out: Option<&Path>) -> String {
    let mut parts = vec![parameters(report)];
    parts.extend(report.covariates.as_ref().map(covariates));
    parts.push(frequencies(report));
    parts.extend(report.holdout.as_ref().map(|holdout| holdout_told(holdout, report.unit)));
    parts.push(remarks(report).join("\n"));
    let days = match (&report.observed_from, &report.observed_through) {
        (Some(from), Some(through)) => format!(", {from} to {through}"),
        _ => String::new(),
    };
    let place = out.map_or(String::new(), |out| format!("; sealed into {}", out.display()));
    parts.push(format!(
        "{} customers, {} of them bought again, {} repeats{days}; log-likelihood {:.2}{place}",
        grouped(report.n_customers as u64),
        grouped(report.n_repeaters as u64),
        grouped(report.n_repeats),
        report.log_likelihood,
    ));
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn right(table: &mut Table, columns: std::ops::Range<usize>) {
    for at in columns {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn parameters(report: &LifetimeReport) -> String {
    let mut table = Table::new();
    let mut head = vec!["", "value", "95 % interval"];
    if report.bootstrap.is_some() {
        head.push("by bootstrap");
    }
    table.load_style(NOTHING).set_header(&head);
    let ends = |one: Interval| format!("{:.4} to {:.4}", one.lo, one.hi);
    let drawn = report.bootstrap.as_ref().map(|Bootstrap { parameters, .. }| parameters.named());
    for (at, (name, one)) in report.parameters.named().into_iter().enumerate() {
        let mut row = vec![name.to_owned(), format!("{:.4}", one.value), ends(one)];
        row.extend(drawn.map(|drawn| ends(drawn[at].1)));
        table.add_row(row);
    }
    if let Some(spend) = &report.gamma_gamma.parameters {
        for (name, one) in spend.named() {
            table.add_row([name.to_owned(), format!("{:.4}", one.value), ends(one)]);
        }
    }
    right(&mut table, 1..head.len());
    table.to_string()
}

fn covariates(report: &CovariatesReport) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "by a deviation",
        "mean",
        "deviation",
        "rate",
        "leave a",
        "leave b",
    ]);
    let told = |one: &Interval| format!("{:+.3} ({:+.3} to {:+.3})", one.value, one.lo, one.hi);
    for one in &report.covariates {
        let moments = [one.mean, one.sd].map(|number| format!("{number:.4}"));
        let coefficients = [&one.rate, &one.leave_a, &one.leave_b].map(told);
        table.add_row([one.name.clone()].into_iter().chain(moments).chain(coefficients));
    }
    right(&mut table, 1..6);
    let p =
        if report.p_value < 0.005 { "p below 0.01".to_owned() } else { format!("p {:.2}", report.p_value) };
    format!(
        "{table}\n likelihood ratio {:.2} on {} degrees of freedom against none, {p}",
        report.likelihood_ratio, report.degrees_of_freedom
    )
}

fn frequencies(report: &LifetimeReport) -> String {
    let fit = &report.goodness_of_fit;
    let mut table = Table::new();
    let last = fit.frequencies.len().saturating_sub(1);
    let name = |x: usize| if x == last { format!("{x}+") } else { x.to_string() };
    let head = fit.frequencies.iter().map(|cell| name(cell.x));
    table.load_style(NOTHING).set_header(["repeats".to_owned()].into_iter().chain(head));
    for (label, of) in [("customers", 0), ("expected", 1)] {
        let cells = fit.frequencies.iter().map(|cell| [cell.observed, cell.expected][of]);
        let cells = cells.map(|number| grouped(number.round() as u64));
        table.add_row([label.to_owned()].into_iter().chain(cells));
    }
    right(&mut table, 1..last + 2);
    let p = match fit.p_value {
        None => "no p: too few cells".to_owned(),
        Some(p) if p < 0.005 => "p below 0.01".to_owned(),
        Some(p) => format!("p {p:.2}"),
    };
    format!(
        "{table}\n chi-square {:.2} on {} degrees of freedom, {p}",
        fit.chi_square, fit.degrees_of_freedom
    )
}

fn holdout_told(holdout: &Holdout, unit: &str) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["repeats before", "customers", "bought after", "expected"]);
    let last = holdout.frequencies.last().map_or(0, |cell| cell.x);
    for cell in &holdout.frequencies {
        let more = if cell.x == last && cell.x >= 7 { "+" } else { "" };
        table.add_row([
            format!("{}{more}", cell.x),
            grouped(cell.n_customers),
            format!("{:.3}", cell.actual),
            format!("{:.3}", cell.expected),
        ]);
    }
    right(&mut table, 0..4);
    let weeks = holdout.weeks.last().map_or(String::new(), |week| {
        format!("; since the first purchase {:.0}, {:.0} by the parameters alone", week.actual, week.expected)
    });
    format!(
        "{table}\n {:.1} {unit}s after the calibration, through {}: {:.0} purchases, {:.0} expected{weeks}",
        holdout.length, holdout.through, holdout.actual, holdout.expected
    )
}

fn remarks(report: &LifetimeReport) -> Vec<String> {
    let mut lines = Vec::new();
    let spend = &report.gamma_gamma;
    if let Some(mean) = spend.population_mean {
        let correlation = spend.correlation.map_or(String::new(), |found| {
            format!("; it goes with frequency by {:.2} ({:.2} to {:.2})", found.value, found.lo, found.hi)
        });
        lines.push(format!(
            "a purchase is worth {mean:.2} on average, by {} customers{correlation}",
            grouped(spend.n as u64)
        ));
    }
    if let (Some(code), Some(reason)) = (spend.code, &spend.reason) {
        lines.push(format!("no value of purchases: {}: {reason}", code.as_str()));
    }
    for (n, what) in [
        (spend.n_without_value, "repeaters have no mean value above 0 and are left out of values"),
        (report.n_same_day, "rows share customer and day with another: one purchase"),
        (report.n_after_calibration as u64, "customers came after the calibration and are left out"),
    ] {
        if n > 0 {
            lines.push(format!("{} {what}", grouped(n)));
        }
    }
    if let Some(Bootstrap { n_runs, n_failed, .. }) = &report.bootstrap
        && *n_failed > 0
    {
        lines.push(format!("{n_failed} of {n_runs} bootstrap runs found no top and are left out"));
    }
    lines.extend(report.notes.iter().cloned());
    lines
}
