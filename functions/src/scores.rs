//! `scores`: takes events in.
use axum::Router;

use crate::app::App;

/// POST /v1/scores.
pub fn routes() -> Router<App> {
    Router::new()
}
