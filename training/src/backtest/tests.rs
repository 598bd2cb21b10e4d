//! Counts by hand, a published interval, and probabilities that are right.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn listed(p: f64, value: f64, churned: bool) -> Listed {
    let band = if p >= 0.5 { "high" } else { "low" };
    Listed {
        churn_probability: p,
        band: band.to_owned(),
        value_minor: value,
        held_out: false,
        contacted: false,
        churned,
    }
}

#[test]
fn a_short_list_is_counted_as_by_hand() {
    let list = [listed(0.75, 100.0, true), listed(0.5, 40.0, false), listed(0.25, 20.0, true)];
    let judged = judge(&list).unwrap();
    let points = &judged.curve;
    assert_eq!(points.iter().map(|point| point.n_customers).collect::<Vec<_>>(), [1, 2, 3]);
    let last = points[2];
    assert_eq!((last.expected_churners, last.churners.value), (1.5, 2.0));
    assert!((last.chance - (0.1875_f64 + 0.25 + 0.1875).sqrt()).abs() < 1e-15);
    assert_eq!((last.expected_lost_minor, last.lost_minor.value, last.kept_minor), (100.0, 120.0, 40.0));
    assert_eq!(points[0].share_of_churners, Some(0.5));
    let bands: Vec<_> = judged.bands.iter().map(|band| (band.band.as_str(), band.expected)).collect();
    assert_eq!(bands, [("high", 0.625), ("low", 0.25)]);
    assert_eq!(judge(&[]), None);
}

/// The first example of Newcombe (1998, table II): 56 of 70 against 48 of 80 is 0.2, from 0.0524 to 0.3339.
#[test]
fn the_interval_of_a_difference_is_the_published_one() {
    let told = newcombe((56, 70), (48, 80));
    // Four digits are printed.
    for (found, printed) in [(told.value, 0.2), (told.lo, 0.0524), (told.hi, 0.3339)] {
        assert!((found - printed).abs() <= 5e-5, "{found} {printed}");
    }
}

/// With probabilities that are right, churners at the end of the list lie within 1.96 standard deviations of what is expected
/// in 95 of 100 lists: of 400 lists 380, with a standard deviation of sqrt(400 x 0.95 x 0.05) = 4.4; four of them.
#[test]
fn right_probabilities_are_seen_to_be_right() {
    let mut random = ChaCha8Rng::seed_from_u64(41);
    let mut n_within = 0;
    for _ in 0..400 {
        let list: Vec<Listed> = (0..500)
            .map(|_| {
                let p: f64 = random.random();
                listed(p, 1_000.0 * random.random::<f64>(), random.random::<f64>() < p)
            })
            .collect();
        let judged = judge(&list).unwrap();
        assert_eq!(judged.curve.len(), 100);
        let last = judged.curve[99];
        n_within += usize::from((last.churners.value - last.expected_churners).abs() <= WIDTH * last.chance);
        assert!(last.churners.lo <= last.churners.value && last.churners.value <= last.churners.hi);
    }
    assert!((n_within as f64 - 380.0).abs() <= 4.0 * 4.4, "{n_within}");
}

#[test]
fn a_difference_asks_for_contacts_and_for_a_group_that_was_held_out() {
    let arm = |n: usize, n_churned: usize, held_out: bool, contacted: bool| {
        (0..n).map(move |at| Listed { held_out, contacted, ..listed(0.5, 1.0, at < n_churned) })
    };
    let told = |list: &[Listed]| judge(list).unwrap().difference;
    let open: Vec<Listed> = arm(100, 20, false, true).collect();
    assert_eq!(told(&open).code, Some("no_control_group"));
    let both = |contacted: bool, control_contacted: bool| -> Vec<Listed> {
        arm(100, 20, false, contacted).chain(arm(50, 20, true, control_contacted)).collect()
    };
    assert_eq!(told(&both(false, false)).code, Some("no_contacts"));
    assert_eq!(told(&both(true, true)).code, Some("control_contacted"));
    let told = told(&both(true, false));
    assert_eq!((told.n_open, told.n_contacted, told.n_held_out, told.code), (100, 100, 50, None));
    assert!((told.estimate.unwrap().value + 0.2).abs() < 1e-12);
}
