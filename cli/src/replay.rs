//! `nextbest replay`: makes a logged decision again, from the log alone, and tells every difference.

use std::path::{Path, PathBuf};

use nextbest_functions::decisions::record::{Difference, Record};
use nextbest_models::artifact::Artifact;
use serde::Serialize;

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::store::StoreArgs;

/// What `nextbest replay` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest replay dec_01JD9Z3N8K --project examples/shop")]
pub struct Args {
    /// The decision, as answers and the log name it.
    decision_id: String,
    /// The project folder it was made by.
    #[arg(long, default_value = ".", value_name = "DIR")]
    project: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Replayed {
    decision_id: String,
    outcome: serde_json::Value,
    actions: Vec<String>,
    differences: Vec<Difference>,
}

/// Reads the log, scores, decides, compares; a difference is a failure of the work.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.project)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let record = runtime.block_on(read(args, &folder))?;
    let artifact =
        record.artifact_sha256.as_deref().map(|sha256| find(&folder.artifacts(), sha256)).transpose()?;
    let differences = record
        .replay(&folder.project, artifact.flatten().as_ref())
        .map_err(|why| anyhow::anyhow!("{} cannot be made again: {why}", record.decision_id))?;
    let replayed = Replayed {
        decision_id: record.decision_id.clone(),
        outcome: serde_json::to_value(record.decision.outcome)?,
        actions: record.decision.actions.iter().map(|action| action.action_id.to_string()).collect(),
        differences,
    };
    tell(args, &replayed)?;
    match replayed.differences.len() {
        0 => Ok(()),
        n => Err(anyhow::anyhow!("{n} values differ from the log").into()),
    }
}

async fn read(args: &Args, folder: &Folder) -> Result<Record, Failure> {
    let open = args.store.open(folder).await?;
    // Whatever the clock says: a decision that is still there can be replayed.
    let logged = open.store.decision(&args.decision_id, i64::MIN).await?;
    let unknown = || Failure::call(format!("there is no decision {:?} in {}", args.decision_id, open.place));
    Ok(serde_json::from_value(logged.ok_or_else(unknown)?.document)?)
}

/// The artifact of that hash; none where it is not there.
fn find(artifacts: &Path, sha256: &str) -> Result<Option<Artifact>, Failure> {
    if !artifacts.is_dir() {
        return Ok(None);
    }
    for entry in std::fs::read_dir(artifacts)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "nba") {
            continue;
        }
        match Artifact::from_bytes(std::fs::read(&path)?, None) {
            Ok(artifact) if artifact.sha256() == sha256 => return Ok(Some(artifact)),
            Ok(_) => {}
            // Its name ends with the first digits of its hash: it is there, and that it is broken is what is to be told.
            Err(error) if is_named(&path, sha256) => {
                return Err(anyhow::anyhow!("{}: {error}", path.display()).into());
            }
            Err(_) => {}
        }
    }
    Ok(None)
}

/// Whether an artifact's file name ends as that of one with this hash.
fn is_named(path: &Path, sha256: &str) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let digits = stem.and_then(|stem| stem.rsplit('-').next());
    digits.is_some_and(|digits| digits.len() >= 8 && sha256.starts_with(digits))
}

fn tell(args: &Args, replayed: &Replayed) -> Outcome {
    if args.json {
        say!("{}", serde_json::to_string_pretty(replayed)?);
        return Ok(());
    }
    if replayed.differences.is_empty() {
        let actions =
            if replayed.actions.is_empty() { "nothing".to_owned() } else { replayed.actions.join(", ") };
        say!(
            "{}: the same, bit for bit ({}: {actions})",
            replayed.decision_id,
            replayed.outcome.as_str().unwrap_or("")
        );
    }
    for Difference { path, logged, replayed } in &replayed.differences {
        say!("{path}\n  logged   {logged}\n  replayed {replayed}");
    }
    Ok(())
}
