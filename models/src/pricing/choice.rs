//! `choose_price`: from rules, demand and circumstances to the price of one item, or the reason why it has none.
//!
//! The order: the model's own optimum, moved by neighbours, demand and stock; guardrails; the ladder's best rung of those they
//! admit, or another that is explored; rounding. What moved the price is told with its value before and after. Pure: the time,
//! the seed and everything shown before are arguments.

use serde::{Deserialize, Serialize};

use super::demand::Elasticity;
use super::guardrail::{BoundConflict, Gate, Guardrail};
use super::ladder::Rung;
use super::ledger::{Ledger, Standing};
use super::purchase::PurchaseModel;
use super::reaction::RecentDemand;
use super::rules::{MarketRules, Objective, PricingRules};
use super::substitution::Demand;
use crate::policy::control::Assignment;
use crate::units::{Probability, Seed, Timestamp};
use item::Item;

mod item;
mod personal;

/// How a price was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceBasis {
    /// By expected margin (or revenue, or units) over the ladder.
    Model,
    /// It stands: it was found earlier, and is not yet due for a review.
    Standing,
    /// This customer's own: by what they alone are expected to bring, as near to everybody's as the market asks.
    Personal,
    /// It was promised to this customer in a quote that still holds.
    Locked,
    /// No demand curve tells: the list price, inside its bounds.
    NoDemand,
    /// No cost is known, so no margin: the list price, inside its bounds.
    NoCost,
    /// The customer is held out of the policy: the list price, inside its bounds.
    Control,
}

/// One item to be priced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRequest {
    /// Stock-keeping unit.
    pub sku: String,
    /// The list price, in minor units (1 ..= [`crate::event::MAX_AMOUNT_MINOR`]), if the caller knows better than pricing.toml.
    pub list_price_minor: Option<i64>,
    /// The cost of one unit, in minor units, if the caller knows better than pricing.toml.
    pub unit_cost_minor: Option<i64>,
    /// Units there are; 0 ..= [`crate::event::MAX_QUANTITY`].
    pub stock: Option<i64>,
    /// What a competitor asks, in minor units.
    pub competitor_price_minor: Option<i64>,
    /// A discount that was announced, in whole percent, 1 to 99: the price keeps it.
    pub announced_percent: Option<u8>,
    /// When that discount began; absent: now. It is claimed on what was shown before, not on the discounted prices since.
    pub announced_since: Option<Timestamp>,
}

/// A customer whose features may enter their own price.
#[derive(Clone, Copy, Debug)]
pub struct Person<'a> {
    /// What they buy at which price.
    pub purchase: PurchaseModel<'a>,
    /// Their features, in the artifact's order; missing is NaN.
    pub features: &'a [f64],
}

/// What is known beside rules and request.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// The time.
    pub now: Timestamp,
    /// What the law asks.
    pub market: &'a MarketRules,
    /// What the customer is held out of.
    pub control: Assignment,
    /// Prices shown before, in this market and channel.
    pub ledger: Option<&'a Ledger>,
    /// The price that a quote promised this customer, in minor units.
    pub locked_minor: Option<i64>,
    /// Recent orders.
    pub recent: Option<RecentDemand>,
    /// Who asks, where the market allows that features of a person enter their price.
    pub person: Option<Person<'a>>,
    /// Of the exploration.
    pub seed: Seed,
}

/// Why an item cannot be priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum PriceRefusal {
    /// Neither the request nor pricing.toml has a list price.
    #[error("{sku:?} has no list price: neither the request nor pricing.toml gives one")]
    NoListPrice {
        /// The SKU.
        sku: String,
    },
    /// A number out of its bounds.
    #[error("{field} = {value} of {sku:?} lies outside {lo} ..= {hi}")]
    OutOfRange {
        /// The SKU.
        sku: String,
        /// Which number.
        field: String,
        /// Its value.
        value: i64,
        /// Least allowed.
        lo: i64,
        /// Most allowed.
        hi: i64,
    },
    /// Two guardrails leave no price.
    #[error("{sku:?} can have no price: {conflict}")]
    Conflict {
        /// The SKU.
        sku: String,
        /// The pair.
        conflict: BoundConflict,
    },
    /// A discount was announced, but no price was shown that it could be claimed on.
    #[error("{sku:?} was shown at no price in the {days} days that a discount is claimed on")]
    NoPriorPrice {
        /// The SKU.
        sku: String,
        /// The days of the market.
        days: u16,
    },
}

/// A price with everything that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PriceChoice {
    /// Stock-keeping unit.
    pub sku: String,
    /// How it was found.
    pub basis: PriceBasis,
    /// What it is to bring most of.
    pub objective: Objective,
    /// The price without any model.
    pub list_price_minor: i64,
    /// The optimum of the curve before anything moved it; the list price where there is none.
    pub model_price_minor: i64,
    /// The price to quote.
    pub quoted_price_minor: i64,
    /// What everybody else is asked, where the price is a customer's own.
    #[serde(default)]
    pub everybody_price_minor: Option<i64>,
    /// Lowest price that floor and minimum margin allow.
    pub floor_minor: i64,
    /// Highest price the rules allow.
    pub ceiling_minor: i64,
    /// Cost used, where one is known.
    pub cost_minor: Option<i64>,
    /// What moved the model's price, in order.
    pub guardrails: Vec<Guardrail>,
    /// Probability of a purchase at the quoted price, where prices were shown.
    pub purchase_probability: Option<Probability>,
    /// The elasticity to its own price, nothing else changed.
    pub elasticity: Option<Elasticity>,
    /// Recent over expected demand, where a review looked at it.
    pub demand_index: Option<f64>,
    /// Probability with which this price was chosen among the rungs.
    pub choice_probability: f64,
    /// All rungs, ascending in price.
    pub ladder: Vec<Rung>,
    /// What stands from now on, where the policy settled on something.
    pub standing: Option<Standing>,
    /// Codes of the demand record: `pooled`, `sign_truncated`, ...
    pub flags: Vec<String>,
}

/// Chooses the price of one item.
///
/// The policy control gets the list price, the model control the price that the average of all SKUs' demand asks for;
/// neither is moved by, nor moves, the price that stands. Of a person, everybody's price is found first and bounds theirs.
pub fn choose_price(
    rules: &PricingRules,
    demand: Option<&Demand>,
    circumstances: &Circumstances<'_>,
    request: &PriceRequest,
) -> Result<PriceChoice, PriceRefusal> {
    let item = Item::new(rules, demand, circumstances, request)?;
    let refused = |conflict| PriceRefusal::Conflict { sku: request.sku.clone(), conflict };
    let fixed = Gate::fixed(item.sku, &item.terms, item.list, item.cost).map_err(refused)?;
    let gate = item.gate(&fixed)?;
    let everybodys = item.choose(&fixed, &gate);
    let Circumstances { control, market, .. } = circumstances;
    let may_enter = market.personal_features && !control.policy && !control.model;
    let person = circumstances.person.filter(|_| may_enter);
    match person {
        Some(person) => item.personal(person, everybodys, &fixed),
        None => Ok(everybodys),
    }
}
