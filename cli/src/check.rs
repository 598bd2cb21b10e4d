//! `nextbest check`: whether a project folder is right.

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
    /// Print what was found as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks the folder; faults are a wrong call.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.dir)?;
    let project = &folder.project;
    if args.json {
        let answer = serde_json::json!({
            "name": project.settings.name,
            "features": project.schema.names(),
            "reasons": project.reasons.reasons().iter().map(Reason::code).collect::<Vec<_>>(),
            "schema_sha256": project.schema.fingerprint(),
            "actions": project.policy.actions().map(|action| &action.id).collect::<Vec<_>>(),
            "warnings": project.policy.warnings(),
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
        for warning in project.policy.warnings() {
            say!("warning: policy.toml: {warning}");
        }
    }
    Ok(())
}
