//! What is said of a snapshot as a whole, as this process read it last: a snapshot never changes once it is published, so
//! paging through it asks the store for rows alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use nextbest_models::units::Timestamp;

use crate::snapshot::{Cutoff, Header, Order};

/// Snapshots that are remembered: the one that is read, the one before it, and a few named by their id.
const MAX_SNAPSHOTS: usize = 4;
/// After so long the store is asked again whether the snapshot is still kept.
const RECHECK_MS: i64 = 60_000;

/// The headers and curves read last.
#[derive(Debug, Default)]
pub struct Heads(Mutex<VecDeque<Head>>);

#[derive(Debug)]
struct Head {
    snapshot_id: String,
    ask_again: Timestamp,
    header: Arc<Header>,
    curves: Vec<(Order, Arc<[Cutoff]>)>,
}

impl Heads {
    pub(crate) fn header(&self, snapshot_id: &str, now: Timestamp) -> Option<Arc<Header>> {
        self.find(snapshot_id, now, |head| Some(Arc::clone(&head.header)))
    }

    pub(crate) fn curve(&self, snapshot_id: &str, order: Order, now: Timestamp) -> Option<Arc<[Cutoff]>> {
        let of_order = |head: &Head| head.curves.iter().find(|(known, _)| *known == order).cloned();
        self.find(snapshot_id, now, of_order).map(|(_, curve)| curve)
    }

    /// Remembers a header as it was just read; the longest remembered is forgotten for it.
    pub(crate) fn keep(&self, snapshot_id: &str, header: Header, now: Timestamp) -> Arc<Header> {
        let header = Arc::new(header);
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heads.retain(|head| head.snapshot_id != snapshot_id);
        heads.push_back(Head {
            snapshot_id: snapshot_id.to_owned(),
            ask_again: now.plus_millis(RECHECK_MS),
            header: Arc::clone(&header),
            curves: Vec::new(),
        });
        if heads.len() > MAX_SNAPSHOTS {
            heads.pop_front();
        }
        header
    }

    /// Remembers a curve beside the header it belongs to.
    pub(crate) fn keep_curve(&self, snapshot_id: &str, order: Order, curve: Vec<Cutoff>) -> Arc<[Cutoff]> {
        let curve: Arc<[Cutoff]> = curve.into();
        let mut heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(head) = heads.iter_mut().find(|head| head.snapshot_id == snapshot_id) {
            head.curves.retain(|(known, _)| *known != order);
            head.curves.push((order, Arc::clone(&curve)));
        }
        curve
    }

    fn find<T>(&self, snapshot_id: &str, now: Timestamp, of: impl FnOnce(&Head) -> Option<T>) -> Option<T> {
        let heads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heads.iter().find(|head| head.snapshot_id == snapshot_id && now < head.ask_again).and_then(of)
    }
}
