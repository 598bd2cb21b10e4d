//! Second pass: each group against everybody else, for the same SKUs in the same weeks.
//!
//! With D = 1 for showings to the group and y the logarithm of the price (or 1 for a discounted one), the difference is that
//! of the regression `y = cell effect + delta D + e`: `delta = sum A / sum B` with `A = sum (D - D_cell)(y - y_cell)` and
//! `B = sum (D - D_cell)^2` over the showings of a customer. A customer is one observation, however many prices they saw:
//! `var delta = sum (A - delta B)^2 / (sum B)^2` over customers (Liang & Zeger 1986), members of the group or not.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::event::Event;
use nextbest_models::project::Project;

use super::levels::{Cell, CellKey, GroupKey, Levels, cell, depth, is_discounted};
use super::{GroupPrices, N_DEPTHS, Ratio, WIDTH};
use crate::showing::Showing;

/// Sums over customers of what the head of this file calls A and B.
#[derive(Clone, Copy, Debug, Default)]
struct Moments {
    a: f64,
    b: f64,
    aa: f64,
    ab: f64,
    bb: f64,
}

impl Moments {
    fn add(&mut self, a: f64, b: f64) {
        self.merge(Self { a, b, aa: a * a, ab: a * b, bb: b * b });
    }

    fn merge(&mut self, other: Self) {
        self.a += other.a;
        self.b += other.b;
        self.aa += other.aa;
        self.ab += other.ab;
        self.bb += other.bb;
    }

    /// The difference and its standard error; none where no cell has both the group and others.
    fn difference(&self) -> Option<(f64, f64)> {
        let delta = self.a / self.b;
        let variance = self.aa - 2.0 * delta * self.ab + delta * delta * self.bb;
        (self.b > 0.0).then(|| (delta, variance.max(0.0).sqrt() / self.b))
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    pub(super) n_customers: u64,
    n_shown: u64,
    log_price: Moments,
    discounted: Moments,
    /// Of everybody else, discounted showings as the group's cells weigh them, and the weights.
    others_discounted: f64,
    others_weight: f64,
    depths: [u64; N_DEPTHS],
}

/// What each group was shown, against [`Levels`].
#[derive(Clone, Debug, Default)]
pub struct Parity {
    pub(super) groups: BTreeMap<GroupKey, Group>,
    pub(super) n_customers: u64,
    pub(super) n_shown: u64,
    pub(super) depths: [u64; N_DEPTHS],
}

/// A showing with its cell.
struct Placed<'l> {
    key: CellKey,
    cell: &'l Cell,
    log_price: f64,
    discounted: f64,
}

impl Parity {
    /// Counts one customer, who belongs to `groups`, with their `events`.
    pub fn add(&mut self, project: &Project, levels: &Levels, groups: &BTreeSet<GroupKey>, events: &[Event]) {
        let (mut placed, mut depths) = (Vec::new(), [0; N_DEPTHS]);
        for event in events {
            let Some(shown) = Showing::of(project, event) else { continue };
            let key = cell(&shown, event);
            let Some(cell) = levels.cells.get(&key) else { continue };
            depths[depth(&shown)] += 1;
            let log_price = (shown.price_minor as f64).ln() - cell.log_price / cell.n as f64;
            let discounted =
                f64::from(u8::from(is_discounted(&shown))) - cell.n_discounted as f64 / cell.n as f64;
            placed.push(Placed { key, cell, log_price, discounted });
        }
        if placed.is_empty() {
            return;
        }
        self.n_customers += 1;
        self.n_shown += placed.len() as u64;
        add_all(&mut self.depths, &depths);
        for (name, cells) in &levels.groups {
            let group = self.groups.entry(name.clone()).or_default();
            group.add(&placed, cells, groups.contains(name));
            if groups.contains(name) {
                group.n_customers += 1;
                group.n_shown += placed.len() as u64;
                add_all(&mut group.depths, &depths);
            }
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

pub(super) fn shares(depths: &[u64; N_DEPTHS]) -> Vec<f64> {
    let all = depths.iter().sum::<u64>().max(1) as f64;
    depths.iter().map(|n| *n as f64 / all).collect()
}

impl Group {
    fn add(&mut self, placed: &[Placed<'_>], own: &BTreeMap<CellKey, Cell>, member: bool) {
        let (mut price, mut discount, mut b) = (0.0, 0.0, 0.0);
        for one in placed {
            let own = own.get(&one.key).copied().unwrap_or_default();
            let share = own.n as f64 / one.cell.n as f64;
            let d = f64::from(u8::from(member)) - share;
            price += d * one.log_price;
            discount += d * one.discounted;
            b += d * d;
            let n_others = one.cell.n - own.n;
            if member && n_others > 0 {
                self.others_weight += d;
                self.others_discounted +=
                    d * (one.cell.n_discounted - own.n_discounted) as f64 / n_others as f64;
            }
        }
        self.log_price.add(price, b);
        self.discounted.add(discount, b);
    }

    fn merge(&mut self, other: &Self) {
        self.n_customers += other.n_customers;
        self.n_shown += other.n_shown;
        self.log_price.merge(other.log_price);
        self.discounted.merge(other.discounted);
        self.others_discounted += other.others_discounted;
        self.others_weight += other.others_weight;
        add_all(&mut self.depths, &other.depths);
    }

    pub(super) fn prices(&self, (field, value): &GroupKey) -> GroupPrices {
        let price_ratio = self.log_price.difference().map(|(delta, se)| Ratio {
            value: delta.exp(),
            lo: (delta - WIDTH * se).exp(),
            hi: (delta + WIDTH * se).exp(),
        });
        let others = self.others_discounted / self.others_weight;
        let discount_ratio = self.discounted.difference().filter(|_| others > 0.0).map(|(delta, se)| {
            let of = |delta: f64| (1.0 + delta / others).max(0.0);
            Ratio { value: of(delta), lo: of(delta - WIDTH * se), hi: of(delta + WIDTH * se) }
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
