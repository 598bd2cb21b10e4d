//! Paging through a snapshot: a cursor is bound to its snapshot and its filters, so a list that is worked off over hours
//! neither repeats nor skips anyone, whatever is rebuilt meanwhile.
//!
//! Filters are applied while pages are read; a request reads a bounded number of pages and may come back short with a
//! cursor to go on.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::keys::sha256_hex;
use crate::problem::Problem;
use crate::store::{Listing, PAGE_SIZE, Series};

const MAX_LIMIT: usize = 500;
const DEFAULT_LIMIT: usize = 50;
const MAX_PAGES: usize = 20;

/// Where to go on: position 0 is rank 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) snapshot_id: String,
    pub(crate) position: usize,
}

/// A list that is asked for.
#[derive(Clone, Copy)]
pub(crate) struct Paging<'a> {
    /// Of which series.
    pub(crate) series: Series,
    /// In which of its orders.
    pub(crate) order: &'a str,
    /// `next_cursor` of the answer before.
    pub(crate) cursor: Option<&'a str>,
    /// This snapshot instead of the newest.
    pub(crate) snapshot_id: Option<&'a str>,
    /// Tells the filters apart; a cursor of one is none of another.
    pub(crate) filter: &'a str,
    /// What is told when no snapshot was made yet.
    pub(crate) none_yet: &'static str,
}

/// 400: the query's `path` is wrong.
pub(crate) fn invalid(path: &str, detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_query", detail).at(path)
}

/// Most rows of one answer.
pub(crate) fn limit(asked: Option<usize>) -> Result<usize, Problem> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        limit => Err(invalid("limit", format!("{limit} lies outside 1 ..= {MAX_LIMIT}"))),
    }
}

fn invalid_cursor(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_cursor", detail).at("cursor")
}

fn foreign() -> Problem {
    invalid_cursor("the cursor is not one of this list and filter")
}

impl Paging<'_> {
    /// Where to begin: at the cursor, at the named snapshot, or at the newest.
    pub(crate) async fn start(&self, app: &App) -> Result<Cursor, Problem> {
        let snapshot_id = self.snapshot(app).await?;
        self.start_in(snapshot_id)
    }

    /// The snapshot that is read: the cursor's, the one that is named, or the newest.
    pub(crate) async fn snapshot(&self, app: &App) -> Result<String, Problem> {
        match (self.cursor, self.snapshot_id) {
            (Some(text), _) => Cursor::read(text).map(|(cursor, _)| cursor.snapshot_id).ok_or_else(foreign),
            (None, Some(id)) => Ok(id.to_owned()),
            (None, None) => {
                let current = app.store.current_snapshot(self.series).await?;
                current.ok_or_else(|| Problem::not_found("no_snapshot", self.none_yet))
            }
        }
    }

    /// Where to begin in the snapshot that is read.
    pub(crate) fn start_in(&self, snapshot_id: String) -> Result<Cursor, Problem> {
        let Some(text) = self.cursor else { return Ok(Cursor { snapshot_id, position: 0 }) };
        let cursor = Cursor::decode(text, self.filter).ok_or_else(foreign)?;
        match self.snapshot_id {
            Some(id) if id != cursor.snapshot_id => {
                Err(invalid_cursor("the cursor belongs to another snapshot_id"))
            }
            _ => Ok(cursor),
        }
    }

    /// The header of the cursor's snapshot; 404 when its time is over.
    pub(crate) async fn header<H: DeserializeOwned>(
        &self,
        app: &App,
        snapshot_id: &str,
    ) -> Result<H, Problem> {
        let now_seconds = app.clock.now().as_millis() / 1000;
        let header = app.store.snapshot_header(self.series, snapshot_id, now_seconds).await?;
        header.ok_or_else(|| {
            let detail = format!("snapshot {snapshot_id:?} does not exist or is no longer kept");
            Problem::not_found("unknown_snapshot", detail)
        })
    }

    /// Up to `limit` of the snapshot's `n_rows` that pass, each with its rank from 1, and the cursor to go on with.
    pub(crate) async fn read<T: DeserializeOwned>(
        &self,
        app: &App,
        cursor: &Cursor,
        (limit, n_rows): (usize, usize),
        passes: impl Fn(&T) -> bool,
    ) -> Result<(Vec<(usize, T)>, Option<String>), Problem> {
        let (mut found, mut position) = (Vec::new(), cursor.position);
        let listing = Listing { series: self.series, snapshot_id: &cursor.snapshot_id, order: self.order };
        let next = |position: usize| {
            let snapshot_id = cursor.snapshot_id.clone();
            (position < n_rows).then(|| Cursor { snapshot_id, position }.encode(self.filter))
        };
        for _ in 0..MAX_PAGES {
            let number = position / PAGE_SIZE;
            let page = app.store.snapshot_page::<T>(listing, number).await?;
            let Some(page) = page else { return Ok((found, None)) };
            for row in page.into_iter().skip(position % PAGE_SIZE) {
                position += 1;
                if passes(&row) {
                    found.push((position, row));
                    if found.len() == limit {
                        return Ok((found, next(position)));
                    }
                }
            }
            if position >= n_rows {
                return Ok((found, None));
            }
        }
        Ok((found, next(position)))
    }
}

impl Cursor {
    /// As text: opaque, bound to the filters, with a checksum against typing errors.
    fn encode(&self, filter: &str) -> String {
        let text = format!("{}|{}|{}", self.position, hash(filter), self.snapshot_id);
        let check = sha256_hex(text.as_bytes());
        URL_SAFE_NO_PAD.encode(format!("{}|{text}", &check[..8]))
    }

    fn decode(text: &str, filter: &str) -> Option<Self> {
        Self::read(text).filter(|(_, of)| *of == hash(filter)).map(|(cursor, _)| cursor)
    }

    /// The cursor and what its filters are known by.
    fn read(text: &str) -> Option<(Self, String)> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (check, text) = text.split_once('|')?;
        let mut parts = text.splitn(3, '|');
        let (position, of, snapshot_id) = (parts.next()?, parts.next()?, parts.next()?);
        let valid = sha256_hex(text.as_bytes()).starts_with(check) && check.len() == 8;
        let cursor = Self { snapshot_id: snapshot_id.to_owned(), position: position.parse().ok()? };
        valid.then(|| (cursor, of.to_owned()))
    }
}

fn hash(filter: &str) -> String {
    sha256_hex(filter.as_bytes())[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_bound_to_its_filters_and_survives_no_typing_error() {
        let cursor = Cursor { snapshot_id: "snap_1".into(), position: 250 };
        let text = cursor.encode("min_risk=0.3");
        assert_eq!(Cursor::decode(&text, "min_risk=0.3"), Some(cursor));
        assert_eq!(Cursor::decode(&text, ""), None);
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            let wrong = std::str::from_utf8(&wrong).unwrap();
            assert_eq!(Cursor::decode(wrong, "min_risk=0.3"), None, "at {at}");
        }
    }
}
