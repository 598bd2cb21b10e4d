//! From a demand curve and the rules of pricing.toml to the price of an item.
//!
//! `rules` says what is allowed, `demand` how units answer to the price, `substitution` what the SKUs of a category are to each
//! other, `ledger` what was shown before, `reaction` how prices follow demand and stock, `guardrail` what bounds them, `ladder`
//! which admissible price is expected to bring the most; `choice` puts them in order. No feature of a customer enters unless a
//! market says so.

pub mod rules;
pub mod demand;
pub mod purchase;
pub mod ledger;
pub mod reaction;
pub mod guardrail;
pub mod ladder;
pub mod substitution;
pub mod choice;

pub use choice::{Circumstances, Person, PriceBasis, PriceChoice, PriceRefusal, PriceRequest, choose_price};
pub use demand::{DemandCurve, DemandLevel, DemandModel, DemandRecord, Elasticity};
pub use guardrail::{Bound, BoundConflict, Gate, Guardrail};
pub use ladder::Rung;
pub use ledger::{Ledger, Standing};
pub use purchase::{PurchaseModel, PurchaseSpec, ShownItem};
pub use reaction::RecentDemand;
pub use rules::{MarketRules, PricingFault, PricingRules, Rounding, SkuRules, Terms};
pub use substitution::Demand;

#[cfg(test)]
mod tests;
