//! What prices were shown to whom, and what came of them: the audit of a project's event log.
//!
//! Parity compares like with like: each price is set against the mean of its SKU and week, so that a group that buys
//! dearer goods, or came in a dearer month, is not taken for one that is charged more. Intervals are 95 %, and take a
//! customer as one observation, however many prices they saw. Margins set what was earned beside what the demand model
//! expects at the very prices shown. Nothing here knows a file format or a page.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::artifact::Artifact;
use nextbest_models::event::{Event, EventType};
use nextbest_models::policy::control::Assignment;
use nextbest_models::pricing::{
    Circumstances, DemandLevel, DemandModel, Elasticity, MarketRules, PriceRequest, Rung, choose_price,
};
use nextbest_models::project::Project;
use nextbest_models::units::{Seed, Timestamp};
use serde::Serialize;

/// Days of a week.
const WEEK: i32 = 7;
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
    /// Price over that of all, of the same SKU in the same week (geometric mean).
    pub price_ratio: Ratio,
    /// Share of discounted prices over that of all, for the same SKUs in the same weeks.
    pub discount_ratio: Option<Ratio>,
    /// Share of prices by depth of discount, in steps of 5 %.
    pub depths: Vec<f64>,
}

/// A ratio with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// 1: as all.
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

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    n: u64,
    log_price: f64,
    n_discounted: u64,
}

#[derive(Clone, Debug, Default)]
struct SkuTally {
    n_shown: u64,
    price_sum: i128,
    n_units: i64,
    revenue_minor: i64,
    expected_units: f64,
    expected_revenue_minor: f64,
}

/// First pass: what all were shown. Its order and how it is split do not matter but for the rounding of sums.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    cells: BTreeMap<(String, i32), Cell>,
    skus: BTreeMap<String, SkuTally>,
}

/// A price shown, as the audit takes it.
struct Showing<'e> {
    sku: &'e str,
    week: i32,
    price_minor: i64,
    list_price_minor: i64,
}

impl Showing<'_> {
    fn discounted(&self) -> bool {
        self.price_minor < self.list_price_minor
    }

    fn depth(&self) -> usize {
        let share = 1.0 - self.price_minor as f64 / self.list_price_minor.max(1) as f64;
        ((share / DEPTH_STEP).ceil().max(0.0) as usize).min(N_DEPTHS - 1)
    }
}

fn showing<'e>(project: &Project, event: &'e Event) -> Option<Showing<'e>> {
    let (sku, value) = (event.sku.as_deref()?, event.value?);
    let price_minor = value.amount_minor / event.quantity.unwrap_or(1).max(1);
    let told = event.number("list_price_minor").map(|list| list.round() as i64);
    let list_price_minor = told.or_else(|| project.pricing.sku(sku).map(|sku| sku.list_price_minor))?;
    let week = event.occurred_at.day().number().div_euclid(WEEK);
    let shown = event.event_type == EventType::PriceShown && price_minor > 0 && list_price_minor > 0;
    shown.then_some(Showing { sku, week, price_minor, list_price_minor })
}

impl Levels {
    /// Counts an event.
    pub fn add(&mut self, project: &Project, demand: Option<&DemandModel>, event: &Event) {
        if let Some(shown) = showing(project, event) {
            let cell = self.cells.entry((shown.sku.to_owned(), shown.week)).or_default();
            cell.n += 1;
            cell.log_price += (shown.price_minor as f64).ln();
            cell.n_discounted += u64::from(shown.discounted());
            let tally = self.skus.entry(shown.sku.to_owned()).or_default();
            tally.n_shown += 1;
            tally.price_sum += i128::from(shown.price_minor);
            let category = project.pricing.sku(shown.sku).and_then(|sku| sku.category.as_deref());
            let curve = demand.and_then(|demand| demand.curve(shown.sku, category, shown.list_price_minor));
            if let Some(p) = curve.and_then(|curve| curve.purchase_probability(shown.price_minor)) {
                tally.expected_units += p.get();
                tally.expected_revenue_minor += p.get() * shown.price_minor as f64;
            }
        }
        let (Some(sku), Some(quantity)) = (&event.sku, event.quantity) else { return };
        let sign = match event.event_type {
            EventType::OrderPlaced => 1,
            EventType::OrderCancelled | EventType::Refunded => -1,
            _ => return,
        };
        let tally = self.skus.entry(sku.clone()).or_default();
        tally.n_units += sign * quantity;
        tally.revenue_minor += sign * event.value.map_or(0, |value| value.amount_minor);
    }

    /// Adds what another part counted.
    pub fn merge(&mut self, other: Self) {
        for (key, theirs) in other.cells {
            let mine = self.cells.entry(key).or_default();
            mine.n += theirs.n;
            mine.log_price += theirs.log_price;
            mine.n_discounted += theirs.n_discounted;
        }
        for (key, theirs) in other.skus {
            let mine = self.skus.entry(key).or_default();
            mine.n_shown += theirs.n_shown;
            mine.price_sum += theirs.price_sum;
            mine.n_units += theirs.n_units;
            mine.revenue_minor += theirs.revenue_minor;
            mine.expected_units += theirs.expected_units;
            mine.expected_revenue_minor += theirs.expected_revenue_minor;
        }
    }
}

/// Sums over customers of what each adds to a group.
#[derive(Clone, Debug, Default)]
struct Group {
    n_customers: u64,
    n_shown: u64,
    /// Sums of d, d^2, n d, n^2 with d a customer's sum of log price ratios and n their prices.
    log_ratio: Moments,
    /// The same with d the customer's discounts less what all would have had.
    discounts: Moments,
    expected_discounts: f64,
    depths: [u64; N_DEPTHS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    d: f64,
    dd: f64,
    nd: f64,
    nn: f64,
}

impl Moments {
    fn add(&mut self, n: f64, d: f64) {
        self.d += d;
        self.dd += d * d;
        self.nd += n * d;
        self.nn += n * n;
    }

    fn merge(&mut self, other: Self) {
        self.d += other.d;
        self.dd += other.dd;
        self.nd += other.nd;
        self.nn += other.nn;
    }

    /// Mean of d per n, and its standard error with each customer one observation: for r = sum d / sum n,
    /// `var r = sum (d - r n)^2 / (sum n)^2` (ratio estimator, Cochran 1977, 6.3).
    fn mean(&self, n: f64) -> (f64, f64) {
        let mean = self.d / n;
        let variance = self.dd - 2.0 * mean * self.nd + mean * mean * self.nn;
        (mean, variance.max(0.0).sqrt() / n)
    }
}

/// Second pass: what each group was shown, against [`Levels`].
#[derive(Clone, Debug, Default)]
pub struct Parity {
    groups: BTreeMap<(String, String), Group>,
    n_customers: u64,
    n_shown: u64,
    depths: [u64; N_DEPTHS],
}

impl Parity {
    /// Counts one customer, who belongs to `groups` (field, value), with their `events`.
    pub fn add(
        &mut self,
        project: &Project,
        levels: &Levels,
        groups: &BTreeSet<(String, String)>,
        events: &[Event],
    ) {
        let mut one = Group::default();
        let (mut log_ratio, mut discounts, mut expected) = (0.0, 0.0, 0.0);
        for shown in events.iter().filter_map(|event| showing(project, event)) {
            let Some(cell) = levels.cells.get(&(shown.sku.to_owned(), shown.week)) else { continue };
            let n = cell.n as f64;
            one.n_shown += 1;
            one.depths[shown.depth()] += 1;
            log_ratio += (shown.price_minor as f64).ln() - cell.log_price / n;
            discounts += f64::from(u8::from(shown.discounted()));
            expected += cell.n_discounted as f64 / n;
        }
        if one.n_shown == 0 {
            return;
        }
        one.n_customers = 1;
        one.log_ratio.add(one.n_shown as f64, log_ratio);
        one.discounts.add(expected, discounts - expected);
        one.expected_discounts = expected;
        self.n_customers += 1;
        self.n_shown += one.n_shown;
        add_all(&mut self.depths, &one.depths);
        for group in groups {
            self.groups.entry(group.clone()).or_default().merge(&one);
        }
    }

    /// Adds what another part counted.
    pub fn merge(&mut self, other: &Self) {
        self.n_customers += other.n_customers;
        self.n_shown += other.n_shown;
        add_all(&mut self.depths, &other.depths);
        for (key, theirs) in &other.groups {
            self.groups.entry(key.clone()).or_default().merge(theirs);
        }
    }
}

fn add_all(to: &mut [u64; N_DEPTHS], more: &[u64; N_DEPTHS]) {
    to.iter_mut().zip(more).for_each(|(to, more)| *to += more);
}

fn shares(depths: &[u64; N_DEPTHS]) -> Vec<f64> {
    let all = depths.iter().sum::<u64>().max(1) as f64;
    depths.iter().map(|n| *n as f64 / all).collect()
}

impl Group {
    fn merge(&mut self, other: &Self) {
        self.n_customers += other.n_customers;
        self.n_shown += other.n_shown;
        self.log_ratio.merge(other.log_ratio);
        self.discounts.merge(other.discounts);
        self.expected_discounts += other.expected_discounts;
        add_all(&mut self.depths, &other.depths);
    }

    fn prices(&self, (field, value): &(String, String)) -> GroupPrices {
        let (mean, se) = self.log_ratio.mean(self.n_shown as f64);
        let price_ratio =
            Ratio { value: mean.exp(), lo: (mean - WIDTH * se).exp(), hi: (mean + WIDTH * se).exp() };
        let discount_ratio = (self.expected_discounts > 0.0).then(|| {
            // Observed over expected, less 1, as a ratio of sums over customers.
            let (excess, se) = self.discounts.mean(self.expected_discounts);
            Ratio {
                value: 1.0 + excess,
                lo: (1.0 + excess - WIDTH * se).max(0.0),
                hi: 1.0 + excess + WIDTH * se,
            }
        });
        GroupPrices {
            field: field.clone(),
            value: value.clone(),
            n_customers: self.n_customers,
            n_shown: self.n_shown,
            price_ratio,
            discount_ratio,
            depths: shares(&self.depths),
        }
    }
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
    let mut skus: Vec<SkuPrices> = levels
        .skus
        .iter()
        .filter_map(|(sku, tally)| sku_prices(project, demand, sku, tally, until))
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
    demand: Option<&DemandModel>,
    sku: &str,
    tally: &SkuTally,
    now: Timestamp,
) -> Option<SkuPrices> {
    let rules = project.pricing.sku(sku);
    let record = demand.and_then(|demand| demand.record(DemandLevel::Sku, sku));
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
        everybody_minor: None,
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
