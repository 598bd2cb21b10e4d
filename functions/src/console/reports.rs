//! /console/reports: the pages that `nextbest train` and `nextbest report` left beside the artifact, as they are.
//!
//! A report is one of a few names and never a path of a request. It carries its own style and no script, so it is shown
//! under a policy of its own that runs nothing and loads nothing.

use axum::extract::{Path, State};
use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse};
use maud::{Markup, html};

use super::Refused;
use crate::app::App;
use crate::problem::Problem;

/// The reports: file, what it is, the command that makes it.
pub(super) const REPORTS: &[(&str, &str, &str)] = &[
    ("report.html", "What training came to", "nextbest train"),
    (DECISIONS, "Whom each action reaches", "nextbest report decisions"),
    (METRICS, "How customers come, stay and leave", "nextbest report metrics"),
    ("prices.html", "What prices were shown", "nextbest report prices"),
    (AT_RISK, "Whether at-risk lists were right", "nextbest report at-risk"),
];

/// The report of past at-risk lists.
pub(super) const AT_RISK: &str = "at-risk.html";
/// The report of decisions.
pub(super) const DECISIONS: &str = "decisions.html";
/// The report of customers' lives.
pub(super) const METRICS: &str = "metrics.html";

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'self'; sandbox";

/// GET /console/reports/{id}.
pub(super) async fn show(
    State(app): State<App>,
    Path(name): Path<String>,
) -> Result<impl IntoResponse, Refused> {
    let known = REPORTS.iter().find(|(file, ..)| *file == name);
    let (file, _, command) =
        known.ok_or_else(|| Problem::not_found("unknown_report", format!("{name:?} is no report")))?;
    let text = std::fs::read_to_string(app.folder.join("artifacts").join(file));
    let absent = |_| Problem::not_found("no_report", format!("{file} is not there; `{command}` makes it"));
    let head: [(HeaderName, &str); 1] = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    Ok((head, Html(text.map_err(absent)?)))
}

/// Whether the report is beside the artifact.
pub(super) fn is_there(app: &App, file: &str) -> bool {
    app.folder.join("artifacts").join(file).is_file()
}

/// The report within a page, or how it comes about; `what` says what is in it.
pub(super) fn within(app: &App, file: &str, what: &str) -> Markup {
    let command =
        REPORTS.iter().find(|(known, ..)| *known == file).map_or("nextbest report", |(.., command)| command);
    let address = format!("/console/reports/{file}");
    html! {
        @if is_there(app, file) {
            p { a href=(address) { "The report on a page of its own" } }
            iframe.report src=(address) title=(what) {}
        } @else {
            p { (what) ": that is in a report that is not there yet. This makes it:" }
            pre tabindex="0" { (command) " --project DIR" }
        }
    }
}

/// Links to the reports that are there, and how the others come about.
pub(super) fn links(app: &App) -> Markup {
    html! {
        section aria-labelledby="reports" {
            h2 id="reports" { "Reports" }
            ul {
                @for (file, what, command) in REPORTS {
                    li {
                        @if is_there(app, file) { a href={ "/console/reports/" (file) } { (what) } }
                        @else { (what) ": not there; " code { (command) } " makes it" }
                    }
                }
            }
        }
    }
}
