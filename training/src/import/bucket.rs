//! The last step of an import, bucket by bucket: duplicates out, cancellations matched, events written.
//!
//! One task per bucket, sharing nothing; in memory stand the rows of one owner, besides the sorter's own.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;

use nextbest_models::event::Event;

use crate::event_log::manifest::Bucket;
use crate::event_log::order_key;
use crate::event_log::writer::{BucketWriter, LogWriteError, LogWriter};
use crate::import::cancel::{Entry, match_cancellations};
use crate::import::record::{RecordError, Row, group_of};
use crate::import::report::{CancellationCounts, Fate, Tally};
use crate::import::spill::Sorter;

/// Why a bucket could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BucketError {
    #[error("spilled rows of bucket {0}: {1}")]
    Spill(u32, std::io::Error),
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Log(#[from] LogWriteError),
}

/// Takes the rows of bucket `bucket` from `sorter`, writes the events into `log` if there is one, and counts what
/// became of each row.
pub(crate) fn finish(
    sorter: &Sorter,
    bucket: u32,
    log: Option<&LogWriter>,
) -> Result<(Option<Bucket>, Tally), BucketError> {
    let spill = |error| BucketError::Spill(bucket, error);
    let mut sorted = sorter.sorted(bucket).map_err(spill)?;
    let mut out = Out { writer: log.map(|log| log.bucket(bucket)).transpose()?, tally: Tally::default() };
    let mut group: Vec<u8> = Vec::new();
    let mut rows = Vec::new();
    while let Some((key, payload)) = sorted.next().map_err(spill)? {
        if group_of(&key) != group {
            out.owner(std::mem::take(&mut rows))?;
            group.clear();
            group.extend_from_slice(group_of(&key));
        }
        rows.push(Row::unpack(&payload)?);
    }
    out.owner(rows)?;
    Ok((out.writer.map(BucketWriter::finish).transpose()?, out.tally))
}

struct Out {
    writer: Option<BucketWriter>,
    tally: Tally,
}

impl Out {
    /// All rows of one owner, or all equal rows that are set aside.
    fn owner(&mut self, rows: Vec<Row>) -> Result<(), BucketError> {
        let mut kept: Vec<Entry> = Vec::with_capacity(rows.len());
        let mut places: HashMap<String, usize> = HashMap::with_capacity(rows.len());
        let mut is_first = true;
        for row in rows {
            match row {
                Row::SetAside { rule, conditions, .. } => {
                    let fate = if is_first { Fate::SetAside(rule) } else { Fate::Duplicate };
                    self.tally.count(fate, conditions);
                }
                Row::Event { event, revises, conditions } => match places.entry(event.event_id.clone()) {
                    Slot::Vacant(slot) => {
                        slot.insert(kept.len());
                        kept.push(Entry { event, revises, conditions });
                    }
                    Slot::Occupied(slot) => {
                        let same = is_same(&kept[*slot.get()].event, &event);
                        let fate = if same { Fate::Duplicate } else { Fate::ConflictingDuplicate };
                        self.tally.count(fate, conditions);
                    }
                },
            }
            is_first = false;
        }
        let mut counts = CancellationCounts::default();
        let mut events = match_cancellations(kept, &mut counts, |fate, bits| self.tally.count(fate, bits));
        self.tally.add_cancellations(&counts);
        if let Some(writer) = &mut self.writer {
            events.sort_by(|a, b| order_key(a).cmp(&order_key(b)));
            events.into_iter().try_for_each(|event| writer.push(event))?;
        }
        Ok(())
    }
}

/// Whether two events of one id are one event delivered twice: all alike but when it became known.
fn is_same(a: &Event, b: &Event) -> bool {
    a.known_at == b.known_at && a == b || {
        Event { known_at: None, ..a.clone() } == Event { known_at: None, ..b.clone() }
    }
}
