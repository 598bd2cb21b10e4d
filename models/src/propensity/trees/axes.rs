//! Axes: a feature's numbers or codes cut into bins, once for all trees.
//!
//! A numeric axis has the sorted distinct borders of every test of its feature: bin `k` holds the numbers above border
//! `k - 1` and at most border `k`, so a test at border `k` passes exactly in the bins `0 ..= k`. A categorical axis has
//! a bin for each code that a test names and one for every other code. Missing is the last bin of either. A feature
//! tested both ways has two axes.

use std::collections::BTreeMap;
use std::{array, hint};

use zerocopy::little_endian::{F64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::check::Sound;
use super::node::is_code;
use super::{Rows, TreeNode};

const NUMBERS: u32 = 0;
const CODES: u32 = 1;

/// An axis as sealed. Its bins among all bins start at `first_cut` plus two for each axis before it.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Axis {
    feature: U32,
    kind: U32,
    first_cut: U32,
    n_cuts: U32,
}

impl Axis {
    /// The axis's cuts among those of all.
    pub(super) fn cuts<'a>(&self, all: &'a [F64]) -> &'a [F64] {
        let first = self.first_cut.get() as usize;
        all.get(first..first.saturating_add(self.n_cuts.get() as usize)).unwrap_or(&[])
    }

    /// Whether its cuts start at `first`, right behind those of the axis before it.
    pub(super) fn follows(&self, first: usize) -> bool {
        self.first_cut.get() as usize == first
    }

    /// The feature it cuts.
    pub(super) const fn feature(&self) -> usize {
        self.feature.get() as usize
    }

    /// Its first bin among the bins of all axes, of which it is the one `at`.
    pub(super) const fn first_bin(&self, at: usize) -> usize {
        self.first_cut.get() as usize + 2 * at
    }

    /// How many bins it has: one above or beside all cuts, and one for missing.
    pub(super) const fn n_bins(&self) -> usize {
        self.n_cuts.get() as usize + 2
    }

    /// The bin of `row` on this axis, below [`Self::n_bins`].
    #[inline]
    pub(super) fn bin(&self, all_cuts: &[F64], row: &[f64]) -> usize {
        let (x, cuts) = (self.number(row), self.cuts(all_cuts));
        let [below] = n_below(cuts, [x]);
        self.place(x, cuts, below)
    }

    /// Sets `bins` to those of as many of `rows` from row `first` on.
    #[inline]
    pub(super) fn bins<const N: usize>(
        &self,
        all_cuts: &[F64],
        rows: Rows<'_>,
        first: usize,
        bins: &mut [u32; N],
    ) {
        let cuts = self.cuts(all_cuts);
        let numbers: [f64; N] = array::from_fn(|at| self.number(rows.row(first + at)));
        for ((bin, x), below) in bins.iter_mut().zip(numbers).zip(n_below(cuts, numbers)) {
            *bin = u32::try_from(self.place(x, cuts, below)).unwrap_or(u32::MAX);
        }
    }

    #[inline]
    fn number(&self, row: &[f64]) -> f64 {
        row.get(self.feature.get() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The bin of `x`, which is above `below` of the axis's `cuts`.
    #[inline]
    fn place(&self, x: f64, cuts: &[F64], below: usize) -> usize {
        let (known, other) = if self.kind.get() == NUMBERS {
            (x.is_finite(), false)
        } else {
            (is_code(x), cuts.get(below).is_none_or(|cut| cut.get() != x))
        };
        match (known, other) {
            (true, false) => below,
            (true, true) => cuts.len(),
            (false, _) => cuts.len() + 1,
        }
    }
}

/// How many of the sorted `cuts` lie below each number.
///
/// A search is a chain of steps, each waiting for the one before; several run side by side.
#[inline]
fn n_below<const N: usize>(cuts: &[F64], numbers: [f64; N]) -> [usize; N] {
    let (mut below, mut n) = ([0; N], cuts.len());
    while n > 0 {
        // `below` cuts are known to lie below, and the next `n` are open.
        let half = n.div_ceil(2);
        for (below, x) in below.iter_mut().zip(numbers) {
            let cut = cuts.get(*below + half - 1).map_or(f64::NAN, |cut| cut.get());
            *below = hint::select_unpredictable(cut < x, *below + half, *below);
        }
        n -= half;
    }
    below
}

/// The axes of an ensemble being sealed.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// The axes, by feature, numbers before codes.
    pub(super) axes: Vec<Axis>,
    /// The cuts of all axes.
    pub(super) cuts: Vec<F64>,
    places: BTreeMap<(usize, u32), usize>,
}

/// What a test asks of a bin.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Rule {
    /// The bins `0 ..= cut` pass.
    UpTo(usize),
    /// These bins, ascending, pass.
    Among(Vec<usize>),
}

/// A test in terms of bins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BinTest {
    /// Which axis.
    pub(super) axis: usize,
    /// Which known bins pass.
    pub(super) rule: Rule,
    /// Whether the missing bin passes.
    pub(super) missing_passes: bool,
}

impl BinTest {
    /// Whether a row in `bin` of the axis's `n_bins` passes.
    pub(super) fn passes(&self, bin: usize, n_bins: usize) -> bool {
        if bin + 1 == n_bins {
            return self.missing_passes;
        }
        match &self.rule {
            Rule::UpTo(cut) => bin <= *cut,
            Rule::Among(bins) => bins.binary_search(&bin).is_ok(),
        }
    }
}

impl Axes {
    /// All axes that the tests of `trees` need.
    pub(super) fn of(trees: &[Sound<'_>]) -> Self {
        let mut cuts: BTreeMap<(usize, u32), Vec<f64>> = BTreeMap::new();
        for node in trees.iter().flat_map(|tree| tree.nodes) {
            match node {
                TreeNode::AtMost { feature, bound, .. } => {
                    // Adding zero makes a negative zero positive: the two are one border.
                    cuts.entry((*feature, NUMBERS)).or_default().push(bound + 0.0);
                }
                TreeNode::OneOf { feature, codes, .. } => {
                    let codes = codes.iter().map(|&code| f64::from(code));
                    cuts.entry((*feature, CODES)).or_default().extend(codes);
                }
                TreeNode::Leaf { .. } => {}
            }
        }
        let mut all = Self { axes: Vec::new(), cuts: Vec::new(), places: BTreeMap::new() };
        for ((feature, kind), mut own) in cuts {
            own.sort_by(f64::total_cmp);
            own.dedup();
            let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
            all.places.insert((feature, kind), all.axes.len());
            let (first_cut, n_cuts) = (narrow(all.cuts.len()), narrow(own.len()));
            all.axes.push(Axis { feature: narrow(feature), kind: U32::new(kind), first_cut, n_cuts });
            all.cuts.extend(own.into_iter().map(F64::new));
        }
        all
    }

    /// The features of all axes, ascending.
    pub(super) fn features(&self) -> Vec<U32> {
        let mut features: Vec<U32> = self.axes.iter().map(|axis| axis.feature).collect();
        features.dedup();
        features
    }

    /// The test of `node` in terms of bins; none for a leaf.
    pub(super) fn test(&self, node: &TreeNode) -> Option<BinTest> {
        let (axis, missing_passes) = match node {
            TreeNode::AtMost { feature, missing_passes, .. } => ((*feature, NUMBERS), *missing_passes),
            TreeNode::OneOf { feature, missing_passes, .. } => ((*feature, CODES), *missing_passes),
            TreeNode::Leaf { .. } => return None,
        };
        let axis = *self.places.get(&axis)?;
        let cuts = self.axes[axis].cuts(&self.cuts);
        let place = |x: f64| cuts.partition_point(|cut| cut.get() < x);
        let rule = match node {
            TreeNode::OneOf { codes, .. } => {
                let mut bins: Vec<usize> = codes.iter().map(|&code| place(f64::from(code))).collect();
                bins.sort_unstable();
                bins.dedup();
                Rule::Among(bins)
            }
            TreeNode::AtMost { bound, .. } => Rule::UpTo(place(*bound)),
            TreeNode::Leaf { .. } => return None,
        };
        Some(BinTest { axis, rule, missing_passes })
    }
}
