//! The page of the lifecycle metrics: each with its definition, retention as a heat map, churn over time, the stages and the
//! ways between them, answers and contacts. It formats numbers and computes none.

use std::fmt::Write as _;

use nextbest_models::lifecycle::Stage;

use super::diagnostics::{fine_percent, muted, table};
use super::plot::Plot;
use super::{details, escape, list, page, percent, tile_row, whole};
use crate::lifecycle::{
    Bounded, ChurnAt, Cohort, LifecycleReport, Measure, Metric, Moves, OPT_OUT_DAYS, RECENT_DAYS, Retention,
    Unit,
};
use heat::heat_map;

mod heat;

/// Changes of stage listed; the JSON holds all.
const N_CHANGES: usize = 20;

/// The page of `report`.
#[must_use]
pub fn lifecycle_html(report: &LifecycleReport) -> String {
    let tiles: Vec<(String, &str)> =
        report.metrics.iter().map(|metric| (tile(metric), metric.title)).collect();
    let sha = report.policy_sha256.get(..16).unwrap_or(&report.policy_sha256);
    let from = report.from.map_or_else(|| "no event".to_owned(), |from| from.day().to_string());
    let mut body = format!(
        "<h1>{}</h1><p class=muted>Customers as of {} \u{b7} log from {from} \u{b7} {} customers \u{b7} policy \
         <code>{sha}\u{2026}</code></p>{}{}<h2>What is counted</h2>{}{}",
        escape(&report.name),
        report.as_of,
        whole(report.n_customers),
        tile_row(&tiles),
        list(&report.notes),
        muted("95 % intervals, a customer being one observation. A dash has no number; the code says why."),
        metrics(&report.metrics),
    );
    body += &retention(&report.retention);
    body += &churn(&report.churn);
    body += &stages(report);
    body += &voices(report);
    page(&report.name, &body)
}

/// A number as it reads in its unit.
fn in_unit(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Share => fine_percent(value),
        Unit::Orders => format!("{value:.2}"),
        Unit::Days => format!("{value:.1}"),
        Unit::Points if value < 0.0 => format!("\u{2212}{:.1}", -value),
        Unit::Points => format!("{value:.1}"),
    }
}

/// The number with its interval, or a dash with the code.
#[must_use]
pub fn interval(unit: Unit, measure: &Measure) -> (String, String) {
    match (&measure.estimate, measure.code) {
        (Some(Bounded { value, lo, hi, .. }), _) => {
            let bound = |x: f64| in_unit(unit, x).replace(" %", "");
            (in_unit(unit, *value), format!("{} to {}", bound(*lo), bound(*hi)))
        }
        (None, code) => ("\u{2013}".to_owned(), code.map_or("", |code| code.as_str()).to_owned()),
    }
}

fn tile(metric: &Metric) -> String {
    let (value, interval) = interval(metric.unit, &metric.measure);
    format!("{value}</b><small class=muted>{interval}</small><b>")
}

fn cells(unit: Unit, measure: &Measure) -> String {
    let (value, interval) = interval(unit, measure);
    format!("<td>{value}</td><td>{interval}</td>")
}

fn metrics(metrics: &[Metric]) -> String {
    let mut rows = String::new();
    for metric in metrics {
        let Measure { numerator, denominator, .. } = metric.measure;
        let over = numerator.filter(|_| !metric.numerator_is.is_empty());
        let over = over.map_or(String::new(), |n| format!("{} {} of ", signed(n), metric.numerator_is));
        let _ = write!(
            rows,
            "<tr><td>{}</td>{}<td class=text>{}<br><small class=muted>{over}{} {}</small></td></tr>",
            metric.title,
            cells(metric.unit, &metric.measure),
            escape(&metric.definition),
            whole(denominator),
            metric.denominator_is,
        );
    }
    table(&["", "value", "95 % interval", "definition, and what was counted"], &rows).replacen(
        "<th>definition",
        "<th class=level>definition",
        1,
    )
}

fn signed(n: i64) -> String {
    format!("{}{}", if n < 0 { "\u{2212}" } else { "" }, whole(n.unsigned_abs()))
}

fn retention(retention: &Retention) -> String {
    let told: Vec<&Cohort> = retention.cohorts.iter().filter(|cohort| !cohort.months.is_empty()).collect();
    let text = muted(
        "By calendar month (UTC) of the first order: the share of customers with an order in each later month. Months that are \
         not over are left out.",
    );
    if told.is_empty() {
        return format!("<h2>Retention</h2>{text}{}", muted("\u{2013} <code>not_matured</code>"));
    }
    let mut rows = String::new();
    for cohort in &told {
        for (at, measure) in cohort.months.iter().enumerate() {
            let _ = write!(
                rows,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}</tr>",
                cohort.month,
                at + 1,
                whole(measure.denominator),
                signed(measure.numerator.unwrap_or(0)),
                cells(Unit::Share, measure)
            );
        }
    }
    let heads = ["cohort", "month", "customers", "retained", "share", "95 % interval"];
    format!(
        "<h2>Retention</h2>{text}<div class=\"card scroll\">{}</div>{}",
        heat_map(retention, &told),
        details("Every cell with its interval", &table(&heads, &rows)),
    )
}

fn churn(churn: &[ChurnAt]) -> String {
    let told: Vec<(&ChurnAt, Bounded)> =
        churn.iter().filter_map(|one| Some((one, one.measure.estimate?))).collect();
    if told.is_empty() {
        return String::new();
    }
    let top = told.iter().map(|(_, b)| b.hi).fold(0.05, f64::max);
    let bottom = told.iter().map(|(_, b)| b.lo).fold(1.0, f64::min);
    let margin = 0.15 * (top - bottom).max(0.02);
    let range = ((bottom - margin).max(0.0), (top + margin).min(1.0));
    let n = told.len() as f64;
    let mut plot = Plot::new("Observed churn by cut-off, 95 % intervals", (900.0, 240.0), (0.0, n), range);
    plot.axes(("cut-off", |_| String::new()), ("churned, of those active", percent));
    let mut rows = String::new();
    for (at, (one, b)) in told.iter().enumerate() {
        let (x, day) = (at as f64 + 0.5, one.cutoff.day());
        plot.segment("interval", (x, b.lo), (x, b.hi));
        let hover =
            format!("{day}: {} ({} to {})", fine_percent(b.value), fine_percent(b.lo), fine_percent(b.hi));
        plot.dot("main", (x, b.value), 4.0, &hover);
        plot.text((x + 0.04, b.value), &day.to_string());
        let _ = write!(
            rows,
            "<tr><td>{day}</td><td>{}</td><td>{}</td>{}{}</tr>",
            whole(one.measure.denominator),
            signed(one.measure.numerator.unwrap_or(0)),
            cells(Unit::Share, &one.measure),
            cells(Unit::Share, &one.measure.complement()),
        );
    }
    let heads = ["cut-off", "active", "churned", "churn", "95 % interval", "kept", "95 % interval"];
    format!("<h2>Churn</h2><div class=card>{}</div>{}", plot.finish(), table(&heads, &rows))
}

fn words(stage: Stage) -> String {
    stage.as_str().replace('_', " ")
}

fn stages(report: &LifecycleReport) -> String {
    let estimates = report.stages.iter().filter_map(|one| Some(one.share.estimate?.value));
    let most = estimates.fold(f64::MIN_POSITIVE, f64::max);
    let mut rows = String::new();
    for one in &report.stages {
        let width = one.share.estimate.map_or(0.0, |b| 100.0 * b.value / most);
        let (days, between) = interval(Unit::Days, &one.days);
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td>{}<td>{days}</td><td>{between}</td><td><div class=bar style=\"width:{width:.1}%\"></div></td></tr>",
            words(one.stage),
            signed(one.share.numerator.unwrap_or(0)),
            cells(Unit::Share, &one.share),
        );
    }
    let heads = ["stage", "customers", "share", "95 % interval", "days in it, median", "95 % interval", ""];
    let text = "Where customers stand today, and for how long so far.";
    format!(
        "<h2>Stages</h2>{}{}{}{}",
        muted(text),
        table(&heads, &rows).replacen("<table", "<table class=bars", 1),
        moves(&report.moves),
        changes(report),
    )
}

fn moves(moves: &[Moves]) -> String {
    if moves.is_empty() {
        return String::new();
    }
    let mut rows = String::new();
    for one in moves {
        let mut to = one.to.clone();
        to.sort_by_key(|(stage, n)| (std::cmp::Reverse(*n), *stage));
        let to: Vec<String> =
            to.iter().map(|(stage, n)| format!("{} {}", words(*stage), whole(*n))).collect();
        let part = |measure: &Measure| measure.estimate.map_or(0.0, |b| 100.0 * b.value);
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td>{}<td><div class=flow><i class=down style=\"width:{:.1}%\"></i><i class=stayed style=\"width:{:.1}%\"></i>\
             <i class=up style=\"width:{:.1}%\"></i></div><small class=muted>{}</small></td></tr>",
            words(one.from),
            whole(one.stayed.denominator),
            [&one.down, &one.stayed, &one.up]
                .map(|measure| {
                    let (value, between) = interval(Unit::Share, measure);
                    format!("<td>{value}<br><small class=muted>{between}</small></td>")
                })
                .concat(),
            part(&one.down),
            part(&one.stayed),
            part(&one.up),
            to.join(", "),
        );
    }
    let heads = ["stood in", "customers", "fell", "stayed", "rose", "and stand today in"];
    format!(
        "<h3>What became of those who stood in a stage {RECENT_DAYS} days ago</h3>{}{}",
        table(&heads, &rows).replacen("<table", "<table class=flows", 1),
        muted(
            "The ladder, from below: defected, at risk, aware, considering, recovered, new, activating, active, loyal, advocate. \
             What stood then is told by what is known now.",
        )
    )
}

fn changes(report: &LifecycleReport) -> String {
    let mut rows = String::new();
    for change in report.changes.iter().take(N_CHANGES) {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td class=text>{}</td><td>{}</td></tr>",
            words(change.from),
            words(change.to),
            whole(change.n_changes)
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    let summary = format!(
        "Changes of stage in {RECENT_DAYS} days: {} of {} kinds",
        report.changes.len().min(N_CHANGES),
        report.changes.len()
    );
    details(&summary, &table(&["from", "to", "changes"], &rows))
}

fn voices(report: &LifecycleReport) -> String {
    let answers = &report.answers;
    let n = answers.n_promoters + answers.n_passives + answers.n_detractors;
    let mut body = String::new();
    if n > 0 {
        let mut rows = String::new();
        let classes = [
            ("promoters (9, 10)", answers.n_promoters),
            ("passives (7, 8)", answers.n_passives),
            ("detractors (0 to 6)", answers.n_detractors),
        ];
        for (name, count) in classes {
            let share = count as f64 / n as f64;
            let _ = write!(
                rows,
                "<tr><td>{name}</td><td>{}</td><td>{}</td><td><div class=bar style=\"width:{:.1}%\"></div></td></tr>",
                whole(count),
                fine_percent(share),
                100.0 * share
            );
        }
        body += "<h2>Answers</h2>";
        body += &table(&["", "customers", "share", ""], &rows).replacen("<table", "<table class=bars", 1);
    }
    if !report.responses.is_empty() {
        let mut rows = String::new();
        for one in &report.responses {
            let _ = write!(
                rows,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td>{}</tr>",
                escape(&one.campaign_type.replace('_', " ")),
                whole(one.n_customers),
                whole(one.measure.denominator),
                signed(one.measure.numerator.unwrap_or(0)),
                cells(Unit::Share, &one.measure),
            );
        }
        let heads = ["campaign type", "customers", "contacts", "answered", "response rate", "95 % interval"];
        body += "<h2>Contacts</h2>";
        body += &table(&heads, &rows);
        body += &muted(&format!(
            "Who answered need not have come because of it: what a contact brings is a question of uplift. Withdrawn consent \
             is counted within {OPT_OUT_DAYS} days of any contact."
        ));
    }
    body
}
