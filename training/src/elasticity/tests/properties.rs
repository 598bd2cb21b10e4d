//! What must not move an elasticity: the order of rows, the unit of a price, levels absorbed or written out.

use proptest::prelude::*;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// `q,p,store,week,temp`: sales of some stores in some weeks.
fn sales(seed: u64, n: usize, price_unit: f64) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut row = |at: usize| {
        let (store, week) = (at % 7, rng.random_range(0..6));
        let temp: f64 = rng.random_range(5.0..30.0);
        let price = f64::exp(0.2 * rng.random_range(-1.0..1.0) + 0.05 * store as f64 + 0.01 * temp);
        let noise: f64 = rng.random_range(-0.5..0.5);
        let log_units =
            4.0 - 2.0 * price.ln() + 0.3 * store as f64 - 0.1 * f64::from(week) + 0.05 * temp + noise;
        format!("{},{},s{store},{week},{temp}", log_units.exp(), price_unit * price)
    };
    (0..n).map(&mut row).collect()
}

fn told(rows: &[String], change: impl Fn(&mut ElasticityOptions)) -> ElasticityReport {
    let (_folder, path) = written("q,p,store,week,temp", rows);
    let mut options = options(path, "q", "p");
    change(&mut options);
    fit(&options).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn levels_absorbed_equal_levels_written_out(seed in 0..1000_u64) {
        let rows: Vec<String> = sales(seed, 200, 1.0).iter().map(|row| {
            // Weeks as names, so that they may be a control of names.
            let cells: Vec<&str> = row.split(',').collect();
            format!("{},{},{},w{},{}", cells[0], cells[1], cells[2], cells[3], cells[4])
        }).collect();
        let absorbed = told(&rows, |o| {
            o.fixed_effects = names(&["store", "week"]);
            o.controls = names(&["temp"]);
        });
        let written = told(&rows, |o| o.controls = names(&["store", "week", "temp"]));
        let (a, w) = (absorbed.pooled.elasticity.unwrap(), written.pooled.elasticity.unwrap());
        // Sweeps end at 1e-9 standard deviations; what they leave shrinks by a factor per sweep.
        prop_assert!((a.value - w.value).abs() < 1e-7 && (a.se - w.se).abs() < 1e-7, "{a:?} {w:?}");
    }

    #[test]
    fn the_unit_of_a_price_moves_nothing(seed in 0..1000_u64, unit in 0.001..1000.0_f64) {
        let with = |unit| told(&sales(seed, 150, unit), |o| o.controls = names(&["temp"])).pooled.elasticity.unwrap();
        let (one, other) = (with(1.0), with(unit));
        // Log prices near 7 are rounded by 1e-15, and the deviation they are told from is 0.1.
        prop_assert!((one.value - other.value).abs() < 1e-10 && (one.se - other.se).abs() < 1e-10);
    }
}

#[test]
fn the_order_of_rows_and_of_controls_moves_nothing() {
    let rows = sales(3, 300, 1.0);
    let mut shuffled = rows.clone();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(4));
    for method in [Method::Ols, Method::Dml] {
        let with = |rows: &[String], controls: &[&str]| {
            told(rows, |o| {
                o.by = names(&["store"]);
                o.controls = names(controls);
                o.method = method;
            })
        };
        let one = with(&rows, &["temp", "week"]);
        assert_eq!(one, with(&shuffled, &["temp", "week"]), "bit for bit");
        let other = with(&rows, &["week", "temp"]);
        let (a, b) = (one.pooled.elasticity.unwrap(), other.pooled.elasticity.unwrap());
        // Trees break ties by place; least squares adds in another order.
        let bound = if method == Method::Ols { 1e-10 } else { 0.5 * a.se };
        assert!((a.value - b.value).abs() < bound, "{a:?} {b:?}");
    }
}

#[test]
fn the_unit_of_a_price_moves_no_tree_either() {
    let with = |unit| {
        told(&sales(5, 400, unit), |o| {
            o.controls = names(&["temp", "week"]);
            o.method = Method::Dml;
        })
    };
    let (one, other) = (with(1.0).pooled.elasticity.unwrap(), with(100.0).pooled.elasticity.unwrap());
    // What trees are taught is rounded to 2^-24; 200 of them, at most 2e2 * 6e-8 of a deviation of log quantity over one
    // of log price, 0.5 / 0.1.
    assert!((one.value - other.value).abs() < 1e-4, "{one:?} {other:?}");
}
