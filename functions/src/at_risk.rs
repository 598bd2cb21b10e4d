//! `at_risk`: takes events in.
use axum::Router;

use crate::app::App;

/// POST /v1/at_risk.
pub fn routes() -> Router<App> {
    Router::new()
}
