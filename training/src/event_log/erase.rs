//! A log without one customer: written whole beside the one that stands, then put in its place, as an import is.

use std::{fs, io};

use nextbest_models::customer::{CustomerId, bucket_of};

use super::manifest::{self, Bucket};
use super::writer::{LogWriteError, LogWriter};
use super::{EventLog, EventLogError, N_BUCKETS};

/// Why nothing was erased; the log stands as it was.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the sentences say it")]
pub enum EraseError {
    #[error(transparent)]
    Read(#[from] EventLogError),
    #[error(transparent)]
    Write(#[from] LogWriteError),
    #[error("{0} cannot be read: {1}")]
    Io(String, io::Error),
}

/// Takes the events of `customer` out of `log`; how many there were. Of none, nothing is written.
pub fn erase(log: &EventLog, customer: &CustomerId) -> Result<u64, EraseError> {
    let writer = LogWriter::create(log.dir())?;
    // The log as it stands now that no other writer is at work.
    let log = &EventLog::open(log.dir())?;
    let at = bucket_of(customer.as_str(), N_BUCKETS);
    let mut bucket = writer.bucket(at)?;
    let mut n_erased = 0;
    for event in log.bucket(at)? {
        let event = event.map_err(EventLogError::from)?;
        if event.customer_id.as_ref() == Some(customer) {
            n_erased += 1;
        } else {
            bucket.push(event)?;
        }
    }
    if n_erased == 0 {
        return Ok(0);
    }
    let mut buckets = vec![bucket.finish()?];
    let others = log.manifest().buckets.iter().zip(0..).filter(|(_, number)| *number != at);
    for (bucket, _) in others {
        writer.adopt(&log.dir().join(&bucket.file), bucket)?;
        buckets.push(bucket.clone());
    }
    let beside = beside(log).map_err(|error| EraseError::Io(log.dir().display().to_string(), error))?;
    let beside: Vec<(&str, &str)> =
        beside.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    writer.finish(buckets, &beside)?;
    Ok(n_erased)
}

/// What stands in the log's folder besides buckets and manifest, such as the report of the import.
fn beside(log: &EventLog) -> io::Result<Vec<(String, String)>> {
    let is_bucket = |name: &str| log.manifest().buckets.iter().any(|Bucket { file, .. }| file == name);
    let mut found = Vec::new();
    for entry in fs::read_dir(log.dir())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !is_bucket(&name) && name != manifest::FILE_NAME {
            found.push((name, fs::read_to_string(entry.path())?));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nextbest_models::event::{Event, EventDraft};

    fn events(n_customers: usize, n_events: usize) -> Vec<Event> {
        let of = |customer: usize, at: usize| {
            let draft = EventDraft {
                event_id: format!("e{customer}-{at}"),
                event_type: "page_viewed".to_owned(),
                occurred_at: Some(format!("2026-01-{:02}T10:00:00Z", 1 + at).parse().unwrap()),
                customer_id: Some(format!("C{customer}")),
                ..EventDraft::default()
            };
            Event::try_from(draft).unwrap()
        };
        (0..n_customers).flat_map(|customer| (0..n_events).map(move |at| of(customer, at))).collect()
    }

    fn all(log: &EventLog) -> Vec<Event> {
        (0..log.n_buckets()).flat_map(|bucket| log.bucket(bucket).unwrap().map(Result::unwrap)).collect()
    }

    #[test]
    fn one_is_gone_and_all_others_stand() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("events");
        super::super::write(&dir, events(100, 3)).unwrap();
        fs::write(dir.join("import.json"), "{}").unwrap();
        let log = EventLog::open(&dir).unwrap();
        let before = all(&log);
        let customer = CustomerId::new("C42").unwrap();
        assert_eq!(erase(&log, &customer).unwrap(), 3);

        let log = EventLog::open(&dir).unwrap();
        log.verify().unwrap();
        let kept: Vec<Event> =
            before.into_iter().filter(|event| event.customer_id.as_ref() != Some(&customer)).collect();
        assert_eq!(all(&log), kept);
        let total = &log.manifest().total;
        assert_eq!((total.n_events, total.n_customers), (297, 99));
        assert_eq!(fs::read_to_string(dir.join("import.json")).unwrap(), "{}");
        // A second time there is nothing left, and the log is not written.
        let written = fs::metadata(dir.join("log.json")).unwrap().modified().unwrap();
        assert_eq!(erase(&log, &customer).unwrap(), 0);
        assert_eq!(fs::metadata(dir.join("log.json")).unwrap().modified().unwrap(), written);
    }
}
