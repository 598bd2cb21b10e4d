//! A price shown, as events tell it: for the audit of prices and for the model of purchases.

use nextbest_models::event::{Event, EventType};
use nextbest_models::project::Project;

/// A price shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Showing<'e> {
    /// Stock-keeping unit.
    pub sku: &'e str,
    /// Of one unit, in minor units; above 0.
    pub price_minor: i64,
    /// As the event tells it, else as pricing.toml does; above 0.
    pub list_price_minor: i64,
}

impl<'e> Showing<'e> {
    /// What `event` showed; none where it is no `price_shown` with SKU, price and a list price to compare with.
    #[must_use]
    pub fn of(project: &Project, event: &'e Event) -> Option<Self> {
        if event.event_type != EventType::PriceShown {
            return None;
        }
        let (sku, value) = (event.sku.as_deref()?, event.value?);
        let price_minor = value.amount_minor / event.quantity.unwrap_or(1).max(1);
        let told = event.number("list_price_minor").map(|list| list.round() as i64);
        let list_price_minor = told.or_else(|| project.pricing.sku(sku).map(|sku| sku.list_price_minor))?;
        (price_minor > 0 && list_price_minor > 0).then_some(Self { sku, price_minor, list_price_minor })
    }
}
