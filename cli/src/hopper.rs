//! `nextbest hopper`: chooses, holds and lists the contacts of the day, as the nightly function does.

use std::path::PathBuf;

use comfy_table::{Table, presets::NOTHING};
use nextbest_functions::app::App;
use nextbest_functions::hopper::{self, Built, CampaignReport, HopperError, Listed, Progress, list};
use nextbest_functions::keys::Keys;
use nextbest_functions::store::{Listing, Series, Store};
use nextbest_models::units::{Currency, Money, Timestamp};
use nextbest_training::seal;

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::import::grouped;
use crate::load::{clock, config};
use crate::output::FileFormat;
use crate::progress;
use crate::store::StoreArgs;

mod parquet;

/// Choose, hold and list the contacts of the day
///
/// Every customer is asked what the campaigns of policy.toml ([[hopper.campaign]]) may offer; the worthiest are taken under
/// capacities and budgets, each logged and held as a decision until it is claimed or its time is over.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 listed; 1 the work failed, the last list stays in use; 2 the call or policy.toml is wrong.\n\n\
Examples:\n  nextbest hopper --project examples/shop\n  nextbest hopper --project examples/shop --out today.parquet"
)]
pub struct Args {
    /// The project folder
    #[arg(long, default_value = "examples/shop", value_name = "DIR")]
    project: PathBuf,
    /// Run as of this moment. Default: the end of the event log for the embedded store, now for any other
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// Write the contacts, too
    #[arg(long, value_name = "FILE.csv|.parquet")]
    out: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print the report of the run as JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Runs and tells.
pub fn run(args: &Args) -> Outcome {
    let out = args.out.as_deref().map(|path| Ok::<_, Failure>((path, FileFormat::of(path)?))).transpose()?;
    let folder = Folder::open(&args.project)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (built, contacts) = runtime.block_on(fill(args, &folder))?;
    if let Some((path, format)) = out {
        let bytes = match format {
            FileFormat::Csv => list::csv(&contacts).into_bytes(),
            FileFormat::Parquet => parquet::bytes(&contacts)?,
        };
        seal::place(path, &bytes)?;
    }
    if args.json {
        say!("{}", serde_json::to_string_pretty(&built)?);
    } else {
        say!("{}", told(&built, folder.project.settings.currency));
        if let Some((path, _)) = out {
            say!("{} contacts in {}", grouped(contacts.len() as u64), path.display());
        }
    }
    Ok(())
}

async fn fill(args: &Args, folder: &Folder) -> Result<(Built, Vec<Listed>), Failure> {
    let clock = clock(args.as_of, &args.store, folder)?;
    let open = args.store.open(folder).await?;
    let app = App::open(&config(folder, &open.store, Keys::default()), open.store.clone(), clock)?;
    let bar = progress::spinner();
    let show = |progress: Progress| {
        bar.set_message(match progress {
            Progress::Asked(n) => format!("asking: {} customers", grouped(n as u64)),
            Progress::Held { n_held, n_chosen } => {
                format!("holding: {} of {} contacts", grouped(n_held as u64), grouped(n_chosen as u64))
            }
        });
        bar.tick();
    };
    let filled = hopper::run(&app, &show).await;
    bar.finish_and_clear();
    let built = filled.map_err(|error| match error {
        HopperError::NoCampaign => Failure::call(format!("in {}: {error}", folder.dir.display())),
        error => error.into(),
    })?;
    let contacts = read(&open.store, &built).await?;
    Ok((built, contacts))
}

async fn read(store: &Store, built: &Built) -> Result<Vec<Listed>, Failure> {
    let mut contacts = Vec::with_capacity(built.header.n_listed);
    let listing = Listing { series: Series::Hopper, snapshot_id: &built.snapshot_id, order: list::ORDER };
    for page in 0..built.n_pages {
        contacts.extend(store.snapshot_page(listing, page).await?.unwrap_or_default());
    }
    Ok(contacts)
}

fn told(built: &Built, currency: Currency) -> String {
    let header = &built.header;
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "campaign",
        "may be contacted",
        "places",
        "listed",
        "expected worth",
        "cost",
        "most others fell by",
    ]);
    for campaign in &header.campaigns {
        table.add_row(line(campaign, currency));
    }
    let (id, n_asked) = (&built.snapshot_id, grouped(header.n_asked as u64));
    let mut text = if header.n_listed == 0 {
        format!(
            "{table}\n\n{id}: nobody of {n_asked} customers is listed; places that are taken were listed or made before"
        )
    } else {
        format!(
            "{table}\n\n{id}: {} contacts of {n_asked} customers, worth {}: at least {:.1} % of the best such list\n\
             held until {}; claim them before sending (POST /v1/hopper/{id}/claims)",
            grouped(header.n_listed as u64),
            money(header.expected_worth, currency),
            // Rounded down: what is promised is kept.
            (1000.0 * header.proven_share).floor() / 10.0,
            header.held_until,
        )
    };
    if !header.degraded.is_empty() {
        text += &format!("\nshort: {}", header.degraded.join(", "));
    }
    text
}

fn line(report: &CampaignReport, currency: Currency) -> [String; 7] {
    let most = report.fell.first().map_or_else(String::new, |fell| {
        format!("{} ({})", fell.component, grouped(fell.n_customers as u64))
    });
    [
        report.campaign.id(),
        grouped(report.n_candidates as u64),
        grouped(report.n_places),
        grouped(report.n_listed as u64),
        money(report.expected_worth, currency),
        Money { amount_minor: report.cost_minor, currency }.to_string(),
        most,
    ]
}

#[expect(clippy::cast_possible_truncation, reason = "amounts stay far below 2^53")]
fn money(minor: f64, currency: Currency) -> String {
    Money { amount_minor: minor.round() as i64, currency }.to_string()
}
