//! `nextbest init`: a project folder to start from, the simulated shop's, with every line explained.

use std::fs;
use std::path::{Path, PathBuf};

use nextbest_models::project::FILES;

use crate::exit::{Failure, Outcome, say};

/// The files of `examples/shop`, part of this program: a copy works without the sources.
const TEMPLATE: [&str; FILES.len()] = [
    include_str!("../../examples/shop/nextbest.toml"),
    include_str!("../../examples/shop/features.toml"),
    include_str!("../../examples/shop/policy.toml"),
    include_str!("../../examples/shop/pricing.toml"),
];

/// What `nextbest init` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest init my-shop && nextbest check my-shop")]
pub struct Args {
    /// The folder to make; nothing in it is ever replaced.
    dir: PathBuf,
}

/// Writes the four files; one that is there already is a wrong call, and then none is written.
pub fn run(args: &Args) -> Outcome {
    let there: Vec<&str> = FILES.into_iter().filter(|file| args.dir.join(file).exists()).collect();
    if !there.is_empty() {
        let dir = args.dir.display();
        return Err(Failure::call(format!("{dir} already holds {}; name another folder", there.join(", "))));
    }
    write(&args.dir)?;
    say!(
        "{dir}: {}\n\nNext: describe your files as [[source]] in nextbest.toml (docs/import.md), then\n  \
         nextbest check {dir}\n  nextbest import --project {dir} FILE...\n  nextbest train --project {dir}\n  \
         nextbest serve --project {dir}\nor see it work on simulated customers first:\n  \
         nextbest demo --project {dir}",
        FILES.join(", "),
        dir = args.dir.display(),
    );
    Ok(())
}

fn write(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir)?;
    for (file, text) in FILES.iter().zip(TEMPLATE) {
        fs::write(dir.join(file), text)?;
    }
    Ok(())
}
