//! What contacting the first of a list reaches, costs and brings, at every hundredth of it.
//!
//! Sums over the rows as they pass, so a curve costs the same memory at any length. Who is held out of the policy, or may not
//! be contacted, stands in the list but costs and saves nothing.

use serde::{Deserialize, Serialize};

use super::order::Order;
use super::row::AtRisk;

/// Points of a curve.
const N_POINTS: usize = 100;

/// A point of the curve: contact the first `n_customers` of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cutoff {
    /// How long the list is.
    pub n_customers: usize,
    /// How many of them can be contacted: held out of nothing, and an action is there for them.
    pub n_contacted: usize,
    /// Churners expected among them: the sum of their probabilities.
    pub expected_churners: f64,
    /// Others among them, who would have stayed: what a list of churners is wrong about.
    pub expected_others: f64,
    /// Of all churners expected in the population.
    pub share_of_churners: f64,
    /// Of all value at risk in the population.
    pub share_of_value_at_risk: f64,
    /// What contacting costs, in minor units.
    pub cost_minor: i64,
    /// What it is expected to bring after its cost: uplift times lifetime value, less cost, in minor units; none where
    /// uplift or lifetime value is not told.
    pub net_value_minor: Option<i64>,
}

/// The whole population, summed while it is scored.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) n_customers: usize,
    pub(super) churners: f64,
    pub(super) value_at_risk: i128,
    pub(super) n_with_net: usize,
    pub(super) n_with_clv: usize,
    pub(super) n_with_uplift: usize,
    pub(super) n_held_out: usize,
}

impl Totals {
    /// Whether anybody has the number of `order`; value at risk is listed in any case.
    pub(super) const fn tells(&self, order: Order) -> bool {
        match order {
            Order::NetSaveValue => self.n_with_net > 0,
            Order::LifetimeValue => self.n_with_clv > 0,
            Order::SaveUplift => self.n_with_uplift > 0,
            Order::ValueAtRisk | Order::ChurnProbability => true,
        }
    }

    pub(super) fn add(&mut self, row: &AtRisk) {
        self.n_customers += 1;
        self.churners += row.churn_probability;
        self.value_at_risk += i128::from(row.value_at_risk_minor);
        self.n_with_net += usize::from(row.net_save_value_minor.is_some());
        self.n_with_clv += usize::from(row.clv.is_some());
        self.n_with_uplift += usize::from(row.save_uplift.is_some());
        self.n_held_out += usize::from(row.control.policy);
    }
}

/// A curve being drawn.
pub(super) struct Curve {
    totals: Totals,
    at: Cutoff,
    value_at_risk: i128,
    net_minor: i128,
    points: Vec<Cutoff>,
}

impl Curve {
    pub(super) const fn new(totals: Totals) -> Self {
        let at = Cutoff {
            n_customers: 0,
            n_contacted: 0,
            expected_churners: 0.0,
            expected_others: 0.0,
            share_of_churners: 0.0,
            share_of_value_at_risk: 0.0,
            cost_minor: 0,
            net_value_minor: None,
        };
        Self { totals, at, value_at_risk: 0, net_minor: 0, points: Vec::new() }
    }

    /// Takes the next row of the list.
    pub(super) fn add(&mut self, row: &AtRisk) {
        self.at.n_customers += 1;
        self.at.expected_churners += row.churn_probability;
        self.at.expected_others += 1.0 - row.churn_probability;
        self.value_at_risk += i128::from(row.value_at_risk_minor);
        if let Some(action) = row.recommended.as_ref().filter(|_| !row.control.policy) {
            self.at.n_contacted += 1;
            self.at.cost_minor += action.cost_minor;
            self.net_minor += i128::from(row.net_save_value_minor.unwrap_or(0));
        }
        let next = (self.totals.n_customers * (self.points.len() + 1)).div_ceil(N_POINTS);
        if self.at.n_customers >= next.max(1) {
            self.points.push(self.point());
        }
    }

    fn point(&self) -> Cutoff {
        let of = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
        Cutoff {
            share_of_churners: of(self.at.expected_churners, self.totals.churners),
            share_of_value_at_risk: of(self.value_at_risk as f64, self.totals.value_at_risk as f64),
            net_value_minor: (self.totals.n_with_net > 0)
                .then(|| i64::try_from(self.net_minor).unwrap_or(i64::MAX)),
            ..self.at
        }
    }

    pub(super) fn finish(self) -> Vec<Cutoff> {
        self.points
    }
}

/// The point that brings the most of those within `capacity` contacts and `budget_minor`; none where no point says what it
/// brings, or none brings anything.
#[must_use]
pub fn best(points: &[Cutoff], capacity: Option<usize>, budget_minor: Option<i64>) -> Option<Cutoff> {
    let within = points.iter().filter(|point| {
        capacity.is_none_or(|most| point.n_contacted <= most)
            && budget_minor.is_none_or(|most| point.cost_minor <= most)
    });
    let valued = within.filter(|point| point.net_value_minor.is_some_and(|net| net > 0));
    // Of equal ones the shortest.
    valued.copied().reduce(|best, next| if next.net_value_minor > best.net_value_minor { next } else { best })
}
