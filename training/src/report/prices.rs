//! The page of the price audit: parity by group, discounts, ladders with their curves, margins beside what was expected.

use std::fmt::Write as _;

use super::diagnostics::{fine_percent, muted, table};
use super::plot::Plot;
use super::{details, escape, list, page, tile_row, whole};
use crate::prices::{GroupPrices, PriceAudit, Ratio, SkuPrices};

/// Ladders drawn, of the SKUs shown most.
const N_LADDERS: usize = 6;

/// The page of `audit`.
#[must_use]
pub fn prices_html(audit: &PriceAudit) -> String {
    let discounted = 1.0 - audit.depths.first().copied().unwrap_or(1.0);
    let margin: i64 = audit.skus.iter().filter_map(|sku| sku.margin_minor).sum();
    let expected: f64 = audit.skus.iter().filter_map(|sku| sku.expected_margin_minor).sum();
    let tiles = [
        (whole(audit.n_shown), "prices shown"),
        (whole(audit.n_customers), "customers who saw one"),
        (fine_percent(discounted), "below the list price"),
        (major(margin as f64), "margin earned"),
        (major(expected), "margin expected at the prices shown"),
    ];
    let sha = audit.policy_sha256.get(..16).unwrap_or(&audit.policy_sha256);
    let ladders: Vec<String> =
        audit.skus.iter().filter(|sku| !sku.ladder.is_empty()).take(N_LADDERS).map(ladder).collect();
    let body = format!(
        "<h1>{}</h1><p class=muted>Prices from {} to {} \u{b7} policy <code>{sha}\u{2026}</code></p>{}{}<h2>Who was shown what</h2>{}{}{}\
         <h2>Discounts</h2>{}<h2>Ladders</h2>{}<div class=pair>{}</div><h2>Margins</h2>{}{}",
        escape(&audit.name),
        audit.from.day(),
        audit.until.day(),
        tile_row(&tiles),
        list(&audit.notes),
        muted(
            "Prices over those of everybody else, for the same goods in the same weeks; 1 is parity. None of these fields enters a \
             price. 95 % intervals, a customer being one observation.",
        ),
        if audit.groups.is_empty() {
            String::new()
        } else {
            format!("<div class=card>{}</div>", parity_plot(&audit.groups))
        },
        groups(&audit.groups),
        depths(&audit.depths),
        muted(
            "Expected margin by price, in the currency's units; the dot is what would be quoted today, before anything was shown."
        ),
        ladders.concat(),
        muted(
            "Units and margin of the days shown, and what the demand model expects at the very prices that were shown."
        ),
        margins(&audit.skus),
    );
    page(&audit.name, &body)
}

fn major(minor: f64) -> String {
    let whole_units = (minor.abs() / 100.0).round() as u64;
    format!("{}{}", if minor < 0.0 { "\u{2212}" } else { "" }, whole(whole_units))
}

fn ratio(ratio: Ratio) -> String {
    format!("{:.3} <small>({:.3} to {:.3})</small>", ratio.value, ratio.lo, ratio.hi)
}

/// Whether all lies outside the interval.
fn differs(ratio: Ratio) -> bool {
    ratio.lo > 1.0 || ratio.hi < 1.0
}

fn parity_plot(groups: &[GroupPrices]) -> String {
    let told: Vec<(&GroupPrices, Ratio)> =
        groups.iter().filter_map(|group| Some((group, group.price_ratio?))).collect();
    let widest = told.iter().map(|(_, r)| (r.hi - 1.0).max(1.0 - r.lo)).fold(0.005, f64::max);
    let n = told.len() as f64;
    let size = (900.0, 60.0 + 22.0 * n);
    let mut plot =
        Plot::new("Price ratio by group, 95 % intervals", size, (1.0 - 1.4 * widest, 1.0 + widest), (0.0, n));
    plot.axes(("price over that of everybody else", |x| format!("{x:.3}")), ("", |_| String::new()));
    plot.segment("diagonal", (1.0, 0.0), (1.0, n));
    for (at, (group, r)) in told.into_iter().enumerate() {
        let y = n - at as f64 - 0.5;
        plot.text((1.0 - 1.4 * widest, y), &format!("{} {}", group.field.replace('_', " "), group.value));
        plot.segment("interval", (r.lo, y), (r.hi, y));
        let name = format!("{} {}: {:.4}", group.field, group.value, r.value);
        plot.dot(if differs(r) { "second" } else { "main" }, (r.value, y), 4.0, &name);
    }
    plot.finish()
}

fn groups(groups: &[GroupPrices]) -> String {
    let mut rows = String::new();
    for group in groups {
        let _ = write!(
            rows,
            "<tr{}><td>{}</td><td class=text>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            if group.price_ratio.is_some_and(differs) { " class=flag" } else { "" },
            escape(&group.field.replace('_', " ")),
            escape(&group.value),
            whole(group.n_customers),
            whole(group.n_shown),
            group.price_ratio.map_or("\u{2013}".to_owned(), ratio),
            group.discount_ratio.map_or("\u{2013}".to_owned(), ratio),
        );
    }
    table(&["field", "value", "customers", "prices shown", "price ratio", "discount rate ratio"], &rows)
}

fn depths(depths: &[f64]) -> String {
    let most = depths.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let mut rows = String::new();
    for (at, share) in depths.iter().enumerate() {
        let depth = match at {
            0 => "none".to_owned(),
            at if at + 1 == depths.len() => format!("over {} %", 5 * (at - 1)),
            at => format!("{} to {} %", 5 * (at - 1), 5 * at),
        };
        let width = 100.0 * share / most;
        let _ = write!(
            rows,
            "<tr><td>{depth}</td><td>{}</td><td><div class=bar style=\"width:{width:.1}%\"></div></td></tr>",
            fine_percent(*share)
        );
    }
    table(&["discount on the list price", "prices shown", ""], &rows).replacen(
        "<table",
        "<table class=bars",
        1,
    )
}

fn ladder(sku: &SkuPrices) -> String {
    let points: Vec<(f64, f64)> = sku
        .ladder
        .iter()
        .map(|rung| (rung.price_minor as f64 / 100.0, rung.expected_margin_minor / 100.0))
        .collect();
    let range = |of: fn(&(f64, f64)) -> f64| {
        points.iter().map(of).fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)))
    };
    let (x, y) = (range(|p| p.0), range(|p| p.1));
    let mut plot = Plot::new(&format!("Expected margin by price, {}", sku.sku), (420.0, 220.0), x, y);
    plot.axes(("price", |x| format!("{x:.2}")), ("expected margin", |y| format!("{y:.3}")));
    plot.line("main", &points);
    let quoted =
        sku.ladder.iter().zip(&points).find(|(rung, _)| Some(rung.price_minor) == sku.quoted_price_minor);
    if let Some((_, point)) = quoted {
        plot.dot("second", *point, 4.5, &format!("{:.2}", point.0));
    }
    let elasticity = sku.elasticity.map_or("no elasticity".to_owned(), |e| {
        format!("elasticity {:.2} ({:.2} to {:.2})", e.value, e.lo, e.hi)
    });
    format!(
        "<div class=card><h3>{} <small class=muted>{elasticity}</small></h3>{}</div>",
        escape(&sku.sku),
        plot.finish()
    )
}

fn margins(skus: &[SkuPrices]) -> String {
    let mut rows = String::new();
    for sku in skus {
        let absent = || "\u{2013}".to_owned();
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{:.2}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&sku.sku),
            sku.list_price_minor as f64 / 100.0,
            sku.mean_price_minor.map_or_else(absent, |price| format!("{:.2}", price / 100.0)),
            whole(sku.n_shown),
            sku.n_units,
            sku.expected_units.map_or_else(absent, |units| format!("{units:.0}")),
            sku.margin_minor.map_or_else(absent, |margin| major(margin as f64)),
            sku.expected_margin_minor.map_or_else(absent, major),
        );
    }
    let heads = ["SKU", "list", "mean shown", "shown", "units", "expected", "margin", "expected"];
    details(&format!("All {} SKUs", skus.len()), &table(&heads, &rows))
}
