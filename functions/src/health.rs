//! Whether the process lives (`/healthz`) and whether it can do its work (`/readyz`). Open to everyone, so neither
//! says more than that.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::{Router, routing::get};
use serde_json::json;

use crate::app::App;

/// The endpoints every function has.
pub fn routes() -> Router<App> {
    Router::new().route("/healthz", get(live)).route("/readyz", get(ready))
}

async fn live() -> Response {
    Json(json!({ "status": "ok", "version": env!("CARGO_PKG_VERSION") })).into_response()
}

/// 503 while the store is away. Without models a function is ready all the same: it falls back, and says so.
async fn ready(State(app): State<App>) -> Response {
    let store = app.store.warm().await;
    if let Err(error) = &store {
        tracing::warn!(%error, "not ready");
    }
    let (status, word) = match store {
        Ok(()) => (StatusCode::OK, "ready"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "store_unreachable"),
    };
    (status, Json(json!({ "status": word, "models": app.artifact.is_some() }))).into_response()
}
