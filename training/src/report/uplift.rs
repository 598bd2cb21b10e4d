//! The page of one uplift fit: effects, candidates, the uplift curve, and what predicted uplift came to.

use std::fmt::Write as _;

use super::fit::columns_table;
use super::plot::Plot;
use super::{escape, list, page, tile_row, whole};
use crate::elasticity::Interval;
use crate::uplift::{ProjectUplift, Ranking, UpliftCandidate, UpliftReport};

/// What the training report says of an uplift model of a project.
pub(super) fn section(report: &ProjectUplift) -> String {
    let effect = &report.effect;
    let shares = format!(
        "with a contact {}, without {}",
        percent(report.treated_arm.rate),
        percent(report.control_arm.rate)
    );
    let tiles = [
        (points(effect.difference_of_means), "difference of means, points"),
        (points(effect.adjusted), "adjusted for features, points"),
        (whole(report.treated_arm.n), "days with such a contact"),
        (whole(report.control_arm.n), "days without any"),
        (report.learner.name().replace('_', " "), shares.as_str()),
    ];
    format!(
        "<h2>Uplift: {}</h2><p class=muted>What contacts change of {}; below 0 it becomes rarer. Who is contacted follows what \
         is known of them, so probabilities were estimated: what moved both and is no feature is not taken off.</p>{}{}{}",
        escape(&report.name),
        escape(&report.rule.label),
        tile_row(&tiles),
        candidates(&report.candidates),
        report.ranking.as_ref().map_or(String::new(), ranking),
    )
}

/// The page of `report`.
#[must_use]
pub fn uplift_html(report: &UpliftReport) -> String {
    let effect = &report.effect;
    let shares =
        format!("treated {}, control {}", percent(report.treated_arm.rate), percent(report.control_arm.rate));
    let tiles = [
        (points(effect.difference_of_means), "difference of means, points"),
        (points(effect.adjusted), "adjusted for features, points"),
        (whole(report.treated_arm.n), "treated rows"),
        (whole(report.control_arm.n), "control rows"),
        (report.learner.name().replace('_', " "), shares.as_str()),
    ];
    let sha = report.artifact_sha256.get(..16).unwrap_or(&report.artifact_sha256);
    let body = format!(
        "<h1>{}</h1><p class=muted>What {} does to {}, against {}, in {} \u{b7} artifact <code>{sha}\u{2026}</code> \u{b7} \
         seed {}</p>{}<p>{}</p>{}{}{}<h2>Columns</h2>{}",
        escape(&report.name),
        escape(&report.treated),
        escape(&report.outcome),
        escape(&report.control),
        escape(&report.table),
        report.seed.0,
        tile_row(&tiles),
        escape(&report.next),
        list(&remarks(report)),
        candidates(&report.candidates),
        report.ranking.as_ref().map_or(String::new(), ranking),
        columns_table(&report.columns),
    );
    page(&report.name, &body)
}

fn remarks(report: &UpliftReport) -> Vec<String> {
    let overlap = &report.assignment.overlap;
    let mut lines = vec![format!(
        "Probabilities of treatment: {:?}, {:.3} to {:.3}; {} rows beyond 0.01 to 0.99.",
        report.assignment.basis,
        overlap.least,
        overlap.largest,
        whole(overlap.n_extreme as u64)
    )];
    if let Some(auc) = report.assignment.auc {
        lines.push(format!("Features tell the arms apart with AUC {:.3} \u{b1} {:.3}.", auc.value, auc.se));
    }
    lines.extend(
        report.suspected_leaks.iter().map(|leak| format!("Suspected leak: {}: {}.", leak.column, leak.why())),
    );
    let differing = report.differing.iter();
    lines.extend(differing.map(|one| {
        format!("{} differs between the arms, {:.1} standard deviations beyond chance.", one.column, one.z)
    }));
    for (n, what) in [(report.n_neither, "of neither arm"), (report.n_without_outcome, "without an outcome")]
    {
        if n > 0 {
            lines.push(format!("{} rows {what} are left out.", whole(n)));
        }
    }
    if let Some(line) = report.line {
        lines.push(format!(
            "Of the differences in raw scores {:.2} ({:.2} to {:.2}) came true; groups miss the line by {:.2} points.",
            line.slope.value,
            line.slope.lo,
            line.slope.hi,
            100.0 * line.misfit
        ));
    }
    lines
}

fn candidates(candidates: &[UpliftCandidate]) -> String {
    if candidates.is_empty() {
        return "<p>Customers differ by who will answer and would else be of the label: nothing was learned of other \
                differences.</p>"
            .to_owned();
    }
    let mut rows = String::new();
    for one in candidates {
        let _ = write!(
            rows,
            "<tr{}><td>{}</td><td>{:.6} \u{b1} {:.6}</td><td>{:.5} ({:.5} to {:.5})</td></tr>",
            if one.chosen { " class=chosen" } else { "" },
            one.method.name(),
            one.gain.value,
            one.gain.se,
            one.qini.value,
            one.qini.lo,
            one.qini.hi
        );
    }
    format!(
        "<h2>Candidates, out of fold</h2><div class=scroll><table><thead><tr><th>learner</th><th>gain in loss over one \
         effect</th><th>Qini (95 %)</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

fn ranking(ranking: &Ranking) -> String {
    let mut rows = String::new();
    for one in &ranking.top {
        let _ = write!(rows, "<tr><td>{:.0} %</td><td>{}</td></tr>", 100.0 * one.share, points(one.uplift));
    }
    format!(
        "<div class=pair><div class=card><h3>Uplift curve</h3>{}</div><div class=card><h3>Predicted and observed</h3>{}</div>\
         </div><table><thead><tr><th>top</th><th>uplift, points</th></tr></thead><tbody>{rows}</tbody></table>",
        curve(ranking),
        deciles(ranking)
    )
}

/// Outcomes gained per 100 rows of the table by the share treated, with 95 % intervals, above the line of drawing at
/// random.
fn curve(ranking: &Ranking) -> String {
    let gained = |one: f64| 100.0 * one;
    let ends = ranking.curve.iter().flat_map(|point| [gained(point.gained.lo), gained(point.gained.hi)]);
    let range = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    let mut plot = Plot::new("Uplift curve", (460.0, 320.0), (0.0, 1.0), range);
    plot.axes(("share treated", |x| format!("{x:.1}")), ("gained per 100 rows", |y| format!("{y:.1}")));
    let all = ranking.curve.last().map_or(0.0, |point| gained(point.gained.value));
    plot.segment("diagonal", (0.0, 0.0), (1.0, all));
    let line = |pick: fn(&Interval) -> f64| -> Vec<(f64, f64)> {
        let points = ranking.curve.iter().map(|point| (point.share, gained(pick(&point.gained))));
        std::iter::once((0.0, 0.0)).chain(points).collect()
    };
    plot.line("second", &line(|one| one.lo));
    plot.line("second", &line(|one| one.hi));
    plot.line("main", &line(|one| one.value));
    plot.finish()
}

/// Tenths: predicted against observed, with 95 % intervals.
fn deciles(ranking: &Ranking) -> String {
    let ends = ranking.deciles.iter().flat_map(|one| [one.observed.lo, one.observed.hi, one.predicted]);
    let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), end| (low.min(end), high.max(end)));
    let range = (100.0 * low, 100.0 * high);
    let mut plot = Plot::new("Predicted and observed uplift", (460.0, 320.0), range, range);
    plot.axes(("predicted, points", |x| format!("{x:.0}")), ("observed, points", |y| format!("{y:.0}")));
    plot.segment("diagonal", (range.0, range.0), (range.1, range.1));
    for one in &ranking.deciles {
        let x = 100.0 * one.predicted;
        plot.segment("whisker", (x, 100.0 * one.observed.lo), (x, 100.0 * one.observed.hi));
        plot.dot("main", (x, 100.0 * one.observed.value), 4.0, &points(one.observed));
    }
    plot.finish()
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Value and interval in percentage points.
fn points(one: Interval) -> String {
    format!("{:.2} ({:.2} to {:.2})", 100.0 * one.value, 100.0 * one.lo, 100.0 * one.hi)
}
