//! `at-risk`: pages through the latest at-risk snapshot.
//!
//! What a row says is in the snapshot; how it is paged through stands in [`crate::paging`].

use axum::Router;
use axum::extract::{Extension, State};
use axum::routing::get;
use nextbest_models::feature::reason::{Direction, ReasonList};
use nextbest_models::lifecycle::Stage;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::app::App;
use crate::door::RequestId;
use crate::paging::{self, Paging};
use crate::problem::Problem;
use crate::provenance::{Absent, Experiment, Interval, ModelVersion, model_versions};
use crate::request::Query;
use crate::snapshot::{AtRisk, Cutoff, Header};
use crate::store::Series;

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

pub(crate) async fn list(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List>, Problem> {
    let limit = check(&filter)?;
    let key = format!("{:?}|{:?}", filter.segment, filter.min_risk.map(f64::to_bits));
    let paging = Paging {
        series: Series::AtRisk,
        cursor: filter.cursor.as_deref(),
        snapshot_id: filter.snapshot_id.as_deref(),
        filter: &key,
        none_yet: "no at-risk snapshot has been built yet; the snapshot job builds it",
    };
    let cursor = paging.start(&app).await?;
    let header: Header = paging.header(&app, &cursor).await?;
    let bounds = (limit, header.population.n_active);
    let (customers, next_cursor) = paging.read(&app, &cursor, bounds, |one| passes(one, &filter)).await?;
    let (reasons, level) = (&app.project.reasons, header.interval_level);
    Ok(axum::Json(List {
        request_id,
        as_of: header.as_of,
        sort: SORT,
        churn_definition: json!(header.churn_definition),
        population: json!(header.population),
        customers: customers.into_iter().map(|customer| row(reasons, level, customer)).collect(),
        next_cursor,
        cutoff_curve: header.cutoff_curve,
        quality: json!(header.quality),
        models: app.artifact.as_ref().map(model_versions).unwrap_or_default(),
        snapshot_id: cursor.snapshot_id,
    }))
}

fn check(filter: &Filter) -> Result<usize, Problem> {
    if let Some(risk) = filter.min_risk.filter(|risk| !(0.0..=1.0).contains(risk)) {
        return Err(paging::invalid("min_risk", format!("{risk} lies outside 0 ..= 1")));
    }
    if let Some(sort) = filter.sort.as_ref().filter(|sort| *sort != SORT) {
        return Err(paging::invalid("sort", format!("{sort:?} is no order; the order is {SORT}")));
    }
    paging::limit(filter.limit)
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
