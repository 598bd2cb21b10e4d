//! The at-risk snapshot: every customer who is still active scored once, and listed in up to five orders. Built nightly; a
//! run that fails, or is killed, leaves the last snapshot in use, and the next run goes on where it stood.
//!
//! Rows pass through sorted runs on disk, so memory does not grow with customers; pages and curves are written as the
//! runs are merged, the pointer last. An order is listed only where its number is there: without an uplift model nobody can be
//! ranked by what saving them brings.

use std::collections::BTreeMap;
use std::io;

use nextbest_models::artifact::Artifact;
use nextbest_models::project::LabelRule;
use nextbest_models::propensity::ProbabilityInterval;
use nextbest_models::units::Timestamp;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::clock::NoEntropy;
use crate::events::{self, expiry_seconds};
use crate::learn::{believe, learn};
use crate::store::{Listing, PAGE_SIZE, Series, Store, StoreError, StoredCustomer};

pub mod curve;
mod order;
mod progress;
mod row;
mod rows;
mod sorting;

pub use curve::Cutoff;
pub use order::Order;
pub use progress::RESUME_HOURS;
pub use row::{AtRisk, CHURN, Clv, ClvBasis, Contactable, Recommended, SAVE, SaveUplift};
pub use rows::Rows;

use curve::Totals;
use progress::Progress;
use row::Scorers;
pub(crate) use row::{HIGH, MEDIUM};
use rows::InOrder;

/// How long a snapshot is kept, in days: longer than anyone holds a cursor.
pub const KEEP_DAYS: i32 = 8;

/// How far back changes of stage are logged, in days: a week of failed runs is made up for.
pub const CATCH_UP_DAYS: i32 = 7;

const SEGMENTS: i32 = 4;
/// Pages written in one go.
const PAGES_AT_ONCE: usize = 50;

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
    /// Another run goes on with the build: it will publish it.
    #[error("another run went on with the build of {snapshot_id}")]
    TakenOver {
        /// What both build.
        snapshot_id: String,
    },
    /// The record of the build was deleted: its states are being replaced.
    #[error(
        "the record of the build of {snapshot_id} is gone, as when nextbest load replaces all states; run it again"
    )]
    RecordGone {
        /// What was built.
        snapshot_id: String,
    },
    /// What an earlier run laid aside is not there.
    #[error("what an earlier run laid aside is gone: {chunk}; the next run begins anew")]
    ChunkGone {
        /// Its name.
        chunk: String,
    },
    /// Rows cannot be laid aside while they are sorted.
    #[error("the rows cannot be sorted in {folder}: {source}; it needs some hundred bytes a customer and order", folder = std::env::temp_dir().display())]
    Sorting {
        /// What the system said.
        #[from]
        source: io::Error,
    },
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
    /// Of these, by runs before this one, which did not come to their end.
    pub n_taken_over: usize,
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
    /// The orders it can be read in, the first by default.
    pub orders: Vec<Order>,
    /// Metrics of the churn model on rows it never saw.
    pub quality: BTreeMap<String, f64>,
    /// Probability with which the bounds of churn probabilities hold; none where there are none.
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
    /// Of these, held out of the policy: listed to be measured, not to be contacted.
    pub n_held_out: usize,
}

/// The listing that holds the curve of `order`: one page of [`Cutoff`]s.
#[must_use]
pub const fn curve_of(order: Order) -> &'static str {
    match order {
        Order::NetSaveValue => "curve_net_save_value",
        Order::ValueAtRisk => "curve_value_at_risk",
        Order::ChurnProbability => "curve_churn_probability",
        Order::LifetimeValue => "curve_lifetime_value",
        Order::SaveUplift => "curve_save_uplift",
    }
}

/// Builds a snapshot and makes it the current one, going on with what a run before laid aside.
pub async fn build(app: &App) -> Result<Built, SnapshotError> {
    let artifact = app.artifact.as_ref().ok_or(SnapshotError::NoModel)?;
    let mut progress = Progress::begin(app, artifact, app.clock.now()).await?;
    match progress.evidence() {
        Some(evidence) => app.beliefs.set(evidence.clone()),
        None => {
            // What outcomes taught moves what is recommended; without it the list is the list of yesterday's beliefs.
            if let Err(error) = learn(app).await {
                tracing::error!(%error, "nothing was learned from outcomes");
                believe(app).await;
            }
            progress.believe(app.beliefs.evidence()).await?;
        }
    }
    let (snapshot_id, now) = (progress.snapshot_id().to_owned(), progress.as_of());
    let scorers = Scorers::of(app, artifact, now).ok_or(SnapshotError::NoModel)?;
    let told = Order::ALL.into_iter().filter(|order| scorers.tells(*order));
    let mut rows = Rows::new(told.filter(|order| !progress.is_written(*order)));
    let n_taken_over = progress.n_scanned();
    if let Err(error) = progress.take_over(&mut rows).await {
        if matches!(error, SnapshotError::ChunkGone { .. }) {
            progress.end().await;
        }
        return Err(error);
    }
    scan(app, &scorers, &mut progress, &mut rows).await?;
    let totals = *rows.totals();
    let expires = expiry_seconds(now, KEEP_DAYS);
    for listed in rows.in_order() {
        let (order, rows) = listed?;
        let n_items = write(app, &snapshot_id, order, rows, expires).await?;
        progress.wrote(order, n_items).await?;
    }
    let orders = progress.written().iter().map(|(order, _)| *order).collect();
    let n_pages = progress.written().iter().map(|(_, n_items)| n_items).sum();
    let n_scanned = progress.n_scanned();
    let header = header(app, artifact, orders, &totals, n_scanned, now);
    app.store.publish_snapshot(Series::AtRisk, &snapshot_id, &header, expires).await?;
    progress.end().await;
    let n_customers = totals.n_customers;
    tracing::info!(snapshot_id, n_customers, n_scanned, n_taken_over, n_pages, "snapshot built");
    Ok(Built { snapshot_id, n_customers, n_scanned, n_taken_over, n_pages })
}

/// Gives up a build that a run left: of states that are replaced, nothing that was scored holds.
pub async fn begin_anew(store: &Store) -> Result<(), StoreError> {
    store.forget_build(Series::AtRisk).await
}

/// The row of a customer as they are stored; none without a churn model, or when they are no longer one by the activity rule.
#[must_use]
pub fn score(app: &App, stored: &StoredCustomer) -> Option<AtRisk> {
    Scorers::of(app, app.artifact.as_ref()?, app.clock.now())?.row(stored)
}

/// Every customer scored who is not yet, and their changes of stage logged.
async fn scan(
    app: &App,
    scorers: &Scorers<'_>,
    progress: &mut Progress<'_>,
    rows: &mut Rows,
) -> Result<(), SnapshotError> {
    while let Some(mut scan) = progress.scan() {
        while let Some(page) = scan.next(&app.project.schema).await? {
            log_changes(app, &page, progress.as_of()).await?;
            // In the order of the page, whoever scored them.
            let scored: Vec<AtRisk> = page.par_iter().filter_map(|stored| scorers.row(stored)).collect();
            progress.lay_aside(&scored, page.len(), scan.position()?).await?;
            scored.into_iter().try_for_each(|row| rows.push(row))?;
        }
    }
    Ok(())
}

/// Writes the list in one order and its curve; returns how many pages they took.
async fn write(
    app: &App,
    snapshot_id: &str,
    order: Order,
    mut rows: InOrder,
    expires: i64,
) -> Result<usize, SnapshotError> {
    let listing = |order| Listing { series: Series::AtRisk, snapshot_id, order };
    let mut n_pages = 0;
    loop {
        let next = rows.take(PAGE_SIZE * PAGES_AT_ONCE)?;
        if next.is_empty() {
            break;
        }
        n_pages += app.store.put_pages(listing(order.as_str()), n_pages, &next, expires).await?;
    }
    app.store.put_page(listing(curve_of(order)), &rows.curve(), expires).await?;
    Ok(n_pages + 1)
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

fn header(
    app: &App,
    artifact: &Artifact,
    orders: Vec<Order>,
    totals: &Totals,
    n_known: usize,
    as_of: Timestamp,
) -> Header {
    let activity = &app.project.settings.activity;
    let events: Vec<&str> = activity.event.iter().map(|kind| kind.as_str()).collect();
    let definition = format!("{} within the last {} days", events.join(" or "), activity.window_days);
    let model = artifact.propensity(CHURN);
    let (n_active, n_held_out) = (totals.n_customers, totals.n_held_out);
    Header {
        as_of,
        churn_definition: model.and_then(|model| model.metadata().label.clone()),
        population: Population { definition, n_known, n_active, n_held_out },
        orders,
        quality: model.map(|model| model.metadata().metrics.clone()).unwrap_or_default(),
        interval_level: model.and_then(|model| model.interval()).map(ProbabilityInterval::level),
        artifact_sha256: artifact.sha256().to_owned(),
    }
}
