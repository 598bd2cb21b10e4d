//! The page of the at-risk list held against what followed: curves as expected and as they came, calibration by band, and the
//! difference that contacts made. It formats numbers and computes none.

use std::fmt::Write as _;

use super::diagnostics::{fine_percent, muted, table};
use super::plot::Plot;
use super::{details, escape, list, number, page, percent, tile_row, whole};
use crate::backtest::{
    AtCutoff, Backtest, Band, CONTACT_DAYS, Difference, Interval, Judged, ModelSource, Point,
};
use crate::diagnostics::in_words;

/// Pixels of a plot.
const SIZE: (f64, f64) = (440.0, 340.0);
/// Standard deviations to either side of what is expected, drawn as what chance may do.
const WIDTH: f64 = 1.96;

/// The page of `report`.
#[must_use]
pub fn backtest_html(report: &Backtest) -> String {
    let sha = report.policy_sha256.get(..16).unwrap_or(&report.policy_sha256);
    let worth = if report.value == "lifetime_value" { "lifetime value" } else { "recent value" };
    let mut body = format!(
        "<h1>{}</h1><p class=muted>The at-risk list and what followed, as known on {} \u{b7} policy <code>{sha}\u{2026}</code></p>{}{}",
        escape(&report.name),
        report.as_of.day(),
        muted(&escape(&format!(
            "Churn: {}. Lists by {}, as they would have been built on the day, by models that knew nothing from that day on. Value \
             is the {worth} the list said. 95 % intervals, a customer being one observation.",
            in_words(&report.churn_definition),
            report.order.replace('_', " "),
        ))),
        list(&report.notes),
    );
    report.cutoffs.iter().rev().for_each(|at| body += &section(at));
    page(&report.name, &body)
}

fn section(at: &AtCutoff) -> String {
    let models = match (at.source, at.trained_through) {
        (Some(ModelSource::Artifact), Some(through)) => {
            format!("By an artifact of the time, trained through {}.", through.day())
        }
        (Some(ModelSource::Refitted), Some(through)) => {
            format!("By models trained for this page on what was known by {}.", through.day())
        }
        _ => String::new(),
    };
    let told = match (&at.judged, at.code) {
        (Some(judged), _) => judged_section(judged),
        (None, code) => muted(&format!(
            "\u{2013} <code>{}</code> {}",
            code.unwrap_or_default(),
            escape(at.reason.as_deref().unwrap_or_default())
        )),
    };
    format!("<h2>The list of {}</h2>{}{told}", at.cutoff.day(), muted(&models))
}

fn judged_section(judged: &Judged) -> String {
    let tenth = judged.curve.get(judged.curve.len() / 10).or(judged.curve.last());
    let mut tiles = vec![
        (whole(judged.n_customers as u64), "customers listed"),
        (whole(judged.n_churned as u64), "left"),
    ];
    if let Some(end) = judged.curve.last() {
        tiles.push((
            format!("{:.0} \u{b1} {:.0}", end.expected_churners, WIDTH * end.chance),
            "expected to leave",
        ));
    }
    let found = tenth.and_then(|point| point.share_of_churners);
    tiles.push((found.map_or("\u{2013}".to_owned(), fine_percent), "of them in the first tenth"));
    let (money, kept) = (money(&judged.curve), rates(&judged.curve));
    format!(
        "{}<div class=pair><div class=card><h3>Churners by length</h3>{}</div><div class=card><h3>Value lost by length</h3>{money}\
         </div><div class=card><h3>Share that left by length</h3>{kept}</div><div class=\"card wide\"><h3>By band</h3>{}</div></div>{}{}",
        tile_row(&tiles),
        churners(&judged.curve),
        bands(&judged.bands),
        difference(&judged.difference),
        details("Numbers by length", &numbers(&judged.curve)),
    )
}

/// The plotting area over the length of a list, in which points are drawn as (length, expected, came).
fn over_length(title: &str, curve: &[Point], top: f64, axis: &str) -> Plot {
    let longest = curve.last().map_or(1.0, |point| point.n_customers as f64);
    let mut plot = Plot::new(title, SIZE, (0.0, longest), (0.0, top));
    plot.axes(("length of the list", thousands), (axis, thousands));
    plot
}

fn thousands(value: f64) -> String {
    if value >= 10.0 { whole(value.round() as u64) } else { number(value) }
}

fn along(curve: &[Point], of: impl Fn(&Point) -> f64) -> Vec<(f64, f64)> {
    curve.iter().map(|point| (point.n_customers as f64, of(point))).collect()
}

fn churners(curve: &[Point]) -> String {
    let top = curve.iter().map(|point| point.churners.hi.max(point.expected_churners)).fold(1.0, f64::max);
    let mut plot = over_length("Churners by length of the list", curve, top, "churners among the first");
    plot.line("diagonal", &along(curve, |point| (point.expected_churners - WIDTH * point.chance).max(0.0)));
    plot.line("diagonal", &along(curve, |point| (point.expected_churners + WIDTH * point.chance).min(top)));
    plot.line("second", &along(curve, |point| point.expected_churners));
    plot.line("main", &along(curve, |point| point.churners.value));
    plot.finish()
        + &muted(
            "<span class=main>Blue</span>: who left; <span class=second>orange</span>: expected; dashed: what chance may do to it if \
             the probabilities are right.",
        )
}

fn money(curve: &[Point]) -> String {
    let major = |minor: f64| minor / 100.0;
    let most = |point: &Point| point.lost_minor.hi.max(point.expected_lost_minor);
    let top = major(curve.iter().map(most).fold(100.0, f64::max));
    let mut plot = over_length("Value lost by length of the list", curve, top, "value of those who left");
    for point in curve.iter().skip(9).step_by(10) {
        let x = point.n_customers as f64;
        plot.segment("interval", (x, major(point.lost_minor.lo)), (x, major(point.lost_minor.hi)));
    }
    plot.line("second", &along(curve, |point| major(point.expected_lost_minor)));
    plot.line("main", &along(curve, |point| major(point.lost_minor.value)));
    plot.finish()
        + &muted(
            "<span class=main>Blue</span>: lost, in the currency's units; <span class=second>orange</span>: expected.",
        )
}

/// Of the first n, the share that left: with its interval, beside the mean probability.
fn rates(curve: &[Point]) -> String {
    let longest = curve.last().map_or(1.0, |point| point.n_customers as f64);
    let of = |point: &Point, value: f64| value / point.n_customers as f64;
    let top = curve.iter().map(|point| of(point, point.churners.hi.max(point.expected_churners)));
    // The first few points have intervals of nearly everything.
    let top = top.skip(4).fold(0.05, f64::max).min(1.0);
    let mut plot = Plot::new("Share that left by length of the list", SIZE, (0.0, longest), (0.0, top));
    plot.axes(("length of the list", thousands), ("share that left among the first", percent));
    for point in curve.iter().skip(4).step_by(5) {
        let x = point.n_customers as f64;
        plot.segment(
            "interval",
            (x, of(point, point.churners.lo)),
            (x, of(point, point.churners.hi).min(top)),
        );
    }
    let drawn = |value: fn(&Point) -> f64| {
        let all = along(curve, |point| of(point, value(point)).min(top));
        all.get(4..).unwrap_or_default().to_vec()
    };
    plot.line("second", &drawn(|point| point.expected_churners));
    plot.line("main", &drawn(|point| point.churners.value));
    plot.finish()
        + &muted(
            "<span class=main>Blue</span>: share that left; <span class=second>orange</span>: mean probability.",
        )
}

fn between(interval: &Interval, as_text: impl Fn(f64) -> String) -> String {
    let (lo, hi) = (as_text(interval.lo), as_text(interval.hi));
    format!("{} <small>({lo} to {hi})</small>", as_text(interval.value))
}

fn bands(bands: &[Band]) -> String {
    let mut rows = String::new();
    for band in bands {
        let outside = band.expected < band.observed.lo || band.expected > band.observed.hi;
        let _ = write!(
            rows,
            "<tr{}><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if outside { " class=flag" } else { "" },
            escape(&band.band),
            whole(band.n_customers as u64),
            fine_percent(band.expected),
            between(&band.observed, fine_percent),
        );
    }
    table(&["band", "customers", "expected", "left"], &rows)
        + &muted("Marked: the mean probability lies outside the interval of what came.")
}

fn difference(told: &Difference) -> String {
    let counted = format!(
        "{} customers the policy could contact, {} of them contacted within {CONTACT_DAYS} days; {} held out.",
        whole(told.n_open as u64),
        whole(told.n_contacted as u64),
        whole(told.n_held_out as u64)
    );
    let points = |share: f64| format!("{:+.1} points", 100.0 * share).replace('-', "\u{2212}");
    let value = match (&told.estimate, told.code) {
        (Some(estimate), _) => between(estimate, points),
        (None, code) => format!("\u{2013} <code>{}</code>", code.unwrap_or_default()),
    };
    format!("<h3>Contacted against held out</h3><p>Difference in churn: {value}</p>{}", muted(&counted))
}

fn numbers(curve: &[Point]) -> String {
    let mut rows = String::new();
    let count = |value: f64| format!("{value:.0}");
    let major = |minor: f64| whole((minor / 100.0).round().max(0.0) as u64);
    for point in curve.iter().skip(4).step_by(5) {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{:.1}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            whole(point.n_customers as u64),
            point.expected_churners,
            between(&point.churners, count),
            point.share_of_churners.map_or("\u{2013}".to_owned(), fine_percent),
            major(point.expected_lost_minor),
            between(&point.lost_minor, major),
            major(point.kept_minor),
        );
    }
    let heads = [
        "first",
        "expected to leave",
        "left",
        "of all who left",
        "expected lost",
        "value lost",
        "value kept",
    ];
    table(&heads, &rows)
}
