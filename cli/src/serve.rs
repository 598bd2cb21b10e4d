//! `nextbest serve`: all functions on loopback, over the embedded store or the endpoint of the environment.

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use nextbest_functions::app::App;
use nextbest_functions::clock::Clock;
use nextbest_functions::keys::{Keys, NewKey};
use nextbest_functions::signing::QuoteKeys;
use nextbest_functions::{learn, local};
use nextbest_models::units::Timestamp;
use nextbest_training::event_log::EventLog;
use tokio::net::TcpListener;

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::load::{self, config};
use crate::store::{OpenStore, StoreArgs};

/// How often a server takes over what was learned from outcomes.
const BELIEVE_EVERY: Duration = Duration::from_secs(600);

/// How often a server that goes by the machine's clock deletes what has expired.
const SWEEP: Duration = Duration::from_secs(60);
/// An event log that ended longer ago, in days, is one of the past: at its end the clock starts.
const PAST_DAYS: i32 = 30;

/// What `nextbest serve` takes.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  nextbest serve --project examples/shop --port 8080")]
pub struct Args {
    /// The project folder.
    #[arg(long, default_value = "examples/shop")]
    project: PathBuf,
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Let the server's clock start here; by default now, or at the end of an event log that ended more than 30 days ago
    #[arg(long, value_name = "TIME")]
    now: Option<Timestamp>,
    #[command(flatten)]
    store: StoreArgs,
}

/// Serves until Ctrl-C.
pub fn run(args: &Args) -> Outcome {
    let folder = Folder::open(&args.project)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = bind(args.port).await?;
        let past = args.now.or_else(|| ended(args, &folder));
        let open = args.store.open_swept(&folder, past.is_none().then_some(SWEEP)).await?;
        let (keys, shown) = Keys::open_or_create(&folder.keys())?;
        let clock = past.map_or_else(Clock::system, Clock::starting_at);
        let app = app(&folder, &open, keys, clock).await?;
        let address = listener.local_addr()?;
        say!("listening on http://{address} over {}; the console is at http://{address}/console", open.place);
        if let Some(past) = past.filter(|_| args.now.is_none()) {
            say!(
                "the event log ended long ago: the clock starts at its end, {past} (--now sets another time)"
            );
        }
        say!("{}", key_lines(&shown, &folder));
        serve(listener, app, ctrl_c()).await
    })
}

/// The end of the project's own event log, if that is long past: lists of then have expired by now.
fn ended(args: &Args, folder: &Folder) -> Option<Timestamp> {
    // A server needs no log, and bears one that is empty or damaged.
    let log = args.store.is_embedded().then(|| EventLog::open(folder.events()).ok()).flatten()?;
    let end = load::present(&log).ok()?;
    (end.plus_days(PAST_DAYS) < Clock::system().now()).then_some(end)
}

/// Takes the port, or says who may be in the way.
pub async fn bind(port: u16) -> Result<TcpListener, Failure> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::call(format!("{address}: {error}; choose another port with --port")))
}

/// The functions' state over an open store.
pub async fn app(folder: &Folder, open: &OpenStore, keys: Keys, clock: Clock) -> Result<App, Failure> {
    let mut config = config(folder, &open.store, keys);
    config.quote_keys = QuoteKeys::open_or_create(&folder.quote_keys())?;
    let app = App::open(&config, open.store.clone(), clock)?;
    app.warm().await;
    learn::believe(&app).await;
    Ok(app)
}

/// Serves every function until `stop` comes, then lets running requests end.
pub async fn serve(
    listener: TcpListener,
    app: App,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let learning = app.clone();
    let listening = tokio::spawn(async move {
        loop {
            tokio::time::sleep(BELIEVE_EVERY).await;
            learn::believe(&learning).await;
        }
    });
    let served = axum::serve(listener, local::router(app)).with_graceful_shutdown(stop).await;
    listening.abort();
    Ok(served?)
}

/// Ends when a person presses Ctrl-C.
pub async fn ctrl_c() {
    // Without a handler the process ends on the signal anyway.
    let _ = tokio::signal::ctrl_c().await;
}

/// The new keys, once, or where the hashes of the earlier ones lie.
pub fn key_lines(shown: &[NewKey], folder: &Folder) -> String {
    let path = folder.keys();
    if shown.is_empty() {
        return format!("API keys: as shown when they were made; delete {} for new ones", path.display());
    }
    let lines =
        shown.iter().map(|key| format!("  export {}_KEY={}", key.role.as_str().to_uppercase(), key.secret));
    let lines: Vec<String> = lines.collect();
    format!("API keys, shown this once (only hashes are kept, in {}):\n{}", path.display(), lines.join("\n"))
}
