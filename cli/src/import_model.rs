//! `nextbest import-model`: a model trained elsewhere, sealed as ours.

use std::fs;
use std::path::PathBuf;

use nextbest_models::table::LabelValue;
use nextbest_training::foreign::{ImportOptions, import};
use nextbest_training::seal;

use crate::exit::{Failure, Outcome, say};
use crate::fit::label;
use crate::output;

/// Seal a model of LightGBM or XGBoost: scored by `nextbest score`, with exact reasons
///
/// Taken are models of one yes-or-no outcome: LightGBM's text of objective binary, XGBoost's JSON or UBJSON of
/// binary:logistic, with missing values and categories. What cannot be scored exactly is refused by name.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  nextbest import-model --from lightgbm.txt --out churn.nba\n  \
    nextbest import-model --from xgboost.ubj --features age,spend,plan --label churned=1 --out churn.nba")]
pub struct Args {
    /// The model file; its format is seen from its content
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The artifact to write
    #[arg(long, value_name = "FILE.nba")]
    out: PathBuf,
    /// The outcome it predicts
    #[arg(long, value_name = "COLUMN=VALUE", value_parser = label, default_value = "outcome=1")]
    label: LabelValue,
    /// The column that names a row of the tables it will score. Default: the row's number
    #[arg(long, value_name = "COLUMN")]
    key: Option<String>,
    /// Names of the features, in the model's order, instead of those in the file
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    features: Option<Vec<String>>,
    /// The model's name. Default: the label's column
    #[arg(long)]
    name: Option<String>,
    /// Print what was sealed as JSON
    #[arg(long)]
    json: bool,
}

/// Reads, seals, writes, tells. A file that cannot be taken over is a wrong call.
pub fn run(args: &Args) -> Outcome {
    output::check(&[("--out", &args.out)], &[&args.from])?;
    let place = args.from.display();
    let bytes = fs::read(&args.from).map_err(|error| Failure::call(format!("{place}: {error}")))?;
    let name = args.name.clone().unwrap_or_else(|| args.label.column.clone());
    let options = ImportOptions {
        name,
        label: args.label.clone(),
        key: args.key.clone(),
        features: args.features.clone(),
    };
    let artifact = import(&bytes, &options).map_err(|error| Failure::call(format!("{place}: {error}")))?;
    let golden = artifact.check_golden()?;
    seal::place(&args.out, artifact.as_bytes())?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&artifact.inspect())?);
        return Ok(());
    }
    for model in artifact.propensities() {
        let shape = model.summary();
        say!(
            "{}: {} trees of {} nodes over {} features, scored as the file's own reader does on {} rows (largest \
             difference {:.1e})",
            args.out.display(),
            shape.n_trees,
            shape.n_nodes,
            artifact.feature_names().len(),
            golden.n_rows,
            golden.largest_difference,
        );
        model.metadata().notes.iter().for_each(|note| say!("note: {note}"));
    }
    Ok(())
}
