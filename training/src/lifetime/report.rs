//! What is told of a fit: parameters with intervals, how well the model fits, and what a reader should know.

use serde::Serialize;

use super::covariates::CovariatesReport;
use super::error::Untold;
use super::tracking::Holdout;
use crate::elasticity::Interval;

/// Of BG/NBD.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct PurchaseParameters {
    /// Shape of the rates of purchase.
    pub r: Interval,
    /// Their rate, in units of time.
    pub alpha: Interval,
    /// First shape of the chance to leave.
    pub a: Interval,
    /// Second.
    pub b: Interval,
}

impl PurchaseParameters {
    pub(super) const fn of([r, alpha, a, b]: [Interval; 4]) -> Self {
        Self { r, alpha, a, b }
    }

    /// With their names.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, Interval); 4] {
        [("r", self.r), ("alpha", self.alpha), ("a", self.a), ("b", self.b)]
    }
}

/// Of Gamma-Gamma.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SpendParameters {
    /// Shape of a purchase's value.
    pub p: Interval,
    /// Shape of the rates of value.
    pub q: Interval,
    /// Their rate, in units of value.
    pub v: Interval,
}

impl SpendParameters {
    /// With their names.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, Interval); 3] {
        [("p", self.p), ("q", self.q), ("v", self.v)]
    }
}

/// Intervals by the parametric bootstrap.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Bootstrap {
    /// Runs asked for.
    pub n_runs: usize,
    /// Runs that found no top, left out.
    pub n_failed: usize,
    /// The 2.5 % and 97.5 % points, and the standard deviation of the runs.
    pub parameters: PurchaseParameters,
}

/// Customers by how often they bought again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Frequency {
    /// Repeat purchases; the last one stands for so many and more.
    pub x: usize,
    /// Customers there are.
    pub observed: f64,
    /// Customers the model expects, over everybody's age.
    pub expected: f64,
}

/// Pearson's chi-square of frequencies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GoodnessOfFit {
    /// The customers, as drawn and as expected.
    pub frequencies: Vec<Frequency>,
    /// `sum (observed - expected)^2 / expected`, cells of less than 5 expected joined from the end.
    pub chi_square: f64,
    /// Cells less one less four parameters.
    pub degrees_of_freedom: usize,
    /// P(a statistic this large | the model); null where no degree of freedom is left.
    pub p_value: Option<f64>,
    /// `too_few_cells` where there is no p.
    pub code: Option<&'static str>,
}

/// Pearson's correlation with its 95 % interval by Fisher's z.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Correlation {
    /// The correlation.
    pub value: f64,
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// What is told of spend.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SpendReport {
    /// Customers with a mean value above 0 over repeat purchases.
    pub n: usize,
    /// Repeaters whose mean value is unknown, 0 or below, left out of this part alone.
    pub n_without_value: u64,
    /// Parameters; null with a code.
    pub parameters: Option<SpendParameters>,
    /// Of the means.
    pub log_likelihood: Option<f64>,
    /// `p v / (q - 1)`; null where `q` is at most 1.
    pub population_mean: Option<f64>,
    /// Of repeats and their mean value: the model takes it to be 0.
    pub correlation: Option<Correlation>,
    /// Why there are no parameters.
    pub code: Option<Untold>,
    /// The same in a sentence.
    pub reason: Option<String>,
}

/// What is told of a table.
#[derive(Clone, Debug, Serialize)]
pub struct LifetimeReport {
    /// The model's name.
    pub name: String,
    /// The file's name.
    pub table: String,
    /// Its SHA-256, in hex.
    pub table_sha256: String,
    /// Rows of the file.
    pub n_rows: u64,
    /// Customers fitted on.
    pub n_customers: usize,
    /// Of them, those who bought again.
    pub n_repeaters: usize,
    /// Repeat purchases.
    pub n_repeats: u64,
    /// Different `(x, t_x, T)`.
    pub n_groups: usize,
    /// Rows of the same customer and day as another: one purchase.
    pub n_same_day: u64,
    /// Customers whose first purchase lies after the calibration, left out.
    pub n_after_calibration: usize,
    /// `day`, `week`, `month`.
    pub unit: &'static str,
    /// First purchase; null of a summary.
    pub observed_from: Option<String>,
    /// The last day fitted on; null of a summary.
    pub observed_through: Option<String>,
    /// BG/NBD, intervals by the Hessian on logarithms.
    pub parameters: PurchaseParameters,
    /// At those parameters.
    pub log_likelihood: f64,
    /// What covariates add, where any were named; the parameters are then those of a customer with the mean of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariates: Option<CovariatesReport>,
    /// Intervals by the bootstrap, where asked.
    pub bootstrap: Option<Bootstrap>,
    /// Frequencies against the model.
    pub goodness_of_fit: GoodnessOfFit,
    /// Gamma-Gamma.
    pub gamma_gamma: SpendReport,
    /// What followed the calibration, where it ended before the data.
    pub holdout: Option<Holdout>,
    /// Units of time a lifetime value looks ahead.
    pub horizon: u32,
    /// Per unit of time.
    pub discount_rate: f64,
    /// Share of value.
    pub margin: f64,
    /// What a reader should know, each beginning with its code.
    pub notes: Vec<String>,
    /// SHA-256 of the artifact, in hex.
    pub artifact_sha256: String,
}
