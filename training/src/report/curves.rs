//! The curves of one model's diagnostics, a card each. They format numbers and compute none.

use std::fmt::Write as _;

use super::diagnostics::{fine_percent, muted, plus_minus, table};
use super::plot::Plot;
use super::{percent, whole};
use crate::diagnostics::{CostPoint, Costs, Decile, Diagnostics, PrecisionRecall, ScoreHistogram};

/// Pixels of a plot.
const SIZE: (f64, f64) = (440.0, 340.0);
/// The cards with plots.
pub(super) fn plots(diagnostics: &Diagnostics) -> String {
    let precision_recall = precision_recall(&diagnostics.precision_recall);
    let (gains, lift) = (gains(&diagnostics.deciles), lift(&diagnostics.deciles));
    [
        ("Precision and recall", precision_recall),
        ("Gains", gains),
        ("Rate and lift by tenth", lift),
        ("Where the probabilities lie", scores(&diagnostics.scores)),
    ]
    .map(|(name, content)| format!("<div class=card><h3>{name}</h3>{content}</div>"))
    .concat()
        + &format!(
            "<div class=\"card wide\"><h3>What a threshold is worth</h3><div class=pair>{}</div></div>",
            costs(&diagnostics.costs)
        )
}

fn precision_recall(curve: &PrecisionRecall) -> String {
    let mut plot = Plot::new("Precision-recall curve", SIZE, (0.0, 1.0), (0.0, 1.0));
    plot.axes(("share of outcomes found (recall)", percent), ("share of these right (precision)", percent));
    plot.segment("diagonal", (0.0, curve.base_rate), (1.0, curve.base_rate));
    plot.line("main", &curve.points);
    let told = curve.average_precision.map_or("\u{2013}".to_owned(), |ap| plus_minus(ap, 3));
    let text = format!("Average precision {told}; by chance {:.3} (dashed).", curve.base_rate);
    plot.finish() + &muted(&text)
}

fn gains(deciles: &[Decile]) -> String {
    let mut plot = Plot::new("Gains by tenth", SIZE, (0.0, 1.0), (0.0, 1.0));
    plot.axes(("share of rows, highest first", percent), ("share of outcomes found", percent));
    plot.segment("diagonal", (0.0, 0.0), (1.0, 1.0));
    let reached = |decile: &Decile| Some((decile.share_of_rows, decile.share_of_positives?));
    let points: Vec<(f64, f64)> = deciles.iter().filter_map(reached).collect();
    let corner = (!points.is_empty()).then_some((0.0, 0.0));
    plot.line("main", &corner.into_iter().chain(points.iter().copied()).collect::<Vec<_>>());
    for (decile, point) in deciles.iter().zip(&points) {
        let hover = format!(
            "{} of rows hold {} of outcomes, {:.2} times as many as by chance",
            fine_percent(point.0),
            fine_percent(point.1),
            decile.cumulative_lift.unwrap_or_default()
        );
        plot.dot("main", *point, 4.0, &hover);
    }
    let first = deciles.first().and_then(|decile| Some((decile, decile.share_of_positives?)));
    let text = first.map_or("No row has the outcome.".to_owned(), |(decile, found)| {
        format!(
            "The highest {} of rows hold {} of the outcomes.",
            fine_percent(decile.share_of_rows),
            fine_percent(found)
        )
    });
    plot.finish() + &muted(&text)
}

fn lift(deciles: &[Decile]) -> String {
    let top = deciles.iter().map(|decile| decile.hi).fold(0.01, f64::max);
    let mut plot =
        Plot::new("Share with the outcome by tenth", SIZE, (0.5, deciles.len() as f64 + 0.5), (0.0, top));
    plot.axes(
        ("tenth, highest probabilities first", |tenth| format!("{tenth:.0}")),
        ("share with the outcome", percent),
    );
    let mut rows = String::new();
    for (at, decile) in deciles.iter().enumerate() {
        let place = at as f64 + 1.0;
        let lift = decile.lift.map_or("\u{2013}".to_owned(), |lift| format!("{lift:.2}"));
        let rate = format!(
            "{} ({} to {})",
            fine_percent(decile.rate),
            fine_percent(decile.lo),
            fine_percent(decile.hi)
        );
        plot.bar("main", (place - 0.35, place + 0.35), (0.0, decile.rate), &format!("{rate}, lift {lift}"));
        plot.segment("whisker", (place, decile.lo), (place, decile.hi));
        let _ = write!(
            rows,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{rate}</td><td>{lift}</td><td>{}</td></tr>",
            at + 1,
            whole(decile.n as u64),
            whole(decile.n_positive as u64),
            decile.share_of_positives.map_or("\u{2013}".to_owned(), fine_percent),
        );
    }
    let heads = ["tenth", "rows", "outcomes", "share, 95 % interval", "lift", "found so far"];
    let numbers = super::details("Numbers", &table(&heads, &rows));
    let text = muted("95 % Wilson intervals. Rows of equal probability stay in one tenth.");
    plot.finish() + &text + &numbers
}

fn scores(histogram: &ScoreHistogram) -> String {
    let share = |counts: &[usize]| -> Vec<f64> {
        let n = counts.iter().sum::<usize>().max(1) as f64;
        counts.iter().map(|&count| count as f64 / n).collect()
    };
    let (positives, negatives) = (share(&histogram.positives), share(&histogram.negatives));
    let top = positives.iter().chain(&negatives).copied().fold(0.01, f64::max);
    let (first, last) = (histogram.edges.first(), histogram.edges.last());
    let range = (first.copied().unwrap_or(0.0), last.copied().unwrap_or(1.0));
    let mut plot = Plot::new("Distribution of probabilities by outcome", SIZE, range, (0.0, top));
    plot.axes(
        ("probability, on the scale of log-odds", |log_odds| {
            let probability = 1.0 / (1.0 + (-log_odds).exp());
            let near_end = !(0.1..=0.9).contains(&probability);
            if near_end { fine_percent(probability) } else { percent((100.0 * probability).round() / 100.0) }
        }),
        ("share of rows of each kind", percent),
    );
    let kinds = [
        ("second", "without the outcome", &negatives, &histogram.negatives),
        ("main", "with the outcome", &positives, &histogram.positives),
    ];
    for (class, kind, shares, counts) in kinds {
        for (bar, edges) in histogram.edges.windows(2).enumerate() {
            if counts[bar] > 0 {
                let hover = format!("{} rows {kind}", whole(counts[bar] as u64));
                plot.bar(class, (edges[0], edges[1]), (0.0, shares[bar]), &hover);
            }
        }
    }
    plot.finish()
        + &muted(
            "<span class=main>Blue</span>: rows with the outcome; <span class=second>orange</span>: without.",
        )
}

fn costs(costs: &Costs) -> String {
    let values = || costs.curve.iter().map(|point| point.1);
    let top = values().fold(costs.best.net_value.value.max(1.0), f64::max);
    // Acting on everybody can cost far more than the best earns; the curve is drawn to as far below 0 as it goes above.
    let bottom = values().fold(0.0, f64::min).max(-top);
    let highest = costs.curve.iter().map(|point| point.0).fold(0.05, f64::max);
    let mut plot = Plot::new("Net value by threshold", SIZE, (0.0, highest), (bottom, top));
    plot.axes(("act at or above this probability", percent), ("net value per 1,000 rows", super::number));
    plot.segment("diagonal", (0.0, 0.0), (highest, 0.0));
    let drawn = costs.curve.iter().copied().filter(|point| point.1 >= bottom);
    plot.line("main", &drawn.collect::<Vec<_>>());
    if let Some(threshold) = costs.best.threshold {
        let hover = format!("best: {}", cost_point(&costs.best));
        plot.dot("second", (threshold, costs.best.net_value.value), 5.0, &hover);
    }
    format!("<div>{}</div><div>{}</div>", plot.finish(), cost_text(costs))
}

fn worth(point: &CostPoint) -> String {
    format!("{} per 1,000 rows", plus_minus(point.net_value, 0))
}

fn cost_point(point: &CostPoint) -> String {
    match point.threshold {
        None => "acting on nobody, worth 0".to_owned(),
        Some(threshold) => format!(
            "at or above {}, which are {} of rows, worth {}",
            fine_percent(threshold),
            fine_percent(point.share),
            worth(point)
        ),
    }
}

fn cost_text(costs: &Costs) -> String {
    let mut lines =
        vec![format!("Best on these rows (<span class=second>marked</span>): {}.", cost_point(&costs.best))];
    if let Some((low, high)) = costs.near_best {
        let (low, high) = (fine_percent(low), fine_percent(high));
        lines.push(format!("From {low} to {high}, the value stays above 95 % of that."));
    }
    lines.push(format!("At cost over benefit: {}.", cost_point(&costs.break_even)));
    lines.push(format!("Acting on everybody is worth {}.", worth(&costs.everybody)));
    let other = costs.sensitivity.iter().filter(|one| one.benefit != costs.benefit);
    lines.extend(other.map(|one| format!("Were the benefit {}: {}.", one.benefit, cost_point(&one.best))));
    let items: Vec<String> = lines.iter().map(|line| format!("<li>{line}</li>")).collect();
    let assumed = format!(
        "Benefit of acting on a row with the outcome {}, cost of acting on a row {}: stated, not measured. It takes an \
         outcome that is found for one that is changed.",
        costs.benefit, costs.cost
    );
    format!("<ul>{}</ul>{}", items.concat(), muted(&assumed))
}
