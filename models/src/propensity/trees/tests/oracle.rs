//! What the tests compare with: a walk and Shapley values written down as they are defined, on random trees.

use super::super::{Tree, TreeNode};

/// Xorshift (Marsaglia 2003): small, seeded, enough for shapes of trees.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }

    fn unit(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }
}

/// What a random tree looks like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// So many levels, each with one test.
    Symmetric(usize),
    /// So many leaves, split at random.
    Leaves(usize),
}

/// A test with its child and cover to be filled in: mostly numeric, on few bounds so that trees share them.
fn random_test(n_features: usize, draw: &mut Draw) -> TreeNode {
    let (feature, missing_passes) = (draw.below(n_features), draw.below(2) == 0);
    let (child, cover) = (0, 0.0);
    if draw.below(4) == 0 {
        let codes = (0..draw.below(4)).map(|_| draw.below(6) as u32).collect();
        return TreeNode::OneOf { feature, codes, missing_passes, child, cover };
    }
    let bound = match draw.below(24) {
        0 => f64::INFINITY,
        1 => f64::NEG_INFINITY,
        2 => -0.0,
        _ => draw.below(40) as f64 / 4.0 - 3.0,
    };
    TreeNode::AtMost { feature, bound, missing_passes, child, cover }
}

fn split(tree: &mut Tree, at: usize, mut test: TreeNode, draw: &mut Draw) {
    let first = tree.len();
    if let TreeNode::AtMost { child, .. } | TreeNode::OneOf { child, .. } = &mut test {
        *child = first;
    }
    tree[at] = test;
    tree.extend((0..2).map(|_| TreeNode::Leaf { value: draw.unit() * 2.0 - 1.0, cover: 0.0 }));
}

/// A tree of leaves within 1 of 0 and covers from 0 on.
pub(super) fn random_tree(shape: Shape, n_features: usize, draw: &mut Draw) -> Tree {
    let mut tree = vec![TreeNode::Leaf { value: draw.unit() * 2.0 - 1.0, cover: 0.0 }];
    let leaves =
        |tree: &Tree| -> Vec<usize> { (0..tree.len()).filter(|&at| tree[at].child().is_none()).collect() };
    match shape {
        Shape::Symmetric(depth) => {
            for _ in 0..depth {
                let test = random_test(n_features, draw);
                leaves(&tree).into_iter().for_each(|at| split(&mut tree, at, test.clone(), draw));
            }
        }
        Shape::Leaves(n_leaves) => {
            for _ in 1..n_leaves {
                let leaves = leaves(&tree);
                let at = leaves[draw.below(leaves.len())];
                let test = random_test(n_features, draw);
                split(&mut tree, at, test, draw);
            }
        }
    }
    for at in (0..tree.len()).rev() {
        // One leaf in eight was reached by no row.
        let below = tree[at].child().map(|child| tree[child].cover() + tree[child + 1].cover());
        let drawn =
            below.unwrap_or_else(|| if draw.below(8) == 0 { 0.0 } else { 1.0 + draw.below(50) as f64 });
        match &mut tree[at] {
            TreeNode::AtMost { cover, .. } | TreeNode::OneOf { cover, .. } | TreeNode::Leaf { cover, .. } => {
                *cover = drawn;
            }
        }
    }
    tree
}

/// Rows, one after another: numbers, codes, values on and right beside bounds, and all that counts as missing.
pub(super) fn random_rows(n: usize, n_features: usize, trees: &[Tree], draw: &mut Draw) -> Vec<f64> {
    let bounds: Vec<f64> = trees
        .iter()
        .flatten()
        .filter_map(|node| if let TreeNode::AtMost { bound, .. } = node { Some(*bound) } else { None })
        .collect();
    let value = |draw: &mut Draw| {
        let bound = if bounds.is_empty() { 0.0 } else { bounds[draw.below(bounds.len())] };
        match draw.below(12) {
            0 => f64::NAN,
            1 => [f64::INFINITY, f64::NEG_INFINITY, f64::MAX, -0.0, 1e18][draw.below(5)],
            2..4 => bound,
            4 => bound.next_up(),
            5 => bound.next_down(),
            6..9 => draw.below(9) as f64 - 1.0,
            _ => draw.unit() * 14.0 - 4.0,
        }
    };
    (0..n * n_features).map(|_| value(draw)).collect()
}

/// Whether `row` passes a test, as [`TreeNode`] says it.
fn passes(node: &TreeNode, row: &[f64]) -> bool {
    let x = |feature: &usize| row.get(*feature).copied().unwrap_or(f64::NAN);
    match node {
        TreeNode::AtMost { feature, bound, missing_passes, .. } => {
            if x(feature).is_finite() {
                x(feature) <= *bound
            } else {
                *missing_passes
            }
        }
        TreeNode::OneOf { feature, codes, missing_passes, .. } => {
            let x = x(feature);
            let is_code = x.is_finite() && x >= 0.0 && x.fract() == 0.0;
            if is_code { codes.iter().any(|&code| f64::from(code) == x) } else { *missing_passes }
        }
        TreeNode::Leaf { .. } => true,
    }
}

pub(super) fn naive_margin(base: f64, trees: &[Tree], row: &[f64]) -> f64 {
    let everything = |_: usize| true;
    base + trees.iter().map(|tree| expectation(tree, 0, row, &everything)).sum::<f64>()
}

/// The tree's value where only the features that `known` names are: at a test of another, both sides by cover.
fn expectation(tree: &Tree, at: usize, row: &[f64], known: &dyn Fn(usize) -> bool) -> f64 {
    let (feature, child) = match &tree[at] {
        TreeNode::Leaf { value, .. } => return *value,
        TreeNode::AtMost { feature, child, .. } | TreeNode::OneOf { feature, child, .. } => {
            (*feature, *child)
        }
    };
    let side = |failed: usize| expectation(tree, child + failed, row, known);
    if known(feature) {
        return side(usize::from(!passes(&tree[at], row)));
    }
    let (passed, failed) = (tree[child].cover(), tree[child + 1].cover());
    let ratio = if passed + failed > 0.0 { passed / (passed + failed) } else { 0.5 };
    ratio * side(0) + (1.0 - ratio) * side(1)
}

/// Baseline and Shapley values over all subsets of `n_features`: `sum_S |S|! (n-1-|S|)! / n! (v(S + i) - v(S))`.
pub(super) fn brute_force(trees: &[Tree], row: &[f64], n_features: usize) -> (f64, Vec<f64>) {
    let value = |subset: usize| -> f64 {
        let known = |feature: usize| subset >> feature & 1 == 1;
        trees.iter().map(|tree| expectation(tree, 0, row, &known)).sum()
    };
    let values: Vec<f64> = (0..1 << n_features).map(value).collect();
    let factorial = |n: usize| (1..=n).product::<usize>() as f64;
    let shapley = |feature: usize| {
        let others = (0..1_usize << n_features).filter(|subset| subset >> feature & 1 == 0);
        let terms = others.map(|subset| {
            let size = subset.count_ones() as usize;
            let weight = factorial(size) * factorial(n_features - 1 - size) / factorial(n_features);
            weight * (values[subset | 1 << feature] - values[subset])
        });
        terms.sum()
    };
    (values[0], (0..n_features).map(shapley).collect())
}
