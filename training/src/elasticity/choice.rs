//! Whom buyers choose where several prices are on the shelf: the multinomial logit of McFadden (1974).
//!
//! `P(j) = exp(v_j) / sum_k exp(v_k)` with `v_j = a_j + b p_j + c' z_j`: a constant for every alternative but the first, one
//! price coefficient, one for every attribute. It assumes independence of irrelevant alternatives: a price that falls
//! takes buyers from all others in proportion to their shares. It misleads where some are closer substitutes, where
//! prices follow tastes that are not in the table, and where not buying is a choice that the table does not hold.
//! `table` reads, `likelihood` fits; nothing here estimates how much is bought.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::error::{Fault, told};
use super::report::Interval;
use crate::student;
use crate::table::TableError;

mod likelihood;
mod table;

/// What to fit.
#[derive(Clone, Debug)]
pub struct ChoiceOptions {
    /// The table: CSV(.gz) or Parquet, one row per choice.
    pub table: PathBuf,
    /// The column that names the alternative chosen.
    pub choice: String,
    /// Prices stand in columns `PRICE.ALTERNATIVE` or `PRICE_ALTERNATIVE`.
    pub price: String,
    /// Other things known of every alternative, in columns named in the same way.
    pub attributes: Vec<String>,
    /// Rows of one value may have errors in common.
    pub cluster: Option<String>,
}

/// Why there is no model of choice.
#[derive(Debug, thiserror::Error)]
pub enum ChoiceError {
    /// A table that cannot be read, or lacks a column.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A name given twice.
    #[error("--attributes: {0:?} is named twice, or by --price too")]
    NamedTwice(String),
    /// Fewer than two columns begin with the price's name.
    #[error("--price: {} has {found} columns named {prefix}.ALTERNATIVE or {prefix}_ALTERNATIVE; a choice needs two", .path.display())]
    Prices {
        /// The file.
        path: PathBuf,
        /// As named.
        prefix: String,
        /// How many columns begin so.
        found: usize,
    },
    /// An attribute is not known of every alternative.
    #[error("--attributes: {} has no column {prefix}.{alternative}, but a price of {alternative}", .path.display())]
    Attribute {
        /// The file.
        path: PathBuf,
        /// As named.
        prefix: String,
        /// The alternative without it.
        alternative: String,
    },
    /// Cells that cannot be used; all of the file.
    #[error("{}: {}", .path.display(), told(.faults))]
    Unusable {
        /// The file.
        path: PathBuf,
        /// By column and reason.
        faults: Vec<Fault>,
    },
    /// Choices of what has no price.
    #[error("{}: {} rows choose what has no price column, the first in row {row}: {value:?}; there are {known}", .path.display(), .n)]
    UnknownChoice {
        /// The file.
        path: PathBuf,
        /// How many rows.
        n: u64,
        /// The first.
        row: u64,
        /// What it chooses.
        value: String,
        /// The alternatives.
        known: String,
    },
    /// Alternatives nobody took: their constants have no bound.
    #[error("{}: never chosen: {}; leave out their price columns, or the rows where they were offered", .path.display(), .alternatives.join(", "))]
    NeverChosen {
        /// The file.
        path: PathBuf,
        /// Their names.
        alternatives: Vec<String>,
    },
    /// A coefficient the data does not bound.
    #[error("{}: {parameter} tells every choice it has a say in (perfect separation): its coefficient has no bound", .path.display())]
    Separated {
        /// The file.
        path: PathBuf,
        /// Its name.
        parameter: String,
    },
    /// A coefficient the data says nothing of.
    #[error("{}: {parameter} does not differ among alternatives, or others tell it already: it has no coefficient", .path.display())]
    Unidentified {
        /// The file.
        path: PathBuf,
        /// Its name.
        parameter: String,
    },
    /// Clusters that tell no standard error.
    #[error("{}: --cluster {column:?} has {found} values; more than the {n_parameters} coefficients are needed", .path.display())]
    FewClusters {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its values.
        found: usize,
        /// Coefficients.
        n_parameters: usize,
    },
}

impl ChoiceError {
    /// Whether the call is at fault, not the data.
    #[must_use]
    pub const fn is_wrong_call(&self) -> bool {
        match self {
            Self::Table(error) => error.is_wrong_call(),
            Self::NamedTwice(_) | Self::Prices { .. } | Self::Attribute { .. } => true,
            _ => false,
        }
    }
}

/// One alternative.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alternative {
    /// Its name.
    pub name: String,
    /// Rows that chose it.
    pub n_chosen: u64,
}

/// What is told of the choices.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChoiceReport {
    /// Rows.
    pub n: usize,
    /// Clusters; `None` where every row stands alone.
    pub n_clusters: Option<usize>,
    /// By the order of their columns; the first has the constant 0.
    pub alternatives: Vec<Alternative>,
    /// Change of log-odds per unit of price.
    pub price: Interval,
    /// Of the attributes, and of each alternative's constant (`constant:NAME`).
    pub coefficients: BTreeMap<String, Interval>,
    /// At the coefficients.
    pub log_likelihood: f64,
    /// With constants alone.
    pub log_likelihood_of_shares: f64,
    /// Row j, column k: change of j's expected share in percent when k's price rises by one percent on every row,
    /// `sum_i P_ij b p_ik (1[j = k] - P_ik) / sum_i P_ij`.
    pub elasticities: Vec<Vec<f64>>,
    /// What to do next.
    pub next: String,
}

/// Fits the table of `options`.
///
/// Newton's method on the log-likelihood, which is concave, to a step that promises 1e-12 of it. Standard errors are those
/// of the inverse Hessian, with normal intervals; with G clusters of the sandwich `H^-1 (sum_g s_g s_g') H^-1 G / (G - 1)`,
/// with t(G - 1).
pub fn fit(options: &ChoiceOptions) -> Result<ChoiceReport, ChoiceError> {
    let choices = table::read(options)?;
    let fitted = likelihood::fit(&choices).map_err(|fault| fault.named(&options.table, &choices))?;
    let quantile = match &choices.clusters {
        Some(clusters) if clusters.n <= choices.n_parameters() => {
            return Err(ChoiceError::FewClusters {
                path: options.table.clone(),
                column: options.cluster.clone().unwrap_or_default(),
                found: clusters.n,
                n_parameters: choices.n_parameters(),
            });
        }
        Some(clusters) => student::quantile(clusters.n - 1),
        None => student::quantile(usize::MAX),
    };
    let interval = |at: usize| Interval::of(fitted.point[at], fitted.standard_errors[at], quantile);
    let named = (1..choices.n_parameters()).map(|at| (choices.parameter(at), interval(at)));
    let price = interval(0);
    let next = if price.hi < 0.0 {
        "Own elasticities above are for a price changed on every row; where two alternatives are closer substitutes than the \
         rest, do not trust the cross ones."
    } else {
        "Do not price by this: it does not rule out that a higher price wins more buyers. Name what else differed in \
         --attributes."
    };
    Ok(ChoiceReport {
        n: choices.n_rows(),
        n_clusters: choices.clusters.as_ref().map(|clusters| clusters.n),
        price,
        coefficients: named.collect(),
        log_likelihood: fitted.log_likelihood,
        log_likelihood_of_shares: choices.log_likelihood_of_shares(),
        elasticities: likelihood::elasticities(&choices, &fitted.point),
        alternatives: choices.alternatives,
        next: next.to_owned(),
    })
}
