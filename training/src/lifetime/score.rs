//! Every customer of a table told by a sealed lifetime-value model: a line of CSV each.

use std::io::Write;

use nextbest_models::artifact::Artifact;
use nextbest_models::units::Day;
use nextbest_models::value::{CustomerSummary, LifetimeModel, ValueScore};
use rayon::prelude::*;
use serde::Serialize;

use super::error::LifetimeError;
use super::{Source, SummaryTable, read};

/// What to score.
#[derive(Clone, Debug)]
pub struct LifetimeScoreOptions {
    /// The customers; time in the model's unit.
    pub source: Source,
    /// Of a summary: the column that names a row.
    pub key: Option<String>,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LifetimeScoreReport {
    /// The model's name.
    pub model: String,
    /// SHA-256 of the artifact.
    pub artifact_sha256: String,
    /// Customers scored.
    pub n_customers: u64,
    /// Of them, alive by assumption.
    pub n_one_time_buyers: u64,
    /// The last day that is known; null of a summary.
    pub observed_through: Option<String>,
    /// `52 weeks`.
    pub horizon: String,
    /// Over all customers.
    pub expected_purchases: f64,
    /// Over all customers; null where the model knows no value.
    pub lifetime_value: Option<f64>,
}

/// The columns written.
const COLUMNS: [&str; 7] = [
    "key",
    "p_alive",
    "p_alive_code",
    "expected_purchases",
    "expected_spend",
    "expected_spend_code",
    "lifetime_value",
];

/// Scores the table that `options` name and writes CSV to `out`, a customer each: of transactions in the order in which
/// the file first names them.
pub fn score(
    artifact: &Artifact,
    options: &LifetimeScoreOptions,
    out: &mut dyn Write,
) -> Result<LifetimeScoreReport, LifetimeError> {
    let model = artifact.lifetime().ok_or(LifetimeError::NoLifetimeModel)?;
    let Scored { keys, customers, covariates, through } = customers(model, options)?;
    let width = model.covariates().len();
    let score = |(at, of): (usize, &CustomerSummary)| match width {
        0 => model.score(of),
        width => model.of(&covariates[at * width..(at + 1) * width]).score(of),
    };
    let scores: Vec<ValueScore> = customers.par_iter().enumerate().map(score).collect();
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(COLUMNS).map_err(io)?;
    for (key, score) in keys.iter().zip(&scores) {
        let number = |number: Option<f64>| number.map_or(String::new(), |number| number.to_string());
        let record = [
            key.clone(),
            score.p_alive.to_string(),
            score.p_alive_code.map_or("", |code| code.as_str()).to_owned(),
            score.expected_purchases.to_string(),
            number(score.expected_spend),
            score.spend_code.map_or("", |code| code.as_str()).to_owned(),
            number(score.lifetime_value),
        ];
        csv.write_record(record).map_err(io)?;
    }
    csv.flush()?;
    let unit = model.unit().name();
    Ok(LifetimeScoreReport {
        model: artifact.metadata().name.clone(),
        artifact_sha256: artifact.sha256().to_owned(),
        n_customers: scores.len() as u64,
        n_one_time_buyers: scores.iter().filter(|score| score.p_alive_code.is_some()).count() as u64,
        observed_through: through.map(|day| day.to_string()),
        horizon: format!("{} {unit}s", model.horizon().n_units()),
        expected_purchases: scores.iter().map(|score| score.expected_purchases).sum(),
        lifetime_value: scores.iter().map(|score| score.lifetime_value).sum(),
    })
}

/// Customers with their names.
struct Scored {
    keys: Vec<String>,
    customers: Vec<CustomerSummary>,
    /// Of each customer, one after the other.
    covariates: Vec<f64>,
    through: Option<Day>,
}

fn customers(model: &LifetimeModel, options: &LifetimeScoreOptions) -> Result<Scored, LifetimeError> {
    let names: Vec<String> = model.covariates().iter().map(|one| one.name().to_owned()).collect();
    match &options.source {
        Source::Summary(source) => {
            let source = SummaryTable { covariates: names, ..source.clone() };
            let found = read::summaries(&source, options.key.as_ref())?;
            // A row is a customer, or the table was refused.
            let numbers = || (1..=found.customers.len()).map(|row| row.to_string()).collect();
            let keys = if options.key.is_some() { found.keys } else { numbers() };
            Ok(Scored { keys, customers: found.customers, covariates: found.covariates, through: None })
        }
        Source::Transactions(_) if !names.is_empty() => Err(LifetimeError::NoCovariates(names)),
        Source::Transactions(source) => {
            let mut found = read::purchases(source)?;
            let all = found.last.map_or_else(Vec::new, |last| found.customers(last, model.unit()));
            let keys = all.iter().map(|of| std::mem::take(&mut found.keys[of.who])).collect();
            let customers = all.iter().map(|of| of.summary).collect();
            Ok(Scored { keys, customers, covariates: Vec::new(), through: found.last })
        }
    }
}

fn io(error: csv::Error) -> LifetimeError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => LifetimeError::Write(error),
        other => LifetimeError::Write(std::io::Error::other(format!("{other:?}"))),
    }
}
