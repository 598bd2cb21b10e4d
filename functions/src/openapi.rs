//! The interface, described: an OpenAPI 3.1 document from the list of routes and the types on the wire.
//!
//! Nothing is written here that a type or [`ROUTES`] says already; a route without its body or answer below does not
//! compile into the document and fails the test.

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use crate::app::App;
use crate::problem::PROBLEM_JSON;
use crate::route::{Access, ROUTES, Route};
use crate::{at_risk, decisions, events, hopper, prices, scores};

/// GET /v1/openapi.json.
pub fn routes() -> Router<App> {
    Router::new().route("/v1/openapi.json", get(show))
}

async fn show() -> Response {
    static DOCUMENT: OnceLock<String> = OnceLock::new();
    let document = DOCUMENT.get_or_init(|| document().to_string());
    ([("content-type", "application/json")], document.as_str()).into_response()
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "nextbest",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Events in; next best actions, prices, scores and customers at risk out. \
                            A number that is not there is null beside a code.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "api_key": { "type": "apiKey", "in": "header", "name": "x-api-key" },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "operationId": operation_id(route),
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": {
            "200": { "description": "Done.", "content": { "application/json": { "schema": answer(route) } } },
            "default": {
                "description": "A refusal, as RFC 9457 has it.",
                "content": { PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        },
    });
    if let Some(function) = route.function {
        operation["tags"] = json!([function.as_str()]);
    }
    if let Access::Roles(roles) = route.access {
        let scopes: Vec<&str> = roles.iter().map(|role| role.as_str()).chain(["admin"]).collect();
        operation["security"] = json!([{ "api_key": [] }, { "token": scopes }]);
    }
    if let Some(body) = body(route) {
        let content = json!({ "application/json": { "schema": { "$ref": body } } });
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let words = route.path.split(['/', '-', '{', '}', '.']).filter(|word| !word.is_empty() && *word != "v1");
    let words: Vec<&str> =
        std::iter::once(if route.method == "GET" { "get" } else { "post" }).chain(words).collect();
    words.join("_")
}

fn parameters(route: &Route) -> Value {
    let text = |name: &str, place: &str, summary: &str| {
        json!({ "name": name, "in": place, "required": place == "path", "description": summary,
                "schema": { "type": "string" } })
    };
    let mut parameters = Vec::new();
    if route.path.contains("{id}") {
        parameters.push(text("id", "path", "As an earlier answer named it."));
    }
    if route.method == "POST" {
        parameters.push(text(
            "Idempotency-Key",
            "header",
            "Same key and body: the stored answer; other body: 409.",
        ));
    }
    let queried = match route.path {
        "/v1/at-risk" => at_risk::PARAMETERS,
        "/v1/hopper" => hopper::list::PARAMETERS,
        _ => &[],
    };
    for (name, summary) in queried {
        parameters.push(text(name, "query", summary));
    }
    parameters.push(text("x-request-id", "header", "Kept in logs and the answer."));
    Value::Array(parameters)
}

fn body(route: &Route) -> Option<&'static str> {
    match (route.method, route.path) {
        ("POST", "/v1/events") => Some("#/components/schemas/EventBatch"),
        ("POST", "/v1/decisions/next-best-action") => Some("#/components/schemas/DecisionRequest"),
        ("POST", "/v1/decisions/{id}/activate") => Some("#/components/schemas/Activation"),
        ("POST", "/v1/at-risk/exports") => Some("#/components/schemas/AtRiskExportRequest"),
        ("POST", "/v1/hopper/{id}/claims") => Some("#/components/schemas/HopperClaims"),
        ("POST", "/v1/prices/quote") => Some("#/components/schemas/QuoteRequest"),
        ("POST", "/v1/prices/quotes/{id}/redeem") => Some("#/components/schemas/Redemption"),
        ("POST", "/v1/scores") => Some("#/components/schemas/ScoreRequest"),
        _ => None,
    }
}

fn answer(route: &Route) -> Value {
    let name = match route.path {
        "/v1/events" => "EventReceipt",
        "/v1/decisions/next-best-action" => "Decision",
        "/v1/decisions/{id}/activate" => "Activated",
        "/v1/prices/quote" | "/v1/prices/quotes/{id}" => "Quote",
        "/v1/prices/quotes/{id}/redeem" => "RedemptionReceipt",
        "/v1/at-risk" => "AtRiskList",
        "/v1/at-risk/exports" => "AtRiskExport",
        "/v1/hopper" => "HopperList",
        "/v1/hopper/{id}/claims" => "HopperClaimed",
        "/v1/scores" => "Scores",
        _ => return json!({ "type": "object" }),
    };
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn schemas() -> Value {
    let mut all: Vec<(String, RefOr<Schema>)> = Vec::new();
    let mut named = |name: &str, schema: RefOr<Schema>| all.push((name.to_owned(), schema));
    named("EventBatch", events::Batch::schema());
    named("EventReceipt", events::Receipt::schema());
    named("DecisionRequest", decisions::Request::schema());
    named("Decision", decisions::Answer::schema());
    named("Activation", decisions::activate::Activation::schema());
    named("Activated", decisions::activate::Activated::schema());
    named("QuoteRequest", prices::Request::schema());
    named("Quote", prices::Quote::schema());
    named("Redemption", prices::Redemption::schema());
    named("RedemptionReceipt", prices::Receipt::schema());
    named("AtRiskList", at_risk::List::schema());
    named("AtRiskExportRequest", at_risk::exports::ExportRequest::schema());
    named("AtRiskExport", at_risk::exports::Export::schema());
    named("HopperList", hopper::list::List::schema());
    named("HopperClaims", hopper::claims::Claims::schema());
    named("HopperClaimed", hopper::claims::Claimed::schema());
    named("ScoreRequest", scores::Request::schema());
    named("Scores", scores::Scores::schema());
    events::Receipt::schemas(&mut all);
    decisions::Request::schemas(&mut all);
    decisions::Answer::schemas(&mut all);
    prices::Request::schemas(&mut all);
    prices::Quote::schemas(&mut all);
    prices::Redemption::schemas(&mut all);
    at_risk::List::schemas(&mut all);
    at_risk::exports::Export::schemas(&mut all);
    hopper::list::List::schemas(&mut all);
    hopper::claims::Claimed::schemas(&mut all);
    scores::Scores::schemas(&mut all);
    let mut schemas: Map<String, Value> =
        all.into_iter().map(|(name, schema)| (name, json!(schema))).collect();
    schemas.insert("Problem".to_owned(), problem());
    Value::Object(schemas)
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "code", "detail"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string", "description": "Stable, for programs." },
            "detail": { "type": "string", "description": "What is wrong, with value and bound." },
            "path": { "type": "string", "description": "Where in the request, such as items[0].quantity." },
            "errors": {
                "type": "array",
                "description": "All faults, where there are several.",
                "items": { "type": "object", "properties": { "path": { "type": "string" }, "detail": { "type": "string" } } },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every `$ref` below `value`.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field {
                        Value::String(target) if name == "$ref" => found.push(target.clone()),
                        field => references(field, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let document = document();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase()];
            assert_eq!(operation["summary"], route.summary);
            assert_eq!(operation.get("requestBody").is_some(), route.method == "POST", "{}", route.path);
            assert_eq!(operation.get("security").is_some(), route.access != Access::Public, "{}", route.path);
        }
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(found.len() > ROUTES.len());
        for target in found {
            let pointer = target.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{target} leads nowhere");
        }
        let decision = &document["components"]["schemas"]["DecisionRequest"]["properties"];
        for field in ["customer_id", "max_actions", "mode", "explain", "consent"] {
            assert!(decision.get(field).is_some(), "{field}");
        }
    }
}
