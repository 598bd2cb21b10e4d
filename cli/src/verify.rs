//! `nextbest verify`: proof that an artifact is whole and scores as its learners did.
//!
//! Opening checks every byte and every structure; the golden rows that travel inside are then scored and compared.

use std::path::PathBuf;

use nextbest_models::artifact::GOLDEN_TOLERANCE;
use serde::Serialize;

use crate::exit::{Outcome, say};
use crate::inspect;

/// What `nextbest verify` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest verify examples/shop/artifacts/shop-2025-12-31-1a2b3c4d.nba")]
pub struct Args {
    /// The artifact.
    #[arg(value_name = "FILE.nba")]
    file: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// What was found in order.
#[derive(Serialize)]
struct Verified<'a> {
    sha256: &'a str,
    n_golden_rows: usize,
    largest_difference: f64,
    tolerance: f64,
}

/// Opens, computes the SHA-256, scores the golden rows, tells; fails where one differs.
pub fn run(args: &Args) -> Outcome {
    let artifact = inspect::open(&args.file)?;
    artifact.check_digest()?;
    let check = artifact.check_golden()?;
    let verified = Verified {
        sha256: artifact.sha256(),
        n_golden_rows: check.n_rows,
        largest_difference: check.largest_difference,
        tolerance: GOLDEN_TOLERANCE,
    };
    if args.json {
        say!("{}", serde_json::to_string_pretty(&verified)?);
    } else {
        let Verified { sha256, n_golden_rows, largest_difference, tolerance } = verified;
        say!(
            "sound: SHA-256 {sha256}\n{n_golden_rows} golden rows score as their learners did; the largest difference is \
             {largest_difference:.1e}, allowed are {tolerance:.0e}"
        );
    }
    Ok(())
}
