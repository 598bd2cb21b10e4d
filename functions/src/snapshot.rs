//! The at-risk snapshot: every customer who is still active scored once, ranked by what is at stake, and put into
//! the store page by page. Built nightly; a run that fails leaves the last snapshot in use.
//!
//! Rank is churn probability times recent value: what is expected to be lost, not who is most likely to leave.
//! What a campaign would save of it (uplift) and lifetime value arrive with their own models; until then they are
//! null beside a code.

use std::collections::BTreeMap;

use nextbest_models::artifact::Artifact;
use nextbest_models::customer::CustomerId;
use nextbest_models::lifecycle::Stage;
use nextbest_models::policy::control::Assignment;
use nextbest_models::policy::{Question, decide};
use nextbest_models::project::LabelRule;
use nextbest_models::propensity::{ProbabilityInterval, PropensityModel};
use nextbest_models::units::{Seed, Timestamp};
use nextbest_models::value::recent_value_minor;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clock::{self, NoEntropy};
use crate::decisions;
use crate::events::{self, expiry_seconds};
use crate::learn::learn;
use crate::store::{Series, StoreError, StoredCustomer};

/// The model whose outcome is churn.
pub const CHURN: &str = "churn";
/// How long a snapshot is kept, in days: longer than anyone holds a cursor.
pub const KEEP_DAYS: i32 = 8;

/// How far back changes of stage are logged, in days: a week of failed runs is made up for.
pub const CATCH_UP_DAYS: i32 = 7;

const SEGMENTS: i32 = 4;
const DRIVERS: usize = 3;
/// Least probability of the band `high`.
pub(crate) const HIGH: f64 = 0.5;
/// Least probability of the band `medium`.
pub(crate) const MEDIUM: f64 = 0.25;

/// Why there is no new snapshot; the last one stays in use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No churn model is in use.
    #[error("no artifact with a {CHURN:?} model is in use; run nextbest train")]
    NoModel,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No id for the snapshot.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// What a run made.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// The snapshot.
    pub snapshot_id: String,
    /// Customers on it.
    pub n_customers: usize,
    /// Customers that were looked at.
    pub n_scanned: usize,
    /// Items it takes.
    pub n_pages: usize,
}

/// What is said of a snapshot as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The instant all rows describe.
    pub as_of: Timestamp,
    /// What churn means here.
    pub churn_definition: Option<LabelRule>,
    /// Who is on it.
    pub population: Population,
    /// What contacting the first of the list would reach, at every tenth.
    pub cutoff_curve: Vec<Cutoff>,
    /// Metrics of the churn model on rows it never saw.
    pub quality: BTreeMap<String, f64>,
    /// Probability with which the bounds of churn probabilities hold; none where there are none.
    #[serde(default)]
    pub interval_level: Option<f64>,
    /// The artifact that scored, as SHA-256.
    pub artifact_sha256: String,
}

/// Who is on a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    /// In words: the project's activity rule.
    pub definition: String,
    /// Customers in the store.
    pub n_known: usize,
    /// Customers still active by the rule: those on the snapshot.
    pub n_active: usize,
}

/// A point of the curve: contact the first `n_customers` of the ranking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cutoff {
    /// How many are contacted.
    pub n_customers: usize,
    /// Churners expected among them: the sum of their probabilities.
    pub expected_churners: f64,
    /// Of all churners expected in the population.
    pub share_of_churners: f64,
    /// Of all value at risk in the population.
    pub share_of_value_at_risk: f64,
}

/// One customer of a snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtRisk {
    /// Who.
    pub customer_id: CustomerId,
    /// From 1, over the whole snapshot.
    pub rank: usize,
    /// P(churn), calibrated.
    pub churn_probability: f64,
    /// Bounds of it at the header's `interval_level`; none where the model carries none.
    #[serde(default)]
    pub churn_interval: Option<(f64, f64)>,
    /// high (from 0.5), medium (from 0.25) or low.
    pub band: String,
    /// Where they stand.
    pub lifecycle_stage: Stage,
    /// What they spent in the activity window, in minor units.
    pub recent_value_minor: i64,
    /// Churn probability times recent value, in minor units: the rank.
    pub value_at_risk_minor: i64,
    /// Codes of the reasons that raise the probability most.
    pub drivers: Vec<String>,
    /// What the policy would offer: action and channel.
    pub recommended: Option<(String, String)>,
    /// To which control groups they belong.
    #[serde(default)]
    pub control: Assignment,
}

/// Builds a snapshot and makes it the current one.
pub async fn build(app: &App) -> Result<Built, SnapshotError> {
    let artifact = app.artifact.as_ref().ok_or(SnapshotError::NoModel)?;
    let model = artifact.propensity(CHURN).ok_or(SnapshotError::NoModel)?;
    // What outcomes taught moves what is recommended; without it the list is the list of yesterday's beliefs.
    if let Err(error) = learn(app).await {
        tracing::error!(%error, "nothing was learned from outcomes");
    }
    let now = app.clock.now();
    let (mut rows, n_scanned) = score_all(app, model, now).await?;
    rank(&mut rows);
    let header = header(app, artifact, model, &rows, n_scanned, now);
    let snapshot_id = clock::new_id("snap")?;
    let expires = expiry_seconds(now, KEEP_DAYS);
    let n_pages = app.store.put_snapshot(Series::AtRisk, &snapshot_id, &header, &rows, expires).await?;
    tracing::info!(snapshot_id, n_customers = rows.len(), n_scanned, n_pages, "snapshot built");
    Ok(Built { snapshot_id, n_customers: rows.len(), n_scanned, n_pages })
}

async fn score_all(
    app: &App,
    model: &PropensityModel,
    now: Timestamp,
) -> Result<(Vec<AtRisk>, usize), SnapshotError> {
    let (mut rows, mut n_scanned) = (Vec::new(), 0);
    for segment in 0..SEGMENTS {
        let mut scan = app.store.scan_customers(segment, SEGMENTS);
        while let Some(page) = scan.next(&app.project.schema).await? {
            n_scanned += page.len();
            log_changes(app, &page, now).await?;
            rows.extend(page.iter().filter_map(|stored| at_risk(app, model, stored, now)));
        }
    }
    Ok((rows, n_scanned))
}

/// Logs the changes of stage of the last days: those that silence brought, and any whose write was lost.
async fn log_changes(app: &App, page: &[StoredCustomer], now: Timestamp) -> Result<(), StoreError> {
    let (rules, schema, today) = (&app.project.settings.lifecycle, &app.project.schema, now.day());
    let changes = page.iter().flat_map(|stored| {
        let changes = rules.transitions(&stored.customer, schema, today.plus(1 - CATCH_UP_DAYS), today);
        changes.into_iter().map(|change| (stored.customer.id().clone(), change))
    });
    let changes: Vec<_> = changes.collect();
    app.store.put_transitions(&changes, expiry_seconds(now, events::KEEP_DAYS)).await.map(|_| ())
}

/// The row of a customer; none when they are no longer one by the activity rule.
fn at_risk(app: &App, model: &PropensityModel, stored: &StoredCustomer, now: Timestamp) -> Option<AtRisk> {
    let customer = &stored.customer;
    let (project, today) = (&app.project, now.day());
    let window_days = project.settings.activity.window_days;
    customer.inactive_days(&project.schema, today).filter(|days| *days <= window_days)?;
    let features = project.schema.features(customer, now);
    let (probability, explanation) = model.score_and_explain(features.values());
    let probability = probability.get();
    let value = recent_value_minor(customer, &project.schema, today, window_days);
    let strongest = project.reasons.name_contributions(&explanation);
    let raising = strongest.iter().filter(|part| part.log_odds > 0.0).take(DRIVERS);
    Some(AtRisk {
        customer_id: customer.id().clone(),
        rank: 0,
        churn_probability: probability,
        churn_interval: model.score_interval(features.values()).map(|(lo, hi)| (lo.get(), hi.get())),
        band: band(probability).to_owned(),
        lifecycle_stage: project.settings.lifecycle.stage(customer, &project.schema, today),
        recent_value_minor: value,
        value_at_risk_minor: share(value, probability),
        drivers: raising.map(|part| part.code.to_owned()).collect(),
        recommended: recommended(app, stored, now),
        control: project.policy.control().assign(customer.id(), now),
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "amounts stay far below 2^53"
)]
fn share(value_minor: i64, probability: f64) -> i64 {
    (value_minor as f64 * probability).round() as i64
}

const fn band(probability: f64) -> &'static str {
    if probability >= HIGH {
        "high"
    } else if probability >= MEDIUM {
        "medium"
    } else {
        "low"
    }
}

/// What would be decided now, exploration aside: by the same policy, caps, budgets and control group.
fn recommended(app: &App, stored: &StoredCustomer, now: Timestamp) -> Option<(String, String)> {
    let situation = decisions::known::situation(app, stored, true, now, Seed(0));
    let question = Question { max_actions: 1, ..Question::default() };
    let decision = decide(&app.project.policy, &situation, &question);
    // The first by priority, whichever exploration drew.
    let all = decision.actions.iter().chain(&decision.outranked);
    let best = all.max_by(|a, b| {
        (a.mandatory.cmp(&b.mandatory))
            .then_with(|| a.priority.total_cmp(&b.priority))
            .then_with(|| b.action_id.cmp(&a.action_id))
    })?;
    Some((best.action_id.to_string(), best.channel.to_string()))
}

/// Largest value at risk first; ties by probability, then by id, so that the order is one.
fn rank(rows: &mut [AtRisk]) {
    rows.sort_by(|a, b| {
        b.value_at_risk_minor
            .cmp(&a.value_at_risk_minor)
            .then_with(|| b.churn_probability.total_cmp(&a.churn_probability))
            .then_with(|| a.customer_id.cmp(&b.customer_id))
    });
    for (rank, row) in (1..).zip(rows) {
        row.rank = rank;
    }
}

fn header(
    app: &App,
    artifact: &Artifact,
    model: &PropensityModel,
    rows: &[AtRisk],
    n_known: usize,
    as_of: Timestamp,
) -> Header {
    let activity = &app.project.settings.activity;
    let events: Vec<&str> = activity.event.iter().map(|kind| kind.as_str()).collect();
    let definition = format!("{} within the last {} days", events.join(" or "), activity.window_days);
    Header {
        as_of,
        churn_definition: model.metadata().label.clone(),
        population: Population { definition, n_known, n_active: rows.len() },
        cutoff_curve: cutoff_curve(rows),
        quality: model.metadata().metrics.clone(),
        interval_level: model.interval().map(ProbabilityInterval::level),
        artifact_sha256: artifact.sha256().to_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts stay far below 2^53")]
fn cutoff_curve(rows: &[AtRisk]) -> Vec<Cutoff> {
    let totals = |rows: &[AtRisk]| {
        let churners: f64 = rows.iter().map(|row| row.churn_probability).sum();
        let value: i64 = rows.iter().map(|row| row.value_at_risk_minor).sum();
        (churners, value as f64)
    };
    let (all_churners, all_value) = totals(rows);
    let of = |part: f64, all: f64| if all > 0.0 { part / all } else { 0.0 };
    let point = |tenth: usize| {
        let n_customers = (rows.len() * tenth).div_ceil(10);
        let (expected_churners, value) = totals(&rows[..n_customers]);
        Cutoff {
            n_customers,
            expected_churners,
            share_of_churners: of(expected_churners, all_churners),
            share_of_value_at_risk: of(value, all_value),
        }
    };
    if rows.is_empty() { Vec::new() } else { (1..=10).map(point).collect() }
}
