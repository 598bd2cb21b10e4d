//! How far a build has come, kept in the store: a run that fails or is killed is gone on with, not begun anew.
//!
//! What a page of the scan gave is laid aside in chunks under the name of the run that scored it, then the record says so,
//! on the condition that no other run has written it since. Two runs at once therefore never mix: the one that takes a build
//! over makes the other's next record fail, and chunks that no record names are read by nobody. What was believed of outcomes
//! when a build began is in the record too: all its rows are decided by it.

use std::collections::BTreeMap;

use nextbest_models::artifact::Artifact;
use nextbest_models::decision::Name;
use nextbest_models::posterior::Evidence;
use nextbest_models::units::Timestamp;
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::row::AtRisk;
use super::rows::Rows;
use super::{SEGMENTS, SnapshotError};
use crate::app::App;
use crate::clock::{self, Clock};
use crate::events::expiry_seconds;
use crate::store::{BuildRecord, CustomerScan, Listing, Series, Store, StoreError};

/// A build that began longer ago is begun anew: its list would be as old.
pub const RESUME_HOURS: i64 = 12;
/// Chunks are kept for longer than anyone may go on with them.
const KEEP_DAYS: i32 = 1;
/// Rows of one item: packed, some tenth of what one may hold.
const CHUNK_ROWS: usize = 500;

/// Of the record and its chunks: what another form left is not gone on with.
const FORM: u32 = 1;

/// A build, and what of it is in the store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    snapshot_id: String,
    as_of: Timestamp,
    artifact_sha256: String,
    policy_sha256: String,
    form: u32,
    code_version: String,
    n_segments: i32,
    /// By action; none until it was learned.
    evidence: Option<BTreeMap<Name, Evidence>>,
    n_scanned: usize,
    /// The runs that laid chunks aside, and how many.
    chunks: Vec<(String, usize)>,
    /// The segment being scanned; [`SEGMENTS`] when all are.
    segment: i32,
    /// The customer scanned last in it.
    behind: Option<(String, String)>,
    /// Orders that are written, and the items they took.
    written: Vec<(Order, usize)>,
}

/// A run of a build.
pub(super) struct Progress<'a> {
    store: &'a Store,
    run: String,
    /// Of the record as it was written last; none where there is none.
    version: Option<i64>,
    record: Record,
}

impl<'a> Progress<'a> {
    /// Takes over the build that another run left, if it is of the same models and rules and not too old; else begins one.
    pub(super) async fn begin(
        app: &'a App,
        artifact: &Artifact,
        now: Timestamp,
    ) -> Result<Self, SnapshotError> {
        let new = Record {
            snapshot_id: clock::new_id("snap")?,
            as_of: now,
            artifact_sha256: artifact.sha256().to_owned(),
            policy_sha256: app.policy_sha256.clone(),
            form: FORM,
            code_version: env!("CARGO_PKG_VERSION").to_owned(),
            n_segments: SEGMENTS,
            evidence: None,
            n_scanned: 0,
            chunks: Vec::new(),
            segment: 0,
            behind: None,
            written: Vec::new(),
        };
        let store = &app.store;
        let left = store.build_record::<Record>(Series::AtRisk).await?;
        // Versions of one record after another go on: none is taken for another's.
        let version = left.as_ref().map(|(_, version)| *version);
        let record = match left.and_then(|(record, _)| record).filter(|left| left.is_resumed_as(&new)) {
            // Its run died between publishing it and saying so.
            Some(left)
                if store.current_snapshot(Series::AtRisk).await?.as_ref() == Some(&left.snapshot_id) =>
            {
                new
            }
            Some(left) => left,
            None => new,
        };
        let mut progress = Self { store, run: clock::new_id("run")?, version, record };
        progress.keep().await?;
        Ok(progress)
    }

    pub(super) fn snapshot_id(&self) -> &str {
        &self.record.snapshot_id
    }

    /// The instant that all rows describe, whichever run scored them.
    pub(super) const fn as_of(&self) -> Timestamp {
        self.record.as_of
    }

    pub(super) const fn n_scanned(&self) -> usize {
        self.record.n_scanned
    }

    /// What was believed of outcomes when the build began, once that is known.
    pub(super) const fn evidence(&self) -> Option<&BTreeMap<Name, Evidence>> {
        self.record.evidence.as_ref()
    }

    /// This is believed for the whole build.
    pub(super) async fn believe(&mut self, evidence: BTreeMap<Name, Evidence>) -> Result<(), SnapshotError> {
        self.record.evidence = Some(evidence);
        self.keep().await
    }

    /// Orders that are written, and the items they took.
    pub(super) fn written(&self) -> &[(Order, usize)] {
        &self.record.written
    }

    pub(super) fn is_written(&self, order: Order) -> bool {
        self.record.written.iter().any(|(written, _)| *written == order)
    }

    /// The rows that earlier runs laid aside, in order.
    pub(super) async fn take_over(&self, rows: &mut Rows) -> Result<(), SnapshotError> {
        for (run, n_chunks) in &self.record.chunks {
            for number in 0..*n_chunks {
                let name = name(run, number);
                let chunk = match self.store.snapshot_page::<AtRisk>(self.listing(&name), 0).await {
                    // What cannot be read is of no more use than what is not there.
                    Err(StoreError::Corrupt { .. }) => None,
                    chunk => chunk?,
                };
                let chunk = chunk.ok_or(SnapshotError::ChunkGone { chunk: name })?;
                chunk.into_iter().try_for_each(|row| rows.push(row))?;
            }
        }
        Ok(())
    }

    /// The scan of what is left of the segment that is being scanned; none at the end of all.
    pub(super) fn scan(&self) -> Option<CustomerScan<'a>> {
        let Record { segment, behind, .. } = &self.record;
        (*segment < SEGMENTS).then(|| match behind {
            Some(position) => self.store.scan_customers_behind(*segment, SEGMENTS, position),
            None => self.store.scan_customers(*segment, SEGMENTS),
        })
    }

    /// Lays the rows of `n_scanned` customers aside; the scan now stands at `position`, or at its segment's end.
    pub(super) async fn lay_aside(
        &mut self,
        rows: &[AtRisk],
        n_scanned: usize,
        position: Option<(String, String)>,
    ) -> Result<(), SnapshotError> {
        let mut n_chunks = match self.record.chunks.last() {
            Some((run, n_chunks)) if *run == self.run => *n_chunks,
            _ => {
                self.record.chunks.push((self.run.clone(), 0));
                0
            }
        };
        for chunk in rows.chunks(CHUNK_ROWS) {
            let name = name(&self.run, n_chunks);
            self.store.put_page(self.listing(&name), chunk, self.expires()).await?;
            n_chunks += 1;
        }
        if let Some((_, counted)) = self.record.chunks.last_mut() {
            *counted = n_chunks;
        }
        self.record.n_scanned += n_scanned;
        self.record.segment += i32::from(position.is_none());
        self.record.behind = position;
        self.keep().await
    }

    /// `order` is in the store, in `n_items`.
    pub(super) async fn wrote(&mut self, order: Order, n_items: usize) -> Result<(), SnapshotError> {
        self.record.written.push((order, n_items));
        self.keep().await
    }

    /// Nothing is left to go on with: the snapshot is published, or its chunks are gone. A record that stays is of a snapshot
    /// in use, and is not gone on with.
    pub(super) async fn end(self) {
        let Some(version) = self.version else { return };
        if let Err(error) = self.store.forget_build_at(Series::AtRisk, version).await {
            tracing::warn!(%error, "the record of a build stays");
        }
    }

    async fn keep(&mut self) -> Result<(), SnapshotError> {
        let snapshot_id = || self.record.snapshot_id.clone();
        let kept = self.store.keep_build_record(
            Series::AtRisk,
            &self.record,
            &self.run,
            self.version,
            self.expires(),
        );
        match kept.await? {
            BuildRecord::Kept(version) => self.version = Some(version),
            BuildRecord::Taken => return Err(SnapshotError::TakenOver { snapshot_id: snapshot_id() }),
            BuildRecord::Gone => return Err(SnapshotError::RecordGone { snapshot_id: snapshot_id() }),
        }
        Ok(())
    }

    /// The store expires by the machine's clock, whatever moment the rows describe.
    fn expires(&self) -> i64 {
        expiry_seconds(self.record.as_of.max(Clock::system().now()), KEEP_DAYS)
    }

    fn listing<'n>(&'n self, order: &'n str) -> Listing<'n> {
        Listing { series: Series::AtRisk, snapshot_id: &self.record.snapshot_id, order }
    }
}

impl Record {
    /// Whether going on with it gives what `new` would: the same models, rules and code, of nearly the same moment.
    fn is_resumed_as(&self, new: &Self) -> bool {
        let age_ms = new.as_of.as_millis() - self.as_of.as_millis();
        self.artifact_sha256 == new.artifact_sha256
            && self.policy_sha256 == new.policy_sha256
            && (self.form, self.n_segments) == (new.form, new.n_segments)
            && self.code_version == new.code_version
            && (0..RESUME_HOURS * 3_600_000).contains(&age_ms)
    }
}

fn name(run: &str, number: usize) -> String {
    format!("chunk_{run}_{number}")
}
