//! Requests, parsed: JSON bodies whose faults are named by their path, and query strings likewise.
//!
//! 400 is for what is no JSON, 422 for JSON with a wrong value, 415 for another media type, 413 for too many bytes.
//! Handlers see only what passed.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// Most bytes of a request body.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// A JSON body.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        check_media_type(request.headers())?;
        let bytes = read_body(request.into_body()).await?;
        parse(&bytes).map(Self)
    }
}

/// A query string.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => {
                let detail = rejection.body_text();
                let detail = detail.strip_prefix("Failed to deserialize query string: ").unwrap_or(&detail);
                Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_query", detail))
            }
        }
    }
}

/// The bytes of a body of at most [`MAX_BODY_BYTES`].
pub async fn read_body(body: axum::body::Body) -> Result<Bytes, Problem> {
    use axum::body::HttpBody as _;
    let announced = body.size_hint().lower();
    if announced > MAX_BODY_BYTES as u64 {
        return Err(too_large());
    }
    axum::body::to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(inner) = cause {
            if inner.to_string().contains("length limit exceeded") {
                return too_large();
            }
            cause = inner.source();
        }
        Problem::new(StatusCode::BAD_REQUEST, "incomplete_body", "the connection ended before the body did")
    })
}

fn too_large() -> Problem {
    let detail = format!("a body takes at most {MAX_BODY_BYTES} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = media_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("content-type is {media_type:?}; it must be application/json");
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail))
}

/// A value from JSON; the fault names the place as a path such as `items[0].quantity`.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would take an array for the fields in their order.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid(".", "invalid type: sequence, expected an object"));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        let problem = if inner.is_data() {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_field", inner.to_string())
        } else {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_json", inner.to_string())
        };
        problem.at(path)
    })?;
    deserializer
        .end()
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, "invalid_json", error.to_string()).at("."))?;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Basket {
        #[expect(dead_code, reason = "only its faults are of interest")]
        items: Vec<Item>,
    }

    #[derive(Debug, serde::Deserialize)]
    struct Item {
        #[expect(dead_code, reason = "only its faults are of interest")]
        quantity: u32,
    }

    #[test]
    fn a_fault_is_named_by_its_path() {
        let wrong = parse::<Basket>(br#"{"items":[{"quantity":1},{"quantity":-2}]}"#).unwrap_err();
        assert_eq!((wrong.status.as_u16(), wrong.path.as_deref()), (422, Some("items[1].quantity")));
        assert!(wrong.detail.contains("-2") && wrong.detail.contains("u32"), "{}", wrong.detail);
        let torn = parse::<Basket>(br#"{"items":[{"quantity":1},"#).unwrap_err();
        assert_eq!((torn.status.as_u16(), torn.code), (400, "invalid_json"));
        let more = parse::<Basket>(br#"{"items":[]} x"#).unwrap_err();
        assert_eq!(more.status.as_u16(), 400);
    }
}
