//! Units ordered by SKU and hour: what the reaction of prices to demand looks at.
//!
//! Counts are added where they stand, so that any number of writers share them; a call that the SDK repeats after a lost
//! answer may count twice, which a demand index bears and an account would not.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::error::StoreError;
use super::item::{Attributes, FORMAT, ITEM_FORMAT, Item, PK, SK, TTL, UNITS, key, read_number, read_text};
use super::{Loaded, Store};

const HOUR: &str = "hour#";
/// Units by SKU and hour since 1970.
pub type Orders = BTreeMap<(String, i64), i64>;

/// How long an hour is kept, in hours.
pub const KEEP_HOURS: i64 = 24 * 35;

fn partition(sku: &str) -> String {
    format!("orders#{sku}")
}

/// Sortable as text for hours since 1970 of this and the next centuries.
fn sort_key(hour: i64) -> String {
    format!("{HOUR}{:010}", hour.max(0))
}

impl Store {
    /// Adds units ordered, by SKU and hour since 1970.
    pub async fn count_orders(&self, units: &Orders) -> Result<(), StoreError> {
        for ((sku, hour), units) in units {
            let number = |value: i64| AttributeValue::N(value.to_string());
            let request = self
                .client
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key(&partition(sku), &sort_key(*hour))))
                .update_expression("SET #format = :format, #ttl = :ttl ADD #units :units")
                .expression_attribute_names("#format", FORMAT)
                .expression_attribute_names("#ttl", TTL)
                .expression_attribute_names("#units", UNITS)
                .expression_attribute_values(":format", number(ITEM_FORMAT))
                .expression_attribute_values(":ttl", number((hour + KEEP_HOURS) * 3600))
                .expression_attribute_values(":units", number(*units));
            request.send().await.map_err(|error| self.named("UpdateItem", &error))?;
        }
        Ok(())
    }

    /// Writes these counts, replacing what is there.
    pub async fn load_orders(&self, units: &Orders) -> Result<Loaded, StoreError> {
        let item = |((sku, hour), units): (&(String, i64), &i64)| {
            let item = Item::new(&partition(sku), &sort_key(*hour)).number(UNITS, *units);
            item.expires((hour + KEEP_HOURS) * 3600).build()
        };
        self.write_all(units.iter().map(item).collect::<Result<_, _>>()?).await
    }

    /// Units ordered of `sku` by hour, from hour `first` to `last`, both included.
    pub async fn orders(&self, sku: &str, first: i64, last: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        let pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND #sk BETWEEN :first AND :last")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(partition(sku)))
            .expression_attribute_values(":first", AttributeValue::S(sort_key(first)))
            .expression_attribute_values(":last", AttributeValue::S(sort_key(last)))
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<Attributes>, _>>()
            .await;
        let items = pages.map_err(|error| self.named("Query", &error))?;
        let hour = |item: &Attributes| {
            let text = read_text(item, SK)?.trim_start_matches(HOUR);
            let hour =
                text.parse().map_err(|_| StoreError::corrupt(&partition(sku), "its hour is no number"))?;
            Ok((hour, read_number(item, UNITS)?))
        };
        items.iter().map(hour).collect()
    }
}
