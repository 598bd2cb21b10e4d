//! /console/prices: the items of pricing.toml, and what a quote would be, with its ladder and its guardrails.

use axum::Extension;
use axum::extract::{Path, State};
use maud::{Markup, html};
use nextbest_models::units::Currency;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Refused, encode, frame, request, words};
use crate::app::App;
use crate::auth::Caller;
use crate::prices::what_if;
use crate::problem::Problem;
use crate::request::Query;

const HERE: &str = "/console/prices";

/// The fields of a what-if, as a form sends them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Asked {
    pub(super) sku: String,
    market: String,
}

/// GET /console/prices.
pub(super) async fn list(State(app): State<App>, Extension(caller): Extension<Caller>) -> Markup {
    let (pricing, currency) = (&app.project.pricing, app.project.settings.currency);
    let money = |minor: Option<i64>| words::money(&json!(minor), currency);
    let content = html! {
        h1 { "Prices" }
        p.note { (pricing.skus.len()) " items of pricing.toml. What an item costs now is a click away; looking writes nothing." }
        div.scroll role="region" aria-label="Items" tabindex="0" {
            table {
                caption { "Items of pricing.toml" }
                thead { tr {
                    th scope="col" { "Item" }
                    th scope="col" { "Category" }
                    th.number scope="col" { "List price" }
                    th.number scope="col" { "Cost" }
                    th.number.wide scope="col" { "Floor" }
                    th.number.wide scope="col" { "Ceiling" }
                } }
                tbody { @for item in &pricing.skus { tr {
                    th scope="row" { a href={ (HERE) "/" (encode(&item.sku)) } { (item.sku) } }
                    td { (item.category.as_deref().unwrap_or("-")) }
                    td.number { (money(Some(item.list_price_minor))) }
                    td.number { (money(item.cost_minor)) }
                    td.number.wide { (money(item.floor_minor)) }
                    td.number.wide { (money(item.ceiling_minor)) }
                } } }
            }
        }
    };
    frame::page(&app, &caller, HERE, "Prices", &content)
}

/// GET /console/prices/{id}.
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Path(sku): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Refused> {
    let asked = Asked { sku, ..asked };
    let known = app.project.pricing.sku(&asked.sku).is_some();
    let unknown = || Problem::not_found("unknown_sku", format!("{:?} is no item of pricing.toml", asked.sku));
    let quote = if known { ask(&app, &asked, None).await? } else { return Err(unknown().into()) };
    let content = html! {
        h1 { "Price of " (asked.sku) }
        @if !app.project.pricing.markets.is_empty() {
            form.filters method="get" action={ (HERE) "/" (encode(&asked.sku)) } {
                (market(&app, &asked.market))
                button type="submit" { "Show" }
            }
        }
        h2 { "What would be quoted now" }
        (told(&quote, app.project.settings.currency))
        p { a href=(HERE) { "All items" } }
    };
    Ok(frame::page(&app, &caller, HERE, &format!("Price of {}", asked.sku), &content))
}

/// The what-if of one item, for a customer or for nobody in particular. Where the project has markets and none is named, the
/// first is asked about.
pub(super) async fn ask(app: &App, asked: &Asked, customer_id: Option<&str>) -> Result<Value, Problem> {
    let mut fields = Map::from_iter([
        ("items".to_owned(), json!([{ "sku": asked.sku }])),
        ("currency".to_owned(), json!(app.project.settings.currency)),
    ]);
    let first = app.project.pricing.markets.first().map(|(name, _)| name.as_str());
    let market = Some(asked.market.as_str()).filter(|name| !name.is_empty()).or(first);
    let optional = [("market", market), ("customer_id", customer_id)];
    fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
    what_if(app, request(Value::Object(fields))?).await
}

/// The choice of a market; nothing where the project has none.
pub(super) fn market(app: &App, chosen: &str) -> Markup {
    let markets = &app.project.pricing.markets;
    html! {
        @if !markets.is_empty() {
            div {
                label for="market" { "Market" }
                select id="market" name="market" {
                    @for (name, _) in markets { option value=(name) selected[name == chosen] { (name) } }
                }
            }
        }
    }
}

/// A quote of one item: what it is, what moved it, and the ladder it was chosen from.
pub(super) fn told(quote: &Value, currency: Currency) -> Markup {
    let item = &quote["items"][0];
    let money = |field: &Value| words::money(field, currency);
    let elasticity = &item["elasticity"];
    let degraded: Vec<String> =
        quote["degraded"].as_array().into_iter().flatten().map(words::coded).collect();
    html! {
        dl.told {
            div { dt { "Would be quoted" } dd { strong { (money(&item["quoted_price_minor"])) } } }
            div { dt { "List price" } dd { (money(&item["list_price_minor"])) } }
            div { dt { "The model's own price" } dd { (money(&item["model_price_minor"])) } }
            div { dt { "Bounds" } dd { (money(&item["floor_minor"])) " to " (money(&item["ceiling_minor"])) } }
            div { dt { "Basis" } dd { (words::coded(&item["basis"])) } }
            div { dt { "Outcome" } dd { (words::coded(&quote["outcome"])) } }
            div { dt { "Elasticity" } dd { (elasticity_words(elasticity)) } }
            @if item["everybody_price_minor"].is_i64() { div { dt { "Everybody else" } dd { (money(&item["everybody_price_minor"])) } } }
            @if !degraded.is_empty() { div { dt { "Lacks" } dd { (degraded.join(", ")) } } }
        }
        (guardrails(item, currency))
        (ladder(item, currency))
    }
}

fn elasticity_words(elasticity: &Value) -> String {
    match (words::absence(elasticity), ["value", "lo", "hi"].map(|name| elasticity[name].as_f64())) {
        (None, [Some(value), Some(lo), Some(hi)]) => format!("{value:.2} ({lo:.2} to {hi:.2})"),
        (code, _) => code.map_or_else(|| "-".to_owned(), words::of_code),
    }
}

fn guardrails(item: &Value, currency: Currency) -> Markup {
    let moved = item["guardrails"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        h3 { "Guardrails" }
        @if moved.is_empty() { p { "No guardrail moved the price." } }
        @else {
            div.scroll role="region" aria-label="Guardrails" tabindex="0" {
                table {
                    caption { "Guardrails that moved the price, in order" }
                    thead { tr { th scope="col" { "Guardrail" } th.number scope="col" { "Before" } th.number scope="col" { "After" } } }
                    tbody { @for one in moved { tr {
                        th scope="row" { (words::coded(&one["code"])) }
                        td.number { (words::money(&one["before_minor"], currency)) }
                        td.number { (words::money(&one["after_minor"], currency)) }
                    } } }
                }
            }
        }
    }
}

fn ladder(item: &Value, currency: Currency) -> Markup {
    let rungs = item["ladder"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        h3 { "Ladder" }
        @if rungs.is_empty() { p { "No ladder: nothing tells how demand answers to the price." } }
        @else {
            div.scroll role="region" aria-label="Ladder" tabindex="0" {
                table {
                    caption { "Prices that were weighed" }
                    thead { tr {
                        th.number scope="col" { "Price" }
                        th.number scope="col" { "Sold a showing" }
                        th.number scope="col" { "Expected margin" }
                        th.number scope="col" { "Chosen with" }
                    } }
                    tbody { @for rung in rungs {
                        @let here = rung["price_minor"] == item["quoted_price_minor"];
                        tr.here[here] {
                            th.number scope="row" { (words::money(&rung["price_minor"], currency)) @if here { " (quoted)" } }
                            td.number { (rung["probability"].as_f64().map_or_else(|| "-".to_owned(), |p| format!("{:.2} %", 100.0 * p))) }
                            td.number { (rung["expected_margin_minor"].as_f64().map_or_else(|| "-".to_owned(), |m| format!("{:.2}", m / 100.0))) }
                            td.number { (words::percent(&rung["choice_probability"])) }
                        }
                    } }
                }
            }
        }
    }
}
