//! The page of a lifetime-value model: parameters, frequencies, and how it fared after the calibration.

use std::fmt::Write as _;

use super::plot::Plot;
use super::{escape, list, page, tile_row, whole};
use crate::elasticity::Interval;
use crate::lifetime::{FoldedReport, GoodnessOfFit, Holdout, LifetimeReport, RealisedReport};

/// Width and height of a plot.
const SIZE: (f64, f64) = (520.0, 320.0);

/// What the training report says of a project's lifetime values.
pub(super) fn section(report: &FoldedReport) -> String {
    let mean =
        report.gamma_gamma.population_mean.map_or("\u{2013}".to_owned(), |mean| whole(mean.round() as u64));
    let p = report.goodness_of_fit.p_value.map_or("\u{2013}".to_owned(), |p| format!("{p:.3}"));
    let tiles = [
        (whole(report.n_customers as u64), "customers with a purchase"),
        (whole(report.n_repeaters as u64), "bought again"),
        (mean, "mean value of a purchase day, minor units"),
        (p, "p of the frequencies under the model"),
        (format!("{:.2}", report.log_likelihood), "log-likelihood"),
    ];
    format!(
        "<h2>Lifetime value</h2><p class=muted>BG/NBD and Gamma-Gamma on the customers as of the end of the log, time in \
         weeks.</p>{}{}<div class=pair><div class=card><h3>Customers by repeat purchases</h3>{}</div></div>",
        tile_row(&tiles),
        list(&report.notes),
        frequencies(&report.goodness_of_fit),
    )
}

/// What the training report says of trees of realised value.
pub(super) fn realised(report: &RealisedReport) -> String {
    let mut rows = String::new();
    for error in &report.errors {
        let excess = &error.excess;
        let z =
            if excess.se > 0.0 { format!("{:+.1}", excess.value / excess.se) } else { "\u{2013}".to_owned() };
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{:.0}</td><td>{:.0}</td><td>{:.3}</td><td>{z}</td></tr>",
            error.model, error.rmse, error.mae, error.ratio
        );
    }
    let inside =
        report.coverage.map_or("\u{2013}".to_owned(), |share| format!("{:.1} %", 100.0 * share.value));
    let stretch = report.stretch.map_or("\u{2013}".to_owned(), |ratio| format!("\u{d7} {ratio:.3}"));
    let tiles = [
        (format!("{} weeks", report.n_weeks), "learned, and told again"),
        (whole(report.n_customers[1] as u64), "active customers told"),
        (whole(report.mean_minor[1].round() as u64), "mean value they brought, minor units"),
        (inside, "lay inside their 90 % interval"),
        (stretch, "to the horizon"),
    ];
    format!(
        "<h2>Realised value</h2><p class=muted>{}. Errors in minor units over the weeks after the second cut-off; the last column \
         is what a model's squared error has above the trees', in standard errors.</p>{}<div class=scroll><table><thead><tr>\
         <th>model</th><th>root mean square</th><th>mean absolute</th><th>told over brought</th><th>above trees</th></tr></thead>\
         <tbody>{rows}</tbody></table></div>",
        escape(&report.reason),
        tile_row(&tiles),
    )
}

/// The page of `report`.
#[must_use]
pub fn lifetime_html(report: &LifetimeReport) -> String {
    let mean = report.gamma_gamma.population_mean.map_or("\u{2013}".to_owned(), |mean| format!("{mean:.2}"));
    let tiles = [
        (whole(report.n_customers as u64), "customers"),
        (whole(report.n_repeaters as u64), "bought again"),
        (whole(report.n_repeats), "repeat purchases"),
        (mean, "mean value of a purchase"),
        (format!("{:.2}", report.log_likelihood), "log-likelihood"),
    ];
    let sha = report.artifact_sha256.get(..16).unwrap_or(&report.artifact_sha256);
    let observed = match (&report.observed_from, &report.observed_through) {
        (Some(from), Some(through)) => format!(" \u{b7} {from} to {through}"),
        _ => String::new(),
    };
    let body = format!(
        "<h1>{}</h1><p class=muted>Lifetime value \u{b7} {}{observed} \u{b7} artifact <code>{sha}\u{2026}</code></p>{}{}\
         <h2>Parameters</h2><p class=muted>BG/NBD (Fader, Hardie and Lee 2005) and Gamma-Gamma (Fader and Hardie 2013); time \
         in {}s; a lifetime value looks {} {}s ahead, discounted by {} a {}, margin {}.</p>{}<h2>Fit</h2>\
         <div class=pair><div class=card><h3>Customers by repeat purchases</h3>{}</div>{}</div>{}",
        escape(&report.name),
        escape(&report.table),
        tile_row(&tiles),
        list(&report.notes),
        report.unit,
        report.horizon,
        report.unit,
        report.discount_rate,
        report.unit,
        report.margin,
        parameters(report),
        frequencies(&report.goodness_of_fit),
        report.holdout.as_ref().map_or(String::new(), tracking),
        report.holdout.as_ref().map_or(String::new(), holdout),
    );
    page(&report.name, &body)
}

fn parameters(report: &LifetimeReport) -> String {
    let drawn = report.bootstrap.as_ref().map(|bootstrap| bootstrap.parameters.named());
    let ends = |one: Interval| format!("{:.4} to {:.4}", one.lo, one.hi);
    let mut rows = String::new();
    let named = report.parameters.named().into_iter();
    let spend = report.gamma_gamma.parameters.iter().flat_map(|parameters| parameters.named());
    for (at, (name, one)) in named.chain(spend).enumerate() {
        let drawn =
            drawn.as_ref().and_then(|drawn| drawn.get(at)).map_or(String::new(), |(_, one)| ends(*one));
        let _ = write!(
            rows,
            "<tr><td>{name}</td><td>{:.4}</td><td>{:.4}</td><td>{}</td><td>{drawn}</td></tr>",
            one.value,
            one.se,
            ends(one)
        );
    }
    format!(
        "<div class=scroll><table><thead><tr><th></th><th>value</th><th>standard error</th><th>95 % interval</th>\
         <th>by bootstrap</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )
}

/// Observed and expected side by side.
fn frequencies(fit: &GoodnessOfFit) -> String {
    let most = fit.frequencies.iter().map(|cell| cell.observed.max(cell.expected)).fold(0.0, f64::max);
    let last = fit.frequencies.len() as f64;
    let mut plot = Plot::new("Customers by repeat purchases", SIZE, (-0.5, last - 0.5), (0.0, 1.05 * most));
    plot.axes(
        ("repeat purchases, the last and more", |x| format!("{x:.0}")),
        ("customers", |y| format!("{y:.0}")),
    );
    for cell in &fit.frequencies {
        let x = cell.x as f64;
        plot.bar(
            "main",
            (x - 0.4, x),
            (0.0, cell.observed),
            &format!("{}: {:.0} customers", cell.x, cell.observed),
        );
        plot.bar(
            "second",
            (x, x + 0.4),
            (0.0, cell.expected),
            &format!("{}: {:.1} expected", cell.x, cell.expected),
        );
    }
    let p = fit.p_value.map_or("no p".to_owned(), |p| format!("p {p:.3}"));
    format!(
        "{}<p class=muted><span class=main>observed</span>, <span class=second>expected</span>; chi-square {:.2} on {} \
         degrees of freedom, {p}</p>",
        plot.finish(),
        fit.chi_square,
        fit.degrees_of_freedom
    )
}

/// Cumulated repeat purchases by week.
fn tracking(holdout: &Holdout) -> String {
    let Some(last) = holdout.weeks.last() else { return String::new() };
    let top = 1.05 * last.actual.max(last.expected);
    let mut plot = Plot::new("Cumulated repeat purchases", SIZE, (0.0, f64::from(last.week)), (0.0, top));
    plot.axes(
        ("week", |x| format!("{x:.0}")),
        ("repeat purchases since the beginning", |y| format!("{y:.0}")),
    );
    let line = |of: fn(&crate::lifetime::Week) -> f64| -> Vec<(f64, f64)> {
        holdout.weeks.iter().map(|week| (f64::from(week.week), of(week))).collect()
    };
    plot.line("main", &line(|week| week.actual));
    plot.line("second", &line(|week| week.expected));
    if let Some(first) = holdout.weeks.iter().find(|week| week.holdout) {
        let x = f64::from(first.week) - 1.0;
        plot.segment("diagonal", (x, 0.0), (x, top));
        plot.text((x, 0.05 * top), " holdout");
    }
    format!(
        "<div class=card><h3>Cumulated repeat purchases</h3>{}<p class=muted><span class=main>actual</span>, \
         <span class=second>expected</span> of the same customers, by the parameters alone</p></div>",
        plot.finish()
    )
}

fn holdout(holdout: &Holdout) -> String {
    let mut rows = String::new();
    for cell in &holdout.frequencies {
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{:.3}</td><td>{:.3}</td></tr>",
            cell.x,
            whole(cell.n_customers),
            cell.actual,
            cell.expected
        );
    }
    format!(
        "<h2>Holdout through {}</h2><p>{:.0} purchases, {:.0} expected given what each customer did before; mean absolute \
         difference {:.3} a customer.</p><div class=scroll><table><thead><tr><th>repeats before</th><th>customers</th>\
         <th>bought after, mean</th><th>expected, mean</th></tr></thead><tbody>{rows}</tbody></table></div>",
        holdout.through, holdout.actual, holdout.expected, holdout.mean_absolute_error
    )
}
