//! From a table to a sealed lifetime-value model and its report.

use std::collections::BTreeMap;
use std::path::Path;

use nextbest_models::artifact::{Artifact, ArtifactBuilder, Metadata, ModelKind, ModelMetadata};
use nextbest_models::digest::sha256_hex;
use nextbest_models::units::{Day, Timestamp};
use nextbest_models::value::{
    BgNbd, CustomerSummary, GammaGamma, Horizon, LifetimeModel, ParameterErrors, ParameterFault, TimeUnit,
    ValueScore,
};

use super::covariates::{self, MAX_COVARIATES, Moved, Standardised};
use super::error::{LifetimeError, Untold};
use super::grouped::{self, Grouped};
use super::optimum::{self, Optimum};
use super::purchases::{Customer, Purchases};
use super::report::{
    Correlation, GoodnessOfFit, LifetimeReport, PurchaseParameters, SpendParameters, SpendReport,
};
use super::{LifetimeOptions, Source, SummaryTable, bootstrap, goodness, read, tracking};
use crate::import::read::hash;
use crate::table::TableError;

/// Repeaters below which nothing is fitted: four parameters, and some rows each.
pub(super) const MIN_REPEATERS: usize = 20;
/// A p-value below this is noted as a misfit.
pub(super) const MISFIT: f64 = 0.05;
/// A correlation of spend and frequency surely beyond this is noted: it is 4 % of the variance.
const DEPENDENT: f64 = 0.2;
/// Customers whose scores travel in the artifact.
const N_GOLDEN: usize = 64;
/// Of BG/NBD, in the order of its parameters.
const NAMES: [&str; 4] = ["r", "alpha", "a", "b"];

/// What a fit gives.
#[derive(Clone, Debug)]
pub struct LifetimeFit {
    /// The sealed model.
    pub artifact: Artifact,
    /// All there is to tell.
    pub report: LifetimeReport,
}

/// The customers to fit on, and where they come from.
pub(super) struct Cohort {
    pub(super) customers: Vec<CustomerSummary>,
    n_rows: u64,
    n_without_value: u64,
    has_values: bool,
    dated: Option<Dated>,
    /// Of each customer, one after the other.
    covariates: Vec<f64>,
}

/// Of transactions: what a holdout needs.
struct Dated {
    purchases: Purchases,
    customers: Vec<Customer>,
    first: Day,
    calibrated: Day,
    last: Day,
}

impl Cohort {
    /// Of customers whose values are known but where they have none.
    pub(super) fn folded(customers: Vec<CustomerSummary>) -> Self {
        let without = |of: &&CustomerSummary| of.purchases.x() > 0.0 && of.spend.is_none();
        let n_without_value = customers.iter().filter(without).count() as u64;
        let n_rows = customers.len() as u64;
        Self { n_rows, n_without_value, has_values: true, customers, dated: None, covariates: Vec::new() }
    }
}

/// Fits what `options` name.
pub fn fit(options: &LifetimeOptions) -> Result<LifetimeFit, LifetimeError> {
    let path = options.source.table();
    let table_sha256 = hash(path).map_err(TableError::from)?.0;
    let cohort = cohort(options)?;
    let (grouped, optimum) = purchases(path, &cohort.customers)?;
    let plain = bg_nbd(&optimum).map_err(|fault| unsealable(path, &fault))?;
    let moved = moved(options, &cohort, &optimum)?;
    let (spend, gamma_gamma) = spend(&cohort);
    let bg_nbd = moved.as_ref().map_or(plain, |moved| moved.bg_nbd);
    let model = match &moved {
        None => model(options.unit, (bg_nbd, &optimum), gamma_gamma, options.horizon),
        // Errors of coefficients are not sealed: values without intervals.
        Some(moved) => {
            let spend = gamma_gamma.map(|(spend, _)| spend);
            let model = LifetimeModel::new(options.unit, bg_nbd, spend, options.horizon);
            model.with_covariates(moved.covariates.clone())
        }
    };
    let holdout = cohort.dated.as_ref().filter(|dated| dated.last > dated.calibrated).map(|dated| {
        let span = (dated.calibrated, dated.last);
        tracking::follow(&bg_nbd, &dated.purchases, &dated.customers, span, options.unit)
    });
    let ages: Vec<f64> = cohort.customers.iter().map(|of| of.purchases.age()).collect();
    let bootstrap = (options.bootstrap > 0)
        .then(|| bootstrap::run(&bg_nbd, &ages, options.bootstrap, options.seed))
        .flatten();
    let goodness_of_fit = if moved.is_some() {
        goodness::frequencies_moved(&model, &cohort.customers, &cohort.covariates)
    } else {
        goodness::frequencies(&bg_nbd, &cohort.customers)
    };
    let mut notes = notes(&goodness_of_fit, spend.correlation);
    if options.bootstrap > 0 && bootstrap.is_none() {
        notes.push(
            "bootstrap_failed: fewer than 40 runs found a top, so no 95 % interval is told by it".to_owned(),
        );
    }
    let repeaters = cohort.customers.iter().filter(|of| of.purchases.x() > 0.0);
    let dated = cohort.dated.as_ref();
    let mut report = LifetimeReport {
        name: options.name.clone(),
        table: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        table_sha256,
        n_rows: cohort.n_rows,
        n_customers: cohort.customers.len(),
        n_repeaters: repeaters.clone().count(),
        n_repeats: repeaters.map(|of| of.purchases.x() as u64).sum(),
        n_groups: grouped.groups.len(),
        n_same_day: dated.map_or(0, |dated| dated.purchases.n_same_day()),
        n_after_calibration: dated.map_or(0, |dated| dated.purchases.keys.len() - dated.customers.len()),
        unit: options.unit.name(),
        observed_from: dated.map(|dated| dated.first.to_string()),
        observed_through: dated.map(|dated| dated.calibrated.to_string()),
        parameters: PurchaseParameters::of(
            moved.as_ref().map_or(optimum.intervals(), |moved| moved.parameters),
        ),
        log_likelihood: moved.as_ref().map_or(optimum.log_likelihood, |moved| moved.log_likelihood),
        covariates: moved.map(|moved| moved.report),
        bootstrap,
        goodness_of_fit,
        gamma_gamma: spend,
        holdout,
        horizon: options.horizon.n_units(),
        discount_rate: options.horizon.discount_rate(),
        margin: options.horizon.margin(),
        notes,
        artifact_sha256: String::new(),
    };
    let through = dated.map_or(Timestamp::MIN, |dated| dated.calibrated.plus(1).start());
    let artifact = seal(options, &report, &model, &cohort, through)?;
    report.artifact_sha256 = artifact.sha256().to_owned();
    Ok(LifetimeFit { artifact, report })
}

/// The fit with covariates, where any are asked for.
fn moved(
    options: &LifetimeOptions,
    cohort: &Cohort,
    without: &Optimum<4>,
) -> Result<Option<Moved>, LifetimeError> {
    let Source::Summary(SummaryTable { table, covariates: names, .. }) = &options.source else {
        return Ok(None);
    };
    if names.is_empty() {
        return Ok(None);
    }
    let untold = |code, reason| LifetimeError::Untold { path: table.clone(), code, reason };
    if names.len() > MAX_COVARIATES {
        return Err(LifetimeError::TooManyCovariates(names.len()));
    }
    let z = Standardised::of(&cohort.covariates, names.len()).map_err(|at| {
        untold(Untold::NotIdentified, format!("the covariate {} is the same in every row", names[at]))
    })?;
    let found = covariates::fit(&cohort.customers, names, &z, without);
    found.map(Some).map_err(|(code, parameter)| untold(code, why(code, &parameter)))
}

pub(super) fn unsealable(path: &Path, fault: &ParameterFault) -> LifetimeError {
    let (path, reason) = (path.to_owned(), fault.to_string());
    LifetimeError::Untold { path, code: Untold::NotIdentified, reason }
}

fn cohort(options: &LifetimeOptions) -> Result<Cohort, LifetimeError> {
    match &options.source {
        Source::Summary(source) => {
            let found = read::summaries(source, None)?;
            Ok(Cohort {
                n_rows: found.customers.len() as u64,
                n_without_value: found.n_without_value,
                has_values: source.value.is_some(),
                customers: found.customers,
                dated: None,
                covariates: found.covariates,
            })
        }
        Source::Transactions(source) => {
            let purchases = read::purchases(source)?;
            let (Some(first), Some(last)) = (purchases.first, purchases.last) else {
                return Err(TableError::NoRows(source.table.clone()).into());
            };
            let calibrated = options.calibration_end.unwrap_or(last);
            if options.calibration_end.is_some() && !(first < calibrated && calibrated < last) {
                let [end, first, last] = [calibrated, first, last].map(|day| day.to_string());
                return Err(LifetimeError::Calibration { end, first, last });
            }
            let customers = purchases.customers(calibrated, options.unit);
            let all: Vec<CustomerSummary> = customers.iter().map(|of| of.summary).collect();
            let without = |of: &&CustomerSummary| of.purchases.x() > 0.0 && of.spend.is_none();
            Ok(Cohort {
                n_rows: purchases.n_rows,
                n_without_value: all.iter().filter(without).count() as u64,
                has_values: source.value.is_some(),
                customers: all,
                dated: Some(Dated { purchases, customers, first, calibrated, last }),
                covariates: Vec::new(),
            })
        }
    }
}

/// BG/NBD's top over `customers`, or why there is none.
pub(super) fn purchases(
    path: &Path,
    customers: &[CustomerSummary],
) -> Result<(Grouped<2>, Optimum<4>), LifetimeError> {
    let untold = |code, reason| LifetimeError::Untold { path: path.to_owned(), code, reason };
    let n_repeaters = customers.iter().filter(|of| of.purchases.x() > 0.0).count();
    let n = customers.len();
    if n_repeaters == 0 {
        let reason =
            format!("none of {n} customers bought on a second day; nothing tells how often one does");
        return Err(untold(Untold::AllOneTimeBuyers, reason));
    }
    if n_repeaters < MIN_REPEATERS {
        let reason = format!("{n_repeaters} of {n} customers bought again; {MIN_REPEATERS} are needed");
        return Err(untold(Untold::TooFewRepeaters, reason));
    }
    let grouped = grouped::purchases(customers.iter().map(|of| &of.purchases));
    let age = customers.iter().map(|of| of.purchases.age()).sum::<f64>() / n as f64;
    let repeats = customers.iter().map(|of| of.purchases.x()).sum::<f64>() / n as f64;
    // Shapes of 1, and a mean rate as observed.
    let start = [0.0, (age / repeats).ln(), 0.0, std::f64::consts::LN_2];
    let found =
        optimum::find(&grouped, grouped.n, start).map_err(|(code, at)| untold(code, why(code, NAMES[at])))?;
    Ok((grouped, found))
}

fn why(code: Untold, parameter: &str) -> String {
    match code {
        Untold::NoConvergence => format!("steps came to no end, the steepest along {parameter}"),
        _ => format!(
            "the rows do not tell {parameter}: the likelihood is as high with it at 0 or infinity, or moved along with \
             another; more customers or a longer observation tell more"
        ),
    }
}

pub(super) fn bg_nbd(optimum: &Optimum<4>) -> Result<BgNbd, ParameterFault> {
    let [r, alpha, a, b] = optimum.parameters();
    BgNbd::new(r, alpha, a, b)
}

/// What is known of spend, with the covariances of its logarithms.
pub(super) type Spend = (GammaGamma, [[f64; 3]; 3]);

/// The model of both parts, and how sure their parameters are.
pub(super) fn model(
    unit: TimeUnit,
    (bg_nbd, optimum): (BgNbd, &Optimum<4>),
    spend: Option<Spend>,
    horizon: Horizon,
) -> LifetimeModel {
    let model = LifetimeModel::new(unit, bg_nbd, spend.map(|(spend, _)| spend), horizon);
    match ParameterErrors::new(optimum.covariance, spend.map(|(_, covariance)| covariance)) {
        Ok(errors) => model.with_errors(errors),
        // A top flat to rounding: values without intervals.
        Err(_) => model,
    }
}

/// Gamma-Gamma over the customers whose mean value is known, or why there is none.
pub(super) fn spend(cohort: &Cohort) -> (SpendReport, Option<Spend>) {
    let known: Vec<_> = cohort.customers.iter().filter_map(|of| of.spend).collect();
    let mut report = SpendReport {
        n: known.len(),
        n_without_value: if cohort.has_values { cohort.n_without_value } else { 0 },
        parameters: None,
        log_likelihood: None,
        population_mean: None,
        correlation: goodness::correlation(&cohort.customers),
        code: None,
        reason: None,
    };
    let told = if !cohort.has_values {
        Err((Untold::NoValueColumn, "--value names no column".to_owned()))
    } else if known.len() < MIN_REPEATERS {
        let reason = format!(
            "{} customers have repeat purchases of a value above 0; {MIN_REPEATERS} are needed",
            known.len()
        );
        Err((Untold::TooFewRepeaters, reason))
    } else {
        let grouped = grouped::spends(known.iter());
        let mean = known.iter().map(|spend| spend.mean().ln()).sum::<f64>() / known.len() as f64;
        // A value's scatter as of p = q = e, and the mean as observed.
        let found = optimum::find(&grouped, grouped.n, [1.0, 1.0, mean]);
        found.map_err(|(code, at)| (code, why(code, ["p", "q", "v"][at])))
    };
    let found = match told {
        Ok(found) => found,
        Err((code, reason)) => {
            (report.code, report.reason) = (Some(code), Some(reason));
            return (report, None);
        }
    };
    let [p, q, v] = found.parameters();
    let model = GammaGamma::new(p, q, v).ok();
    let [p, q, v] = found.intervals();
    report.parameters = Some(SpendParameters { p, q, v });
    report.log_likelihood = Some(found.log_likelihood);
    report.population_mean = model.as_ref().and_then(|model| model.expected_spend(None));
    (report, model.map(|model| (model, found.covariance)))
}

pub(super) fn notes(fit: &GoodnessOfFit, correlation: Option<Correlation>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(p) = fit.p_value.filter(|p| *p < MISFIT) {
        notes.push(format!(
            "frequencies_misfit: chi-square {:.1} on {} degrees of freedom, p {p:.2e}: customers do not buy as BG/NBD says; \
             look where observed and expected part, and trust the holdout more than the intervals",
            fit.chi_square, fit.degrees_of_freedom
        ));
    }
    if let Some(found) = correlation.filter(|found| found.lo > DEPENDENT || found.hi < -DEPENDENT) {
        notes.push(format!(
            "spend_goes_with_frequency: correlation {:.2} ({:.2} to {:.2}); Gamma-Gamma takes it to be 0, so frequent \
             customers' values are off",
            found.value, found.lo, found.hi
        ));
    }
    notes
}

fn seal(
    options: &LifetimeOptions,
    report: &LifetimeReport,
    model: &LifetimeModel,
    cohort: &Cohort,
    trained_through: Timestamp,
) -> Result<Artifact, LifetimeError> {
    let mut builder = ArtifactBuilder::new(Metadata {
        name: options.name.clone(),
        // No feature of a project is read.
        schema_fingerprint: sha256_hex(b""),
        feature_names: Vec::new(),
        trained_through,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: options.seed,
        sources: BTreeMap::from([(report.table.clone(), report.table_sha256.clone())]),
        table: None,
        models: Vec::new(),
    });
    let counts = [report.n_customers as u64, report.n_repeaters as u64, report.n_repeats];
    let parameters = (&report.parameters, report.log_likelihood);
    let metadata = described(
        &options.name,
        counts,
        parameters,
        &report.goodness_of_fit,
        &report.gamma_gamma,
        report.notes.clone(),
    );
    if model.covariates().is_empty() {
        builder.lifetime(metadata, model, &golden(model, &cohort.customers));
    } else {
        let rows = cohort.customers.iter().zip(cohort.covariates.chunks(model.covariates().len()));
        let step = cohort.customers.len().div_ceil(N_GOLDEN).max(1);
        let golden =
            rows.step_by(step).map(|(of, values)| (*of, values.to_vec(), model.of(values).score(of)));
        builder.lifetime_with(metadata, model, &golden.collect::<Vec<_>>());
    }
    Ok(builder.seal()?)
}

/// Customers, evenly drawn, and what `model` tells of them.
pub(super) fn golden(
    model: &LifetimeModel,
    customers: &[CustomerSummary],
) -> Vec<(CustomerSummary, ValueScore)> {
    let step = customers.len().div_ceil(N_GOLDEN).max(1);
    customers.iter().step_by(step).map(|of| (*of, model.score(of))).collect()
}

/// What is sealed about the model; `counts` are customers, repeaters and repeat purchases.
pub(super) fn described(
    name: &str,
    counts: [u64; 3],
    (parameters, log_likelihood): (&PurchaseParameters, f64),
    fit: &GoodnessOfFit,
    spend: &SpendReport,
    notes: Vec<String>,
) -> ModelMetadata {
    let mut metrics = BTreeMap::from([
        ("log_likelihood".to_owned(), log_likelihood),
        ("chi_square".to_owned(), fit.chi_square),
        ("chi_square_degrees".to_owned(), fit.degrees_of_freedom as f64),
    ]);
    metrics.extend(fit.p_value.map(|p| ("chi_square_p".to_owned(), p)));
    metrics.extend(spend.log_likelihood.map(|value| ("spend_log_likelihood".to_owned(), value)));
    metrics.extend(spend.correlation.map(|found| ("spend_frequency_correlation".to_owned(), found.value)));
    let named = parameters.named().into_iter();
    for (name, interval) in named.chain(spend.parameters.iter().flat_map(SpendParameters::named)) {
        metrics.insert(name.to_owned(), interval.value);
        metrics.insert(format!("{name}_lo"), interval.lo);
        metrics.insert(format!("{name}_hi"), interval.hi);
    }
    ModelMetadata {
        name: name.to_owned(),
        kind: ModelKind::LifetimeValue,
        learner: if spend.parameters.is_some() { "bg_nbd_gamma_gamma" } else { "bg_nbd" }.to_owned(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::from([
            ("n_customers".to_owned(), counts[0]),
            ("n_repeaters".to_owned(), counts[1]),
            ("n_repeats".to_owned(), counts[2]),
            ("n_with_value".to_owned(), spend.n as u64),
        ]),
        metrics,
        notes,
        sections: BTreeMap::new(),
    }
}
