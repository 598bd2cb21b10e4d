//! What `nextbest fit-uplift` tells a person.

use std::path::Path;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use nextbest_training::elasticity::Interval;
use nextbest_training::uplift::{Arm, Basis, Method, Ranking, TopShare, UpliftReport};

use crate::import::grouped;

/// The report for a person.
pub(super) fn told(report: &UpliftReport, out: Option<&Path>) -> String {
    let mut parts = vec![effects(report), candidates(report)];
    if let Some(ranking) = &report.ranking {
        parts.push(deciles(ranking));
        parts.push(top(ranking));
    }
    parts.push(remarks(report).join("\n"));
    parts.push(report.next.clone());
    if let Some(out) = out {
        parts.push(format!("{} sealed into {}", report.learner.name(), out.display()));
    }
    parts.retain(|part| !part.is_empty());
    parts.join("\n\n")
}

fn effects(report: &UpliftReport) -> String {
    let mut table = table_of(&["percentage points", "", "95 % interval"]);
    let effect = &report.effect;
    for (name, one) in
        [("difference of means", effect.difference_of_means), ("adjusted for features", effect.adjusted)]
    {
        let [value, interval] = points(one);
        table.add_row([name.to_owned(), value, interval]);
    }
    if let Some(both) = effect.overlapping {
        let [value, interval] = points(both.effect);
        table.add_row([format!("the same, {} rows of either arm", grouped(both.n)), value, interval]);
    }
    let arm = |name: &str, arm: &Arm| {
        format!("{name}: {} rows, {:.2} % with {}", grouped(arm.n), 100.0 * arm.rate, report.outcome)
    };
    let arms = [arm(&report.treated, &report.treated_arm), arm(&report.control, &report.control_arm)];
    format!("{}\n\n{}", arms.join("\n"), right(table, 3))
}

fn candidates(report: &UpliftReport) -> String {
    let mut table = table_of(&["", "gain over one effect", "Qini, 95 % interval", ""]);
    for one in &report.candidates {
        let gain = |number: f64| 1e4 * number;
        let qini = match one.method {
            Method::Constant => String::new(),
            _ => {
                format!("{:.1} ({:.1} to {:.1})", gain(one.qini.value), gain(one.qini.lo), gain(one.qini.hi))
            }
        };
        let loss = match one.method {
            Method::Constant => String::new(),
            _ => format!("{:.2} +- {:.2}", gain(one.gain.value), gain(one.gain.se)),
        };
        let chosen = if one.chosen { "chosen" } else { "" };
        table.add_row([one.method.name().to_owned(), loss, qini, chosen.to_owned()]);
    }
    format!("{}\n out of fold, in ten-thousandths", right(table, 3))
}

fn deciles(ranking: &Ranking) -> String {
    let mut table =
        table_of(&["tenth by predicted uplift", "rows", "predicted", "came true", "95 % interval"]);
    for one in &ranking.deciles {
        let [value, interval] = points(one.observed);
        table.add_row([
            one.decile.to_string(),
            grouped(one.n as u64),
            format!("{:.2}", 100.0 * one.predicted),
            value,
            interval,
        ]);
    }
    right(table, 5).to_string()
}

fn top(ranking: &Ranking) -> String {
    let one = |top: &TopShare| {
        let [value, interval] = points(top.uplift);
        format!("{:.0} %: {value} ({interval})", 100.0 * top.share)
    };
    format!("uplift among the top {}", ranking.top.iter().map(one).collect::<Vec<_>>().join("; "))
}

/// What a person should look at before trusting the model.
fn remarks(report: &UpliftReport) -> Vec<String> {
    let mut lines = Vec::new();
    for leak in &report.suspected_leaks {
        let column = report.columns.iter().find(|column| column.name == leak.column);
        let kept = column.is_some_and(|column| column.left_out.is_none());
        let done = if kept { "kept as asked" } else { "left out; --keep takes it all the same" };
        lines.push(format!("suspected leak: {}: {} ({done})", leak.column, leak.why()));
    }
    if !report.differing.is_empty() {
        let named = report.differing.iter().map(|one| format!("{} ({:.1})", one.column, one.z));
        lines.push(format!(
            "differ between the arms, standard deviations beyond chance: {}; known only after the treatment (--drop such a \
             column), or treatment was not drawn at random",
            named.collect::<Vec<_>>().join(", ")
        ));
    }
    lines.push(assignment(report));
    for (n, what) in [
        (report.n_neither, "rows are of neither arm and are left out"),
        (report.n_without_outcome, "rows have no outcome and are left out"),
    ] {
        if n > 0 {
            lines.push(format!("{} {what}", grouped(n)));
        }
    }
    if report.code.is_some() {
        lines.push("no learner can be told from one effect for everybody (constant_effect)".to_owned());
    }
    lines
}

fn assignment(report: &UpliftReport) -> String {
    let assignment = &report.assignment;
    let overlap = &assignment.overlap;
    let telling = assignment.auc.map_or(String::new(), |auc| {
        format!("; features tell the arms apart with AUC {:.3} +- {:.3}", auc.value, auc.se)
    });
    match assignment.basis {
        Basis::Constant => {
            format!("treatment taken as drawn at random with probability {:.3}{telling}", overlap.least)
        }
        Basis::Column => {
            format!("probabilities of treatment as logged, {:.3} to {:.3}", overlap.least, overlap.largest)
        }
        Basis::Estimated => format!(
            "probabilities of treatment estimated{telling}: 5 to 95 % of treated rows {:.3} to {:.3}, of control rows {:.3} \
             to {:.3}; {} rows beyond 0.01 to 0.99",
            overlap.treated.0,
            overlap.treated.1,
            overlap.control.0,
            overlap.control.1,
            grouped(overlap.n_extreme as u64)
        ),
    }
}

fn table_of(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(head);
    table
}

/// All columns but the first to the right.
fn right(mut table: Table, width: usize) -> Table {
    for column in 1..width {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Value and interval in percentage points.
fn points(one: Interval) -> [String; 2] {
    [format!("{:.2}", 100.0 * one.value), format!("{:.2} to {:.2}", 100.0 * one.lo, 100.0 * one.hi)]
}
