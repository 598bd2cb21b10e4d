//! Reservations: contacts that decisions hold for a customer until they are made or their time is over.
//!
//! They stand in the customer's own item, so that a decision still reads one item. Logging a decision, holding its
//! contacts and drawing on budgets is one transaction: all of it happens or none, whoever races and whatever is cut off.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, Put, TransactWriteItem, Update};
use nextbest_models::customer::{Customer, stable_hash};
use nextbest_models::feature::Schema;
use nextbest_models::policy::contact::PastContact;
use nextbest_models::policy::hopper::is_capacity;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::Store;
use super::budgets::{self, Draw, Shift, Taking};
use super::customers::{Held, Subject, state_attributes};
use super::decisions::LogEntry;
use super::error::StoreError;
use super::item::{Attributes, PK, RESERVED, VERSION, WRITER};
use super::retry::Backoff;

/// A contact that is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The decision that offered it.
    pub decision_id: String,
    /// What is offered.
    pub action_id: String,
    /// Through which channel.
    pub channel: String,
    /// When it was decided.
    pub at: Timestamp,
    /// Until when it is held.
    pub expires_at: Timestamp,
    /// What it draws on budgets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub draws: Vec<Draw>,
}

impl Reservation {
    /// As the contact policy counts it.
    #[must_use]
    pub fn as_contact(&self) -> PastContact {
        PastContact::reserved(self.at, &self.action_id, &self.channel)
    }

    /// Whether `customer` has been contacted by it.
    #[must_use]
    pub fn is_made(&self, customer: &Customer) -> bool {
        let (decision, action) = (stable_hash(&self.decision_id), stable_hash(&self.action_id));
        customer.contacts().since(Timestamp::MIN, Timestamp::MAX).any(|contact| {
            contact.decision == Some(decision) && contact.action.is_none_or(|other| other == action)
        })
    }

    fn drawn(&self) -> impl Iterator<Item = (&Draw, Timestamp)> {
        self.draws.iter().map(|draw| (draw, self.expires_at))
    }

    /// Whether it stands on an overnight list.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.draws.iter().any(|draw| is_capacity(&draw.budget_id))
    }

    /// Whether it still counts at `now`.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires_at
    }
}

/// What a decision holds beside its log.
#[derive(Clone, Copy, Debug)]
pub struct Hold<'a> {
    /// Whose contacts.
    pub subject: &'a Subject,
    /// The customer as read, or a new one.
    pub customer: &'a Customer,
    /// The version that was read; 0 when there was no item.
    pub version: i64,
    /// All reservations that stand from now on, the new ones included.
    pub reservations: &'a [Reservation],
    /// What the new ones take of budgets, each budget once.
    pub takings: &'a [Taking],
    /// Until when the new ones are held.
    pub expires_at: Timestamp,
}

/// Reservations that a write of the customer ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended {
    /// The contacts were made.
    pub(super) made: Vec<Reservation>,
    /// They will not be; their time is not over.
    pub(super) given_up: Vec<Reservation>,
}

impl Ended {
    /// What changes of each budget and period.
    fn shifts(&self, now: Timestamp) -> BTreeMap<(&str, Timestamp), (&Draw, Shift)> {
        let mut shifts: BTreeMap<_, (&Draw, Shift)> = BTreeMap::new();
        for (ended, made) in [(&self.made, true), (&self.given_up, false)] {
            for (draw, expires_at) in ended.iter().flat_map(Reservation::drawn) {
                let key = (draw.budget_id.as_str(), draw.period);
                let (_, shift) = shifts.entry(key).or_insert_with(|| (draw, Shift::default()));
                if made { shift.make(draw, expires_at, now) } else { shift.give_up(draw, expires_at) }
            }
        }
        shifts
    }

    pub(super) fn draws_on_nothing(&self) -> bool {
        self.made.iter().chain(&self.given_up).all(|reservation| reservation.draws.is_empty())
    }
}

/// What came of committing a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    /// Logged and held.
    Done,
    /// The customer was changed by another; read again.
    CustomerChanged,
    /// A budget has no room; decide again without it.
    BudgetSpent(Draw),
}

const ATTEMPTS: u32 = 40;
const WAIT_MS: u64 = 64;

impl Store {
    /// Logs a decision and holds what it offers, all or nothing.
    ///
    /// A race lost to another writer of the customer, and a budget without room, are answers and not errors; a throttle or
    /// a transaction in the way is tried again with waits.
    pub async fn commit(
        &self,
        schema: &Schema,
        entry: &LogEntry<'_>,
        hold: &Hold<'_>,
    ) -> Result<Committed, StoreError> {
        if let Some(taking) = hold.takings.iter().find(|taking| !taking.is_possible()) {
            return Ok(Committed::BudgetSpent(taking.draw.clone()));
        }
        let writes = self.writes(schema, entry, hold)?;
        let mut backoff = Backoff::new(ATTEMPTS, WAIT_MS);
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(writes.clone()));
            let error = match request.send().await {
                Ok(_) => return Ok(Committed::Done),
                Err(error) => error,
            };
            match cancelled_at(&error) {
                // Its own log is there: an earlier attempt went through and its answer was lost.
                Some(Cancelled::Condition(0)) => return Ok(Committed::Done),
                Some(Cancelled::Condition(1)) => return Ok(Committed::CustomerChanged),
                Some(Cancelled::Condition(at)) => {
                    let draw = hold.takings.get(at - 2).map(|taking| taking.draw.clone());
                    return draw
                        .map(Committed::BudgetSpent)
                        .ok_or_else(|| self.named("TransactWriteItems", &error));
                }
                Some(Cancelled::Busy) => {}
                None => match self.named("TransactWriteItems", &error) {
                    StoreError::Throttled { .. } | StoreError::Unreachable { .. } => {}
                    named => return Err(named),
                },
            }
            if !backoff.wait().await {
                let key = hold.subject.to_string();
                return Err(StoreError::Contended { key, attempts: ATTEMPTS });
            }
        }
    }

    /// The log first, then the customer, then the budgets: the places tell what was in the way.
    fn writes(
        &self,
        schema: &Schema,
        entry: &LogEntry<'_>,
        hold: &Hold<'_>,
    ) -> Result<Vec<TransactWriteItem>, StoreError> {
        let refused = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Refused {
            operation: "TransactWriteItems",
            table: self.table.clone(),
            cause: error.to_string(),
        };
        let absent = |item: Attributes| {
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            put.condition_expression("attribute_not_exists(#pk)")
                .expression_attribute_names("#pk", PK)
                .build()
        };
        let log = absent(entry.item()?).map_err(refused)?;
        let mut writes = vec![TransactWriteItem::builder().put(log).build()];
        let reserved = Held { version: hold.version + 1, reservations: hold.reservations };
        let customer = if hold.version == 0 {
            let item = state_attributes(hold.subject, schema, hold.customer, &reserved, entry.decision_id)?;
            TransactWriteItem::builder().put(absent(item).map_err(refused)?).build()
        } else {
            TransactWriteItem::builder().update(self.hold_update(entry, hold).map_err(refused)?).build()
        };
        writes.push(customer);
        for taking in hold.takings {
            let update = budgets::take(&self.table, taking, hold.expires_at).map_err(refused)?;
            writes.push(TransactWriteItem::builder().update(update).build());
        }
        Ok(writes)
    }

    fn hold_update(
        &self,
        entry: &LogEntry<'_>,
        hold: &Hold<'_>,
    ) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
        let number = |value: i64| AttributeValue::N(value.to_string());
        Update::builder()
            .table_name(&self.table)
            .set_key(Some(hold.subject.key()))
            .update_expression("SET #reserved = :reserved, #version = :next, #writer = :writer")
            .condition_expression("#version = :before")
            .expression_attribute_names("#reserved", RESERVED)
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_names("#writer", WRITER)
            .expression_attribute_values(":reserved", AttributeValue::S(encode(hold.reservations)))
            .expression_attribute_values(":next", number(hold.version + 1))
            .expression_attribute_values(":before", number(hold.version))
            .expression_attribute_values(":writer", AttributeValue::S(entry.decision_id.to_owned()))
            .build()
    }

    /// Writes a customer's new state if the stored one still has version `before`, and with it makes final what is held
    /// for contacts that were made and gives back what is held for contacts that were given up; false when another wrote
    /// first.
    pub(super) async fn write_settling(
        &self,
        item: Attributes,
        before: i64,
        ended: &Ended,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let refused = |error: aws_sdk_dynamodb::error::BuildError| StoreError::Refused {
            operation: "TransactWriteItems",
            table: self.table.clone(),
            cause: error.to_string(),
        };
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .condition_expression("#version = :before")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":before", AttributeValue::N(before.to_string()));
        let mut writes = vec![TransactWriteItem::builder().put(put.build().map_err(refused)?).build()];
        for (draw, shift) in ended.shifts(now).into_values() {
            let update = shift.write(&self.table, draw).map_err(refused)?;
            writes.push(TransactWriteItem::builder().update(update).build());
        }
        let request = self.client.transact_write_items().set_transact_items(Some(writes));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) => match cancelled_at(&error) {
                Some(_) => Ok(false),
                None => Err(self.named("TransactWriteItems", &error)),
            },
        }
    }
}

/// Why a transaction was cancelled.
pub(super) enum Cancelled {
    /// The condition of the write at this place failed.
    Condition(usize),
    /// Another transaction, or the load, was in the way.
    Busy,
}

pub(super) fn cancelled_at<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Cancelled> {
    let Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) = error.as_service_error()
    else {
        return None;
    };
    let failed = |reason: &aws_sdk_dynamodb::types::CancellationReason| {
        reason.code() == Some("ConditionalCheckFailed")
    };
    let at = cancelled.cancellation_reasons().iter().position(failed);
    Some(at.map_or(Cancelled::Busy, Cancelled::Condition))
}

pub(super) fn encode(reservations: &[Reservation]) -> String {
    serde_json::to_string(reservations).unwrap_or_default()
}
