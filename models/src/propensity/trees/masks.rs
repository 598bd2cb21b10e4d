//! Mask rows: trees of up to 64 leaves, one bit of a word for each leaf.
//!
//! Leaves are numbered with the passed side first. A failed test rules out the leaves under its passed child; of the
//! leaves that no failed test rules out, the first is where the row ends (Lucchese et al. 2015, theorem 1).

use zerocopy::little_endian::F64;

use super::TreeNode;
use super::axes::Axes;
use super::build::{self, Clearing};
use super::check::Sound;
use super::parts::{Part, Writer};

/// Writes tables and leaves of `trees`: the leaves of each tree; or none where a tree or the tables are too large.
pub(super) fn write(trees: &[Sound<'_>], axes: &Axes, writer: &mut Writer) -> Option<usize> {
    let n_leaves = trees.iter().map(|tree| tree.n_leaves).max()?;
    let n_slots = [16, 32, 64].into_iter().find(|slots| n_leaves <= *slots)?;
    let (mut tests, mut leaves) = (Vec::new(), Vec::with_capacity(trees.len() * n_slots));
    for (number, tree) in trees.iter().enumerate() {
        let (first, counts) = spans(tree);
        leaves.resize((number + 1) * n_slots, F64::new(0.0));
        for (at, node) in tree.nodes.iter().enumerate() {
            match node {
                TreeNode::Leaf { value, .. } => leaves[number * n_slots + first[at]] = F64::new(*value),
                TreeNode::AtMost { child, .. } | TreeNode::OneOf { child, .. } => {
                    let test = axes.test(node)?;
                    let passed = (1_u64 << counts[*child]) - 1;
                    tests.push(Clearing { tree: number, test, keeps: !(passed << first[at]) });
                }
            }
        }
    }
    let built = match n_slots {
        16 => build::build::<u16>(axes, trees.len(), &tests, writer),
        32 => build::build::<u32>(axes, trees.len(), &tests, writer),
        _ => build::build::<u64>(axes, trees.len(), &tests, writer),
    };
    writer.put(Part::Leaves, &leaves);
    built.then_some(n_slots)
}

/// For each node the number of the first leaf below it, and how many there are.
fn spans(tree: &Sound<'_>) -> (Vec<usize>, Vec<usize>) {
    let n_nodes = tree.nodes.len();
    let (mut first, mut counts) = (vec![0; n_nodes], vec![1; n_nodes]);
    let child = |at: usize| match &tree.nodes[at] {
        TreeNode::AtMost { child, .. } | TreeNode::OneOf { child, .. } => Some(*child),
        TreeNode::Leaf { .. } => None,
    };
    for at in (0..n_nodes).rev() {
        counts[at] = child(at).map_or(1, |child| counts[child] + counts[child + 1]);
    }
    for at in 0..n_nodes {
        if let Some(child) = child(at) {
            first[child] = first[at];
            first[child + 1] = first[at] + counts[child];
        }
    }
    (first, counts)
}
