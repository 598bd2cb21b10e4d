//! Erasure: what the table holds of a customer is found and deleted, and a mark hides what is kept for many at once.
//!
//! A snapshot's page holds fifty customers and is never rewritten; who is erased after it was built is hidden from its
//! readers until it expires. The mark names the customer by a hash alone and expires with the last page it is for.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::{DeleteRequest, WriteRequest};
use nextbest_models::customer::CustomerId;
use nextbest_models::units::Timestamp;
use serde_json::Value;

use super::error::StoreError;
use super::item::{Attributes, CUSTOMER_ID, DOCUMENT, ERASED_AT, Item, PK, SK, key, read_text};
use super::prices::Holder;
use super::scan::Scan;
use super::{Store, Subject, stages};
use crate::keys::sha256_hex;

const ERASED: &str = "erased";

/// Who was erased lately, and when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erasures(HashMap<String, Timestamp>);

impl Erasures {
    /// Whether `customer` was erased at or after `as_of`: what was written of them by then must not be shown.
    #[must_use]
    pub fn hide(&self, customer: &str, as_of: Timestamp) -> bool {
        !self.0.is_empty() && self.0.get(&name(customer)).is_some_and(|at| as_of <= *at)
    }
}

/// What the mark knows a customer by.
fn name(customer: &str) -> String {
    sha256_hex(customer.as_bytes())
}

impl Store {
    /// Marks `customer` as erased at `now`, until `expires_at_seconds`.
    pub async fn mark_erased(
        &self,
        customer: &CustomerId,
        now: Timestamp,
        expires_at_seconds: i64,
    ) -> Result<(), StoreError> {
        let item = Item::new(ERASED, &name(customer.as_str())).text(ERASED_AT, now.to_string());
        let item = item.expires(expires_at_seconds).build()?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        request.send().await.map(|_| ()).map_err(|error| self.named("PutItem", &error))
    }

    /// The marks that have not expired.
    pub async fn erasures(&self, now_seconds: i64) -> Result<Erasures, StoreError> {
        let mut erased = HashMap::new();
        for item in self.partition(ERASED, now_seconds).await? {
            let at = read_text(&item, ERASED_AT)?;
            let at = at.parse().map_err(|_| StoreError::corrupt(ERASED, format!("{at:?} is no instant")))?;
            erased.insert(read_text(&item, SK)?.to_owned(), at);
        }
        Ok(Erasures(erased))
    }

    /// Deletes every item that is `customer`'s or names them, marks and shared pages aside; how many, by the kind of their
    /// key. Reads the whole table.
    pub async fn delete_customer(
        &self,
        customer: &CustomerId,
    ) -> Result<BTreeMap<String, usize>, StoreError> {
        let own = [
            Subject::Customer(customer.clone()).partition(),
            stages::partition(customer),
            format!("locks#{}", Holder::Customer(customer.as_str().to_owned())),
        ];
        let named = Named::new(customer);
        let mut scan = Scan::all(self);
        let mut n_deleted = BTreeMap::new();
        while let Some(page) = scan.next().await? {
            let mut requests = Vec::new();
            for item in &page {
                let (pk, sk) = (read_text(item, PK)?, read_text(item, SK)?);
                if own.iter().any(|own| own == pk) || named.by(item) {
                    let kind = pk.split('#').next().unwrap_or(pk);
                    *n_deleted.entry(kind.to_owned()).or_default() += 1;
                    requests.push(self.deletion(pk, sk)?);
                }
            }
            self.send_all(requests).await?;
        }
        Ok(n_deleted)
    }

    fn deletion(&self, pk: &str, sk: &str) -> Result<WriteRequest, StoreError> {
        let deletion = DeleteRequest::builder().set_key(Some(key(pk, sk))).build();
        let deletion = deletion.map_err(|error| StoreError::corrupt(pk, error.to_string()))?;
        Ok(WriteRequest::builder().delete_request(deletion).build())
    }
}

/// Tells items that name a customer.
struct Named<'a> {
    customer: &'a str,
    /// As JSON writes it: a document without it need not be read.
    quoted: String,
}

impl<'a> Named<'a> {
    fn new(customer: &'a CustomerId) -> Self {
        let customer = customer.as_str();
        Self { customer, quoted: Value::from(customer).to_string() }
    }

    fn by(&self, item: &Attributes) -> bool {
        if read_text(item, CUSTOMER_ID).is_ok_and(|id| id == self.customer) {
            return true;
        }
        let document = read_text(item, DOCUMENT).ok().filter(|document| document.contains(&self.quoted));
        let document = document.and_then(|document| serde_json::from_str(document).ok());
        document.is_some_and(|document| self.within(&document))
    }

    /// An id may be any text, "email" too: only what stands under the name of an id counts.
    fn within(&self, value: &Value) -> bool {
        match value {
            Value::Object(members) => members
                .iter()
                .any(|(name, value)| (name == CUSTOMER_ID && value == self.customer) || self.within(value)),
            Value::Array(values) => values.iter().any(|value| self.within(value)),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_under_an_ids_name_is_an_id() {
        let customer = CustomerId::new("email").unwrap();
        let named = Named::new(&customer);
        let item = |document: &str| Item::new("quote#q", "quote").text(DOCUMENT, document).build().unwrap();
        assert!(!named.by(&item(r#"{"channel":"email","customer_id":"C1"}"#)));
        assert!(named.by(&item(r#"{"request":[{"customer_id":"email"}]}"#)));
        assert!(!named.by(&item(r#"{"customer_id":"emails"}"#)));
        let logged = Item::new("decision#d", "log").text(CUSTOMER_ID, "email").text(DOCUMENT, "{");
        assert!(named.by(&logged.build().unwrap()));
    }

    #[test]
    fn what_came_after_an_erasure_is_shown() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let erased = Erasures(HashMap::from([(name("C1"), at("2026-06-01T12:00:00Z"))]));
        assert!(erased.hide("C1", at("2026-06-01T02:00:00Z")));
        assert!(erased.hide("C1", at("2026-06-01T12:00:00Z")));
        assert!(!erased.hide("C1", at("2026-06-02T02:00:00Z")));
        assert!(!erased.hide("C2", at("2026-06-01T02:00:00Z")));
    }
}
