//! 95 % intervals cover the truth as often as they promise.
//!
//! A true 95 % over `n` runs has a standard error of sqrt(.95 .05 / n); what is asked is within two of them, three
//! where several shares are looked at, or estimated probabilities come in and asymptotics with them. With `--nocapture`
//! the shares are printed.

use rand_distr::{Distribution, StandardNormal};

use super::super::curve::Ranking;
use super::super::effect::{self, Arm};
use super::super::line;
use super::*;
use crate::elasticity::Interval;

fn holds(interval: Interval, truth: f64) -> bool {
    interval.lo <= truth && truth <= interval.hi
}

fn near_95(covered: usize, n_runs: usize, n_errors: f64, what: &str) {
    let share = covered as f64 / n_runs as f64;
    let error = (0.95 * 0.05 / n_runs as f64).sqrt();
    println!("{what}: {:.1} % of {n_runs} intervals hold the truth", 100.0 * share);
    assert!((share - 0.95).abs() <= n_errors * error, "{what}: {share} of {n_runs}");
}

/// Difference of means and adjusted effect of a trial.
fn effects(trial: &Trial, design: Design) -> [Interval; 2] {
    let arm = |treated| {
        let rows = trial.arm(&(0..trial.len()).collect::<Vec<_>>(), treated);
        let n_positive = rows.iter().filter(|&&row| trial.outcomes[row]).count();
        Arm::of(rows.len() as u64, n_positive as u64)
    };
    let study = Study::of(trial, design, &[], Seed(1)).unwrap();
    [effect::difference(&arm(true), &arm(false)), effect::mean(&study.pseudo)]
}

/// The average over the law is 0.1.
#[test]
fn average_effects_of_a_coin() {
    const N: usize = 300;
    let mut covered = [0; 2];
    for run in 0..N as u64 {
        let found = effects(&made(COIN, 800, 10_000 + run).trial, Design::Randomised);
        covered.iter_mut().zip(found).for_each(|(n, one)| *n += usize::from(holds(one, 0.1)));
    }
    near_95(covered[0], N, 2.0, "difference of means");
    near_95(covered[1], N, 2.0, "adjusted");
}

/// Treated are those who would have had the outcome anyway: the difference of means says so, logged probabilities take
/// it away, estimated ones within their error.
#[test]
fn average_effects_of_a_rule() {
    const N: usize = 200;
    let (mut naive, mut logged, mut estimated) = (0, 0, 0);
    for run in 0..N as u64 {
        let mut trial = made(CONFOUNDED, 1_200, 20_000 + run).trial;
        let [difference, adjusted] = effects(&trial, Design::Auto);
        naive += usize::from(holds(difference, 0.1));
        logged += usize::from(holds(adjusted, 0.1));
        trial.probability = None;
        estimated += usize::from(holds(effects(&trial, Design::Observed)[1], 0.1));
    }
    // E[x | treated] - E[x | control] is about .45, times .15 is a bias of .067 at a standard error of .028.
    assert!(naive < N / 2, "{naive}");
    near_95(logged, N, 2.0, "logged");
    near_95(estimated, N, 3.0, "estimated");
}

/// Scores uniform on 0 to 1 with effect 0.1 + 0.2 s and noise of deviation 1: by hand the Qini coefficient is 0.2 / 12,
/// the area 0.05 + 0.2 / 3, the top 30 % gain 0.081 per row.
#[test]
fn areas_and_points_of_the_curve() {
    const N: usize = 1_000;
    let mut covered = [0; 3];
    for run in 0..N as u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(30_000 + run);
        let mut noise = || -> f64 { StandardNormal.sample(&mut rng) };
        let scores: Vec<f64> = (0..600).map(|_| effect_of_normal(noise())).collect();
        let pseudo: Vec<f64> = scores.iter().map(|s| 0.1 + 0.2 * s + noise()).collect();
        let folds: Vec<u32> = (0..600).map(|row| row % 5).collect();
        let ranking = Ranking::of(&scores, &pseudo, &folds);
        let found = [ranking.qini, ranking.auuc, ranking.curve[5].gained];
        let truth = [0.2 / 12.0, 0.05 + 0.2 / 3.0, 0.081];
        for ((n, one), truth) in covered.iter_mut().zip(found).zip(truth) {
            *n += usize::from(holds(one, truth));
        }
    }
    for (n, what) in covered.into_iter().zip(["qini", "auuc", "top 30 %"]) {
        near_95(n, N, 3.0, what);
    }
}

/// Uniform on 0 to 1.
fn effect_of_normal(z: f64) -> f64 {
    crate::demand::estimate::normal_cdf(z)
}

/// A row's interval covers the mean effect among rows scored like it, over 40 trials and fresh rows in twenty groups by
/// score. All groups of a trial err together, so the share of a true 95 % has a standard error of up to
/// sqrt(.95 .05 / 40) = .034; one and a half of them below are allowed, as scores out of fold spread less than those of
/// the final model.
#[test]
fn intervals_of_uplift() {
    const N: u64 = 40;
    let fresh = made(COIN, 4_000, 77);
    let rows: Vec<&[f64]> = (0..4_000).map(|row| fresh.trial.dataset.row(row)).collect();
    let mut covered = 0.0;
    for run in 0..N {
        let trial = made(COIN, 2_000, 40_000 + run).trial;
        let study = Study::of(&trial, Design::Randomised, &[Method::Dr], Seed(run)).unwrap();
        let line = line::fit(&study.raw[0].1, &study.pseudo);
        let raw = study.effect(&trial, Method::Dr).unwrap().of(&rows).unwrap();
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| raw[a].total_cmp(&raw[b]));
        for group in order.chunks(200) {
            let truth = group.iter().map(|&row| fresh.effect[row]).sum::<f64>() / 200.0;
            let held = group.iter().filter(|&&row| {
                let told = line.apply(raw[row]);
                told.lo <= truth && truth <= told.hi
            });
            covered += held.count() as f64 / rows.len() as f64 / N as f64;
        }
    }
    println!("uplift: {:.1} % of rows' intervals hold the truth", 100.0 * covered);
    assert!(covered >= 0.95 - 1.5 * 0.034, "{covered}");
}
