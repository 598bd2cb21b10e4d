//! `nextbest load`: replays the event log into the store and builds the at-risk snapshot.

use std::path::PathBuf;

use nextbest_functions::app::App;
use nextbest_functions::auth::AuthMode;
use nextbest_functions::clock::Clock;
use nextbest_functions::config::{Config, DEFAULT_DEADLINE};
use nextbest_functions::events::shown::{Ledgers, count_in, note, note_in};
use nextbest_functions::keys::Keys;
use nextbest_functions::signing::QuoteKeys;
use nextbest_functions::snapshot;
use nextbest_functions::store::{KEEP_HOURS, Orders, Store};
use nextbest_models::customer::Customer;
use nextbest_models::units::Timestamp;
use nextbest_training::cutoff::fold;
use nextbest_training::event_log::{EventLog, EventLogError};
use serde::Serialize;

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::progress;
use crate::store::StoreArgs;

/// What `nextbest load` takes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  nextbest load --project examples/retail\n  \
    AWS_ENDPOINT_URL=https://dynamodb.eu-west-1.amazonaws.com nextbest load --project my-shop")]
pub struct Args {
    /// The project folder.
    #[arg(long, default_value = "examples/shop")]
    project: PathBuf,
    /// Only what was known before this moment; default: all of the log.
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    #[command(flatten)]
    store: StoreArgs,
    /// Print the counts as JSON.
    #[arg(long)]
    json: bool,
}

/// What was loaded.
#[derive(Debug, Serialize)]
pub struct Loaded {
    /// Customers written.
    pub n_customers: usize,
    /// Events folded into them.
    pub n_events: u64,
    /// Events the fold refused: later than the allowed lateness, or of another currency.
    pub n_refused: u64,
    /// Batches DynamoDB handed back in part, sent again.
    pub n_resent: usize,
    /// Ledgers of prices shown, one for each SKU, market and channel.
    pub n_ledgers: usize,
    /// The state is as of this moment.
    pub as_of: Timestamp,
    /// The at-risk snapshot built from it; absent without a trained model.
    pub snapshot: Option<snapshot::Built>,
}

/// Loads and tells.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.project)?;
    let log = EventLog::open(folder.events())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (loaded, place) = runtime.block_on(async {
        let open = args.store.open(&folder).await?;
        Ok::<_, Failure>((load(&folder, &log, &open.store, args.as_of).await?, open.place))
    })?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&loaded)?);
    } else {
        say!("{}", loaded.sentence(&place));
    }
    Ok(())
}

impl Loaded {
    /// What was loaded, for people.
    pub fn sentence(&self, place: &str) -> String {
        let refused =
            if self.n_refused > 0 { format!("; {} events refused", self.n_refused) } else { String::new() };
        let snapshot = match &self.snapshot {
            Some(built) => format!("; at-risk snapshot {}", built.snapshot_id),
            None => "; no at-risk snapshot: run `nextbest train` first".to_owned(),
        };
        let (customers, events) = (self.n_customers, self.n_events);
        format!("{customers} customers from {events} events into {place}{refused}{snapshot}")
    }
}

/// The present of a log: the start of the day after the last event became known.
pub fn present(log: &EventLog) -> Result<Timestamp, Failure> {
    let last = log.manifest().total.last_known_at;
    let last = last.ok_or_else(|| Failure::call("the event log is empty: import events first"))?;
    Ok(last.day().plus(1).start())
}

/// Folds the log bucket by bucket, writing one bucket while the next is folded, then builds the snapshot.
pub async fn load(
    folder: &Folder,
    log: &EventLog,
    store: &Store,
    as_of: Option<Timestamp>,
) -> Result<Loaded, Failure> {
    let as_of = as_of.map_or_else(|| present(log), Ok)?;
    let bar = progress::bar(log.n_buckets().into(), "loading customers");
    let mut loaded = Loaded {
        n_customers: 0,
        n_events: 0,
        n_refused: 0,
        n_resent: 0,
        n_ledgers: 0,
        as_of,
        snapshot: None,
    };
    let fold_bucket_of = |bucket: u32| {
        let (log, schema) = (log.clone(), folder.project.schema.clone());
        tokio::task::spawn_blocking(move || customers(&log, &schema, bucket, as_of))
    };
    let mut buckets = (0..log.n_buckets()).map(fold_bucket_of);
    let (mut next, mut ledgers, mut orders) = (buckets.next(), Ledgers::new(), Orders::new());
    while let Some(folded) = next {
        let (states, prices, n_refused) = folded.await??;
        for (key, ledger) in prices.ledgers {
            ledgers.entry(key).or_default().merge(&ledger);
        }
        prices.orders.into_iter().for_each(|(key, units)| *orders.entry(key).or_default() += units);
        next = buckets.next();
        let written = store.load_customers(&folder.project.schema, &states).await?;
        loaded.n_customers += written.n_items;
        loaded.n_resent += written.n_resent;
        loaded.n_events += states.iter().map(Customer::n_events).sum::<u64>();
        loaded.n_refused += n_refused;
        bar.inc(1);
    }
    // Beside what is there: prices that were quoted are in no event log.
    note(store, &ledgers).await?;
    loaded.n_ledgers = ledgers.len();
    if folder.project.pricing.demand_reaction.is_some() {
        store.load_orders(&orders).await?;
    }
    bar.finish_and_clear();
    if folder.artifacts().join("CURRENT").exists() {
        let app = App::open(&config(folder, store, Keys::default()), store.clone(), Clock::fixed(as_of))?;
        // What a run of before or meanwhile scored is of other states.
        snapshot::begin_anew(store).await?;
        loaded.snapshot = Some(snapshot::build(&app).await?);
    }
    Ok(loaded)
}

/// The time of a job on this machine: as told, else that of the event log where the store is the project's own.
pub fn clock(as_of: Option<Timestamp>, store: &StoreArgs, folder: &Folder) -> Result<Clock, Failure> {
    match as_of {
        Some(at) => Ok(Clock::fixed(at)),
        None if store.is_embedded() && folder.events().exists() => {
            Ok(Clock::fixed(present(&EventLog::open(folder.events())?)?))
        }
        None => Ok(Clock::system()),
    }
}

/// The functions' configuration on this machine.
pub fn config(folder: &Folder, store: &Store, keys: Keys) -> Config {
    Config {
        project: folder.dir.clone(),
        artifact: None,
        table: store.table().to_owned(),
        auth: AuthMode::ApiKey,
        deadline: DEFAULT_DEADLINE,
        keys,
        quote_keys: QuoteKeys::default(),
    }
}

/// What a bucket tells of prices: those shown, and recent orders.
#[derive(Default)]
struct Prices {
    ledgers: Ledgers,
    orders: Orders,
}

fn customers(
    log: &EventLog,
    schema: &nextbest_models::feature::Schema,
    bucket: u32,
    as_of: Timestamp,
) -> Result<(Vec<Customer>, Prices, u64), EventLogError> {
    let (mut states, mut prices, mut n_refused) = (Vec::new(), Prices::default(), 0);
    let counted = as_of.plus_millis(-KEEP_HOURS * 3_600_000);
    for group in log.customers(bucket)? {
        let (id, events) = group?;
        let (customer, refused) = fold(schema, &id, &events, as_of);
        n_refused += refused;
        for event in events.iter().filter(|event| event.known() < as_of) {
            note_in(&mut prices.ledgers, event);
            if event.occurred_at >= counted {
                count_in(&mut prices.orders, event);
            }
        }
        if customer.n_events() > 0 {
            states.push(customer);
        }
    }
    Ok((states, prices, n_refused))
}
