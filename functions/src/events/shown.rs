//! What events tell of prices: which were shown, into the ledger, and how much was ordered, into the hours' counts.
//!
//! The ledger is what discounts are claimed on, so it is written or the request fails and is sent again. The counts only
//! move prices a little; a failure is logged and let pass.

use std::collections::BTreeMap;

use nextbest_models::event::{Event, EventType};
use nextbest_models::pricing::Ledger;
use nextbest_models::pricing::rules::ANY;

use crate::app::App;
use crate::store::{LedgerKey, Orders, PriceBook, Store, StoreError};

/// Ledgers by what they are of.
pub type Ledgers = BTreeMap<LedgerKey, Ledger>;

/// The price that `event` says was shown, in minor units, and where; the market is the attribute `market`.
fn price(event: &Event) -> Option<(LedgerKey, i64)> {
    if event.event_type != EventType::PriceShown {
        return None;
    }
    let (sku, value) = (event.sku.as_ref()?, event.value?);
    let price_minor = value.amount_minor / event.quantity.unwrap_or(1).max(1);
    let market = event.text("market").unwrap_or(ANY).replace('#', " ");
    let channel = event.channel.as_deref().unwrap_or(ANY).replace('#', " ");
    (price_minor > 0).then(|| (LedgerKey { sku: sku.clone(), market, channel }, price_minor))
}

/// Notes in `ledgers` what `event` says was shown.
pub fn note_in(ledgers: &mut Ledgers, event: &Event) {
    if let Some((key, price_minor)) = price(event) {
        ledgers.entry(key).or_default().show(price_minor, event.occurred_at);
    }
}

/// Notes `shown` in the stored ledgers, beside what they hold already; how many had to be written.
pub async fn note(store: &Store, shown: &Ledgers) -> Result<usize, StoreError> {
    if shown.is_empty() {
        return Ok(0);
    }
    // Most are known: one read tells which are not.
    let mut book: PriceBook<()> = store.price_book(shown.keys().cloned(), None, None).await?;
    let mut n_written = 0;
    for (key, ledger) in shown {
        if book.ledgers.get_mut(key).is_none_or(|stored| stored.value.merge(ledger)) {
            store.show_prices(key, |stored| stored.merge(ledger)).await?;
            n_written += 1;
        }
    }
    Ok(n_written)
}

/// Counts in `orders` what `event` says was ordered.
pub fn count_in(orders: &mut Orders, event: &Event) {
    if event.event_type == EventType::OrderPlaced
        && let (Some(sku), Some(quantity)) = (&event.sku, event.quantity)
    {
        let hour = event.occurred_at.as_millis().div_euclid(3_600_000);
        *orders.entry((sku.clone(), hour)).or_default() += quantity;
    }
}

/// Counts units ordered, where prices follow demand.
pub(super) async fn count_orders<'e>(app: &App, events: impl Iterator<Item = &'e Event>) {
    if app.project.pricing.demand_reaction.is_none() {
        return;
    }
    let mut units = Orders::new();
    events.for_each(|event| count_in(&mut units, event));
    if let Err(error) = app.store.count_orders(&units).await {
        tracing::warn!(%error, "units ordered are not counted; prices follow demand a little less");
    }
}
