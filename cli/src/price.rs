//! `nextbest price`: what an item would cost whom, and why. A what-if: nothing is written.

use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets::NOTHING};
use nextbest_functions::app::App;
use nextbest_functions::keys::Keys;
use nextbest_functions::prices::{self, Request};
use nextbest_models::units::{Currency, Money, Timestamp};
use serde_json::{Value, json};

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::load::{clock, config};
use crate::store::StoreArgs;

/// Widest bar of a rung, in characters.
const WIDEST: f64 = 24.0;

/// What `nextbest price` takes.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  nextbest price --project examples/shop --sku MUGS-03 --customer C0000017 --explain"
)]
pub struct Args {
    /// The project folder.
    #[arg(long, default_value = "examples/shop", value_name = "DIR")]
    project: PathBuf,
    /// Stock-keeping unit.
    #[arg(long)]
    sku: String,
    /// Whom it is for; without, nobody in particular.
    #[arg(long)]
    customer: Option<String>,
    /// The market, one of pricing.toml.
    #[arg(long)]
    market: Option<String>,
    /// web, app, ...
    #[arg(long)]
    channel: Option<String>,
    /// List price instead of that of pricing.toml, in minor units.
    #[arg(long, value_name = "MINOR")]
    list_price: Option<i64>,
    /// Cost of one unit instead of that of pricing.toml, in minor units.
    #[arg(long, value_name = "MINOR")]
    cost: Option<i64>,
    /// Units there are.
    #[arg(long, value_name = "UNITS")]
    stock: Option<i64>,
    /// What a competitor asks, in minor units.
    #[arg(long, value_name = "MINOR")]
    competitor_price: Option<i64>,
    /// A discount that was announced.
    #[arg(long, value_name = "PERCENT")]
    announced: Option<i64>,
    /// Ask as of this moment; default: the end of the project's event log.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// Show the ladder with its curve, and what moved the price.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    store: StoreArgs,
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
}

/// Asks, and tells.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.project)?;
    let runtime = tokio::runtime::Runtime::new()?;
    let quote = runtime.block_on(ask(args, &folder))?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&quote)?);
        return Ok(());
    }
    let currency = folder.project.settings.currency;
    let item = &quote["items"][0];
    say!("{}", headline(args, &quote, item, currency));
    if args.explain {
        say!("\n{}\n\n{}", ladder(item, currency), why(&quote, item, currency));
    }
    Ok(())
}

async fn ask(args: &Args, folder: &Folder) -> Result<Value, Failure> {
    let open = args.store.open(folder).await?;
    let clock = clock(args.as_of, &args.store, folder)?;
    let app = App::open(&config(folder, &open.store, Keys::default()), open.store.clone(), clock)?;
    let body = json!({
        "customer_id": args.customer, "currency": folder.project.settings.currency, "market": args.market,
        "channel": args.channel,
        "items": [{
            "sku": args.sku, "list_price_minor": args.list_price, "unit_cost_minor": args.cost, "stock": args.stock,
            "competitor_price_minor": args.competitor_price, "announced_percent": args.announced,
        }],
    });
    let request: Request = serde_json::from_value(body).map_err(Failure::call)?;
    let answered = prices::what_if(&app, request).await;
    answered.map_err(|problem| match &problem.path {
        Some(path) if problem.status.is_client_error() => {
            Failure::call(format!("{}: {}", path.trim_start_matches("items[0]."), problem.detail))
        }
        None if problem.status.is_client_error() => Failure::call(problem.detail),
        _ => anyhow::anyhow!(problem.detail).into(),
    })
}

fn money(minor: &Value, currency: Currency) -> String {
    minor.as_i64().map_or_else(|| "-".to_owned(), |amount_minor| Money { amount_minor, currency }.to_string())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("-")
}

fn headline(args: &Args, quote: &Value, item: &Value, currency: Currency) -> String {
    let whom = args.customer.as_deref().unwrap_or("nobody in particular");
    let degraded: Vec<&str> =
        quote["degraded"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let lacks = if degraded.is_empty() { String::new() } else { format!("; lacks {}", degraded.join(", ")) };
    format!(
        "{} for {whom}: {}, list {} ({}, basis {}{lacks})",
        args.sku,
        money(&item["quoted_price_minor"], currency),
        money(&item["list_price_minor"], currency),
        text(&quote["outcome"]),
        text(&item["basis"]),
    )
}

/// The rungs with their expected margins as bars; what is chosen, and what guardrails shut out.
fn ladder(item: &Value, currency: Currency) -> String {
    let rungs = item["ladder"].as_array().map_or(&[][..], Vec::as_slice);
    if rungs.is_empty() {
        return "no ladder: nothing tells how demand answers to the price".to_owned();
    }
    let margin = |rung: &Value| rung["expected_margin_minor"].as_f64().unwrap_or(0.0);
    let (least, most) =
        rungs.iter().map(margin).fold((0.0_f64, f64::MIN), |(lo, hi), m| (lo.min(m), hi.max(m)));
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["price", "of list", "sold a showing", "margin", "", "chosen with"]);
    for column in [0, 1, 2, 3, 5] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for rung in rungs {
        let price = rung["price_minor"].as_i64().unwrap_or(0);
        let list = item["list_price_minor"].as_i64().unwrap_or(1).max(1);
        let share = |p: &Value| p.as_f64().map_or_else(|| "-".to_owned(), |p| format!("{:.2} %", 100.0 * p));
        let length = if most > least { (margin(rung) - least) / (most - least) * WIDEST } else { 0.0 };
        let chosen = rung["choice_probability"].as_f64().unwrap_or(0.0);
        let quoted = rung["price_minor"] == item["quoted_price_minor"];
        let mark = if quoted { " <" } else { "" };
        table.add_row([
            money(&rung["price_minor"], currency),
            format!("{:.0} %", 100.0 * price as f64 / list as f64),
            share(&rung["probability"]),
            format!("{:.2}", margin(rung) / 100.0),
            "#".repeat(length.round().max(0.0) as usize),
            if chosen > 0.0 { format!("{:.0} %{mark}", 100.0 * chosen) } else { mark.trim().to_owned() },
        ]);
    }
    table.to_string()
}

/// What moved the price, in order, and what the law says of it.
fn why(quote: &Value, item: &Value, currency: Currency) -> String {
    let mut lines = vec![format!("the model's own price: {}", money(&item["model_price_minor"], currency))];
    for moved in item["guardrails"].as_array().into_iter().flatten() {
        let (before, after) = (&moved["before_minor"], &moved["after_minor"]);
        lines.push(format!(
            "  {:<16} {} -> {}",
            text(&moved["code"]),
            money(before, currency),
            money(after, currency)
        ));
    }
    let elasticity = &item["elasticity"];
    lines.push(match elasticity["value"].as_f64() {
        Some(value) => {
            let bound = |name: &str| elasticity[name].as_f64().unwrap_or(f64::NAN);
            format!(
                "elasticity {value:.2} ({:.2} to {:.2}), objective {}",
                bound("lo"),
                bound("hi"),
                text(&item["objective"])
            )
        }
        None => format!("no elasticity: {}", text(&elasticity["code"])),
    });
    lines.push(format!(
        "bounds {} to {}",
        money(&item["floor_minor"], currency),
        money(&item["ceiling_minor"], currency)
    ));
    if let Some(index) = item["demand_index"].as_f64() {
        lines.push(format!("recent orders are {index:.2} times what is expected"));
    }
    let claim = &item["legal"]["discount_claim"];
    lines.push(match claim["max_percent"].as_u64() {
        Some(percent) if percent > 0 => format!(
            "a discount of up to {percent} % may be claimed on {}",
            money(&item["legal"]["lowest_prior_minor"], currency)
        ),
        _ => format!("no discount may be claimed: {}", text(&claim["code"]).replace('_', " ")),
    });
    lines.push(match &item["everybody_price_minor"] {
        everybodys if everybodys.is_i64() => format!(
            "the price is this customer's own; everybody else is asked {}. {}",
            money(everybodys, currency),
            quote["legal"]["disclosure"].as_str().unwrap_or("This market asks for no sentence beside it.")
        ),
        _ if quote["legal"]["personalised"] == true => {
            "features of this customer entered the price".to_owned()
        }
        _ => "no feature of a person entered the price".to_owned(),
    });
    lines.join("\n")
}
