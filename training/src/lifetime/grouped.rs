//! Summaries that are alike, counted: customers who bought once in one week are one row to a likelihood.

use std::collections::HashMap;

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
    /// Where these stand among [`Grouped::values`].
    pub(super) places: [u32; N],
    /// How many they are.
    pub(super) weight: f64,
}

/// Groups, and the different counts of purchases among them, ascending: gamma functions are taken of those alone.
#[derive(Clone, Debug)]
pub(super) struct Grouped<const N: usize> {
    pub(super) counts: Vec<f64>,
    pub(super) groups: Vec<Group<N>>,
    /// The different values of the rest, ascending: of a million customers some hundred days, whose logarithms are taken once.
    /// Empty of spends, which hardly ever repeat.
    pub(super) values: [Vec<f64>; N],
    /// Customers.
    pub(super) n: f64,
}

impl<const N: usize> Grouped<N> {
    fn new(rows: impl Iterator<Item = (f64, [f64; N])>) -> Self {
        // All are at least 0, so their bits are in their order.
        let bits = |value: f64| (value + 0.0).to_bits();
        let mut rows: Vec<(u64, [u64; N])> =
            rows.map(|(count, rest)| (bits(count), rest.map(bits))).collect();
        rows.par_sort_unstable();
        let n = rows.len() as f64;
        let (mut counts, mut groups) = (Vec::new(), Vec::<Group<N>>::new());
        for alike in rows.chunk_by(|a, b| a == b) {
            let (count, rest) = alike[0];
            let count = f64::from_bits(count);
            if counts.last() != Some(&count) {
                counts.push(count);
            }
            let (rest, weight) = (rest.map(f64::from_bits), alike.len() as f64);
            groups.push(Group { at: counts.len() as u32 - 1, rest, places: [0; N], weight });
        }
        Self { counts, groups, values: std::array::from_fn(|_| Vec::new()), n }
    }

    /// The same with [`Self::values`].
    fn placed(mut self) -> Self {
        for side in 0..N {
            let mut known = HashMap::<u64, u32>::new();
            self.groups.iter().for_each(|group| {
                known.entry(group.rest[side].to_bits()).or_default();
            });
            let mut sorted: Vec<u64> = known.keys().copied().collect();
            sorted.sort_unstable();
            sorted.iter().zip(0..).for_each(|(value, place)| {
                known.insert(*value, place);
            });
            self.groups.iter_mut().for_each(|group| group.places[side] = known[&group.rest[side].to_bits()]);
            self.values[side] = sorted.into_iter().map(f64::from_bits).collect();
        }
        self
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
    Grouped::new(all.map(|of| (of.x(), [of.t_x(), of.age()]))).placed()
}

/// By `(n, mean)`.
pub(super) fn spends<'a>(all: impl Iterator<Item = &'a SpendSummary>) -> Grouped<1> {
    Grouped::new(all.map(|of| (of.n(), [of.mean()])))
}
