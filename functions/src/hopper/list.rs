//! The list of a hopper, a page at a time: as JSON with all that is said of the run, or as CSV or NDJSON for a mail house.

use std::fmt::Write as _;

use axum::extract::{Extension, State};
use axum::http::{HeaderName, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CampaignReport, Header, Listed};
use crate::app::App;
use crate::csv::cell;
use crate::door::RequestId;
use crate::paging::{self, Paging};
use crate::problem::Problem;
use crate::request::Query;
use crate::store::Series;
use nextbest_models::units::Timestamp;

/// What may stand in the query, for the description of the interface.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    ("action", "Only contacts of this action."),
    ("channel", "Only contacts through this channel."),
    ("format", "json (default), csv or ndjson; of the last two, x-next-cursor and x-snapshot-id go on."),
    ("limit", "Most contacts of one answer, 1 to 500; default 50."),
    ("cursor", "next_cursor of the answer before."),
    ("snapshot_id", "This list instead of the newest."),
];

/// The one order of a hopper's contacts.
pub const ORDER: &str = "rank";

const NEXT_CURSOR: HeaderName = HeaderName::from_static("x-next-cursor");
const SNAPSHOT_ID: HeaderName = HeaderName::from_static("x-snapshot-id");

/// The query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    action: Option<String>,
    channel: Option<String>,
    #[serde(default)]
    format: Format,
    limit: Option<usize>,
    cursor: Option<String>,
    snapshot_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Json,
    Csv,
    Ndjson,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct List {
    request_id: String,
    snapshot_id: String,
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    /// Until when contacts that nobody claims are held.
    #[schema(value_type = String, format = DateTime)]
    held_until: Timestamp,
    n_listed: usize,
    expected_worth: f64,
    /// No list under the same limits would have been worth more.
    upper_bound: f64,
    /// The list is worth at least this share of the best.
    proven_share: f64,
    /// By campaign: what it had, what was listed, and where the other customers fell.
    #[schema(value_type = Vec<Object>)]
    campaigns: Vec<CampaignReport>,
    degraded: Vec<String>,
    contacts: Vec<Listed>,
    /// Goes on where this page ends; null at the end of the list.
    next_cursor: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Query(filter): Query<Filter>,
) -> Result<Response, Problem> {
    let limit = paging::limit(filter.limit)?;
    let key = format!("{:?}|{:?}", filter.action, filter.channel);
    let paging = Paging {
        series: Series::Hopper,
        order: ORDER,
        cursor: filter.cursor.as_deref(),
        snapshot_id: filter.snapshot_id.as_deref(),
        filter: &key,
        none_yet: "no hopper has been filled yet; the hopper job fills it",
    };
    let cursor = paging.start(&app).await?;
    let header: Header = paging.header(&app, &cursor.snapshot_id).await?;
    let bounds = (limit, header.n_listed);
    let erased = app.erased.lately(&app).await?;
    let shown = |one: &Listed| passes(one, &filter) && !erased.hide(&one.customer_id, header.as_of);
    let (ranked, next_cursor) = paging.read(&app, &cursor, bounds, shown).await?;
    let contacts: Vec<Listed> = ranked.into_iter().map(|(_, one)| one).collect();
    let text = match filter.format {
        Format::Json => {
            let list = told(request_id, cursor.snapshot_id, header, contacts, next_cursor);
            return Ok(axum::Json(list).into_response());
        }
        Format::Csv => ("text/csv; charset=utf-8", csv(&contacts)),
        Format::Ndjson => ("application/x-ndjson", ndjson(&contacts)),
    };
    let (media_type, body) = text;
    let headers = [(header::CONTENT_TYPE, media_type.to_owned()), (SNAPSHOT_ID, cursor.snapshot_id)];
    let next = next_cursor.map(|next| [(NEXT_CURSOR, next)]);
    Ok(match next {
        Some(next) => (headers, next, body).into_response(),
        None => (headers, body).into_response(),
    })
}

fn passes(contact: &Listed, filter: &Filter) -> bool {
    filter.action.as_ref().is_none_or(|action| contact.action_id == *action)
        && filter.channel.as_ref().is_none_or(|channel| contact.channel == *channel)
}

fn told(
    request_id: String,
    snapshot_id: String,
    header: Header,
    contacts: Vec<Listed>,
    next_cursor: Option<String>,
) -> List {
    List {
        request_id,
        snapshot_id,
        as_of: header.as_of,
        held_until: header.held_until,
        n_listed: header.n_listed,
        expected_worth: header.expected_worth,
        upper_bound: header.upper_bound,
        proven_share: header.proven_share,
        campaigns: header.campaigns,
        degraded: header.degraded,
        contacts,
        next_cursor,
    }
}

/// The columns of [`csv`], in order.
pub const COLUMNS: [&str; 11] = [
    "rank",
    "decision_id",
    "customer_id",
    "action_id",
    "treatment_id",
    "channel",
    "lifecycle_stage",
    "propensity",
    "expected_worth",
    "cost_minor",
    "held_until",
];

/// Contacts as CSV (RFC 4180) with a line of [`COLUMNS`].
#[must_use]
pub fn csv(contacts: &[Listed]) -> String {
    let mut text = COLUMNS.join(",") + "\r\n";
    for one in contacts {
        let ids = [&one.decision_id, &one.customer_id, &one.action_id, &one.treatment_id, &one.channel];
        let ids = ids.map(|id| cell(id)).join(",");
        let (stage, propensity, worth) = (one.lifecycle_stage.as_str(), one.propensity, one.expected_worth);
        let _infallible = write!(
            text,
            "{},{ids},{stage},{propensity},{worth},{},{}\r\n",
            one.rank, one.cost_minor, one.held_until
        );
    }
    text
}

fn ndjson(contacts: &[Listed]) -> String {
    let lines = contacts.iter().filter_map(|contact| serde_json::to_string(contact).ok());
    lines.map(|line| line + "\n").collect()
}
