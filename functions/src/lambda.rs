//! What the binaries share: JSON logs, one start, one loop.
//!
//! The start happens in Lambda's init phase, at full CPU: configuration, project, artifact and the store's
//! connection. A fault there is logged by name and ends the process; the first request finds everything open.
//!
//! The binaries get plain functions: an `async fn` is compiled again in every crate that awaits it, and six copies of
//! the SDK and the runtime cost minutes of build.

use std::future::Future;

use axum::Router;
use lambda_runtime::{LambdaEvent, service_fn};
use serde::de::IgnoredAny;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{self, FmtContext};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::metrics;
use crate::snapshot::SnapshotError;
use crate::store::Store;
use crate::{hopper, learn, snapshot};

/// Whatever ends a function.
pub type Error = lambda_http::Error;

/// Runs `routes` as a Lambda function behind the HTTP API until the service ends it.
pub fn run(routes: fn() -> Router<App>) -> Result<(), Error> {
    block_on(async {
        let app = open().await?;
        lambda_http::run(app.serve(routes())).await
    })
}

/// Runs `routes`, which decide, likewise, after taking over what was learned from outcomes.
pub fn run_decisions(routes: fn() -> Router<App>) -> Result<(), Error> {
    block_on(async {
        let app = open().await?;
        learn::believe(&app).await;
        lambda_http::run(app.serve(routes())).await
    })
}

/// Runs the snapshot as a Lambda function behind a schedule until the service ends it; what the schedule sends is
/// ignored, what failed is reported to it, so that it runs again and goes on.
pub fn run_snapshot() -> Result<(), Error> {
    block_on(async {
        let app = open().await?;
        let build = |_: LambdaEvent<IgnoredAny>| async {
            match snapshot::build(&app).await {
                // Two invocations of one night: running again would take the build away from the one that goes on.
                Err(error @ SnapshotError::TakenOver { .. }) => {
                    tracing::warn!(%error, "left to the other run");
                    Ok(None)
                }
                built => built.map(Some).map_err(Error::from),
            }
        };
        lambda_runtime::run(service_fn(build)).await
    })
}

/// Fills the hopper as a Lambda function behind a schedule, likewise.
pub fn run_hopper() -> Result<(), Error> {
    block_on(async {
        let app = open().await?;
        learn::believe(&app).await;
        let fill =
            |_: LambdaEvent<IgnoredAny>| async { hopper::run(&app, &|_| ()).await.map_err(Error::from) };
        lambda_runtime::run(service_fn(fill)).await
    })
}

fn block_on(function: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    log_as_json();
    // Lambda sends one request at a time.
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(function)
}

/// Opens what the environment names; a fault is logged and returned.
async fn open() -> Result<App, Error> {
    let opened = async {
        let config = Config::from_env().await?;
        let store = Store::from_env(&config.table, None).await;
        Ok::<App, Error>(App::open(&config, store, Clock::system())?)
    };
    let app = opened.await.inspect_err(|error| tracing::error!(%error, "the function does not start"))?;
    app.warm().await;
    Ok(app)
}

/// Logs to standard output, one JSON object a line, without payloads: ids are all that is known of a customer.
/// `RUST_LOG` names levels by target (`info,aws_config=debug`); `EnvFilter` would bring a regular
/// expression engine into every package.
#[expect(clippy::disallowed_methods, reason = "logging starts before the configuration is read")]
fn log_as_json() {
    let named = std::env::var("RUST_LOG").ok().and_then(|levels| levels.parse().ok());
    let quiet = || [("aws_config", LevelFilter::WARN), ("aws_smithy_runtime", LevelFilter::WARN)];
    let levels =
        named.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO).with_targets(quiet()));
    let lines = fmt::layer().json().with_target(false).without_time();
    let lines = lines.with_filter(levels.with_target(metrics::TARGET, LevelFilter::OFF));
    let counts = fmt::layer().event_format(Bare);
    let counts = counts.with_filter(Targets::new().with_target(metrics::TARGET, LevelFilter::INFO));
    tracing_subscriber::registry().with(lines).with(counts).init();
}

/// Writes an event's message as it is, a line: it is JSON already, of a form that CloudWatch asks for.
struct Bare;

impl<S, N> FormatEvent<S, N> for Bare
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut message = Message(String::new());
        event.record(&mut message);
        writeln!(writer, "{}", message.0)
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}
