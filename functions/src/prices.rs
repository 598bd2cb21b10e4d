//! `price`: quotes prices for a basket, shows quotes, and redeems each at most once.
//!
//! A price depends on the item, what was shown of it before, and what the caller knows of stock and competitors, never
//! on a feature of the customer; which control group they were drawn into is none. A quote holds only because it is kept:
//! when it cannot be, the list price is named instead and `degraded` says why. A checkout is refused a price only for
//! what it asked, or where guardrails leave none.

mod answer;
mod basket;
mod desk;
mod locks;
mod redeem;

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use nextbest_models::units::{Seed, Timestamp};
use serde_json::Value;

use crate::app::App;
use crate::clock::{self, Stopwatch};
use crate::door::RequestId;
use crate::problem::Problem;
use crate::provenance::{Provenance, Timing};
use crate::request::Json;
use crate::route::Function;
use answer::build;
use basket::Basket;
use desk::{Trouble, settle};

pub use answer::{Outcome, Quote};
pub use basket::{MAX_ITEMS, QuoteMode, Request};
pub use redeem::{Receipt, Redemption};

/// POST /v1/prices/quote, GET /v1/prices/quotes/{id}, POST /v1/prices/quotes/{id}/redeem.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/prices/quote", post(quote))
        .route("/v1/prices/quotes/{id}", get(show))
        .route("/v1/prices/quotes/{id}/redeem", post(redeem::redeem))
}

async fn quote(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(since): Extension<Stopwatch>,
    Json(request): Json<Request>,
) -> Result<axum::Json<Value>, Problem> {
    let mut timing = Timing::start();
    let now = app.clock.now();
    let basket = Basket::new(&app, &request, now)?;
    timing.step("parse");
    let limit = app.deadline.saturating_sub(since.elapsed());
    let settled = tokio::time::timeout(limit, settle(&app, &basket, &request_id, now)).await;
    let mut quote = match settled {
        Ok(Ok(quote)) => quote,
        Ok(Err(Trouble::Refused(problem))) => return Err(problem),
        Ok(Err(Trouble::Store(error))) => {
            tracing::warn!(%error, "the quote could not be settled");
            at_list_prices(&app, &basket, request_id, "store_unreachable", now)?
        }
        Err(_) => at_list_prices(&app, &basket, request_id, "store_slow", now)?,
    };
    timing.step("settle");
    let degraded = quote["degraded"].as_array().into_iter().flatten().filter_map(Value::as_str);
    app.metrics.answered(Function::Price, &degraded.map(str::to_owned).collect::<Vec<_>>(), now);
    quote["timing_us"] = serde_json::to_value(timing.steps()).unwrap_or_default();
    Ok(axum::Json(quote))
}

/// What a quote for `request` would be; nothing is written.
pub async fn what_if(app: &App, request: Request) -> Result<Value, Problem> {
    let request = Request { mode: QuoteMode::DryRun, ..request };
    let now = app.clock.now();
    let basket = Basket::new(app, &request, now)?;
    settle(app, &basket, "what-if", now).await.map_err(|trouble| match trouble {
        Trouble::Refused(problem) => problem,
        Trouble::Store(error) => error.into(),
    })
}

/// What is told while the store is away: list prices inside their bounds, promised to nobody.
fn at_list_prices(
    app: &App,
    basket: &Basket<'_>,
    request_id: String,
    code: &str,
    now: Timestamp,
) -> Result<Value, Problem> {
    if let Some(at) = basket.request.items.iter().position(|item| item.announced_percent.is_some()) {
        let detail = "the prices that the discount is claimed on cannot be read; send it again";
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store_unreachable", detail);
        return Err(problem.at(format!("items[{at}].announced_percent")).retry_after(1));
    }
    let choices = desk::choose(app, None, basket, None, &BTreeMap::new(), Seed(0), now)?;
    let mut head = Provenance::new(app, clock::new_id("quo")?, request_id, now);
    head.degraded = vec![code.to_owned()];
    let quote = build(app, head, basket, choices, None)?;
    serde_json::to_value(&quote).map_err(|error| Problem::internal(&error))
}

async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<axum::Json<Value>, Problem> {
    let now = app.clock.now();
    let kept = app.store.quote(&id, now.as_millis() / 1000).await?;
    let kept = kept.ok_or_else(|| redeem::unknown(&id))?;
    if kept.redemption.is_none() && redeem::is_over(&kept.document, now) {
        let detail = format!(
            "the quote held until {}; ask for another",
            kept.document["expires_at"].as_str().unwrap_or("?")
        );
        let gone = Problem::new(StatusCode::GONE, "quote_expired", detail);
        return Err(gone.link("successor-version", "/v1/prices/quote".to_owned()));
    }
    let mut document = kept.document;
    document["redemption"] = kept.redemption.unwrap_or_default();
    Ok(axum::Json(document))
}
