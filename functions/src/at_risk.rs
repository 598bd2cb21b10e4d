//! `at-risk`: pages through the latest at-risk snapshot.
//!
//! A cursor is bound to its snapshot and its filters, so a list that is worked off over hours neither repeats nor
//! skips anyone, whatever is rebuilt meanwhile. Filters are applied while pages are read; a request reads a bounded
//! number of pages and may come back short with a cursor to go on.

use axum::Router;
use axum::extract::{Extension, State};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nextbest_models::feature::reason::{Direction, ReasonList};
use nextbest_models::lifecycle::Stage;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::door::RequestId;
use crate::keys::sha256_hex;
use crate::problem::Problem;
use crate::provenance::{Absent, Experiment, Interval, ModelVersion, model_versions};
use crate::request::Query;
use crate::snapshot::{AtRisk, Cutoff, Header};
use crate::store::PAGE_SIZE;

use axum::http::StatusCode;

const MAX_LIMIT: usize = 500;
const DEFAULT_LIMIT: usize = 50;
const MAX_PAGES: usize = 20;
const SORT: &str = "value_at_risk";

/// What may stand in the query, for the description of the interface.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    ("segment", "Only customers of this lifecycle stage."),
    ("min_risk", "Only customers at least this likely to churn, 0 to 1."),
    ("limit", "Most customers of one answer, 1 to 500; default 50."),
    ("cursor", "next_cursor of the answer before."),
    ("snapshot_id", "This snapshot instead of the newest."),
    ("sort", "value_at_risk, the only order so far."),
];

/// GET /v1/at-risk.
pub fn routes() -> Router<App> {
    Router::new().route("/v1/at-risk", get(list))
}

/// The query.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only customers of this lifecycle stage.
    segment: Option<Stage>,
    /// Only customers at least this likely to churn.
    min_risk: Option<f64>,
    limit: Option<usize>,
    cursor: Option<String>,
    snapshot_id: Option<String>,
    sort: Option<String>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct List {
    request_id: String,
    snapshot_id: String,
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    sort: &'static str,
    #[schema(value_type = Object)]
    churn_definition: serde_json::Value,
    #[schema(value_type = Object)]
    population: serde_json::Value,
    customers: Vec<Row>,
    /// Goes on where this page ends; null at the end of the list.
    next_cursor: Option<String>,
    #[schema(value_type = Vec<Object>)]
    cutoff_curve: Vec<Cutoff>,
    #[schema(value_type = Object)]
    quality: serde_json::Value,
    models: Vec<ModelVersion>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Row {
    customer_id: String,
    rank: usize,
    churn_probability: Likelihood,
    band: String,
    #[schema(value_type = String)]
    lifecycle_stage: Stage,
    recent_value_minor: i64,
    value_at_risk_minor: i64,
    clv: Absent,
    save_uplift: Absent,
    net_save_value_minor: Absent,
    /// Codes of the reasons that raise the probability most, strongest first.
    drivers: Vec<String>,
    /// The same with what the project's list of reasons says of them now.
    driver_reasons: Vec<Driver>,
    recommended: Option<Recommended>,
    /// Who is held out stays on the list, to be measured, not to be contacted.
    experiment: Experiment,
    contactable: Absent,
}

#[derive(Debug, Serialize, ToSchema)]
struct Likelihood {
    value: f64,
    #[serde(flatten)]
    interval: Interval,
}

#[derive(Debug, Serialize, ToSchema)]
struct Driver {
    /// Stable, for programs.
    code: String,
    /// For people; null for a feature that the list leaves alone, and for a code that has left the list.
    text: Option<String>,
    /// The features that the list sums under this code.
    features: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Recommended {
    action_id: String,
    channel: String,
}

/// Where to go on: position 0 is rank 1.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Cursor {
    snapshot_id: String,
    position: usize,
}

async fn list(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List>, Problem> {
    let limit = check(&filter)?;
    let cursor = start(&app, &filter).await?;
    let now_seconds = app.clock.now().as_millis() / 1000;
    let header: Option<Header> = app.store.snapshot_header(&cursor.snapshot_id, now_seconds).await?;
    let header = header.ok_or_else(|| {
        let detail = format!("snapshot {:?} does not exist or is no longer kept", cursor.snapshot_id);
        Problem::not_found("unknown_snapshot", detail)
    })?;
    let (customers, next) = read(&app, &cursor, &filter, limit, header.population.n_active).await?;
    let (reasons, level) = (&app.project.reasons, header.interval_level);
    Ok(axum::Json(List {
        request_id,
        as_of: header.as_of,
        sort: SORT,
        churn_definition: json!(header.churn_definition),
        population: json!(header.population),
        customers: customers.into_iter().map(|customer| row(reasons, level, customer)).collect(),
        next_cursor: next.map(|position| {
            let snapshot_id = cursor.snapshot_id.clone();
            encode(&Cursor { snapshot_id, position }, &filter)
        }),
        cutoff_curve: header.cutoff_curve,
        quality: json!(header.quality),
        models: app.artifact.as_ref().map(model_versions).unwrap_or_default(),
        snapshot_id: cursor.snapshot_id,
    }))
}

fn check(filter: &Filter) -> Result<usize, Problem> {
    let bad = |path: &str, detail: String| {
        Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_query", detail).at(path))
    };
    if let Some(risk) = filter.min_risk.filter(|risk| !(0.0..=1.0).contains(risk)) {
        return bad("min_risk", format!("{risk} lies outside 0 ..= 1"));
    }
    if let Some(sort) = filter.sort.as_ref().filter(|sort| *sort != SORT) {
        return bad("sort", format!("{sort:?} is no order; the order is {SORT}"));
    }
    match filter.limit.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        limit => bad("limit", format!("{limit} lies outside 1 ..= {MAX_LIMIT}")),
    }
}

/// Where to begin: at the cursor, at the named snapshot, or at the newest.
async fn start(app: &App, filter: &Filter) -> Result<Cursor, Problem> {
    if let Some(text) = &filter.cursor {
        let invalid =
            |detail: &str| Problem::new(StatusCode::BAD_REQUEST, "invalid_cursor", detail).at("cursor");
        let cursor =
            decode(text, filter).ok_or_else(|| invalid("the cursor is not one of this list and filter"))?;
        if filter.snapshot_id.as_ref().is_some_and(|id| *id != cursor.snapshot_id) {
            return Err(invalid("the cursor belongs to another snapshot_id"));
        }
        return Ok(cursor);
    }
    let snapshot_id = match &filter.snapshot_id {
        Some(id) => id.clone(),
        None => app.store.current_snapshot().await?.ok_or_else(|| {
            Problem::not_found(
                "no_snapshot",
                "no at-risk snapshot has been built yet; the snapshot job builds it",
            )
        })?,
    };
    Ok(Cursor { snapshot_id, position: 0 })
}

/// Up to `limit` customers that pass the filter, and the position to go on from.
async fn read(
    app: &App,
    cursor: &Cursor,
    filter: &Filter,
    limit: usize,
    n_customers: usize,
) -> Result<(Vec<AtRisk>, Option<usize>), Problem> {
    let mut found = Vec::new();
    let mut position = cursor.position;
    for _ in 0..MAX_PAGES {
        let page = app.store.snapshot_page::<AtRisk>(&cursor.snapshot_id, position / PAGE_SIZE).await?;
        let Some(page) = page else { return Ok((found, None)) };
        for customer in page.into_iter().skip(position % PAGE_SIZE) {
            position += 1;
            if passes(&customer, filter) {
                found.push(customer);
                if found.len() == limit {
                    return Ok((found, (position < n_customers).then_some(position)));
                }
            }
        }
        if position >= n_customers {
            return Ok((found, None));
        }
    }
    Ok((found, Some(position)))
}

fn passes(customer: &AtRisk, filter: &Filter) -> bool {
    filter.segment.is_none_or(|stage| customer.lifecycle_stage == stage)
        && filter.min_risk.is_none_or(|risk| customer.churn_probability >= risk)
}

fn row(reasons: &ReasonList, level: Option<f64>, customer: AtRisk) -> Row {
    Row {
        customer_id: customer.customer_id.as_str().to_owned(),
        rank: customer.rank,
        churn_probability: Likelihood {
            value: customer.churn_probability,
            interval: Interval::new(customer.churn_interval, level),
        },
        band: customer.band,
        lifecycle_stage: customer.lifecycle_stage,
        recent_value_minor: customer.recent_value_minor,
        value_at_risk_minor: customer.value_at_risk_minor,
        clv: Absent::because("no_clv_model"),
        save_uplift: Absent::because("no_uplift_model"),
        net_save_value_minor: Absent::because("no_uplift_model"),
        driver_reasons: customer.drivers.iter().map(|code| driver(reasons, code)).collect(),
        drivers: customer.drivers,
        recommended: customer.recommended.map(|(action_id, channel)| Recommended { action_id, channel }),
        experiment: Experiment::of(customer.control),
        contactable: Absent::because("no_consent_data"),
    }
}

fn driver(reasons: &ReasonList, code: &str) -> Driver {
    let reason = reasons.find(code);
    let text = reason.and_then(|reason| reason.text(Direction::Raises));
    let features = reason.into_iter().flat_map(|reason| reasons.feature_names(reason));
    Driver {
        code: code.to_owned(),
        text: text.map(str::to_owned),
        features: features.map(str::to_owned).collect(),
    }
}

/// A cursor as text: opaque, bound to the filters, with a checksum against typing errors.
fn encode(cursor: &Cursor, filter: &Filter) -> String {
    let text = format!("{}|{}|{}", cursor.position, filter_hash(filter), cursor.snapshot_id);
    let check = sha256_hex(text.as_bytes());
    URL_SAFE_NO_PAD.encode(format!("{}|{text}", &check[..8]))
}

fn decode(text: &str, filter: &Filter) -> Option<Cursor> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
    let (check, text) = text.split_once('|')?;
    let mut parts = text.splitn(3, '|');
    let (position, hash, snapshot_id) = (parts.next()?, parts.next()?, parts.next()?);
    let valid =
        sha256_hex(text.as_bytes()).starts_with(check) && check.len() == 8 && hash == filter_hash(filter);
    valid.then_some(Cursor { snapshot_id: snapshot_id.to_owned(), position: position.parse().ok()? })
}

fn filter_hash(filter: &Filter) -> String {
    let key = format!("{:?}|{:?}", filter.segment, filter.min_risk.map(f64::to_bits));
    sha256_hex(key.as_bytes())[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_bound_to_its_filters_and_survives_no_typing_error() {
        let filter = Filter { min_risk: Some(0.3), ..Filter::default() };
        let cursor = Cursor { snapshot_id: "snap_1".into(), position: 250 };
        let text = encode(&cursor, &filter);
        assert_eq!(decode(&text, &filter), Some(cursor));
        assert_eq!(decode(&text, &Filter::default()), None);
        for at in 0..text.len() {
            let mut wrong = text.clone().into_bytes();
            wrong[at] = if wrong[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(decode(std::str::from_utf8(&wrong).unwrap(), &filter), None, "at {at}");
        }
    }
}
