//! Whole partitions: what stands together is read together.

use aws_sdk_dynamodb::types::AttributeValue;

use super::Store;
use super::error::StoreError;
use super::item::{Attributes, PK, live};

impl Store {
    /// The items of partition `pk` whose time is not over, strongly consistent, in the order of their sort keys.
    pub(super) async fn partition(&self, pk: &str, now_seconds: i64) -> Result<Vec<Attributes>, StoreError> {
        let pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_values(":pk", AttributeValue::S(pk.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await;
        let items = pages.map_err(|error| self.named("Query", &error))?;
        items.into_iter().filter_map(|item| live(Some(item), now_seconds).transpose()).collect()
    }
}
