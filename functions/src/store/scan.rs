//! A scan of the table for the items of one kind, page by page, some segments in turn or in parallel.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Store;
use super::error::StoreError;
use super::item::{Attributes, PK, SK, key, read_text};
use super::retry::Backoff;

/// A page that is throttled is asked for again: a scan of hours does not begin anew for it.
const ATTEMPTS: u32 = 8;
const WAIT_MS: u64 = 1_000;

/// A running scan.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    store: &'a Store,
    /// What partition keys begin with; any where there is none.
    partition: Option<&'static str>,
    /// The sort key; any where there is none.
    sort: Option<&'static str>,
    segment: i32,
    n_segments: i32,
    start: Option<Attributes>,
    done: bool,
}

impl<'a> Scan<'a> {
    /// Of the items whose partition begins with `partition`, under this sort key alone if there is one; `segment` of
    /// `n_segments` for parallel readers. A partition lies within one segment.
    pub(super) const fn new(
        store: &'a Store,
        partition: &'static str,
        sort: Option<&'static str>,
        segment: i32,
        n_segments: i32,
    ) -> Self {
        Self { store, partition: Some(partition), sort, segment, n_segments, start: None, done: false }
    }

    /// Of every item there is.
    pub(super) const fn all(store: &'a Store) -> Self {
        Self { store, partition: None, sort: None, segment: 0, n_segments: 1, start: None, done: false }
    }

    /// Behind the item of this key, as [`Scan::position`] told it.
    pub(super) fn behind(mut self, (pk, sk): &(String, String)) -> Self {
        self.start = Some(key(pk, sk));
        self
    }

    /// The key of the item that was read last, from which another scan of the segment goes on; none at the segment's end.
    pub(super) fn position(&self) -> Result<Option<(String, String)>, StoreError> {
        let keys = |last| Ok((read_text(last, PK)?.to_owned(), read_text(last, SK)?.to_owned()));
        self.start.as_ref().map(keys).transpose()
    }

    /// The next page, possibly empty; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<Attributes>>, StoreError> {
        if self.done {
            return Ok(None);
        }
        let mut backoff = Backoff::new(ATTEMPTS, WAIT_MS);
        loop {
            match self.page().await {
                Err(error) if error.is_transient() && backoff.wait().await => {}
                page => return page.map(Some),
            }
        }
    }

    async fn page(&mut self) -> Result<Vec<Attributes>, StoreError> {
        let request = self.store.client.scan().table_name(&self.store.table);
        let mut request = request
            .segment(self.segment)
            .total_segments(self.n_segments)
            .set_exclusive_start_key(self.start.clone());
        let mut filters = Vec::new();
        if let Some(partition) = self.partition {
            filters.push("begins_with(#pk, :partition)");
            request = request
                .expression_attribute_names("#pk", PK)
                .expression_attribute_values(":partition", AttributeValue::S(partition.to_owned()));
        }
        if let Some(sort) = self.sort {
            filters.push("#sk = :sort");
            request = request
                .expression_attribute_names("#sk", SK)
                .expression_attribute_values(":sort", AttributeValue::S(sort.to_owned()));
        }
        if !filters.is_empty() {
            request = request.filter_expression(filters.join(" AND "));
        }
        let page = request.send().await.map_err(|error| self.store.named("Scan", &error))?;
        self.start = page.last_evaluated_key;
        self.done = self.start.is_none();
        Ok(page.items.unwrap_or_default())
    }
}
