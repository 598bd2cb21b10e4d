//! How well predicted uplift puts rows in order, and whether it says what comes true.
//!
//! Rows in the order of predicted uplift, the largest first, `r` being the share of rows before (equal predictions
//! share their mean rank), within each fold: a fold whose effect is large by chance is told a low one by the others,
//! and across folds that would turn the order round. With pseudo-outcomes as what treating a row gains, the uplift
//! curve is `U(q) = mean of pseudo over all rows, those behind q counted 0`: outcomes gained per row of the table when
//! the first share q is treated. Its area is `AUUC = mean of pseudo (1 - r)`, and the Qini coefficient
//! `mean of pseudo (1/2 - r)` the area between curve and the line to U(1), which drawing rows at random would give
//! (Radcliffe 2007, there of raw counts; pseudo-outcomes say the same with less noise, and hold where treatment was not
//! drawn at random). Both in outcomes per row.
//!
//! Intervals are 95 %, by influence functions, the estimated ranks included (no bootstrap): of the Qini coefficient
//! `pseudo (1/2 - r) - H(s)`, centred, with `H(s) = E[pseudo; score <= s]`; of U(q) `pseudo [r <= q] - u [r <= q]`,
//! centred, with `u` the effect at the threshold, taken from the curve around it. They take scores as given: they tell
//! how this ranking does on other customers, not how another fit would.

use serde::Serialize;

use super::effect::{interval, mean};
use crate::elasticity::Interval;
use crate::metrics;

/// Points of the curve but the first.
const N_POINTS: usize = 20;
/// Half the width, in shares of rows, over which the effect at a threshold is taken.
const AROUND: f64 = 0.05;
/// Shares told by name.
const TOP: [f64; 3] = [0.1, 0.2, 0.3];

/// A point of the uplift curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CurvePoint {
    /// Share of rows treated, those of the largest predicted uplift.
    pub share: f64,
    /// Outcomes gained per row of the table.
    pub gained: Interval,
}

/// The rows of the largest predicted uplift.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct TopShare {
    /// Their share.
    pub share: f64,
    /// Their mean effect.
    pub uplift: Interval,
}

/// A tenth of the rows by predicted uplift; where many predictions are equal some tenths are empty and not told.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Decile {
    /// 1 holds the largest predictions.
    pub decile: usize,
    /// Rows.
    pub n: usize,
    /// Mean predicted uplift.
    pub predicted: f64,
    /// Mean effect: the mean of pseudo-outcomes.
    pub observed: Interval,
}

/// What predicted uplift is worth.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// Area under the uplift curve.
    pub auuc: Interval,
    /// Qini coefficient.
    pub qini: Interval,
    /// The uplift curve.
    pub curve: Vec<CurvePoint>,
    /// Calibration.
    pub deciles: Vec<Decile>,
    /// The top of the list.
    pub top: Vec<TopShare>,
}

impl Ranking {
    /// Of predictions and pseudo-outcomes, row by row, ranked within folds.
    pub(super) fn of(values: &[f64], pseudo: &[f64], folds: &[u32]) -> Self {
        let placed = Placed::of(values, pseudo, folds);
        let curve = (1..=N_POINTS).map(|at| placed.at(at as f64 / N_POINTS as f64));
        let top = TOP.map(|share| {
            let gained = placed.at(share).gained;
            TopShare { share, uplift: interval(gained.value / share, gained.se / share) }
        });
        Self {
            auuc: placed.area(|r| 1.0 - r),
            qini: placed.area(|r| 0.5 - r),
            curve: curve.collect(),
            deciles: placed.deciles(values),
            top: top.to_vec(),
        }
    }
}

/// Rows in the order of their predictions, fold by fold.
struct Placed<'a> {
    pseudo: &'a [f64],
    /// From which to which share of its fold a row and its equals reach.
    spans: Vec<(f64, f64)>,
    /// H(s) of each row: the sum of pseudo-outcomes at or below its prediction, half of its equals, over the fold's
    /// rows.
    below: Vec<f64>,
}

impl<'a> Placed<'a> {
    fn of(values: &[f64], pseudo: &'a [f64], folds: &[u32]) -> Self {
        let n_folds = folds.iter().max().map_or(0, |last| last + 1);
        let mut placed =
            Self { pseudo, spans: vec![(0.0, 1.0); values.len()], below: vec![0.0; values.len()] };
        for fold in 0..n_folds {
            let mut rows: Vec<usize> = (0..values.len()).filter(|&row| folds[row] == fold).collect();
            rows.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            placed.fold(values, &rows);
        }
        placed
    }

    /// Places the rows of one fold, the largest prediction first.
    fn fold(&mut self, values: &[f64], rows: &[usize]) {
        let n = rows.len() as f64;
        let mut rest: f64 = rows.iter().map(|&row| self.pseudo[row]).sum();
        let mut start = 0;
        while start < rows.len() {
            let same = rows[start..].iter().take_while(|&&row| values[row] == values[rows[start]]).count();
            let equals = &rows[start..start + same];
            let own: f64 = equals.iter().map(|&row| self.pseudo[row]).sum();
            for &row in equals {
                self.spans[row] = (start as f64 / n, (start + same) as f64 / n);
                self.below[row] = (rest - 0.5 * own) / n;
            }
            rest -= own;
            start += same;
        }
    }

    /// The mean of `pseudo weight(r)`.
    fn area(&self, weight: impl Fn(f64) -> f64) -> Interval {
        let middles = self.spans.iter().map(|(from, to)| 0.5 * (from + to));
        let terms: Vec<f64> = middles.zip(self.pseudo).map(|(r, psi)| psi * weight(r)).collect();
        let influence: Vec<f64> = terms.iter().zip(&self.below).map(|(term, below)| term - below).collect();
        interval(metrics::mean(&terms).value, metrics::mean(&influence).se)
    }

    /// How much of each row lies in the first `share`: of equals that straddle it, the part that fits.
    fn inside(&self, share: f64) -> impl Iterator<Item = (f64, f64)> {
        let part = move |&(from, to): &(f64, f64)| ((share - from) / (to - from)).clamp(0.0, 1.0);
        self.spans.iter().map(part).zip(self.pseudo.iter().copied())
    }

    fn gained(&self, share: f64) -> f64 {
        self.inside(share).map(|(part, psi)| part * psi).sum::<f64>() / self.pseudo.len() as f64
    }

    fn at(&self, share: f64) -> CurvePoint {
        let (low, high) = ((share - AROUND).max(0.0), (share + AROUND).min(1.0));
        let threshold = (self.gained(high) - self.gained(low)) / (high - low);
        // All rows have no threshold.
        let threshold = if share < 1.0 { threshold } else { 0.0 };
        let influence: Vec<f64> = self.inside(share).map(|(part, psi)| part * (psi - threshold)).collect();
        CurvePoint { share, gained: interval(self.gained(share), metrics::mean(&influence).se) }
    }

    /// Ten groups by place within the fold, the largest predictions first; equals go where the middle of their span
    /// lies.
    fn deciles(&self, values: &[f64]) -> Vec<Decile> {
        let of_row = |(from, to): &(f64, f64)| ((5.0 * (from + to)) as usize).min(9);
        let groups: Vec<usize> = self.spans.iter().map(of_row).collect();
        let of = |decile: usize| {
            let rows = (0..values.len()).filter(|&row| groups[row] == decile);
            let (predicted, observed): (Vec<f64>, Vec<f64>) =
                rows.map(|row| (values[row], self.pseudo[row])).unzip();
            let n = observed.len();
            let predicted = metrics::mean(&predicted).value;
            (n > 1).then(|| Decile { decile: decile + 1, n, predicted, observed: mean(&observed) })
        };
        (0..10).filter_map(of).collect()
    }
}
