//! Settling a basket: reads what was shown and promised, chooses prices, and keeps the quote with what it changes.
//!
//! One batch read and one write, of a transaction where ledgers or promises change with it; a price that is thought over
//! and follows demand takes a query of its recent orders besides. Whoever loses a race reads
//! again and finds what the winner settled on, so that callers at the same moment are told the same price.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::feature::FeatureVector;
use nextbest_models::pricing::{
    Circumstances, Demand, Ledger, Person, PriceChoice, PriceRefusal, RecentDemand, choose_price,
};
use nextbest_models::units::{Seed, Timestamp};
use serde_json::Value;

use super::answer::{Quote, build};
use super::basket::{Basket, Item, QuoteMode};
use super::locks::Locks;
use super::redeem::is_over;
use crate::app::App;
use crate::clock;
use crate::events::expiry_seconds;
use crate::problem::Problem;
use crate::provenance::Provenance;
use crate::store::{Change, LedgerKey, PriceBook, QuoteEntry, StoreError, Versioned};

/// A race for a ledger or a promise is lost at most so often.
const ATTEMPTS: u32 = 24;
/// How long a quote is kept after it expired, in days.
const KEEP_DAYS: i32 = 30;
/// Recent orders are looked at over so many half-lives; what is older weighs less than a thousandth.
const HALF_LIVES: f64 = 10.0;

/// Why there is no quote.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The request cannot be answered.
    Refused(Problem),
    /// The store is away.
    Store(StoreError),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// The quote for `basket`: the one that still holds, or a new one, kept.
pub(super) async fn settle(
    app: &App,
    basket: &Basket<'_>,
    request_id: &str,
    now: Timestamp,
) -> Result<Value, Trouble> {
    let seed = Seed(u64::from_le_bytes(clock::random_bytes().map_err(Problem::from)?));
    for _ in 0..ATTEMPTS {
        let keys = basket.request.items.iter().map(|item| basket.ledger_key(&item.sku));
        let customer = basket.person(app).map(|subject| (subject, &app.project.schema));
        let customer = customer.as_ref().map(|(subject, schema)| (subject, *schema));
        let book: PriceBook<Locks> = app.store.price_book(keys, basket.holder.as_ref(), customer).await?;
        if let Some(quote) = standing_quote(app, basket, &book, now).await? {
            return Ok(quote);
        }
        let recent = recent(app, basket, &book, now).await?;
        let choices = choose(app, app.demand.as_ref(), basket, Some(&book), &recent, seed, now)?;
        let head =
            Provenance::new(app, clock::new_id("quo").map_err(Problem::from)?, request_id.to_owned(), now);
        let quote = build(app, head, basket, choices.clone(), Some(&book))?;
        let document = serde_json::to_value(&quote).map_err(|error| Problem::internal(&error))?;
        if basket.request.mode == QuoteMode::DryRun
            || keep(app, basket, book, &quote, &document, &choices, now).await?
        {
            return Ok(document);
        }
    }
    let key = basket.holder.as_ref().map_or_else(String::new, ToString::to_string);
    Err(StoreError::Contended { key, attempts: ATTEMPTS }.into())
}

/// The quote promised for this basket, unless its time is over or it was redeemed: then the next one is due.
async fn standing_quote(
    app: &App,
    basket: &Basket<'_>,
    book: &PriceBook<Locks>,
    now: Timestamp,
) -> Result<Option<Value>, StoreError> {
    let Some(id) = book.locks.value.quote(&basket.digest, now) else { return Ok(None) };
    let kept = app.store.quote(id, now.as_millis() / 1000).await?;
    let holds = kept.filter(|kept| kept.redemption.is_none() && !is_over(&kept.document, now));
    Ok(holds.map(|kept| kept.document))
}

/// Units ordered lately of each SKU whose price is thought over now; of none where prices do not follow demand.
async fn recent(
    app: &App,
    basket: &Basket<'_>,
    book: &PriceBook<Locks>,
    now: Timestamp,
) -> Result<BTreeMap<String, RecentDemand>, StoreError> {
    let mut found = BTreeMap::new();
    let Some(reaction) = app.project.pricing.demand_reaction else { return Ok(found) };
    let n_hours = (reaction.half_life_hours * HALF_LIVES).min(24.0 * 34.0).ceil() as u32;
    let last = now.as_millis().div_euclid(3_600_000);
    for item in &basket.request.items {
        let pricing = &app.project.pricing;
        let terms = pricing.sku(&item.sku).map_or(pricing.default, |sku| sku.terms);
        let standing = ledger(book, &basket.ledger_key(&item.sku)).and_then(|ledger| ledger.standing);
        let due = standing.is_none_or(|standing| standing.is_due(now, terms.cool_down_hours));
        let locked = book.locks.value.price(&place(basket, item), now).is_some();
        if due && !locked && !found.contains_key(&item.sku) {
            let hours = app.store.orders(&item.sku, last - i64::from(n_hours) + 1, last).await?;
            let ago =
                hours.into_iter().filter_map(|(hour, units)| Some((u32::try_from(last - hour).ok()?, units)));
            found.insert(item.sku.clone(), RecentDemand::of(ago, n_hours, reaction.half_life_hours));
        }
    }
    Ok(found)
}

/// A price for every item, or all that have none, each with the reason.
pub(super) fn choose(
    app: &App,
    demand: Option<&Demand>,
    basket: &Basket<'_>,
    book: Option<&PriceBook<Locks>>,
    recent: &BTreeMap<String, RecentDemand>,
    seed: Seed,
    now: Timestamp,
) -> Result<Vec<PriceChoice>, Problem> {
    let (mut choices, mut faults, mut conflicts) = (Vec::new(), Vec::new(), 0);
    let features = book.and_then(|book| features(app, book, now));
    let purchase = app.artifact.as_ref().and_then(|artifact| artifact.purchase());
    let person = purchase.zip(features.as_ref());
    let person = person.map(|(purchase, features)| Person { purchase, features: features.values() });
    for (at, item) in basket.request.items.iter().enumerate() {
        let around = Circumstances {
            now,
            market: basket.market,
            control: basket.control,
            ledger: book.and_then(|book| ledger(book, &basket.ledger_key(&item.sku))),
            locked_minor: book
                .and_then(|book| book.locks.value.price(&place(basket, item), now))
                .map(|price| price.price_minor),
            recent: recent.get(&item.sku).copied(),
            person,
            seed,
        };
        match choose_price(&app.project.pricing, demand, &around, &item.price_request()) {
            Ok(choice) => choices.push(choice),
            Err(refusal) => {
                conflicts += usize::from(matches!(refusal, PriceRefusal::Conflict { .. }));
                faults.push((format!("items[{at}].{}", field(&refusal)), refusal.to_string()));
            }
        }
    }
    let named = |problem: Problem| if conflicts > 0 { problem.named("guardrails_conflict") } else { problem };
    Problem::unless_none(faults).map_err(named)?;
    Ok(choices)
}

/// Of a customer who may be asked a price of their own, and has not objected to that.
fn features(app: &App, book: &PriceBook<Locks>, now: Timestamp) -> Option<FeatureVector> {
    let customer = &book.customer.as_ref()?.customer;
    (!customer.objected()).then(|| app.project.schema.features(customer, now))
}

fn field(refusal: &PriceRefusal) -> &str {
    match refusal {
        PriceRefusal::NoListPrice { .. } => "list_price_minor",
        PriceRefusal::OutOfRange { field, .. } => field,
        PriceRefusal::Conflict { .. } => "sku",
        PriceRefusal::NoPriorPrice { .. } => "announced_percent",
    }
}

pub(super) fn ledger<'b>(book: &'b PriceBook<Locks>, key: &LedgerKey) -> Option<&'b Ledger> {
    book.ledgers.get(key).map(|ledger| &ledger.value)
}

/// For what a price is promised: another list price is another item.
pub(super) fn place(basket: &Basket<'_>, item: &Item) -> String {
    let key = basket.ledger_key(&item.sku);
    format!("{}#{}#{}#{}", key.market, key.channel, item.list_price_minor.unwrap_or(0), key.sku)
}

/// Keeps the quote, and with it what it changes; false when another changed it first.
async fn keep(
    app: &App,
    basket: &Basket<'_>,
    mut book: PriceBook<Locks>,
    quote: &Quote,
    document: &Value,
    choices: &[PriceChoice],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut changed = BTreeSet::new();
    for (item, choice) in basket.request.items.iter().zip(choices) {
        let key = basket.ledger_key(&item.sku);
        let Some(Versioned { value, .. }) = book.ledgers.get_mut(&key) else { continue };
        let settled = choice.standing.is_some();
        value.standing = choice.standing.or(value.standing);
        if value.show(choice.quoted_price_minor, now) || settled {
            changed.insert(key);
        }
    }
    let mut changes = Vec::with_capacity(changed.len() + 1);
    for (key, ledger) in book.ledgers.iter().filter(|(key, _)| changed.contains(key)) {
        changes.push(Change::of_ledger(key, &ledger.value, ledger.version)?);
    }
    if let Some(holder) = &basket.holder {
        let locks = &mut book.locks.value;
        for (item, choice) in basket.request.items.iter().zip(choices) {
            locks.promise(place(basket, item), choice, quote.expires_at, now);
        }
        locks.give(&basket.digest, &quote.quote_id, quote.expires_at, now);
        let end = locks.end().unwrap_or(quote.expires_at);
        changes.push(Change::of_locks(holder, locks, book.locks.version, expiry_seconds(end, 1))?);
    }
    let expires_at_seconds = expiry_seconds(quote.expires_at, KEEP_DAYS);
    let entry = QuoteEntry { quote_id: &quote.quote_id, document, expires_at_seconds };
    app.store.keep_quote(&entry, &changes).await
}
