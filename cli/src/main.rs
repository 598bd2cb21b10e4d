//! `nextbest`, the one command a person types: it runs every part of the system on one machine.
//!
//! A module per subcommand, each with its arguments and a `run`; what they share stands in [`exit`] and [`folder`].
//! Exit codes: 0 fine, 1 the work failed, 2 the call was wrong.

mod exit;
mod folder;
mod check;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Serverless propensity scoring, next best action and dynamic pricing.
///
/// Start with `nextbest demo`: it simulates a shop, trains, loads an embedded DynamoDB, serves on loopback and asks
/// for a price, a next best action and an at-risk list.
#[derive(Parser)]
#[command(name = "nextbest", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a project folder; every fault with file and line.
    Check(check::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Check(args) => check::run(&args),
    };
    exit::code(outcome)
}
