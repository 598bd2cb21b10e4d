//! Guardrails: intervals in a stated order, each narrowing what the earlier ones left.
//!
//! `floor`, `ceiling`, `minimum_margin` come from the rules, `maximum_step`, `cool_down`, `competitor_band`,
//! `segment_parity` from what was shown before and beside, `price_lock` and `prior_price` from promises and law; rounding
//! comes last. The first three and the last two hold or the item has no price, and the pair that conflicts is named. The
//! four between give way: where one misses what the earlier ones left, it asks for the price nearest to it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::rules::{SkuRules, Terms};
use crate::event::MAX_AMOUNT_MINOR;

/// Two bounds no price can satisfy together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub struct BoundConflict {
    /// The bound from below.
    pub lower: String,
    /// Its value, in minor units.
    pub lower_minor: i64,
    /// The bound from above (`price_range`: the largest amount an event can carry).
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

/// What moved a price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guardrail {
    /// Its name, as the head of this file lists them. Before any guardrail `neighbours` (the prices of the category being the
    /// best together), `demand_index` and `stock` moved the model's price; behind them `exploration`: a rung that is not the
    /// best may be drawn.
    pub code: String,
    /// The price before, in minor units.
    pub before_minor: i64,
    /// The price after.
    pub after_minor: i64,
}

/// One guardrail as it binds: the prices it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Its name.
    pub code: &'static str,
    /// Lowest price, in minor units.
    pub lo_minor: i64,
    /// Highest price.
    pub hi_minor: i64,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    code: &'static str,
    minor: i64,
}

/// What all guardrails so far leave: an interval that is never empty.
#[derive(Clone, Debug)]
pub struct Gate {
    lower: Edge,
    upper: Edge,
    bounds: Vec<Bound>,
}

/// What one unit of an item costs, as the caller says, else by its rules, else by ratio; in minor units.
#[must_use]
pub fn cost_of(
    sku: Option<&SkuRules>,
    terms: &Terms,
    list_price_minor: i64,
    asked: Option<i64>,
) -> Option<i64> {
    let by_ratio = || terms.cost_ratio.map(|ratio| share(list_price_minor, ratio));
    asked.or_else(|| sku.and_then(|sku| sku.cost_minor)).or_else(by_ratio)
}

fn share(list_price_minor: i64, ratio: f64) -> i64 {
    (list_price_minor as f64 * ratio).round() as i64
}

impl Gate {
    /// Floor, ceiling and minimum margin, which no history moves.
    pub fn fixed(
        sku: Option<&SkuRules>,
        terms: &Terms,
        list_price_minor: i64,
        cost_minor: Option<i64>,
    ) -> Result<Self, BoundConflict> {
        let edge = |minor| Edge { code: "price_range", minor };
        let mut gate = Self { lower: edge(1), upper: edge(MAX_AMOUNT_MINOR), bounds: Vec::new() };
        let said = |own: fn(&SkuRules) -> Option<i64>, ratio| {
            sku.and_then(own).unwrap_or_else(|| share(list_price_minor, ratio)).max(1)
        };
        let floor = said(|sku| sku.floor_minor, terms.floor_ratio);
        let ceiling = said(|sku| sku.ceiling_minor, terms.ceiling_ratio);
        gate.narrow("floor", floor, MAX_AMOUNT_MINOR.max(floor))?;
        gate.narrow("ceiling", 1, ceiling)?;
        if let Some(cost) = cost_minor {
            let least = (cost as f64 / (1.0 - terms.min_margin_ratio)).ceil() as i64;
            gate.narrow("minimum_margin", least, MAX_AMOUNT_MINOR.max(least))?;
        }
        Ok(gate)
    }

    /// Leaves only prices in `lo_minor ..= hi_minor`, or names the pair that leaves none.
    pub fn narrow(&mut self, code: &'static str, lo_minor: i64, hi_minor: i64) -> Result<(), BoundConflict> {
        let conflict = |lower: Edge, upper: Edge| BoundConflict {
            lower: lower.code.to_owned(),
            lower_minor: lower.minor,
            upper: upper.code.to_owned(),
            upper_minor: upper.minor,
        };
        let (lo, hi) = (Edge { code, minor: lo_minor }, Edge { code, minor: hi_minor });
        if lo.minor > self.upper.minor {
            return Err(conflict(lo, self.upper));
        }
        if hi.minor < self.lower.minor {
            return Err(conflict(self.lower, hi));
        }
        if lo.minor > self.lower.minor {
            self.lower = lo;
        }
        if hi.minor < self.upper.minor {
            self.upper = hi;
        }
        self.bounds.push(Bound { code, lo_minor, hi_minor });
        Ok(())
    }

    /// Leaves the prices in `lo_minor ..= hi_minor`; where earlier guardrails leave none of them, the nearest to them.
    pub fn approach(&mut self, code: &'static str, lo_minor: i64, hi_minor: i64) {
        let lo = lo_minor.clamp(self.lower.minor, self.upper.minor);
        let hi = hi_minor.clamp(self.lower.minor, self.upper.minor).max(lo);
        // It cannot fail: both ends lie inside.
        let _inside = self.narrow(code, lo, hi);
    }

    /// The lowest price left, in minor units.
    #[must_use]
    pub const fn lowest_minor(&self) -> i64 {
        self.lower.minor
    }

    /// The highest.
    #[must_use]
    pub const fn highest_minor(&self) -> i64 {
        self.upper.minor
    }

    /// Whether every guardrail lets `price_minor` through.
    #[must_use]
    pub fn admits(&self, price_minor: i64) -> bool {
        (self.lower.minor..=self.upper.minor).contains(&price_minor)
    }

    /// The guardrails, in order.
    #[must_use]
    pub fn bounds(&self) -> &[Bound] {
        &self.bounds
    }

    /// Moves `price_minor` by one guardrail after the other, and tells which did. Since what they leave together is an
    /// interval, each leaves the price where the earlier ones hold.
    pub fn apply(&self, price_minor: i64, moved: &mut Vec<Guardrail>) -> i64 {
        self.bounds.iter().fold(price_minor, |price, bound| {
            let after = price.max(bound.lo_minor).min(bound.hi_minor);
            note(moved, bound.code, price, after);
            after
        })
    }
}

/// Tells of a move, if it was one.
pub(super) fn note(moved: &mut Vec<Guardrail>, code: &str, before_minor: i64, after_minor: i64) {
    if before_minor != after_minor {
        moved.push(Guardrail { code: code.to_owned(), before_minor, after_minor });
    }
}
