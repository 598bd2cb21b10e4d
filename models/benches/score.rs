//! What a score costs: one row and many, with and without reasons, in each layout, and opening the artifact.
//!
//! Rows differ from call to call. Run by `cargo bench -p nextbest-models --bench score`.
#![expect(clippy::print_stdout, reason = "the table is the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

mod ensemble;

use std::hint::black_box;
use std::time::{Duration, Instant};

use nextbest_models::artifact::Artifact;
use nextbest_models::digest::sha256_hex;
use nextbest_models::propensity::trees::Tree;
use nextbest_models::propensity::{Bytes, PropensityModel, Rows, Scratch};

use ensemble::{Draw, Shape, seal};

const N_TREES: usize = 500;
const N_ROWS: usize = 2_048;
const BATCH: usize = 256;
const RUN: usize = 32;
const MEASURED: Duration = Duration::from_millis(300);
const N_REPEATS: usize = 40;

struct Case {
    name: &'static str,
    n_features: usize,
    /// A symmetric tree of so many levels, or a leaf-wise one of so many leaves.
    shape: Shape,
}

const CASES: [Case; 6] = [
    Case { name: "symmetric, depth 6", n_features: 15, shape: Shape::Levels(6) },
    Case { name: "symmetric, depth 6", n_features: 40, shape: Shape::Levels(6) },
    Case { name: "leaf-wise, 16 leaves", n_features: 15, shape: Shape::Leaves(16) },
    Case { name: "leaf-wise, 31 leaves", n_features: 15, shape: Shape::Leaves(31) },
    Case { name: "leaf-wise, 63 leaves", n_features: 40, shape: Shape::Leaves(63) },
    Case { name: "leaf-wise, 255 leaves", n_features: 15, shape: Shape::Leaves(255) },
];

fn main() {
    // `cargo test --benches` only wants to know that this compiles.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    println!("{N_TREES} trees; p50 ns a row; open in us, and of it the SHA-256 of the file\n");
    println!("| trees | features | layout | kB | one row | batch | with reasons | open | digest |");
    println!("|---|---|---|---|---|---|---|---|---|");
    CASES.iter().for_each(measure);
}

fn measure(case: &Case) {
    let mut draw = Draw(0x5eed_0b57);
    let trees: Vec<Tree> = (0..N_TREES).map(|_| draw.tree(case.shape, case.n_features)).collect();
    let artifact = seal(&[("label", trees)], case.n_features);
    let model = artifact.propensity("label").unwrap();
    let numbers: Vec<f64> = (0..N_ROWS * case.n_features).map(|_| value(&mut draw)).collect();
    let rows = Rows::new(&numbers, case.n_features);
    let one = per_row(N_ROWS, RUN, |at| model.margin(rows.row(at)));
    let mut margins = vec![0.0; BATCH];
    let batches = per_row(N_ROWS / BATCH, 1, |batch| {
        model.scorer().margins(rows.from(batch * BATCH), &mut margins);
        margins[0]
    });
    let batch = batches / BATCH as f64;
    let reasons = reasons(model, rows, case.n_features);
    // As from a mapped file: opened in place.
    let bytes = Bytes::copy_from_slice(artifact.as_bytes());
    let open = best(|| Artifact::from_bytes(bytes.clone(), None).unwrap().metadata().models.len());
    let digest = best(|| sha256_hex(&bytes).len());
    println!(
        "| {} | {} | {} | {} | {one:.0} | {batch:.0} | {reasons:.0} | {:.0} | {:.0} |",
        case.name,
        case.n_features,
        model.summary().layouts[0],
        bytes.len() / 1000,
        open.as_secs_f64() * 1e6,
        digest.as_secs_f64() * 1e6,
    );
}

/// Nanoseconds of a score with its reasons.
fn reasons(model: &PropensityModel, rows: Rows<'_>, n_features: usize) -> f64 {
    let (mut contributions, mut scratch) = (vec![0.0; n_features], Scratch::default());
    per_row(N_ROWS, 8, |at| {
        let (probability, explained) =
            model.score_with_contributions(rows.row(at), &mut contributions, &mut scratch);
        probability.get() + explained.baseline + contributions[0]
    })
}

/// Nanoseconds of one of `n_rows` calls, each for another row: the median over runs of `run` calls, which is to be so
/// few that most runs are not interrupted.
fn per_row(n_rows: usize, run: usize, mut score: impl FnMut(usize) -> f64) -> f64 {
    let mut times = Vec::new();
    let deadline = Instant::now() + MEASURED;
    while Instant::now() < deadline {
        for first in (0..n_rows).step_by(run) {
            let start = Instant::now();
            black_box((first..n_rows.min(first + run)).map(&mut score).sum::<f64>());
            times.push(start.elapsed());
        }
    }
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e9 / run as f64
}

fn best<T>(mut run: impl FnMut() -> T) -> Duration {
    let time = |_: usize| {
        let start = Instant::now();
        black_box(run());
        start.elapsed()
    };
    (0..N_REPEATS).map(time).min().unwrap()
}

/// A number in 0 .. 1, one in twenty missing.
fn value(draw: &mut Draw) -> f64 {
    if draw.below(20) == 0 { f64::NAN } else { draw.below(1 << 30) as f64 / f64::from(1 << 30) }
}
