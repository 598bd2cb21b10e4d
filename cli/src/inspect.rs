//! `nextbest inspect`: what an artifact says of itself, once every byte of it has been checked.

use std::path::{Path, PathBuf};

use comfy_table::{Table, presets::NOTHING};
use nextbest_models::artifact::{Artifact, Inspection, ModelKind};
use nextbest_models::units::Timestamp;

use crate::exit::{Failure, Outcome, say};

/// What `nextbest inspect` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest inspect examples/shop/artifacts/shop-2025-12-31-1a2b3c4d.nba")]
pub struct Args {
    /// The artifact.
    #[arg(value_name = "FILE.nba")]
    file: PathBuf,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// Maps and opens an artifact file of any schema.
pub fn open(file: &Path) -> Result<Artifact, Failure> {
    let bytes =
        nextbest_mapping::map(file).map_err(|error| Failure::call(format!("{}: {error}", file.display())))?;
    Ok(Artifact::from_bytes(bytes, None).map_err(|error| anyhow::anyhow!("{}: {error}", file.display()))?)
}

/// Opens and tells.
pub fn run(args: &Args) -> Outcome {
    let artifact = open(&args.file)?;
    let inspection = artifact.inspect();
    if args.json {
        say!("{}", serde_json::to_string_pretty(&inspection)?);
    } else {
        say!("{}", told(&inspection).trim_fmt());
    }
    Ok(())
}

/// The inspection for a person.
fn told(inspection: &Inspection<'_>) -> Table {
    let metadata = inspection.metadata;
    let mut table = Table::new();
    table.load_style(NOTHING);
    let mut row = |name: &str, value: String| {
        table.add_row([name.to_owned(), value]);
    };
    row("name", metadata.name.clone());
    row("sha256", inspection.sha256.to_owned());
    row("size", format!("{} bytes", inspection.n_bytes));
    let undated = metadata.table.as_ref().is_some_and(|table| table.time_column.is_none())
        || metadata.trained_through == Timestamp::MIN;
    let unknown = "unknown: the table has no time column".to_owned();
    row("trained through", if undated { unknown } else { metadata.trained_through.to_string() });
    row("code version", metadata.code_version.clone());
    row("seed", metadata.seed.0.to_string());
    row("feature schema", metadata.schema_fingerprint.clone());
    row("features", format!("{}: {}", metadata.feature_names.len(), metadata.feature_names.join(", ")));
    metadata.sources.iter().for_each(|(name, sha256)| row(name, sha256.clone()));
    for model in &metadata.models {
        row("", String::new());
        row("model", format!("{} ({})", model.name, model.learner));
        if let Some(shape) = inspection.scorers.iter().find(|shape| shape.model == model.name) {
            let scorer = &shape.scorer;
            let size = match scorer.n_trees {
                0 => format!("{} columns", scorer.n_columns),
                n_trees => format!("{n_trees} trees, {} nodes", scorer.n_nodes),
            };
            let (golden, calibration) = (shape.n_golden_rows, scorer.calibration);
            row(
                "  scorer",
                format!("{}, {size}; calibration {calibration}; {golden} golden rows", scorer.scorer),
            );
        } else if let (ModelKind::LifetimeValue, Some(lifetime)) = (model.kind, inspection.lifetime) {
            let horizon = lifetime.horizon();
            let (unit, n) = (lifetime.unit().name(), horizon.n_units());
            let (discount, margin) = (horizon.discount_rate(), horizon.margin());
            row("  horizon", format!("{n} {unit}s, discounted by {discount} a {unit}, margin {margin}"));
        } else if let Some(n_skus) = inspection.n_skus {
            row("  curves", format!("{n_skus} SKUs"));
        }
        model.counts.iter().for_each(|(name, count)| row(&format!("  {name}"), count.to_string()));
        model.metrics.iter().for_each(|(name, value)| row(&format!("  {name}"), format!("{value:.4}")));
        model.notes.iter().for_each(|note| row("  note", note.clone()));
    }
    table
}
