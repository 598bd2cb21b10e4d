//! The body of a quote request, and what passed its checks: a basket, its market, and to whom its prices are promised.
//!
//! All faults of all items are told at once. Two requests are for the same basket if their digests agree: the same items
//! and list prices in the same market and channel, in any order; what the caller knows of stock and competitors may change.

use nextbest_models::customer::CustomerId;
use nextbest_models::event::{MAX_AMOUNT_MINOR, MAX_QUANTITY as MAX_STOCK};
use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::ledger::KEEP_DAYS;
use nextbest_models::pricing::rules::ANY;
use nextbest_models::pricing::{MarketRules, PriceRequest};
use nextbest_models::units::{Currency, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::events::MAX_AHEAD_MS;
use crate::keys::sha256_hex;
use crate::problem::Problem;
use crate::store::{Holder, LedgerKey, Subject};

/// Most items of one quote: with its own item and the promises they fit one transaction of the store.
pub const MAX_ITEMS: usize = 98;
const MAX_QUANTITY: i64 = 1_000_000;
const MAX_TEXT_BYTES: usize = 128;

/// The body.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Whose basket; prices are promised to them.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) customer_id: Option<CustomerId>,
    /// The visit; prices are promised to it where no customer is known.
    #[serde(default)]
    pub(super) session_id: Option<String>,
    pub(super) items: Vec<Item>,
    #[schema(value_type = String)]
    pub(super) currency: Currency,
    /// One of pricing.toml, where it has markets.
    #[serde(default)]
    pub(super) market: Option<String>,
    /// web, app, ...
    #[serde(default)]
    pub(super) channel: Option<String>,
    #[serde(default)]
    pub(super) mode: QuoteMode,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum QuoteMode {
    /// It is a quote: kept, signed, in the ledger.
    #[default]
    Live,
    /// It only shows what a quote would be; nothing is written.
    DryRun,
}

/// One item.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub(super) sku: String,
    #[serde(default = "one")]
    pub(super) quantity: i64,
    /// Instead of that of pricing.toml.
    #[serde(default)]
    pub(super) list_price_minor: Option<i64>,
    /// Instead of that of pricing.toml.
    #[serde(default)]
    pub(super) unit_cost_minor: Option<i64>,
    /// Units there are.
    #[serde(default)]
    pub(super) stock: Option<i64>,
    /// What a competitor asks.
    #[serde(default)]
    pub(super) competitor_price_minor: Option<i64>,
    /// A discount that was announced, in whole percent of the lowest price of the days before: the price keeps it.
    #[serde(default)]
    pub(super) announced_percent: Option<i64>,
    /// When that discount began; absent: now. It is claimed on the prices before, not on the discounted ones since.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub(super) announced_since: Option<Timestamp>,
}

const fn one() -> i64 {
    1
}

/// A request that passed its checks.
#[derive(Debug)]
pub(super) struct Basket<'a> {
    pub(super) request: &'a Request,
    pub(super) market: &'a MarketRules,
    pub(super) control: Assignment,
    /// To whom prices are promised; nobody where neither customer nor session is named.
    pub(super) holder: Option<Holder>,
    pub(super) digest: String,
}

impl<'a> Basket<'a> {
    /// Checks `request` against the project.
    pub(super) fn new(app: &'a App, request: &'a Request, now: Timestamp) -> Result<Self, Problem> {
        let currency = app.project.settings.currency;
        if request.currency != currency {
            let detail = format!("{} is not the currency of its market, {currency}", request.currency);
            return Err(Problem::invalid("currency", detail));
        }
        let market = app.project.pricing.market(request.market.as_deref());
        let market = market.map_err(|error| Problem::invalid("market", error.to_string()))?;
        let n = request.items.len();
        if !(1..=MAX_ITEMS).contains(&n) {
            return Err(Problem::invalid("items", format!("{n} items; a quote takes 1 to {MAX_ITEMS}")));
        }
        let texts =
            [("session_id", &request.session_id), ("market", &request.market), ("channel", &request.channel)];
        let mut faults: Vec<(String, String)> = texts
            .into_iter()
            .filter_map(|(path, text)| Some((path.to_owned(), fault(text.as_ref()?)?)))
            .collect();
        for (path, text) in &texts[1..] {
            if text.as_ref().is_some_and(|text| text.contains('#')) {
                faults.push(((*path).to_owned(), "has no #".to_owned()));
            }
        }
        for (at, item) in request.items.iter().enumerate() {
            faults.extend(
                item.faults(now).into_iter().map(|(name, fault)| (format!("items[{at}].{name}"), fault)),
            );
        }
        Problem::unless_none(faults)?;
        let rules = app.project.policy.control();
        let control = request.customer_id.as_ref().map(|id| rules.assign(id, now)).unwrap_or_default();
        let customer = request.customer_id.as_ref().map(|id| Holder::Customer(id.to_string()));
        let session = || request.session_id.clone().map(Holder::Session);
        Ok(Self { request, market, control, holder: customer.or_else(session), digest: digest(request) })
    }

    /// Whose features may enter the prices: of a known customer, held out of nothing, in a market that allows it, where a
    /// model is there that takes them.
    pub(super) fn person(&self, app: &App) -> Option<Subject> {
        let learned = app.artifact.as_ref().is_some_and(|artifact| artifact.purchase().is_some());
        let held_out = self.control.policy || self.control.model;
        let id = self
            .request
            .customer_id
            .clone()
            .filter(|_| self.market.personal_features && learned && !held_out);
        id.map(Subject::Customer)
    }

    pub(super) fn ledger_key(&self, sku: &str) -> LedgerKey {
        let named = |text: &Option<String>| text.as_deref().unwrap_or(ANY).to_owned();
        LedgerKey {
            sku: sku.to_owned(),
            market: named(&self.request.market),
            channel: named(&self.request.channel),
        }
    }
}

fn fault(text: &str) -> Option<String> {
    let fits = (1..=MAX_TEXT_BYTES).contains(&text.len());
    (!fits).then(|| format!("takes 1 to {MAX_TEXT_BYTES} bytes"))
}

impl Item {
    fn faults(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut faults: Vec<_> = fault(&self.sku).into_iter().map(|fault| ("sku", fault)).collect();
        let numbers = [
            ("quantity", Some(self.quantity), 1, MAX_QUANTITY),
            ("list_price_minor", self.list_price_minor, 1, MAX_AMOUNT_MINOR),
            ("unit_cost_minor", self.unit_cost_minor, 0, MAX_AMOUNT_MINOR),
            ("stock", self.stock, 0, MAX_STOCK),
            ("competitor_price_minor", self.competitor_price_minor, 1, MAX_AMOUNT_MINOR),
            ("announced_percent", self.announced_percent, 1, 99),
        ];
        for (name, value, least, most) in numbers {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                faults.push((name, format!("{value} lies outside {least} ..= {most}")));
            }
        }
        // What was shown is known for so long.
        let known = now.plus_days(-KEEP_DAYS)..=now.plus_millis(MAX_AHEAD_MS);
        if let Some(since) = self.announced_since.filter(|since| !known.contains(since)) {
            faults.push(("announced_since", format!("{since} lies outside {} ..= {now}", known.start())));
        }
        if self.announced_since.is_some() && self.announced_percent.is_none() {
            faults.push(("announced_since", "of a discount, and none is announced".to_owned()));
        }
        faults
    }

    pub(super) fn price_request(&self) -> PriceRequest {
        PriceRequest {
            sku: self.sku.clone(),
            list_price_minor: self.list_price_minor,
            unit_cost_minor: self.unit_cost_minor,
            stock: self.stock,
            competitor_price_minor: self.competitor_price_minor,
            announced_percent: self.announced_percent.and_then(|percent| u8::try_from(percent).ok()),
            announced_since: self.announced_since,
        }
    }
}

fn digest(request: &Request) -> String {
    let mut items: Vec<_> = request
        .items
        .iter()
        .map(|item| {
            (&item.sku, item.quantity, item.list_price_minor, item.announced_percent, item.announced_since)
        })
        .collect();
    items.sort();
    let whole = (items, &request.market, &request.channel, request.currency);
    sha256_hex(serde_json::to_string(&whole).unwrap_or_default().as_bytes())
}
