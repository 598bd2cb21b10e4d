//! /console/actions: reach, losses of the funnel and sensitivity, as `nextbest report decisions` left them.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use super::reports::{self, DECISIONS};
use super::{frame, words};
use crate::app::App;
use crate::auth::Caller;

/// GET /console/actions.
pub(super) async fn show(State(app): State<App>, Extension(caller): Extension<Caller>) -> Markup {
    let content = html! {
        h1 { "Actions" }
        @if reports::is_there(&app, DECISIONS) {
            p { a href={ "/console/reports/" (DECISIONS) } { "The report on a page of its own" } }
            iframe.report src={ "/console/reports/" (DECISIONS) } title="Reach, losses of the funnel and sensitivity of every action" {}
        } @else {
            p { "Reach, losses of the funnel and sensitivity of every action are in a report that is not there yet. This makes it:" }
            pre tabindex="0" { "nextbest report decisions --project DIR" }
        }
        section aria-labelledby="catalogue" {
            h2 id="catalogue" { "Actions of policy.toml" }
            ul { @for action in app.project.policy.actions() { li { (words::of_code(action.id.as_ref())) } } }
        }
    };
    frame::page(&app, &caller, "/console/actions", "Actions", &content)
}
