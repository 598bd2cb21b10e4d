//! From a demand curve and the rules of pricing.toml to the price of an item.
//!
//! `rules` says what is allowed, `demand` how units answer to the price, `ladder` which admissible price is expected
//! to earn the most. The choice depends on the SKU, its list price and cost alone: no feature of a customer enters,
//! so two customers with the same basket get the same price.

pub mod rules;
pub mod demand;
pub mod ladder;

pub use demand::{DemandCurve, DemandLevel, DemandModel, DemandRecord, Elasticity};
pub use ladder::{
    BoundConflict, Bounds, Guardrail, PriceBasis, PriceChoice, PriceRefusal, PriceRequest, Rung, choose_price,
};
pub use rules::{DefaultRules, PricingFault, PricingRules, Rounding, SkuRules};

#[cfg(test)]
mod tests;
