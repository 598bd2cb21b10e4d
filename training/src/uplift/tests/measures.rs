//! Curve, areas, tenths and line by hand.

use super::super::curve::Ranking;
use super::super::line;

/// Four rows of one fold in the order of their predictions, gains 1, 0, 1, -1.
#[test]
fn areas_are_those_by_hand() {
    let ranking = Ranking::of(&[0.4, 0.3, 0.2, 0.1], &[1.0, 0.0, 1.0, -1.0], &[0; 4]);
    // Ranks before: 1/8, 3/8, 5/8, 7/8. AUUC (7/8 + 3/8 - 1/8) / 4, Qini less half the mean of 1/4.
    assert!((ranking.auuc.value - 9.0 / 32.0).abs() < 1e-12);
    assert!((ranking.qini.value - (9.0 / 32.0 - 0.125)).abs() < 1e-12);
    let gained = |at: usize| ranking.curve[at].gained.value;
    // Half of the rows: (1 + 0) / 4; a tenth: 0.4 of the first row.
    assert!(
        (gained(9) - 0.25).abs() < 1e-12
            && (gained(1) - 0.1).abs() < 1e-12
            && (gained(19) - 0.25).abs() < 1e-12
    );
    assert!((ranking.top[0].uplift.value - 1.0).abs() < 1e-12);
}

#[test]
fn equal_predictions_are_no_order() {
    let pseudo = [3.0, -1.0, 2.0, 0.0, 1.0, 5.0];
    // Equal within each fold, though not between them.
    let ranking = Ranking::of(&[0.1, 0.1, 0.1, 0.2, 0.2, 0.2], &pseudo, &[0, 0, 0, 1, 1, 1]);
    assert!(ranking.qini.value.abs() < 1e-12);
    let all = pseudo.iter().sum::<f64>() / 6.0;
    for point in &ranking.curve {
        assert!((point.gained.value - point.share * all).abs() < 1e-12, "{point:?}");
    }
    // All lie in the middle.
    assert_eq!(ranking.deciles.iter().map(|one| (one.decile, one.n)).collect::<Vec<_>>(), [(6, 6)]);
}

#[test]
fn a_line_is_least_squares_and_never_falls() {
    let raw = [0.0, 1.0, 2.0, 3.0];
    let line = line::fit(&raw, &[0.1, 0.2, 0.4, 0.3]);
    // Slope sum (x - 1.5) y / 5 = (-.15 - .1 + .2 + .45) / 5.
    assert!((line.slope - 0.08).abs() < 1e-12 && (line.effect - 0.25).abs() < 1e-12 && line.center == 1.5);
    // Errors about it: -.03, -.01, .11, -.07; sandwich by hand.
    let squares = [9e-4, 1e-4, 121e-4, 49e-4];
    assert!((line.effect_variance - squares.iter().sum::<f64>() / 16.0).abs() < 1e-12);
    let slope = [2.25, 0.25, 0.25, 2.25].iter().zip(squares).map(|(x2, e2)| x2 * e2).sum::<f64>() / 25.0;
    assert!((line.slope_variance - slope).abs() < 1e-12);
    let falling = line::fit(&raw, &[0.4, 0.3, 0.2, 0.1]);
    assert_eq!(falling.slope, 0.0);
    assert_eq!(falling.apply(0.0).value, falling.apply(3.0).value);
    let equal = line::fit(&[0.5; 4], &[0.4, 0.3, 0.2, 0.1]);
    assert!((equal.apply(9.0).value - 0.25).abs() < 1e-12 && equal.slope_variance == 0.0);
}

/// Groups that miss the line beyond chance widen the interval: gains of 1 and 0 by turns along the score, without
/// noise.
#[test]
fn what_the_line_misses_widens_the_interval() {
    let raw: Vec<f64> = (0..1_000).map(f64::from).collect();
    let bent: Vec<f64> =
        raw.iter().map(|s| if ((s / 100.0) as usize).is_multiple_of(2) { 1.0 } else { 0.0 }).collect();
    // Every tenth misses its mean of .5 by half, but for what the line takes.
    let misfit = line::fit(&raw, &bent).misfit;
    assert!((0.2..=0.25).contains(&misfit), "{misfit}");
    let straight: Vec<f64> = raw.iter().map(|s| 1e-3 * s).collect();
    assert!(line::fit(&raw, &straight).misfit < 1e-9);
}
