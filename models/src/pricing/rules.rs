//! pricing.toml: what the business allows a price to be.
//!
//! Parsed once into checked rules; every fault comes with its line. A SKU without an entry is bounded by the ratios
//! under `[default]`. Nothing here chooses a price.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::event::{MAX_AMOUNT_MINOR, MAX_ID_BYTES};

/// Most rungs of a ladder.
pub const MAX_RUNGS: u32 = 200;
/// Longest price lock, in minutes (30 days).
pub const MAX_LOCK_MINUTES: u32 = 43_200;

/// Which prices look like prices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
}

/// `[default]`: ratios where a SKU says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct DefaultRules {
    /// Floor over list price, in 0 .. 1, both included.
    pub floor_ratio: f64,
    /// Ceiling over list price, 1 to 10.
    pub ceiling_ratio: f64,
    /// Cost over list price, where no cost is known; absent: a price without a known cost stays at list.
    pub cost_ratio: Option<f64>,
    /// Least margin over the price, 0 to below 1.
    pub min_margin_ratio: f64,
}

/// One `[[sku]]`. Prices in minor units of the project's currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SkuRules {
    /// Stock-keeping unit.
    pub sku: String,
    /// Its category, for shared demand.
    pub category: Option<String>,
    /// The price without any model.
    pub list_price_minor: i64,
    /// What one unit costs.
    pub cost_minor: Option<i64>,
    /// Lowest price allowed.
    pub floor_minor: Option<i64>,
    /// Highest price allowed.
    pub ceiling_minor: Option<i64>,
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
    /// Ratios where a SKU says nothing.
    pub default: DefaultRules,
    /// The SKUs, in the order of the file.
    pub skus: Vec<SkuRules>,
    #[serde(skip)]
    places: HashMap<String, usize>,
}

/// A fault in pricing.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricingFault {
    /// Line, from 1, where it is known.
    pub line: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for PricingFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    lock_minutes: Spanned<u32>,
    n_rungs: Spanned<u32>,
    #[serde(default)]
    rounding: Rounding,
    default: DefaultDraft,
    #[serde(default, rename = "sku")]
    skus: Vec<SkuDraft>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DefaultDraft {
    floor_ratio: Spanned<f64>,
    ceiling_ratio: Spanned<f64>,
    cost_ratio: Option<Spanned<f64>>,
    min_margin_ratio: Spanned<f64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SkuDraft {
    sku: Spanned<String>,
    category: Option<Spanned<String>>,
    list_price_minor: Spanned<i64>,
    cost_minor: Option<Spanned<i64>>,
    floor_minor: Option<Spanned<i64>>,
    ceiling_minor: Option<Spanned<i64>>,
}

/// Gathers faults with their lines.
struct Faults<'a> {
    text: &'a str,
    found: Vec<PricingFault>,
}

impl Faults<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|&byte| byte == b'\n').count() + 1
    }

    fn add<T>(&mut self, place: &Spanned<T>, message: String) {
        let line = Some(self.line(place.span().start));
        self.found.push(PricingFault { line, message });
    }

    fn within<T: PartialOrd + Copy + fmt::Display>(
        &mut self,
        name: &str,
        value: &Spanned<T>,
        lo: T,
        hi: T,
    ) -> T {
        let number = *value.get_ref();
        if !(number >= lo && number <= hi) {
            self.add(value, format!("{name} = {number} lies outside {lo} ..= {hi}"));
        }
        number
    }
}

impl PricingRules {
    /// The rules of pricing.toml, or all its faults.
    pub fn parse(text: &str) -> Result<Self, Vec<PricingFault>> {
        let mut faults = Faults { text, found: Vec::new() };
        let draft: Draft = toml::from_str(text).map_err(|error: toml::de::Error| {
            let line = error.span().map(|span| faults.line(span.start));
            vec![PricingFault { line, message: error.message().to_owned() }]
        })?;
        let default = check_default(&draft.default, &mut faults);
        let mut places = HashMap::new();
        let mut skus = Vec::with_capacity(draft.skus.len());
        for sku in &draft.skus {
            if places.insert(sku.sku.get_ref().clone(), skus.len()).is_some() {
                faults.add(&sku.sku, format!("the SKU {:?} stands twice", sku.sku.get_ref()));
            }
            skus.push(check_sku(sku, &default, &mut faults));
        }
        let lock_minutes = faults.within("lock_minutes", &draft.lock_minutes, 1, MAX_LOCK_MINUTES);
        let n_rungs = faults.within("n_rungs", &draft.n_rungs, 2, MAX_RUNGS);
        if faults.found.is_empty() {
            Ok(Self { lock_minutes, n_rungs, rounding: draft.rounding, default, skus, places })
        } else {
            faults.found.sort_by_key(|fault| fault.line);
            Err(faults.found)
        }
    }

    /// The entry of `sku`.
    #[must_use]
    pub fn sku(&self, sku: &str) -> Option<&SkuRules> {
        self.skus.get(*self.places.get(sku)?)
    }
}

fn check_default(draft: &DefaultDraft, faults: &mut Faults<'_>) -> DefaultRules {
    DefaultRules {
        floor_ratio: faults.within("floor_ratio", &draft.floor_ratio, 0.01, 1.0),
        ceiling_ratio: faults.within("ceiling_ratio", &draft.ceiling_ratio, 1.0, 10.0),
        cost_ratio: draft.cost_ratio.as_ref().map(|ratio| faults.within("cost_ratio", ratio, 0.0, 1.0)),
        min_margin_ratio: faults.within("min_margin_ratio", &draft.min_margin_ratio, 0.0, 0.99),
    }
}

fn check_sku(draft: &SkuDraft, default: &DefaultRules, faults: &mut Faults<'_>) -> SkuRules {
    let sku = draft.sku.get_ref().clone();
    for (name, place) in [("sku", Some(&draft.sku)), ("category", draft.category.as_ref())] {
        if let Some(place) = place
            && (place.get_ref().is_empty() || place.get_ref().len() > MAX_ID_BYTES)
        {
            faults.add(place, format!("{name} {:?} must have 1 to {MAX_ID_BYTES} bytes", place.get_ref()));
        }
    }
    let mut amount = |name: &str, value: &Spanned<i64>, lo| faults.within(name, value, lo, MAX_AMOUNT_MINOR);
    let list_price_minor = amount("list_price_minor", &draft.list_price_minor, 1);
    let cost_minor = draft.cost_minor.as_ref().map(|cost| amount("cost_minor", cost, 0));
    let floor_minor = draft.floor_minor.as_ref().map(|floor| amount("floor_minor", floor, 1));
    let ceiling_minor = draft.ceiling_minor.as_ref().map(|ceiling| amount("ceiling_minor", ceiling, 1));
    let category = draft.category.as_ref().map(|category| category.get_ref().clone());
    let rules = SkuRules { sku, category, list_price_minor, cost_minor, floor_minor, ceiling_minor };
    if let Err(conflict) = super::ladder::Bounds::of(Some(&rules), default, list_price_minor, None) {
        faults.add(&draft.sku, format!("SKU {:?} can have no price: {conflict}", rules.sku));
    }
    rules
}
