//! Answers under an Idempotency-Key: claimed before the work, filled after it, kept for a day.
//!
//! A claim is a conditional write, so of two requests with one key only one works. A claim whose holder died is free
//! again after a minute.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Store;
use super::error::{StoreError, is_conflict};
use super::item::{BODY_SHA256, DOCUMENT, Item, PK, STATUS, TOKEN, TTL, key, live, read_number, read_text};

const ANSWER: &str = "answer";
const CLAIM_SECONDS: i64 = 60;
const KEEP_SECONDS: i64 = 24 * 3600;

/// What a claim of an idempotency key met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Nobody had it: work, then [`Store::keep_answer`] with this token.
    Ours(String),
    /// Another request with it is at work.
    InProgress,
    /// It was used for another body.
    OtherBody,
    /// It is answered.
    Answered(StoredAnswer),
}

/// An answer given before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

fn partition(key_hash: &str) -> String {
    format!("answer#{key_hash}")
}

impl Store {
    /// Claims the idempotency key with hash `key_hash` for a body with hash `body_sha256`, as `token`.
    pub async fn claim_answer(
        &self,
        key_hash: &str,
        body_sha256: &str,
        token: &str,
        now_seconds: i64,
    ) -> Result<Claim, StoreError> {
        let item = Item::new(&partition(key_hash), ANSWER)
            .text(BODY_SHA256, body_sha256)
            .text(TOKEN, token)
            .expires(now_seconds + CLAIM_SECONDS)
            .build()?;
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#pk) OR #ttl <= :now OR #token = :token")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#ttl", TTL)
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_values(":now", AttributeValue::N(now_seconds.to_string()))
            .expression_attribute_values(":token", AttributeValue::S(token.to_owned()));
        match request.send().await {
            Ok(_) => return Ok(Claim::Ours(token.to_owned())),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(self.named("PutItem", &error)),
        }
        let item = self.read(&partition(key_hash), ANSWER).await?;
        // It went away between the two calls: the other request failed, and the caller may simply try again.
        let Some(item) = live(item, now_seconds)? else { return Ok(Claim::InProgress) };
        if read_text(&item, BODY_SHA256)? != body_sha256 {
            return Ok(Claim::OtherBody);
        }
        if !item.contains_key(STATUS) {
            return Ok(Claim::InProgress);
        }
        let status = u16::try_from(read_number(&item, STATUS)?).unwrap_or(500);
        Ok(Claim::Answered(StoredAnswer { status, body: read_text(&item, DOCUMENT)?.to_owned() }))
    }

    /// Keeps the answer of a claim for a day, if `token` still holds it.
    pub async fn keep_answer(
        &self,
        key_hash: &str,
        body_sha256: &str,
        token: &str,
        answer: &StoredAnswer,
        now_seconds: i64,
    ) -> Result<(), StoreError> {
        let item = Item::new(&partition(key_hash), ANSWER)
            .text(BODY_SHA256, body_sha256)
            .text(TOKEN, token)
            .number(STATUS, answer.status.into())
            .text(DOCUMENT, &answer.body)
            .expires(now_seconds + KEEP_SECONDS)
            .build()?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = request
            .condition_expression("#token = :token")
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_values(":token", AttributeValue::S(token.to_owned()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Ok(()),
            Err(error) => Err(self.named("PutItem", &error)),
        }
    }

    /// Gives a claim back after the work failed, if `token` still holds it.
    pub async fn release_answer(&self, key_hash: &str, token: &str) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request
            .set_key(Some(key(&partition(key_hash), ANSWER)))
            .condition_expression("#token = :token")
            .expression_attribute_names("#token", TOKEN)
            .expression_attribute_values(":token", AttributeValue::S(token.to_owned()));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_conflict(&error) => Ok(()),
            Err(error) => Err(self.named("DeleteItem", &error)),
        }
    }
}
