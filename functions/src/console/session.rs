//! Who looks at the console: a key turned into a session, and back into a role at every request.
//!
//! The session is a signed token (RFC 7515, [`crate::signing`]) in a cookie that no script reads and no other site sends.
//! It names the role, when it ends, and the key it came of by the first bits of its hash: a key that is taken off the list
//! ends its sessions. It opens nothing but the console. Forms that change something are taken from our own pages alone:
//! the browser's `Origin` must be the host that was asked.
//!
//! Where API Gateway knows the callers (`jwt`, `iam`), its verdict is all there is; no session is ever begun.

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use lambda_http::request::RequestContext;
use maud::{Markup, html};
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Refused, SIGN_IN, frame};
use crate::app::App;
use crate::auth::{AuthMode, Caller};
use crate::keys::{Role, fingerprint};
use crate::problem::Problem;
use crate::request::Query;
use crate::route::Access;

/// How long a session lasts, in seconds: a working day.
pub const LAST_SECONDS: i64 = 8 * 3600;

const COOKIE: &str = "nextbest_session";
const ISSUER: &str = "nextbest-console";
const DESK: Access = Access::Roles(&[Role::Retention]);

/// What a session says. `iss` keeps it apart from the quotes, which the same keys sign.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    role: Role,
    key: String,
    exp: i64,
}

/// The caller of a session that still holds, if `access` admits its role.
pub(crate) fn admit(app: &App, headers: &HeaderMap, access: Access) -> Option<Caller> {
    let claims: Claims = app.quote_keys.verify(cookie(headers)?).ok()?;
    let holds = claims.iss == ISSUER && seconds(app.clock.now()) < claims.exp;
    let known = app.auth.mode() == AuthMode::ApiKey && app.auth.keys().holds(claims.role, &claims.key);
    (holds && known && access.admits(claims.role)).then(|| Caller { name: claims.role.as_str().to_owned() })
}

const fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

/// The query of the sign-in.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
}

/// The form of the sign-in.
#[derive(Debug, Deserialize)]
struct Form {
    #[serde(default)]
    key: String,
    #[serde(default)]
    next: String,
}

/// GET /console/sign-in.
pub(super) async fn ask(State(app): State<App>, Query(asked): Query<Asked>) -> Markup {
    frame::bare("Sign in", &form(&app, &asked.next, None))
}

/// POST /console/sign-in.
pub(super) async fn begin(
    State(app): State<App>,
    context: Option<Extension<RequestContext>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    check_origin(&headers)?;
    let form: Form = read(&body)?;
    let role = app.auth.keys().role_of(form.key.trim()).filter(|role| DESK.admits(*role));
    let Some(role) = role.filter(|_| app.auth.mode() == AuthMode::ApiKey) else {
        return Ok(refuse(&app, &form.next));
    };
    let claims = Claims {
        iss: ISSUER.to_owned(),
        role,
        key: fingerprint(form.key.trim()),
        exp: seconds(app.clock.now()) + LAST_SECONDS,
    };
    let token = app.quote_keys.sign(&claims).ok_or_else(no_signing_key)?;
    let cookie = set_cookie(&token, LAST_SECONDS, context.is_some());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(place(&form.next))).into_response())
}

/// POST /console/sign-out.
pub(super) async fn end(
    context: Option<Extension<RequestContext>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    check_origin(&headers)?;
    let cookie = set_cookie("", 0, context.is_some());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(SIGN_IN)).into_response())
}

fn read(body: &[u8]) -> Result<Form, Problem> {
    let uri = std::str::from_utf8(body).ok().and_then(|text| format!("/?{text}").parse().ok());
    let form = uri.and_then(|uri| axum::extract::Query::<Form>::try_from_uri(&uri).ok());
    let form = form.map(|axum::extract::Query(form)| form);
    form.ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "invalid_form", "the form cannot be read"))
}

fn no_signing_key() -> Problem {
    let detail = "sessions are signed with the keys of quotes (NEXTBEST_QUOTE_KEYS), and there are none";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "no_signing_key", detail)
}

/// Behind API Gateway the browser came by TLS, and shall send the cookie by nothing else.
fn set_cookie(token: &str, seconds: i64, tls: bool) -> HeaderValue {
    let secure = if tls { "; Secure" } else { "" };
    let text =
        format!("{COOKIE}={token}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
    // A compact JWS is of letters, digits, '-', '_' and '.'.
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// 403 unless the form is on a page of ours.
fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let from = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    if from.is_some() && from == text(header::HOST) {
        return Ok(());
    }
    let detail = "this form is taken from the console's own pages only";
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail))
}

/// Where to go on: a page of the console, and nowhere else.
fn place(next: &str) -> &str {
    let inside = next == "/console" || next.starts_with("/console/");
    let plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if inside && plain { next } else { "/console/at-risk" }
}

fn refuse(app: &App, next: &str) -> Response {
    let told = "This key does not open the console. It takes a key of the role retention or admin.";
    (StatusCode::FORBIDDEN, frame::bare("Sign in", &form(app, next, Some(told)))).into_response()
}

fn form(app: &App, next: &str, told: Option<&str>) -> Markup {
    html! {
        h1 { "Sign in" }
        @if app.auth.mode() == AuthMode::ApiKey {
            @if let Some(told) = told { p.refused role="alert" id="told" { (told) } }
            form.sign-in method="post" action=(SIGN_IN) {
                label for="key" { "API key" }
                input id="key" name="key" type="password" required autocomplete="current-password" spellcheck="false"
                    aria-describedby=[told.map(|_| "told")];
                input type="hidden" name="next" value=(next);
                button type="submit" { "Sign in" }
            }
            p.note { "A key of the role retention or admin. The session ends after eight hours." }
        } @else {
            p { "Callers are known to API Gateway here: who reaches the console is signed in before, by the proxy in \
                 front of it." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_nowhere_but_to_the_console() {
        for inside in ["/console", "/console/customers/C%201?sku=MUG"] {
            assert_eq!(place(inside), inside);
        }
        for outside in
            ["", "https://example.com", "//example.com", "/consolex", "/console/\\evil", "/console/\n"]
        {
            assert_eq!(place(outside), "/console/at-risk", "{outside:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=b; nextbest_session=x.y.z".parse().unwrap());
        assert_eq!(cookie(&headers), Some("x.y.z"));
        headers.insert(header::COOKIE, "xnextbest_session=1".parse().unwrap());
        assert_eq!(cookie(&headers), None);
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let with = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
            headers.extend(origin.map(|origin| (header::ORIGIN, HeaderValue::from_static(origin))));
            check_origin(&headers).is_ok()
        };
        assert!(with(Some("http://127.0.0.1:8080")));
        for other in [None, Some("null"), Some("http://127.0.0.1:8081"), Some("http://evil.example")] {
            assert!(!with(other), "{other:?}");
        }
    }
}
