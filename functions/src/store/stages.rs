//! The log of a customer's changes of stage: one item each, under day and stage.
//!
//! It has a partition of its own, so that whoever writes it needs no right to write a customer's state.
//! The key says what happened, so writing it again changes nothing: the fold that brings a change about writes it,
//! and the nightly run writes those of the last days, which silence brought or a lost write left out.

use nextbest_models::customer::CustomerId;
use nextbest_models::event::Event;
use nextbest_models::lifecycle::Transition;

use super::decisions::read_json;
use super::error::StoreError;
use super::item::{DOCUMENT, Item};
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
        let items = self.partition(&partition(customer), now_seconds).await?;
        items.iter().map(read_json).collect()
    }
}
