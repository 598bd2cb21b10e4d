//! Refusals as RFC 9457 problem documents.
//!
//! Every answer that is not a success is a [`Problem`]: a stable code for programs, a sentence with value, bound and
//! place for people. What went wrong inside (the store's message, a panic) is logged and never returned.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::clock::NoEntropy;
use crate::store::StoreError;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The HTTP status.
    pub status: StatusCode,
    /// A stable name for programs.
    pub code: &'static str,
    /// What is wrong, with value and bound.
    pub detail: String,
    /// Where in the request, as a JSON path.
    pub path: Option<String>,
    retry_after_seconds: Option<u32>,
    /// What few problems have; boxed, as a problem is an error of every handler.
    more: Option<Box<More>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct More {
    /// All faults, each with its path, where there are several.
    errors: Vec<Fault>,
    /// What to look at instead: link relation and address.
    link: Option<(&'static str, String)>,
    allow: Option<String>,
}

/// One of several faults.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Fault {
    path: String,
    detail: String,
}

/// A problem as RFC 9457 has it on the wire, with members of our own: `code`, `path` and, of several faults, `errors`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    /// A problem of `code` answered with `status`.
    #[must_use]
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), path: None, retry_after_seconds: None, more: None }
    }

    /// The same problem under another stable name.
    #[must_use]
    pub fn named(mut self, code: &'static str) -> Self {
        self.code = code;
        self
    }

    /// The same problem, found at `path` of the request.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// The same problem, which may be over after `seconds`.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// The same problem, naming the methods that are allowed.
    #[must_use]
    pub fn allow(mut self, methods: String) -> Self {
        self.more.get_or_insert_default().allow = Some(methods);
        self
    }

    /// 404: no such thing.
    #[must_use]
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 422: well-formed, but the value at `path` is not allowed.
    #[must_use]
    pub fn invalid(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", detail).at(path)
    }

    /// 422, if there is any fault (path, detail): all of them, the first in front.
    pub fn unless_none(faults: Vec<(String, String)>) -> Result<(), Self> {
        let n = faults.len();
        let Some((path, detail)) = faults.first().cloned() else { return Ok(()) };
        let mut problem = Self::invalid(path, detail);
        if n > 1 {
            problem.detail = format!("{} (and {} more, see errors)", problem.detail, n - 1);
            problem.more.get_or_insert_default().errors =
                faults.into_iter().map(|(path, detail)| Fault { path, detail }).collect();
        }
        Err(problem)
    }

    /// The same problem, with where to go instead, as a `Link` header.
    #[must_use]
    pub fn link(mut self, relation: &'static str, address: String) -> Self {
        self.more.get_or_insert_default().link = Some((relation, address));
        self
    }

    /// 500: our fault; `cause` is logged, not told.
    #[must_use]
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "something failed on our side; it is logged")
    }

    /// 503: no model is loaded, so there is no number to give.
    #[must_use]
    pub fn no_model() -> Self {
        let detail = "no trained artifact is in use; run nextbest train";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "no_model", detail).retry_after(60)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed");
        match error {
            StoreError::Unreachable { .. } | StoreError::NoTable { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store_unreachable",
                "the store does not answer; nothing of this request is lost, send it again",
            )
            .retry_after(1),
            StoreError::Throttled { .. } | StoreError::Contended { .. } | StoreError::Unprocessed { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_busy", "the store is busy; send it again")
                    .retry_after(1)
            }
            StoreError::TooLarge { .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "item_too_large", error.to_string())
            }
            StoreError::State { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stale_state",
                "the stored state was folded for other features; the operator has to load the events again",
            )
            .retry_after(600),
            StoreError::Corrupt { .. } | StoreError::Refused { .. } => Self::internal(&error),
        }
    }
}

impl From<NoEntropy> for Problem {
    fn from(error: NoEntropy) -> Self {
        Self::internal(&error)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let more = self.more.map(|more| *more).unwrap_or_default();
        let document = Document {
            r#type: format!("urn:nextbest:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            path: self.path.as_deref(),
            errors: &more.errors,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        let link = more.link.map(|(relation, address)| format!("<{address}>; rel=\"{relation}\""));
        if let Some(Ok(link)) = link.map(|link| HeaderValue::from_str(&link)) {
            headers.insert(header::LINK, link);
        }
        if let Some(Ok(methods)) = more.allow.map(|methods| HeaderValue::from_str(&methods)) {
            headers.insert(header::ALLOW, methods);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"nextbest\""));
        }
        response
    }
}
