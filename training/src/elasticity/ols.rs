//! The last step of both estimators: one slope of what is left of quantity on what is left of price, and how sure it is.

use super::report::Interval;
use crate::student;

/// A slope with its standard error and the degrees of freedom of its t.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Slope {
    pub(super) value: f64,
    pub(super) se: f64,
    pub(super) freedom: usize,
}

impl Slope {
    /// With its 95 % interval.
    pub(super) fn interval(&self) -> Interval {
        Interval::of(self.value, self.se, student::quantile(self.freedom))
    }
}

/// Which rows may have errors in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clusters {
    /// By row, from 0, none left out.
    pub(super) of_row: Vec<u32>,
    pub(super) n: usize,
}

impl Clusters {
    /// Numbers `codes` anew, without gaps.
    pub(super) fn new(codes: &[u32]) -> Self {
        let mut known: Vec<u32> = codes.to_vec();
        known.sort_unstable();
        known.dedup();
        let place = |code: &u32| known.partition_point(|other| other < code) as u32;
        Self { of_row: codes.iter().map(place).collect(), n: known.len() }
    }
}

/// The least-squares slope of `y` on `x`, both net of everything else, of which `n_parameters` were taken out (slope
/// included). `None` where `x` is 0 throughout, or as many parameters as rows were fitted.
///
/// `theta = sum x y / sum x^2` (Frisch & Waugh 1933; Lovell 1963), with scores `s_i = x_i (y_i - theta x_i)`. Without
/// clusters the standard error is HC1, `n / (n - k) sum s_i^2 / (sum x^2)^2` (White 1980; MacKinnon & White 1985), with
/// t(n - k); with G clusters CR1, `G / (G - 1) (n - 1) / (n - k) sum_g (sum_{i in g} s_i)^2 / (sum x^2)^2` (Liang & Zeger
/// 1986), with t(G - 1) (Cameron & Miller 2015). Both mislead with few rows, or clusters below about 40 of unequal size.
pub(super) fn slope(x: &[f64], y: &[f64], clusters: Option<&Clusters>, n_parameters: usize) -> Option<Slope> {
    let sxx: f64 = x.iter().map(|x| x * x).sum();
    let (n, left) = (x.len(), x.len().checked_sub(n_parameters)?);
    if sxx <= 0.0 || left == 0 {
        return None;
    }
    let value = x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>() / sxx;
    let scores = x.iter().zip(y).map(|(x, y)| x * (y - value * x));
    let (meat, factor, freedom) = match clusters {
        None => (scores.map(|score| score * score).sum::<f64>(), n as f64 / left as f64, left),
        Some(clusters) if clusters.n < 2 => return None,
        Some(clusters) => {
            let mut sums = vec![0.0; clusters.n];
            scores.zip(&clusters.of_row).for_each(|(score, at)| sums[*at as usize] += score);
            let g = clusters.n as f64;
            let factor = g / (g - 1.0) * (n as f64 - 1.0) / left as f64;
            (sums.iter().map(|sum| sum * sum).sum::<f64>(), factor, clusters.n - 1)
        }
    };
    Some(Slope { value, se: (factor * meat).sqrt() / sxx, freedom })
}
