//! `nextbest at-risk`: the first of the at-risk list, in the terminal or as a file.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use nextbest_functions::app::App;
use nextbest_functions::at_risk::exports::{self, ExportRequest, Exported};
use nextbest_functions::keys::Keys;
use nextbest_functions::snapshot::Order;
use nextbest_models::units::{Currency, Money};
use nextbest_training::seal;
use serde_json::json;

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::import::grouped;
use crate::load::{clock, config};
use crate::output::FileFormat;
use crate::store::StoreArgs;

mod parquet;

/// Rows of the table in the terminal.
const SHOWN: usize = 20;

/// The first of the at-risk list: who is worth saving, by what, and what it brings
///
/// Reads the newest snapshot, which `nextbest load` and the nightly function build. Customers in a control group and those
/// nothing may be offered to now are left out and counted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit codes: 0 listed; 1 there is no list, or the store failed; 2 the call is wrong.\n\nExamples:\n  nextbest \
at-risk --project examples/shop\n  nextbest at-risk --project examples/shop --customers 500 --out save.csv\n  nextbest at-risk \
--project examples/shop --sort churn_probability --out save.parquet"
)]
pub struct Args {
    /// The project folder
    #[arg(long, default_value = "examples/shop", value_name = "DIR")]
    project: PathBuf,
    /// How many customers at most
    #[arg(long, default_value_t = SHOWN, value_name = "N")]
    customers: usize,
    /// net_save_value, value_at_risk, churn_probability, lifetime_value or save_uplift; default: the first of these there is
    #[arg(long, value_name = "ORDER", value_parser = order)]
    sort: Option<Order>,
    /// Write them
    #[arg(long, value_name = "FILE.csv|.parquet")]
    out: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print them as JSON instead of a table
    #[arg(long)]
    json: bool,
}

fn order(name: &str) -> Result<Order, String> {
    let known = Order::ALL.map(Order::as_str).join(", ");
    Order::named(name).ok_or_else(|| format!("no order is named so; there are {known}"))
}

/// Reads and tells.
pub fn run(args: &Args) -> Outcome {
    let out = args.out.as_deref().map(|path| Ok::<_, Failure>((path, FileFormat::of(path)?))).transpose()?;
    if !(1..=exports::MAX_CUSTOMERS).contains(&args.customers) {
        let bound = exports::MAX_CUSTOMERS;
        return Err(Failure::call(format!("--customers {} lies outside 1 ..= {bound}", args.customers)));
    }
    let folder = Folder::open(&args.project)?;
    let found = tokio::runtime::Runtime::new()?.block_on(read(args, &folder))?;
    if let Some((path, format)) = out {
        let bytes = match format {
            FileFormat::Csv => exports::csv(&found.customers).into_bytes(),
            FileFormat::Parquet => parquet::bytes(&found.customers)?,
        };
        seal::place(path, &bytes)?;
    }
    if args.json {
        let customers: Vec<_> =
            found.customers.iter().map(|(rank, one)| json!({ "rank": rank, "customer": one })).collect();
        let told = json!({
            "customers": customers,
            "n_held_out": found.n_held_out,
            "n_not_contactable": found.n_not_contactable,
        });
        say!("{}", serde_json::to_string_pretty(&told)?);
    } else {
        say!("{}", told(&found, folder.project.settings.currency));
        if let Some((path, _)) = out {
            say!("{} customers in {}", grouped(found.customers.len() as u64), path.display());
        }
    }
    Ok(())
}

async fn read(args: &Args, folder: &Folder) -> Result<Exported, Failure> {
    let clock = clock(None, &args.store, folder)?;
    let open = args.store.open(folder).await?;
    let app = App::open(&config(folder, &open.store, Keys::default()), open.store.clone(), clock)?;
    let sort = args.sort.map(|order| order.as_str().to_owned());
    let found = exports::read_all(&app, &ExportRequest::first(args.customers, sort)).await;
    found.map_err(|problem| match (problem.code, problem.path) {
        ("no_snapshot", _) => anyhow::anyhow!("{}: run `nextbest load`", problem.detail).into(),
        (_, Some(path)) if problem.status.is_client_error() => {
            Failure::call(format!("--{path}: {}", problem.detail))
        }
        _ => anyhow::anyhow!(problem.detail).into(),
    })
}

fn told(found: &Exported, currency: Currency) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header([
        "rank",
        "customer",
        "stage",
        "churn",
        "will bring",
        "saved by",
        "worth",
        "by",
        "drivers",
    ]);
    for column in [0, 3, 4, 5, 6] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let money = |minor: Option<i64>| {
        minor.map_or("-".to_owned(), |amount_minor| Money { amount_minor, currency }.to_string())
    };
    for (rank, one) in found.customers.iter().take(SHOWN) {
        let by = one.recommended.as_ref();
        table.add_row([
            rank.to_string(),
            one.customer_id.as_str().to_owned(),
            one.lifecycle_stage.as_str().to_owned(),
            format!("{:.1} %", 100.0 * one.churn_probability),
            money(one.clv.map(|clv| clv.value_minor)),
            one.save_uplift.map_or("-".to_owned(), |uplift| format!("{:.1} %", 100.0 * uplift.value)),
            money(one.net_save_value_minor),
            by.map_or("-".to_owned(), |action| format!("{} by {}", action.action_id, action.channel)),
            one.drivers.join(", "),
        ]);
    }
    let (held_out, not_contactable) =
        (grouped(found.n_held_out as u64), grouped(found.n_not_contactable as u64));
    format!(
        "{table}\n\nleft out: {held_out} in control groups, {not_contactable} to whom nothing may be offered now"
    )
}
