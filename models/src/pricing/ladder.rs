//! Which prices are admissible, and which of them is expected to earn the most.
//!
//! Bounds come first: floor, ceiling and minimum margin leave an interval, or name the pair that conflicts. Inside it
//! stands a ladder of rounded prices; the rung with the largest expected margin is quoted. Every guardrail that moved
//! the model's own optimum is logged with its value before and after. No randomness, no clock, no failure past
//! [`Bounds::of`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::demand::{DemandCurve, DemandModel, Elasticity};
use super::rules::{DefaultRules, PricingRules, Rounding, SkuRules};
use crate::event::MAX_AMOUNT_MINOR;
use crate::policy::control::Assignment;
use crate::units::Probability;

/// The model's own optimum is looked for up to this many list prices.
const OPTIMUM_BOUND: f64 = 4.0;

/// Two bounds no price can satisfy together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct BoundConflict {
    /// The bound from below: `floor` or `minimum_margin`.
    pub lower: String,
    /// Its value, in minor units.
    pub lower_minor: i64,
    /// The bound from above: `ceiling` (or `price_range`, the largest amount an event can carry).
    pub upper: String,
    /// Its value, in minor units.
    pub upper_minor: i64,
}

impl fmt::Display for BoundConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lower, lower_minor, upper, upper_minor } = self;
        write!(f, "{lower} asks for at least {lower_minor}, {upper} for at most {upper_minor} minor units")
    }
}

/// The interval a price must lie in, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The price without any model.
    pub list_price_minor: i64,
    /// Lowest price the rules allow.
    pub floor_minor: i64,
    /// Highest price the rules allow.
    pub ceiling_minor: i64,
    /// Cost of one unit, given, ruled or by ratio; none where nothing tells it.
    pub cost_minor: Option<i64>,
    /// Lowest price that leaves the minimum margin; 1 where no cost is known.
    pub margin_floor_minor: i64,
}

impl Bounds {
    /// The bounds for a list price and a cost (as the caller gives them; else by the rules).
    pub fn of(
        sku: Option<&SkuRules>,
        default: &DefaultRules,
        list_price_minor: i64,
        cost_minor: Option<i64>,
    ) -> Result<Self, BoundConflict> {
        let list = list_price_minor.clamp(1, MAX_AMOUNT_MINOR);
        let share = |ratio: f64| (list as f64 * ratio).round() as i64;
        let floor_minor = sku.and_then(|sku| sku.floor_minor).unwrap_or(share(default.floor_ratio)).max(1);
        let ceiling_minor = sku.and_then(|sku| sku.ceiling_minor).unwrap_or(share(default.ceiling_ratio));
        let ruled = || sku.and_then(|sku| sku.cost_minor).or(default.cost_ratio.map(share));
        let cost_minor = cost_minor.or_else(ruled);
        let margin_floor = |cost: i64| (cost as f64 / (1.0 - default.min_margin_ratio)).ceil() as i64;
        let bounds = Self {
            list_price_minor: list,
            floor_minor,
            ceiling_minor,
            cost_minor,
            margin_floor_minor: cost_minor.map_or(1, margin_floor).max(1),
        };
        let (lower, lower_minor) = if bounds.margin_floor_minor > floor_minor {
            ("minimum_margin", bounds.margin_floor_minor)
        } else {
            ("floor", floor_minor)
        };
        if lower_minor <= ceiling_minor {
            return Ok(bounds);
        }
        let (lower, upper) = (lower.to_owned(), "ceiling".to_owned());
        Err(BoundConflict { lower, lower_minor, upper, upper_minor: ceiling_minor })
    }

    /// The lowest admissible price: floor and minimum margin.
    #[must_use]
    pub fn lowest_minor(&self) -> i64 {
        self.floor_minor.max(self.margin_floor_minor)
    }
}

/// One admissible price and what it is expected to bring.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// The price, in minor units.
    pub price_minor: i64,
    /// Probability that it is followed by a purchase when shown; none where no prices were shown.
    pub probability: Option<Probability>,
    /// Expected margin in minor units: per price shown where `probability` is known, else per unit that sells at the
    /// reference price.
    pub expected_margin_minor: f64,
}

/// A guardrail that moved the price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardrail {
    /// `floor`, `ceiling`, `minimum_margin`, `rounding`, in this order.
    pub code: String,
    /// The price before, in minor units.
    pub before_minor: i64,
    /// The price after.
    pub after_minor: i64,
}

/// How a price was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriceBasis {
    /// By expected margin over the ladder.
    Model,
    /// No demand curve tells: the list price, inside its bounds.
    NoDemand,
    /// No cost is known, so no margin: the list price, inside its bounds.
    NoCost,
    /// The rules conflict: the list price as it is.
    Conflict,
    /// The customer is held out of the policy: the list price, inside its bounds.
    Control,
}

/// One item to be priced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceRequest {
    /// Stock-keeping unit.
    pub sku: String,
    /// The list price, in minor units (1 ..= [`MAX_AMOUNT_MINOR`]), if the caller knows better than pricing.toml.
    pub list_price_minor: Option<i64>,
    /// The cost of one unit, in minor units, if the caller knows better than pricing.toml.
    pub unit_cost_minor: Option<i64>,
}

/// Why an item cannot be priced at all.
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
}

/// A price with everything that led to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PriceChoice {
    /// Stock-keeping unit.
    pub sku: String,
    /// How it was found.
    pub basis: PriceBasis,
    /// The price without any model.
    pub list_price_minor: i64,
    /// The optimum of the curve before guardrails; the list price where there is none.
    pub model_price_minor: i64,
    /// The price to quote.
    pub quoted_price_minor: i64,
    /// Lowest price the rules allow.
    pub floor_minor: i64,
    /// Highest price the rules allow.
    pub ceiling_minor: i64,
    /// Cost used, where one is known.
    pub cost_minor: Option<i64>,
    /// What moved the model's price, in order.
    pub guardrails: Vec<Guardrail>,
    /// Probability of a purchase at the quoted price, where prices were shown.
    pub purchase_probability: Option<Probability>,
    /// The elasticity used.
    pub elasticity: Option<Elasticity>,
    /// All rungs, ascending in price.
    pub ladder: Vec<Rung>,
    /// The two rules that conflict, for [`PriceBasis::Conflict`].
    pub conflict: Option<BoundConflict>,
    /// Codes of the demand record: `pooled`, `sign_truncated`, ...
    pub flags: Vec<String>,
}

/// Chooses the price of one item: the rung of the ladder with the largest expected margin; of equal ones the lowest.
/// The policy control gets the list price, the model control the price that the average of all SKUs' demand asks for.
pub fn choose_price(
    rules: &PricingRules,
    demand: Option<&DemandModel>,
    control: Assignment,
    request: &PriceRequest,
) -> Result<PriceChoice, PriceRefusal> {
    let sku = rules.sku(&request.sku);
    let (list, cost) = checked_numbers(sku, request)?;
    let bounds = match Bounds::of(sku, &rules.default, list, cost) {
        Ok(bounds) => bounds,
        Err(conflict) => return Ok(at_list_price(request, list, conflict)),
    };
    let category = sku.and_then(|sku| sku.category.as_deref());
    let curve = demand.and_then(|demand| match (control.policy, control.model) {
        (true, _) => None,
        (false, true) => demand.average_curve(list),
        (false, false) => demand.curve(&request.sku, category, list),
    });
    let (basis, model_price_minor) = match (&curve, bounds.cost_minor) {
        (None, _) if control.policy => (PriceBasis::Control, list),
        (None, _) => (PriceBasis::NoDemand, list),
        (_, None) => (PriceBasis::NoCost, list),
        (Some(curve), Some(cost)) => (PriceBasis::Model, optimum(curve.elasticity.value, cost, list)),
    };
    let ladder = match &curve {
        Some(curve) => ladder(&bounds, rules).into_iter().map(|price| rung(curve, price, &bounds)).collect(),
        None => Vec::new(),
    };
    let best = best_rung(&ladder).filter(|_| basis == PriceBasis::Model);
    let (guardrails, quoted_price_minor) = guard(model_price_minor, &bounds, rules.rounding, best);
    Ok(PriceChoice {
        sku: request.sku.clone(),
        basis,
        list_price_minor: list,
        model_price_minor,
        quoted_price_minor,
        floor_minor: bounds.floor_minor,
        ceiling_minor: bounds.ceiling_minor,
        cost_minor: bounds.cost_minor,
        guardrails,
        purchase_probability: curve.as_ref().and_then(|curve| curve.purchase_probability(quoted_price_minor)),
        elasticity: curve.as_ref().map(|curve| curve.elasticity),
        ladder,
        conflict: None,
        flags: curve.map(|curve| curve.flags).unwrap_or_default(),
    })
}

fn checked_numbers(
    sku: Option<&SkuRules>,
    request: &PriceRequest,
) -> Result<(i64, Option<i64>), PriceRefusal> {
    let list = request.list_price_minor.or(sku.map(|sku| sku.list_price_minor));
    let list = list.ok_or_else(|| PriceRefusal::NoListPrice { sku: request.sku.clone() })?;
    let checks = [("list_price_minor", Some(list), 1), ("unit_cost_minor", request.unit_cost_minor, 0)];
    for (field, value, lo) in checks {
        if let Some(value) = value.filter(|value| !(lo..=MAX_AMOUNT_MINOR).contains(value)) {
            let (sku, field) = (request.sku.clone(), field.to_owned());
            return Err(PriceRefusal::OutOfRange { sku, field, value, lo, hi: MAX_AMOUNT_MINOR });
        }
    }
    Ok((list, request.unit_cost_minor))
}

fn at_list_price(request: &PriceRequest, list: i64, conflict: BoundConflict) -> PriceChoice {
    PriceChoice {
        sku: request.sku.clone(),
        basis: PriceBasis::Conflict,
        list_price_minor: list,
        model_price_minor: list,
        quoted_price_minor: list,
        floor_minor: conflict.lower_minor,
        ceiling_minor: conflict.upper_minor,
        cost_minor: None,
        guardrails: Vec::new(),
        purchase_probability: None,
        elasticity: None,
        ladder: Vec::new(),
        conflict: Some(conflict),
        flags: Vec::new(),
    }
}

/// The price of the largest margin on a curve of constant elasticity e < -1: cost * e / (1 + e) (Lerner 1934). A less
/// elastic curve has none; both are held below [`OPTIMUM_BOUND`] list prices.
fn optimum(elasticity: f64, cost: i64, list: i64) -> i64 {
    let bound = list as f64 * OPTIMUM_BOUND;
    let free = if elasticity < -1.0 { cost as f64 * elasticity / (1.0 + elasticity) } else { bound };
    (free.min(bound).round() as i64).max(1)
}

/// The admissible prices of the ladder, ascending, without repeats: evenly spaced between the bounds, rounded. Where
/// no rounded price is admissible, the unrounded ones.
#[must_use]
pub fn ladder(bounds: &Bounds, rules: &PricingRules) -> Vec<i64> {
    let (low, high) = (bounds.lowest_minor(), bounds.ceiling_minor);
    let steps = i128::from(rules.n_rungs.max(2)) - 1;
    let even = (0..=steps).map(|at| {
        let offset = i128::from(high - low) * at / steps;
        low + i64::try_from(offset).unwrap_or(0)
    });
    let rounded = even.clone().filter_map(|price| nearest(rules.rounding, price, low, high));
    let mut prices: Vec<i64> = rounded.collect();
    if prices.is_empty() {
        prices = even.collect();
    }
    prices.dedup();
    prices
}

/// The rounded price nearest to `price` within the bounds, the lower of two.
fn nearest(rounding: Rounding, price: i64, low: i64, high: i64) -> Option<i64> {
    let sides = [rounding.down(price), rounding.up(price)];
    sides.into_iter().filter(|side| (low..=high).contains(side)).min_by_key(|side| (side - price).abs())
}

fn rung(curve: &DemandCurve, price_minor: i64, bounds: &Bounds) -> Rung {
    let probability = curve.purchase_probability(price_minor);
    let demand = probability.map_or_else(|| curve.relative(price_minor), Probability::get);
    let margin = (price_minor - bounds.cost_minor.unwrap_or(0)) as f64;
    Rung { price_minor, probability, expected_margin_minor: demand * margin }
}

fn best_rung(ladder: &[Rung]) -> Option<i64> {
    let better = |best: &Rung, rung: &Rung| rung.expected_margin_minor > best.expected_margin_minor;
    let best = ladder.iter().copied().reduce(|best, rung| if better(&best, &rung) { rung } else { best });
    best.map(|rung| rung.price_minor)
}

/// Applies the guardrails in order; `best` is the rung to end at, else the rounded price nearest to what is left.
fn guard(model: i64, bounds: &Bounds, rounding: Rounding, best: Option<i64>) -> (Vec<Guardrail>, i64) {
    let (mut moved, mut price) = (Vec::new(), model);
    let mut step = |code: &str, price: &mut i64, after: i64| {
        if after != *price {
            moved.push(Guardrail { code: code.to_owned(), before_minor: *price, after_minor: after });
            *price = after;
        }
    };
    step("floor", &mut price, model.max(bounds.floor_minor));
    let below = price.min(bounds.ceiling_minor);
    step("ceiling", &mut price, below);
    let margin = price.max(bounds.margin_floor_minor);
    step("minimum_margin", &mut price, margin);
    let rounded = best.or_else(|| {
        // A list price is kept as it is: rounding is for prices the model made.
        let keep = price == bounds.list_price_minor;
        if keep { None } else { nearest(rounding, price, bounds.lowest_minor(), bounds.ceiling_minor) }
    });
    let last = rounded.unwrap_or(price);
    step("rounding", &mut price, last);
    (moved, price)
}
