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
        (reports::within(&app, DECISIONS, "Reach, losses of the funnel and sensitivity of every action"))
        section aria-labelledby="catalogue" {
            h2 id="catalogue" { "Actions of policy.toml" }
            ul { @for action in app.project.policy.actions() { li { (words::of_code(action.id.as_ref())) } } }
        }
    };
    frame::page(&app, &caller, "/console/actions", "Actions", &content)
}
