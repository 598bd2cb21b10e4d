//! `nextbest`, the one command a person types: it runs every part of the system on one machine.
//!
//! A module per subcommand, each with its arguments and a `run`; what they share stands in [`exit`] and [`folder`].
//! Exit codes: 0 fine, 1 the work failed, 2 the call was wrong.

mod exit;
mod folder;
mod init;
mod check;
mod schema;
mod progress;
mod simulate;
mod import;
mod train;
mod output;
mod fit;
mod fit_demand;
mod fit_clv;
mod fit_uplift;
mod score;
mod import_model;
mod dataset;
mod inspect;
mod verify;
mod store;
mod embedded;
mod load;
mod serve;
mod hopper;
mod price;
mod replay;
mod erase;
mod report;
mod ask;
mod at_risk;
mod answer;
mod demo;

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
    /// The whole loop: data, import, train, load, serve, three answers, an outcome back in.
    Demo(demo::Args),
    /// A project folder to start from.
    Init(init::Args),
    /// Check a project folder; every fault with file and line.
    Check(check::Args),
    /// The JSON Schema of a project file, for editors.
    Schema(schema::Args),
    /// Simulate a shop: events as they would be logged, and the truth that made them.
    Simulate(simulate::Args),
    /// Import files into the event log: every row ends in one bucket of the report.
    Import(import::Args),
    /// Train on the event log: one sealed artifact and its report.
    Train(train::Args),
    /// Fit a model on any CSV(.gz) or Parquet table: one sealed artifact.
    Fit(Box<fit::Args>),
    /// Price elasticities of any table of prices and quantities, or of choices.
    FitDemand(Box<fit_demand::Args>),
    /// Lifetime values of any table of purchases: when customers buy again, and what that is worth.
    FitClv(Box<fit_clv::Args>),
    /// The difference a treatment makes, and for whom: one sealed artifact.
    FitUplift(Box<fit_uplift::Args>),
    /// Score any table by an artifact of `fit`, `fit-clv` or `fit-uplift`.
    Score(Box<score::Args>),
    /// Seal a model of LightGBM or XGBoost.
    ImportModel(import_model::Args),
    /// The training set as a table: features and labels at every cut-off.
    Dataset(dataset::Args),
    /// What an artifact says of itself.
    Inspect(inspect::Args),
    /// Check an artifact: every byte, every structure, every golden row.
    Verify(verify::Args),
    /// Replay the event log into the store and build the at-risk snapshot.
    Load(load::Args),
    /// Serve all functions on loopback.
    Serve(serve::Args),
    /// Choose, hold and list the contacts of the day.
    Hopper(hopper::Args),
    /// The first of the at-risk list: who is worth saving.
    AtRisk(at_risk::Args),
    /// What an item would cost whom, and why: ladder, curve, guardrails.
    Price(Box<price::Args>),
    /// Make a logged decision again, from the log alone, and tell every difference.
    Replay(replay::Args),
    /// Delete what is known of a customer, and hide what is kept of them for many.
    Erase(erase::Args),
    /// What the policy does to the customers of a project.
    Report(report::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Simulate(args) => simulate::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Fit(args) => fit::run(&args),
        Command::FitDemand(args) => fit_demand::run(&args),
        Command::FitClv(args) => fit_clv::run(&args),
        Command::FitUplift(args) => fit_uplift::run(&args),
        Command::Score(args) => score::run(&args),
        Command::ImportModel(args) => import_model::run(&args),
        Command::Dataset(args) => dataset::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Load(args) => load::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Hopper(args) => hopper::run(&args),
        Command::AtRisk(args) => at_risk::run(&args),
        Command::Price(args) => price::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Report(args) => report::run(&args),
    };
    exit::code(outcome)
}
