//! What a tree must be before it is sealed, and what is learned of it on the way.
//!
//! Every number is finite where it is added, every child stands after its parent and belongs to one parent only, so
//! everything that follows may walk without looking again.

use zerocopy::little_endian::F64;

use super::{MARGIN_BOUND, MAX_CODE, MAX_FEATURES, MAX_NODES, Tree, TreeNode, TreesError};

/// A tree found sound.
#[derive(Clone, Debug)]
pub(super) struct Sound<'a> {
    /// Its nodes.
    pub(super) nodes: &'a [TreeNode],
    /// Tests between the root and each node.
    pub(super) levels: Vec<usize>,
    /// Leaves.
    pub(super) n_leaves: usize,
}

impl Sound<'_> {
    /// Tests on the longest path.
    pub(super) fn depth(&self) -> usize {
        self.levels.iter().copied().max().unwrap_or(0)
    }

    /// The value of the leaf at node `at`; 0 for a test.
    pub(super) fn leaf_value(&self, at: usize) -> f64 {
        if let TreeNode::Leaf { value, .. } = self.nodes[at] { value } else { 0.0 }
    }

    /// The value of the leaf that a row ends in if it passes the tests that `passes` says.
    pub(super) fn walk(&self, passes: impl Fn(usize) -> bool) -> f64 {
        let mut at = 0;
        while let Some(child) = self.nodes[at].child() {
            at = child + usize::from(!passes(at));
        }
        self.leaf_value(at)
    }
}

/// Checks all `trees` and `base`.
pub(super) fn check(base: f64, trees: &[Tree]) -> Result<Vec<Sound<'_>>, TreesError> {
    let n_nodes = trees.iter().map(Vec::len).sum();
    if trees.is_empty() || n_nodes > MAX_NODES {
        return Err(TreesError::Size { n_trees: trees.len(), n_nodes });
    }
    if !within(base) {
        return Err(TreesError::Base(base));
    }
    trees.iter().enumerate().map(|(number, tree)| Tester { tree: number, nodes: tree }.sound()).collect()
}

/// Whether a number may be added to a margin.
pub(super) fn within(value: f64) -> bool {
    value.abs() <= MARGIN_BOUND
}

/// The first of `values` that may not be added, if there is one.
pub(super) fn beyond(values: &[F64]) -> Option<usize> {
    // All are looked at before the first is looked for: without a way out early, several are compared at once.
    let sound = values.iter().fold(true, |sound, value| sound & within(value.get()));
    if sound { None } else { values.iter().position(|value| !within(value.get())) }
}

struct Tester<'a> {
    tree: usize,
    nodes: &'a [TreeNode],
}

impl<'a> Tester<'a> {
    fn sound(&self) -> Result<Sound<'a>, TreesError> {
        let n_nodes = self.nodes.len();
        // A level of its own marks a node that no parent has claimed yet.
        let mut levels = vec![usize::MAX; n_nodes];
        *levels.first_mut().ok_or(TreesError::Size { n_trees: 1, n_nodes })? = 0;
        let mut n_leaves = 0;
        for (node, content) in self.nodes.iter().enumerate() {
            let place = (self.tree, node);
            let fault = |child| TreesError::Child { tree: self.tree, node, child, n_nodes };
            if levels[node] == usize::MAX {
                return Err(fault(node));
            }
            self.cover(node, content)?;
            match content {
                TreeNode::Leaf { value, .. } => {
                    n_leaves += 1;
                    number(place, *value, within(*value))?;
                }
                TreeNode::AtMost { feature, bound, child, .. } => {
                    number(place, *bound, !bound.is_nan())?;
                    self.feature(node, *feature)?;
                    self.claim(node, *child, &mut levels)?;
                }
                TreeNode::OneOf { feature, codes, child, .. } => {
                    if let Some(&code) = codes.iter().find(|code| **code > MAX_CODE) {
                        return Err(TreesError::Code { tree: self.tree, node, code });
                    }
                    self.feature(node, *feature)?;
                    self.claim(node, *child, &mut levels)?;
                }
            }
        }
        Ok(Sound { nodes: self.nodes, levels, n_leaves })
    }

    fn cover(&self, node: usize, content: &TreeNode) -> Result<(), TreesError> {
        let cover = content.cover();
        if cover.is_finite() && cover >= 0.0 {
            return Ok(());
        }
        Err(TreesError::Cover { tree: self.tree, node, cover })
    }

    fn feature(&self, node: usize, feature: usize) -> Result<(), TreesError> {
        if feature < MAX_FEATURES {
            return Ok(());
        }
        Err(TreesError::Feature { tree: self.tree, node, feature, n_features: MAX_FEATURES })
    }

    /// Both children after the parent, there, and of no other parent.
    fn claim(&self, node: usize, child: usize, levels: &mut [usize]) -> Result<(), TreesError> {
        let n_nodes = self.nodes.len();
        let fault = TreesError::Child { tree: self.tree, node, child, n_nodes };
        if child <= node || child >= n_nodes - 1 {
            return Err(fault);
        }
        for at in [child, child + 1] {
            if levels[at] != usize::MAX {
                return Err(fault);
            }
            levels[at] = levels[node] + 1;
        }
        Ok(())
    }
}

fn number((tree, node): (usize, usize), value: f64, sound: bool) -> Result<(), TreesError> {
    if sound { Ok(()) } else { Err(TreesError::Value { tree, node, value }) }
}
