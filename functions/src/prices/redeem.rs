//! Redeeming a quote: the signature proves that it is ours, the clock that it still holds, one write that nobody did before.
//!
//! A redemption is named by the caller's order: the same order again is told the same answer, another one that the quote
//! is used up. A part of the basket may be taken, at the prices quoted; the quote is used up with it. After the time is
//! over the same basket is quoted anew and the refusal names the new quote.

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use nextbest_models::event::{Event, EventDraft};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::answer::Claims;
use super::basket::{Basket, Request};
use super::desk::settle;
use crate::app::App;
use crate::door::RequestId;
use crate::events::{MAX_AHEAD_MS, fold_all};
use crate::problem::Problem;
use crate::request::Json;
use crate::store::{Redeemed, StoredQuote, Subject};

/// The body.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Redemption {
    /// As the quote carries it.
    signature: String,
    /// The order that takes the quote, 1 to 128 bytes: the same order may ask again.
    order_id: String,
    /// What is taken; absent: all of it.
    #[serde(default)]
    items: Option<Vec<Taken>>,
    /// What the caller will charge; told apart from the quote's, if it is.
    #[serde(default)]
    total_minor: Option<i64>,
}

/// A part of the basket.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    sku: String,
    quantity: i64,
}

/// The answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Receipt {
    request_id: String,
    quote_id: String,
    order_id: String,
    #[schema(value_type = String, format = DateTime)]
    redeemed_at: Value,
    /// sku, quantity, price_minor.
    #[schema(value_type = Vec<Object>)]
    items: Value,
    total_minor: Value,
    /// Whether an earlier request of the same order redeemed it.
    repeated: bool,
}

/// There is no such quote, or none any more.
pub(super) fn unknown(id: &str) -> Problem {
    Problem::not_found("unknown_quote", format!("there is no quote {id:?}"))
}

/// Whether the time of a quote is over.
pub(super) fn is_over(document: &Value, now: Timestamp) -> bool {
    let until = document["expires_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok());
    until.is_none_or(|until| now >= until)
}

/// POST /v1/prices/quotes/{id}/redeem.
pub(super) async fn redeem(
    State(app): State<App>,
    Path(id): Path<String>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Json(asked): Json<Redemption>,
) -> Result<axum::Json<Receipt>, Problem> {
    let now = app.clock.now();
    if !(1..=128).contains(&asked.order_id.len()) {
        return Err(Problem::invalid("order_id", "takes 1 to 128 bytes"));
    }
    let claims = verify(&app, &id, &asked, now)?;
    let kept = app.store.quote(&id, now.as_millis() / 1000).await?.ok_or_else(|| unknown(&id))?;
    let (items, total_minor) = taken(&claims, &asked)?;
    let redemption = json!({
        "order_id": asked.order_id, "redeemed_at": now, "items": items, "total_minor": total_minor,
    });
    if kept.redemption.is_none() && is_over(&kept.document, now) {
        return Err(quote_anew(&app, &kept, &request_id, now).await);
    }
    let (redemption, repeated) = match app.store.redeem(&id, &redemption).await? {
        Redeemed::Now => (redemption, false),
        Redeemed::Before(before) => (same_order(before, &redemption)?, true),
        Redeemed::Gone => return Err(unknown(&id)),
    };
    tell_customer(&app, &id, &kept, &redemption).await;
    Ok(axum::Json(Receipt {
        request_id,
        quote_id: id,
        order_id: asked.order_id,
        redeemed_at: redemption["redeemed_at"].clone(),
        items: redemption["items"].clone(),
        total_minor: redemption["total_minor"].clone(),
        repeated,
    }))
}

/// The claims of the signature, if it is ours and of this quote.
fn verify(app: &App, id: &str, asked: &Redemption, now: Timestamp) -> Result<Claims, Problem> {
    let refused =
        |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail).at("signature");
    if app.quote_keys.is_empty() {
        let detail = "this service has no key for quotes; nothing can be redeemed";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_signing_key", detail));
    }
    let claims: Claims = app
        .quote_keys
        .verify(&asked.signature)
        .map_err(|forgery| refused("invalid_signature", forgery.to_string()))?;
    if claims.jti != id {
        return Err(refused("invalid_signature", "the signature is of another quote".to_owned()));
    }
    // Clocks of several machines differ a little; one that was set back would let a quote live on.
    let ahead = claims.iat.saturating_mul(1000) - now.as_millis();
    if ahead > MAX_AHEAD_MS {
        let detail =
            format!("the quote was made {} seconds after now, {now}: a clock is wrong", ahead / 1000);
        return Err(Problem::new(StatusCode::CONFLICT, "clock_behind", detail));
    }
    Ok(claims)
}

/// What is taken, at the prices quoted, and their sum.
fn taken(claims: &Claims, asked: &Redemption) -> Result<(Value, i64), Problem> {
    let mut left: Vec<(&str, i64, i64)> =
        claims.items.iter().map(|(sku, quantity, price)| (sku.as_str(), *quantity, *price)).collect();
    let all = || {
        claims
            .items
            .iter()
            .map(|(sku, quantity, _)| Taken { sku: sku.clone(), quantity: *quantity })
            .collect()
    };
    let wanted: Vec<Taken> = asked.items.clone().unwrap_or_else(all);
    let (mut faults, mut lines, mut total) = (Vec::new(), Vec::new(), 0_i64);
    for (at, item) in wanted.iter().enumerate() {
        // One SKU may stand on several lines: the first with enough left, else any.
        let enough =
            left.iter().position(|(sku, left, _)| *sku == item.sku && (1..=*left).contains(&item.quantity));
        let place = enough.or_else(|| left.iter().position(|(sku, ..)| *sku == item.sku));
        let quoted = place.and_then(|place| left.get_mut(place));
        match quoted {
            None => faults.push((format!("items[{at}].sku"), format!("{:?} is not in the quote", item.sku))),
            Some((_, quantity, _)) if !(1..=*quantity).contains(&item.quantity) => {
                let detail =
                    format!("{} lies outside 1 ..= {quantity}, what is left of the quote", item.quantity);
                faults.push((format!("items[{at}].quantity"), detail));
            }
            Some((_, quantity, price)) => {
                *quantity -= item.quantity;
                total = total.saturating_add(item.quantity.saturating_mul(*price));
                lines.push(json!({ "sku": item.sku, "quantity": item.quantity, "price_minor": *price }));
            }
        }
    }
    if wanted.is_empty() {
        faults.push(("items".to_owned(), "nothing is taken".to_owned()));
    }
    if let Some(charged) = asked.total_minor.filter(|charged| *charged != total && faults.is_empty()) {
        faults
            .push(("total_minor".to_owned(), format!("{charged} is not the sum of what is taken, {total}")));
    }
    Problem::unless_none(faults).map_err(|problem| problem.named("quote_differs"))?;
    Ok((Value::Array(lines), total))
}

/// The redemption that stands, if it was by the same order for the same items.
fn same_order(before: Value, asked: &Value) -> Result<Value, Problem> {
    let conflict = |code, detail: &str| Problem::new(StatusCode::CONFLICT, code, detail);
    if before["order_id"] != asked["order_id"] {
        return Err(conflict("quote_redeemed", "the quote was redeemed by another order"));
    }
    if before["items"] != asked["items"] {
        return Err(
            conflict("quote_redeemed", "the same order redeemed other items of the quote").at("items")
        );
    }
    Ok(before)
}

/// 410, naming a new quote for the same basket, or where to ask for one.
async fn quote_anew(app: &App, kept: &StoredQuote, request_id: &str, now: Timestamp) -> Problem {
    let until = kept.document["expires_at"].as_str().unwrap_or("?").to_owned();
    let anew = async {
        let request: Request = serde_json::from_value(kept.document["request"].clone()).ok()?;
        let basket = Basket::new(app, &request, now).ok()?;
        let quote = settle(app, &basket, request_id, now).await.ok()?;
        quote["quote_id"].as_str().map(str::to_owned)
    };
    let (detail, address) = match anew.await {
        Some(id) => (format!("the quote held until {until}; {id} is new"), format!("/v1/prices/quotes/{id}")),
        None => (format!("the quote held until {until}; ask for another"), "/v1/prices/quote".to_owned()),
    };
    Problem::new(StatusCode::GONE, "quote_expired", detail).link("successor-version", address)
}

/// Folds `quote_redeemed` into the customer; its id makes a repetition harmless. The redemption stands without it.
async fn tell_customer(app: &App, id: &str, kept: &StoredQuote, redemption: &Value) {
    let Some(customer) = kept.document["customer_id"].as_str() else { return };
    let draft = EventDraft {
        event_id: format!("redeemed-{id}"),
        event_type: "quote_redeemed".to_owned(),
        occurred_at: redemption["redeemed_at"].as_str().and_then(|text| text.parse().ok()),
        customer_id: Some(customer.to_owned()),
        quote_id: Some(id.to_owned()),
        ..EventDraft::default()
    };
    let Ok(event) = Event::try_from(draft) else { return };
    let Some(customer) = event.customer_id.clone() else { return };
    if let Err(problem) = fold_all(app, &Subject::Customer(customer), vec![event]).await {
        tracing::warn!(
            detail = problem.detail,
            quote_id = id,
            "the redemption is not yet in the customer's state"
        );
    }
}
