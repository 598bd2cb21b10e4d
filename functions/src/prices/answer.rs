//! The answer of a quote: what is told of every price, and why a number is not there.

use nextbest_models::customer::CustomerId;
use nextbest_models::pricing::ledger::claimable_percent;
use nextbest_models::pricing::rules::{Objective, PriceExploration};
use nextbest_models::pricing::{Guardrail, MarketRules, PriceBasis, PriceChoice, Rung};
use nextbest_models::units::{Currency, Money, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::basket::{Basket, Item, QuoteMode, Request};
use super::desk::{ledger, place};
use super::locks::Locks;
use crate::app::App;
use crate::problem::Problem;
use crate::provenance::{Absent, Experiment, Provenance};
use crate::store::PriceBook;

/// How a quote came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// At least one price came from the demand model.
    Quoted,
    /// None did: list prices, inside their bounds.
    ListPriceFallback,
    /// None may: the customer is held out of the policy. List prices, inside their bounds.
    ControlListPrice,
}

/// The answer, and what is stored.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quote {
    #[serde(flatten)]
    pub(super) head: Provenance,
    outcome: Outcome,
    /// Names the quote; also the decision.
    pub(super) quote_id: String,
    /// Until when the prices hold.
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
    /// Compact JWS; proves at redemption that the quote is ours.
    signature: Optional<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    customer_id: Option<CustomerId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<String>,
    market: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    mode: QuoteMode,
    #[schema(value_type = String)]
    currency: Currency,
    /// amount_minor, currency.
    #[schema(value_type = Object)]
    total: Money,
    items: Vec<PricedItem>,
    legal: Legal,
    /// What was asked: the same basket is quoted anew from it.
    request: Request,
}

/// What a signature holds: the claims of RFC 7519, times in seconds since 1970, and what was quoted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) jti: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    pub(super) iat: i64,
    exp: i64,
    currency: Currency,
    /// SKU, quantity, price of one unit in minor units.
    pub(super) items: Vec<(String, i64, i64)>,
}

#[derive(Debug, Serialize, ToSchema)]
struct PricedItem {
    sku: String,
    quantity: i64,
    /// model, standing, personal, locked, no_demand, no_cost or control.
    #[schema(value_type = String)]
    basis: PriceBasis,
    list_price_minor: i64,
    model_price_minor: i64,
    quoted_price_minor: i64,
    /// What everybody else is asked, where the price is this customer's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    everybody_price_minor: Option<i64>,
    floor_minor: i64,
    ceiling_minor: i64,
    /// code, before_minor, after_minor.
    #[schema(value_type = Vec<Object>)]
    guardrails: Vec<Guardrail>,
    purchase_probability: Optional<f64>,
    elasticity: Optional<ElasticityInterval>,
    /// Recent over expected orders, where this quote reviewed the price.
    demand_index: Optional<f64>,
    /// margin, revenue or units.
    #[schema(value_type = String)]
    objective: Objective,
    /// With which this price was chosen among the rungs.
    choice_probability: f64,
    /// price_minor, probability, expected_margin_minor, choice_probability.
    #[schema(value_type = Vec<Object>)]
    ladder: Vec<Rung>,
    legal: ItemLegal,
}

/// A value, or null beside the reason why there is none.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum Optional<T: ToSchema> {
    Known(T),
    Absent(Absent),
}

impl<T: ToSchema> Optional<T> {
    fn of(value: Option<T>, absent: Absent) -> Self {
        value.map_or(Self::Absent(absent), Self::Known)
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ElasticityInterval {
    value: f64,
    lo: f64,
    hi: f64,
}

#[derive(Debug, Serialize, ToSchema)]
struct Legal {
    /// Whether features of a person entered a price.
    personalised: bool,
    /// Whether a sentence has to be shown beside the price, and which.
    disclosure_required: bool,
    disclosure: Option<&'static str>,
    /// The days whose lowest price a discount is claimed on; 0: the list price.
    prior_price_days: u16,
}

impl Legal {
    fn of(market: &MarketRules, personalised: bool) -> Self {
        let disclosure = market.disclosure.sentence().filter(|_| personalised);
        Self {
            personalised,
            disclosure_required: disclosure.is_some(),
            disclosure,
            prior_price_days: market.prior_price_days,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ItemLegal {
    /// What a discount is claimed on: the lowest price of the days before it.
    lowest_prior_minor: Optional<i64>,
    discount_claim: DiscountClaim,
}

/// Whether "-x %" may be written beside the price.
#[derive(Debug, Serialize, ToSchema)]
struct DiscountClaim {
    allowed: bool,
    /// Largest whole percent.
    max_percent: u8,
    /// Why not: `no_prior_price`, `not_below_prior_price`.
    code: Option<&'static str>,
}

/// The answer to `basket`, priced by `choices`; nothing is promised where no `book` could be read.
pub(super) fn build(
    app: &App,
    mut head: Provenance,
    basket: &Basket<'_>,
    choices: Vec<PriceChoice>,
    book: Option<&PriceBook<Locks>>,
) -> Result<Quote, Problem> {
    let request = basket.request;
    let minutes = i64::from(app.project.pricing.lock_minutes);
    let expires_at = head.created_at.plus_millis(minutes * 60_000);
    head.valid_until = expires_at;
    head.experiment = Experiment::of(basket.control);
    head.exploration.kind = exploration_name(app.project.pricing.exploration);
    head.exploration.choice_probability = choices.first().map_or(1.0, |choice| choice.choice_probability);
    head.degraded.extend(lacks(app, basket, &choices));
    let total = total_minor(request, &choices)?;
    let signature = sign(app, &head, expires_at, basket, &choices, book.is_some());
    if matches!(&signature, Optional::Absent(_)) && book.is_some() && request.mode == QuoteMode::Live {
        head.degraded.push("no_signing_key".to_owned());
    }
    let outcome = outcome(basket, &choices);
    let personalised = personalised(basket, &choices, book, head.created_at);
    let items = request.items.iter().zip(choices);
    let items = items.map(|(item, choice)| priced(basket, item, choice, book, head.created_at)).collect();
    Ok(Quote {
        quote_id: head.decision_id.clone(),
        head,
        outcome,
        expires_at,
        signature,
        customer_id: request.customer_id.clone(),
        session_id: request.session_id.clone(),
        market: request.market.clone(),
        channel: request.channel.clone(),
        mode: request.mode,
        currency: request.currency,
        total: Money { amount_minor: total, currency: request.currency },
        items,
        legal: Legal::of(basket.market, personalised),
        request: request.clone(),
    })
}

/// Whether features of a person entered one of the prices, now or when it was promised.
fn personalised(
    basket: &Basket<'_>,
    choices: &[PriceChoice],
    book: Option<&PriceBook<Locks>>,
    now: Timestamp,
) -> bool {
    let promised = |item: &Item| {
        let locks = book.map(|book| &book.locks.value);
        locks.and_then(|locks| locks.price(&place(basket, item), now)).is_some_and(|price| price.personal)
    };
    choices.iter().any(|choice| choice.basis == PriceBasis::Personal)
        || basket.request.items.iter().any(promised)
}

const fn exploration_name(exploration: PriceExploration) -> &'static str {
    match exploration {
        PriceExploration::None => "none",
        PriceExploration::Epsilon { .. } => "epsilon",
        PriceExploration::Thompson => "thompson",
    }
}

fn outcome(basket: &Basket<'_>, choices: &[PriceChoice]) -> Outcome {
    let modelled = |choice: &PriceChoice| {
        !matches!(choice.basis, PriceBasis::NoDemand | PriceBasis::NoCost | PriceBasis::Control)
    };
    match (basket.control.policy, choices.iter().any(modelled)) {
        (true, _) => Outcome::ControlListPrice,
        (false, true) => Outcome::Quoted,
        (false, false) => Outcome::ListPriceFallback,
    }
}

/// What was missing, by code.
fn lacks(app: &App, basket: &Basket<'_>, choices: &[PriceChoice]) -> Vec<String> {
    let no_model = app.demand.is_none();
    let general = (no_model && !basket.control.policy).then(|| "no_demand_model".to_owned());
    let of_item = |choice: &PriceChoice| {
        let code = match choice.basis {
            PriceBasis::NoDemand => "no_demand",
            PriceBasis::NoCost => "no_cost",
            _ => return None,
        };
        Some(format!("{code}:{}", choice.sku))
    };
    let unknown = choices.iter().filter(|choice| app.project.pricing.sku(&choice.sku).is_none());
    let unknown = unknown.map(|choice| format!("unknown_sku:{}", choice.sku));
    general.into_iter().chain(choices.iter().filter_map(of_item)).chain(unknown).collect()
}

fn sign(
    app: &App,
    head: &Provenance,
    expires_at: Timestamp,
    basket: &Basket<'_>,
    choices: &[PriceChoice],
    kept: bool,
) -> Optional<String> {
    if !kept {
        return Optional::Absent(Absent::because("not_kept"));
    }
    if basket.request.mode == QuoteMode::DryRun {
        return Optional::Absent(Absent::because("dry_run"));
    }
    let lines = basket.request.items.iter().zip(choices);
    let claims = Claims {
        iss: "nextbest".to_owned(),
        jti: head.decision_id.clone(),
        sub: basket.request.customer_id.as_ref().map(ToString::to_string),
        iat: head.created_at.as_millis().div_euclid(1000),
        exp: expires_at.as_millis().div_euclid(1000),
        currency: basket.request.currency,
        items: lines
            .map(|(item, choice)| (item.sku.clone(), item.quantity, choice.quoted_price_minor))
            .collect(),
    };
    let signed = app.quote_keys.sign(&claims);
    signed.map_or_else(|| Optional::Absent(Absent::because("no_signing_key")), Optional::Known)
}

fn total_minor(request: &Request, choices: &[PriceChoice]) -> Result<i64, Problem> {
    let lines = request.items.iter().zip(choices);
    let sum: i128 =
        lines.map(|(item, choice)| i128::from(item.quantity) * i128::from(choice.quoted_price_minor)).sum();
    i64::try_from(sum).map_err(|_| Problem::invalid("items", format!("the total {sum} exceeds 64 bits")))
}

fn priced(
    basket: &Basket<'_>,
    item: &Item,
    choice: PriceChoice,
    book: Option<&PriceBook<Locks>>,
    now: Timestamp,
) -> PricedItem {
    let held_out = choice.basis == PriceBasis::Control;
    let absent = |code| Absent::because(if held_out { "control_group" } else { code });
    let legal = item_legal(basket, item, &choice, book, now);
    PricedItem {
        sku: choice.sku,
        quantity: item.quantity,
        basis: choice.basis,
        list_price_minor: choice.list_price_minor,
        model_price_minor: choice.model_price_minor,
        quoted_price_minor: choice.quoted_price_minor,
        everybody_price_minor: choice.everybody_price_minor,
        floor_minor: choice.floor_minor,
        ceiling_minor: choice.ceiling_minor,
        guardrails: choice.guardrails,
        purchase_probability: Optional::of(
            choice.purchase_probability.map(|p| p.get()),
            absent("no_price_shown"),
        ),
        elasticity: Optional::of(
            choice.elasticity.map(|e| ElasticityInterval { value: e.value, lo: e.lo, hi: e.hi }),
            absent("no_demand"),
        ),
        demand_index: Optional::of(choice.demand_index, absent("not_reviewed")),
        objective: choice.objective,
        choice_probability: choice.choice_probability,
        ladder: choice.ladder,
        legal,
    }
}

fn item_legal(
    basket: &Basket<'_>,
    item: &Item,
    choice: &PriceChoice,
    book: Option<&PriceBook<Locks>>,
    now: Timestamp,
) -> ItemLegal {
    let (price, days) = (choice.quoted_price_minor, basket.market.prior_price_days);
    let shown = || {
        let ledger = book.and_then(|book| ledger(book, &basket.ledger_key(&item.sku)))?;
        match item.announced_since {
            Some(since) => ledger.lowest_minor(since, days),
            None => ledger.prior_minor(price, now, days),
        }
    };
    let prior = if days == 0 { Some(choice.list_price_minor) } else { shown() };
    let max_percent = prior.map_or(0, |prior| claimable_percent(price, prior));
    let code = match prior {
        None => Some("no_prior_price"),
        Some(_) if max_percent == 0 => Some("not_below_prior_price"),
        Some(_) => None,
    };
    ItemLegal {
        lowest_prior_minor: Optional::of(prior, Absent::because("no_prior_price")),
        discount_claim: DiscountClaim { allowed: max_percent > 0, max_percent, code },
    }
}
