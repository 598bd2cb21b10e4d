//! pricing.toml: what the business allows a price to be, and how prices are found.
//!
//! Terms (ratios, steps, objective, stock) stand under `[default]`; a `[[category]]` and then a `[[sku]]` may say
//! otherwise. Markets carry what the law asks. `file` parses and checks, every fault with its line; nothing here
//! chooses a price.

use std::collections::HashMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod file;

pub(crate) use file::Draft;
pub use file::PricingFault;

/// Most rungs of a ladder.
pub const MAX_RUNGS: u32 = 200;
/// Longest price lock, in minutes (30 days).
pub const MAX_LOCK_MINUTES: u32 = 43_200;
/// The market of a request that names none, and its channel.
pub const ANY: &str = "any";

/// Which prices look like prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rounding {
    /// Every minor unit.
    #[default]
    #[serde(rename = "none")]
    None,
    /// Ending in 99.
    #[serde(rename = "99")]
    NinetyNine,
    /// Ending in 95.
    #[serde(rename = "95")]
    NinetyFive,
    /// Multiples of 10.
    #[serde(rename = "10")]
    Ten,
}

impl Rounding {
    /// Step between two such prices and the remainder they leave, in minor units.
    const fn step(self) -> (i64, i64) {
        match self {
            Self::None => (1, 0),
            Self::NinetyNine => (100, 99),
            Self::NinetyFive => (100, 95),
            Self::Ten => (10, 0),
        }
    }

    /// The largest such price at or below `price_minor`.
    #[must_use]
    pub const fn down(self, price_minor: i64) -> i64 {
        let (step, ending) = self.step();
        price_minor - (price_minor - ending).rem_euclid(step)
    }

    /// The smallest such price at or above `price_minor`.
    #[must_use]
    pub const fn up(self, price_minor: i64) -> i64 {
        let (step, ending) = self.step();
        price_minor + (ending - price_minor).rem_euclid(step)
    }

    /// Whether `price_minor` is one.
    #[must_use]
    pub const fn holds(self, price_minor: i64) -> bool {
        self.down(price_minor) == price_minor
    }
}

/// What a price is to bring most of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Price less cost, times demand.
    #[default]
    Margin,
    /// Price times demand.
    Revenue,
    /// Demand, within the minimum margin.
    Units,
}

/// The terms of one item, after category and SKU have had their say.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// Floor over list price, 0.01 to 1.
    pub floor_ratio: f64,
    /// Ceiling over list price, 1 to 10.
    pub ceiling_ratio: f64,
    /// Cost over list price, where no cost is known; absent: a price without a known cost stays at list.
    pub cost_ratio: Option<f64>,
    /// Least margin over the price, 0 to below 1.
    pub min_margin_ratio: f64,
    /// Most that a price moves at once, over the last price; absent: any step.
    pub max_step_ratio: Option<f64>,
    /// A price is reviewed no earlier than so many hours after the last time; absent: at every quote.
    pub cool_down_hours: Option<u32>,
    /// Lowest and highest price over a competitor's, where a request names one.
    pub competitor_band: Option<[f64; 2]>,
    /// What a price is to bring most of.
    pub objective: Objective,
    /// Days until new stock comes: what is there must last so long.
    pub restock_days: Option<u32>,
    /// Days in which what is there should be sold.
    pub clear_within_days: Option<u32>,
}

/// One `[[sku]]`. Prices in minor units of the project's currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkuRules {
    /// Stock-keeping unit.
    pub sku: String,
    /// Its category, for shared demand and terms.
    pub category: Option<String>,
    /// The price without any model.
    pub list_price_minor: i64,
    /// What one unit costs.
    pub cost_minor: Option<i64>,
    /// Lowest price allowed, instead of `floor_ratio`.
    pub floor_minor: Option<i64>,
    /// Highest price allowed, instead of `ceiling_ratio`.
    pub ceiling_minor: Option<i64>,
    /// Its own terms, else its category's, else the default.
    pub terms: Terms,
}

/// `[exploration]`: prices that are tried although another looks best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PriceExploration {
    /// The best rung, always.
    #[default]
    None,
    /// With probability `epsilon` any admissible rung, each alike.
    Epsilon {
        /// 0 to 1.
        epsilon: f64,
    },
    /// The rung that is best for an elasticity drawn from what is believed of it.
    Thompson,
}

/// `[demand_reaction]`: how prices follow recent demand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DemandReaction {
    /// Recent orders count by half after so many hours, 1 to 2000.
    pub half_life_hours: f64,
    /// Strength, 0 to 1, of the strongest reaction that does not oscillate.
    pub reaction: f64,
    /// Most that prices move on account of demand in all, over the price without, 0 to 1.
    pub max_tilt_ratio: f64,
    /// Expected units that stand beside those counted, so that few orders say little; above 0.
    pub prior_units: f64,
}

/// Which sentence a market asks for beside a price that personal data helped to set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disclosure {
    /// None.
    #[default]
    None,
    /// Directive 2011/83/EU, article 6(1)(ea).
    Eu,
    /// New York General Business Law, section 349-a.
    NewYork,
}

impl Disclosure {
    /// The sentence to show; the caller translates that of the Union, New York fixes its own.
    #[must_use]
    pub const fn sentence(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Eu => Some("This price was personalised on the basis of automated decision-making."),
            Self::NewYork => Some("THIS PRICE WAS SET BY AN ALGORITHM USING YOUR PERSONAL DATA"),
        }
    }
}

/// `[market.NAME]`: what the law of a market asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MarketRules {
    /// A discount is claimed on the lowest price of so many days before it (Directive 98/6/EC, article 6a); 0: on the
    /// list price.
    pub prior_price_days: u16,
    /// The sentence beside a price that personal data helped to set.
    pub disclosure: Disclosure,
    /// Whether features of a customer may enter their prices.
    pub personal_features: bool,
    /// Most by which the price of one customer differs from everybody's, over the latter.
    pub parity_ratio: f64,
}

impl Default for MarketRules {
    fn default() -> Self {
        Self {
            prior_price_days: 30,
            disclosure: Disclosure::Eu,
            personal_features: false,
            parity_ratio: 0.05,
        }
    }
}

/// pricing.toml, checked.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PricingRules {
    /// How long a quote binds, in minutes.
    pub lock_minutes: u32,
    /// How many prices a ladder tries.
    pub n_rungs: u32,
    /// Which prices look like prices.
    pub rounding: Rounding,
    /// Terms where neither SKU nor category says otherwise.
    pub default: Terms,
    /// Prices that are tried.
    pub exploration: PriceExploration,
    /// How prices follow demand; absent: not at all.
    pub demand_reaction: Option<DemandReaction>,
    /// Attributes of customers, none of which enters a price, over which the audit compares what was shown.
    pub audit_fields: Vec<String>,
    /// The SKUs, in the order of the file.
    pub skus: Vec<SkuRules>,
    /// The markets; where there are none, every market has [`MarketRules::default`].
    pub markets: Vec<(String, MarketRules)>,
    #[serde(skip)]
    any_market: MarketRules,
    #[serde(skip)]
    places: Places,
}

/// Where the SKUs stand, by name and by category.
#[derive(Clone, Debug, Default, PartialEq)]
struct Places {
    skus: HashMap<String, usize>,
    categories: HashMap<String, Vec<usize>>,
}

/// A market that pricing.toml does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no market of pricing.toml; it has {known}")]
pub struct UnknownMarket {
    /// What was asked for.
    pub name: String,
    /// Those there are.
    pub known: String,
}

impl PricingRules {
    /// The rules of pricing.toml, or all its faults.
    pub fn parse(text: &str) -> Result<Self, Vec<PricingFault>> {
        file::parse(text)
    }

    /// The entry of `sku`.
    #[must_use]
    pub fn sku(&self, sku: &str) -> Option<&SkuRules> {
        self.skus.get(*self.places.skus.get(sku)?)
    }

    /// The categories by name, with their SKUs.
    pub fn categories(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = &SkuRules>)> {
        let categories = self.places.categories.iter();
        categories.map(|(name, places)| (name.as_str(), places.iter().filter_map(|at| self.skus.get(*at))))
    }

    /// The rules of `market`; of a request that names none, or a project without markets, the default.
    pub fn market(&self, market: Option<&str>) -> Result<&MarketRules, UnknownMarket> {
        let Some(name) = market.filter(|_| !self.markets.is_empty()) else { return Ok(&self.any_market) };
        let found = self.markets.iter().find(|(known, _)| known == name);
        found.map(|(_, rules)| rules).ok_or_else(|| UnknownMarket {
            name: name.to_owned(),
            known: self.markets.iter().map(|(known, _)| known.as_str()).collect::<Vec<_>>().join(", "),
        })
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Margin => "margin",
            Self::Revenue => "revenue",
            Self::Units => "units",
        })
    }
}
