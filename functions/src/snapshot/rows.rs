//! The rows of a snapshot between scoring and writing: laid aside once for every order, then read back in it.

use std::io;

use super::curve::{Curve, Cutoff, Totals};
use super::order::Order;
use super::row::AtRisk;
use super::sorting::{RUN_ROWS, Sorted, Sorter};

/// Rows in no order yet. Memory does not grow with them; see `sorting`.
pub struct Rows {
    sorters: Vec<(Order, Sorter<AtRisk>)>,
    totals: Totals,
}

impl Rows {
    /// To be listed in these orders.
    pub fn new(orders: impl IntoIterator<Item = Order>) -> Self {
        let sorters = orders.into_iter().map(|order| (order, Sorter::new(order.compare(), RUN_ROWS)));
        Self { sorters: sorters.collect(), totals: Totals::default() }
    }

    /// Takes one row; an error where it cannot be laid aside.
    pub fn push(&mut self, row: AtRisk) -> io::Result<()> {
        self.totals.add(&row);
        let Some(((_, last), others)) = self.sorters.split_last_mut() else { return Ok(()) };
        others.iter_mut().try_for_each(|(_, sorter)| sorter.push(row.clone()))?;
        last.push(row)
    }

    pub(super) const fn totals(&self) -> &Totals {
        &self.totals
    }

    /// The rows in one order after the other, of those for which anybody has the number.
    pub fn in_order(self) -> impl Iterator<Item = io::Result<(Order, InOrder)>> {
        let totals = self.totals;
        let told = self.sorters.into_iter().filter(move |(order, _)| totals.tells(*order));
        told.map(move |(order, sorter)| {
            Ok((order, InOrder { sorted: sorter.finish()?, curve: Curve::new(totals) }))
        })
    }
}

/// Rows in one order.
pub struct InOrder {
    sorted: Sorted<AtRisk>,
    curve: Curve,
}

impl InOrder {
    /// The next rows, at most `n`; none at the end.
    pub fn take(&mut self, n: usize) -> io::Result<Vec<AtRisk>> {
        let mut rows = Vec::new();
        while rows.len() < n {
            let Some(row) = self.sorted.next()? else { break };
            self.curve.add(&row);
            rows.push(row);
        }
        Ok(rows)
    }

    /// The curve of the rows that were taken.
    #[must_use]
    pub fn curve(self) -> Vec<Cutoff> {
        self.curve.finish()
    }
}
