//! Formulas against customers drawn by the model's own story, and parameters found again.

use nextbest_models::value::{GammaGamma, PAlive, SpendSummary};

use super::*;

/// The end of the observation, and of what follows.
const END: f64 = 39.0;
const LATER: f64 = 78.0;

/// Customers of one x and nearly one t_x: the share of them still there, and their mean purchases in the next 39 weeks,
/// lie within four standard errors of what is told of each of them.
#[test]
fn p_alive_and_purchases_to_come_are_those_of_simulated_customers() {
    let (model, mut rng) = (cdnow(), rng(11));
    let mut cells = std::collections::BTreeMap::<(u32, u32), Vec<[f64; 4]>>::new();
    for _ in 0..400_000 {
        let (times, alive) = draw::times(&model, LATER, &mut rng);
        let x = times.partition_point(|time| *time <= END);
        let t_x = if x == 0 { 0.0 } else { times[x - 1] };
        let of = PurchaseSummary::new(x as f64, t_x, END).unwrap();
        // Whoever bought later was there; whoever did not is there if they never left.
        let there = times.len() > x || alive;
        let cell = ((x as u32).min(4), (t_x / 13.0) as u32);
        let (p, later) = (model.p_alive(&of).get(), (times.len() - x) as f64);
        let expected = model.expected_purchases(&of, LATER - END);
        cells.entry(cell).or_default().push([f64::from(u8::from(there)), p, later, expected]);
    }
    for (cell, rows) in cells.iter().filter(|(_, rows)| rows.len() > 500) {
        let n = rows.len() as f64;
        for (name, found, told) in [("alive", 0, 1), ("purchases", 2, 3)] {
            let apart: Vec<f64> = rows.iter().map(|row| row[found] - row[told]).collect();
            let mean = apart.iter().sum::<f64>() / n;
            let se = (apart.iter().map(|one| (one - mean).powi(2)).sum::<f64>() / n / n).sqrt();
            // 22 comparisons: one of a thousand such tests goes beyond four of them.
            assert!(mean.abs() <= 4.0 * se, "{cell:?} {name}: {mean} se {se} over {n}");
        }
    }
    assert!(cells.len() >= 10, "{:?}", cells.keys());
    let one = PurchaseSummary::new(0.0, 0.0, END).unwrap();
    assert_eq!(model.p_alive(&one), PAlive::NoRepeat);
}

/// Frequencies of 400,000 drawn customers: within four binomial standard errors of their probabilities.
#[test]
fn frequencies_are_those_of_simulated_customers() {
    let (model, mut rng, n) = (cdnow(), rng(12), 400_000);
    let mut counts = [0.0; 12];
    for _ in 0..n {
        let x = draw::times(&model, END, &mut rng).0.len();
        if let Some(count) = counts.get_mut(x) {
            *count += 1.0;
        }
    }
    for (x, p) in model.probabilities(END, 12).into_iter().enumerate() {
        let (found, se) = (counts[x] / f64::from(n), (p * (1.0 - p) / f64::from(n)).sqrt());
        assert!((found - p).abs() <= 4.0 * se, "{x}: {found} {p}");
    }
}

/// 20,000 customers: each parameter within four of its own standard errors, which are small beside it.
#[test]
fn parameters_are_found_again() {
    let truth = BgNbd::new(0.8, 6.0, 1.2, 3.0).unwrap();
    let drawn = cohort(&truth, 20_000, 13);
    let grouped = grouped::purchases(drawn.iter());
    let found = optimum::find(&grouped, grouped.n, [0.0, 1.0, 0.0, 0.0]).unwrap();
    for (interval, truth) in found.intervals().into_iter().zip(truth.parameters()) {
        assert!((interval.value - truth).abs() < 4.0 * interval.se, "{interval:?} {truth}");
        assert!(interval.se < 0.25 * truth, "{interval:?}");
    }
    // Any start climbs the same top: a gain below 1e-8 is within sqrt(2e-8) = 1.4e-4 standard errors.
    let other = optimum::find(&grouped, grouped.n, [1.5, 3.0, -1.5, 2.0]).unwrap();
    for ((one, other), se) in found.logs.iter().zip(other.logs).zip(found.standard_errors) {
        assert!((one - other).abs() < 1e-3 * se, "{one} {other}");
    }
    let (spend, mut rng) = (GammaGamma::new(6.25, 3.74, 15.44).unwrap(), rng(14));
    let spends: Vec<SpendSummary> =
        (0..5_000).filter_map(|at| draw::spend(&spend, f64::from(1 + at % 7), &mut rng)).collect();
    let grouped = grouped::spends(spends.iter());
    let found = optimum::find(&grouped, grouped.n, [1.0, 1.0, 3.0]).unwrap();
    for (interval, truth) in found.intervals().into_iter().zip(spend.parameters()) {
        assert!(
            (interval.value - truth).abs() < 4.0 * interval.se && interval.se < 0.25 * truth,
            "{interval:?}"
        );
    }
}

/// The same draws in the same order, whatever the threads; and bootstrap and Hessian agree on how sure a parameter is,
/// as far as 200 runs tell a standard deviation (5 %) and logarithms are normal.
#[test]
fn the_bootstrap_agrees_with_the_hessian() {
    let truth = BgNbd::new(0.8, 6.0, 1.2, 3.0).unwrap();
    let drawn = cohort(&truth, 3_000, 15);
    let ages: Vec<f64> = drawn.iter().map(PurchaseSummary::age).collect();
    let grouped = grouped::purchases(drawn.iter());
    let found = optimum::find(&grouped, grouped.n, [0.0, 1.0, 0.0, 0.0]).unwrap();
    let [r, alpha, a, b] = found.parameters();
    let model = BgNbd::new(r, alpha, a, b).unwrap();
    let told = bootstrap::run(&model, &ages, 200, Seed(3)).unwrap();
    assert_eq!(told, bootstrap::run(&model, &ages, 200, Seed(3)).unwrap());
    for ((name, told), found) in told.parameters.named().into_iter().zip(found.intervals()) {
        let ratio = (told.hi / told.lo).ln() / (found.hi / found.lo).ln();
        assert!((0.8..1.3).contains(&ratio), "{name}: {told:?} {found:?}");
        assert!(told.lo < found.value && found.value < told.hi);
    }
}
