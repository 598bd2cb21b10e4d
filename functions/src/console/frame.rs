//! What is around every page: the head, the ways to the other pages, and out.

use maud::{DOCTYPE, Markup, html};

use super::assets;
use crate::app::App;
use crate::auth::Caller;

/// The pages by name.
const PAGES: &[(&str, &str)] = &[
    ("/console/at-risk", "At risk"),
    ("/console/customers", "Customers"),
    ("/console/actions", "Actions"),
    ("/console/metrics", "Metrics"),
    ("/console/prices", "Prices"),
    ("/console/models", "Models"),
];

/// htmx without what the policy of the pages forbids, and without a copy of pages in the browser's storage.
const SETTINGS: &str = r#"{"includeIndicatorStyles":false,"allowEval":false,"allowScriptTags":false,"historyCacheSize":0,"selfRequestsOnly":true}"#;

/// A page of who is signed in; `here` is the address of its place among [`PAGES`].
pub(super) fn page(app: &App, caller: &Caller, here: &str, title: &str, content: &Markup) -> Markup {
    let name = app.project.settings.name.as_str();
    let ways = html! {
        nav aria-label="Pages" {
            ul {
                @for (address, name) in PAGES {
                    li { a href=(address) aria-current=[(*address == here).then_some("page")] { (name) } }
                }
            }
        }
        form.sign-out method="post" action="/console/sign-out" {
            span.role { (caller.name) }
            button type="submit" { "Sign out" }
        }
    };
    document(&format!("{title} - {name}"), name, Some(&ways), content)
}

/// A page of nobody in particular.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    document(&format!("{title} - nextbest"), "nextbest", None, content)
}

fn document(title: &str, name: &str, ways: Option<&Markup>, content: &Markup) -> Markup {
    let (css, htmx) = assets::addresses();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="htmx-config" content=(SETTINGS);
                title { (title) }
                link rel="stylesheet" href=(css);
                link rel="icon" href="data:,";
                @if ways.is_some() { script src=(htmx) defer {} }
            }
            body {
                a.skip href="#content" { "Skip to content" }
                header {
                    span.name { (name) }
                    @if let Some(ways) = ways { (ways) }
                }
                main id="content" tabindex="-1" { (content) }
            }
        }
    }
}
