//! The hopper: the contacts that are to be made today, chosen over all customers, held, and listed.
//!
//! A nightly run asks every customer, through the same `decide` as a live request, what each campaign of policy.toml may
//! offer them; chooses under capacities and budgets; logs and holds each contact in one transaction; and writes the list,
//! pointer last. Whoever falls meanwhile is replaced by the next best. Before a contact is sent it is claimed
//! ([`claims`]), which asks once more; what nobody claims expires by itself and gives its budgets back.

pub mod claims;
mod fill;
mod limits;
pub mod list;
mod scan;

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::Router;
use axum::routing::{get, post};
use nextbest_models::decision::{FunnelStage, Rejection, RejectionCode};
use nextbest_models::lifecycle::Stage;
use nextbest_models::policy::hopper::Campaign;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::clock::{self, NoEntropy, Stopwatch};
use crate::events::expiry_seconds;
use crate::store::{Listing, Series, StoreError};
use fill::Filling;
use limits::Limits;

/// How long a list is kept, in days: longer than anyone holds a cursor.
pub const KEEP_DAYS: i32 = 8;

/// GET /v1/hopper, POST /v1/hopper/{id}/claims.
pub fn routes() -> Router<App> {
    Router::new().route("/v1/hopper", get(list::list)).route("/v1/hopper/{id}/claims", post(claims::claim))
}

/// Why there is no new list; the last one stays in use, and what was held is given back.
#[derive(Debug, thiserror::Error)]
pub enum HopperError {
    /// policy.toml lists no campaign.
    #[error("policy.toml lists no [[hopper.campaign]]: nothing is run overnight")]
    NoCampaign,
    /// A campaign's model is not there, and its action has no prior.
    #[error(
        "no artifact with the {model:?} model of {action:?} is in use; run nextbest train, or give it a prior"
    )]
    NoModel {
        /// The action.
        action: String,
        /// Its propensity.
        model: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No id for the list.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// What a run has done so far, for whoever waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// So many customers were asked.
    Asked(usize),
    /// So many of the chosen contacts are held.
    Held {
        /// Held.
        n_held: usize,
        /// Chosen.
        n_chosen: usize,
    },
}

/// What a run made.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// The list.
    pub snapshot_id: String,
    /// Items it takes.
    pub n_pages: usize,
    /// What is said of it as a whole.
    #[serde(flatten)]
    pub header: Header,
}

/// What is said of a list as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// When it was decided.
    pub as_of: Timestamp,
    /// Until when its contacts are held.
    pub held_until: Timestamp,
    /// Customers that were asked.
    pub n_asked: usize,
    /// Contacts on it.
    pub n_listed: usize,
    /// Sum of their expected worth: priorities, which are minor units where all factors take part.
    pub expected_worth: f64,
    /// No list under the same limits would have been worth more.
    pub upper_bound: f64,
    /// The list is worth at least this share of the best, 0 ..= 1.
    pub proven_share: f64,
    /// What the way of choosing guarantees whatever the bound says, 0 ..= 1.
    pub guarantee: f64,
    /// By campaign, in the order of policy.toml.
    pub campaigns: Vec<CampaignReport>,
    /// What went short, by code: `out_of_time` where the run ended before all places were filled, `store_failed` where
    /// contacts could not be held.
    pub degraded: Vec<String>,
    /// The project folder it was decided by.
    pub policy_sha256: String,
    /// The artifact that scored, as SHA-256.
    pub artifact_sha256: Option<String>,
}

/// What became of a campaign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CampaignReport {
    /// As policy.toml has it.
    #[serde(flatten)]
    pub campaign: Campaign,
    /// Contacts that were left of the night's when the run began: less where another run holds or made some.
    pub n_places: u64,
    /// Customers who may be contacted.
    pub n_candidates: usize,
    /// Contacts on the list.
    pub n_listed: usize,
    /// Sum of their expected worth.
    pub expected_worth: f64,
    /// Sum of their cost, in minor units.
    pub cost_minor: i64,
    /// Where the other customers fell, the most first.
    pub fell: Vec<Fell>,
    /// Where chosen customers fell when their contact was to be held; others took their places.
    pub fell_late: Vec<Fell>,
}

/// Customers who fell at one place of the funnel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fell {
    /// The step.
    pub stage: FunnelStage,
    /// What in that step.
    pub component: Cow<'static, str>,
    /// Why.
    pub code: RejectionCode,
    /// How many customers.
    pub n_customers: usize,
}

/// Counts of where customers fell.
#[derive(Clone, Debug, Default)]
struct Funnel(BTreeMap<(FunnelStage, Cow<'static, str>, RejectionCode), usize>);

impl Funnel {
    fn add(&mut self, fallen: Rejection) {
        *self.0.entry((fallen.stage, fallen.component, fallen.code)).or_default() += 1;
    }

    fn told(self) -> Vec<Fell> {
        let told = |((stage, component, code), n_customers)| Fell { stage, component, code, n_customers };
        let mut told: Vec<Fell> = self.0.into_iter().map(told).collect();
        told.sort_by_key(|fell| std::cmp::Reverse(fell.n_customers));
        told
    }
}

/// A contact of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Listed {
    /// From 1, over the whole list, by expected worth.
    pub rank: usize,
    /// The logged decision, which is what is claimed.
    pub decision_id: String,
    /// Who.
    pub customer_id: String,
    /// What is offered.
    pub action_id: String,
    /// In which form.
    pub treatment_id: String,
    /// Through which channel.
    pub channel: String,
    /// Where the customer stands.
    #[schema(value_type = String)]
    pub lifecycle_stage: Stage,
    /// P(outcome).
    pub propensity: f64,
    /// Its priority: minor units where all factors take part.
    pub expected_worth: f64,
    /// What delivering it costs, in minor units.
    pub cost_minor: i64,
    /// Until when it is held.
    #[schema(value_type = String, format = DateTime)]
    pub held_until: Timestamp,
}

/// Fills the hopper and makes its list the current one; `progress` is told now and then.
pub async fn run(app: &App, progress: &(dyn Fn(Progress) + Sync)) -> Result<Built, HopperError> {
    check(app)?;
    let (since, now) = (Stopwatch::start(), app.clock.now());
    let snapshot_id = clock::new_id("hop")?;
    let limits = Limits::new(app, now);
    let rooms = limits.rooms().await?;
    let scanned = scan::scan(&limits, &rooms, progress).await?;
    let mut filling = Filling::new(&limits, &snapshot_id, since, scanned);
    let written = match filling.fill(progress).await {
        Ok(()) => {
            let (header, rows) = (filling.header(&rooms), filling.rows());
            let expires = expiry_seconds(now, KEEP_DAYS);
            let written = write(app, &snapshot_id, &header, &rows, expires).await;
            written.map(|n_pages| Built { snapshot_id: snapshot_id.clone(), n_pages, header })
        }
        Err(error) => Err(error),
    };
    match written {
        Ok(built) => {
            let Header { n_listed, n_asked, expected_worth, proven_share, .. } = built.header;
            tracing::info!(snapshot_id, n_listed, n_asked, expected_worth, proven_share, "hopper filled");
            Ok(built)
        }
        Err(error) => {
            filling.give_back().await;
            Err(error.into())
        }
    }
}

/// Pages, then the header, and the pointer last; returns how many pages there are.
async fn write(
    app: &App,
    snapshot_id: &str,
    header: &Header,
    rows: &[Listed],
    expires: i64,
) -> Result<usize, StoreError> {
    let listing = Listing { series: Series::Hopper, snapshot_id, order: list::ORDER };
    let n_pages = app.store.put_pages(listing, 0, rows, expires).await?;
    app.store.publish_snapshot(Series::Hopper, snapshot_id, header, expires).await?;
    Ok(n_pages)
}

fn check(app: &App) -> Result<(), HopperError> {
    let policy = &app.project.policy;
    if policy.hopper().campaigns.is_empty() {
        return Err(HopperError::NoCampaign);
    }
    let actions = policy.hopper().campaigns.iter().filter_map(|campaign| policy.action(&campaign.action));
    for action in actions.filter(|action| action.prior.is_none()) {
        if app.artifact.as_ref().and_then(|artifact| artifact.propensity(&action.propensity)).is_none() {
            return Err(HopperError::NoModel { action: action.id.clone(), model: action.propensity.clone() });
        }
    }
    Ok(())
}
