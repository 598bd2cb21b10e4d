//! `console`: the retention team's pages, made on the server from what the interface answers.
//!
//! A page shows an answer of the interface, or what was opened at the start, and nothing else: no number is computed here
//! that a program could not ask for. Everything works without a script; where there is one, it is ours to serve, and
//! the policy that goes with every page lets a browser load nothing from elsewhere and run nothing that stands in a page.

mod actions;
mod assets;
mod at_risk;
mod customers;
mod frame;
mod metrics;
mod models;
mod prices;
mod reports;
pub(crate) mod session;
mod table;
mod words;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde_json::Value;
use tower_http::compression::{CompressionLayer, CompressionLevel};

use crate::app::App;
use crate::problem::Problem;

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Whoever asks for a part of a page says so; a part cannot lead to another page by itself.
const PART: HeaderName = HeaderName::from_static("hx-request");
const LEAD: HeaderName = HeaderName::from_static("hx-redirect");
const SIGN_IN: &str = "/console/sign-in";

/// Everything below /console.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/console", get(|| async { Redirect::to("/console/at-risk") }))
        .route("/console/at-risk", get(at_risk::show))
        .route("/console/at-risk/cutoff", get(at_risk::cutoff::show))
        .route("/console/customers", get(customers::find))
        .route("/console/customers/{id}", get(customers::show))
        .route("/console/customers/{id}/price", get(customers::price))
        .route("/console/actions", get(actions::show))
        .route("/console/metrics", get(metrics::show))
        .route("/console/models", get(models::show))
        .route("/console/prices", get(prices::list))
        .route("/console/prices/{id}", get(prices::show))
        .route("/console/reports/{id}", get(reports::show))
        .route(SIGN_IN, get(session::ask).post(session::begin))
        .route("/console/sign-out", post(session::end))
        .route("/console/assets/console.css", get(assets::css))
        .route("/console/assets/htmx.min.js", get(assets::htmx))
        .layer(middleware::from_fn(harden))
        // Pages hold no secret that a guess of the caller's could stand beside.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
}

/// What goes with every answer of the console, unless the handler knew better.
async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    protect(response.headers_mut());
    response
}

fn protect(headers: &mut HeaderMap) {
    let all = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Without a referrer a browser would hide the origin of a form too, which is what is checked.
        (header::REFERRER_POLICY, "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in all {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// A refusal in words.
pub(crate) struct Refused(Problem);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(problem) = self;
        let title = problem.status.canonical_reason().unwrap_or("Problem");
        let page = frame::bare(title, &refusal(title, &problem));
        (problem.status, page).into_response()
    }
}

fn refusal(title: &str, problem: &Problem) -> Markup {
    html! {
        h1 { (title) }
        p { (problem.detail) "." }
        p.code { (problem.code) @if let Some(path) = &problem.path { ": " (path) } }
        p { a href="/console/at-risk" { "To the list of customers at risk" } }
    }
}

/// The answer to who is not admitted: pages lead to the sign-in, parts of pages are refused and lead there too.
pub(crate) fn refuse(headers: &HeaderMap, uri: &Uri, problem: &Problem) -> Response {
    let unknown = problem.status == StatusCode::UNAUTHORIZED;
    let mut response = if unknown && headers.contains_key(PART) {
        let lead = [(LEAD, HeaderValue::from_static(SIGN_IN))];
        (StatusCode::UNAUTHORIZED, lead, "the session is over").into_response()
    } else if unknown {
        let back = uri.path_and_query().map_or("/console", |place| place.as_str());
        Redirect::to(&format!("{SIGN_IN}?next={}", encode(back))).into_response()
    } else {
        Refused(problem.clone()).into_response()
    };
    protect(response.headers_mut());
    response
}

const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// `text` as one segment of a path, or one value of a query.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

/// `path` with the fields that are not empty as its query.
fn link(path: &str, fields: &[(&str, &str)]) -> String {
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    let pairs: Vec<String> = given.map(|(name, value)| format!("{name}={}", encode(value))).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// An answer of the interface, as a caller would read it.
fn read<T: Serialize>(answer: &T) -> Result<Value, Problem> {
    serde_json::to_value(answer).map_err(|error| Problem::internal(&error))
}

/// A request of the interface, from fields that a form sent; what it refuses is the form's fault.
fn request<T: serde::de::DeserializeOwned>(fields: Value) -> Result<T, Problem> {
    serde_json::from_value(fields)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "invalid_query", error.to_string()))
}
