//! What a threshold is worth: the net value of acting on every row at or above it, for a stated benefit and cost.
//!
//! Value of a threshold = (benefit x rows above it with the outcome - cost x rows above it) / rows x 1,000. It counts an
//! outcome found as worth the same whether or not the action changed anything, which is an upper bound on what acting
//! earns. The best threshold is chosen on the rows its value is measured on, so that value is slightly too good; acting
//! where the probability exceeds cost / benefit needs no such choice and is best where probabilities are calibrated.

use serde::Serialize;

use super::curves::{Above, thinned, thresholds};
use crate::metrics::Estimate;

/// Benefit of acting on a row with the outcome, in units of [`COST`].
pub const BENEFIT: f64 = 10.0;
/// Cost of acting on a row.
pub const COST: f64 = 1.0;
/// Benefits for which the best threshold is told besides, as factors.
const FACTORS: [f64; 3] = [0.5, 1.0, 2.0];
/// A threshold is near the best with this share of its value.
const NEAR: f64 = 0.95;
/// Rows a value is told for.
const PER_ROWS: f64 = 1000.0;

/// One threshold and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CostPoint {
    /// Rows at or above this probability are acted on; absent: none are.
    pub threshold: Option<f64>,
    /// Their share of all rows.
    pub share: f64,
    /// Net value per 1,000 rows.
    pub net_value: Estimate,
}

/// The best threshold for another benefit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The benefit.
    pub benefit: f64,
    /// Cost / benefit.
    pub break_even: f64,
    /// The best threshold on these rows.
    pub best: CostPoint,
}

/// Net value over thresholds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Costs {
    /// Of acting on a row with the outcome.
    pub benefit: f64,
    /// Of acting on a row.
    pub cost: f64,
    /// The threshold of the highest value.
    pub best: CostPoint,
    /// The lowest and highest threshold without one below 95 % of the best value between them; absent where acting does not
    /// pay.
    pub near_best: Option<(f64, f64)>,
    /// The threshold cost / benefit, where an exact probability breaks even.
    pub break_even: CostPoint,
    /// Acting on every row.
    pub everybody: CostPoint,
    /// The best thresholds of half and twice the benefit, too.
    pub sensitivity: Vec<Sensitivity>,
    /// (threshold, net value per 1,000 rows) by falling threshold, thinned.
    pub curve: Vec<(f64, f64)>,
}

/// What the thresholds of `probabilities` are worth.
pub(super) fn measure(probabilities: &[f64], outcomes: &[bool], benefit: f64, cost: f64) -> Costs {
    let all = thresholds(probabilities, outcomes);
    let n = outcomes.len();
    let worth = |above: Option<&Above>| worth(above, n, benefit, cost);
    let best_at = best(&all, n, benefit, cost);
    let break_even = all.iter().rev().find(|above| above.threshold >= cost / benefit);
    let sensitivity = FACTORS.map(|factor| {
        let benefit = factor * benefit;
        let at = best(&all, n, benefit, cost);
        let best = self::worth(at.map(|at| &all[at]), n, benefit, cost);
        Sensitivity { benefit, break_even: cost / benefit, best }
    });
    Costs {
        benefit,
        cost,
        best: worth(best_at.map(|at| &all[at])),
        near_best: best_at.map(|at| near(&all, at, |above| worth(Some(above)).net_value.value)),
        break_even: CostPoint { threshold: Some(cost / benefit), ..worth(break_even) },
        everybody: CostPoint { threshold: Some(0.0), ..worth(all.last()) },
        sensitivity: sensitivity.to_vec(),
        curve: thinned(&all)
            .iter()
            .map(|above| (above.threshold, worth(Some(above)).net_value.value))
            .collect(),
    }
}

/// The place of the highest value; `None` where acting on nobody is not beaten. Of equals, the higher threshold.
fn best(all: &[Above], n: usize, benefit: f64, cost: f64) -> Option<usize> {
    let mut best = (0.0, None);
    for (at, above) in all.iter().enumerate() {
        let value = worth(Some(above), n, benefit, cost).net_value.value;
        if value > best.0 {
            best = (value, Some(at));
        }
    }
    best.1
}

/// The thresholds around place `best` whose values stay near its own: the lowest and the highest.
fn near(all: &[Above], best: usize, value: impl Fn(&Above) -> f64) -> (f64, f64) {
    let enough = NEAR * value(&all[best]);
    let high = all[..best].iter().rev().take_while(|above| value(above) >= enough).last();
    let low = all[best..].iter().take_while(|above| value(above) >= enough).last();
    let threshold = |above: Option<&Above>| above.unwrap_or(&all[best]).threshold;
    (threshold(low), threshold(high))
}

fn worth(above: Option<&Above>, n: usize, benefit: f64, cost: f64) -> CostPoint {
    let rows = n.max(1) as f64;
    let Some(above) = above else {
        let net_value = Estimate { value: 0.0, se: 0.0 };
        return CostPoint { threshold: None, share: 0.0, net_value };
    };
    let (hits, misses) = (above.n_positive as f64, (above.n - above.n_positive) as f64);
    let mean = (hits * (benefit - cost) - misses * cost) / rows;
    let squares = (hits * (benefit - cost).powi(2) + misses * cost * cost) / rows;
    let variance = (squares - mean * mean).max(0.0) * rows / (rows - 1.0).max(1.0);
    CostPoint {
        threshold: Some(above.threshold),
        share: above.n as f64 / rows,
        net_value: Estimate { value: PER_ROWS * mean, se: PER_ROWS * (variance / rows).sqrt() },
    }
}
