//! Lifetime models against published figures, against customers drawn from known parameters, and at their worst.

use std::path::{Path, PathBuf};

use nextbest_models::units::Seed;
use nextbest_models::value::{BgNbd, Horizon, PurchaseSummary, TimeUnit};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::*;

mod rivals;
mod coverage;
mod drawn;
mod expectation;
mod formulas;
mod moved;
mod published;
mod refusals;
mod shop;

/// Fader, Hardie and Lee (2005), table 2.
fn cdnow() -> BgNbd {
    BgNbd::new(0.243, 4.414, 0.793, 2.426).unwrap()
}

fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

/// `n` customers who began over the first 12 of 39 weeks.
fn cohort(model: &BgNbd, n: usize, seed: u64) -> Vec<PurchaseSummary> {
    let mut rng = rng(seed);
    (0..n).filter_map(|at| draw::customer(model, 27.0 + 12.0 * at as f64 / n as f64, &mut rng)).collect()
}

fn options(source: Source) -> LifetimeOptions {
    LifetimeOptions {
        name: "lifetime".to_owned(),
        source,
        unit: TimeUnit::Week,
        calibration_end: None,
        horizon: Horizon::new(52, 0.002, 0.3).unwrap(),
        bootstrap: 0,
        seed: Seed(1),
    }
}

fn summary(table: &Path) -> SummaryTable {
    SummaryTable {
        table: table.to_owned(),
        x: "x".to_owned(),
        t_x: "t_x".to_owned(),
        age: "T".to_owned(),
        value: None,
        covariates: Vec::new(),
    }
}

fn transactions(table: &Path) -> Transactions {
    Transactions {
        table: table.to_owned(),
        customer: "id".to_owned(),
        date: "date".to_owned(),
        value: Some("spent".to_owned()),
        observation_end: None,
    }
}

/// A file of these rows in a folder of its own.
fn file(csv: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    std::fs::write(&path, csv).unwrap();
    (dir, path)
}
