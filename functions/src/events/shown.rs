//! What events tell of prices: which were shown, into the ledger, and how much was ordered, into the hours' counts.
//!
//! The ledger is what discounts are claimed on, so it is written or the request fails and is sent again. The counts only
//! move prices a little; a failure is logged and let pass.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::event::{Event, EventType};
use nextbest_models::pricing::Ledger;
use nextbest_models::pricing::rules::ANY;
use nextbest_models::units::Timestamp;

use crate::app::App;
use crate::store::{LedgerKey, Orders, PriceBook, StoreError};

/// Ledgers by what they are of.
pub type Ledgers = BTreeMap<LedgerKey, Ledger>;

/// Prices shown of one unit, in minor units, and when, by ledger.
pub(super) type Shown = BTreeMap<LedgerKey, BTreeSet<(i64, Timestamp)>>;

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

/// The prices that `events` say were shown.
pub(super) fn prices<'e>(events: impl Iterator<Item = &'e Event>) -> Shown {
    let mut shown = Shown::new();
    for event in events {
        if let Some((key, price_minor)) = price(event) {
            shown.entry(key).or_default().insert((price_minor, event.occurred_at));
        }
    }
    shown
}

/// Notes in `ledgers` what `event` says was shown: for a load of the whole log.
pub fn note_in(ledgers: &mut Ledgers, event: &Event) {
    if let Some((key, price_minor)) = price(event) {
        ledgers.entry(key).or_default().show(price_minor, event.occurred_at);
    }
}

/// Adds `more` to `ledgers`.
pub fn merge(ledgers: &mut Ledgers, more: Ledgers) {
    for (key, ledger) in more {
        let mine = ledgers.entry(key).or_default();
        for (price_minor, shown) in ledger.prices {
            mine.show(price_minor, shown.first);
            mine.show(price_minor, shown.last);
        }
    }
}

/// Notes them.
pub(super) async fn note(app: &App, shown: Shown) -> Result<(), StoreError> {
    if shown.is_empty() {
        return Ok(());
    }
    // Most are known: one read tells which are not.
    let mut book: PriceBook<()> = app.store.price_book(shown.keys().cloned(), None).await?;
    for (key, prices) in shown {
        let show = |ledger: &mut Ledger| {
            prices.iter().fold(false, |changed, (price, at)| ledger.show(*price, *at) || changed)
        };
        if book.ledgers.get_mut(&key).is_none_or(|ledger| show(&mut ledger.value)) {
            app.store.show_prices(&key, show).await?;
        }
    }
    Ok(())
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
