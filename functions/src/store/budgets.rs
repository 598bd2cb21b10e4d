//! Budgets: what all customers together were given in a period, counted where everyone sees it.
//!
//! A budget's item holds two sums, contacts and cost, of what was made and of what decisions hold in reserve. What is held
//! is kept besides by the ten minutes in which it expires, so that it can be given back as a whole when that time is
//! over, by whoever next finds the budget used up: nothing is held for ever, and no job has to run for it.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{AttributeValue, Update};
use nextbest_models::policy::contact::Budget;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::Store;
use super::error::{StoreError, is_conflict};
use super::item::{
    Attributes, CONTACTS, COST_MINOR, FORMAT, HELD, HELD_COST, ITEM_FORMAT, TTL, check_format, key,
    read_number,
};

/// What one contact draws on a budget.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// Which budget.
    pub budget_id: String,
    /// First instant of its period.
    pub period: Timestamp,
    /// Cost of the contact.
    pub cost_minor: i64,
}

/// What a decision takes of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taking {
    /// Of which budget, and the cost of all contacts together.
    pub draw: Draw,
    /// Contacts.
    pub n_contacts: i64,
    /// What the budget allows.
    pub limit: Limit,
}

/// What a budget allows in a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Most contacts; none for any number.
    pub max_contacts: Option<u64>,
    /// Most cost; none for any.
    pub max_cost_minor: Option<i64>,
}

impl Limit {
    /// Of a budget of policy.toml, or a campaign's capacity.
    #[must_use]
    pub const fn of(budget: &Budget) -> Self {
        Self { max_contacts: budget.max_contacts, max_cost_minor: budget.max_cost_minor }
    }
}

/// Where a budget stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetState {
    /// Contacts made and held.
    pub n_contacts: i64,
    /// Their cost.
    pub cost_minor: i64,
    /// Of these, held and not yet made: contacts and cost by the ten minutes in which they expire.
    pub held: BTreeMap<i64, (i64, i64)>,
}

const SLOT_MS: i64 = 10 * 60_000;
/// Clocks of several machines differ; what is held is given back only so much later than it expires.
const GRACE_MS: i64 = 5 * 60_000;
/// A budget is kept for so long after it was last drawn on: reports look back a year.
const KEEP_DAYS: i32 = 400;

pub(super) fn slot(expires_at: Timestamp) -> i64 {
    expires_at.as_millis().div_euclid(SLOT_MS)
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn place(draw: &Draw) -> Attributes {
    key(&partition(draw), &draw.period.to_string())
}

fn partition(draw: &Draw) -> String {
    format!("budget#{}", draw.budget_id)
}

/// The write that takes it, held until `expires_at`, if the limit leaves room for it.
pub(super) fn take(
    table: &str,
    taking: &Taking,
    expires_at: Timestamp,
) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
    let Taking { draw, n_contacts, limit } = taking;
    let slot = slot(expires_at);
    let mut conditions = Vec::new();
    let mut update = Update::builder()
        .table_name(table)
        .set_key(Some(place(draw)))
        .update_expression(
            "SET #format = :format, #ttl = :ttl ADD #contacts :n, #cost :cost, #held :n, #held_cost :cost",
        )
        .expression_attribute_names("#format", FORMAT)
        .expression_attribute_names("#ttl", TTL)
        .expression_attribute_names("#contacts", CONTACTS)
        .expression_attribute_names("#cost", COST_MINOR)
        .expression_attribute_names("#held", format!("{HELD}{slot}"))
        .expression_attribute_names("#held_cost", format!("{HELD_COST}{slot}"))
        .expression_attribute_values(":format", number(ITEM_FORMAT))
        .expression_attribute_values(":ttl", number(draw.period.plus_days(KEEP_DAYS).as_millis() / 1000))
        .expression_attribute_values(":n", number(*n_contacts))
        .expression_attribute_values(":cost", number(draw.cost_minor));
    if let Some(max) = limit.max_contacts {
        conditions.push("(attribute_not_exists(#contacts) OR #contacts <= :left)");
        let left = i64::try_from(max).unwrap_or(i64::MAX) - n_contacts;
        update = update.expression_attribute_values(":left", number(left));
    }
    if let Some(max) = limit.max_cost_minor {
        conditions.push("(attribute_not_exists(#cost) OR #cost <= :room)");
        update = update.expression_attribute_values(":room", number(max - draw.cost_minor));
    }
    if !conditions.is_empty() {
        update = update.condition_expression(conditions.join(" AND "));
    }
    update.build()
}

/// What the end of reservations changes of one budget: what is counted, and what is held by when it expires.
#[derive(Clone, Debug, Default)]
pub(super) struct Shift {
    contacts: i64,
    cost_minor: i64,
    held: BTreeMap<i64, (i64, i64)>,
}

impl Shift {
    /// The contact was made: what was held until `expires_at` becomes final.
    pub(super) fn make(&mut self, draw: &Draw, expires_at: Timestamp, now: Timestamp) {
        if is_over(slot(expires_at), now) {
            // It may have been given back; a contact that was made all the same counts whatever the limit says.
            self.contacts += 1;
            self.cost_minor += draw.cost_minor;
        } else {
            self.let_go(draw, expires_at);
        }
    }

    /// The contact will not be made: what is held is given back before its time. Only of a reservation that is still live;
    /// what is over is given back as a whole.
    pub(super) fn give_up(&mut self, draw: &Draw, expires_at: Timestamp) {
        self.contacts -= 1;
        self.cost_minor -= draw.cost_minor;
        self.let_go(draw, expires_at);
    }

    fn let_go(&mut self, draw: &Draw, expires_at: Timestamp) {
        let (contacts, cost) = self.held.entry(slot(expires_at)).or_default();
        *contacts -= 1;
        *cost -= draw.cost_minor;
    }

    /// The write, of the budget and period of `draw`: one, since a transaction takes an item once.
    pub(super) fn write(
        &self,
        table: &str,
        draw: &Draw,
    ) -> Result<Update, aws_sdk_dynamodb::error::BuildError> {
        let mut sums = "SET #format = :format ADD #contacts :contacts, #cost :cost".to_owned();
        let mut update = Update::builder().table_name(table).set_key(Some(place(draw)));
        for (n, (slot, (contacts, cost))) in self.held.iter().enumerate() {
            sums += &format!(", #held{n} :held{n}, #held_cost{n} :held_cost{n}");
            update = update
                .expression_attribute_names(format!("#held{n}"), format!("{HELD}{slot}"))
                .expression_attribute_names(format!("#held_cost{n}"), format!("{HELD_COST}{slot}"))
                .expression_attribute_values(format!(":held{n}"), number(*contacts))
                .expression_attribute_values(format!(":held_cost{n}"), number(*cost));
        }
        update
            .update_expression(sums)
            .expression_attribute_names("#format", FORMAT)
            .expression_attribute_names("#contacts", CONTACTS)
            .expression_attribute_names("#cost", COST_MINOR)
            .expression_attribute_values(":format", number(ITEM_FORMAT))
            .expression_attribute_values(":contacts", number(self.contacts))
            .expression_attribute_values(":cost", number(self.cost_minor))
            .build()
    }
}

fn is_over(slot: i64, now: Timestamp) -> bool {
    (slot + 1) * SLOT_MS + GRACE_MS <= now.as_millis()
}

impl Taking {
    /// Whether the whole budget would be enough for it.
    pub(super) fn is_possible(&self) -> bool {
        let few = |max| self.n_contacts <= i64::try_from(max).unwrap_or(i64::MAX);
        self.limit.max_contacts.is_none_or(few)
            && self.limit.max_cost_minor.is_none_or(|max| self.draw.cost_minor <= max)
    }
}

impl Store {
    /// Where the budget of `draw` stands; nothing was drawn where there is no item.
    pub async fn budget(&self, draw: &Draw) -> Result<BudgetState, StoreError> {
        let item = self.read(&partition(draw), &draw.period.to_string()).await?;
        item.as_ref().map_or(Ok(BudgetState::default()), read)
    }

    /// Gives back what was held of the budget of `draw` and not made in time; whether there was anything.
    pub async fn give_back_expired(&self, draw: &Draw, now: Timestamp) -> Result<bool, StoreError> {
        let state = self.budget(draw).await?;
        let mut any = false;
        for (slot, (contacts, cost)) in state.held {
            if is_over(slot, now) && self.give_back(draw, slot, contacts, cost).await? {
                any |= contacts > 0;
            }
        }
        Ok(any)
    }

    /// Gives one slot back; false when another changed it first.
    async fn give_back(&self, draw: &Draw, slot: i64, contacts: i64, cost: i64) -> Result<bool, StoreError> {
        let request = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(place(draw)))
            .update_expression(
                "SET #contacts = #contacts - :contacts, #cost = #cost - :cost REMOVE #held, #held_cost",
            )
            .condition_expression("#held = :contacts AND #held_cost = :cost")
            .expression_attribute_names("#contacts", CONTACTS)
            .expression_attribute_names("#cost", COST_MINOR)
            .expression_attribute_names("#held", format!("{HELD}{slot}"))
            .expression_attribute_names("#held_cost", format!("{HELD_COST}{slot}"))
            .expression_attribute_values(":contacts", number(contacts))
            .expression_attribute_values(":cost", number(cost));
        match request.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(self.named("UpdateItem", &error)),
        }
    }
}

fn read(item: &Attributes) -> Result<BudgetState, StoreError> {
    check_format(item)?;
    let mut state = BudgetState {
        n_contacts: read_number(item, CONTACTS)?,
        cost_minor: read_number(item, COST_MINOR)?,
        held: BTreeMap::new(),
    };
    for name in item.keys() {
        if let Some(slot) = name.strip_prefix(HELD).and_then(|slot| slot.parse::<i64>().ok()) {
            let cost = read_number(item, &format!("{HELD_COST}{slot}"))?;
            state.held.insert(slot, (read_number(item, name)?, cost));
        }
    }
    Ok(state)
}
