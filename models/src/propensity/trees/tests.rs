//! Every layout against a naive walk, every reason against brute force, every damaged section against a panic.

use proptest::prelude::*;

use super::*;

mod oracle;
mod reasons;

use oracle::{Draw, Shape, brute_force, naive_margin, random_rows, random_tree};

fn open(section: Vec<u8>, n_features: usize) -> Result<TreesModel, TreesError> {
    let n_bytes = section.len();
    TreesModel::open(&section.into(), 0..n_bytes, n_features)
}

fn model(base: f64, trees: &[Tree], n_features: usize) -> TreesModel {
    open(seal(base, trees).unwrap(), n_features).unwrap()
}

fn leaf(value: f64) -> TreeNode {
    TreeNode::Leaf { value, cover: 1.0 }
}

fn at_most(feature: usize, bound: f64, missing_passes: bool, child: usize) -> TreeNode {
    TreeNode::AtMost { feature, bound, missing_passes, child, cover: 2.0 }
}

fn one_of(feature: usize, codes: &[u32], missing_passes: bool, child: usize) -> TreeNode {
    TreeNode::OneOf { feature, codes: codes.to_vec(), missing_passes, child, cover: 2.0 }
}

/// Partial sums in another order: each of `n` additions rounds a sum that is at most `n` times the largest leaf.
fn rounding(trees: &[Tree]) -> f64 {
    let n = trees.len() as f64 + 16.0;
    n * n * 4.0 * f64::EPSILON
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

fn agrees(trees: &[Tree], layout: &str, draw: &mut Draw) {
    let n_features = 6;
    let model = model(0.25, trees, n_features);
    assert_eq!(model.layout(), layout);
    let rows = random_rows(400, n_features, trees, draw);
    let (mut margins, mut sliced) = (vec![0.0; 400], vec![0.0; 400]);
    model.margins(Rows::new(&rows, n_features), &mut margins);
    // More rows than it takes to make the tables for many; the last run is not full, and one is left to itself.
    (0..11).for_each(|_| model.margins(Rows::new(&rows, n_features), &mut sliced));
    model.margins(Rows::new(&rows[399 * n_features..], n_features), &mut sliced[399..]);
    assert_eq!(bits(&margins), bits(&sliced), "{layout}");
    // Rows that agree in their first features, from none to all of them.
    for n_same in 0..=n_features {
        let mut alike = rows.clone();
        alike.chunks_mut(n_features).for_each(|row| row[..n_same].copy_from_slice(&rows[..n_same]));
        let mut found = [0.0; 21];
        model.margins_alike(Rows::new(&alike, n_features), n_same, &mut found);
        let one: Vec<f64> = alike.chunks(n_features).take(21).map(|row| model.margin(row)).collect();
        assert_eq!(bits(&found), bits(&one), "{layout} {n_same}");
    }
    for (row, batch) in rows.chunks(n_features).zip(margins) {
        let (found, expected) = (model.margin(row), naive_margin(0.25, trees, row));
        assert!((found - expected).abs() <= rounding(trees), "{layout} {row:?}: {found} {expected}");
        assert_eq!(found.to_bits(), batch.to_bits(), "{layout} {row:?}");
    }
}

#[test]
fn every_layout_scores_as_a_naive_walk() {
    let mut draw = Draw(0x5eed_0001);
    // 1, 33 and 513 trees: a last run of lanes that is not full, and a second block.
    for n_trees in [1, 33, 513] {
        let layouts = [
            (Shape::Symmetric(1), "symmetric"),
            (Shape::Symmetric(5), "symmetric"),
            (Shape::Symmetric(8), "symmetric"),
            (Shape::Leaves(16), "mask_rows_16"),
            (Shape::Leaves(31), "mask_rows_32"),
            (Shape::Leaves(64), "mask_rows_64"),
            (Shape::Leaves(65), "walker"),
        ];
        for (shape, layout) in layouts {
            let trees: Vec<Tree> = (0..n_trees).map(|_| random_tree(shape, 6, &mut draw)).collect();
            agrees(&trees, layout, &mut draw);
        }
    }
}

#[test]
fn symmetric_trees_of_different_depths_share_a_table() {
    let mut draw = Draw(0x5eed_0002);
    let trees: Vec<Tree> = (0..40).map(|at| random_tree(Shape::Symmetric(at % 7), 6, &mut draw)).collect();
    agrees(&trees, "symmetric", &mut draw);
}

#[test]
fn single_leaves_are_a_constant() {
    let constant = model(0.5, &[vec![leaf(0.25)], vec![leaf(-1.0)]], 0);
    assert_eq!(constant.margin(&[]).to_bits(), (-0.25_f64).to_bits());
    let mut margins = [f64::NAN; 3];
    constant.margins(Rows::new(&[], 0), &mut margins);
    assert_eq!(margins, [-0.25; 3]);
    assert_eq!(constant.features().count(), 0);
}

#[test]
fn tables_that_would_be_too_large_are_walked() {
    let many: Vec<u32> = (0..60_000).collect();
    let trees: Vec<Tree> = (0..300)
        .map(|at| {
            let codes = &many[at..at + 59_000];
            vec![one_of(0, codes, at % 2 == 0, 1), leaf(1.0), leaf(-1.0)]
        })
        .collect();
    let walked = model(0.0, &trees, 1);
    assert_eq!(walked.layout(), "walker");
    for code in [0.0, 150.0, 30_000.0, 59_200.0, 70_000.0, 1e18, -1.0, 0.5, f64::NAN] {
        assert!((walked.margin(&[code]) - naive_margin(0.0, &trees, &[code])).abs() < f64::EPSILON, "{code}");
    }
}

#[test]
fn borders_missing_and_codes_go_where_the_nodes_send_them() {
    for (node, passing, failing) in [
        (
            at_most(0, 1.5, false, 1),
            vec![1.5, -0.0, f64::MIN],
            vec![1.5_f64.next_up(), f64::NAN, f64::INFINITY],
        ),
        (
            at_most(0, 1.5, true, 1),
            vec![1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY],
            vec![2.0, f64::MAX],
        ),
        (at_most(0, f64::INFINITY, false, 1), vec![f64::MAX, f64::MIN, 0.0], vec![f64::NAN, f64::INFINITY]),
        (at_most(0, f64::NEG_INFINITY, true, 1), vec![f64::NAN], vec![f64::MIN, f64::MAX]),
        (at_most(0, -0.0, false, 1), vec![0.0, -0.0], vec![f64::MIN_POSITIVE]),
        (one_of(0, &[7, 2, 2], false, 1), vec![2.0, 7.0], vec![1.0, 3.0, 8.0, 1e300, -2.0, 2.5, f64::NAN]),
        (one_of(0, &[0], true, 1), vec![0.0, -0.0, -2.0, 0.5, f64::INFINITY, f64::NAN], vec![1.0, 4e9]),
        (one_of(0, &[], true, 1), vec![f64::NAN, -1.0], vec![0.0, 1.0]),
    ] {
        let symmetric = vec![node.clone(), leaf(1.0), leaf(-1.0)];
        // The same with a right side of its own: no longer symmetric. Then with so many leaves that it is walked.
        let uneven = vec![node, leaf(1.0), at_most(1, 0.0, true, 3), leaf(-1.0), leaf(-1.0)];
        let comb = idle_comb(70);
        for (trees, layout) in [
            (vec![symmetric], "symmetric"),
            (vec![uneven.clone()], "mask_rows_16"),
            (vec![uneven, comb], "walker"),
        ] {
            let model = model(0.0, &trees, 3);
            assert_eq!(model.layout(), layout);
            for (values, expected) in [(&passing, 1.0), (&failing, -1.0)] {
                for &x in values {
                    let found = model.margin(&[x, f64::NAN, 1.0]);
                    assert_eq!(found.to_bits(), f64::to_bits(expected), "{layout} {x}: {trees:?}");
                }
            }
        }
    }
}

/// A tree of `n_tests` tests, each the failed child of the one before, whose leaves add nothing.
fn idle_comb(n_tests: usize) -> Tree {
    let mut comb = vec![at_most(2, 0.0, true, 1)];
    for at in 1..n_tests {
        comb.extend([leaf(0.0), at_most(2, at as f64, true, 2 * at + 1)]);
    }
    comb.extend([leaf(0.0), leaf(0.0)]);
    comb
}

#[test]
fn a_short_row_lacks_its_last_features() {
    let mut draw = Draw(0x5eed_0003);
    for shape in [Shape::Symmetric(4), Shape::Leaves(20), Shape::Leaves(80)] {
        let model = model(0.0, &[random_tree(shape, 4, &mut draw)], 4);
        assert_eq!(model.margin(&[]).to_bits(), model.margin(&[f64::NAN; 4]).to_bits());
        assert_eq!(model.margin(&[1.0]).to_bits(), model.margin(&[1.0, f64::INFINITY, f64::NAN]).to_bits());
    }
}

#[test]
fn what_is_no_tree_is_named() {
    let test = |child| at_most(0, 0.0, false, child);
    let covered = |cover| TreeNode::Leaf { value: 0.0, cover };
    let cases: Vec<(Tree, TreesError)> = vec![
        (vec![], TreesError::Size { n_trees: 1, n_nodes: 0 }),
        (vec![test(0), leaf(0.0), leaf(0.0)], child_fault(0, 0, 3)),
        (vec![test(2), leaf(0.0), leaf(0.0)], child_fault(0, 2, 3)),
        (vec![test(usize::MAX), leaf(0.0), leaf(0.0)], child_fault(0, usize::MAX, 3)),
        (vec![test(1), test(3), test(3), leaf(0.0), leaf(0.0)], child_fault(2, 3, 5)),
        (vec![test(1), leaf(0.0), leaf(0.0), leaf(0.0)], child_fault(3, 3, 4)),
        (vec![leaf(1e7)], TreesError::Value { tree: 0, node: 0, value: 1e7 }),
        (vec![leaf(f64::INFINITY)], TreesError::Value { tree: 0, node: 0, value: f64::INFINITY }),
        (vec![covered(-1.0)], TreesError::Cover { tree: 0, node: 0, cover: -1.0 }),
        (vec![covered(f64::INFINITY)], TreesError::Cover { tree: 0, node: 0, cover: f64::INFINITY }),
        (
            vec![at_most(1 << 16, 0.0, false, 1), leaf(0.0), leaf(0.0)],
            TreesError::Feature { tree: 0, node: 0, feature: 1 << 16, n_features: 1 << 16 },
        ),
        (
            vec![one_of(0, &[3, 1 << 20], false, 1), leaf(0.0), leaf(0.0)],
            TreesError::Code { tree: 0, node: 0, code: 1 << 20 },
        ),
    ];
    for (tree, expected) in cases {
        assert_eq!(seal(0.0, std::slice::from_ref(&tree)), Err(expected), "{tree:?}");
    }
    let nan = seal(0.0, &[vec![at_most(0, f64::NAN, false, 1), leaf(0.0), leaf(0.0)]]).unwrap_err();
    assert!(matches!(nan, TreesError::Value { node: 0, value, .. } if value.is_nan()));
    assert!(matches!(seal(0.0, &[vec![leaf(f64::NAN)]]), Err(TreesError::Value { .. })));
    assert!(matches!(seal(0.0, &[vec![covered(f64::NAN)]]), Err(TreesError::Cover { .. })));
    assert!(matches!(seal(f64::NAN, &[vec![leaf(0.0)]]), Err(TreesError::Base(_))));
    assert_eq!(seal(0.0, &[]), Err(TreesError::Size { n_trees: 0, n_nodes: 0 }));
}

fn child_fault(node: usize, child: usize, n_nodes: usize) -> TreesError {
    TreesError::Child { tree: 0, node, child, n_nodes }
}

#[test]
fn a_feature_that_the_artifact_lacks_does_not_open() {
    for shape in [Shape::Symmetric(3), Shape::Leaves(20), Shape::Leaves(80)] {
        let mut tree = random_tree(shape, 4, &mut Draw(0x5eed_0004));
        if let TreeNode::AtMost { feature, .. } | TreeNode::OneOf { feature, .. } = &mut tree[0] {
            *feature = 9;
        }
        let section = seal(0.0, &[tree]).unwrap();
        assert!(open(section.clone(), 10).is_ok());
        let error = open(section, 9).unwrap_err();
        assert!(matches!(error, TreesError::Feature { feature: 9, n_features: 9, .. }), "{error}");
    }
}

proptest! {
    /// Whatever stands in a section either does not open, or gives finite margins and touches nothing outside.
    #[test]
    fn damaged_sections_do_no_harm(
        shape in prop_oneof![Just(Shape::Symmetric(3)), Just(Shape::Leaves(12)), Just(Shape::Leaves(70))],
        seed in any::<u64>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        early in any::<bool>(),
        length in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut draw = Draw(seed | 1);
        let trees: Vec<Tree> = (0..5).map(|_| random_tree(shape, 4, &mut draw)).collect();
        let mut section = seal(0.0, &trees).unwrap();
        // Half of the cases aim at directory, header and axes, where a change matters most.
        let reach = if early { section.len().min(600) } else { section.len() };
        flips.iter().for_each(|(at, byte)| section[at.index(reach)] ^= byte);
        section.truncate(length.map_or(section.len(), |length| length.index(section.len())));
        if let Ok(model) = open(section, 4) {
            // So many that the tables for many rows are made and used.
            let rows = random_rows(4100, 4, &trees, &mut draw);
            let mut margins = vec![0.0; 4100];
            model.margins(Rows::new(&rows, 4), &mut margins);
            prop_assert!(margins.iter().all(|margin| margin.is_finite()));
            for (row, margin) in rows.chunks(4).zip(margins).take(200) {
                prop_assert_eq!(model.margin(row).to_bits(), margin.to_bits());
            }
            for row in rows.chunks(4).take(8) {
                let explained = model.explain(row, 1.0, &mut [0.0; 4], &mut Scratch::default());
                prop_assert_eq!(explained.margin.to_bits(), model.margin(row).to_bits());
            }
        }
    }
}
