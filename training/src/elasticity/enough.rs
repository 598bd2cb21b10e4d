//! Whether rows are enough to tell a slope from, and why not.

use super::ols::Clusters;
use super::report::{PriceVariation, TooLittle};

/// Least standard deviation of the log price, net of the rest: one percent.
const MIN_NET_LOG_SD: f64 = 0.01;
/// Fewest rows.
const MIN_ROWS: usize = 10;
/// Fewest rows of all groups together where trees learn.
const MIN_ROWS_OF_TREES: usize = 100;
/// Fewest rows beyond the parameters.
const MIN_FREEDOM: usize = 5;
/// Fewest clusters.
const MIN_CLUSTERS: usize = 3;

/// What is left to tell a slope from.
pub(super) struct Net<'a> {
    pub(super) x: &'a [f64],
    pub(super) clusters: Option<&'a Clusters>,
    pub(super) n_parameters: usize,
}

impl Net<'_> {
    /// Why `n` rows whose price varies like this tell nothing.
    pub(super) fn refused(&self, n: usize, price: PriceVariation) -> Option<(TooLittle, String)> {
        let left = n.saturating_sub(self.n_parameters);
        if n < MIN_ROWS {
            let rows = if n == 1 { "1 row".to_owned() } else { format!("{n} rows") };
            return Some((TooLittle::TooFewRows, format!("{rows}; at least {MIN_ROWS} are needed")));
        }
        if left < MIN_FREEDOM {
            let reason = format!(
                "{n} rows for {} parameters; at least {MIN_FREEDOM} more rows than parameters are needed",
                self.n_parameters
            );
            return Some((TooLittle::TooFewRows, reason));
        }
        if let Some(refused) = self.clusters.and_then(too_few_clusters) {
            return Some(refused);
        }
        (price.net_log_sd < MIN_NET_LOG_SD).then(|| {
            let reason = format!(
                "the price varies by {:.2} % once the rest is known ({:.2} % before); at least {:.0} % are needed",
                100.0 * price.net_log_sd,
                100.0 * price.log_sd,
                100.0 * MIN_NET_LOG_SD
            );
            (TooLittle::VariationTooSmall, reason)
        })
    }
}

fn too_few_clusters(clusters: &Clusters) -> Option<(TooLittle, String)> {
    let reason = || format!("{} clusters; at least {MIN_CLUSTERS} are needed", clusters.n);
    (clusters.n < MIN_CLUSTERS).then(|| (TooLittle::TooFewClusters, reason()))
}

/// Why `n_rows` of all groups together teach trees nothing.
pub(super) fn trees_refused(n_rows: usize, clusters: Option<&Clusters>) -> Option<(TooLittle, String)> {
    if n_rows < MIN_ROWS_OF_TREES {
        let reason = format!(
            "{n_rows} rows in all; at least {MIN_ROWS_OF_TREES} are needed for trees to learn from, --method ols takes fewer"
        );
        return Some((TooLittle::TooFewRows, reason));
    }
    clusters.and_then(too_few_clusters)
}
