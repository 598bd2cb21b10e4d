//! `nextbest schema`: the JSON Schema of a project file, for editors that complete and underline.

use nextbest_models::project::{FILES, json_schema};

use crate::exit::{Failure, Outcome, say};

/// What `nextbest schema` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest schema pricing.toml > pricing.schema.json\n\nA first line \
                        \"#:schema ./pricing.schema.json\" in pricing.toml makes editors with TOML support use it. What \
                        spans several fields or files is what `nextbest check` looks at.")]
pub struct Args {
    /// nextbest.toml, features.toml, policy.toml or pricing.toml.
    file: String,
}

/// Prints the schema; another name is a wrong call.
pub fn run(args: &Args) -> Outcome {
    let schema = json_schema(&args.file).ok_or_else(|| {
        Failure::call(format!("{:?} is no file of a project; they are {}", args.file, FILES.join(", ")))
    })?;
    say!("{:#}", schema.as_value());
    Ok(())
}
