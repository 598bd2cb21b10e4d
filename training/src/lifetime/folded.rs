//! The lifetime-value model of a project: from customers as the fold left them, not from a table.

use std::path::Path;

use nextbest_models::artifact::ModelMetadata;
use nextbest_models::value::{CustomerSummary, Horizon, LifetimeModel, TimeUnit, ValueScore};

use super::LifetimeError;
use super::fit::{Cohort, MISFIT, bg_nbd, described, golden, model, notes, purchases, spend, unsealable};
use super::goodness;
use super::report::{GoodnessOfFit, PurchaseParameters, SpendReport};

/// The name of the model in an artifact of a project.
pub const LIFETIME: &str = "lifetime_value";

/// A fitted model, on its way into the artifact and the report.
#[derive(Clone, Debug)]
pub struct TrainedLifetime {
    /// What is said of it.
    pub metadata: ModelMetadata,
    /// It.
    pub model: LifetimeModel,
    /// Customers and what it told of them.
    pub golden: Vec<(CustomerSummary, ValueScore)>,
    /// How well it fits.
    pub report: FoldedReport,
}

/// What a project's report says of its lifetime-value model.
#[derive(Clone, Debug, serde::Serialize)]
pub struct FoldedReport {
    /// Customers with a purchase that stands.
    pub n_customers: usize,
    /// Those who came again.
    pub n_repeaters: usize,
    /// With their 95 % intervals.
    pub parameters: PurchaseParameters,
    /// At the parameters.
    pub log_likelihood: f64,
    /// Of the numbers of repeat purchases.
    pub goodness_of_fit: GoodnessOfFit,
    /// What they pay, or why that is not told.
    pub gamma_gamma: SpendReport,
    /// What a reader should know.
    pub notes: Vec<String>,
}

impl FoldedReport {
    /// Whether customers do not buy as the model says: the p-value of their frequencies is below 0.05.
    #[must_use]
    pub fn misfits(&self) -> bool {
        self.goodness_of_fit.p_value.is_some_and(|p| p < MISFIT)
    }
}

/// Fits a model on the customers of a log, in weeks and minor units.
pub fn fit_folded(
    horizon: Horizon,
    customers: Vec<CustomerSummary>,
) -> Result<TrainedLifetime, LifetimeError> {
    let source = Path::new("the event log");
    let cohort = Cohort::folded(customers);
    let (_, optimum) = purchases(source, &cohort.customers)?;
    let found = bg_nbd(&optimum).map_err(|fault| unsealable(source, &fault))?;
    let (spend, gamma_gamma) = spend(&cohort);
    let model = model(TimeUnit::Week, (found, &optimum), gamma_gamma, horizon);
    let goodness_of_fit = goodness::frequencies(&found, &cohort.customers);
    let n_repeaters = cohort.customers.iter().filter(|of| of.purchases.x() > 0.0).count();
    let report = FoldedReport {
        n_customers: cohort.customers.len(),
        n_repeaters,
        parameters: PurchaseParameters::of(optimum.intervals()),
        log_likelihood: optimum.log_likelihood,
        notes: notes(&goodness_of_fit, spend.correlation),
        goodness_of_fit,
        gamma_gamma: spend,
    };
    let n_repeats = cohort.customers.iter().map(|of| of.purchases.x() as u64).sum();
    let counts = [cohort.customers.len() as u64, n_repeaters as u64, n_repeats];
    let metadata = described(
        LIFETIME,
        counts,
        (&report.parameters, report.log_likelihood),
        &report.goodness_of_fit,
        &report.gamma_gamma,
        report.notes.clone(),
    );
    let golden = golden(&model, &cohort.customers);
    Ok(TrainedLifetime { metadata, model, golden, report })
}
