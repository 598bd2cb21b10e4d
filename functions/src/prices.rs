//! `price`: quotes prices for a basket, and shows quotes.
//!
//! A price depends on the item, its list price and its cost, never on a feature of the customer; which control group
//! they were drawn into is none. A quote holds only because it is stored: when it cannot be, or no demand is known, the
//! list price is named instead and `degraded` says why. A checkout is never left without a price.

mod answer;

use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::routing::{get, post};
use nextbest_models::customer::CustomerId;
use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::{DemandModel, PriceChoice, PriceRefusal, PriceRequest, choose_price};
use nextbest_models::units::{Currency, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::clock::{self, Stopwatch};
use crate::door::RequestId;
use crate::events::expiry_seconds;
use crate::problem::Problem;
use crate::provenance::{Provenance, Timing};
use crate::request::Json;
use crate::route::Function;
use answer::build;

pub use answer::{Outcome, Quote};

/// Most items of one quote.
pub const MAX_ITEMS: usize = 100;
const MAX_QUANTITY: i64 = 1_000_000;
/// How long a quote is kept after it expired, in days.
const KEEP_DAYS: i32 = 30;

/// POST /v1/prices/quote, GET /v1/prices/quotes/{id}.
pub fn routes() -> Router<App> {
    Router::new().route("/v1/prices/quote", post(quote)).route("/v1/prices/quotes/{id}", get(show))
}

/// The body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[serde(default)]
    session_id: Option<String>,
    items: Vec<Item>,
    #[schema(value_type = String)]
    currency: Currency,
    #[serde(default)]
    market: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Item {
    sku: String,
    #[serde(default = "one")]
    quantity: i64,
    #[serde(default)]
    list_price_minor: Option<i64>,
    #[serde(default)]
    unit_cost_minor: Option<i64>,
    #[serde(default)]
    stock: Option<i64>,
}

const fn one() -> i64 {
    1
}

async fn quote(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Extension(since): Extension<Stopwatch>,
    Json(request): Json<Request>,
) -> Result<axum::Json<Quote>, Problem> {
    let mut timing = Timing::start();
    let now = app.clock.now();
    check(&app, &request)?;
    let quote_id = clock::new_id("quo")?;
    timing.step("parse");

    let demand = app.artifact.as_ref().and_then(|artifact| artifact.demand());
    let control = assign(&app, &request, now);
    let choices = choose(&app, demand, control, &request)?;
    let head = Provenance::new(&app, quote_id, request_id, now);
    let mut quote = build(&app, head, &request, choices, control)?;
    timing.step("decide");

    if let Some(code) = store(&app, &quote, app.deadline.saturating_sub(since.elapsed())).await? {
        let choices = choose(&app, None, control, &request)?;
        let mut head = quote.head;
        head.degraded = vec![code.to_owned()];
        quote = build(&app, head, &request, choices, control)?;
    }
    app.metrics.answered(Function::Price, &quote.head.degraded, now);
    timing.step("save");
    quote.timing_us = timing.steps();
    Ok(axum::Json(quote))
}

/// Stores the quote within `limit`; where it cannot be, the code that says why.
async fn store(app: &App, quote: &Quote, limit: Duration) -> Result<Option<&'static str>, Problem> {
    let document = serde_json::to_value(quote).map_err(|error| Problem::internal(&error))?;
    let expires = expiry_seconds(quote.expires_at, KEEP_DAYS);
    let stored = tokio::time::timeout(limit, app.store.put_quote(&quote.quote_id, &document, expires)).await;
    let Ok(stored) = stored else { return Ok(Some("store_slow")) };
    let Err(error) = stored else { return Ok(None) };
    tracing::warn!(%error, quote_id = quote.quote_id, "the quote could not be stored");
    Ok(Some("store_unreachable"))
}

async fn show(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Result<axum::Json<serde_json::Value>, Problem> {
    let quote = app.store.quote(&id, app.clock.now().as_millis() / 1000).await?;
    let unknown = || Problem::not_found("unknown_quote", format!("there is no quote {id:?}"));
    quote.map(axum::Json).ok_or_else(unknown)
}

fn check(app: &App, request: &Request) -> Result<(), Problem> {
    let currency = app.project.settings.currency;
    if request.currency != currency {
        return Err(Problem::invalid(
            "currency",
            format!("{} differs from the project's {currency}", request.currency),
        ));
    }
    let n = request.items.len();
    if !(1..=MAX_ITEMS).contains(&n) {
        return Err(Problem::invalid("items", format!("{n} items; a quote takes 1 to {MAX_ITEMS}")));
    }
    let texts = [("session_id", &request.session_id), ("market", &request.market)];
    for (path, text) in texts {
        if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > 128) {
            return Err(Problem::invalid(path, "takes 1 to 128 bytes"));
        }
    }
    for (at, item) in request.items.iter().enumerate() {
        if item.sku.is_empty() || item.sku.len() > 128 {
            return Err(Problem::invalid(format!("items[{at}].sku"), "takes 1 to 128 bytes"));
        }
        let numbers = [("quantity", item.quantity, 1), ("stock", item.stock.unwrap_or(0), 0)];
        for (name, value, least) in numbers {
            if !(least..=MAX_QUANTITY).contains(&value) {
                let detail = format!("{value} lies outside {least} ..= {MAX_QUANTITY}");
                return Err(Problem::invalid(format!("items[{at}].{name}"), detail));
            }
        }
    }
    Ok(())
}

/// The control groups of the customer; a basket without one is in none.
fn assign(app: &App, request: &Request, now: Timestamp) -> Assignment {
    let rules = app.project.policy.control();
    request.customer_id.as_ref().map(|id| rules.assign(id, now)).unwrap_or_default()
}

fn choose(
    app: &App,
    demand: Option<&DemandModel>,
    control: Assignment,
    request: &Request,
) -> Result<Vec<PriceChoice>, Problem> {
    let price = |(at, item): (usize, &Item)| {
        let asked = PriceRequest {
            sku: item.sku.clone(),
            list_price_minor: item.list_price_minor,
            unit_cost_minor: item.unit_cost_minor,
        };
        let choice = choose_price(&app.project.pricing, demand, control, &asked);
        choice.map_err(|refusal| refused(at, &refusal))
    };
    request.items.iter().enumerate().map(price).collect()
}

fn refused(at: usize, refusal: &PriceRefusal) -> Problem {
    let field = match refusal {
        PriceRefusal::NoListPrice { .. } => "list_price_minor",
        PriceRefusal::OutOfRange { field, .. } => field,
    };
    Problem::invalid(format!("items[{at}].{field}"), refusal.to_string())
}
