//! Items: the attribute names, and reading and writing typed values under them.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;

use super::error::StoreError;

pub(super) const PK: &str = "pk";
pub(super) const SK: &str = "sk";
pub(super) const FORMAT: &str = "format";
pub(super) const TTL: &str = "ttl";
pub(super) const STATE: &str = "state";
pub(super) const VERSION: &str = "version";
pub(super) const SCHEMA: &str = "schema";
pub(super) const WRITER: &str = "writer";
pub(super) const DOCUMENT: &str = "document";
/// JSON, deflated.
pub(super) const PACKED: &str = "packed";
pub(super) const CUSTOMER_ID: &str = "customer_id";
pub(super) const ERASED_AT: &str = "erased_at";
pub(super) const SNAPSHOT_ID: &str = "snapshot_id";
pub(super) const BODY_SHA256: &str = "body_sha256";
pub(super) const STATUS: &str = "status";
pub(super) const TOKEN: &str = "token";
pub(super) const RESERVED: &str = "reserved";
pub(super) const REDEMPTION: &str = "redemption";
pub(super) const UNITS: &str = "units";
pub(super) const CONTACTS: &str = "contacts";
pub(super) const COST_MINOR: &str = "cost_minor";
/// Of a budget, with the number of ten minutes behind it: contacts held until then.
pub(super) const HELD: &str = "held_contacts_";
/// Their cost.
pub(super) const HELD_COST: &str = "held_cost_";

/// Version of every item's layout.
pub(super) const ITEM_FORMAT: i64 = 1;
/// Most bytes DynamoDB holds in one item.
pub const MAX_ITEM_BYTES: usize = 400 * 1024;

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// An item being built; keys and format are always there.
pub(super) struct Item(Attributes);

impl Item {
    pub(super) fn new(pk: &str, sk: &str) -> Self {
        Self(HashMap::new()).text(PK, pk).text(SK, sk).number(FORMAT, ITEM_FORMAT)
    }

    pub(super) fn text(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::S(value.into()));
        self
    }

    pub(super) fn number(mut self, name: &str, value: i64) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::N(value.to_string()));
        self
    }

    pub(super) fn bytes(mut self, name: &str, value: Vec<u8>) -> Self {
        self.0.insert(name.to_owned(), AttributeValue::B(Blob::new(value)));
        self
    }

    /// Expires at `seconds` since 1970; the store removes it some time later.
    pub(super) fn expires(self, seconds: i64) -> Self {
        self.number(TTL, seconds)
    }

    /// The attributes, or the error that they are too many bytes for one item.
    pub(super) fn build(self) -> Result<Attributes, StoreError> {
        let bytes = self.0.iter().map(|(name, value)| name.len() + size(value)).sum();
        if bytes > MAX_ITEM_BYTES {
            let key = read_text(&self.0, PK).unwrap_or_default().to_owned();
            return Err(StoreError::TooLarge { key, bytes, bound: MAX_ITEM_BYTES });
        }
        Ok(self.0)
    }
}

fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        // A number takes at most one byte per two digits and two more.
        AttributeValue::N(digits) => digits.len() / 2 + 2,
        _ => 0,
    }
}

/// The two keys of an item.
pub(super) fn key(pk: &str, sk: &str) -> Attributes {
    let pair = [(PK, pk), (SK, sk)];
    pair.into_iter().map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).collect()
}

pub(super) fn read_text<'a>(item: &'a Attributes, name: &str) -> Result<&'a str, StoreError> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(wrong(item, name, "a text")),
    }
}

pub(super) fn read_number(item: &Attributes, name: &str) -> Result<i64, StoreError> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().map_err(|_| wrong(item, name, "a whole number")),
        _ => Err(wrong(item, name, "a number")),
    }
}

pub(super) fn read_bytes<'a>(item: &'a Attributes, name: &str) -> Result<&'a [u8], StoreError> {
    match item.get(name) {
        Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
        _ => Err(wrong(item, name, "binary")),
    }
}

/// Refuses an item of a later version, and hides one whose time is over but which the store still keeps.
pub(super) fn live(item: Option<Attributes>, now_seconds: i64) -> Result<Option<Attributes>, StoreError> {
    let Some(item) = item else { return Ok(None) };
    check_format(&item)?;
    let expired = item.contains_key(TTL) && read_number(&item, TTL)? <= now_seconds;
    Ok((!expired).then_some(item))
}

pub(super) fn check_format(item: &Attributes) -> Result<(), StoreError> {
    match read_number(item, FORMAT)? {
        ITEM_FORMAT => Ok(()),
        other => {
            let problem = format!("format {other} is not the {ITEM_FORMAT} this version reads");
            Err(StoreError::corrupt(read_text(item, PK).unwrap_or("?"), problem))
        }
    }
}

fn wrong(item: &Attributes, name: &str, wanted: &str) -> StoreError {
    let key = match item.get(PK) {
        Some(AttributeValue::S(key)) => key.as_str(),
        _ => "?",
    };
    StoreError::corrupt(key, format!("attribute {name} is not {wanted}"))
}
