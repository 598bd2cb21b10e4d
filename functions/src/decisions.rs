//! `decisions`: takes events in.
use axum::Router;

use crate::app::App;

/// POST /v1/decisions.
pub fn routes() -> Router<App> {
    Router::new()
}
