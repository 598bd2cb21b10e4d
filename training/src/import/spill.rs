//! An external sort in buckets: what does not fit into memory waits on disk in sorted runs.
//!
//! Each bucket has its share of the memory. When a bucket's share is full, its records are sorted and appended to
//! the bucket's file as one run; at the end the runs of a bucket are merged while they are read, with one small
//! buffer per run. Ties in the key are broken by the payload, so the order never depends on arrival.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Bytes read at once from one run while merging.
const RUN_BUFFER: usize = 64 * 1024;

/// The records of all buckets, on their way to being sorted.
pub(crate) struct Sorter {
    dir: PathBuf,
    /// Bytes a bucket may hold in memory.
    share: usize,
    buckets: Vec<Mutex<Bucket>>,
}

/// A record: key and payload.
pub(crate) type Record = (Vec<u8>, Vec<u8>);

#[derive(Default)]
struct Bucket {
    /// Records back to back: length of key, length of payload (4 bytes each), key, payload.
    bytes: Vec<u8>,
    /// Where each begins.
    starts: Vec<usize>,
    spilled: Option<Spilled>,
}

struct Spilled {
    file: BufWriter<File>,
    /// Where each run ends.
    ends: Vec<u64>,
}

impl Sorter {
    /// A sorter of `n_buckets` that holds about `memory_bytes` and spills into `dir`.
    pub(crate) fn new(n_buckets: u32, memory_bytes: usize, dir: PathBuf) -> Self {
        let share = memory_bytes / (n_buckets as usize).max(1);
        Self { dir, share, buckets: (0..n_buckets).map(|_| Mutex::default()).collect() }
    }

    /// Adds records to bucket `bucket`.
    pub(crate) fn push(&self, bucket: u32, records: &[Record]) -> io::Result<()> {
        let mut own = self.buckets[bucket as usize].lock().unwrap_or_else(PoisonError::into_inner);
        for (key, payload) in records {
            own.push(key, payload)?;
            if own.bytes.len() + own.starts.len() * size_of::<usize>() > self.share {
                own.spill(|| {
                    File::options().read(true).write(true).create_new(true).open(self.spill_path(bucket))
                })?;
            }
        }
        Ok(())
    }

    /// Takes the records of bucket `bucket` out, in order.
    pub(crate) fn sorted(&self, bucket: u32) -> io::Result<Sorted> {
        let mut own = self.buckets[bucket as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = std::mem::take(&mut *own);
        own.sort();
        let memory = MemoryRun { bytes: own.bytes, starts: own.starts, next: 0 };
        let mut sorted = Sorted { memory, runs: Vec::new(), heap: BinaryHeap::new(), file: None };
        if let Some(spilled) = own.spilled {
            let starts = std::iter::once(0).chain(spilled.ends.iter().copied());
            sorted.runs = starts
                .zip(&spilled.ends)
                .map(|(start, &end)| Run { at: start, end, buffer: Vec::new(), used: 0 })
                .collect();
            sorted.file = Some(spilled.file.into_inner().map_err(io::IntoInnerError::into_error)?);
        }
        sorted.start()?;
        Ok(sorted)
    }

    fn spill_path(&self, bucket: u32) -> PathBuf {
        self.dir.join(format!("spill-{bucket:03}"))
    }
}

impl Bucket {
    fn push(&mut self, key: &[u8], payload: &[u8]) -> io::Result<()> {
        self.starts.push(self.bytes.len());
        for part in [key, payload] {
            let length = u32::try_from(part.len()).map_err(io::Error::other)?;
            self.bytes.extend_from_slice(&length.to_le_bytes());
        }
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(payload);
        Ok(())
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        self.starts.sort_unstable_by(|&a, &b| parts(bytes, a).cmp(&parts(bytes, b)));
    }

    fn spill(&mut self, create: impl Fn() -> io::Result<File>) -> io::Result<()> {
        self.sort();
        let mut spilled = match self.spilled.take() {
            Some(spilled) => spilled,
            None => Spilled { file: BufWriter::with_capacity(1 << 20, create()?), ends: Vec::new() },
        };
        let mut end = spilled.ends.last().copied().unwrap_or(0);
        for &start in &self.starts {
            let (key, payload) = parts(&self.bytes, start);
            let record = &self.bytes[start..start + 8 + key.len() + payload.len()];
            spilled.file.write_all(record)?;
            end += record.len() as u64;
        }
        spilled.ends.push(end);
        self.spilled = Some(spilled);
        self.bytes.clear();
        self.starts.clear();
        Ok(())
    }
}

/// Key and payload of the record that begins at `start`.
fn parts(bytes: &[u8], start: usize) -> (&[u8], &[u8]) {
    let length = |at: usize| {
        let raw = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        u32::from_le_bytes(raw) as usize
    };
    let (key, payload) = (length(start), length(start + 4));
    let from = start + 8;
    (&bytes[from..from + key], &bytes[from + key..from + key + payload])
}

/// The records of one bucket in order.
pub(crate) struct Sorted {
    memory: MemoryRun,
    runs: Vec<Run>,
    file: Option<File>,
    /// The next record of each run, smallest first; the run's number last.
    heap: BinaryHeap<Reverse<(Record, usize)>>,
}

struct MemoryRun {
    bytes: Vec<u8>,
    starts: Vec<usize>,
    next: usize,
}

/// A run on disk, read through a buffer.
struct Run {
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    used: usize,
}

impl Sorted {
    fn start(&mut self) -> io::Result<()> {
        if self.runs.is_empty() {
            return Ok(());
        }
        (0..=self.runs.len()).try_for_each(|run| self.refill(run))
    }

    /// Puts the next record of run `run` on the heap; the one in memory counts as the last run.
    fn refill(&mut self, run: usize) -> io::Result<()> {
        let record = match (self.runs.get_mut(run), &mut self.file) {
            (Some(own), Some(file)) => own.next(file)?,
            _ => self.memory.next(),
        };
        self.heap.extend(record.map(|record| Reverse((record, run))));
        Ok(())
    }

    /// The next record, or `None` at the end.
    pub(crate) fn next(&mut self) -> io::Result<Option<Record>> {
        if self.runs.is_empty() {
            return Ok(self.memory.next());
        }
        let Some(Reverse((record, run))) = self.heap.pop() else { return Ok(None) };
        self.refill(run)?;
        Ok(Some(record))
    }
}

impl MemoryRun {
    fn next(&mut self) -> Option<Record> {
        let &start = self.starts.get(self.next)?;
        self.next += 1;
        let (key, payload) = parts(&self.bytes, start);
        Some((key.to_vec(), payload.to_vec()))
    }
}

impl Run {
    fn next(&mut self, file: &mut File) -> io::Result<Option<Record>> {
        if self.used == self.buffer.len() && self.at == self.end {
            return Ok(None);
        }
        self.ensure(8, file)?;
        let lengths = &self.buffer[self.used..self.used + 8];
        let length = |at: usize| {
            u32::from_le_bytes([lengths[at], lengths[at + 1], lengths[at + 2], lengths[at + 3]]) as usize
        };
        let (key, payload) = (length(0), length(4));
        self.ensure(8 + key + payload, file)?;
        let (key, payload) = parts(&self.buffer, self.used);
        let record = (key.to_vec(), payload.to_vec());
        self.used += 8 + record.0.len() + record.1.len();
        Ok(Some(record))
    }

    /// Reads on until `n` unused bytes stand in the buffer.
    fn ensure(&mut self, n: usize, file: &mut File) -> io::Result<()> {
        if self.buffer.len() - self.used >= n {
            return Ok(());
        }
        self.buffer.drain(..self.used);
        self.used = 0;
        let wanted = (n.max(RUN_BUFFER) - self.buffer.len()) as u64;
        let n_bytes = wanted.min(self.end - self.at);
        file.seek(SeekFrom::Start(self.at))?;
        let read = file.take(n_bytes).read_to_end(&mut self.buffer)?;
        self.at += read as u64;
        if self.buffer.len() < n {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a spilled run is cut short"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sort_with(memory_bytes: usize, records: &[Record]) -> Vec<Record> {
        let dir = tempfile::tempdir().unwrap();
        let sorter = Sorter::new(1, memory_bytes, dir.path().to_owned());
        records.chunks(3).for_each(|chunk| sorter.push(0, chunk).unwrap());
        let mut sorted = sorter.sorted(0).unwrap();
        std::iter::from_fn(|| sorted.next().unwrap()).collect()
    }

    proptest! {
        /// However little memory there is, from one record per run to all in one, the order is that of a plain sort.
        #[test]
        fn spilling_changes_nothing(
            records in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..4), prop::collection::vec(any::<u8>(), 0..200)), 0..60),
            memory_bytes in 0_usize..4000,
        ) {
            let mut expected = records.clone();
            expected.sort();
            prop_assert_eq!(sort_with(memory_bytes, &records), expected);
        }
    }

    #[test]
    fn records_longer_than_a_buffer_come_through() {
        let records: Vec<Record> = (0..5_u8).rev().map(|n| (vec![n], vec![n; 3 * RUN_BUFFER])).collect();
        let mut expected = records.clone();
        expected.sort();
        assert!(sort_with(0, &records) == expected);
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let sorter = Sorter::new(1, 0, PathBuf::from("/nowhere"));
        assert!(sorter.push(0, &[(vec![1], vec![2])]).is_err());
    }
}
