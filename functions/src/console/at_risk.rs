//! /console/at-risk: the list as `GET /v1/at-risk` answers it, with its filters, its orders and its pages.

pub(super) mod cutoff;

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};
use nextbest_models::lifecycle::Stage;
use nextbest_models::units::Currency;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reports::{self, AT_RISK};
use super::table::{Column, table};
use super::{Refused, encode, frame, link, read, request, words};
use crate::app::App;
use crate::at_risk::{Filter, list};
use crate::auth::Caller;
use crate::door::RequestId;
use crate::paging;
use crate::problem::Problem;
use crate::request::Query;
use crate::snapshot::{HIGH, MEDIUM};

const HERE: &str = "/console/at-risk";
/// Customers of one page.
const PAGE: usize = 50;

/// The bands one may ask for, each with the least probability that is in it or above.
const BANDS: &[(&str, &str, f64)] = &[("high", "high", HIGH), ("medium", "medium or high", MEDIUM)];

const COLUMNS: &[Column] = &[
    Column {
        title: "Customer",
        sort: None,
        field: "customer_id",
        number: false,
        wide: false,
        cell: customer,
    },
    Column {
        title: "Churn",
        sort: Some("churn_probability"),
        field: "churn_probability",
        number: true,
        wide: false,
        cell: churn,
    },
    Column { title: "Band", sort: None, field: "band", number: false, wide: false, cell: band },
    Column { title: "Stage", sort: None, field: "lifecycle_stage", number: false, wide: true, cell: stage },
    Column {
        title: "Spent lately",
        sort: None,
        field: "recent_value_minor",
        number: true,
        wide: true,
        cell: |row, currency| html! { (words::money(&row["recent_value_minor"], currency)) },
    },
    Column {
        title: "Value at risk",
        sort: Some("value_at_risk"),
        field: "value_at_risk_minor",
        number: true,
        wide: false,
        cell: |row, currency| html! { (words::money(&row["value_at_risk_minor"], currency)) },
    },
    Column {
        title: "Lifetime value",
        sort: Some("lifetime_value"),
        field: "clv",
        number: true,
        wide: true,
        cell: lifetime_value,
    },
    Column {
        title: "Saved by contact",
        sort: Some("save_uplift"),
        field: "save_uplift",
        number: true,
        wide: true,
        cell: |row, _| html! { (words::points(&row["save_uplift"]["value"])) },
    },
    Column {
        title: "Worth of contact",
        sort: Some("net_save_value"),
        field: "net_save_value_minor",
        number: true,
        wide: true,
        cell: |row, currency| html! { (words::money(&row["net_save_value_minor"], currency)) },
    },
    Column { title: "Why", sort: None, field: "driver_reasons", number: false, wide: true, cell: why },
    Column {
        title: "Recommended",
        sort: None,
        field: "recommended",
        number: false,
        wide: false,
        cell: recommended,
    },
    Column {
        title: "May be contacted",
        sort: None,
        field: "contactable",
        number: false,
        wide: true,
        cell: contactable,
    },
];

/// The query: fields of the form as they were sent, empty ones included.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::console) struct Asked {
    segment: String,
    band: String,
    /// In percent.
    min_risk: String,
    sort: String,
    cursor: String,
    snapshot_id: String,
    cutoff: String,
}

impl Asked {
    /// As the interface is asked for `limit` rows.
    fn filter(&self, limit: usize) -> Result<Filter, Problem> {
        let mut fields = Map::from_iter([("limit".to_owned(), json!(limit))]);
        let texts = [
            ("segment", &self.segment),
            ("sort", &self.sort),
            ("cursor", &self.cursor),
            ("snapshot_id", &self.snapshot_id),
        ];
        let given = texts.into_iter().filter(|(_, text)| !text.is_empty());
        fields.extend(given.map(|(name, text)| (name.to_owned(), json!(text))));
        if let Some(risk) = self.least_risk()? {
            fields.insert("min_risk".to_owned(), json!(risk));
        }
        request(Value::Object(fields))
    }

    /// The larger of what the band and the percentage ask for.
    fn least_risk(&self) -> Result<Option<f64>, Problem> {
        let of_band = match self.band.as_str() {
            "" => None,
            band => {
                let known = BANDS.iter().find(|(name, ..)| *name == band);
                let unknown = || paging::invalid("band", format!("{band:?} is none of high, medium"));
                Some(known.ok_or_else(unknown)?.2)
            }
        };
        let wrong = || paging::invalid("min_risk", format!("{:?} lies outside 0 ..= 100", self.min_risk));
        let asked = match self.min_risk.trim() {
            "" => None,
            text => {
                let percent: f64 = text.parse().map_err(|_| wrong())?;
                Some(percent).filter(|percent| (0.0..=100.0).contains(percent)).map(Some).ok_or_else(wrong)?
            }
        };
        let asked = asked.map(|percent| percent / 100.0);
        Ok(of_band.into_iter().chain(asked).reduce(f64::max))
    }

    /// The address of this list in the order `sort`, from its start.
    fn address(&self, sort: &str, cursor: &str) -> String {
        let fields = [
            ("segment", self.segment.as_str()),
            ("band", &self.band),
            ("min_risk", &self.min_risk),
            ("sort", sort),
            ("cursor", cursor),
            ("cutoff", &self.cutoff),
        ];
        link(HERE, &fields)
    }
}

/// What the interface answers.
async fn ask(app: &App, id: RequestId, filter: Filter) -> Result<Value, Problem> {
    let axum::Json(answer) = list(State(app.clone()), Extension(id), Query(filter)).await?;
    read(&answer)
}

/// GET /console/at-risk.
pub(super) async fn show(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(id): Extension<RequestId>,
    Query(asked): Query<Asked>,
) -> Result<Markup, Refused> {
    let answer = ask(&app, id, asked.filter(PAGE)?).await?;
    let currency = app.project.settings.currency;
    let rows = answer["customers"].as_array().map_or(&[][..], Vec::as_slice);
    let next = answer["next_cursor"].as_str();
    let content = html! {
        h1 { "Customers at risk" }
        (about(&answer))
        @if reports::is_there(&app, AT_RISK) {
            p { a href={ "/console/reports/" (AT_RISK) } { "What became of earlier lists" } }
        }
        (cutoff::section(&answer, &asked.cutoff, currency))
        section aria-labelledby="list" {
            h2 id="list" { "The list" }
            (filters(&asked))
            @if rows.is_empty() { p { "No customer passes." } }
            @else { (table("Customers at risk, most at stake first", COLUMNS, rows, currency, |column| heading(column, &asked, &answer))) }
            (pages(&asked, rows, next))
        }
    };
    Ok(frame::page(&app, &caller, HERE, "Customers at risk", &content))
}

/// Of when the list is, and of whom.
fn about(answer: &Value) -> Markup {
    let (population, churn) = (&answer["population"], &answer["churn_definition"]);
    html! {
        p.note {
            "As of " (words::instant(&answer["as_of"])) ": " (population["n_active"]) " active customers of "
            (population["n_known"]) " known (" (words::text(&population["definition"])) ")."
            @if let Some(days) = churn["horizon_days"].as_i64() { " Churn is counted over " (days) " days." }
        }
    }
}

fn filters(asked: &Asked) -> Markup {
    html! {
        form.filters method="get" action=(HERE) {
            div {
                label for="segment" { "Stage" }
                select id="segment" name="segment" {
                    option value="" { "every stage" }
                    @for stage in Stage::ALL {
                        option value=(stage.as_str()) selected[stage.as_str() == asked.segment] { (words::of_code(stage.as_str())) }
                    }
                }
            }
            div {
                label for="band" { "Band" }
                select id="band" name="band" {
                    option value="" { "every band" }
                    @for (name, text, _) in BANDS { option value=(name) selected[*name == asked.band] { (text) } }
                }
            }
            div {
                label for="min_risk" { "Churn at least, %" }
                input id="min_risk" name="min_risk" type="number" min="0" max="100" step="any" inputmode="decimal" value=(asked.min_risk);
            }
            @if !asked.sort.is_empty() { input type="hidden" name="sort" value=(asked.sort); }
            @if !asked.cutoff.is_empty() { input type="hidden" name="cutoff" value=(asked.cutoff); }
            button type="submit" { "Filter" }
            a href=(HERE) { "All" }
        }
    }
}

/// A heading that orders the list, where the answer has the order and the column has values.
fn heading(column: &Column, asked: &Asked, answer: &Value) -> Markup {
    let there = |sort: &&str| answer["sorts"].as_array().into_iter().flatten().any(|known| known == sort);
    let Some(sort) = column.sort.filter(there) else { return html! { (column.title) } };
    if answer["sort"] == sort {
        return html! { a href=(asked.address(sort, "")) aria-label={ (column.title) ", the order now" } { (column.title) " " span.order aria-hidden="true" { "▼" } } };
    }
    html! { a href=(asked.address(sort, "")) { (column.title) } }
}

fn pages(asked: &Asked, rows: &[Value], next: Option<&str>) -> Markup {
    let rank = |row: Option<&Value>| row.map(|row| row["rank"].to_string());
    html! {
        nav.pages aria-label="Pages of the list" {
            @if let Some((first, last)) = rank(rows.first()).zip(rank(rows.last())) {
                span { (rows.len()) " customers, of rank " (first) " to " (last) }
            }
            @if !asked.cursor.is_empty() { a href=(asked.address(&asked.sort, "")) rel="first" { "First page" } }
            @if let Some(next) = next { a href=(asked.address(&asked.sort, next)) rel="next" { "Next page" } }
        }
    }
}

fn customer(row: &Value, _: Currency) -> Markup {
    let id = words::text(&row["customer_id"]);
    html! {
        a href={ "/console/customers/" (encode(id)) } { (id) }
        @if let Some(arm) = row["experiment"]["arm"].as_str() { " " span.arm { (words::of_code(arm)) } }
    }
}

fn churn(row: &Value, _: Currency) -> Markup {
    let churn = &row["churn_probability"];
    html! {
        (words::percent(&churn["value"]))
        @if churn["lo"].is_number() { " " span.interval { (words::percent(&churn["lo"])) " to " (words::percent(&churn["hi"])) } }
    }
}

fn lifetime_value(row: &Value, currency: Currency) -> Markup {
    let clv = &row["clv"];
    html! {
        (words::money(&clv["value_minor"], currency))
        @if clv["lo_minor"].is_number() {
            " " span.interval { (words::money(&clv["lo_minor"], currency)) " to " (words::money(&clv["hi_minor"], currency)) }
        }
    }
}

fn band(row: &Value, _: Currency) -> Markup {
    let band = words::text(&row["band"]);
    html! { span class={ "band " (band) } { (band) } }
}

fn stage(row: &Value, _: Currency) -> Markup {
    html! { (words::coded(&row["lifecycle_stage"])) }
}

fn why(row: &Value, _: Currency) -> Markup {
    let drivers = row["driver_reasons"].as_array().map_or(&[][..], Vec::as_slice);
    html! {
        @for (at, driver) in drivers.iter().enumerate() {
            @if at > 0 { "; " }
            (driver["text"].as_str().map_or_else(|| words::coded(&driver["code"]), str::to_owned))
        }
        @if drivers.is_empty() { "-" }
    }
}

fn recommended(row: &Value, _: Currency) -> Markup {
    match row["recommended"]["action_id"].as_str() {
        Some(action) => {
            html! { (words::of_code(action)) " by " (words::coded(&row["recommended"]["channel"])) }
        }
        None => html! { "nothing" },
    }
}

/// Channels that are open, or why there is none.
fn contactable(row: &Value, _: Currency) -> Markup {
    let contactable = &row["contactable"];
    let channels: Vec<&str> =
        contactable["channels"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match contactable["code"].as_str() {
        Some(code) => html! { "no: " (words::of_code(code)) },
        None => html! { (channels.join(", ")) },
    }
}
