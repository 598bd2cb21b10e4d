//! Symmetric trees: all nodes of a level ask the same, so the answers, one bit a level, are the number of the leaf.
//!
//! The leaf is then the outcome of every test, and with it every Shapley value is known: the reasons of each leaf of
//! each tree are computed when the trees are sealed, and explaining a row is adding up table rows.

use zerocopy::little_endian::{F32, F64, U16};

use super::TreeNode;
use super::axes::{Axes, BinTest};
use super::build::{self, Clearing};
use super::check::Sound;
use super::parts::{Part, Writer};
use super::shapley::{self, Game, Paths, Scratch};
use super::tables::{BLOCK, Sums, Tables, Word};

/// Deepest tree: a level is a bit of a byte.
const MAX_DEPTH: usize = 8;

/// The tests of the levels of `tree`, or none where a level has two.
fn levels(tree: &Sound<'_>, axes: &Axes) -> Option<Vec<BinTest>> {
    let depth = tree.depth();
    let mut levels: Vec<Option<BinTest>> = vec![None; depth];
    for (node, &level) in tree.nodes.iter().zip(&tree.levels) {
        match (axes.test(node), levels.get_mut(level)) {
            (None, None) => {}
            (Some(test), Some(level)) if level.as_ref().is_none_or(|known| *known == test) => {
                *level = Some(test)
            }
            _ => return None,
        }
    }
    levels.into_iter().collect()
}

/// Writes tables, leaves and reasons of symmetric `trees`: the leaves and the reasons of each tree; or none where a
/// tree is not symmetric, too deep, or the tables would be too large.
pub(super) fn write(
    trees: &[Sound<'_>],
    paths: &[Paths],
    axes: &Axes,
    writer: &mut Writer,
) -> Option<(usize, usize)> {
    let depth = trees.iter().map(Sound::depth).max().filter(|depth| *depth <= MAX_DEPTH)?;
    let levels: Vec<Vec<BinTest>> = trees.iter().map(|tree| levels(tree, axes)).collect::<Option<_>>()?;
    let tests = levels.into_iter().enumerate().flat_map(|(tree, levels)| {
        let clearings = levels.into_iter().enumerate();
        clearings.map(move |(level, test)| Clearing { tree, test, keeps: !(1 << level) })
    });
    if !build::build::<u8>(axes, trees.len(), &tests.collect::<Vec<_>>(), writer) {
        return None;
    }
    let n_slots = 1 << depth;
    let mut leaves = Vec::with_capacity(trees.len() * n_slots);
    for tree in trees {
        // A tree of fewer levels has each leaf more than once.
        leaves
            .extend((0..n_slots).map(|slot| F64::new(tree.walk(|node| slot >> tree.levels[node] & 1 == 1))));
    }
    writer.put(Part::Leaves, &leaves);
    Some((n_slots, write_reasons(trees, paths, n_slots, writer)))
}

/// A tree at one of its leaves.
struct Outcome<'a> {
    tree: &'a Sound<'a>,
    slot: usize,
}

impl Game for Outcome<'_> {
    fn value(&self, at: usize) -> f64 {
        self.tree.leaf_value(at)
    }

    fn passes(&self, at: usize) -> bool {
        self.slot >> self.tree.levels[at] & 1 == 1
    }
}

/// Writes, for each tree, its features and, for each of its leaves, what each of them adds: numbers for a tree.
fn write_reasons(trees: &[Sound<'_>], paths: &[Paths], n_slots: usize, writer: &mut Writer) -> usize {
    let n_reasons = paths.iter().map(|paths| paths.n_players).max().unwrap_or(0);
    let (mut features, mut values) = (Vec::new(), Vec::new());
    let mut scratch = Scratch::default();
    for (tree, paths) in trees.iter().zip(paths) {
        let mut own: Vec<usize> = tree.nodes.iter().filter_map(TreeNode::feature).collect();
        own.sort_unstable();
        own.dedup();
        let slot_of = |feature: usize| own.partition_point(|&other| other < feature);
        for slot in 0..n_slots {
            let mut added = vec![0.0; n_reasons];
            let mut add = |feature, value| added[slot_of(feature)] += value;
            let outcome = Outcome { tree, slot };
            let (n_nodes, n_players) = (tree.nodes.len(), paths.n_players);
            shapley::explain(&outcome, n_nodes, &paths.tests, n_players, &mut scratch, &mut add);
            values.extend(added.into_iter().map(|value| F32::new(value as f32)));
        }
        // What is over adds zero to a feature of the tree.
        own.resize(n_reasons, own.first().copied().unwrap_or(0));
        features.extend(own.iter().map(|&feature| U16::new(u16::try_from(feature).unwrap_or(u16::MAX))));
    }
    writer.put(Part::ReasonFeatures, &features);
    writer.put(Part::ReasonValues, &values);
    n_reasons
}

/// The table of reasons.
#[derive(Clone, Copy)]
pub(super) struct Reasons<'a> {
    /// Features of each tree.
    pub(super) features: &'a [U16],
    /// What they add, for each tree and leaf.
    pub(super) values: &'a [F32],
    /// Features of a tree.
    pub(super) n_reasons: usize,
}

impl Reasons<'_> {
    /// Adds the reasons of the leaves that `words` name, trees from `first` on having `n_slots` leaves each.
    fn add(&self, words: &[u8], first: usize, n_slots: usize, add: &mut impl FnMut(usize, f64)) {
        match self.n_reasons {
            0 => {}
            1 => self.add_by::<1>(words, first, n_slots, add),
            2 => self.add_by::<2>(words, first, n_slots, add),
            3 => self.add_by::<3>(words, first, n_slots, add),
            4 => self.add_by::<4>(words, first, n_slots, add),
            5 => self.add_by::<5>(words, first, n_slots, add),
            6 => self.add_by::<6>(words, first, n_slots, add),
            7 => self.add_by::<7>(words, first, n_slots, add),
            _ => self.add_by::<8>(words, first, n_slots, add),
        }
    }

    fn add_by<const N: usize>(
        &self,
        words: &[u8],
        first: usize,
        n_slots: usize,
        add: &mut impl FnMut(usize, f64),
    ) {
        let features = self.features.as_chunks::<N>().0.get(first..).unwrap_or(&[]);
        let values = self.values.as_chunks::<N>().0.get(first * n_slots..).unwrap_or(&[]);
        for ((word, features), values) in words.iter().zip(features).zip(values.chunks_exact(n_slots)) {
            let Some(values) = values.get(word.leaf()) else { continue };
            for slot in 0..N {
                add(usize::from(features[slot].get()), f64::from(values[slot].get()));
            }
        }
    }
}

/// Sums of reasons kept by feature while a row is explained, where no feature has a higher number.
pub(super) const N_SUMS: usize = 256;

impl Tables<'_, u8> {
    /// The sum of the values of the leaves that `row` ends in; what each feature adds to it is given to
    /// `add(feature, value)`.
    #[inline]
    pub(super) fn explain(&self, row: &[f64], reasons: &Reasons<'_>, mut add: impl FnMut(usize, f64)) -> f64 {
        let (mut words, mut sums) = ([0; BLOCK], Sums::default());
        for block in 0..self.n_blocks() {
            let words = self.words(block, row, &mut words);
            sums.add(words, self.leaves_of(block), self.n_slots);
            reasons.add(words, block * BLOCK, self.n_slots, &mut add);
        }
        sums.total()
    }
}
