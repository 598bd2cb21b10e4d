//! /console/customers: one customer as the interface tells of them: `POST /v1/scores`, a decision that is not kept, the
//! log of stages, and the price of an item.

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use nextbest_models::customer::CustomerId;
use nextbest_models::event::{AttributeValue, Event};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{PART, Refused, encode, frame, prices, read, request, words};
use crate::app::App;
use crate::auth::Caller;
use crate::decisions;
use crate::door::RequestId;
use crate::problem::Problem;
use crate::request::{Json, Query};
use crate::scores::score;
use crate::store::{StoredCustomer, Subject};

const HERE: &str = "/console/customers";
const REASONS: usize = 8;

/// The query of the search.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Sought {
    #[serde(default)]
    customer_id: String,
}

/// GET /console/customers.
pub(super) async fn find(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Query(sought): Query<Sought>,
) -> Response {
    let id = sought.customer_id.trim();
    if !id.is_empty() {
        return Redirect::to(&format!("{HERE}/{}", encode(id))).into_response();
    }
    let content = html! { h1 { "Customers" } (search("")) };
    frame::page(&app, &caller, HERE, "Customers", &content).into_response()
}

fn search(id: &str) -> Markup {
    html! {
        form.filters role="search" method="get" action=(HERE) {
            div {
                label for="customer_id" { "Customer id" }
                input id="customer_id" name="customer_id" type="search" required autocomplete="off" value=(id);
            }
            button type="submit" { "Find" }
        }
    }
}

/// GET /console/customers/{id}.
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(request_id): Extension<RequestId>,
    Path(id): Path<String>,
) -> Result<Markup, Refused> {
    let (stored, id) = load(&app, &id).await?;
    let changes = app.store.stage_changes(&id, app.clock.now().as_millis() / 1000);
    let changes = changes.await.map_err(Problem::from)?;
    let decided = decide(&app, &id, &request_id).await?;
    let scores = scores(&app, &id, request_id).await?;
    let content = html! {
        (search(id.as_str()))
        h1 { "Customer " (id.as_str()) }
        dl.told {
            div { dt { "Stage" } dd { (words::coded(&decided["lifecycle_stage"])) } }
            div { dt { "Events" } dd { (stored.customer.n_events()) } }
            div { dt { "Experiment" } dd { (decided["experiment"]["arm"].as_str().map_or_else(|| "none".to_owned(), words::of_code)) } }
        }
        (score_section(scores.as_ref()))
        (decision_section(&app, &decided))
        (price_section(&app, &id))
        (stage_section(&changes))
        (feature_section(&app, &stored))
    };
    Ok(frame::page(&app, &caller, HERE, &format!("Customer {}", id.as_str()), &content))
}

async fn load(app: &App, id: &str) -> Result<(StoredCustomer, CustomerId), Problem> {
    let unknown = || Problem::not_found("unknown_customer", format!("nothing is known of customer {id:?}"));
    let known: CustomerId = serde_json::from_value(json!(id)).map_err(|_| unknown())?;
    let stored = app.store.customer(&Subject::Customer(known.clone()), &app.project.schema).await?;
    Ok((stored.ok_or_else(unknown)?, known))
}

/// Every propensity with its reasons; none before the first training.
async fn scores(app: &App, id: &CustomerId, request_id: RequestId) -> Result<Option<Value>, Problem> {
    if app.artifact.is_none() {
        return Ok(None);
    }
    let asked = request(json!({ "customer_id": id, "reasons": REASONS }))?;
    let axum::Json(scores) = score(State(app.clone()), Extension(request_id), Json(asked)).await?;
    read(&scores).map(Some)
}

/// What would be decided now, with all that fell.
async fn decide(app: &App, id: &CustomerId, request_id: &RequestId) -> Result<Value, Problem> {
    let asked = request(json!({ "customer_id": id, "max_actions": 3, "explain": "full" }))?;
    read(&decisions::what_if(app, asked, &request_id.0).await?)
}

fn rows<'a>(answer: &'a Value, name: &str) -> &'a [Value] {
    answer[name].as_array().map_or(&[], Vec::as_slice)
}

fn score_section(scores: Option<&Value>) -> Markup {
    html! {
        section aria-labelledby="scores" {
            h2 id="scores" { "Scores" }
            @match scores {
                None => p { "No model is in use yet: " code { "nextbest train" } " makes them." },
                Some(scores) => @for score in rows(scores, "propensities") { (one_score(score)) },
            }
        }
    }
}

fn one_score(score: &Value) -> Markup {
    let interval = &score["interval"];
    html! {
        h3 { (words::coded(&score["name"])) ": " (words::percent(&score["probability"])) }
        @if interval["lo"].is_number() {
            p.note { (words::percent(&interval["lo"])) " to " (words::percent(&interval["hi"])) " with probability " (words::percent(&interval["level"])) }
        } @else { p.note { "Interval: " (words::coded(&interval["code"])) } }
        ul.reasons {
            @for reason in rows(score, "reasons") {
                li class=(words::text(&reason["direction"])) {
                    (reason["text"].as_str().map_or_else(|| words::coded(&reason["code"]), str::to_owned))
                    " (" (words::text(&reason["direction"])) ", "
                    (reason["contribution"].as_f64().map_or_else(|| "-".to_owned(), |part| format!("{part:+.2}")))
                    @if reason["missing"] == true { ", missing" } ")"
                }
            }
        }
    }
}

fn decision_section(app: &App, decided: &Value) -> Markup {
    let currency = app.project.settings.currency;
    let offered: Vec<&str> =
        rows(decided, "actions").iter().filter_map(|one| one["action_id"].as_str()).collect();
    let degraded: Vec<String> = rows(decided, "degraded").iter().map(words::coded).collect();
    html! {
        section aria-labelledby="decision" {
            h2 id="decision" { "What would be decided now" }
            p { "Outcome: " strong { (words::coded(&decided["outcome"])) } ". Nothing was written." }
            @if !degraded.is_empty() { p { "Lacks: " (degraded.join(", ")) } }
            @if !rows(decided, "candidates").is_empty() {
                div.scroll role="region" aria-label="Actions that survive" tabindex="0" {
                    table {
                        caption { "Actions that survive, best first" }
                        thead { tr {
                            th scope="col" { "Action" } th scope="col" { "Channel" } th scope="col" { "Offered" }
                            th.number scope="col" { "Propensity" } th.number.wide scope="col" { "Context" }
                            th.number.wide scope="col" { "Value" } th.number.wide scope="col" { "Lever" }
                            th.number scope="col" { "Worth" } th.number scope="col" { "Chosen with" }
                        } }
                        tbody { @for one in rows(decided, "candidates") {
                            @let factors = &one["factors"];
                            tr {
                                th scope="row" { (words::coded(&one["action_id"])) }
                                td { (words::coded(&one["channel"])) }
                                td { (if offered.contains(&words::text(&one["action_id"])) { "yes" } else { "no" }) }
                                td.number { (words::percent(&factors["propensity"])) }
                                td.number.wide { (plain(&factors["context_weight"])) }
                                td.number.wide { (words::about(factors.get("value_minor").unwrap_or(&factors["value"]), currency)) }
                                td.number.wide { (plain(&factors["lever"])) }
                                td.number { (words::about(&one["priority"], currency)) }
                                td.number { (words::percent(&one["choice_probability"])) }
                            }
                        } }
                    }
                }
            }
            (fallen(rows(decided, "suppressed")))
        }
    }
}

fn plain(field: &Value) -> String {
    field.as_f64().map_or_else(|| "-".to_owned(), words::number)
}

fn fallen(suppressed: &[Value]) -> Markup {
    html! {
        @if !suppressed.is_empty() {
            h3 { "Why not" }
            div.scroll role="region" aria-label="Actions that fell" tabindex="0" {
                table {
                    caption { "Actions that fell, with the step and the rule" }
                    thead { tr {
                        th scope="col" { "Action" } th scope="col" { "Step" } th scope="col" { "By" }
                        th scope="col" { "Because" } th scope="col" { "Until" }
                    } }
                    tbody { @for one in suppressed { tr {
                        th scope="row" { (words::coded(&one["action_id"])) }
                        td { (words::coded(&one["stage"])) }
                        td { (words::text(&one["component"])) }
                        td { (words::coded(&one["code"])) }
                        td { (words::instant(&one["until"])) }
                    } } }
                }
            }
        }
    }
}

fn price_section(app: &App, id: &CustomerId) -> Markup {
    let address = format!("{HERE}/{}/price", encode(id.as_str()));
    html! {
        section aria-labelledby="price" {
            h2 id="price" { "What would it cost?" }
            form.filters method="get" action=(address) hx-get=(address) hx-target="#price-told" hx-swap="innerHTML" {
                div {
                    label for="sku" { "Item" }
                    select id="sku" name="sku" { @for item in &app.project.pricing.skus { option value=(item.sku) { (item.sku) } } }
                }
                (prices::market(app, ""))
                button type="submit" { "Ask" }
            }
            div id="price-told" role="status" aria-live="polite" {}
        }
    }
}

/// GET /console/customers/{id}/price: the answer alone where a page asks for its part, else on a page of its own.
pub(super) async fn price(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Query(asked): Query<prices::Asked>,
) -> Result<Markup, Refused> {
    let (_, id) = load(&app, &id).await?;
    let quote = prices::ask(&app, &asked, Some(id.as_str())).await?;
    let told = html! {
        h3 { (asked.sku) " for " (id.as_str()) }
        (prices::told(&quote, app.project.settings.currency))
    };
    if headers.contains_key(PART) {
        return Ok(told);
    }
    let content = html! {
        h1 { "What would it cost?" }
        h2 { "One item, asked about; nothing was written" }
        (told)
        p { a href={ (HERE) "/" (encode(id.as_str())) } { "Back to customer " (id.as_str()) } }
    };
    Ok(frame::page(&app, &caller, HERE, "What would it cost?", &content))
}

fn stage_section(changes: &[Event]) -> Markup {
    let attribute = |event: &Event, name: &str| match event.attributes.get(name) {
        Some(AttributeValue::Text(text)) => Some(words::of_code(text)),
        _ => None,
    };
    html! {
        section aria-labelledby="stages" {
            h2 id="stages" { "Changes of stage" }
            @if changes.is_empty() { p { "None was logged." } }
            ol.timeline {
                @for event in changes {
                    li {
                        time { (event.occurred_at.day()) } " "
                        @if let Some(from) = attribute(event, "from") { (from) " to " }
                        strong { (attribute(event, "to").unwrap_or_default()) }
                        @if let Some(cause) = attribute(event, "cause") { ", by " (cause) }
                    }
                }
            }
        }
    }
}

fn feature_section(app: &App, stored: &StoredCustomer) -> Markup {
    let features = app.project.schema.features(&stored.customer, app.clock.now());
    html! {
        section aria-labelledby="features" {
            h2 id="features" { "Features" }
            div.scroll role="region" aria-label="What the models see" tabindex="0" {
                table {
                    caption { "What the models see" }
                    thead { tr { th scope="col" { "Feature" } th.number scope="col" { "Value" } } }
                    tbody {
                        @for (name, value) in app.project.schema.names().iter().zip(features.values()) {
                            tr {
                                th scope="row" { (name) }
                                td.number { @if value.is_nan() { span.none { "missing" } } @else { (words::number(*value)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}
