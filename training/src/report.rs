//! The training report as a page: one self-contained HTML file, light or dark as the reader's system is.
//!
//! It shows what report.json holds and nothing else, so every number on it can be read by a program too. No script, no
//! font, no image from elsewhere; all names are escaped.

use std::fmt::Write as _;

use nextbest_models::pricing::{DemandLevel, DemandRecord};

use crate::demand::DemandReport;
use crate::diagnostics::in_words;
use crate::metrics::{CalibrationBin, Estimate};
use crate::selection::{Candidate, PropensityReport, ValidationSummary};
use crate::train::TrainingReport;
use plot::Plot;

mod backtest;
mod card;
mod curves;
mod decisions;
mod diagnostics;
mod fit;
mod lifecycle;
mod lifetime;
mod plot;
mod prices;
mod uplift;

pub use backtest::backtest_html;
pub use decisions::decisions_html;
pub use fit::fit_html;
pub use lifecycle::{interval, lifecycle_html};
pub use lifetime::lifetime_html;
pub use prices::prices_html;
pub use uplift::uplift_html;

/// SKUs drawn, those that sell most.
const N_DRAWN: usize = 40;
/// Demand curves drawn.
const N_CURVES: usize = 6;

/// The page of `report`.
#[must_use]
pub fn html(report: &TrainingReport) -> String {
    let mut body = head(report);
    report.propensities.iter().for_each(|propensity| body.push_str(&propensity_section(propensity)));
    if let Some(demand) = &report.demand {
        body.push_str(&demand_section(demand));
    }
    if let Some(told) = &report.lifetime_value {
        body.push_str(&lifetime::section(told));
    }
    if let Some(told) = &report.realised_value {
        body.push_str(&lifetime::realised(told));
    }
    report.uplifts.iter().for_each(|told| body.push_str(&uplift::section(told)));
    if !report.notes.is_empty() {
        body.push_str(&format!("<h2>Notes</h2>{}", list(&report.notes)));
    }
    page(&report.name, &body)
}

/// A whole page of `body`, titled by `name`.
fn page(name: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <meta name=color-scheme content=\"light dark\"><title>{} \u{2013} training report</title>\n<style>\n{}</style></head>\
         <body>{body}</body></html>\n",
        escape(name),
        include_str!("report/page.css")
    )
}

fn head(report: &TrainingReport) -> String {
    let cutoffs: Vec<String> = report.cutoffs.iter().map(|cutoff| cutoff.day().to_string()).collect();
    let sha = report.artifact_sha256.get(..16).unwrap_or(&report.artifact_sha256);
    let tiles = [
        (whole(report.n_customers), "customers"),
        (whole(report.n_events), "events"),
        (whole(report.n_rows as u64), "training rows (customer \u{d7} cut-off)"),
        (report.trained_through.day().to_string(), "trained through"),
    ];
    format!(
        "<h1>{}</h1><p class=muted>Training report \u{b7} artifact <code>{sha}\u{2026}</code> \u{b7} seed {}</p>{}\
         <p class=muted>Cut-offs: {}. Nothing known at or after a cut-off enters its features.{}</p>",
        escape(&report.name),
        report.seed.0,
        tile_row(&tiles),
        cutoffs.join(", "),
        if report.n_refused > 0 {
            format!(" {} events came later than the allowed lateness.", whole(report.n_refused))
        } else {
            String::new()
        }
    )
}

pub(crate) fn propensity_section(report: &PropensityReport) -> String {
    let (test, told) = (&report.test, report.diagnostics.as_ref());
    let estimate =
        |estimate: Estimate| format!("{:.3} <small>\u{b1} {:.3}</small>", estimate.value, estimate.se);
    let by_chance = format!("calibration error (by chance {:.3})", test.calibration_error_by_chance);
    let n = format!("{} of {} test rows", whole(test.n_positive as u64), whole(test.n as u64));
    let tiles = [
        (test.auc.map_or("\u{2013}".to_owned(), estimate), "AUC"),
        (estimate(test.log_loss), "log-loss, nats"),
        (estimate(test.brier), "Brier score"),
        (format!("{:.3}", test.calibration_error), by_chance.as_str()),
        (format!("{:.1} %", 100.0 * test.base_rate), n.as_str()),
    ];
    format!(
        "<h2>{}</h2><p class=muted>{}</p>{}{}<div class=pair><div class=card><h3>Calibration</h3>{}</div>\
         <div class=card><h3>ROC curve</h3>{}</div>{}</div>{}{}",
        escape(&report.name),
        definition(report),
        tile_row(&tiles),
        candidates_table(&report.candidates),
        calibration_plot(&report.calibration_bins),
        roc_plot(&report.roc),
        told.map_or(String::new(), curves::plots),
        told.map_or(String::new(), diagnostics::tables),
        details("What the learners say", &candidate_notes(&report.candidates)),
    )
}

/// What is predicted, and which moments were used for what.
fn definition(report: &PropensityReport) -> String {
    let mut text = String::new();
    if let Some(label) = &report.label {
        text = format!("{}. ", in_words(label));
    }
    if let Some(split) = &report.split {
        let fit: Vec<String> = split.fit.iter().map(|cutoff| cutoff.day().to_string()).collect();
        let _ = write!(
            text,
            "Fitted on {}; blended, calibrated and chosen on {}; tested once on {}. ",
            fit.join(", "),
            split.calibrate.day(),
            split.test.day()
        );
    }
    if let ValidationSummary::Folds { n_folds, n_scored } = report.validation {
        let _ = write!(
            text,
            "Every number is out of fold: rows of {n_scored} of {n_folds} folds, each scored by models, weights and \
             calibrations fitted without its fold. What is sealed is fitted on all rows. "
        );
    }
    text + "Standard errors beside the numbers; calibration error over ten bins of equal count."
}

fn candidates_table(candidates: &[Candidate]) -> String {
    let mut rows = String::new();
    for candidate in candidates {
        let estimate = |e: Option<Estimate>| {
            e.map_or("\u{2013}".into(), |e| format!("{:.4} \u{b1} {:.4}", e.value, e.se))
        };
        let test = candidate.test.as_ref();
        let chosen = if candidate.chosen { (" class=chosen", " \u{2713}") } else { ("", "") };
        if let Some(failure) = &candidate.failure {
            let _ = write!(
                rows,
                "<tr><td>{}</td><td class=text colspan=7>{}</td></tr>",
                candidate.learner,
                escape(failure)
            );
            continue;
        }
        let _ = write!(
            rows,
            "<tr{}><td>{}{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td></tr>",
            chosen.0,
            candidate.learner,
            chosen.1,
            whole(candidate.n_fit as u64),
            estimate(candidate.choice_log_loss),
            estimate(candidate.behind_best),
            candidate.calibration.unwrap_or("\u{2013}"),
            estimate(test.and_then(|test| test.auc)),
            estimate(test.map(|test| test.log_loss)),
            test.map_or("\u{2013}".into(), |test| format!("{:.4}", test.calibration_error)),
        );
    }
    format!(
        "<div class=scroll><table><thead><tr><th>candidate</th><th>rows fitted</th><th>log-loss of the choice</th>\
         <th>behind the best</th><th>calibration</th><th>test AUC</th><th>test log-loss</th><th>test calibration error</th></tr></thead>\
         <tbody>{rows}</tbody></table></div><p class=muted>The simplest is taken that is behind the best by at most one \
         standard error of the paired difference, in log-loss on the rows of the choice; the test columns were computed after \
         it.</p>"
    )
}

fn candidate_notes(candidates: &[Candidate]) -> String {
    let lines = candidates.iter().flat_map(|candidate| {
        let tried = candidate.calibrations.iter().map(|tried| {
            format!(
                "{}: {} calibration, log-loss {:.4} \u{b1} {:.4}",
                candidate.learner, tried.method, tried.log_loss.value, tried.log_loss.se
            )
        });
        let members = candidate.members.iter();
        let members = members.map(|m| format!("{}: {:.3} of {}", candidate.learner, m.weight, m.learner));
        tried
            .chain(members)
            .chain(candidate.notes.iter().map(|note| format!("{}: {note}", candidate.learner)))
    });
    list(&lines.collect::<Vec<_>>())
}

fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if (percent - percent.round()).abs() < 1e-6 {
        format!("{percent:.0} %")
    } else {
        format!("{percent:.1} %")
    }
}

fn calibration_plot(bins: &[CalibrationBin]) -> String {
    let top = bins.iter().map(|bin| bin.hi.max(bin.predicted)).fold(0.05, f64::max).min(1.0);
    let mut plot =
        Plot::new("Observed share by predicted probability", (440.0, 340.0), (0.0, top), (0.0, top));
    plot.axes(("predicted probability", percent), ("observed share, 95 % interval", percent));
    plot.segment("diagonal", (0.0, 0.0), (top, top));
    for bin in bins {
        plot.segment("interval", (bin.predicted, bin.lo), (bin.predicted, bin.hi.min(top)));
    }
    plot.line("main", &bins.iter().map(|bin| (bin.predicted, bin.observed)).collect::<Vec<_>>());
    for bin in bins {
        let hover = format!(
            "{} rows: predicted {:.1} %, observed {:.1} % ({:.1} to {:.1})",
            bin.n,
            100.0 * bin.predicted,
            100.0 * bin.observed,
            100.0 * bin.lo,
            100.0 * bin.hi
        );
        plot.dot("main", (bin.predicted, bin.observed), 4.0, &hover);
    }
    plot.finish()
}

fn roc_plot(points: &[(f64, f64)]) -> String {
    let mut plot = Plot::new("ROC curve", (440.0, 340.0), (0.0, 1.0), (0.0, 1.0));
    plot.axes(("share of the others scored as high", percent), ("share of outcomes found", percent));
    plot.segment("diagonal", (0.0, 0.0), (1.0, 1.0));
    plot.line("main", points);
    plot.finish()
}

fn demand_section(report: &DemandReport) -> String {
    let estimate = |estimate: Option<Estimate>| {
        estimate
            .map_or("not told".to_owned(), |e| format!("{:.2} <small>\u{b1} {:.2}</small>", e.value, e.se))
    };
    let tiles = [
        (estimate(report.overall.map(|overall| overall.mean)), "mean elasticity"),
        (estimate(report.plain), "plain log-log slope, all weeks (naive)"),
        (estimate(report.debiased), "net of the weeks before (double machine learning)"),
        (whole(report.n_estimated as u64), "SKUs with an estimate of their own"),
        (whole(report.n_too_little as u64), "SKUs whose prices tell too little"),
        (
            format!("{} / {}", whole(report.n_randomised as u64), whole(report.n_observations as u64)),
            "SKU-weeks priced by experiment / all",
        ),
    ];
    let mut skus: Vec<&DemandRecord> =
        report.records.iter().filter(|record| record.level == DemandLevel::Sku).collect();
    skus.sort_by(|a, b| b.n_units.cmp(&a.n_units).then_with(|| a.name.cmp(&b.name)));
    let curves: Vec<String> = skus
        .iter()
        .filter(|record| record.elasticity.is_some())
        .take(N_CURVES)
        .map(|record| {
            format!("<div class=card><h3>{}</h3>{}</div>", escape(&record.name), curve_plot(record))
        })
        .collect();
    format!(
        "<h2>demand</h2>{}{}<div class=card><h3>Elasticities of the SKUs that sell most, 95 % intervals</h3>{}</div>\
         <h3>Demand curves</h3><div class=pair>{}</div>{}",
        list(&report.notes),
        tile_row(&tiles),
        elasticity_plot(&skus),
        curves.concat(),
        details("Every record", &records_table(&report.records)),
    )
}

fn number(value: f64) -> String {
    if value.abs() >= 10.0 || value == value.round() { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn elasticity_plot(skus: &[&DemandRecord]) -> String {
    let drawn: Vec<_> =
        skus.iter().filter_map(|record| Some((record, record.elasticity?))).take(N_DRAWN).collect();
    if drawn.is_empty() {
        return "<p class=muted>No elasticity can be told.</p>".to_owned();
    }
    let low =
        drawn.iter().map(|(record, e)| e.lo.min(record.own.map_or(0.0, |own| own.0))).fold(-1.0, f64::min);
    let high = drawn.iter().filter_map(|(record, _)| Some(record.own?.0)).fold(0.0, f64::max);
    let title = "Elasticity by SKU: believed with its interval, and the SKU's own estimate";
    let mut plot =
        Plot::new(title, (1000.0, 300.0), (0.0, drawn.len() as f64 + 1.0), (low.max(-12.0), high.min(4.0)));
    plot.axes(("SKU, by units sold", |_| String::new()), ("elasticity", number));
    for (place, (record, e)) in drawn.iter().enumerate() {
        let x = place as f64 + 1.0;
        let hover = format!("{}: {:.2} ({:.2} to {:.2})", record.name, e.value, e.lo, e.hi);
        plot.segment("interval", (x, e.lo.max(-12.0)), (x, e.hi));
        plot.dot("main", (x, e.value.max(-12.0)), 4.0, &hover);
        if let Some((own, se)) = record.own {
            let hover = format!("{}, its own data alone: {own:.2} \u{b1} {se:.2}", record.name);
            plot.dot("second", (x + 0.3, own.clamp(-12.0, 4.0)), 2.5, &hover);
        }
    }
    format!(
        "{}<p class=muted>Blue: believed, shrunk and negative. Orange: the SKU's own data alone.</p>",
        plot.finish()
    )
}

fn curve_plot(record: &DemandRecord) -> String {
    let Some(elasticity) = record.elasticity else { return String::new() };
    let reference = record.reference_price_minor as f64;
    let prices: Vec<f64> = (0..=40).map(|k| reference * (0.7 + 0.015 * f64::from(k))).collect();
    let units = |price: f64, slope: f64| record.units_per_week * (price / reference).powf(slope);
    let along =
        |slope: f64| -> Vec<(f64, f64)> { prices.iter().map(|&p| (p / 100.0, units(p, slope))).collect() };
    let (low, high) = (prices[0], prices[prices.len() - 1]);
    let top = units(low, elasticity.lo.max(elasticity.value * 2.0));
    let mut plot =
        Plot::new("Units a week by price", (440.0, 260.0), (low / 100.0, high / 100.0), (0.0, top));
    plot.axes(("price", number), ("units a week", number));
    plot.line("diagonal", &along(elasticity.lo));
    plot.line("diagonal", &along(elasticity.hi));
    plot.line("main", &along(elasticity.value));
    let hover = format!("{:.2} units a week at {:.2}", record.units_per_week, reference / 100.0);
    plot.dot("main", (reference / 100.0, record.units_per_week), 4.0, &hover);
    plot.finish()
}

fn records_table(records: &[DemandRecord]) -> String {
    let mut rows = String::new();
    for record in records {
        let level = match record.level {
            DemandLevel::Overall => "all SKUs".to_owned(),
            DemandLevel::Category => format!("category {}", escape(&record.name)),
            DemandLevel::Sku => escape(&record.name),
            DemandLevel::Cross => format!("neighbours in {}", escape(&record.name)),
        };
        let elasticity = record
            .elasticity
            .map_or("\u{2013}".to_owned(), |e| format!("{:.2} ({:.2} to {:.2})", e.value, e.lo, e.hi));
        let own =
            record.own.map_or("\u{2013}".to_owned(), |(value, se)| format!("{value:.2} \u{b1} {se:.2}"));
        let bought =
            record.purchase_probability.map_or("\u{2013}".to_owned(), |p| format!("{:.2} %", 100.0 * p));
        let _ = write!(
            rows,
            "<tr><td>{level}</td><td>{elasticity}</td><td>{own}</td><td>{:.2}</td><td>{:.2}</td><td>{bought}</td><td>{}</td>\
             <td>{}</td><td class=text>{}</td></tr>",
            record.reference_price_minor as f64 / 100.0,
            record.units_per_week,
            whole(record.n_weeks),
            whole(record.n_units),
            escape(&record.flags.join(", ")),
        );
    }
    format!(
        "<div class=scroll><table><thead><tr><th></th><th>elasticity</th><th>own estimate</th><th>reference price</th>\
         <th>units a week</th><th>bought when shown</th><th>weeks</th><th>units</th><th>flags</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>"
    )
}

fn tile_row(tiles: &[(String, &str)]) -> String {
    let tiles: Vec<String> = tiles
        .iter()
        .map(|(value, name)| format!("<div class=tile><b>{value}</b><span>{name}</span></div>"))
        .collect();
    format!("<div class=tiles>{}</div>", tiles.concat())
}

fn list(lines: &[String]) -> String {
    let items: Vec<String> = lines.iter().map(|line| format!("<li>{}</li>", escape(line))).collect();
    if items.is_empty() { String::new() } else { format!("<ul>{}</ul>", items.concat()) }
}

fn details(summary: &str, content: &str) -> String {
    if content.is_empty() {
        String::new()
    } else {
        format!("<details><summary>{summary}</summary>{content}</details>")
    }
}

/// A whole number with a comma at each thousand.
fn whole(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests;
