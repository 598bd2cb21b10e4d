//! Uplift of made trials whose truth is known, and of real ones whose effects are published.

use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::study::Study;
use super::trial::Trial;
use super::*;
use crate::dataset::{Column, Dataset};
use crate::table::{bond, by_hash};

mod coverage;
mod measures;
mod published;
mod truth;

/// How a made trial is drawn.
#[derive(Clone, Copy)]
struct Law {
    /// The effect is 0.1 plus this times the first feature.
    steep: f64,
    /// Log-odds of treatment per unit of the second feature, which raises the outcome; 0 is a coin.
    confounding: f64,
}

/// A trial with its truth.
struct Made {
    trial: Trial,
    effect: Vec<f64>,
}

/// `n` rows: two features in -1 to 1 and one of four names that says nothing; P(outcome | control) = 0.35 + 0.15
/// second. A tenth of the third feature is missing.
fn made(law: Law, n: usize, seed: u64) -> Made {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let columns = vec![Column::numeric("first"), Column::numeric("second"), Column::code("name")];
    let mut dataset = Dataset::new(columns, Vec::new()).unwrap();
    let (mut treated, mut outcomes, mut effect) = (Vec::new(), Vec::new(), Vec::new());
    let (mut probability, mut bonds) = (Vec::new(), Vec::new());
    for row in 0..n {
        let [first, second] = [0, 1].map(|_| 2.0 * rng.random::<f64>() - 1.0);
        let name = if rng.random::<f64>() < 0.1 { f64::NAN } else { f64::from(rng.random_range(0..4_u8)) };
        let share = 1.0 / (1.0 + (-law.confounding * second).exp());
        let is_treated = rng.random::<f64>() < share;
        let tau = 0.1 + law.steep * first;
        let p = 0.35 + 0.15 * second + if is_treated { tau } else { 0.0 };
        let key = row.to_string();
        bonds.push(bond(&key));
        dataset.push(CustomerId::new(key).unwrap(), Timestamp::MIN, &[first, second, name], &[]).unwrap();
        treated.push(is_treated);
        outcomes.push(rng.random::<f64>() < p);
        effect.push(tau);
        probability.push(share);
    }
    let fold_of_row = by_hash(&bonds, Seed(seed));
    let logged = (law.confounding != 0.0).then_some(probability);
    let trial = Trial { dataset, treated, outcomes, probability: logged, bonds, fold_of_row, n_folds: 5 };
    Made { trial, effect }
}

const COIN: Law = Law { steep: 0.2, confounding: 0.0 };
const SAME_FOR_ALL: Law = Law { steep: 0.0, confounding: 0.0 };
const CONFOUNDED: Law = Law { steep: 0.1, confounding: 1.5 };
