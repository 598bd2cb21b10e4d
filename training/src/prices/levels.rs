//! First pass: what all were shown of each SKU in each week, what was ordered of it, and what was expected.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::event::{Event, EventType};
use nextbest_models::pricing::DemandModel;
use nextbest_models::project::Project;

use super::{DEPTH_STEP, N_DEPTHS};
use crate::showing::Showing;

/// Days of a week.
const WEEK: i32 = 7;

/// A field and its value.
pub type GroupKey = (String, String);
/// A SKU in a week.
pub(super) type CellKey = (String, i32);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cell {
    pub(super) n: u64,
    pub(super) log_price: f64,
    pub(super) n_discounted: u64,
}

impl Cell {
    fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.log_price += other.log_price;
        self.n_discounted += other.n_discounted;
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct SkuTally {
    pub(super) n_shown: u64,
    pub(super) price_sum: i128,
    pub(super) n_units: i64,
    pub(super) revenue_minor: i64,
    pub(super) expected_units: f64,
    pub(super) expected_revenue_minor: f64,
}

/// First pass: what all were shown. Its order and how it is split do not matter but for the rounding of sums.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    pub(super) cells: BTreeMap<CellKey, Cell>,
    /// Of each group, what it was shown.
    pub(super) groups: BTreeMap<GroupKey, BTreeMap<CellKey, Cell>>,
    pub(super) skus: BTreeMap<String, SkuTally>,
}

/// Whether a price lies below its list price.
pub(super) const fn is_discounted(shown: &Showing<'_>) -> bool {
    shown.price_minor < shown.list_price_minor
}

/// The step of depth that a price's discount reaches.
pub(super) fn depth(shown: &Showing<'_>) -> usize {
    let share = 1.0 - shown.price_minor as f64 / shown.list_price_minor as f64;
    ((share / DEPTH_STEP).ceil().max(0.0) as usize).min(N_DEPTHS - 1)
}

/// The SKU and week of a price shown by `event`.
pub(super) fn cell(shown: &Showing<'_>, event: &Event) -> CellKey {
    (shown.sku.to_owned(), event.occurred_at.day().number().div_euclid(WEEK))
}

impl Levels {
    /// Counts an event of a customer who belongs to `groups`.
    pub fn add(
        &mut self,
        project: &Project,
        demand: Option<&DemandModel>,
        groups: &BTreeSet<GroupKey>,
        event: &Event,
    ) {
        if let Some(shown) = Showing::of(project, event) {
            let (key, log_price) = (cell(&shown, event), (shown.price_minor as f64).ln());
            let one = Cell { n: 1, log_price, n_discounted: u64::from(is_discounted(&shown)) };
            for group in groups {
                self.groups.entry(group.clone()).or_default().entry(key.clone()).or_default().merge(&one);
            }
            self.cells.entry(key).or_default().merge(&one);
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
            self.cells.entry(key).or_default().merge(&theirs);
        }
        for (group, cells) in other.groups {
            let mine = self.groups.entry(group).or_default();
            cells.into_iter().for_each(|(key, theirs)| mine.entry(key).or_default().merge(&theirs));
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
