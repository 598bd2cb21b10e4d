//! Quotes: a price that was named, how long it holds, and who took it.
//!
//! A quote is redeemed by one conditional write, so that however many try, one wins; the others are told who did. It is
//! written together with what it changes of ledgers and locks, in one transaction, or not at all.

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValuesOnConditionCheckFailure};

use super::Store;
use super::decisions::read_json;
use super::error::{StoreError, is_conflict};
use super::item::{Attributes, DOCUMENT, Item, PK, REDEMPTION, key, live, read_text};
use super::scan::Scan;

const QUOTE: &str = "quote";
const PARTITION: &str = "quote#";

fn partition(quote_id: &str) -> String {
    format!("{PARTITION}{quote_id}")
}

/// A quote to be kept.
#[derive(Clone, Copy, Debug)]
pub struct QuoteEntry<'a> {
    /// Its id.
    pub quote_id: &'a str,
    /// What was answered.
    pub document: &'a serde_json::Value,
    /// Until when it is kept, in seconds since 1970.
    pub expires_at_seconds: i64,
}

impl QuoteEntry<'_> {
    pub(super) fn item(&self) -> Result<Attributes, StoreError> {
        Item::new(&partition(self.quote_id), QUOTE)
            .text(DOCUMENT, self.document.to_string())
            .expires(self.expires_at_seconds)
            .build()
    }

    /// The write that keeps it, if no quote has its id.
    pub(super) fn put(&self, table: &str) -> Result<Put, StoreError> {
        let put = Put::builder()
            .table_name(table)
            .set_item(Some(self.item()?))
            .condition_expression("attribute_not_exists(#pk)")
            .expression_attribute_names("#pk", PK);
        put.build().map_err(|error| StoreError::corrupt(self.quote_id, error.to_string()))
    }
}

/// A quote as kept.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredQuote {
    /// What was answered.
    pub document: serde_json::Value,
    /// How it was redeemed; none where it was not.
    pub redemption: Option<serde_json::Value>,
}

/// What came of redeeming a quote.
#[derive(Clone, Debug, PartialEq)]
pub enum Redeemed {
    /// This redemption holds.
    Now,
    /// An earlier one does: that one.
    Before(serde_json::Value),
    /// There is no such quote any more.
    Gone,
}

impl Store {
    /// Keeps a quote.
    pub async fn put_quote(&self, entry: &QuoteEntry<'_>) -> Result<(), StoreError> {
        self.put(entry.item()?).await
    }

    /// The quote; none when there is no such quote or it is no longer kept.
    pub async fn quote(&self, quote_id: &str, now_seconds: i64) -> Result<Option<StoredQuote>, StoreError> {
        let item = self.read(&partition(quote_id), QUOTE).await?;
        live(item, now_seconds)?.as_ref().map(read_quote).transpose()
    }

    /// Redeems a quote by `redemption`, unless it was redeemed before.
    pub async fn redeem(
        &self,
        quote_id: &str,
        redemption: &serde_json::Value,
    ) -> Result<Redeemed, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(key(&partition(quote_id), QUOTE)))
            .update_expression("SET #redemption = :redemption")
            .condition_expression("attribute_exists(#pk) AND attribute_not_exists(#redemption)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#redemption", REDEMPTION)
            .expression_attribute_values(":redemption", AttributeValue::S(redemption.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let error = match request.send().await {
            Ok(_) => return Ok(Redeemed::Now),
            Err(error) if is_conflict(&error) => error,
            Err(error) => return Err(self.named("UpdateItem", &error)),
        };
        let before = match found_instead(&error) {
            Some(item) => Some(read_quote(item)?),
            None => self.quote(quote_id, i64::MIN).await?,
        };
        let Some(before) = before.and_then(|quote| quote.redemption) else { return Ok(Redeemed::Gone) };
        // An attempt whose answer was lost on the way, made again by the SDK, finds itself.
        Ok(if before == *redemption { Redeemed::Now } else { Redeemed::Before(before) })
    }

    /// Starts a scan of all quotes that are kept at `now_seconds`, in no order; `segment` of `n_segments`.
    #[must_use]
    pub const fn scan_quotes(&self, segment: i32, n_segments: i32, now_seconds: i64) -> QuoteScan<'_> {
        QuoteScan { scan: Scan::new(self, PARTITION, Some(QUOTE), segment, n_segments), now_seconds }
    }
}

/// A running scan of the quotes.
#[derive(Debug)]
pub struct QuoteScan<'a> {
    scan: Scan<'a>,
    now_seconds: i64,
}

impl QuoteScan<'_> {
    /// The next page, possibly empty; none at the end.
    pub async fn next(&mut self) -> Result<Option<Vec<StoredQuote>>, StoreError> {
        let Some(items) = self.scan.next().await? else { return Ok(None) };
        let alive =
            items.into_iter().map(|item| live(Some(item), self.now_seconds)).filter_map(Result::transpose);
        alive.map(|item| read_quote(&item?)).collect::<Result<_, _>>().map(Some)
    }
}

fn found_instead<R>(error: &SdkError<UpdateItemError, R>) -> Option<&Attributes> {
    match error.as_service_error()? {
        UpdateItemError::ConditionalCheckFailedException(failed) => failed.item(),
        _ => None,
    }
}

fn read_quote(item: &Attributes) -> Result<StoredQuote, StoreError> {
    let redemption =
        if item.contains_key(REDEMPTION) {
            let text = read_text(item, REDEMPTION)?;
            let parsed = serde_json::from_str(text);
            Some(parsed.map_err(|error| {
                StoreError::corrupt(read_text(item, PK).unwrap_or("?"), error.to_string())
            })?)
        } else {
            None
        };
    Ok(StoredQuote { document: read_json(item)?, redemption })
}
