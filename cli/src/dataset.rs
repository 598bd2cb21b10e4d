//! `nextbest dataset`: the training set of a project as a table, for a person to look at or for learners elsewhere.

use std::io::Write;
use std::path::PathBuf;

use nextbest_models::project::Project;
use nextbest_models::units::Timestamp;
use nextbest_training::cutoff::{Plan, Split};
use nextbest_training::dataset::Dataset;
use nextbest_training::event_log::EventLog;
use nextbest_training::seal::Placing;
use nextbest_training::train;

use crate::exit::{Outcome, say};
use crate::folder::Folder;
use crate::{output, progress};

/// The training set as a table: features and labels at every cut-off
///
/// One row per customer and cut-off: customer_id, cutoff, the features as known then (empty where missing), and for each
/// label its outcome (1, 0, or empty where it is not known or does not apply) and its part: fit, calibrate or test.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  nextbest dataset --project examples/shop --out shop.csv")]
pub struct Args {
    /// The project folder
    #[arg(long)]
    project: PathBuf,
    /// The CSV to write
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Use what was known before this instant. Default: all of the log
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
}

/// Replays, writes, tells.
pub fn run(args: &Args) -> Outcome {
    output::check(&[("--out", &args.out)], &[])?;
    let folder = Folder::open(&args.project)?;
    let log = EventLog::open(folder.events())?;
    let bar = progress::bar(u64::from(log.n_buckets()), "replaying buckets");
    let made = train::dataset(&folder.project, &log, args.as_of, &|| bar.inc(1));
    bar.finish_and_clear();
    let (dataset, plan) = made?;
    let mut file = Placing::new(&args.out)?;
    write(&mut file, &folder.project, &dataset, &plan)?;
    file.finish()?;
    say!(
        "{}: {} rows of {} features at {} cut-offs",
        args.out.display(),
        dataset.n_rows(),
        dataset.columns().len(),
        plan.cutoffs().len(),
    );
    Ok(())
}

fn write(file: impl Write, project: &Project, dataset: &Dataset, plan: &Plan) -> anyhow::Result<()> {
    let mut lines = csv::Writer::from_writer(file);
    let labels: Vec<_> = project.settings.labels.iter().collect();
    let mut header = vec!["customer_id".to_owned(), "cutoff".to_owned()];
    header.extend(dataset.columns().iter().map(|column| column.name.clone()));
    for (name, _) in &labels {
        header.extend([(*name).clone(), format!("{name}_part")]);
    }
    lines.write_record(&header)?;
    let outcomes = labels.iter().map(|(name, rule)| outcomes(dataset, name, plan.split(rule).as_ref()));
    let outcomes = outcomes.collect::<Result<Vec<_>, _>>()?;
    for row in 0..dataset.n_rows() {
        let mut cells =
            vec![dataset.customers()[row].as_str().to_owned(), dataset.cutoffs()[row].to_string()];
        cells.extend(dataset.row(row).iter().map(|x| if x.is_nan() { String::new() } else { x.to_string() }));
        for label in &outcomes {
            let (outcome, part) = label[row];
            cells.extend([outcome.to_owned(), part.to_owned()]);
        }
        lines.write_record(&cells)?;
    }
    Ok(lines.flush()?)
}

type Told = (&'static str, &'static str);

/// Outcome and part of every row for one label.
fn outcomes(dataset: &Dataset, name: &str, split: Option<&Split>) -> anyhow::Result<Vec<Told>> {
    let mut told = vec![("", ""); dataset.n_rows()];
    let labelled = dataset.labelled(name)?;
    for (&row, &outcome) in labelled.rows.iter().zip(&labelled.outcomes) {
        let cutoff = &dataset.cutoffs()[row];
        let part = match split {
            Some(split) if split.fit.contains(cutoff) => "fit",
            Some(split) if split.calibrate == *cutoff => "calibrate",
            Some(split) if split.test == *cutoff => "test",
            _ => "",
        };
        told[row] = (if outcome { "1" } else { "0" }, part);
    }
    Ok(told)
}
