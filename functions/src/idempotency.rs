//! `Idempotency-Key`: the same key with the same body is answered once and then repeated; with another body refused.
//!
//! Keys are kept apart by caller and path, hashed, for a day. While the store is away, or takes longer than a quarter of
//! the deadline for a key, a request goes through unguarded rather than late or not at all: decisions hold contacts
//! against caps, and events have ids of their own.

use std::future::Future;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::clock;
use crate::door::is_json;
use crate::keys::sha256_hex;
use crate::problem::Problem;
use crate::store::{Claim, StoredAnswer};

const MAX_KEY_BYTES: usize = 255;
const MAX_ANSWER_BYTES: usize = 300 * 1024;

/// The request's key, if it has one.
pub fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().unwrap_or("").trim().to_owned();
    if key.is_empty() || key.len() > MAX_KEY_BYTES {
        let detail = format!("an idempotency key takes 1 to {MAX_KEY_BYTES} visible ASCII characters");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail));
    }
    Ok(Some(key))
}

/// Does `work` on `body` unless `place` (caller, path and key) has its answer already.
pub async fn once<F>(
    app: &App,
    place: &str,
    body: Bytes,
    work: impl FnOnce(Bytes) -> F,
) -> Result<Response, Problem>
where
    F: Future<Output = Response>,
{
    let (key, digest) = (sha256_hex(place.as_bytes()), sha256_hex(&body));
    let token = clock::new_id("claim")?;
    let seconds = || app.clock.now().as_millis() / 1000;
    let claim = app.store.claim_answer(&key, &digest, &token, seconds());
    let Ok(claimed) = tokio::time::timeout(app.deadline / 4, claim).await else {
        tracing::warn!("the store is slow: answering without an idempotency guard");
        return Ok(work(body).await);
    };
    match claimed {
        Ok(Claim::Ours(token)) => {
            let response = work(body).await;
            finish(app, &key, &digest, &token, response).await
        }
        Ok(Claim::Answered(answer)) => Ok(repeat(answer)),
        Ok(Claim::OtherBody) => Err(Problem::new(
            StatusCode::CONFLICT,
            "idempotency_key_reused",
            "this idempotency key was used with another body; take a new key",
        )),
        Ok(Claim::InProgress) => Err(Problem::new(
            StatusCode::CONFLICT,
            "idempotency_in_progress",
            "a request with this idempotency key is at work; ask again",
        )
        .retry_after(1)),
        Err(error) if error.is_transient() => {
            tracing::warn!(%error, "answering without an idempotency guard");
            Ok(work(body).await)
        }
        Err(error) => Err(error.into()),
    }
}

async fn finish(
    app: &App,
    key: &str,
    digest: &str,
    token: &str,
    response: Response,
) -> Result<Response, Problem> {
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| Problem::internal(&error))?;
    let text = std::str::from_utf8(&bytes).ok().filter(|text| text.len() <= MAX_ANSWER_BYTES);
    let keeping = async {
        match text {
            Some(text) if parts.status.is_success() && is_json(&parts.headers) => {
                let answer = StoredAnswer { status: parts.status.as_u16(), body: text.to_owned() };
                let now_seconds = app.clock.now().as_millis() / 1000;
                app.store.keep_answer(key, digest, token, &answer, now_seconds).await
            }
            // A refusal or failure changed nothing: the same key may be tried again.
            _ => app.store.release_answer(key, token).await,
        }
    };
    match tokio::time::timeout(app.deadline / 4, keeping).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the answer of an idempotency key could not be kept"),
        Err(_) => tracing::warn!("the store is slow: the answer of an idempotency key is not kept"),
    }
    Ok(Response::from_parts(parts, bytes.into()))
}

fn repeat(answer: StoredAnswer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], answer.body).into_response();
    response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
    response
}
