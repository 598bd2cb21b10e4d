//! `nextbest erase`: deletes what the store and the event log hold of a customer, and says what is beyond its reach.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nextbest_functions::clock::Clock;
use nextbest_functions::events::expiry_seconds;
use nextbest_functions::snapshot;
use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use nextbest_training::event_log::erase::erase;
use nextbest_training::event_log::{EventLog, EventLogError};
use serde::Serialize;

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::store::StoreArgs;

/// A day longer than the last list that a customer may stand on.
const HIDE_DAYS: i32 = snapshot::KEEP_DAYS + 1;

/// What `nextbest erase` takes.
#[derive(clap::Args)]
#[command(
    after_help = "Reads the whole table, with your own credentials. Run again, it deletes what was left.\n\n\
                        Example:\n  nextbest erase C0000012 --project examples/shop"
)]
pub struct Args {
    /// The customer.
    customer_id: String,
    /// The project folder.
    #[arg(long, default_value = ".", value_name = "DIR")]
    project: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Print as JSON.
    #[arg(long)]
    json: bool,
}

/// What was erased, and what was not.
#[derive(Serialize)]
struct Receipt {
    customer_id: String,
    erased_at: Timestamp,
    /// Where the store is.
    store: String,
    /// Items deleted, by the kind of their key.
    items: BTreeMap<String, usize>,
    /// Events taken out of the event log; none where there is no log.
    events: Option<u64>,
    /// Lists built before hide the customer; the last of them expires by then.
    hidden_until: Timestamp,
    /// What this command cannot reach.
    not_erased: [&'static str; 3],
}

const NOT_ERASED: [&str; 3] = [
    "files that were imported: take the customer out of them too, or the next import brings them back",
    "what models learned: train again, and delete artifacts that were trained before",
    "backups, and files that were exported",
];

/// Hides first, then deletes; a run that is killed half way has hidden all, and the next one deletes the rest.
pub fn run(args: &Args) -> Outcome {
    let customer = CustomerId::new(args.customer_id.clone()).map_err(Failure::call)?;
    let folder = Folder::open(&args.project)?;
    let now = Clock::system().now();
    let runtime = tokio::runtime::Runtime::new()?;
    let (store, items) = runtime.block_on(from_store(args, &folder, &customer, now))?;
    let events = match EventLog::open(folder.events()) {
        Ok(log) => Some(erase(&log, &customer)?),
        Err(EventLogError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    tell(
        args,
        &Receipt {
            customer_id: args.customer_id.clone(),
            erased_at: now,
            store,
            items,
            events,
            hidden_until: now.plus_days(HIDE_DAYS),
            not_erased: NOT_ERASED,
        },
    )
}

async fn from_store(
    args: &Args,
    folder: &Folder,
    customer: &CustomerId,
    now: Timestamp,
) -> Result<(String, BTreeMap<String, usize>), Failure> {
    let open = args.store.open(folder).await?;
    open.store.mark_erased(customer, now, expiry_seconds(now, HIDE_DAYS)).await?;
    let items = open.store.delete_customer(customer).await?;
    // A list whose build began while the table was read may still have met the customer: it is hidden as well.
    let now = Clock::system().now();
    open.store.mark_erased(customer, now, expiry_seconds(now, HIDE_DAYS)).await?;
    Ok((open.place, items))
}

fn tell(args: &Args, receipt: &Receipt) -> Outcome {
    if args.json {
        say!("{}", serde_json::to_string_pretty(receipt)?);
        return Ok(());
    }
    let Receipt { customer_id, store, items, events, hidden_until, not_erased, .. } = receipt;
    if items.is_empty() && events.is_none_or(|n| n == 0) {
        say!("Nothing was known of {customer_id}.");
    } else {
        say!("{customer_id} is erased.");
    }
    let items: Vec<String> = items.iter().map(|(kind, n)| format!("{n} {kind}")).collect();
    say!("  {store}: {}", if items.is_empty() { "nothing".to_owned() } else { items.join(", ") });
    if let Some(n) = events {
        say!("  event log: {n} events");
    }
    say!(
        "Lists built before now hide the customer within a minute; the last of them expires by {hidden_until}."
    );
    say!("Not erased:");
    not_erased.iter().for_each(|one| say!("  {one}"));
    Ok(())
}
