//! What is sealed passes rows as hessboost does, to the last bit of a threshold; and constraints, weights and threads.

use super::fitted::FittedTrees;
use super::*;
use crate::dataset::{Column, Dataset};
use nextbest_models::customer::CustomerId;
use nextbest_models::propensity::trees::TreeNode;
use nextbest_models::units::Timestamp;
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Two quantities, one often missing, a category of 40 codes of which some are rare, and one of 2.
fn table(n: usize, seed: u64) -> Dataset {
    let columns =
        vec![Column::numeric("x"), Column::numeric("gaps"), Column::code("many"), Column::code("two")];
    let mut set = Dataset::new(columns, vec!["y".into()]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for row in 0..n {
        let (features, log_odds) = draw(&mut rng);
        let outcome = rng.random_bool(1.0 / (1.0 + (-log_odds).exp()));
        let id = CustomerId::new(format!("c{row}")).unwrap();
        set.push(id, Timestamp::from_millis(0).unwrap(), &features, &[Some(outcome)]).unwrap();
    }
    set
}

fn draw(rng: &mut ChaCha8Rng) -> ([f64; 4], f64) {
    let x: f64 = rng.random_range(-2.0..2.0);
    let gaps = if rng.random_bool(0.4) { f64::NAN } else { rng.random_range(0.0..5.0_f64) };
    let many = (rng.random_range(0.0..1.0_f64).powi(3) * 40.0).floor();
    let two = f64::from(rng.random_range(0..2_u32));
    let effect = if (many as u32).is_multiple_of(3) { 1.0 } else { -0.5 };
    let bend = if gaps.is_nan() {
        0.7
    } else if gaps > 3.0 {
        -0.8
    } else {
        0.2
    };
    ([x, gaps, many, two], 0.9 * x + effect + bend * (1.0 + two) - 0.4)
}

fn sample(set: &Dataset) -> Sample<'_> {
    Sample::checked(set, set.labelled("y").unwrap(), "fit", "y").unwrap()
}

fn learners() -> [HessboostTrees; 2] {
    [HessboostTrees::symmetric(), HessboostTrees::leaf_wise()]
}

/// A short fit: what is tested does not depend on how many trees there are.
fn grown(learner: &HessboostTrees, set: &Dataset, configuration: usize) -> FittedTrees {
    search::grow(learner, &sample(set), Settled { configuration, n_rounds: 40 }, Seed(5)).unwrap()
}

/// The leaf a row ends in, by the rules of `TreeNode` and nothing else.
fn walk(tree: &[TreeNode], row: &[f64]) -> f64 {
    let mut at = 0;
    loop {
        let x = |feature: usize| row[feature];
        at = match &tree[at] {
            TreeNode::Leaf { value, .. } => return *value,
            TreeNode::AtMost { feature, bound, missing_passes, child, .. } => {
                let passes = if x(*feature).is_finite() { x(*feature) <= *bound } else { *missing_passes };
                child + usize::from(!passes)
            }
            TreeNode::OneOf { feature, codes, missing_passes, child, .. } => {
                let x = x(*feature);
                let known = x.is_finite() && x >= 0.0 && x.fract() == 0.0;
                let passes =
                    if known { codes.iter().any(|&code| f64::from(code) == x) } else { *missing_passes };
                child + usize::from(!passes)
            }
        };
    }
}

#[test]
fn sealed_trees_pass_rows_as_hessboost_does() {
    let set = table(3_000, 1);
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let rows: Vec<Vec<f64>> = (0..10_000)
        .map(|_| {
            let (mut row, _) = draw(&mut rng);
            for value in &mut row {
                match rng.random_range(0..12_u32) {
                    0 => *value = f64::NAN,
                    1 => *value = f64::from(rng.random_range(30..500_u32)),
                    2 => *value = rng.random_range(-1e300..1e300),
                    3 => *value = f64::INFINITY,
                    _ => {}
                }
            }
            row.to_vec()
        })
        .collect();
    let views: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
    for learner in learners() {
        for configuration in 0..4 {
            let fitted = grown(&learner, &set, configuration);
            assert_eq!(fitted.bag.len(), 4, "1,000 trees allow for 25 ensembles of 40");
            let trees = fitted.bag.iter().flat_map(|one| one.model.trees());
            let trees: Vec<_> = trees.map(|tree| seal::tree(tree, &fitted.columns, fitted.share())).collect();
            let base = fitted.base();
            for (row, margin) in rows.iter().zip(fitted.margins(&views).unwrap()) {
                let sealed = base + trees.iter().map(|tree| walk(tree, row)).sum::<f64>();
                // The same 64-bit numbers, added ensemble by ensemble or through: 4 x 40 roundings of a sum below 8.
                assert!((sealed - margin).abs() < 160.0 * 8.0 * f64::EPSILON, "{row:?}: {sealed} {margin}");
            }
        }
    }
}

#[test]
fn margins_are_hessboosts_own_but_for_its_roundings() {
    let set = table(2_000, 3);
    for learner in learners() {
        let fitted = grown(&learner, &set, 1);
        let rows = sample(&set).rows();
        let mut cells = Vec::new();
        rows.iter().for_each(|row| fitted.columns.fill(row, &mut cells));
        let mut own = vec![0.0; rows.len()];
        for one in &fitted.bag {
            let margins = one.model.predict_margin_rows(&cells, ..).unwrap();
            own.iter_mut()
                .zip(margins.as_slice())
                .for_each(|(sum, margin)| *sum += 0.25 * f64::from(*margin));
        }
        for (margin, own) in fitted.margins(&rows).unwrap().iter().zip(&own) {
            // One rounding per tree of an ensemble, each at most half a 32-bit step of a sum below 8; and their mean.
            assert!((margin - own).abs() < 40.0 * 4.0 * f64::from(f32::EPSILON));
        }
    }
}

#[test]
fn levels_of_symmetric_trees_test_the_same() {
    let set = table(3_000, 4);
    let fitted = grown(&HessboostTrees::symmetric(), &set, 0);
    for tree in fitted.bag.iter().flat_map(|one| one.model.trees()) {
        let mut level = vec![0];
        let sealed = seal::tree(tree, &fitted.columns, 1.0);
        while !level.is_empty() {
            let mut tests = Vec::new();
            let mut next = Vec::new();
            for &at in &level {
                let key = match &sealed[at] {
                    TreeNode::Leaf { .. } => continue,
                    TreeNode::AtMost { feature, bound, missing_passes, child, .. } => {
                        next.extend([*child, child + 1]);
                        format!("{feature} {bound} {missing_passes}")
                    }
                    TreeNode::OneOf { feature, codes, missing_passes, child, .. } => {
                        next.extend([*child, child + 1]);
                        format!("{feature} {codes:?} {missing_passes}")
                    }
                };
                tests.push(key);
            }
            tests.dedup();
            assert!(tests.len() <= 1, "{tests:?}");
            level = next;
        }
    }
}

#[test]
fn a_bound_is_the_image_of_the_rounding() {
    let passes = |x: f64, threshold: f32| (x as f32).clamp(f32::MIN, f32::MAX) < threshold;
    let around = |middle: f64| [middle.next_down().next_down(), middle.next_down(), middle, middle.next_up()];
    let thresholds = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        1.5,
        16_777_216.0,
        16_777_217.5,
        1e-40,
        -1e-40,
        f32::MIN_POSITIVE,
        3.4e38,
        -3.4e38,
        f32::MAX,
        f32::MIN,
    ];
    for threshold in thresholds {
        let bound = bound(threshold);
        let neighbours = [threshold.next_down(), threshold.next_up()].map(f64::from);
        let middles = neighbours.map(|other| f64::midpoint(other, threshold.into()));
        let mut asked = vec![0.0, -0.0, f64::from(threshold), 1e300, -1e300, f64::MIN_POSITIVE];
        middles.iter().chain(&neighbours).for_each(|&middle| asked.extend(around(middle)));
        for x in asked.into_iter().filter(|x| x.is_finite()) {
            assert_eq!(x <= bound, passes(x, threshold), "{x:e} against {threshold:e}, bound {bound:e}");
        }
    }
}

proptest! {
    #[test]
    fn a_bound_holds_for_any_threshold(bits in any::<u32>(), x in any::<f64>(), steps in -3..3_i32) {
        let threshold = f32::from_bits(bits);
        prop_assume!(threshold.is_finite() && x.is_finite());
        let bound = bound(threshold);
        let passes = |x: f64| (x as f32).clamp(f32::MIN, f32::MAX) < threshold;
        prop_assert_eq!(x <= bound, passes(x));
        let mut near = if bound.is_finite() { bound } else { f64::from(threshold) };
        for _ in 0..steps.abs() {
            near = if steps < 0 { near.next_down() } else { near.next_up() };
        }
        prop_assert_eq!(near <= bound, passes(near));
    }
}

#[test]
fn a_constraint_is_kept_everywhere() {
    let set = table(2_000, 6);
    for learner in learners() {
        let monotone = Monotone::from([("x".to_owned(), Direction::Decreasing)]);
        let constrained = HessboostTrees { monotone, ..learner.clone() };
        let (free, held) = (grown(&learner, &set, 0), grown(&constrained, &set, 0));
        let rising = |fitted: &FittedTrees| {
            let rows: Vec<[f64; 4]> = (0..50).map(|k| [f64::from(k) / 12.5 - 2.0, 1.0, 3.0, 0.0]).collect();
            let views: Vec<&[f64]> = rows.iter().map(<[f64; 4]>::as_slice).collect();
            let margins = fitted.margins(&views).unwrap();
            margins.windows(2).any(|pair| pair[1] > pair[0])
        };
        // The outcome rises with x: unconstrained trees rise, constrained ones never do.
        assert!(rising(&free) && !rising(&held));
    }
    let named = |name: &str| {
        let monotone = Monotone::from([(name.to_owned(), Direction::Increasing)]);
        let learner = HessboostTrees { monotone, ..HessboostTrees::leaf_wise() };
        learner.fit(&sample(&set), Seed(1)).err()
    };
    assert_eq!(named("nobody"), Some(LearnError::Monotone("nobody".into())));
    assert_eq!(named("many"), Some(LearnError::Monotone("many".into())), "a category has no order");
}

#[test]
fn a_weight_counts_as_rows_do() {
    let plain = table(1_200, 7);
    let mut weighted = plain.clone();
    let weights: Vec<f64> = (0..1_200).map(|row| f64::from(row % 3)).collect();
    weighted.set_weights(weights).unwrap();
    for learner in learners() {
        let rows = sample(&plain).rows();
        let (one, other) = (grown(&learner, &plain, 1), grown(&learner, &weighted, 1));
        let mean = |fitted: &FittedTrees| -> f64 {
            let margins = fitted.margins(&rows).unwrap();
            let outcomes = sample(&plain).outcomes().to_vec();
            let loss = margins.iter().zip(&outcomes).zip(0..).map(|((margin, outcome), row): (_, usize)| {
                let signed = if *outcome { *margin } else { -margin };
                (row % 3) as f64 * (-signed).exp().ln_1p()
            });
            loss.sum::<f64>() / 1_200.0
        };
        // Fitted to the weights, the weighted loss on the fitted rows themselves is lower.
        assert!(mean(&other) < mean(&one), "{} {}", mean(&other), mean(&one));
    }
}

#[test]
fn trees_grown_beside_many_rows_are_kept() {
    let set = table(3_000, 9);
    for learner in learners() {
        let kept = HessboostTrees { keep_from: 3_000, ..learner.clone() };
        let fitted = search::fit(&kept, &sample(&set), Seed(1)).unwrap();
        assert!(
            fitted.bag[0].model.num_trees() > fitted.settled.n_rounds,
            "early stopping saw some trees too many"
        );
        let again = search::grow(&kept, &sample(&set), fitted.settled, Seed(1)).unwrap();
        let rows = sample(&set).rows();
        assert_ne!(
            fitted.margins(&rows).unwrap(),
            again.margins(&rows).unwrap(),
            "a tenth of the rows was held out"
        );
    }
}

#[test]
fn seed_decides_and_threads_do_not() {
    let set = table(1_500, 8);
    let margins = |learner: &HessboostTrees, seed: u64, n_threads: usize| -> Vec<f64> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| {
            learner.fit(&sample(&set), Seed(seed)).unwrap().margins(&sample(&set).rows()).unwrap()
        })
    };
    for learner in learners() {
        let once = margins(&learner, 1, 1);
        assert_eq!(once, margins(&learner, 1, 3));
        assert_ne!(once, margins(&learner, 2, 1));
    }
}

#[test]
fn ensembles_of_a_bag_differ_and_their_number_is_bounded() {
    let set = table(2_000, 10);
    for learner in learners() {
        let first = grown(&HessboostTrees { bag: 1, ..learner.clone() }, &set, 0);
        let bag = grown(&learner, &set, 0);
        let rows = sample(&set).rows();
        assert_ne!(first.margins(&rows).unwrap(), bag.margins(&rows).unwrap());
        let size = |n_rounds, n_rows| learner.bag_size(Settled { configuration: 0, n_rounds }, n_rows);
        assert_eq!([size(40, 2_000), size(400, 2_000), size(1_001, 2_000), size(40, 200_000)], [4, 2, 1, 1]);
        assert_eq!(size(0, 2_000), 4);
    }
}

#[test]
fn folds_agree_by_majority_and_median() {
    let settled = |pairs: &[(usize, usize)]| -> Vec<Settled> {
        pairs.iter().map(|&(configuration, n_rounds)| Settled { configuration, n_rounds }).collect()
    };
    let common =
        |pairs: &[(usize, usize)]| Settled::common(&settled(pairs)).map(|s| (s.configuration, s.n_rounds));
    assert_eq!(common(&[(0, 90), (1, 300), (0, 110), (1, 10), (0, 70)]), Some((0, 90)));
    assert_eq!(common(&[(1, 300), (0, 90)]), Some((0, 90)), "of equals the earlier");
    assert_eq!(common(&[]), None);
}
