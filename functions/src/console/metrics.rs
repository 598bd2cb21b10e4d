//! /console/metrics: activation, retention, churn, loyalty and stages, as `nextbest report metrics` left them.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use super::frame;
use super::reports::{self, METRICS};
use crate::app::App;
use crate::auth::Caller;

/// GET /console/metrics.
pub(super) async fn show(State(app): State<App>, Extension(caller): Extension<Caller>) -> Markup {
    let content = html! {
        h1 { "Metrics" }
        (reports::within(&app, METRICS, "Activation, retention by cohort, churn, loyalty, stages and answers to surveys"))
    };
    frame::page(&app, &caller, "/console/metrics", "Metrics", &content)
}
