//! The files beside the pages: one of style, one of script, both in the binary.
//!
//! htmx 2.0.11 as its package `htmx.org` has it (Zero-Clause BSD, assets/htmx.LICENSE). Addresses carry a hash of
//! the content, so a browser keeps a file for as long as it likes and asks for a new one by its new address.

use std::sync::OnceLock;

use axum::http::{HeaderName, header};
use axum::response::IntoResponse;

use crate::keys::sha256_hex;

pub(super) const CSS: &str = include_str!("assets/console.css");
pub(super) const HTMX: &str = include_str!("assets/htmx.min.js");

type Head = [(HeaderName, &'static str); 2];

const fn head(media_type: &'static str) -> Head {
    [(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")]
}

/// GET /console/assets/console.css.
pub(super) async fn css() -> impl IntoResponse {
    (head("text/css; charset=utf-8"), CSS)
}

/// GET /console/assets/htmx.min.js.
pub(super) async fn htmx() -> impl IntoResponse {
    (head("text/javascript; charset=utf-8"), HTMX)
}

/// The addresses of style and script.
pub(super) fn addresses() -> &'static (String, String) {
    static ADDRESSES: OnceLock<(String, String)> = OnceLock::new();
    ADDRESSES.get_or_init(|| {
        let of = |file: &str, content: &str| {
            format!("/console/assets/{file}?v={}", &sha256_hex(content.as_bytes())[..8])
        };
        (of("console.css", CSS), of("htmx.min.js", HTMX))
    })
}
