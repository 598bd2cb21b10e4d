//! `price`: quotes prices for a basket, and shows quotes.
//!
//! A price depends on the item, its list price and its cost, never on a feature of the customer. A quote holds only
//! because it is stored: when it cannot be, or no demand is known, the list price is named instead and `degraded`
//! says why. A checkout is never left without a price.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::routing::{get, post};
use nextbest_models::customer::CustomerId;
use nextbest_models::pricing::{
    DemandModel, Guardrail, PriceBasis, PriceChoice, PriceRefusal, PriceRequest, Rung, choose_price,
};
use nextbest_models::units::{Currency, Money, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::clock;
use crate::door::RequestId;
use crate::events::expiry_seconds;
use crate::problem::Problem;
use crate::provenance::{Absent, Provenance, Timing};
use crate::request::Json;

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

/// How a quote came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At least one price came from the demand model.
    Quoted,
    /// None did: list prices, inside their bounds.
    ListPriceFallback,
}

/// The answer, and what is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quote {
    #[serde(flatten)]
    head: Provenance,
    outcome: Outcome,
    /// Names the quote; also the decision.
    quote_id: String,
    /// Until when the prices hold.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    signature: Absent,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    market: Option<String>,
    #[schema(value_type = String)]
    currency: Currency,
    /// amount_minor, currency.
    #[schema(value_type = Object)]
    total: Money,
    items: Vec<PricedItem>,
    legal: Legal,
    timing_us: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PricedItem {
    sku: String,
    quantity: i64,
    /// model, no_demand, no_cost or conflict.
    #[schema(value_type = String)]
    basis: PriceBasis,
    list_price_minor: i64,
    model_price_minor: i64,
    quoted_price_minor: i64,
    floor_minor: i64,
    ceiling_minor: i64,
    /// code, before_minor, after_minor.
    #[schema(value_type = Vec<Object>)]
    guardrails: Vec<Guardrail>,
    purchase_probability: Optional<f64>,
    elasticity: Optional<ElasticityInterval>,
    demand_index: Absent,
    /// price_minor, probability, expected_margin_minor.
    #[schema(value_type = Vec<Object>)]
    ladder: Vec<Rung>,
}

/// A value, or null beside the reason why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Optional<T: ToSchema> {
    Known(T),
    Absent(Absent),
}

#[derive(Debug, Serialize, ToSchema)]
struct ElasticityInterval {
    value: f64,
    lo: f64,
    hi: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Legal {
    /// No feature of a person enters a price.
    personalised: bool,
    /// Lowest price of the prior 30 days: the ledger of shown prices arrives later.
    lowest_30_days_minor: Absent,
}

async fn quote(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Json(request): Json<Request>,
) -> Result<axum::Json<Quote>, Problem> {
    let mut timing = Timing::start();
    let now = app.clock.now();
    check(&app, &request)?;
    let quote_id = clock::new_id("quo")?;
    timing.step("parse");

    let demand = app.artifact.as_ref().and_then(|artifact| artifact.demand());
    let choices = choose(&app, demand, &request)?;
    let head = Provenance::new(&app, quote_id, request_id, now);
    let mut quote = build(&app, head, &request, choices)?;
    timing.step("decide");

    let document = serde_json::to_value(&quote).map_err(|error| Problem::internal(&error))?;
    let expires = expiry_seconds(quote.expires_at, KEEP_DAYS);
    if let Err(error) = app.store.put_quote(&quote.quote_id, &document, expires).await {
        tracing::warn!(%error, quote_id = quote.quote_id, "the quote could not be stored");
        let choices = choose(&app, None, &request)?;
        let mut head = quote.head;
        head.degraded = vec!["store_unreachable".to_owned()];
        quote = build(&app, head, &request, choices)?;
    }
    timing.step("save");
    quote.timing_us = timing.steps();
    Ok(axum::Json(quote))
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

fn choose(app: &App, demand: Option<&DemandModel>, request: &Request) -> Result<Vec<PriceChoice>, Problem> {
    let price = |(at, item): (usize, &Item)| {
        let asked = PriceRequest {
            sku: item.sku.clone(),
            list_price_minor: item.list_price_minor,
            unit_cost_minor: item.unit_cost_minor,
        };
        choose_price(&app.project.pricing, demand, &asked).map_err(|refusal| refused(at, &refusal))
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

fn build(
    app: &App,
    mut head: Provenance,
    request: &Request,
    choices: Vec<PriceChoice>,
) -> Result<Quote, Problem> {
    let minutes = i64::from(app.project.pricing.lock_minutes);
    let expires_at = head.created_at.plus_millis(minutes * 60_000);
    head.valid_until = expires_at;
    let modelled = choices.iter().any(|choice| choice.basis == PriceBasis::Model);
    let outcome = if modelled { Outcome::Quoted } else { Outcome::ListPriceFallback };
    if app.artifact.as_ref().and_then(|artifact| artifact.demand()).is_none() {
        head.degraded.push("no_demand_model".to_owned());
    }
    head.degraded.extend(choices.iter().filter_map(|choice| {
        let code = match choice.basis {
            PriceBasis::Model => return None,
            PriceBasis::NoDemand => "no_demand",
            PriceBasis::NoCost => "no_cost",
            PriceBasis::Conflict => "rules_conflict",
        };
        Some(format!("{code}:{}", choice.sku))
    }));
    let total = total_minor(request, &choices)?;
    let items = request.items.iter().zip(choices).map(|(item, choice)| priced(item, choice)).collect();
    Ok(Quote {
        quote_id: head.decision_id.clone(),
        head,
        outcome,
        expires_at,
        signature: Absent::because("not_signed"),
        customer_id: request.customer_id.clone(),
        session_id: request.session_id.clone(),
        market: request.market.clone(),
        currency: request.currency,
        total: Money { amount_minor: total, currency: request.currency },
        items,
        legal: Legal { personalised: false, lowest_30_days_minor: Absent::because("no_price_ledger") },
        timing_us: BTreeMap::new(),
    })
}

fn total_minor(request: &Request, choices: &[PriceChoice]) -> Result<i64, Problem> {
    let lines = request.items.iter().zip(choices);
    let sum: i128 =
        lines.map(|(item, choice)| i128::from(item.quantity) * i128::from(choice.quoted_price_minor)).sum();
    i64::try_from(sum).map_err(|_| Problem::invalid("items", format!("the total {sum} exceeds 64 bits")))
}

fn priced(item: &Item, choice: PriceChoice) -> PricedItem {
    let absent = |code| Absent::because(code);
    PricedItem {
        sku: choice.sku,
        quantity: item.quantity,
        basis: choice.basis,
        list_price_minor: choice.list_price_minor,
        model_price_minor: choice.model_price_minor,
        quoted_price_minor: choice.quoted_price_minor,
        floor_minor: choice.floor_minor,
        ceiling_minor: choice.ceiling_minor,
        guardrails: choice.guardrails,
        purchase_probability: choice
            .purchase_probability
            .map_or(Optional::Absent(absent("no_price_shown")), |p| Optional::Known(p.get())),
        elasticity: choice.elasticity.map_or(Optional::Absent(absent("no_demand")), |e| {
            Optional::Known(ElasticityInterval { value: e.value, lo: e.lo, hi: e.hi })
        }),
        demand_index: absent("not_computed"),
        ladder: choice.ladder,
    }
}
