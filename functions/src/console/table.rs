//! A table of an answer's rows: each column is one line of data, so a field that the answer gains is one line more.

use maud::{Markup, html};
use nextbest_models::units::Currency;
use serde_json::Value;

use super::words;

/// A column.
pub(super) struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// The order of the answer that goes by it, if there is one.
    pub sort: Option<&'static str>,
    /// The field that may be null beside a code.
    pub field: &'static str,
    /// Whether it is of numbers.
    pub number: bool,
    /// Whether a narrow screen does without it.
    pub wide: bool,
    /// What stands in it.
    pub cell: fn(&Value, Currency) -> Markup,
}

/// `rows` under `columns`; a column that no row has is left out, and told below with its code. `heading` makes what stands
/// above a column.
pub(super) fn table(
    caption: &str,
    columns: &[Column],
    rows: &[Value],
    currency: Currency,
    heading: impl Fn(&Column) -> Markup,
) -> Markup {
    let (shown, absent): (Vec<&Column>, Vec<&Column>) =
        columns.iter().partition(|column| absent_everywhere(column, rows).is_none());
    let class = |column: &Column| match (column.number, column.wide) {
        (true, true) => Some("number wide"),
        (true, false) => Some("number"),
        (false, true) => Some("wide"),
        (false, false) => None,
    };
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr { @for column in &shown {
                    th scope="col" class=[class(column)] { (heading(column)) }
                } } }
                tbody {
                    @for row in rows {
                        tr { @for (at, column) in shown.iter().enumerate() { (cell(at, column, class(column), row, currency)) } }
                    }
                }
            }
        }
        @if !absent.is_empty() {
            ul.absent aria-label="Not on this list" {
                @for column in absent {
                    @let code = absent_everywhere(column, rows).unwrap_or_default();
                    li { (column.title) ": " (words::of_code(code)) " " code { (code) } }
                }
            }
        }
    }
}

fn cell(at: usize, column: &Column, class: Option<&str>, row: &Value, currency: Currency) -> Markup {
    let content = match words::absence(&row[column.field]) {
        Some(code) => html! { span.none { (words::of_code(code)) } },
        None => (column.cell)(row, currency),
    };
    html! { @if at == 0 { th scope="row" class=[class] { (content) } } @else { td class=[class] { (content) } } }
}

/// The code of the first row, where the field is absent from all.
fn absent_everywhere<'a>(column: &Column, rows: &'a [Value]) -> Option<&'a str> {
    let first = words::absence(&rows.first()?[column.field])?;
    rows.iter().all(|row| words::absence(&row[column.field]).is_some()).then_some(first)
}
