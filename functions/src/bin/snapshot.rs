//! The `snapshot` function on AWS Lambda: builds the at-risk snapshot, started nightly by an EventBridge schedule.
//!
//! Whatever the schedule sends is ignored. A run that fails is reported to the schedule, which may retry it; the
//! last snapshot stays in use meanwhile.

use lambda_runtime::{LambdaEvent, service_fn};
use nextbest_functions::{lambda, snapshot};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda::Error> {
    lambda::log_as_json();
    let app = lambda::open().await?;
    let app = &app;
    lambda_runtime::run(service_fn(move |_: LambdaEvent<serde::de::IgnoredAny>| async move {
        snapshot::build(app).await.map_err(lambda::Error::from)
    }))
    .await
}
