//! What the binaries share: JSON logs, one start, one loop.
//!
//! The start happens in Lambda's init phase, at full CPU: configuration, project, artifact and the store's
//! connection. A fault there is logged by name and ends the process; the first request finds everything open.

use axum::Router;
use tracing_subscriber::EnvFilter;

use crate::app::App;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;

/// Whatever ends a function.
pub type Error = lambda_http::Error;

/// Runs `routes` as a Lambda function until the service ends it.
pub async fn run(routes: fn() -> Router<App>) -> Result<(), Error> {
    log_as_json();
    let app = open().await?;
    lambda_http::run(app.serve(routes())).await
}

/// Opens what the environment names; a fault is logged and returned.
pub async fn open() -> Result<App, Error> {
    let opened = async {
        let config = Config::from_env()?;
        let store = Store::from_env(&config.table).await;
        Ok::<App, Error>(App::open(&config, store, Clock::system())?)
    };
    let app = opened.await.inspect_err(|error| tracing::error!(%error, "the function does not start"))?;
    app.warm().await;
    Ok(app)
}

/// Logs to standard output, one JSON object a line, without payloads: ids are all that is known of a customer.
pub fn log_as_json() {
    let filter = EnvFilter::try_from_default_env();
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info,aws_config=warn,aws_smithy_runtime=warn"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_target(false).without_time().init();
}
