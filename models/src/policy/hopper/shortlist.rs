//! The shortlist: of any number of customers those that can still be chosen, in bounded memory.
//!
//! All contacts of a kind take the same of every limit and differ by customer and worth alone. If at most N contacts can
//! be made in all, the N best of each kind are enough: an optimum that takes another leaves one of those N customers free,
//! who is worth at least as much and takes the same. The same holds for the greedy choice. So the optimum, its bounds and
//! the choice over the shortlist are those over everyone; what is kept beyond N stands in for those who fall meanwhile.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::choose::Entry;

/// The best of each kind. `C` names a customer.
#[derive(Clone, Debug)]
pub struct Shortlist<C> {
    kinds: Vec<Vec<(f64, C)>>,
    n_kept: usize,
}

/// A shortlist that is complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Shortlisted<C> {
    /// The customers, in order; entries name them by their places here.
    pub customers: Vec<C>,
    /// Their entries, by kind and falling worth.
    pub entries: Vec<Entry>,
}

impl<C: Ord + Clone> Shortlist<C> {
    /// Keeps the `n_kept` best of each of `n_kinds` kinds.
    #[must_use]
    pub fn new(n_kinds: usize, n_kept: usize) -> Self {
        Self { kinds: vec![Vec::new(); n_kinds], n_kept }
    }

    /// Considers a contact of `customer`, each customer once for a kind; one that is worth nothing, or no number, is left
    /// out.
    pub fn add(&mut self, kind: usize, worth: f64, customer: C) {
        if !(worth.is_finite() && worth > 0.0) || self.n_kept == 0 {
            return;
        }
        let kept = &mut self.kinds[kind];
        kept.push((worth, customer));
        if kept.len() >= self.n_kept.saturating_mul(2) {
            best_of(kept, self.n_kept);
        }
    }

    /// The best, for [`choose`](super::choose()).
    #[must_use]
    pub fn finish(mut self) -> Shortlisted<C> {
        let mut places = BTreeMap::new();
        for kept in &mut self.kinds {
            best_of(kept, self.n_kept);
            places.extend(kept.iter().map(|(_, customer)| (customer.clone(), 0)));
        }
        places.values_mut().zip(0..).for_each(|(place, at)| *place = at);
        let of_kind = |(kind, kept): (usize, &Vec<(f64, C)>)| {
            let entry =
                |(worth, customer): &(f64, C)| Entry { customer: places[customer], kind, worth: *worth };
            kept.iter().map(entry).collect::<Vec<_>>()
        };
        let entries = self.kinds.iter().enumerate().flat_map(of_kind).collect();
        Shortlisted { entries, customers: places.into_keys().collect() }
    }
}

fn best_of<C: Ord>(kept: &mut Vec<(f64, C)>, n: usize) {
    let better = |a: &(f64, C), b: &(f64, C)| -> Ordering { b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)) };
    kept.sort_unstable_by(better);
    kept.truncate(n);
}
