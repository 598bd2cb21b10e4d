//! The forest scorer: trees of 16-byte nodes over raw features, their leaves' probabilities averaged.
//!
//! Imputation and one-hot columns are folded into the nodes (which way a missing value goes, a test for equality),
//! so a row is walked as it is, without a prepared copy. Every child stands after its parent, which the structural
//! check at open relies on: after it a walk ends, stays inside, and yields finite numbers. Nothing here fits.

use std::ops::Range;

use zerocopy::little_endian::{F64, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::Bytes;

/// A forest's probability is held this far from 0 and 1 before it becomes log-odds.
pub const PROBABILITY_FLOOR: f64 = 1e-4;
/// Largest number of trees and of nodes of all trees together.
const MAX_NODES: usize = 1 << 26;

const LEAF: u16 = 1;
const MISSING_PASSES: u16 = 2;
const EQUALITY: u16 = 4;

/// A test of one feature, or a leaf. Both children of a test stand side by side: passed, then failed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NodeSpec {
    /// Passes where the feature is at most `bound`; a missing one passes if `missing_passes`.
    AtMost {
        /// Which feature.
        feature: usize,
        /// Largest number that passes; infinite for a test of missing alone.
        bound: f64,
        /// Which way a missing number goes.
        missing_passes: bool,
        /// Where, in this tree, the passed child stands; the failed one follows it.
        child: usize,
    },
    /// Passes where the feature is not `code` (a missing one is not).
    Differs {
        /// Which feature.
        feature: usize,
        /// The category code.
        code: f64,
        /// Where, in this tree, the passed child stands; the failed one follows it.
        child: usize,
    },
    /// The probability in 0 ..= 1 of rows that end here.
    Leaf(f64),
}

/// A node as sealed.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Node {
    value: F64,
    child: U32,
    feature: U16,
    flags: U16,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Counts {
    n_trees: U32,
    n_nodes: U32,
}

/// Why bytes are no forest, or trees cannot be sealed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ForestError {
    /// Not the counts, roots and nodes they promise.
    #[error("{0} bytes are not the trees and nodes they promise")]
    Length(usize),
    /// No tree, or more nodes than allowed.
    #[error("{n_trees} trees of {n_nodes} nodes; at least one tree and at most {MAX_NODES} nodes")]
    Size {
        /// Trees.
        n_trees: usize,
        /// Nodes of all trees.
        n_nodes: usize,
    },
    /// A root that is no node.
    #[error("tree {tree} starts at node {root}, there are {n_nodes}")]
    Root {
        /// Which tree, from 0.
        tree: usize,
        /// Where it starts.
        root: usize,
        /// Nodes of all trees.
        n_nodes: usize,
    },
    /// A child that is no node, or stands before its parent.
    #[error("node {node} has a child at {child}, which is not after it or not there")]
    Child {
        /// Which node, from 0.
        node: usize,
        /// Where its passed child would stand.
        child: usize,
    },
    /// A feature that is not there.
    #[error("node {node} reads feature {feature}, there are {n_features}")]
    Feature {
        /// Which node, from 0.
        node: usize,
        /// The feature.
        feature: usize,
        /// How many there are.
        n_features: usize,
    },
    /// A bound that is NaN, a code that is not finite, or a leaf outside 0 ..= 1.
    #[error("node {node} holds {value}, which is no bound, code or probability")]
    Value {
        /// Which node, from 0.
        node: usize,
        /// The number.
        value: f64,
    },
    /// Flags this version does not know.
    #[error("node {node} has unknown flags {flags}")]
    Flags {
        /// Which node, from 0.
        node: usize,
        /// The flags.
        flags: u16,
    },
}

/// A forest inside an artifact.
#[derive(Clone, Debug)]
pub struct ForestModel {
    bytes: Bytes,
    range: Range<usize>,
}

/// The sealed form of `trees`: counts, roots, nodes. Children are numbered within their tree; node 0 is its root.
pub fn seal(trees: &[Vec<NodeSpec>]) -> Result<Vec<u8>, ForestError> {
    let (n_trees, n_nodes) = (trees.len(), trees.iter().map(Vec::len).sum());
    if n_trees == 0 || trees.iter().any(Vec::is_empty) || n_nodes > MAX_NODES || n_trees > MAX_NODES {
        return Err(ForestError::Size { n_trees, n_nodes });
    }
    let narrow = |number: usize| U32::new(u32::try_from(number).unwrap_or(u32::MAX));
    let counts = Counts { n_trees: narrow(n_trees), n_nodes: narrow(n_nodes) };
    let mut bytes = counts.as_bytes().to_vec();
    let mut start = 0;
    for tree in trees {
        bytes.extend_from_slice(narrow(start).as_bytes());
        start += tree.len();
    }
    start = 0;
    for tree in trees {
        for (at, spec) in tree.iter().enumerate() {
            bytes.extend_from_slice(pack(spec, start, start + at)?.as_bytes());
        }
        start += tree.len();
    }
    Ok(bytes)
}

fn pack(spec: &NodeSpec, start: usize, node: usize) -> Result<Node, ForestError> {
    let (value, child, feature, flags) = match *spec {
        NodeSpec::AtMost { feature, bound, missing_passes, child } => {
            (bound, start + child, feature, if missing_passes { MISSING_PASSES } else { 0 })
        }
        NodeSpec::Differs { feature, code, child } => (code, start + child, feature, EQUALITY),
        NodeSpec::Leaf(probability) => (probability, 0, 0, LEAF),
    };
    let wide = ForestError::Feature { node, feature, n_features: usize::from(u16::MAX) };
    Ok(Node {
        value: F64::new(value),
        child: U32::new(u32::try_from(child).unwrap_or(u32::MAX)),
        feature: U16::new(u16::try_from(feature).map_err(|_| wide)?),
        flags: U16::new(flags),
    })
}

impl ForestModel {
    pub(crate) fn open(bytes: Bytes, range: Range<usize>, n_features: usize) -> Result<Self, ForestError> {
        let model = Self { bytes, range };
        let length = model.slice().len();
        let Ok((counts, rest)) = Counts::ref_from_prefix(model.slice()) else {
            return Err(ForestError::Length(length));
        };
        let (n_trees, n_nodes) = (counts.n_trees.get() as usize, counts.n_nodes.get() as usize);
        if n_trees == 0 || n_trees > MAX_NODES || n_nodes > MAX_NODES {
            return Err(ForestError::Size { n_trees, n_nodes });
        }
        if rest.len() != n_trees * size_of::<U32>() + n_nodes * size_of::<Node>() {
            return Err(ForestError::Length(length));
        }
        let (roots, nodes) = model.parts();
        for (tree, root) in roots.iter().enumerate() {
            let root = root.get() as usize;
            if root >= n_nodes {
                return Err(ForestError::Root { tree, root, n_nodes });
            }
        }
        nodes.iter().enumerate().try_for_each(|(at, node)| check(at, node, n_nodes, n_features))?;
        Ok(model)
    }

    fn slice(&self) -> &[u8] {
        self.bytes.get(self.range.clone()).unwrap_or(&[])
    }

    fn parts(&self) -> (&[U32], &[Node]) {
        let Ok((counts, rest)) = Counts::ref_from_prefix(self.slice()) else { return (&[], &[]) };
        let n_trees = counts.n_trees.get() as usize;
        let Ok((roots, nodes)) = <[U32]>::ref_from_prefix_with_elems(rest, n_trees) else {
            return (&[], &[]);
        };
        (roots, <[Node]>::ref_from_bytes(nodes).unwrap_or(&[]))
    }

    /// The mean probability over the trees' leaves for `row` (features in the artifact's order; missing is NaN).
    #[must_use]
    pub fn mean(&self, row: &[f64]) -> f64 {
        let (roots, nodes) = self.parts();
        let sum: f64 = roots.iter().map(|root| walk(nodes, root.get() as usize, row)).sum();
        sum / roots.len().max(1) as f64
    }

    /// The log-odds of [`Self::mean`], held within [`PROBABILITY_FLOOR`] of 0 and 1.
    #[must_use]
    pub fn margin(&self, row: &[f64]) -> f64 {
        log_odds(self.mean(row))
    }

    /// Trees and nodes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let (roots, nodes) = self.parts();
        (roots.len(), nodes.len())
    }
}

/// The log-odds of a forest's mean, held within [`PROBABILITY_FLOOR`] of 0 and 1.
#[must_use]
pub fn log_odds(mean: f64) -> f64 {
    let p = mean.clamp(PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR);
    (p / (1.0 - p)).ln()
}

fn check(at: usize, node: &Node, n_nodes: usize, n_features: usize) -> Result<(), ForestError> {
    let (value, flags) = (node.value.get(), node.flags.get());
    let sound = match flags {
        LEAF => (0.0..=1.0).contains(&value),
        EQUALITY => value.is_finite(),
        0 | MISSING_PASSES => !value.is_nan(),
        _ => return Err(ForestError::Flags { node: at, flags }),
    };
    if !sound {
        return Err(ForestError::Value { node: at, value });
    }
    if flags == LEAF {
        return Ok(());
    }
    let (feature, child) = (usize::from(node.feature.get()), node.child.get() as usize);
    if feature >= n_features {
        return Err(ForestError::Feature { node: at, feature, n_features });
    }
    if child <= at || child + 1 >= n_nodes {
        return Err(ForestError::Child { node: at, child });
    }
    Ok(())
}

fn walk(nodes: &[Node], root: usize, row: &[f64]) -> f64 {
    let mut at = root;
    // A child stands after its parent, so this ends; the check at open made sure of it.
    while let Some(node) = nodes.get(at) {
        let flags = node.flags.get();
        if flags == LEAF {
            return node.value.get();
        }
        let x = row.get(usize::from(node.feature.get())).copied().unwrap_or(f64::NAN);
        let passes = if flags == EQUALITY {
            x != node.value.get()
        } else if x.is_finite() {
            x <= node.value.get()
        } else {
            flags == MISSING_PASSES
        };
        at = node.child.get() as usize + usize::from(!passes);
    }
    0.5
}
