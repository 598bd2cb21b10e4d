//! `nextbest check`: whether a project folder is right, and whether its actions can reach anybody.

mod reach;

use std::path::PathBuf;

use nextbest_models::feature::reason::Reason;

use crate::exit::{Outcome, say};
use crate::folder::Folder;

/// What `nextbest check` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest check examples/shop")]
pub struct Args {
    /// The project folder.
    dir: PathBuf,
    /// Do not look whether every action reaches somebody.
    #[arg(long)]
    no_reach: bool,
    /// Look among this many customers, of the event log or simulated.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    customers: u64,
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks the folder; faults are a wrong call.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.dir)?;
    let project = &folder.project;
    let reach = if args.no_reach { None } else { reach::of(&folder, args.customers)? };
    let unreached = reach.iter().flat_map(reach::Reach::warnings);
    let warnings: Vec<String> = project.policy.warnings().iter().cloned().chain(unreached).collect();
    if args.json {
        let answer = serde_json::json!({
            "name": project.settings.name,
            "features": project.schema.names(),
            "reasons": project.reasons.reasons().iter().map(Reason::code).collect::<Vec<_>>(),
            "schema_sha256": project.schema.fingerprint(),
            "actions": project.policy.actions().map(|action| &action.id).collect::<Vec<_>>(),
            "warnings": warnings,
            "reach": reach,
            "labels": project.settings.labels.keys().collect::<Vec<_>>(),
            "sha256": project.sha256,
        });
        say!("{answer:#}");
    } else {
        say!(
            "{}: {} features, {} reasons, {} actions, {} labels; project {}",
            project.settings.name,
            project.schema.n_features(),
            project.reasons.reasons().len(),
            project.policy.actions().len(),
            project.settings.labels.len(),
            project.fingerprint().get(..12).unwrap_or_default(),
        );
        for warning in &warnings {
            say!("warning: policy.toml: {warning}");
        }
        if let Some(reach) = reach.filter(|reach| reach.warnings().next().is_none()) {
            say!("every action reaches somebody in {}", reach.sentence());
        }
    }
    Ok(())
}
