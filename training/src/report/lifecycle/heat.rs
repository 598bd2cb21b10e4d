//! Retention as a heat map: a row for each cohort, a column for each month since, all cohorts below.

use std::fmt::Write as _;

use super::super::diagnostics::fine_percent;
use super::super::whole;
use super::signed;
use crate::lifecycle::{Bounded, Cohort, Measure, Retention};

/// Width and height of a cell, in pixels.
const CELL: (f64, f64) = (46.0, 24.0);
/// Left of the cells: month and customers.
const HEAD: f64 = 150.0;

pub(super) fn heat_map(retention: &Retention, told: &[&Cohort]) -> String {
    let n_months = retention.months.len();
    let size = (HEAD + CELL.0 * n_months as f64, CELL.1 * (told.len() as f64 + 2.0) + 4.0);
    let values = told.iter().flat_map(|cohort| &cohort.months).filter_map(|cell| Some(cell.estimate?.value));
    let most = values.fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = String::new();
    for month in 1..=n_months {
        let x = HEAD + CELL.0 * (month as f64 - 0.5);
        let _ = write!(svg, "<text x={x:.1} y=15 text-anchor=middle>{month}</text>");
    }
    let _ = write!(
        svg,
        "<text class=axis x=0 y=15>first order</text><text x={:.1} y=15 text-anchor=end>customers</text>",
        HEAD - 8.0
    );
    let all: u64 = told.iter().map(|cohort| cohort.n_customers).sum();
    let lines = told.iter().map(|cohort| (cohort.month.as_str(), cohort.n_customers, &cohort.months));
    for (row, (name, n, months)) in lines.chain([("all", all, &retention.months)]).enumerate() {
        let top = CELL.1 * (row as f64 + 1.0);
        let base = top + 16.0;
        let _ = write!(
            svg,
            "<text class=axis x=0 y={base:.1}>{name}</text><text x={:.1} y={base:.1} text-anchor=end>{}</text>",
            HEAD - 8.0,
            whole(n)
        );
        for (at, cell) in months.iter().enumerate() {
            heat_cell(
                &mut svg,
                (HEAD + CELL.0 * at as f64, top),
                most,
                &format!("{name}, month {}", at + 1),
                cell,
            );
        }
    }
    // No wider than its own pixels: a young log would blow a few cells up to the width of the page.
    format!(
        "<svg role=img aria-label=\"Retention by monthly cohort\" viewBox=\"0 0 {:.0} {:.0}\" style=\"max-width:{:.0}px;min-width:{:.0}px\">\
         <title>Retention by monthly cohort</title>{svg}</svg>",
        size.0,
        size.1,
        size.0 * 1.4,
        size.0 * 0.8,
    )
}

fn heat_cell(svg: &mut String, (x, y): (f64, f64), most: f64, name: &str, cell: &Measure) {
    let Some(Bounded { value, lo, hi, .. }) = cell.estimate else { return };
    let _ = write!(
        svg,
        "<g><title>{name}: {} ({} to {}), {} of {}</title><rect class=heat x={:.1} y={:.1} width={:.1} height={:.1} \
         style=\"fill-opacity:{:.3}\" /><text class=cell x={:.1} y={:.1} text-anchor=middle>{:.0}</text></g>",
        fine_percent(value),
        fine_percent(lo),
        fine_percent(hi),
        signed(cell.numerator.unwrap_or(0)),
        whole(cell.denominator),
        x + 1.0,
        y + 1.0,
        CELL.0 - 2.0,
        CELL.1 - 2.0,
        0.04 + 0.56 * value / most,
        x + CELL.0 / 2.0,
        y + 16.0,
        100.0 * value,
    );
}
