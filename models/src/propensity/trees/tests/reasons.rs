//! Reasons: brute force over all subsets, symmetric tables against the general algorithm, additivity.

use super::*;

fn explain(model: &TreesModel, row: &[f64], scratch: &mut Scratch) -> (f64, Vec<f64>) {
    let mut contributions = vec![0.0; row.len()];
    let explained = model.explain(row, 1.0, &mut contributions, scratch);
    assert_eq!(explained.margin.to_bits(), model.margin(row).to_bits(), "{row:?}");
    (explained.baseline, contributions)
}

/// The same trees, but one more that is not symmetric and adds nothing, so that no table is built.
fn without_table(trees: &[Tree]) -> Vec<Tree> {
    let uneven = vec![at_most(0, 0.0, false, 1), leaf(0.0), at_most(1, 0.0, true, 3), leaf(0.0), leaf(0.0)];
    [trees, &[uneven]].concat()
}

proptest! {
    #[test]
    fn reasons_are_shapley_values(
        leaves in 1..16_usize, depth in 0..5_usize, symmetric in any::<bool>(), seed in any::<u64>(),
    ) {
        let (n_features, mut draw) = (5, Draw(seed | 1));
        let shape = if symmetric { Shape::Symmetric(depth) } else { Shape::Leaves(leaves) };
        let trees: Vec<Tree> = (0..3).map(|_| random_tree(shape, n_features, &mut draw)).collect();
        let (table, general) = (model(0.25, &trees, n_features), model(0.25, &without_table(&trees), n_features));
        let rows = random_rows(6, n_features, &trees, &mut draw);
        let mut scratch = Scratch::default();
        for row in rows.chunks(n_features) {
            let (baseline, expected) = brute_force(&trees, row, n_features);
            // Values within 1, so factors and sums of a few dozen terms are good to 1e-13; tables to 2^-24 per tree.
            for (model, bound) in [(&table, 3.0 * 2.0_f64.powi(-23)), (&general, 1e-12)] {
                let bound = if model.layout() == "symmetric" { bound } else { 1e-12 };
                let (found_baseline, found) = explain(model, row, &mut scratch);
                prop_assert!((found_baseline - baseline - 0.25).abs() <= 1e-12);
                for (found, expected) in found.iter().zip(&expected) {
                    prop_assert!((found - expected).abs() <= bound, "{}: {found} {expected}", model.layout());
                }
            }
        }
    }
}

#[test]
fn deep_paths_of_many_features_are_exact() {
    // Leaves enough for paths of up to 10 different features, and for the walker.
    let mut draw = Draw(0x5eed_0005);
    let n_features = 10;
    for n_leaves in [40, 90] {
        let trees: Vec<Tree> =
            (0..2).map(|_| random_tree(Shape::Leaves(n_leaves), n_features, &mut draw)).collect();
        let model = model(0.0, &trees, n_features);
        for row in random_rows(4, n_features, &trees, &mut draw).chunks(n_features) {
            let (found, (_, expected)) =
                (explain(&model, row, &mut Scratch::default()), brute_force(&trees, row, n_features));
            for (found, expected) in found.1.iter().zip(expected) {
                assert!((found - expected).abs() <= 1e-12, "{found} {expected}");
            }
        }
    }
}

/// A comb whose path tests `n` features, each once.
fn comb(n: usize) -> Tree {
    let mut tree = vec![at_most(0, 0.0, false, 1)];
    for at in 1..n {
        tree.extend([leaf(at as f64 / n as f64), at_most(at, 0.0, false, 2 * at + 1)]);
    }
    tree.extend([leaf(1.0), leaf(-1.0)]);
    for at in (0..tree.len()).rev() {
        let below = tree[at].child().map_or(1.0, |child| tree[child].cover() + tree[child + 1].cover());
        if let TreeNode::AtMost { cover, .. } = &mut tree[at] {
            *cover = below;
        }
    }
    tree
}

#[test]
fn baseline_and_reasons_sum_to_the_margin() {
    let mut draw = Draw(0x5eed_0006);
    let n_features = 100;
    let mut scratch = Scratch::default();
    let shapes = [Shape::Symmetric(6), Shape::Leaves(31), Shape::Leaves(63), Shape::Leaves(200)];
    let mut ensembles: Vec<Vec<Tree>> =
        shapes.map(|shape| (0..60).map(|_| random_tree(shape, 12, &mut draw)).collect()).to_vec();
    // One path of each number of quadrature points, and one beyond them all.
    ensembles.extend([4, 8, 12, 16, 32, 64, 100].map(|n| vec![comb(n)]));
    for trees in ensembles {
        let model = model(-0.5, &trees, n_features);
        for row in random_rows(50, n_features, &trees, &mut draw).chunks(n_features) {
            let (baseline, contributions) = explain(&model, row, &mut scratch);
            let magnitudes: f64 = contributions.iter().map(|c| c.abs()).sum::<f64>() + 60.0;
            let unit = if model.layout() == "symmetric" { 2.0_f64.powi(-24) } else { 1e-11 };
            let (sum, margin) = (baseline + contributions.iter().sum::<f64>(), model.margin(row));
            assert!((sum - margin).abs() <= unit * magnitudes, "{}: {sum} {margin}", model.layout());
        }
    }
}

#[test]
fn reasons_are_weighed_and_added() {
    let trees = [vec![at_most(1, 0.0, false, 1), leaf(1.0), leaf(-1.0)]];
    let model = model(0.5, &trees, 3);
    let mut contributions = [10.0, 20.0, 30.0];
    let explained = model.explain(&[0.0; 3], 2.0, &mut contributions, &mut Scratch::default());
    assert_eq!((explained.baseline, contributions), (0.5, [10.0, 22.0, 30.0]));
}

#[test]
fn reasons_do_not_depend_on_how_many_features_there_are() {
    let trees: Vec<Tree> =
        (0..20).map(|_| random_tree(Shape::Symmetric(4), 5, &mut Draw(0x5eed_0005))).collect();
    // The last feature has a number that the sums of a narrow model do not go up to.
    let moved = |node: &TreeNode| match node.clone() {
        TreeNode::AtMost { feature: 4, bound, missing_passes, child, cover } => {
            TreeNode::AtMost { feature: 700, bound, missing_passes, child, cover }
        }
        TreeNode::OneOf { feature: 4, codes, missing_passes, child, cover } => {
            TreeNode::OneOf { feature: 700, codes, missing_passes, child, cover }
        }
        node => node,
    };
    let wide: Vec<Tree> = trees.iter().map(|tree| tree.iter().map(moved).collect()).collect();
    let (narrow, wide) = (model(0.0, &trees, 5), model(0.0, &wide, 701));
    let mut scratch = Scratch::default();
    for row in random_rows(20, 5, &trees, &mut Draw(0x5eed_0006)).chunks(5) {
        let far = [&row[..4], &[0.0; 696], &row[4..]].concat();
        let ((_, near), (_, far)) = (explain(&narrow, row, &mut scratch), explain(&wide, &far, &mut scratch));
        // The same additions in the same order.
        assert_eq!(bits(&near), bits(&[&far[..4], &far[700..]].concat()));
    }
}
