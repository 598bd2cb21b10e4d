//! The event log: events in Parquet, in a fixed number of buckets by a stable hash of the customer.
//!
//! Every offline job reads events from here, one independent task per bucket. Inside a bucket the events of a
//! customer stand together, in the order in which they became known (see [`order_key`]); events without a customer
//! follow behind all customers, grouped by visitor. The log is written whole and renamed into place; nothing may
//! write into a log that stands.

use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::{fs, io};

use nextbest_models::customer::{CustomerId, bucket_of};
use nextbest_models::digest::hex;
use nextbest_models::event::Event;
use nextbest_models::units::Timestamp;
use sha2::{Digest, Sha256};

pub mod columns;
pub mod erase;
pub mod file;
pub mod manifest;
pub mod writer;

use file::{EventFile, EventFileError};
use manifest::Manifest;
use writer::{LogWriteError, LogWriter};

/// Buckets of every log. It never changes within a format: a customer's bucket is part of the layout.
pub const N_BUCKETS: u32 = 64;

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventLogError {
    /// No log there.
    #[error("no event log in {}: run `nextbest import` first", .0.display())]
    Missing(PathBuf),
    /// The manifest or a file of it.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The manifest is no manifest.
    #[error("{path}: {reason}", path = path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file that is not what the manifest says.
    #[error("{path}: damaged: {what} is {found}, {expected} when it was written", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Length or hash.
        what: &'static str,
        /// As it is.
        found: String,
        /// As it was.
        expected: String,
    },
    /// No such bucket.
    #[error("bucket {bucket} lies outside 0 .. {n_buckets}")]
    Bucket {
        /// Asked for.
        bucket: u32,
        /// How many there are.
        n_buckets: u32,
    },
    /// A bucket's file.
    #[error(transparent)]
    File(#[from] EventFileError),
}

/// A log that stands, opened for reading.
#[derive(Clone, Debug)]
pub struct EventLog {
    dir: PathBuf,
    manifest: Manifest,
}

impl EventLog {
    /// Opens the log in `dir`: reads its manifest and checks that every bucket is there in full length.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, EventLogError> {
        let dir = dir.into();
        let path = dir.join(manifest::FILE_NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(EventLogError::Missing(dir)),
            Err(source) => return Err(EventLogError::Io { path, source }),
        };
        let refuse = |reason| EventLogError::Manifest { path: path.clone(), reason };
        let manifest: Manifest = serde_json::from_str(&text).map_err(|e| refuse(e.to_string()))?;
        if manifest.format != manifest::FORMAT {
            return Err(refuse(format!(
                "format {}, this version reads {}",
                manifest.format,
                manifest::FORMAT
            )));
        }
        if manifest.buckets.len() != N_BUCKETS as usize {
            return Err(refuse(format!("{} buckets, not {N_BUCKETS}", manifest.buckets.len())));
        }
        for bucket in &manifest.buckets {
            let path = dir.join(&bucket.file);
            let n_bytes =
                fs::metadata(&path).map_err(|source| EventLogError::Io { path: path.clone(), source })?.len();
            if n_bytes != bucket.n_bytes {
                let (found, expected) = (n_bytes.to_string(), bucket.n_bytes.to_string());
                return Err(EventLogError::Damaged { path, what: "its length", found, expected });
            }
        }
        Ok(Self { dir, manifest })
    }

    /// Reads every byte and compares with the hashes of the manifest.
    pub fn verify(&self) -> Result<(), EventLogError> {
        for bucket in &self.manifest.buckets {
            let path = self.dir.join(&bucket.file);
            let mut sha256 = Sha256::new();
            let copied = fs::File::open(&path).and_then(|mut file| io::copy(&mut file, &mut sha256));
            copied.map_err(|source| EventLogError::Io { path: path.clone(), source })?;
            let found = hex(&sha256.finalize());
            if found != bucket.sha256 {
                let expected = bucket.sha256.clone();
                return Err(EventLogError::Damaged { path, what: "its SHA-256", found, expected });
            }
        }
        Ok(())
    }

    /// Where it stands.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Counts, bounds and hashes.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// How many buckets: every job is one task per bucket.
    #[must_use]
    pub fn n_buckets(&self) -> u32 {
        N_BUCKETS
    }

    /// All events of bucket `bucket` in the order of the log, one record batch in memory.
    pub fn bucket(&self, bucket: u32) -> Result<EventFile, EventLogError> {
        Ok(EventFile::open(self.path_of(bucket)?)?)
    }

    /// The customers of bucket `bucket`, by id, each with all events in the order in which they became known.
    pub fn customers(&self, bucket: u32) -> Result<Customers, EventLogError> {
        Ok(Customers { events: self.bucket(bucket)?.peekable() })
    }

    /// The events of bucket `bucket` that have no customer, grouped by visitor.
    pub fn anonymous(&self, bucket: u32) -> Result<EventFile, EventLogError> {
        let path = self.path_of(bucket)?;
        let contents = &self.manifest.buckets[bucket as usize].contents;
        Ok(EventFile::open_from(path, contents.n_events - contents.n_anonymous)?)
    }

    fn path_of(&self, bucket: u32) -> Result<PathBuf, EventLogError> {
        match self.manifest.buckets.get(bucket as usize) {
            Some(found) => Ok(self.dir.join(&found.file)),
            None => Err(EventLogError::Bucket { bucket, n_buckets: N_BUCKETS }),
        }
    }
}

/// See [`EventLog::customers`].
pub struct Customers {
    events: Peekable<EventFile>,
}

impl Iterator for Customers {
    type Item = Result<(CustomerId, Vec<Event>), EventFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = match self.events.next()? {
            Ok(event) => event,
            Err(error) => return Some(Err(error)),
        };
        // Customers stand first: behind the first event without one there are no more.
        let id = first.customer_id.clone()?;
        let mut events = vec![first];
        let of_same = |next: &Result<Event, _>| match next {
            Ok(event) => event.customer_id.as_ref() == Some(&id),
            Err(_) => true,
        };
        while let Some(next) = self.events.next_if(of_same) {
            match next {
                Ok(event) => events.push(event),
                Err(error) => return Some(Err(error)),
            }
        }
        Some(Ok((id, events)))
    }
}

/// The order of events inside a bucket: customers before visitors, then by id, by when the event became known, by
/// when it happened, by event id.
#[must_use]
pub fn order_key(event: &Event) -> (bool, &str, Timestamp, Timestamp, &str) {
    (event.customer_id.is_none(), owner(event), event.known(), event.occurred_at, &event.event_id)
}

/// Whose event it is: the customer, else the visitor. Its hash decides the bucket.
#[must_use]
pub fn owner(event: &Event) -> &str {
    match (&event.customer_id, &event.anonymous_id) {
        (Some(customer), _) => customer.as_str(),
        (None, Some(visitor)) => visitor,
        (None, None) => &event.event_id,
    }
}

/// Name of the file of bucket `bucket`.
#[must_use]
pub fn bucket_file(bucket: u32) -> String {
    format!("bucket-{bucket:03}.parquet")
}

/// Writes `events`, in any order, as the log `dir`; of those with the same owner and `event_id` the first in the
/// order of the log stays. For what fits in memory: `import` is the way for files.
pub fn write(dir: impl Into<PathBuf>, mut events: Vec<Event>) -> Result<Manifest, LogWriteError> {
    let log = LogWriter::create(dir)?;
    events.sort_by(|a, b| order_key(a).cmp(&order_key(b)));
    let mut seen = std::collections::HashSet::new();
    events.retain(|event| seen.insert((owner(event).to_owned(), event.event_id.clone())));
    let mut parts: Vec<Vec<Event>> = (0..N_BUCKETS).map(|_| Vec::new()).collect();
    for event in events {
        parts[bucket_of(owner(&event), N_BUCKETS) as usize].push(event);
    }
    let mut buckets = Vec::new();
    for (bucket, part) in (0..N_BUCKETS).zip(parts) {
        let mut writer = log.bucket(bucket)?;
        part.into_iter().try_for_each(|event| writer.push(event))?;
        buckets.push(writer.finish()?);
    }
    log.finish(buckets, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(customer: Option<&str>, id: &str, day: u32) -> Event {
        let who = match customer {
            Some(id) => format!(r#""customer_id":"{id}""#),
            None => format!(r#""anonymous_id":"visit-{id}""#),
        };
        let json = format!(
            r#"{{"event_id":"{id}","type":"order_placed","occurred_at":"2011-01-{day:02}T10:00:00Z",{who}}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn some_events() -> Vec<Event> {
        let customers = (0..300).map(|n| (format!("c{}", n % 40), n));
        let of_customers = customers.map(|(id, n)| event(Some(&id), &format!("e{n}"), 1 + n % 28));
        of_customers.chain((0..50).map(|n| event(None, &format!("a{n}"), 1 + n % 28))).collect()
    }

    #[test]
    fn a_log_gives_back_what_was_written_customer_by_customer() {
        let dir = tempfile::tempdir().unwrap();
        let mut events = some_events();
        events.extend(some_events().into_iter().take(17));
        let manifest = write(dir.path().join("events"), events).unwrap();
        assert_eq!(
            (manifest.total.n_events, manifest.total.n_customers, manifest.total.n_anonymous),
            (350, 40, 50)
        );

        let log = EventLog::open(dir.path().join("events")).unwrap();
        log.verify().unwrap();
        let mut found = Vec::new();
        for bucket in 0..log.n_buckets() {
            let mut ids = Vec::new();
            for group in log.customers(bucket).unwrap() {
                let (id, events) = group.unwrap();
                assert_eq!(id.bucket(N_BUCKETS), bucket);
                assert!(events.windows(2).all(|pair| order_key(&pair[0]) < order_key(&pair[1])));
                ids.push(id);
                found.extend(events);
            }
            assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
            found.extend(log.anonymous(bucket).unwrap().map(Result::unwrap));
        }
        let mut expected = some_events();
        expected.sort_by(|a, b| order_key(a).cmp(&order_key(b)));
        found.sort_by(|a, b| order_key(a).cmp(&order_key(b)));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_log_replaces_another_whole_and_two_writers_do_not_meet() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("events");
        write(&place, some_events()).unwrap();
        {
            let half = LogWriter::create(&place).unwrap();
            let mut bucket = half.bucket(0).unwrap();
            let stranger = some_events().into_iter().find(|e| bucket_of(owner(e), N_BUCKETS) != 0).unwrap();
            assert!(matches!(bucket.push(stranger), Err(LogWriteError::Misplaced { .. })));
            assert!(matches!(write(&place, Vec::new()), Err(LogWriteError::Locked(_))));
            assert!(matches!(half.finish(Vec::new(), &[]), Err(LogWriteError::MissingBucket(0))));
        }
        assert_eq!(EventLog::open(&place).unwrap().manifest().total.n_events, 350);
        fs::create_dir(dir.path().join(".events-killed")).unwrap();
        write(&place, some_events().split_off(340)).unwrap();
        assert_eq!(EventLog::open(&place).unwrap().manifest().total.n_events, 10);
        let left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the log and the lock file: {left:?}");
    }

    #[test]
    fn a_missing_a_newer_and_a_damaged_log_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("events");
        let refused = |place: &Path| EventLog::open(place).unwrap_err().to_string();
        assert!(refused(&place).starts_with("no event log in "));
        write(&place, some_events()).unwrap();
        let log = EventLog::open(&place).unwrap();
        assert!(matches!(log.bucket(64), Err(EventLogError::Bucket { bucket: 64, n_buckets: 64 })));
        let path = place.join(bucket_file(3));
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(matches!(log.verify(), Err(EventLogError::Damaged { what: "its SHA-256", .. })));
        bytes.pop();
        fs::write(&path, &bytes).unwrap();
        assert!(refused(&place).contains("damaged: its length is"));
        let text =
            fs::read_to_string(place.join("log.json")).unwrap().replacen("\"format\": 1", "\"format\": 2", 1);
        fs::write(place.join("log.json"), text).unwrap();
        assert!(refused(&place).ends_with("format 2, this version reads 1"));
    }
}
