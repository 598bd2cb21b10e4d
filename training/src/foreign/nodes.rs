//! From the nodes of a model as read to tests of 64-bit features.

use std::collections::BTreeSet;

use hessboost::tree::RegTree;
use nextbest_models::propensity::trees::{Tree, TreeNode};

use crate::learner::hessboost_trees::{bound, breadth_first};

/// `tree` with tests of its own features. `exact` are LightGBM's 64-bit thresholds of its inner nodes; empty for models
/// that compare 32 bits.
pub(super) fn tree(tree: &RegTree, exact: &[f64]) -> Tree {
    breadth_first(tree, |at, child, cover| {
        let node = tree.node(at);
        let (feature, missing_passes) = (node.split_feature as usize, node.default_left);
        if node.is_categorical {
            let codes = tree.split_categories(at).to_vec();
            return (TreeNode::OneOf { feature, codes, missing_passes, child, cover }, false);
        }
        // Where the 32-bit test is the image of the 64-bit one, the latter is what the model's owner compares.
        let threshold = exact.get(at).copied().filter(|&threshold| above(threshold) == node.split_cond);
        let bound = threshold.unwrap_or_else(|| bound(node.split_cond));
        (TreeNode::AtMost { feature, bound, missing_passes, child, cover }, false)
    })
}

/// The smallest 32-bit number above `threshold`.
fn above(threshold: f64) -> f32 {
    let nearest = threshold as f32;
    if f64::from(nearest) > threshold { nearest } else { nearest.next_up() }
}

/// The thresholds of each tree of a LightGBM text, which the reader has already accepted.
pub(super) fn thresholds(text: &[u8]) -> Vec<Vec<f64>> {
    let text = String::from_utf8_lossy(text);
    let mut trees: Vec<Vec<f64>> = Vec::new();
    for line in text.lines() {
        if line.starts_with("Tree=") {
            trees.push(Vec::new());
        } else if let (Some(numbers), Some(tree)) = (line.strip_prefix("threshold="), trees.last_mut()) {
            tree.extend(numbers.split_ascii_whitespace().map(|number| number.parse().unwrap_or(f64::NAN)));
        }
    }
    trees
}

/// Per feature, numbers on either side of its tests: bounds, the next 32-bit numbers above them, and codes.
pub(super) fn tested_values(trees: &[Tree], n_features: usize) -> Vec<Vec<f32>> {
    // As sortable integers, since 32-bit floats have no total order of their own.
    let mut found = vec![BTreeSet::new(); n_features];
    for node in trees.iter().flatten() {
        match node {
            TreeNode::AtMost { feature, bound, .. } if bound.is_finite() => {
                let below = (*bound as f32).next_down();
                let around = [below, below.next_up().next_up()].map(f32::to_bits);
                found[*feature].extend(around.into_iter().filter(|&bits| f32::from_bits(bits).is_finite()));
            }
            TreeNode::OneOf { feature, codes, .. } => {
                found[*feature].extend(codes.iter().map(|&code| (code as f32).to_bits()));
            }
            TreeNode::AtMost { .. } | TreeNode::Leaf { .. } => {}
        }
    }
    found.into_iter().map(|bits| bits.into_iter().map(f32::from_bits).collect()).collect()
}
