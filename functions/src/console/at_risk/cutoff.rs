//! How many to contact: the answer's `cutoff_curve` drawn, and one point of it in words.
//!
//! The slider sends its place and gets the part of the page below it; without a script its button asks for the whole page.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};
use nextbest_models::units::Currency;
use serde_json::Value;

use super::{Asked, HERE, ask};
use crate::app::App;
use crate::console::{Refused, words};
use crate::door::RequestId;
use crate::request::Query;

/// The drawing, in its own units.
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 34.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 36.0;

/// GET /console/at-risk/cutoff: what is below the slider.
pub(in crate::console) async fn show(
    State(app): State<App>,
    Extension(id): Extension<RequestId>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Refused> {
    let answer = ask(&app, id, asked.filter(1)?).await?;
    let points = points(&answer);
    Ok(drawn(points, place(points, &asked.cutoff), app.project.settings.currency))
}

/// The whole section; nothing where the list is empty.
pub(super) fn section(answer: &Value, cutoff: &str, currency: Currency) -> Markup {
    let points = points(answer);
    if points.is_empty() {
        return html! {};
    }
    let at = place(points, cutoff);
    html! {
        section aria-labelledby="how-many" {
            h2 id="how-many" { "How many to contact" }
            form.cutoff method="get" action=(HERE) {
                label for="cutoff" { "How far down the list" }
                input id="cutoff" name="cutoff" type="range" min="1" max=(points.len()) step="1" value=(at + 1)
                    hx-get={ (HERE) "/cutoff" } hx-trigger="input changed delay:30ms" hx-target="#cutoff-told" hx-swap="innerHTML"
                    hx-include="closest form" hx-sync="this:replace";
                input type="hidden" name="snapshot_id" value=(words::text(&answer["snapshot_id"]));
                button type="submit" { "Show" }
            }
            div id="cutoff-told" { (drawn(points, at, currency)) }
        }
    }
}

fn points(answer: &Value) -> &[Value] {
    answer["cutoff_curve"].as_array().map_or(&[], Vec::as_slice)
}

/// Which point `cutoff`, counted from 1, names: the nearest there is; a tenth of the list where it names none.
fn place(points: &[Value], cutoff: &str) -> usize {
    let last = points.len().saturating_sub(1);
    let tenth = points.len().div_ceil(10).saturating_sub(1);
    cutoff.parse::<usize>().map_or(tenth, |from_one| from_one.saturating_sub(1)).min(last)
}

fn drawn(points: &[Value], at: usize, currency: Currency) -> Markup {
    let (Some(point), Some(all)) = (points.get(at), points.last()) else { return html! {} };
    html! {
        (told(point, all, currency))
        (curve(points, at))
        (numbers(points, at, currency))
    }
}

/// The point in words.
fn told(point: &Value, all: &Value, currency: Currency) -> Markup {
    let [n, churners, expected] =
        [&point["n_customers"], &point["expected_churners"], &all["expected_churners"]]
            .map(|v| v.as_f64().unwrap_or(0.0));
    html! {
        div role="status" { dl.told {
            div { dt { "Customers contacted" } dd { (point["n_customers"]) " of " (all["n_customers"]) } }
            div { dt { "Churners among them" } dd { (format!("{churners:.1} of {expected:.1} expected ({})", words::percent(&point["share_of_churners"]))) } }
            div { dt { "Others contacted" } dd { (format!("{:.1}", (n - churners).max(0.0))) } }
            div { dt { "Value at risk among them" } dd { (words::percent(&point["share_of_value_at_risk"])) } }
            @if point["cost_minor"].is_number() { div { dt { "Cost of contacts" } dd { (words::about(&point["cost_minor"], currency)) } } }
            @if point["net_value_minor"].is_number() { div { dt { "Net value" } dd { (words::about(&point["net_value_minor"], currency)) } } }
        } }
    }
}

fn x(share: f64) -> f64 {
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

fn y(share: f64) -> f64 {
    HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
}

/// Shares caught over the share contacted, and where the cut-off stands. The numbers are in the table below, so the
/// drawing is one picture to a reader of the screen.
fn curve(points: &[Value], at: usize) -> Markup {
    let of = |point: &Value, name: &str| point[name].as_f64().unwrap_or(0.0);
    let all = points.last().map_or(1.0, |last| of(last, "n_customers")).max(1.0);
    let line = |name: &str| {
        let start = std::iter::once(format!("{:.1},{:.1}", x(0.0), y(0.0)));
        let rest =
            points.iter().map(|p| format!("{:.1},{:.1}", x(of(p, "n_customers") / all), y(of(p, name))));
        start.chain(rest).collect::<Vec<_>>().join(" ")
    };
    let here = x(points.get(at).map_or(0.0, |point| of(point, "n_customers")) / all);
    let quarters = [0.0, 0.25, 0.5, 0.75, 1.0];
    html! {
        figure {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-label="Shares of expected churners and of value at risk over the share of customers contacted" {
                @for share in quarters {
                    line.grid x1=(x(0.0)) x2=(x(1.0)) y1=(y(share)) y2=(y(share)) {}
                    text.end x=(x(0.0) - 6.0) y=(y(share) + 4.0) { (100.0 * share) " %" }
                    text.middle x=(x(share)) y=(HEIGHT - BOTTOM + 20.0) { (100.0 * share) " %" }
                }
                line.chance x1=(x(0.0)) y1=(y(0.0)) x2=(x(1.0)) y2=(y(1.0)) {}
                polyline.churners points=(line("share_of_churners")) {}
                polyline.value points=(line("share_of_value_at_risk")) {}
                line.marker x1=(here) x2=(here) y1=(y(0.0)) y2=(y(1.0)) {}
                @if let Some(point) = points.get(at) {
                    circle.churners cx=(here) cy=(y(of(point, "share_of_churners"))) r="5" {}
                    circle.value cx=(here) cy=(y(of(point, "share_of_value_at_risk"))) r="5" {}
                }
            }
            figcaption {
                span.churners { "expected churners" } " " span.value { "value at risk" } " " span.chance { "in no order" }
                " over the share of customers contacted"
            }
        }
    }
}

fn numbers(points: &[Value], at: usize, currency: Currency) -> Markup {
    let money = points.iter().any(|point| point["net_value_minor"].is_number());
    html! {
        details {
            summary { "The curve in numbers" }
            div.scroll role="region" aria-label="The curve in numbers" tabindex="0" {
                table {
                    thead { tr {
                        th.number scope="col" { "Contacted" }
                        th.number scope="col" { "Churners among them" }
                        th.number scope="col" { "Of all churners" }
                        th.number scope="col" { "Of value at risk" }
                        @if money { th.number scope="col" { "Cost" } th.number scope="col" { "Net value" } }
                    } }
                    tbody {
                        @for (row, point) in points.iter().enumerate() {
                            tr.here[row == at] {
                                th.number scope="row" { (point["n_customers"]) }
                                td.number { (point["expected_churners"].as_f64().map_or_else(|| "-".to_owned(), |n| format!("{n:.1}"))) }
                                td.number { (words::percent(&point["share_of_churners"])) }
                                td.number { (words::percent(&point["share_of_value_at_risk"])) }
                                @if money {
                                    td.number { (words::about(&point["cost_minor"], currency)) }
                                    td.number { (words::about(&point["net_value_minor"], currency)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cutoff_is_the_nearest_point_there_is() {
        let points = vec![json!({}); 10];
        for (text, at) in [("1", 0), ("4", 3), ("10", 9), ("11", 9), ("0", 0), ("", 0), ("x", 0), ("-1", 0)] {
            assert_eq!(place(&points, text), at, "{text:?}");
        }
        assert_eq!(place(&vec![json!({}); 100], ""), 9);
        assert_eq!(place(&[], "3"), 0);
    }

    #[test]
    fn the_curve_spans_the_drawing() {
        assert_eq!((x(0.0), x(1.0)), (LEFT, WIDTH - RIGHT));
        assert_eq!((y(0.0), y(1.0)), (HEIGHT - BOTTOM, TOP));
    }
}
