//! The decision log: what was decided, and what became of it.
//!
//! The document is the answer the caller saw plus what it was made of, as JSON. Outcomes stand beside it under the
//! id of their event, so that an event that arrives twice is one outcome.

use nextbest_models::event::Event;

use super::error::StoreError;
use super::item::{Attributes, CUSTOMER_ID, DOCUMENT, Item, PK, SK, live, read_text};
use super::scan::Scan;
use super::{Loaded, Store};

const DECISION: &str = "decision#";
const LOG: &str = "log";
const OUTCOME: &str = "outcome#";

/// A decision of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedDecision {
    /// The decision as JSON.
    pub document: serde_json::Value,
    /// The outcome events that named it, by event id.
    pub outcomes: Vec<serde_json::Value>,
}

fn partition(decision_id: &str) -> String {
    format!("{DECISION}{decision_id}")
}

/// A decision as it is logged.
#[derive(Clone, Copy, Debug)]
pub struct LogEntry<'a> {
    /// Its id.
    pub decision_id: &'a str,
    /// Whose.
    pub customer_id: &'a str,
    /// All of it, as JSON.
    pub document: &'a str,
    /// Until when it is kept.
    pub expires_at_seconds: i64,
}

impl LogEntry<'_> {
    pub(super) fn item(&self) -> Result<Attributes, StoreError> {
        Item::new(&partition(self.decision_id), LOG)
            .text(CUSTOMER_ID, self.customer_id)
            .text(DOCUMENT, self.document)
            .expires(self.expires_at_seconds)
            .build()
    }
}

impl Store {
    /// Starts a scan of all decisions and their outcomes, in no order; `segment` of `n_segments`.
    #[must_use]
    pub const fn scan_decisions(&self, segment: i32, n_segments: i32, now_seconds: i64) -> DecisionScan<'_> {
        DecisionScan { scan: Scan::new(self, DECISION, None, segment, n_segments), now_seconds }
    }

    /// Logs a decision. It is written once and never again.
    pub async fn log_decision(&self, entry: &LogEntry<'_>) -> Result<(), StoreError> {
        self.put(entry.item()?).await
    }

    /// Attaches these events, each of which names a decision, to the log of it; repeating it changes nothing.
    pub async fn attach_outcomes<'a>(
        &self,
        events: impl IntoIterator<Item = &'a Event>,
        expires_at_seconds: i64,
    ) -> Result<Loaded, StoreError> {
        let mut items: Vec<Attributes> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for event in events {
            let Some(decision_id) = &event.decision_id else { continue };
            // One call of BatchWriteItem refuses the same key twice.
            if seen.insert((decision_id, &event.event_id)) {
                let document = serde_json::to_string(event).unwrap_or_default();
                let item = Item::new(&partition(decision_id), &format!("{OUTCOME}{}", event.event_id));
                items.push(item.text(DOCUMENT, document).expires(expires_at_seconds).build()?);
            }
        }
        self.write_all(items).await
    }

    /// The decision and its outcomes; none when there is no such decision or its time is over.
    pub async fn decision(
        &self,
        decision_id: &str,
        now_seconds: i64,
    ) -> Result<Option<LoggedDecision>, StoreError> {
        let (mut document, mut outcomes) = (None, Vec::new());
        for item in self.partition(&partition(decision_id), now_seconds).await? {
            match read_text(&item, SK)? {
                LOG => document = Some(read_json(&item)?),
                sk if sk.starts_with(OUTCOME) => outcomes.push(read_json(&item)?),
                _ => {}
            }
        }
        Ok(document.map(|document| LoggedDecision { document, outcomes }))
    }
}

/// An item of the decision log, as a scan meets it.
#[derive(Clone, Debug, PartialEq)]
pub enum LogItem {
    /// A decision.
    Decision(serde_json::Value),
    /// An outcome event of one.
    Outcome(serde_json::Value),
}

/// A running scan of the decision log.
#[derive(Debug)]
pub struct DecisionScan<'a> {
    scan: Scan<'a>,
    now_seconds: i64,
}

impl DecisionScan<'_> {
    /// The next page of the log, possibly empty, each item under its decision's id; none at the end. The items of one
    /// decision lie within one segment, on one page or several.
    pub async fn next(&mut self) -> Result<Option<Vec<(String, LogItem)>>, StoreError> {
        let Some(items) = self.scan.next().await? else { return Ok(None) };
        let mut page = Vec::with_capacity(items.len());
        for item in items {
            let Some(item) = live(Some(item), self.now_seconds)? else { continue };
            let id = read_text(&item, PK)?.strip_prefix(DECISION).unwrap_or_default().to_owned();
            match read_text(&item, SK)? {
                LOG => page.push((id, LogItem::Decision(read_json(&item)?))),
                sk if sk.starts_with(OUTCOME) => page.push((id, LogItem::Outcome(read_json(&item)?))),
                _ => {}
            }
        }
        Ok(Some(page))
    }
}

/// The document of an item as JSON.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(item: &Attributes) -> Result<T, StoreError> {
    serde_json::from_str(read_text(item, DOCUMENT)?).map_err(|error| {
        StoreError::corrupt(read_text(item, PK).unwrap_or("?"), format!("the document is no JSON: {error}"))
    })
}
