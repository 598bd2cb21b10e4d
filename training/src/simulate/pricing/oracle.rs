//! The best prices of one who knows the law: coordinate ascent on the true margin of a whole category.
//!
//! Each SKU has finitely many prices it may have; one after the other takes that which brings the category most, the others
//! held, until none moves. From several starts, of which the best end counts. Everybody is used to the prices.

use rayon::prelude::*;

use super::super::catalogue::{N_CATEGORIES, N_SKUS};
use super::super::market::skus_of;
use super::TrueDemand;

/// Rounds after which an ascent is taken as ended; each raises the margin, so it ends long before.
const MOST_ROUNDS: usize = 100;

impl TrueDemand {
    /// The prices of the largest settled margin found among `allowed`, the prices each SKU may have (none empty).
    #[must_use]
    pub fn best(&self, allowed: &[Vec<i64>]) -> [i64; N_SKUS] {
        let mut prices = self.list();
        let found: Vec<Vec<i64>> = (0..N_CATEGORIES)
            .into_par_iter()
            .map(|category| self.best_of(category, &allowed[skus_of(category)]))
            .collect();
        for (category, found) in found.iter().enumerate() {
            prices[skus_of(category)].copy_from_slice(found);
        }
        prices
    }

    fn best_of(&self, category: usize, allowed: &[Vec<i64>]) -> Vec<i64> {
        let shelf = Shelf::new(self, category, allowed);
        // From the lowest, the middle and the highest.
        let starts = [0.0, 0.5, 1.0].map(|share| {
            let at = |prices: &Vec<i64>| (share * (prices.len() - 1) as f64).round() as usize;
            allowed.iter().map(at).collect::<Vec<usize>>()
        });
        let ends = starts.map(|start| shelf.climb(start));
        let best = ends.into_iter().max_by(|a, b| shelf.margin(a).total_cmp(&shelf.margin(b)));
        let best = best.unwrap_or_default();
        best.iter().zip(allowed).map(|(at, prices)| prices[*at]).collect()
    }
}

/// One category with all prices its SKUs may have.
struct Shelf<'a> {
    allowed: &'a [Vec<i64>],
    wanted: Vec<f64>,
    cost: Vec<i64>,
    /// exp(utility) by SKU, price and customer.
    weights: Vec<Vec<Vec<f64>>>,
}

impl<'a> Shelf<'a> {
    fn new(demand: &TrueDemand, category: usize, allowed: &'a [Vec<i64>]) -> Self {
        let of = |sku: usize, price: i64| -> Vec<f64> {
            let log = demand.log_ratio(sku, price);
            let weight = |patron: &super::Patron| patron.lure[sku] * (-patron.beta[category] * log).exp();
            demand.patrons.iter().map(weight).collect()
        };
        let weights = skus_of(category).zip(allowed);
        Self {
            allowed,
            wanted: demand.patrons.iter().map(|patron| patron.wanted[category]).collect(),
            cost: skus_of(category).map(|sku| demand.skus[sku].cost_minor).collect(),
            weights: weights
                .map(|(sku, prices)| prices.iter().map(|price| of(sku, *price)).collect())
                .collect(),
        }
    }

    fn unit_margin(&self, sku: usize, at: usize) -> f64 {
        (self.allowed[sku][at] - self.cost[sku]) as f64
    }

    /// Sums over SKUs, by customer: of weights, and of weights times margins.
    fn sums(&self, at: &[usize], without: Option<usize>) -> Vec<(f64, f64)> {
        let mut sums = vec![(0.0, 0.0); self.wanted.len()];
        for (sku, &rung) in at.iter().enumerate().filter(|(sku, _)| Some(*sku) != without) {
            let unit = self.unit_margin(sku, rung);
            for (sum, weight) in sums.iter_mut().zip(&self.weights[sku][rung]) {
                *sum = (sum.0 + weight, sum.1 + weight * unit);
            }
        }
        sums
    }

    fn margin(&self, at: &[usize]) -> f64 {
        let sums = self.sums(at, None);
        sums.iter().zip(&self.wanted).map(|((all, earned), wanted)| wanted * earned / (1.0 + all)).sum()
    }

    fn climb(&self, mut at: Vec<usize>) -> Vec<usize> {
        for _ in 0..MOST_ROUNDS {
            let before = at.clone();
            for sku in 0..at.len() {
                let others = self.sums(&at, Some(sku));
                let margin = |rung: usize| -> f64 {
                    let unit = self.unit_margin(sku, rung);
                    let rows = others.iter().zip(&self.weights[sku][rung]).zip(&self.wanted);
                    rows.map(|(((all, earned), weight), wanted)| {
                        wanted * (earned + weight * unit) / (1.0 + all + weight)
                    })
                    .sum()
                };
                let margins: Vec<f64> = (0..self.allowed[sku].len()).map(margin).collect();
                let better =
                    |best: usize, next: usize| if margins[next] > margins[best] { next } else { best };
                at[sku] = (0..margins.len()).fold(at[sku], better);
            }
            if at == before {
                break;
            }
        }
        at
    }
}
