//! `at-risk`: pages through the latest at-risk snapshot.
//!
//! What a row says is in the snapshot; how it is paged through stands in [`crate::paging`].

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, State};
use axum::routing::{get, post};
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
use crate::snapshot::{self, AtRisk, Clv, Contactable, Cutoff, Header, Order, Recommended, SaveUplift};
use crate::store::{Listing, Series};

pub mod exports;
pub mod heads;

/// What may stand in the query, for the description of the interface.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    ("segment", "Only customers of this lifecycle stage."),
    ("min_risk", "Only customers at least this likely to churn, 0 to 1."),
    ("band", "Only customers of this band: high, medium or low."),
    (
        "contactable",
        "Only customers who may be contacted through this channel now, and are held out of nothing.",
    ),
    ("limit", "Most customers of one answer, 1 to 500; default 50."),
    ("cursor", "next_cursor of the answer before."),
    ("snapshot_id", "This snapshot instead of the newest."),
    (
        "sort",
        "net_save_value, value_at_risk, churn_probability, lifetime_value or save_uplift, the largest first; by default the \
         first of these that the snapshot has.",
    ),
    ("capacity", "Contacts that can be made, for the best length of the list."),
    ("budget_minor", "What contacts may cost together, in minor units, for the best length of the list."),
];

/// GET /v1/at-risk, POST /v1/at-risk/exports, GET /v1/at-risk/exports/{id}.
pub fn routes() -> Router<App> {
    Router::new()
        .route("/v1/at-risk", get(list))
        .route("/v1/at-risk/exports", post(exports::create))
        .route("/v1/at-risk/exports/{id}", get(exports::download))
}

/// The query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only customers of this lifecycle stage.
    pub(crate) segment: Option<Stage>,
    /// Only customers at least this likely to churn.
    pub(crate) min_risk: Option<f64>,
    /// Only customers of this band.
    pub(crate) band: Option<String>,
    /// Only customers who may be contacted through this channel.
    pub(crate) contactable: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) cursor: Option<String>,
    pub(crate) snapshot_id: Option<String>,
    pub(crate) sort: Option<String>,
    pub(crate) capacity: Option<usize>,
    pub(crate) budget_minor: Option<i64>,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct List {
    request_id: String,
    snapshot_id: String,
    #[schema(value_type = String, format = DateTime)]
    as_of: Timestamp,
    /// By what it is sorted.
    #[schema(value_type = String)]
    sort: Order,
    /// By what it could be.
    #[schema(value_type = Vec<String>)]
    sorts: Vec<Order>,
    #[schema(value_type = Object)]
    churn_definition: serde_json::Value,
    #[schema(value_type = Object)]
    population: serde_json::Value,
    customers: Vec<Row>,
    /// Goes on where this page ends; null at the end of the list.
    next_cursor: Option<String>,
    /// What contacting the first of the list, in this order, reaches, costs and brings, at every hundredth of it.
    #[schema(value_type = Vec<Object>)]
    cutoff_curve: Arc<[Cutoff]>,
    /// The length that brings the most, within capacity and budget.
    #[schema(value_type = Object)]
    best_cutoff: Best,
    #[schema(value_type = Object)]
    quality: serde_json::Value,
    models: Vec<ModelVersion>,
}

/// A length of the list, or why there is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Best {
    Cutoff(Cutoff),
    Absent(Absent),
}

#[derive(Debug, Serialize, ToSchema)]
struct Row {
    customer_id: String,
    /// From 1, over the whole list in this order.
    rank: usize,
    churn_probability: Likelihood,
    band: String,
    #[schema(value_type = String)]
    lifecycle_stage: Stage,
    recent_value_minor: i64,
    value_at_risk_minor: i64,
    /// value_minor with lo_minor, hi_minor at `level`, basis (`closed_form`: an interval of the expectation; `realised_value`: of
    /// the outcome), expected_purchases, p_alive, bought_once (then p_alive is 1 by assumption).
    #[schema(value_type = Object)]
    clv: Told<Clv>,
    /// value, lo, hi: how much less likely a contact makes them to leave.
    #[schema(value_type = Object)]
    save_uplift: Told<SaveUplift>,
    /// Uplift times lifetime value, less the cost of the recommended action.
    #[schema(value_type = Object)]
    net_save_value_minor: Told<i64>,
    /// Codes of the reasons that raise the probability most, strongest first.
    drivers: Vec<String>,
    /// The same with what the project's list of reasons says of them now.
    driver_reasons: Vec<Driver>,
    recommended: Option<Recommended>,
    /// Who is held out stays on the list, to be measured, not to be contacted.
    experiment: Experiment,
    contactable: Contactable,
}

/// A number, or null beside the reason why there is none.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Told<T> {
    Known(T),
    Absent(Absent),
}

impl<T> Told<T> {
    fn of(value: Option<T>, code: &'static str) -> Self {
        value.map_or_else(|| Self::Absent(Absent::because(code)), Self::Known)
    }
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

pub(crate) async fn list(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Query(filter): Query<Filter>,
) -> Result<axum::Json<List>, Problem> {
    let page = Page::read(&app, &filter).await?;
    let (reasons, level) = (&app.project.reasons, page.header.interval_level);
    let best_cutoff = page.best(&filter);
    Ok(axum::Json(List {
        request_id,
        as_of: page.header.as_of,
        sort: page.order,
        sorts: page.header.orders.clone(),
        churn_definition: json!(page.header.churn_definition),
        population: json!(page.header.population),
        customers: page.customers.into_iter().map(|(rank, one)| row(reasons, level, rank, one)).collect(),
        next_cursor: page.next_cursor,
        best_cutoff,
        cutoff_curve: page.curve,
        quality: json!(page.header.quality),
        models: app.artifact.as_ref().map(model_versions).unwrap_or_default(),
        snapshot_id: page.snapshot_id,
    }))
}

/// A page of the list with all that is said of the whole.
pub(crate) struct Page {
    pub(crate) snapshot_id: String,
    pub(crate) header: Arc<Header>,
    pub(crate) order: Order,
    /// Each with its rank.
    pub(crate) customers: Vec<(usize, AtRisk)>,
    pub(crate) curve: Arc<[Cutoff]>,
    pub(crate) next_cursor: Option<String>,
}

impl Page {
    pub(crate) async fn read(app: &App, filter: &Filter) -> Result<Self, Problem> {
        let (limit, asked) = check(filter)?;
        // The order is asked for, or settled by the snapshot: which, the snapshot itself must say.
        let unsettled = paging(Order::ValueAtRisk, filter, "");
        let snapshot_id = unsettled.snapshot(app).await?;
        let header = match app.heads.header(&snapshot_id, app.clock.now()) {
            Some(header) => header,
            None => {
                let header = unsettled.header(app, &snapshot_id).await?;
                app.heads.keep(&snapshot_id, header, app.clock.now())
            }
        };
        let order = match asked {
            None => header.orders.first().copied().unwrap_or(Order::ValueAtRisk),
            Some(order) if header.orders.contains(&order) => order,
            Some(order) => {
                let known: Vec<&str> = header.orders.iter().map(|order| order.as_str()).collect();
                let detail = format!("the snapshot has no {}; it has {}", order.as_str(), known.join(", "));
                return Err(paging::invalid("sort", detail));
            }
        };
        let key = filter.key(order);
        let paging = paging(order, filter, &key);
        let cursor = paging.start_in(snapshot_id)?;
        let bounds = (limit, header.population.n_active);
        let erased = app.erased.lately(app).await?;
        let shown = |one: &AtRisk| filter.passes(one) && !erased.hide(one.customer_id.as_str(), header.as_of);
        let (rows, curve) =
            tokio::join!(paging.read(app, &cursor, bounds, shown), curve(app, &cursor.snapshot_id, order));
        let ((customers, next_cursor), curve) = (rows?, curve?);
        Ok(Self { snapshot_id: cursor.snapshot_id, header, order, customers, curve, next_cursor })
    }

    fn best(&self, filter: &Filter) -> Best {
        if self.curve.iter().all(|point| point.net_value_minor.is_none()) {
            return Best::Absent(Absent::because("no_uplift_or_no_clv"));
        }
        let best = snapshot::curve::best(&self.curve, filter.capacity, filter.budget_minor);
        best.map_or_else(|| Best::Absent(Absent::because("nothing_is_worth_its_cost")), Best::Cutoff)
    }
}

/// The curve of a snapshot in `order`.
async fn curve(app: &App, snapshot_id: &str, order: Order) -> Result<Arc<[Cutoff]>, Problem> {
    if let Some(curve) = app.heads.curve(snapshot_id, order, app.clock.now()) {
        return Ok(curve);
    }
    let listing = Listing { series: Series::AtRisk, snapshot_id, order: snapshot::curve_of(order) };
    let curve = app.store.snapshot_page::<Cutoff>(listing, 0).await?.unwrap_or_default();
    Ok(app.heads.keep_curve(snapshot_id, order, curve))
}

fn paging<'a>(order: Order, filter: &'a Filter, key: &'a str) -> Paging<'a> {
    Paging {
        series: Series::AtRisk,
        order: order.as_str(),
        cursor: filter.cursor.as_deref(),
        snapshot_id: filter.snapshot_id.as_deref(),
        filter: key,
        none_yet: "no at-risk snapshot has been built yet; the snapshot job builds it",
    }
}

fn check(filter: &Filter) -> Result<(usize, Option<Order>), Problem> {
    if let Some(risk) = filter.min_risk.filter(|risk| !(0.0..=1.0).contains(risk)) {
        return Err(paging::invalid("min_risk", format!("{risk} lies outside 0 ..= 1")));
    }
    if let Some(band) =
        filter.band.as_ref().filter(|band| !["high", "medium", "low"].contains(&band.as_str()))
    {
        return Err(paging::invalid("band", format!("{band:?} is no band; they are high, medium, low")));
    }
    if let Some(budget) = filter.budget_minor.filter(|budget| *budget < 0) {
        return Err(paging::invalid("budget_minor", format!("{budget} lies below 0")));
    }
    let order = filter.sort.as_ref().map(|name| {
        let known = Order::ALL.map(Order::as_str).join(", ");
        let fault = || paging::invalid("sort", format!("{name:?} is no order; they are {known}"));
        Order::named(name).ok_or_else(fault)
    });
    Ok((paging::limit(filter.limit)?, order.transpose()?))
}

impl Filter {
    /// What tells its lists apart: a cursor of one is none of another.
    fn key(&self, order: Order) -> String {
        let risk = self.min_risk.map(f64::to_bits);
        format!("{}|{:?}|{risk:?}|{:?}|{:?}", order.as_str(), self.segment, self.band, self.contactable)
    }

    fn passes(&self, customer: &AtRisk) -> bool {
        let reached = |channel: &String| {
            !customer.control.policy && customer.contactable.channels.iter().any(|known| known == channel)
        };
        self.segment.is_none_or(|stage| customer.lifecycle_stage == stage)
            && self.min_risk.is_none_or(|risk| customer.churn_probability >= risk)
            && self.band.as_ref().is_none_or(|band| customer.band == *band)
            && self.contactable.as_ref().is_none_or(reached)
    }
}

fn row(reasons: &ReasonList, level: Option<f64>, rank: usize, customer: AtRisk) -> Row {
    let no_clv = if customer.clv.is_some() { "no_uplift_model" } else { "no_clv" };
    Row {
        customer_id: customer.customer_id.as_str().to_owned(),
        rank,
        churn_probability: Likelihood {
            value: customer.churn_probability,
            interval: Interval::new(customer.churn_interval, level),
        },
        band: customer.band,
        lifecycle_stage: customer.lifecycle_stage,
        recent_value_minor: customer.recent_value_minor,
        value_at_risk_minor: customer.value_at_risk_minor,
        clv: Told::of(customer.clv, "no_clv_model"),
        save_uplift: Told::of(customer.save_uplift, "no_uplift_model"),
        net_save_value_minor: Told::of(customer.net_save_value_minor, no_clv),
        driver_reasons: customer.drivers.iter().map(|code| driver(reasons, code)).collect(),
        drivers: customer.drivers,
        recommended: customer.recommended,
        experiment: Experiment::of(customer.control),
        contactable: customer.contactable,
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
