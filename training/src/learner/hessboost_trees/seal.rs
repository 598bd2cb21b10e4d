//! From hessboost's nodes to those the artifact keeps: tests of 64-bit features that pass exactly where hessboost's
//! tests of its 32-bit columns do.
//!
//! A node's cover is the sum of the Hessian `weight * p (1 - p)` of the training rows that came by, as hessboost and
//! XGBoost keep it (LightGBM counts rows); exact reasons weigh branches by it.

use hessboost::tree::{Node, RegTree};
use nextbest_models::propensity::trees::{Tree, TreeNode};

use super::columns::{Columns, Reading};

/// `tree` with the tests of our columns; its leaves count `share` of what they say.
pub(super) fn tree(tree: &RegTree, columns: &Columns, share: f64) -> Tree {
    let mut sealed = breadth_first(tree, |at, child, cover| {
        test(tree.node(at), tree.split_categories(at), columns, child, cover)
    });
    for node in &mut sealed {
        if let TreeNode::Leaf { value, .. } = node {
            *value *= share;
        }
    }
    sealed
}

/// `tree`, breadth first: siblings side by side, after their parent. `test` gives, for a node's number, the place of its
/// children and its cover, the test, and whether what passes it goes to hessboost's right.
pub(crate) fn breadth_first(tree: &RegTree, test: impl Fn(usize, usize, f64) -> (TreeNode, bool)) -> Tree {
    let mut order = vec![0];
    let mut sealed = Tree::with_capacity(tree.num_nodes());
    while let Some(&at) = order.get(sealed.len()) {
        let node = tree.node(at);
        let cover = f64::from(node.sum_hess);
        if node.is_leaf() {
            sealed.push(TreeNode::Leaf { value: f64::from(node.leaf_value), cover });
            continue;
        }
        let (test, swapped) = test(at, order.len(), cover);
        sealed.push(test);
        // hessboost validates every tree it trained or read: children are there, each once.
        let (left, right) = (node.left as usize, node.right as usize);
        order.extend(if swapped { [right, left] } else { [left, right] });
    }
    sealed
}

/// The test of `node`, and whether what passes it goes to hessboost's right.
fn test(node: &Node, categories: &[u32], columns: &Columns, child: usize, cover: f64) -> (TreeNode, bool) {
    let column = columns.column(node.split_feature as usize);
    let (feature, missing_left) = (column.feature, node.default_left);
    let goes_left = |value: f32| {
        if node.is_categorical { categories.contains(&(value as u32)) } else { value < node.split_cond }
    };
    match &column.reading {
        Reading::Number => {
            let bound = bound(node.split_cond);
            (TreeNode::AtMost { feature, bound, missing_passes: missing_left, child, cover }, false)
        }
        Reading::Codes { values, other } => {
            // A code that is not listed fails, so what passes is the side the other codes are not on.
            let swapped = goes_left(*other);
            let passes = values.iter().filter(|(_, value)| goes_left(*value) != swapped);
            let codes = passes.map(|(code, _)| *code).collect();
            let missing_passes = missing_left != swapped;
            (TreeNode::OneOf { feature, codes, missing_passes, child, cover }, swapped)
        }
    }
}

/// The largest 64-bit number that, rounded to 32 bits and held in their finite range, is below `threshold`.
///
/// Rounding is to nearest, ties to even. Numbers between the threshold's lower neighbour and the middle between the
/// two round down; the middle itself goes to the neighbour whose last bit is 0. The middle of two 32-bit numbers has 25
/// bits and is exact in 64.
pub(crate) fn bound(threshold: f32) -> f64 {
    let below = threshold.next_down();
    if !below.is_finite() {
        // Nothing is below the least number.
        return f64::NEG_INFINITY;
    }
    let middle = f64::midpoint(f64::from(below), f64::from(threshold));
    if below.to_bits() & 1 == 0 { middle } else { middle.next_down() }
}
