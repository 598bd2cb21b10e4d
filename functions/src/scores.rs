//! `score`: the propensities of one customer, with reasons.

use std::collections::BTreeMap;

use axum::extract::{Extension, State};
use axum::{Router, routing::post};
use nextbest_models::artifact::Artifact;
use nextbest_models::customer::CustomerId;
use nextbest_models::project::LabelRule;
use nextbest_models::propensity::PropensityModel;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::door::RequestId;
use crate::problem::Problem;
use crate::provenance::{
    FeatureState, Interval, ModelVersion, Reason, Timing, model_versions, named_reasons,
};
use crate::request::Json;
use crate::store::Subject;

const MAX_REASONS: usize = 20;

/// POST /v1/scores.
pub fn routes() -> Router<App> {
    Router::new().route("/v1/scores", post(score))
}

/// The body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    #[schema(value_type = String)]
    customer_id: CustomerId,
    /// Only these models; absent: all.
    #[serde(default)]
    models: Option<Vec<String>>,
    /// How many reasons each, at most 20.
    #[serde(default = "three")]
    reasons: usize,
}

const fn three() -> usize {
    3
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct Scores {
    /// Whose.
    #[schema(value_type = String)]
    pub customer_id: CustomerId,
    /// Names the request.
    pub request_id: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// Events that were folded into the state.
    pub n_events: u64,
    /// One per model.
    pub propensities: Vec<Score>,
    /// The models that were in use.
    pub models: Vec<ModelVersion>,
    /// The features that were seen.
    pub features: FeatureState,
    /// Microseconds by step.
    pub timing_us: BTreeMap<&'static str, u64>,
}

/// One propensity: P(outcome | customer).
#[derive(Debug, Serialize, ToSchema)]
pub struct Score {
    /// The model.
    pub name: String,
    /// The outcome it predicts, and within how many days.
    #[schema(value_type = Option<Object>)]
    pub outcome: Option<LabelRule>,
    /// The probability.
    pub probability: f64,
    /// How far it can be off.
    pub interval: Interval,
    /// Strongest first.
    pub reasons: Vec<Reason>,
}

pub(crate) async fn score(
    State(app): State<App>,
    Extension(RequestId(request_id)): Extension<RequestId>,
    Json(request): Json<Request>,
) -> Result<axum::Json<Scores>, Problem> {
    let mut timing = Timing::start();
    let now = app.clock.now();
    let artifact = app.artifact.as_ref().ok_or_else(Problem::no_model)?;
    let models = chosen(artifact, &request)?;

    let subject = Subject::Customer(request.customer_id.clone());
    let stored = app.store.customer(&subject, &app.project.schema).await?;
    let customer = stored.ok_or_else(|| unknown(&request.customer_id))?.customer;
    timing.step("load");

    let features = app.project.schema.features(&customer, now);
    let propensities = models.iter().map(|model| {
        let (probability, reasons) = if request.reasons > 0 {
            let (probability, explanation) = model.score_and_explain(features.values());
            (probability, named_reasons(&app.project, &explanation, request.reasons))
        } else {
            (model.score(features.values()), Vec::new())
        };
        Score {
            name: model.name().to_owned(),
            outcome: model.metadata().label.clone(),
            probability: probability.get(),
            interval: Interval::of(model, features.values()),
            reasons,
        }
    });
    let propensities = propensities.collect();
    timing.step("score");

    Ok(axum::Json(Scores {
        features: FeatureState::of(&app, &customer, features.values(), now),
        customer_id: request.customer_id,
        request_id,
        created_at: now,
        n_events: customer.n_events(),
        propensities,
        models: model_versions(artifact),
        timing_us: timing.steps(),
    }))
}

fn unknown(id: &CustomerId) -> Problem {
    Problem::not_found("unknown_customer", format!("nothing is known of customer {:?}", id.as_str()))
}

fn chosen<'a>(artifact: &'a Artifact, request: &Request) -> Result<Vec<&'a PropensityModel>, Problem> {
    if request.reasons > MAX_REASONS {
        return Err(Problem::invalid(
            "reasons",
            format!("{} lies outside 0 ..= {MAX_REASONS}", request.reasons),
        ));
    }
    // A response model speaks of an offer, and there is none here.
    let of_customers = || artifact.propensities().filter(|model| model.metadata().is_of_customers());
    let Some(names) = &request.models else { return Ok(of_customers().collect()) };
    let find = |(at, name): (usize, &String)| {
        of_customers().find(|model| model.name() == *name).ok_or_else(|| {
            let known: Vec<&str> = of_customers().map(PropensityModel::name).collect();
            Problem::invalid(format!("models[{at}]"), format!("{name:?} is none of: {}", known.join(", ")))
        })
    };
    names.iter().enumerate().map(find).collect()
}
