//! Exports: the first of the list as a file for whoever contacts them, and the record of who pulled what.
//!
//! `POST` settles what is exported and logs it: who, when, of which snapshot, in which order, under which filters, how many.
//! `GET` writes that file until it expires, always of the same snapshot. Customers who are held out, and those who may not be
//! contacted now, are left out and counted: a list that is worked off must not reach the control group.

use std::fmt::Write as _;

use axum::extract::{Extension, Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use nextbest_models::lifecycle::Stage;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Filter, Page};
use crate::app::App;
use crate::auth::Caller;
use crate::clock;
use crate::csv::cell;
use crate::problem::Problem;
use crate::request::Json;
use crate::snapshot::{AtRisk, Order};

/// Most customers of one export.
pub const MAX_CUSTOMERS: usize = 20_000;
/// How long an export can be fetched.
const KEEP_HOURS: i64 = 24;
/// How long the record of it is kept, in days.
const RECORD_DAYS: i64 = 365;
/// Customers read at a time.
const BATCH: usize = 500;

/// The body.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportRequest {
    /// How many customers at most, 1 to 20,000.
    n_customers: usize,
    /// As GET /v1/at-risk has it.
    #[serde(default)]
    sort: Option<String>,
    /// Only customers of this lifecycle stage.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    segment: Option<Stage>,
    /// Only customers at least this likely to churn.
    #[serde(default)]
    min_risk: Option<f64>,
    /// Only customers of this band.
    #[serde(default)]
    band: Option<String>,
    /// Only customers who may be contacted through this channel.
    #[serde(default)]
    contactable: Option<String>,
    /// This snapshot instead of the newest.
    #[serde(default)]
    snapshot_id: Option<String>,
}

/// What was exported: the answer, and the record.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
pub struct Export {
    export_id: String,
    /// Who pulled it.
    exported_by: String,
    #[schema(value_type = String, format = DateTime)]
    exported_at: Timestamp,
    /// Until when the file can be fetched.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    snapshot_id: String,
    #[schema(value_type = String)]
    sort: Order,
    request: ExportRequest,
    /// Customers in the file.
    n_exported: usize,
    /// Left out: in a control group.
    n_held_out: usize,
    /// Left out: nothing may be offered to them now.
    n_not_contactable: usize,
    /// Where the file is.
    download: String,
}

/// The customers of an export, and who was left out.
#[derive(Debug, Default)]
pub struct Exported {
    /// Each with its rank.
    pub customers: Vec<(usize, AtRisk)>,
    /// In a control group.
    pub n_held_out: usize,
    /// Nothing may be offered to them now.
    pub n_not_contactable: usize,
}

impl ExportRequest {
    /// The first `n_customers` of the newest list, in its own order or that of `sort`.
    #[must_use]
    pub const fn first(n_customers: usize, sort: Option<String>) -> Self {
        let (segment, min_risk, band, contactable, snapshot_id) = (None, None, None, None, None);
        Self { n_customers, sort, segment, min_risk, band, contactable, snapshot_id }
    }

    fn filter(&self) -> Filter {
        Filter {
            segment: self.segment,
            min_risk: self.min_risk,
            band: self.band.clone(),
            contactable: self.contactable.clone(),
            snapshot_id: self.snapshot_id.clone(),
            sort: self.sort.clone(),
            limit: Some(BATCH),
            ..Filter::default()
        }
    }
}

/// POST /v1/at-risk/exports.
pub(super) async fn create(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(request): Json<ExportRequest>,
) -> Result<(StatusCode, axum::Json<Export>), Problem> {
    let (first, found) = read(&app, &request).await?;
    let now = app.clock.now();
    let export_id = clock::new_id("exp")?;
    let export = Export {
        exported_by: caller.name,
        exported_at: now,
        expires_at: now.plus_millis(KEEP_HOURS * 3_600_000),
        snapshot_id: first.snapshot_id.clone(),
        sort: first.order,
        request: ExportRequest { snapshot_id: Some(first.snapshot_id), ..request },
        n_exported: found.customers.len(),
        n_held_out: found.n_held_out,
        n_not_contactable: found.n_not_contactable,
        download: format!("/v1/at-risk/exports/{export_id}"),
        export_id,
    };
    let expires = now.as_millis() / 1000 + RECORD_DAYS * 86_400;
    app.store.put_export(&export.export_id, &export, expires).await?;
    let Export { export_id, exported_by, n_exported, .. } = &export;
    tracing::info!(export_id, exported_by, n_exported, "customers at risk exported");
    Ok((StatusCode::CREATED, axum::Json(export)))
}

/// GET /v1/at-risk/exports/{id}.
pub(super) async fn download(State(app): State<App>, Path(id): Path<String>) -> Result<Response, Problem> {
    let now = app.clock.now();
    let export: Option<Export> = app.store.export(&id, now.as_millis() / 1000).await?;
    let unknown = || Problem::not_found("unknown_export", format!("there is no export {id:?}"));
    let export = export.ok_or_else(unknown)?;
    if now >= export.expires_at {
        let detail = format!("it could be fetched until {}; export again", export.expires_at);
        return Err(Problem::new(StatusCode::GONE, "export_expired", detail));
    }
    let request = ExportRequest { sort: Some(export.sort.as_str().to_owned()), ..export.request };
    let (_, found) = read(&app, &request).await?;
    let name = format!("attachment; filename=\"at-risk-{id}.csv\"");
    let headers =
        [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, csv(&found.customers)).into_response())
}

/// The customers of `request`, and the first page they were read from.
pub async fn read_all(app: &App, request: &ExportRequest) -> Result<Exported, Problem> {
    read(app, request).await.map(|(_, found)| found)
}

async fn read(app: &App, request: &ExportRequest) -> Result<(Page, Exported), Problem> {
    let wanted = request.n_customers;
    if !(1..=MAX_CUSTOMERS).contains(&wanted) {
        let detail = format!("{wanted} lies outside 1 ..= {MAX_CUSTOMERS}");
        return Err(Problem::invalid("n_customers", detail));
    }
    let mut filter = request.filter();
    let mut page = Page::read(app, &filter).await?;
    let mut found = Exported::default();
    loop {
        for (rank, customer) in std::mem::take(&mut page.customers) {
            if found.customers.len() == wanted {
                return Ok((page, found));
            }
            if customer.control.policy {
                found.n_held_out += 1;
            } else if customer.contactable.channels.is_empty() {
                found.n_not_contactable += 1;
            } else {
                found.customers.push((rank, customer));
            }
        }
        let Some(cursor) = page.next_cursor.take().filter(|_| found.customers.len() < wanted) else {
            return Ok((page, found));
        };
        (filter.sort, filter.cursor) = (Some(page.order.as_str().to_owned()), Some(cursor));
        page = Page::read(app, &filter).await?;
    }
}

/// The columns of [`csv`], in order.
pub const COLUMNS: [&str; 20] = [
    "rank",
    "customer_id",
    "lifecycle_stage",
    "churn_probability",
    "band",
    "recent_value_minor",
    "value_at_risk_minor",
    "lifetime_value_minor",
    "lifetime_value_lo_minor",
    "lifetime_value_hi_minor",
    "p_alive",
    "save_uplift",
    "save_uplift_lo",
    "save_uplift_hi",
    "net_save_value_minor",
    "action_id",
    "treatment_id",
    "channel",
    "cost_minor",
    "drivers",
];

/// Customers as CSV (RFC 4180) with a line of [`COLUMNS`]; what is not known is empty.
#[must_use]
pub fn csv(customers: &[(usize, AtRisk)]) -> String {
    fn or_empty<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let mut text = COLUMNS.join(",") + "\r\n";
    for (rank, one) in customers {
        let action = one.recommended.as_ref();
        let uplift = one.save_uplift;
        let cells = [
            rank.to_string(),
            cell(one.customer_id.as_str()),
            one.lifecycle_stage.as_str().to_owned(),
            one.churn_probability.to_string(),
            one.band.clone(),
            one.recent_value_minor.to_string(),
            one.value_at_risk_minor.to_string(),
            or_empty(one.clv.map(|clv| clv.value_minor)),
            or_empty(one.clv.and_then(|clv| clv.lo_minor)),
            or_empty(one.clv.and_then(|clv| clv.hi_minor)),
            or_empty(one.clv.and_then(|clv| clv.p_alive)),
            or_empty(uplift.map(|uplift| uplift.value)),
            or_empty(uplift.map(|uplift| uplift.lo)),
            or_empty(uplift.map(|uplift| uplift.hi)),
            or_empty(one.net_save_value_minor),
            or_empty(action.map(|action| cell(&action.action_id))),
            or_empty(action.map(|action| cell(&action.treatment_id))),
            or_empty(action.map(|action| cell(&action.channel))),
            or_empty(action.map(|action| action.cost_minor)),
            cell(&one.drivers.join(" ")),
        ];
        let _infallible = write!(text, "{}\r\n", cells.join(","));
    }
    text
}
