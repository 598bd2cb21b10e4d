//! 95 % intervals cover the truth as often as they promise, over 500 tables drawn with a known elasticity.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::*;
use crate::elasticity::dml::{self, CrossFit};
use crate::elasticity::names::Names;
use crate::elasticity::ols::{Clusters, slope};
use crate::elasticity::panel::Panel;

const N_RUNS: usize = 500;
const TRUTH: f64 = -2.0;

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// The share of runs whose interval holds the truth. A true 95 % has a standard error of sqrt(.95 * .05 / 500) = .0097:
/// 93 to 97 % is two of them either way.
fn share(covered: usize) -> f64 {
    covered as f64 / N_RUNS as f64
}

#[test]
fn least_squares_with_clusters() {
    let covered = (0..N_RUNS as u64).filter(|&run| {
        let mut rng = ChaCha8Rng::seed_from_u64(1_000 + run);
        let mut panel = Panel::default();
        let mut stores = Vec::new();
        for store in 0..80 {
            let (price_level, shock) = (0.2 * normal(&mut rng), 0.3 * normal(&mut rng));
            for _ in 0..12 {
                let price = price_level + 0.1 * normal(&mut rng);
                panel.x.push(price);
                panel.y.push(3.0 + TRUTH * price + shock + 0.3 * normal(&mut rng));
                stores.push(store);
            }
        }
        panel.cluster = Some(Names { codes: stores, ..Names::default() });
        let design = design::net(&panel, None).unwrap();
        let found = slope(&design.x, &design.y, design.clusters.as_ref(), design.n_parameters).unwrap();
        let interval = found.interval();
        interval.lo <= TRUTH && TRUTH <= interval.hi
    });
    let share = share(covered.count());
    eprintln!("OLS, clustered: {share}");
    assert!((0.93..=0.97).contains(&share), "{share}");
}

/// Season and store size bend both price and demand: what least squares with straight lines cannot take out.
fn confounded(seed: u64, n: usize) -> (Panel, f64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut panel = Panel::default();
    let mut columns = [Vec::new(), Vec::new()];
    for _ in 0..n {
        let (season, size) = (rng.random_range(-1.0..1.0), rng.random_range(-1.0_f64..1.0));
        let bent = f64::sin(3.0 * season) + size * size;
        let price = 0.2 * bent + 0.2 * normal(&mut rng);
        panel.x.push(price);
        panel.y.push(3.0 + TRUTH * price + bent + 0.4 * normal(&mut rng));
        columns[0].push(season);
        columns[1].push(size);
    }
    panel.controls = columns.into_iter().map(Names::of_numbers).collect();
    let lines = design::net(&panel, None).unwrap();
    let lines = slope(&lines.x, &lines.y, None, lines.n_parameters).unwrap();
    (panel, lines.value)
}

fn dml_covers(seed: u64, n: usize, cross_fit: CrossFit) -> (bool, f64, f64) {
    let (panel, lines) = confounded(seed, n);
    let groups = vec![0; n];
    let straight = design::net(&panel, None).unwrap();
    let splits = dml::residuals(&panel, &straight, (&groups, 1), cross_fit, Seed(seed)).unwrap();
    let rows: Vec<usize> = (0..n).collect();
    let found = dml::median(&splits, &rows, None::<&Clusters>, 1).unwrap();
    let interval = found.interval();
    (interval.lo <= TRUTH && TRUTH <= interval.hi, found.value, lines)
}

/// One split in place of five: a run then takes a sixth of the time, and the median of splits only narrows what they do.
#[test]
fn double_machine_learning_under_confounding() {
    let cross_fit = CrossFit { n_splits: 1, ..CrossFit::default() };
    let runs: Vec<(bool, f64, f64)> =
        (0..N_RUNS as u64).map(|run| dml_covers(5_000 + run, 1_000, cross_fit)).collect();
    let mean = |of: fn(&(bool, f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / N_RUNS as f64;
    let (share, told, lines) =
        (share(runs.iter().filter(|run| run.0).count()), mean(|run| run.1), mean(|run| run.2));
    eprintln!("DML: {share}, mean {told:.3}; straight lines {lines:.3}");
    assert!((0.93..=0.97).contains(&share), "{share}");
    // What straight lines leave of the bias is 1.0; a tenth of it is the most that an interval of +- 0.12 forgives.
    assert!((told - TRUTH).abs() < 0.1 * (lines - TRUTH).abs(), "{told} {lines}");
}
