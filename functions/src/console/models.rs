//! /console/models: what the sealed artifact in use says of itself.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};
use nextbest_models::artifact::{Artifact, ModelMetadata};

use super::{frame, reports, words};
use crate::app::App;
use crate::auth::Caller;

/// GET /console/models.
pub(super) async fn show(State(app): State<App>, Extension(caller): Extension<Caller>) -> Markup {
    let content = html! {
        h1 { "Models" }
        @match &app.artifact {
            Some(artifact) => { (about(artifact)) @for model in &artifact.metadata().models { (one(model)) } }
            None => p { "No model is in use yet: " code { "nextbest train" } " makes them." }
        }
        (reports::links(&app))
    };
    frame::page(&app, &caller, "/console/models", "Models", &content)
}

fn about(artifact: &Artifact) -> Markup {
    let metadata = artifact.metadata();
    html! {
        dl.told {
            div { dt { "Artifact" } dd { (metadata.name) } }
            div { dt { "Trained through" } dd { (metadata.trained_through.day()) } }
            div { dt { "Code version" } dd { (metadata.code_version) } }
            div { dt { "Features" } dd { (metadata.feature_names.len()) } }
            div.long { dt { "SHA-256" } dd { code { (artifact.sha256()) } } }
        }
    }
}

fn one(model: &ModelMetadata) -> Markup {
    html! {
        section.model {
            h2 { (model.name) }
            p {
                (model.learner)
                @if let Some(label) = &model.label {
                    ": " (label.event.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(" or "))
                    ", within " (label.horizon_days) " days"
                }
            }
            div.scroll role="region" aria-label={ "Numbers of " (model.name) } tabindex="0" {
                table {
                    caption { "Numbers of " (model.name) }
                    thead { tr { th scope="col" { "Number" } th.number scope="col" { "Value" } } }
                    tbody {
                        @for (name, count) in &model.counts { tr { th scope="row" { (words::of_code(name)) } td.number { (count) } } }
                        @for (name, value) in &model.metrics { tr { th scope="row" { (words::of_code(name)) } td.number { (words::number(*value)) } } }
                    }
                }
            }
            @if !model.notes.is_empty() { ul { @for note in &model.notes { li { (note) } } } }
        }
    }
}
