//! What one row costs with a given artifact: beside the peers of benches/peers, which run it in turns with theirs.
//!
//! `row --bench ARTIFACT.nba ROWS.f64 WIDTH [scores]`: rows are 64-bit floats as they lie in memory. Prints lines
//! "name ns" (medians), or with `scores` the probability of every row.
#![expect(clippy::print_stdout, reason = "the figures are the product of a benchmark")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops where it cannot measure")]
#![expect(clippy::disallowed_methods, reason = "a benchmark looks at the clock")]

use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use nextbest_mapping::map;
use nextbest_models::artifact::Artifact;
use nextbest_models::propensity::{Rows, Scratch};

/// Rows timed together, so that the clock does not count.
const RUN: usize = 32;
const N_REPEATS: usize = 400;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [bench, artifact, rows, width, rest @ ..] = arguments.as_slice() else { return };
    assert_eq!(bench, "--bench");
    let open = || Artifact::from_bytes(map(Path::new(artifact)).unwrap(), None).unwrap();
    let width: usize = width.parse().unwrap();
    let rows = std::fs::read(rows).unwrap();
    let rows: Vec<f64> =
        rows.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect();
    let n_rows = rows.len() / width;
    let opened = open();
    let model = opened.propensities().next().unwrap();
    let at = |number: usize| &rows[number % n_rows * width..][..width];
    if !rest.is_empty() {
        (0..n_rows).for_each(|number| println!("{:?}", model.score(at(number)).get()));
        return;
    }
    println!("nextbest {}", median(RUN, |number| _ = black_box(model.score(at(number)))));
    let (mut contributions, mut scratch) = (vec![0.0; width], Scratch::default());
    let reasons = |number: usize| {
        black_box(model.score_with_contributions(at(number), &mut contributions, &mut scratch));
    };
    println!("nextbest_reasons {}", median(RUN, reasons));
    let mut margins = vec![0.0; n_rows];
    let batch = median(1, |_| model.scorer().margins(Rows::new(&rows, width), black_box(&mut margins)));
    println!("nextbest_batch {}", batch / n_rows as f64);
    println!("nextbest_open {}", median(1, |_| drop(black_box(open()))));
}

/// Nanoseconds of one call, median over repeats of runs of `run` calls.
fn median(run: usize, mut call: impl FnMut(usize)) -> f64 {
    let mut times: Vec<f64> = (0..N_REPEATS)
        .map(|repeat| {
            let begun = Instant::now();
            (0..run).for_each(|k| call(repeat * run + k));
            begun.elapsed().as_secs_f64() * 1e9 / run as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[N_REPEATS / 2]
}
