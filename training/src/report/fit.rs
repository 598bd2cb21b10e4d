//! The page of one fitted table: its columns and what became of them, what was suspicious, and the model's quality.

use std::fmt::Write as _;

use super::{escape, list, page, propensity_section, tile_row, whole};
use crate::table::{ColumnReport, FitReport};

/// The page of `report`.
#[must_use]
pub fn fit_html(report: &FitReport) -> String {
    let n_features = report.columns.iter().filter(|column| column.left_out.is_none()).count();
    let tiles = [
        (whole(report.n_rows), "rows"),
        (whole(report.n_positive), "with the outcome"),
        (whole(n_features as u64), "features"),
        (whole((report.columns.len() - n_features) as u64), "columns left out"),
    ];
    let sha = report.artifact_sha256.get(..16).unwrap_or(&report.artifact_sha256);
    let body = format!(
        "<h1>{}</h1><p class=muted>{} of {} \u{b7} artifact <code>{sha}\u{2026}</code> \u{b7} seed {}</p>{}{}{}\
         <h2>Columns</h2>{}",
        escape(&report.name),
        escape(&report.label),
        escape(&report.table),
        report.seed.0,
        tile_row(&tiles),
        list(&remarks(report)),
        propensity_section(&report.propensity),
        columns_table(&report.columns),
    );
    page(&report.name, &body)
}

fn remarks(report: &FitReport) -> Vec<String> {
    let parts: Vec<String> = report
        .split
        .parts
        .iter()
        .map(|part| {
            format!(
                "{} {} rows, {} with",
                part.name,
                whole(part.n_rows as u64),
                whole(part.n_positive as u64)
            )
        })
        .collect();
    let column = report.split.column.as_ref().map_or(String::new(), |column| format!(" {column}"));
    let mut lines =
        vec![format!("Split by {}{column}: {}.", report.split.by.replace('_', " "), parts.join("; "))];
    let leaks = report.suspected_leaks.iter();
    lines.extend(leaks.map(|leak| format!("Suspected leak: {}: {}.", leak.column, leak.why())));
    for (n, what) in [
        (report.duplicates.n_rows, "rows equal an earlier one in every feature and the outcome"),
        (report.duplicates.n_across, "of these equal one in another fold or part"),
        (report.n_repeated_keys, "rows repeat a key; they are kept"),
        (report.n_unlabelled, "rows have no label and are left out"),
    ] {
        if n > 0 {
            lines.push(format!("{} {what}.", whole(n)));
        }
    }
    lines.extend(report.notes.iter().cloned());
    lines
}

pub(super) fn columns_table(columns: &[ColumnReport]) -> String {
    let mut rows = String::new();
    for column in columns {
        let left_out = column.left_out.and_then(|reason| serde_json::to_value(reason).ok());
        let left_out = left_out.as_ref().and_then(|reason| reason.as_str());
        let kind = match left_out {
            Some(reason) => format!("left out: {}", reason.replace('_', " ")),
            None => column.kind.unwrap_or_default().to_owned(),
        };
        let least = if column.distinct_exact { "" } else { "over " };
        let levels: Vec<&str> = column.frequent.iter().map(|(text, _)| text.as_str()).collect();
        let _ = write!(
            rows,
            "<tr><td>{}</td><td class=text>{}</td><td>{}</td><td>{least}{}</td><td class=text>{}</td><td class=text>{}</td></tr>",
            escape(&column.name),
            escape(&kind),
            whole(column.n_missing),
            whole(column.n_distinct),
            column.range.map_or_else(|| escape(&levels.join(", ")), |(low, high)| format!("{low} to {high}")),
            escape(&column.note),
        );
    }
    format!(
        "<div class=scroll><table><thead><tr><th>column</th><th>is</th><th>missing</th><th>different</th>\
         <th>range or most frequent</th><th>note</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
}
