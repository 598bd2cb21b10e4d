//! Constraints and weights of the linear model.

use super::*;
use crate::dataset::{Column, Dataset};
use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// `bent` lifts the log-odds up to 5 and lowers them beyond; `other` lifts them throughout; `code` is a category.
fn table(n: usize, seed: u64) -> Dataset {
    let columns = vec![Column::numeric("bent"), Column::numeric("other"), Column::code("code")];
    let mut set = Dataset::new(columns, vec!["y".into()]).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for row in 0..n {
        let features = [rng.random_range(0.0..20.0), rng.random_range(-2.0..2.0), f64::from(row as u32 % 3)];
        let log_odds = 1.5 * features[0].min(5.0) - 0.6 * features[0] + features[1];
        let outcome = rng.random_bool(1.0 / (1.0 + (-log_odds).exp()));
        let id = CustomerId::new(format!("c{row}")).unwrap();
        set.push(id, Timestamp::from_millis(0).unwrap(), &features, &[Some(outcome)]).unwrap();
    }
    set
}

fn fitted(set: &Dataset, name: &str, direction: Direction) -> Result<Box<dyn Fitted>, LearnError> {
    let sample = Sample::checked(set, set.labelled("y").unwrap(), "fit", "y").unwrap();
    let monotone = Monotone::from([(name.to_owned(), direction)]);
    LinfaLogistic { monotone, ..LinfaLogistic::default() }.fit(&sample, Seed(1))
}

/// The margins as `bent` goes from far below to far above what was fitted.
fn along(model: &dyn Fitted) -> Vec<f64> {
    let rows: Vec<[f64; 3]> = (-200..400).map(|k| [f64::from(k), 0.5, 1.0]).collect();
    model.margins(&rows.iter().map(<[f64; 3]>::as_slice).collect::<Vec<_>>()).unwrap()
}

#[test]
fn a_constraint_is_kept_everywhere_and_what_it_cost_is_named() {
    let set = table(4_000, 1);
    let rises = |model: &dyn Fitted| along(model).windows(2).any(|pair| pair[1] > pair[0]);
    let falls = |model: &dyn Fitted| along(model).windows(2).any(|pair| pair[1] < pair[0]);
    let free = fitted(&set, "other", Direction::Increasing).unwrap();
    assert!(rises(free.as_ref()) && falls(free.as_ref()), "unconstrained, it bends");
    for (direction, moves) in
        [(Direction::Increasing, &falls as &dyn Fn(&dyn Fitted) -> bool), (Direction::Decreasing, &rises)]
    {
        let held = fitted(&set, "bent", direction).unwrap();
        assert!(!moves(held.as_ref()), "{direction:?}");
        assert!(held.notes().iter().any(|note| note.contains("bent") && note.contains("constraint")));
    }
    let refused = |name: &str| fitted(&set, name, Direction::Increasing).err();
    assert_eq!(refused("code"), Some(LearnError::Monotone("code".into())));
    assert_eq!(refused("nobody"), Some(LearnError::Monotone("nobody".into())));
}

#[test]
fn weights_change_the_fit_and_seal_as_it_predicts() {
    let mut set = table(2_000, 2);
    let plain = fitted(&set, "other", Direction::Increasing).unwrap();
    set.set_weights(vec![1.0; 2_000]).unwrap();
    let ones = fitted(&set, "other", Direction::Increasing).unwrap();
    // linfa ends where its gradient per row is below 1e-6, Newton's method far closer: with a curvature per row and
    // direction of the standardised columns of at least 1e-3 coefficients differ by 1e-3, over five columns within 8.
    let differences = along(plain.as_ref()).into_iter().zip(along(ones.as_ref())).map(|(a, b)| (a - b).abs());
    assert!(differences.fold(0.0, f64::max) < 5.0 * 8.0 * 1e-3);
    let outcomes = set.labelled("y").unwrap().outcomes;
    set.set_weights(outcomes.iter().map(|&y| if y { 9.0 } else { 1.0 }).collect()).unwrap();
    let heavy = fitted(&set, "other", Direction::Increasing).unwrap();
    // Nine times the odds: the log-odds rise by about ln 9.
    let lift = along(heavy.as_ref())[210] - along(ones.as_ref())[210];
    assert!((lift - 9.0_f64.ln()).abs() < 0.5, "{lift}");
    assert!(heavy.notes().iter().any(|note| note.contains("Newton")));
}
