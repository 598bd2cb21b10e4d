//! Nodes as sealed, tested against raw features, and the walker: trees too large for mask rows, sixteen in step.
//!
//! One walk waits for memory at every node; sixteen of them wait together. All walk as many steps as the deepest of
//! them, a leaf leading to itself.

use std::array;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::check::{Sound, within};
use super::node::is_code;
use super::parts::{Part, Writer};
use super::shapley::{self, Game, Path, Paths, Scratch};
use super::{Rows, TreeNode, TreesError};

const LEAF: u16 = 1;
const MISSING_PASSES: u16 = 2;
const CODES: u16 = 4;
/// Trees walked in step.
const ABREAST: usize = 16;

/// A node: 16 bytes.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Node {
    /// The bits of a bound or a leaf's value; or where a test's codes start and, above 32 bits, how many they are.
    content: U64,
    /// Where, among all nodes, the passed child stands; a leaf is its own.
    child: U32,
    feature: U16,
    flags: U16,
}

/// Where a tree stands.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Stem {
    /// Its root among all nodes.
    pub(super) first: U32,
    /// How many nodes it has.
    pub(super) n_nodes: U32,
    /// Tests on its longest path.
    pub(super) depth: U32,
    /// Different features on a path, at most.
    pub(super) n_players: U32,
}

impl Node {
    fn pack(node: &TreeNode, at: usize, first: usize, codes: &mut Vec<U32>) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (content, child, feature, flags) = match node {
            TreeNode::AtMost { feature, bound, child, .. } => (bound.to_bits(), first + child, *feature, 0),
            TreeNode::OneOf { feature, codes: own, child, .. } => {
                let mut own = own.clone();
                own.sort_unstable();
                own.dedup();
                let place = codes.len() as u64 | (own.len() as u64) << 32;
                codes.extend(own.into_iter().map(U32::new));
                (place, first + child, *feature, CODES)
            }
            TreeNode::Leaf { value, .. } => (value.to_bits(), at, 0, LEAF),
        };
        let missing = if node.missing_passes() { MISSING_PASSES } else { 0 };
        Self {
            content: U64::new(content),
            child: U32::new(narrow(child)),
            feature: U16::new(u16::try_from(feature).unwrap_or(u16::MAX)),
            flags: U16::new(flags | missing),
        }
    }

    /// Whether it is a leaf.
    #[inline]
    pub(super) const fn is_leaf(&self) -> bool {
        self.flags.get() & LEAF != 0
    }

    /// A leaf's value.
    #[inline]
    pub(super) const fn value(&self) -> f64 {
        f64::from_bits(self.content.get())
    }

    /// The feature a test reads.
    #[inline]
    pub(super) fn feature(&self) -> usize {
        usize::from(self.feature.get())
    }

    /// Where the passed child stands among all nodes.
    #[inline]
    pub(super) const fn child(&self) -> usize {
        self.child.get() as usize
    }

    /// Whether `row` passes a test; a leaf passes always.
    #[inline]
    pub(super) fn passes(&self, row: &[f64], codes: &[U32]) -> bool {
        let x = row.get(self.feature()).copied().unwrap_or(f64::NAN);
        let flags = self.flags.get();
        if flags & CODES != 0 {
            return self.holds(x, codes).unwrap_or(flags & MISSING_PASSES != 0);
        }
        let known = x.is_finite();
        (known & (x <= self.value())) | (!known & (flags & MISSING_PASSES != 0)) | (flags & LEAF != 0)
    }

    /// Whether code `x` is among the test's; none where it is missing.
    fn holds(&self, x: f64, codes: &[U32]) -> Option<bool> {
        if !is_code(x) {
            return None;
        }
        let content = self.content.get();
        let (first, n_codes) = (content as u32 as usize, (content >> 32) as usize);
        let own = codes.get(first..first + n_codes).unwrap_or(&[]);
        Some(own.binary_search_by(|code| u64::from(code.get()).cmp(&(x as u64))).is_ok())
    }
}

/// Writes stems, nodes, codes and paths of `trees`.
pub(super) fn write(trees: &[Sound<'_>], paths: &[Paths], writer: &mut Writer) {
    let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
    let (mut stems, mut nodes, mut codes) = (Vec::new(), Vec::new(), Vec::new());
    for (tree, paths) in trees.iter().zip(paths) {
        let first = nodes.len();
        stems.push(Stem {
            first: narrow(first),
            n_nodes: narrow(tree.nodes.len()),
            depth: narrow(tree.depth()),
            n_players: narrow(paths.n_players),
        });
        for (at, node) in tree.nodes.iter().enumerate() {
            nodes.push(Node::pack(node, first + at, first, &mut codes));
        }
    }
    writer.put(Part::Stems, &stems);
    writer.put(Part::Nodes, &nodes);
    writer.put(Part::Codes, &codes);
    writer.put(Part::Paths, &paths.iter().flat_map(|paths| &paths.tests).copied().collect::<Vec<_>>());
}

/// Trees in the form that is walked.
#[derive(Clone, Copy)]
pub(super) struct Grove<'a> {
    pub(super) stems: &'a [Stem],
    pub(super) nodes: &'a [Node],
    pub(super) paths: &'a [Path],
    pub(super) codes: &'a [U32],
}

impl Grove<'_> {
    /// The sum of the values of the leaves that `row` ends in.
    pub(super) fn sum(&self, row: &[f64]) -> f64 {
        let mut sums = [0.0; ABREAST];
        self.stems.chunks(ABREAST).for_each(|stems| self.walk(stems, row, &mut sums));
        sums.iter().sum()
    }

    /// Sets `margins` to the sum of each row's leaves. Trees stay in the cache while all rows walk them.
    pub(super) fn sums(&self, rows: Rows<'_>, margins: &mut [f64]) {
        const TOGETHER: usize = 64;
        for (run, margins) in margins.chunks_mut(TOGETHER).enumerate() {
            let mut sums = [[0.0; ABREAST]; TOGETHER];
            for stems in self.stems.chunks(ABREAST) {
                for (at, sums) in sums[..margins.len()].iter_mut().enumerate() {
                    self.walk(stems, rows.row(run * TOGETHER + at), sums);
                }
            }
            for (margin, sums) in margins.iter_mut().zip(&sums) {
                *margin = sums.iter().sum();
            }
        }
    }

    #[inline]
    fn walk(&self, stems: &[Stem], row: &[f64], sums: &mut [f64; ABREAST]) {
        let mut at: [usize; ABREAST] =
            array::from_fn(|lane| stems.get(lane).map_or(0, |s| s.first.get() as usize));
        // No walk is longer than there are nodes, whatever a stem says.
        let depth = stems.iter().map(|stem| stem.depth.get()).max().unwrap_or(0) as usize;
        for _ in 0..depth.min(self.nodes.len()) {
            for at in &mut at[..stems.len()] {
                if let Some(node) = self.nodes.get(*at) {
                    *at = node.child() + usize::from(!node.passes(row, self.codes));
                }
            }
        }
        for (sum, at) in sums.iter_mut().zip(&at[..stems.len()]) {
            *sum += self.nodes.get(*at).filter(|node| node.is_leaf()).map_or(0.0, Node::value);
        }
    }

    /// Whether stems and nodes fit each other and, where their values are added to margins, all leaves may be added.
    pub(super) fn check(&self, walked: bool) -> Result<(), TreesError> {
        let n_nodes = self.nodes.len();
        let mut first = 0;
        for (tree, stem) in self.stems.iter().enumerate() {
            let own = stem.n_nodes.get() as usize;
            if stem.first.get() as usize != first || own > n_nodes - first || stem.depth.get() as usize >= own
            {
                return Err(TreesError::Child { tree, node: 0, child: first, n_nodes });
            }
            first += own;
        }
        let mut leaves = self.nodes.iter().take(if walked { n_nodes } else { 0 });
        match leaves.position(|node| node.is_leaf() && !within(node.value())) {
            Some(node) => Err(TreesError::Value { tree: 0, node, value: self.nodes[node].value() }),
            None => Ok(()),
        }
    }
}

/// One tree, met by one row.
struct Meeting<'a> {
    nodes: &'a [Node],
    codes: &'a [U32],
    row: &'a [f64],
}

impl Game for Meeting<'_> {
    #[inline]
    fn value(&self, at: usize) -> f64 {
        self.nodes.get(at).map_or(0.0, Node::value)
    }

    #[inline]
    fn passes(&self, at: usize) -> bool {
        self.nodes.get(at).is_some_and(|node| node.passes(self.row, self.codes))
    }
}

impl Grove<'_> {
    /// Adds what each feature adds to the sum of `row`, tree by tree, by `add(feature, value)`.
    pub(super) fn explain(&self, row: &[f64], scratch: &mut Scratch, mut add: impl FnMut(usize, f64)) {
        let mut first_path = 0;
        for stem in self.stems {
            let (first, n_nodes) = (stem.first.get() as usize, stem.n_nodes.get() as usize);
            let nodes = self.nodes.get(first..first + n_nodes).unwrap_or(&[]);
            // Every test adds two nodes to the root.
            let paths = self.paths.get(first_path..first_path + n_nodes / 2).unwrap_or(&[]);
            first_path += n_nodes / 2;
            let (meeting, n_players) =
                (Meeting { nodes, codes: self.codes, row }, stem.n_players.get() as usize);
            shapley::explain(&meeting, n_nodes, paths, n_players, scratch, &mut add);
        }
    }
}
