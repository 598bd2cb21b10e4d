//! The training set of the purchase model: a row for each price shown, as the customer stood just before it, and whether
//! they ordered that SKU within the horizon.
//!
//! The same two clocks and periods as for response models. Of several showings of a SKU to a customer on one day the last
//! stands, since one order can follow them all. How often a SKU sells when shown is itself learned from showings: rows to
//! fit are told what the other half of the customers did, all later rows what all rows to fit did, so that no row is told
//! its own outcome. Where showings are more than `max_rows`, they are drawn evenly by their event's id.

use std::collections::BTreeMap;

use nextbest_models::customer::{Customer, CustomerId, stable_hash};
use nextbest_models::event::{Event, EventType};
use nextbest_models::pricing::ShownItem;
use nextbest_models::pricing::purchase::{
    ITEM_COLUMNS, MAX_SLOPES, N_CODES, PURCHASE, PriceBy, PurchaseLevels, PurchaseRule, PurchaseSpec,
    ShowingTally,
};
use nextbest_models::project::Project;
use nextbest_models::units::{Day, Timestamp};

use crate::cutoff::feature_columns;
use crate::dataset::{Column, Dataset, DatasetError};
use crate::learner::{Direction, Monotone};
use crate::periods::Periods;
use crate::showing::Showing;

/// The shares of rows below the number taken as 0 and above that taken as 1, where slopes differ by a feature.
const TAILS: (f64, f64) = (0.05, 0.95);

/// Which showings are learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct PurchasePlan {
    rule: PurchaseRule,
    periods: Periods,
    as_of: Timestamp,
    /// Of all showings, those that are learned from.
    share: f64,
}

/// Showings of one or more customers, with their features.
#[derive(Clone, Debug, Default)]
pub struct Showings {
    rows: Vec<Row>,
    features: Vec<f64>,
}

#[derive(Clone, Debug)]
struct Row {
    customer: CustomerId,
    period: Timestamp,
    sku: String,
    list_price_minor: i64,
    price_minor: i64,
    bought: bool,
}

impl Row {
    /// Which half of the customers it belongs to.
    fn half(&self) -> usize {
        (stable_hash(self.customer.as_str()) >> 32) as usize % 2
    }
}

impl Showings {
    /// Adds those of another bucket.
    pub fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.features.extend(other.features);
    }
}

impl PurchasePlan {
    /// The plan of `rule` on events from `first` to `as_of`, of which `n_shown` are showings; none where the log is too short.
    #[must_use]
    pub fn new(
        project: &Project,
        rule: &PurchaseRule,
        n_shown: u64,
        (first, as_of): (Timestamp, Timestamp),
    ) -> Option<Self> {
        let periods = Periods::new(project.settings.training.step_days, rule.horizon_days, first, as_of)?;
        let share = rule.max_rows as f64 / n_shown.max(1) as f64;
        Some(Self { rule: rule.clone(), periods, as_of, share })
    }

    /// How rows are kept apart.
    #[must_use]
    pub const fn periods(&self) -> &Periods {
        &self.periods
    }

    /// Adds the showings of one customer. `events` are theirs, sorted by ([`Event::known`], `occurred_at`, `event_id`) as
    /// the event log keeps them.
    pub fn replay(&self, project: &Project, id: &CustomerId, events: &[Event], showings: &mut Showings) {
        let known = events.partition_point(|event| event.known() < self.as_of);
        let known = events.get(..known).unwrap_or_default();
        let mut shown: BTreeMap<(&str, Day), (&Event, Showing<'_>)> = BTreeMap::new();
        for event in known {
            let Some(showing) = Showing::of(project, event) else { continue };
            let last = shown.entry((showing.sku, event.occurred_at.day())).or_insert((event, showing));
            if event.occurred_at > last.0.occurred_at {
                *last = (event, showing);
            }
        }
        let mut shown: Vec<_> = shown
            .into_values()
            .filter(|(event, _)| self.is_drawn(event))
            .filter_map(|(event, showing)| Some((event, showing, self.periods.of(event.occurred_at)?)))
            .collect();
        shown.sort_by_key(|(event, ..)| event.occurred_at);
        let mut customer = Customer::new(id.clone(), &project.schema);
        let mut unseen = known.iter().peekable();
        for (event, showing, period) in shown {
            let at = event.occurred_at;
            while let Some(event) = unseen.next_if(|event| event.known() < at) {
                // What the fold refuses is counted by the replay of the cut-offs.
                let _ = customer.apply(&project.schema, event);
            }
            showings.features.extend_from_slice(project.schema.features(&customer, at).values());
            showings.rows.push(Row {
                customer: id.clone(),
                period,
                sku: showing.sku.to_owned(),
                list_price_minor: showing.list_price_minor,
                price_minor: showing.price_minor,
                bought: self.is_bought(known, showing.sku, at),
            });
        }
    }

    fn is_drawn(&self, event: &Event) -> bool {
        (stable_hash(&event.event_id) as f64 / u64::MAX as f64) < self.share
    }

    /// Whether orders of `sku` from `at` on, within the horizon, stand by what is known.
    fn is_bought(&self, known: &[Event], sku: &str, at: Timestamp) -> bool {
        let within = |when: Timestamp| at <= when && when < at.plus_days(self.rule.horizon_days);
        let of_sku = known.iter().filter(|event| event.sku.as_deref() == Some(sku));
        let standing: i64 = of_sku
            .map(|event| {
                let orders = event.event_type == EventType::OrderPlaced && within(event.occurred_at);
                let revises = event.takes_back_whole() && within(event.booked_at());
                i64::from(orders) - i64::from(revises)
            })
            .sum();
        standing > 0
    }

    /// What a model of `showings` is about, and its training set.
    pub fn dataset(
        &self,
        project: &Project,
        showings: &Showings,
    ) -> Result<(PurchaseSpec, Dataset), DatasetError> {
        let fit = |row: &&Row| self.periods.split().fit.contains(&row.period);
        let all = tallies(project, showings.rows.iter().filter(fit));
        let [first, second] = [0, 1]
            .map(|half| tallies(project, showings.rows.iter().filter(fit).filter(|row| row.half() == half)));
        let told_to = [PurchaseLevels::new(&second), PurchaseLevels::new(&first)];
        let spec = PurchaseSpec {
            rule: self.rule.clone(),
            categories: categories(&all),
            price_by: self.price_by(project, showings),
            levels: PurchaseLevels::new(&all),
        };
        let mut dataset = Dataset::new(columns(project, &spec), vec![PURCHASE.to_owned()])?;
        dataset.reserve(showings.rows.len());
        let width = project.schema.names().len();
        let mut numbers = Vec::with_capacity(width + spec.n_columns());
        for (row, features) in showings.rows.iter().zip(showings.features.chunks(width.max(1))) {
            let category = category(project, &row.sku);
            let levels = if fit(&row) { &told_to[row.half()] } else { &spec.levels };
            let item = ShownItem { sku: &row.sku, category, list_price_minor: row.list_price_minor };
            numbers.clear();
            numbers.extend_from_slice(features);
            spec.append(item, levels.of(&row.sku, category), row.price_minor, &mut numbers);
            dataset.push(row.customer.clone(), row.period, &numbers, &[Some(row.bought)])?;
        }
        Ok((spec, dataset))
    }

    /// The bounds between which slopes may differ, from the rows to fit.
    fn price_by(&self, project: &Project, showings: &Showings) -> Vec<PriceBy> {
        let names = project.schema.names();
        let feature = |name: &String| {
            let feature = names.iter().position(|known| known == name)?;
            let rows = showings.rows.iter().zip(showings.features.chunks(names.len()));
            let fit = rows.filter(|(row, _)| self.periods.split().fit.contains(&row.period));
            let mut numbers: Vec<f64> = fit.map(|(_, row)| row[feature]).filter(|x| x.is_finite()).collect();
            numbers.sort_by(f64::total_cmp);
            let at = |share: f64| numbers.get(((numbers.len().max(1) - 1) as f64 * share) as usize).copied();
            let (lo, hi) = (at(TAILS.0).unwrap_or(0.0), at(TAILS.1).unwrap_or(1.0));
            Some(PriceBy { feature, lo, hi: if hi > lo { hi } else { lo + 1.0 } })
        };
        // What names no feature was refused when the project was read.
        self.rule.price_by.iter().filter_map(feature).collect()
    }
}

/// The model falls along each of its price columns.
#[must_use]
pub fn monotone(spec: &PurchaseSpec) -> Monotone {
    spec.price_columns().map(|name| (name, Direction::Decreasing)).collect()
}

/// The texts behind the codes of the columns behind the features, by code.
#[must_use]
pub fn levels(spec: &PurchaseSpec) -> Vec<Vec<String>> {
    let codes = spec.categories.iter().cloned().chain(["(others)".to_owned()]).collect();
    let mut levels = vec![Vec::new(); spec.n_columns()];
    if let Some(first) = levels.first_mut() {
        *first = codes;
    }
    levels
}

fn columns(project: &Project, spec: &PurchaseSpec) -> Vec<Column> {
    let item = ITEM_COLUMNS
        .iter()
        .enumerate()
        .map(|(at, name)| if at < N_CODES { Column::code(*name) } else { Column::numeric(*name) });
    feature_columns(project).chain(item).chain(spec.price_columns().map(Column::numeric)).collect()
}

fn category<'p>(project: &'p Project, sku: &str) -> Option<&'p str> {
    project.pricing.sku(sku).and_then(|sku| sku.category.as_deref())
}

fn tallies<'r>(
    project: &Project,
    rows: impl Iterator<Item = &'r Row>,
) -> BTreeMap<String, (Option<String>, ShowingTally)> {
    let mut tallies: BTreeMap<String, (Option<String>, ShowingTally)> = BTreeMap::new();
    for row in rows {
        if !tallies.contains_key(&row.sku) {
            let known = category(project, &row.sku).map(str::to_owned);
            tallies.insert(row.sku.clone(), (known, ShowingTally::default()));
        }
        if let Some((_, tally)) = tallies.get_mut(&row.sku) {
            tally.add(ShowingTally { n_shown: 1, n_bought: u64::from(row.bought) });
        }
    }
    tallies
}

/// The categories that were shown most, sorted by name.
fn categories(tallies: &BTreeMap<String, (Option<String>, ShowingTally)>) -> Vec<String> {
    let mut n_shown: BTreeMap<&str, u64> = BTreeMap::new();
    for (category, tally) in tallies.values() {
        if let Some(category) = category {
            *n_shown.entry(category).or_default() += tally.n_shown;
        }
    }
    let mut most: Vec<(&str, u64)> = n_shown.into_iter().collect();
    most.sort_by_key(|(name, n)| (std::cmp::Reverse(*n), *name));
    let mut names: Vec<String> = most.into_iter().take(MAX_SLOPES).map(|(name, _)| name.to_owned()).collect();
    names.sort_unstable();
    names
}
