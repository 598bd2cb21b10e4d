//! Summaries that are alike, counted: customers who bought once in one week are one row to a likelihood.

use nextbest_models::value::{PurchaseSummary, SpendSummary};
use rayon::prelude::*;

/// Rows whose sums one task takes.
pub(super) const CHUNK: usize = 4_096;

/// Customers of one `(x, t_x, T)`, or of one `(n, mean)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Group<const N: usize> {
    /// Where its count of purchases stands among [`Grouped::counts`].
    pub(super) at: u32,
    /// What else is known of them.
    pub(super) rest: [f64; N],
    /// How many they are.
    pub(super) weight: f64,
}

/// Groups, and the different counts of purchases among them, ascending: gamma functions are taken of those alone.
#[derive(Clone, Debug)]
pub(super) struct Grouped<const N: usize> {
    pub(super) counts: Vec<f64>,
    pub(super) groups: Vec<Group<N>>,
    /// Customers.
    pub(super) n: f64,
}

impl<const N: usize> Grouped<N> {
    fn new(mut rows: Vec<(f64, [f64; N])>) -> Self {
        rows.par_sort_unstable_by(|a, b| {
            let rest = a.1.iter().zip(&b.1).map(|(a, b)| a.total_cmp(b));
            rest.fold(a.0.total_cmp(&b.0), std::cmp::Ordering::then)
        });
        let (mut counts, mut groups) = (Vec::new(), Vec::<Group<N>>::new());
        for alike in rows.chunk_by(|a, b| a == b) {
            let (count, rest) = alike[0];
            if counts.last() != Some(&count) {
                counts.push(count);
            }
            groups.push(Group { at: counts.len() as u32 - 1, rest, weight: alike.len() as f64 });
        }
        Self { counts, groups, n: rows.len() as f64 }
    }

    /// The sum of `part` over all groups, each weighted: by chunks on all cores, added in order, so that it is the same
    /// on any number of them.
    pub(super) fn sum<const K: usize>(&self, part: impl Fn(&Group<N>) -> [f64; K] + Sync) -> [f64; K] {
        let add = |mut sum: [f64; K], part: [f64; K], weight: f64| {
            sum.iter_mut().zip(part).for_each(|(sum, part)| *sum += weight * part);
            sum
        };
        let of = |chunk: &[Group<N>]| {
            chunk.iter().fold([0.0; K], |sum, group| add(sum, part(group), group.weight))
        };
        if self.groups.len() <= CHUNK {
            return of(&self.groups);
        }
        let parts: Vec<[f64; K]> = self.groups.par_chunks(CHUNK).map(of).collect();
        parts.into_iter().fold([0.0; K], |sum, part| add(sum, part, 1.0))
    }
}

/// By `(x, t_x, T)`.
pub(super) fn purchases<'a>(all: impl Iterator<Item = &'a PurchaseSummary>) -> Grouped<2> {
    Grouped::new(all.map(|of| (of.x(), [of.t_x(), of.age()])).collect())
}

/// By `(n, mean)`.
pub(super) fn spends<'a>(all: impl Iterator<Item = &'a SpendSummary>) -> Grouped<1> {
    Grouped::new(all.map(|of| (of.n(), [of.mean()])).collect())
}
