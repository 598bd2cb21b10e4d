//! Sets of values of one name, unknown among them: what intersecting conditions leaves of it.
//!
//! Exact for numbers, since those are 64-bit floats: `> 5` starts at the float after 5, so that every interval is
//! closed. Texts are a list, or all but a list. Sets only; what a condition means is told by `contradiction`.

use std::collections::BTreeSet;

use super::program::Order;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Values {
    /// Closed intervals, ascending and apart.
    Numbers(Vec<(f64, f64)>),
    Flags {
        no: bool,
        yes: bool,
    },
    Texts(BTreeSet<String>),
    TextsBut(BTreeSet<String>),
}

/// Values, and perhaps unknown.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Domain {
    pub(super) known: Values,
    pub(super) unknown: bool,
}

impl Domain {
    pub(super) const fn known(known: Values) -> Self {
        Self { known, unknown: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.unknown && self.known.is_empty()
    }

    pub(super) fn intersected(&self, other: &Self) -> Self {
        Self { known: self.known.intersected(&other.known), unknown: self.unknown && other.unknown }
    }

    pub(super) fn united(&self, other: &Self) -> Self {
        Self { known: self.known.united(&other.known), unknown: self.unknown || other.unknown }
    }
}

impl Values {
    pub(super) fn numbers(order: Order, bound: f64) -> Self {
        let below = (f64::MIN, bound.next_down());
        let above = (bound.next_up(), f64::MAX);
        let intervals = match order {
            Order::Less => vec![below],
            Order::AtMost => vec![(f64::MIN, bound)],
            Order::More => vec![above],
            Order::AtLeast => vec![(bound, f64::MAX)],
            Order::Equal => vec![(bound, bound)],
            Order::Unequal => vec![below, above],
        };
        // Past the largest float nothing is left.
        let some = |(low, high): &(f64, f64)| low <= high && *low <= f64::MAX && *high >= f64::MIN;
        Self::Numbers(intervals.into_iter().filter(some).collect())
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Numbers(intervals) => intervals.is_empty(),
            Self::Flags { no, yes } => !no && !yes,
            Self::Texts(texts) => texts.is_empty(),
            Self::TextsBut(_) => false,
        }
    }

    /// Of two kinds, which never meet, the first.
    fn intersected(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Numbers(a), Self::Numbers(b)) => {
                let pairs = a.iter().flat_map(|a| b.iter().map(move |b| (a.0.max(b.0), a.1.min(b.1))));
                Self::Numbers(pairs.filter(|(low, high)| low <= high).collect())
            }
            (Self::Flags { no, yes }, Self::Flags { no: other_no, yes: other_yes }) => {
                Self::Flags { no: *no && *other_no, yes: *yes && *other_yes }
            }
            (Self::Texts(a), Self::Texts(b)) => Self::Texts(a & b),
            (Self::Texts(only), Self::TextsBut(but)) | (Self::TextsBut(but), Self::Texts(only)) => {
                Self::Texts(only - but)
            }
            (Self::TextsBut(a), Self::TextsBut(b)) => Self::TextsBut(a | b),
            _ => self.clone(),
        }
    }

    fn united(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Numbers(a), Self::Numbers(b)) => {
                Self::Numbers(merged(a.iter().chain(b).copied().collect()))
            }
            (Self::Flags { no, yes }, Self::Flags { no: other_no, yes: other_yes }) => {
                Self::Flags { no: *no || *other_no, yes: *yes || *other_yes }
            }
            (Self::Texts(a), Self::Texts(b)) => Self::Texts(a | b),
            (Self::Texts(only), Self::TextsBut(but)) | (Self::TextsBut(but), Self::Texts(only)) => {
                Self::TextsBut(but - only)
            }
            (Self::TextsBut(a), Self::TextsBut(b)) => Self::TextsBut(a & b),
            _ => self.clone(),
        }
    }
}

/// Ascending and apart, however the intervals overlapped.
fn merged(mut intervals: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    intervals.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut apart: Vec<(f64, f64)> = Vec::new();
    for (low, high) in intervals {
        match apart.last_mut() {
            Some(last) if low <= last.1 => last.1 = last.1.max(high),
            _ => apart.push((low, high)),
        }
    }
    apart
}
