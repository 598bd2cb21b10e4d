//! The log of a customer's changes of stage: one item each, under day and stage.
//!
//! It has a partition of its own, so that whoever writes it needs no right to write a customer's state.
//! The key says what happened, so writing it again changes nothing: the fold that brings a change about writes it,
//! and the nightly run writes those of the last days, which silence brought or a lost write left out.

use aws_sdk_dynamodb::types::AttributeValue;
use nextbest_models::customer::CustomerId;
use nextbest_models::event::Event;
use nextbest_models::lifecycle::Transition;

use super::decisions::read_json;
use super::error::StoreError;
use super::item::{Attributes, DOCUMENT, Item, PK, SK, live};
use super::{Loaded, Store};

const STAGE: &str = "stage#";

pub(super) fn partition(customer: &CustomerId) -> String {
    format!("stages#{customer}")
}

impl Store {
    /// Logs these changes of stage as `stage_changed` events, kept until `expires_at_seconds`; repeating it changes
    /// nothing. No request is made for none.
    pub async fn put_transitions<'a>(
        &self,
        transitions: impl IntoIterator<Item = &'a (CustomerId, Transition)>,
        expires_at_seconds: i64,
    ) -> Result<Loaded, StoreError> {
        let item = |(customer, transition): &(CustomerId, Transition)| {
            let partition = partition(customer);
            let document = serde_json::to_string(&transition.event(customer));
            let document = document.map_err(|error| StoreError::corrupt(&partition, error.to_string()))?;
            let key = format!("{STAGE}{}#{}", transition.day, transition.to.as_str());
            Item::new(&partition, &key).text(DOCUMENT, document).expires(expires_at_seconds).build()
        };
        self.write_all(transitions.into_iter().map(item).collect::<Result<_, _>>()?).await
    }

    /// The logged changes of stage of a customer, oldest first.
    pub async fn stage_changes(
        &self,
        customer: &CustomerId,
        now_seconds: i64,
    ) -> Result<Vec<Event>, StoreError> {
        let pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#pk = :pk AND begins_with(#sk, :stage)")
            .expression_attribute_names("#pk", PK)
            .expression_attribute_names("#sk", SK)
            .expression_attribute_values(":pk", AttributeValue::S(partition(customer)))
            .expression_attribute_values(":stage", AttributeValue::S(STAGE.to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<Attributes>, _>>()
            .await;
        let items = pages.map_err(|error| self.named("Query", &error))?;
        let alive = items.into_iter().map(|item| live(Some(item), now_seconds)).filter_map(Result::transpose);
        alive.map(|item| read_json(&item?)).collect()
    }
}
