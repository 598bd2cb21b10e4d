//! Sorting more rows than fit into memory: sorted runs in one file without a name, merged as they are read.
//!
//! However many rows, no more than [`RUN_ROWS`] of them, and [`READ_BYTES`] of each run, are held; ten million rows are five
//! hundred runs, and would be more files than a process may have. What a killed process wrote is gone with it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Rows of one run.
pub(super) const RUN_ROWS: usize = 20_000;
/// Read ahead in a run.
const READ_BYTES: usize = 16 << 10;

type Compare<T> = fn(&T, &T) -> Ordering;

/// Takes rows in any order.
pub(super) struct Sorter<T> {
    compare: Compare<T>,
    run_rows: usize,
    pending: Vec<T>,
    file: Option<File>,
    /// Where each run of the file ends.
    ends: Vec<u64>,
}

impl<T: Serialize + DeserializeOwned> Sorter<T> {
    /// By `compare`, a total order.
    pub(super) fn new(compare: Compare<T>, run_rows: usize) -> Self {
        Self { compare, run_rows, pending: Vec::new(), file: None, ends: Vec::new() }
    }

    pub(super) fn push(&mut self, row: T) -> io::Result<()> {
        self.pending.push(row);
        if self.pending.len() >= self.run_rows { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> io::Result<()> {
        self.pending.sort_by(self.compare);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let mut end = self.ends.last().copied().unwrap_or(0);
        let mut writer = BufWriter::new(file);
        for row in self.pending.drain(..) {
            let bytes = postcard::to_stdvec(&row).map_err(io::Error::other)?;
            let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
            writer.write_all(&length.to_le_bytes())?;
            writer.write_all(&bytes)?;
            end += 4 + u64::from(length);
        }
        self.ends.push(end);
        writer.flush()
    }

    /// All rows, in order.
    pub(super) fn finish(mut self) -> io::Result<Sorted<T>> {
        self.pending.sort_by(self.compare);
        let mut heads = BinaryHeap::new();
        let mut sources: Vec<Source<T>> = vec![Source::Memory(self.pending.into_iter())];
        if let Some(file) = self.file.map(Arc::new) {
            let starts = std::iter::once(0).chain(self.ends.iter().copied());
            for (at, end) in starts.zip(self.ends.iter().copied()) {
                let run = Run { file: Arc::clone(&file), at, end };
                sources.push(Source::File(BufReader::with_capacity(READ_BYTES, run)));
            }
        }
        for (source, rows) in sources.iter_mut().enumerate() {
            if let Some(row) = rows.next()? {
                heads.push(Head { row, source, compare: self.compare });
            }
        }
        Ok(Sorted { heads, sources })
    }
}

/// One sorted run, read from where it stands.
struct Run {
    file: Arc<File>,
    at: u64,
    end: u64,
}

impl Read for Run {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(bytes.len());
        let n_read = self.file.read_at(&mut bytes[..left], self.at)?;
        self.at += n_read as u64;
        Ok(n_read)
    }
}

enum Source<T> {
    Memory(std::vec::IntoIter<T>),
    File(BufReader<Run>),
}

impl<T: DeserializeOwned> Source<T> {
    fn next(&mut self) -> io::Result<Option<T>> {
        let file = match self {
            Self::Memory(rows) => return Ok(rows.next()),
            Self::File(file) => file,
        };
        let mut length = [0; 4];
        match file.read_exact(&mut length) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        file.read_exact(&mut bytes)?;
        postcard::from_bytes(&bytes).map(Some).map_err(io::Error::other)
    }
}

/// The next row of one source.
struct Head<T> {
    row: T,
    source: usize,
    compare: Compare<T>,
}

// A heap gives the greatest first: the order is turned round.
impl<T> Ord for Head<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.compare)(&other.row, &self.row).then_with(|| other.source.cmp(&self.source))
    }
}

impl<T> PartialOrd for Head<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Head<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Head<T> {}

/// Rows in order, as they are asked for.
pub(super) struct Sorted<T> {
    heads: BinaryHeap<Head<T>>,
    sources: Vec<Source<T>>,
}

impl<T: DeserializeOwned> Sorted<T> {
    pub(super) fn next(&mut self) -> io::Result<Option<T>> {
        let Some(Head { row, source, compare }) = self.heads.pop() else { return Ok(None) };
        if let Some(next) = self.sources[source].next()? {
            self.heads.push(Head { row: next, source, compare });
        }
        Ok(Some(row))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_come_in_order_however_many_runs_they_take(
            rows in prop::collection::vec((any::<i16>(), any::<u32>()), 0..200),
            run_rows in 1..50usize,
        ) {
            let compare: Compare<(i16, u32)> = |a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1));
            let mut sorter = Sorter::new(compare, run_rows);
            rows.iter().for_each(|row| sorter.push(*row).unwrap());
            let mut sorted = sorter.finish().unwrap();
            let mut found = Vec::new();
            while let Some(row) = sorted.next().unwrap() {
                found.push(row);
            }
            let mut expected = rows;
            expected.sort_by(compare);
            prop_assert_eq!(found, expected);
        }
    }
}
