//! What prices were shown to whom, and what came of them: the audit of a project's event log.
//!
//! Parity compares like with like: each group with everybody else, for the same SKU in the same week, so that one that
//! buys dearer goods, or came in a dearer month, is not taken for one that is charged more. Intervals are 95 %, and take
//! a customer as one observation, however many prices they saw. Margins set what was earned beside what the demand model
//! expects at the very prices shown. Nothing here knows a file format or a page.

use nextbest_models::artifact::Artifact;
use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::{
    Circumstances, Demand, DemandLevel, Elasticity, MarketRules, PriceRequest, Rung, choose_price,
};
use nextbest_models::project::Project;
use nextbest_models::units::{Seed, Timestamp};
use serde::Serialize;

mod levels;
mod parity;

pub use levels::{GroupKey, Levels};
pub use parity::Parity;

use levels::SkuTally;
use parity::shares;

/// Half-width of a 95 % interval in standard errors.
const WIDTH: f64 = 1.959_964;
/// Discounts are counted in steps of so much of the list price.
const DEPTH_STEP: f64 = 0.05;
const N_DEPTHS: usize = 9;
/// Fewest customers of a group that is compared.
const LEAST_CUSTOMERS: u64 = 30;

/// The audit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PriceAudit {
    /// The project.
    pub name: String,
    /// The project folder's identity.
    pub policy_sha256: String,
    /// First instant looked at.
    pub from: Timestamp,
    /// First instant after it.
    pub until: Timestamp,
    /// Prices shown.
    pub n_shown: u64,
    /// Customers who saw one.
    pub n_customers: u64,
    /// How deep discounts on the list price went: share of prices by depth, in steps of 5 %; the first is no discount.
    pub depths: Vec<f64>,
    /// By field and value.
    pub groups: Vec<GroupPrices>,
    /// By SKU, those shown most first.
    pub skus: Vec<SkuPrices>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What one group was shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupPrices {
    /// A field that no price model uses, or `stage`.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Customers.
    pub n_customers: u64,
    /// Prices they were shown.
    pub n_shown: u64,
    /// Price over that of everybody else, of the same SKU in the same week (geometric mean); none where nobody else was
    /// shown the same.
    pub price_ratio: Option<Ratio>,
    /// Share of discounted prices over that of everybody else, for the same SKUs in the same weeks.
    pub discount_ratio: Option<Ratio>,
    /// Share of prices by depth of discount, in steps of 5 %.
    pub depths: Vec<f64>,
}

/// A ratio with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// 1: as everybody else.
    pub value: f64,
    /// Lower bound.
    pub lo: f64,
    /// Upper bound.
    pub hi: f64,
}

/// One SKU.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SkuPrices {
    /// Which.
    pub sku: String,
    /// Its category.
    pub category: Option<String>,
    /// List price, in minor units.
    pub list_price_minor: i64,
    /// What the policy would quote first, in minor units.
    pub quoted_price_minor: Option<i64>,
    /// What is believed of its demand.
    pub elasticity: Option<Elasticity>,
    /// What prices are expected to bring.
    pub ladder: Vec<Rung>,
    /// Prices shown, and their mean, lowest and highest in minor units.
    pub n_shown: u64,
    /// Mean price shown.
    pub mean_price_minor: Option<f64>,
    /// Units ordered, less those taken back.
    pub n_units: i64,
    /// Units expected at the prices shown; none where no demand is known.
    pub expected_units: Option<f64>,
    /// Earned less cost, in minor units; none where no cost is known.
    pub margin_minor: Option<i64>,
    /// Margin expected at the prices shown.
    pub expected_margin_minor: Option<f64>,
}

/// The audit of what both passes counted between `from` and `until`.
#[must_use]
pub fn audit(
    project: &Project,
    artifact: Option<&Artifact>,
    levels: &Levels,
    parity: &Parity,
    (from, until): (Timestamp, Timestamp),
) -> PriceAudit {
    let compared = parity.groups.iter().filter(|(_, group)| group.n_customers >= LEAST_CUSTOMERS);
    let n_small = parity.groups.len() - compared.clone().count();
    let mut notes = Vec::new();
    if n_small > 0 {
        notes.push(format!("groups of fewer than {LEAST_CUSTOMERS} customers are not compared: {n_small}"));
    }
    if parity.n_shown == 0 {
        notes.push("no price_shown event in these days: nothing to compare".to_owned());
    }
    if project.pricing.audit_fields.is_empty() {
        notes.push("pricing.toml names no field to compare: [audit] fields = [\"age_band\"]".to_owned());
    }
    let demand = artifact.and_then(|artifact| artifact.demand());
    let demand = demand.map(|model| Demand::of(&project.pricing, model));
    let mut skus: Vec<SkuPrices> = levels
        .skus
        .iter()
        .filter_map(|(sku, tally)| sku_prices(project, demand.as_ref(), sku, tally, until))
        .collect();
    skus.sort_by(|a, b| (b.n_shown, &a.sku).cmp(&(a.n_shown, &b.sku)));
    PriceAudit {
        name: project.settings.name.clone(),
        policy_sha256: project.fingerprint(),
        from,
        until,
        n_shown: parity.n_shown,
        n_customers: parity.n_customers,
        depths: shares(&parity.depths),
        groups: compared.map(|(key, group)| group.prices(key)).collect(),
        skus,
        notes,
    }
}

fn sku_prices(
    project: &Project,
    demand: Option<&Demand>,
    sku: &str,
    tally: &SkuTally,
    now: Timestamp,
) -> Option<SkuPrices> {
    let rules = project.pricing.sku(sku);
    let record = demand.and_then(|demand| demand.model().record(DemandLevel::Sku, sku));
    let list = rules.map(|rules| rules.list_price_minor);
    let list_price_minor = list.or_else(|| record.as_ref().map(|record| record.reference_price_minor))?;
    let market = MarketRules::default();
    let around = Circumstances {
        now,
        market: &market,
        control: Assignment::default(),
        ledger: None,
        locked_minor: None,
        recent: None,
        person: None,
        seed: Seed(0),
    };
    let request = PriceRequest {
        sku: sku.to_owned(),
        list_price_minor: Some(list_price_minor),
        ..PriceRequest::default()
    };
    let choice = choose_price(&project.pricing, demand, &around, &request).ok();
    let cost = choice.as_ref().and_then(|choice| choice.cost_minor);
    let tells = choice.as_ref().is_some_and(|choice| choice.purchase_probability.is_some());
    let expected_margin = |cost: i64| tally.expected_revenue_minor - cost as f64 * tally.expected_units;
    Some(SkuPrices {
        sku: sku.to_owned(),
        category: rules.and_then(|rules| rules.category.clone()),
        list_price_minor,
        quoted_price_minor: choice.as_ref().map(|choice| choice.quoted_price_minor),
        elasticity: choice.as_ref().and_then(|choice| choice.elasticity),
        ladder: choice.map(|choice| choice.ladder).unwrap_or_default(),
        n_shown: tally.n_shown,
        mean_price_minor: (tally.n_shown > 0).then(|| tally.price_sum as f64 / tally.n_shown as f64),
        n_units: tally.n_units,
        expected_units: tells.then_some(tally.expected_units),
        margin_minor: cost.map(|cost| tally.revenue_minor - cost * tally.n_units),
        expected_margin_minor: cost.filter(|_| tells).map(expected_margin),
    })
}

#[cfg(test)]
mod tests;
