//! The door every request passes: request id, role, body size, idempotency, and a problem document for whatever
//! goes wrong before or inside a handler. Handlers behind it only see admitted callers.

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use lambda_http::request::RequestContext;
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;
use crate::auth::Caller;
use crate::clock::{self, Stopwatch};
use crate::console::{self, session};
use crate::idempotency;
use crate::problem::Problem;
use crate::request::read_body;
use crate::route::{self, Route};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID_BYTES: usize = 128;

/// The id under which a request is logged and answered: the caller's `x-request-id`, else the gateway's, else new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(pub String);

/// Puts `routes` behind the door.
pub fn close(routes: Router<App>, app: App) -> Router {
    routes
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app.clone(), enter))
        .with_state(app)
}

async fn enter(State(app): State<App>, mut request: Request, next: Next) -> Response {
    // Deadlines count from here.
    request.extensions_mut().insert(Stopwatch::start());
    let id = request_id(&request);
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = match admit(&app, &request) {
        Ok(caller) => {
            request.extensions_mut().insert(caller.clone());
            pass(&app, &caller, request, next).await.unwrap_or_else(IntoResponse::into_response)
        }
        Err(problem) => refused(&request, problem),
    };
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn admit(app: &App, request: &Request) -> Result<Caller, Problem> {
    let path = request.extensions().get::<MatchedPath>();
    // What is not listed is a 404 or 405 of the fallbacks: nothing to protect.
    match path.and_then(|path| route::find(request.method().as_str(), path.as_str())) {
        Some(route) => {
            let admitted = app.auth.admit(request.headers(), request.extensions(), route.access);
            let session = || session::admit(app, request.headers(), route.access);
            admitted.or_else(|problem| if route.is_page() { session().ok_or(problem) } else { Err(problem) })
        }
        None if path.is_some_and(|path| route::allowed_methods(path.as_str()).is_empty()) => {
            Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "this endpoint is not listed"))
        }
        None => Ok(Caller { name: String::new() }),
    }
}

/// The answer to who is not admitted: in words where a browser asks for a page.
fn refused(request: &Request, problem: Problem) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let route = path.and_then(|path| route::find(request.method().as_str(), path.as_str()));
    if route.is_some_and(Route::is_page) {
        console::refuse(request.headers(), request.uri(), &problem)
    } else {
        problem.into_response()
    }
}

async fn pass(app: &App, caller: &Caller, request: Request, next: Next) -> Result<Response, Problem> {
    if request.method() != Method::POST {
        return Ok(next.run(request).await);
    }
    let key = idempotency::key(request.headers())?;
    let (parts, body) = request.into_parts();
    let bytes = read_body(body).await?;
    let Some(key) = key else {
        return Ok(next.run(Request::from_parts(parts, Body::from(bytes))).await);
    };
    let place = format!("{} {} {key}", caller.name, parts.uri.path());
    let work = |bytes| next.run(Request::from_parts(parts, Body::from(bytes)));
    idempotency::once(app, &place, bytes, work).await
}

fn request_id(request: &Request) -> String {
    let usable = |id: &&str| {
        (1..=MAX_REQUEST_ID_BYTES).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let sent = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(usable);
    let gateway = || match request.extensions().get::<RequestContext>() {
        Some(RequestContext::ApiGatewayV2(context)) => context.request_id.clone(),
        _ => None,
    };
    sent.map(str::to_owned)
        .or_else(gateway)
        .or_else(|| clock::new_id("req").ok())
        .unwrap_or_else(|| "req_unknown".to_owned())
}

async fn no_such_path(request: Request) -> Problem {
    Problem::not_found("no_such_path", format!("there is nothing at {}", request.uri().path()))
}

async fn no_such_method(path: Option<MatchedPath>, request: Request) -> Problem {
    let allowed = path.map(|path| route::allowed_methods(path.as_str())).unwrap_or_default();
    let detail = format!("{} is not allowed here; allowed: {allowed}", request.method());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).allow(allowed)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of a panic handler")]
fn panicked(panic: Box<dyn std::any::Any + Send + 'static>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
    Problem::internal(&message).into_response()
}

/// Whether a response carries JSON, the only kind that is kept for a repetition.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}
