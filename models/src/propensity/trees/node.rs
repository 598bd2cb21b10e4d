//! A tree as a learner or an importer hands it over.

use super::{MARGIN_BOUND, MAX_CODE, MAX_NODES};

/// A tree: node 0 is its root, children stand after their parents, and each node but the root is the child of one.
pub type Tree = Vec<TreeNode>;

/// One node of an additive tree. Both children of a test stand side by side: passed at `child`, failed at `child + 1`.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeNode {
    /// Passes where the feature is at most `bound`.
    AtMost {
        /// Which feature.
        feature: usize,
        /// Largest number that passes; with positive infinity every known number does.
        bound: f64,
        /// Which way a missing number goes: NaN, infinite, or not in the row.
        missing_passes: bool,
        /// Where the passed child stands.
        child: usize,
        /// Training weight (rows, or Hessian) that came by, at least 0.
        cover: f64,
    },
    /// Passes where the feature, a category code, is one of `codes`; any other code fails, seen in training or not.
    OneOf {
        /// Which feature.
        feature: usize,
        /// The codes, in any order.
        codes: Vec<u32>,
        /// Which way a missing code goes: NaN, infinite, negative, fractional, or not in the row.
        missing_passes: bool,
        /// Where the passed child stands.
        child: usize,
        /// Training weight (rows, or Hessian) that came by, at least 0.
        cover: f64,
    },
    /// An end.
    Leaf {
        /// Added to the log-odds of rows that end here.
        value: f64,
        /// Training weight (rows, or Hessian) that ended here, at least 0. Reasons weigh the two sides of a test by
        /// it; where neither side has any, they weigh the same.
        cover: f64,
    },
}

impl TreeNode {
    /// The training weight that came by.
    #[must_use]
    pub const fn cover(&self) -> f64 {
        match self {
            Self::AtMost { cover, .. } | Self::OneOf { cover, .. } | Self::Leaf { cover, .. } => *cover,
        }
    }

    /// The feature a test reads.
    #[must_use]
    pub const fn feature(&self) -> Option<usize> {
        match self {
            Self::AtMost { feature, .. } | Self::OneOf { feature, .. } => Some(*feature),
            Self::Leaf { .. } => None,
        }
    }

    /// Where a test's passed child stands.
    #[must_use]
    pub const fn child(&self) -> Option<usize> {
        match self {
            Self::AtMost { child, .. } | Self::OneOf { child, .. } => Some(*child),
            Self::Leaf { .. } => None,
        }
    }

    /// Whether a missing value passes; never at a leaf.
    #[must_use]
    pub const fn missing_passes(&self) -> bool {
        match self {
            Self::AtMost { missing_passes, .. } | Self::OneOf { missing_passes, .. } => *missing_passes,
            Self::Leaf { .. } => false,
        }
    }
}

/// Whether `x` is a category code, known or not; anything else is missing.
#[inline]
pub(super) fn is_code(x: f64) -> bool {
    // What the conversion loses shows in the comparison; from 2^53 on every number is whole.
    (0.0..f64::INFINITY).contains(&x) && (x >= 9_007_199_254_740_992.0 || (x as u64) as f64 == x)
}

/// Why trees cannot be sealed, or bytes are no sealed trees.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TreesError {
    /// A part of the section that has not the size its counts ask for.
    #[error("{part} of {n_bytes} bytes do not fit the section and its counts")]
    Section {
        /// Which part.
        part: &'static str,
        /// Its size.
        n_bytes: usize,
    },
    /// A layout this version does not know.
    #[error("layout {0} of trees is not known")]
    Layout(u32),
    /// No tree, a tree without nodes, or too many.
    #[error("{n_trees} trees of {n_nodes} nodes; at least one of each and at most {MAX_NODES} nodes")]
    Size {
        /// Trees.
        n_trees: usize,
        /// Nodes of all of them.
        n_nodes: usize,
    },
    /// The base is not finite or beyond its bound.
    #[error("base {0} is not within {MARGIN_BOUND} of 0")]
    Base(f64),
    /// A leaf that is not finite or beyond its bound, or a bound that is NaN.
    #[error("tree {tree}, node {node}: {value} is no bound, or no leaf within {MARGIN_BOUND} of 0")]
    Value {
        /// Which tree, from 0.
        tree: usize,
        /// Which node of it, from 0.
        node: usize,
        /// The number.
        value: f64,
    },
    /// A cover that is negative or not finite.
    #[error("tree {tree}, node {node}: cover {cover} is not finite and at least 0")]
    Cover {
        /// Which tree, from 0.
        tree: usize,
        /// Which node of it, from 0.
        node: usize,
        /// The cover.
        cover: f64,
    },
    /// A child that is not there, stands before its parent or has two, or a node that is no child.
    #[error(
        "tree {tree}, node {node}: child {child} of {n_nodes} nodes is not there, not later, or not its own"
    )]
    Child {
        /// Which tree, from 0.
        tree: usize,
        /// Which node of it, from 0.
        node: usize,
        /// Where its passed child would stand; the node itself where it is nobody's child.
        child: usize,
        /// Nodes there are.
        n_nodes: usize,
    },
    /// A feature that is not there.
    #[error("tree {tree}, node {node} reads feature {feature}, there are {n_features}")]
    Feature {
        /// Which tree, from 0.
        tree: usize,
        /// Which node of it, from 0.
        node: usize,
        /// The feature.
        feature: usize,
        /// How many there are.
        n_features: usize,
    },
    /// A category code beyond its bound.
    #[error("tree {tree}, node {node}: code {code} is above {MAX_CODE}")]
    Code {
        /// Which tree, from 0.
        tree: usize,
        /// Which node of it, from 0.
        node: usize,
        /// The code.
        code: u32,
    },
}
