//! One Parquet file of events: a writer that buffers a row group, a reader that holds one batch.
//!
//! Bytes depend on nothing but the events and their order: no clock, no host. Order and buckets are the caller's.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use nextbest_models::event::Event;

use crate::event_log::columns::{self, ColumnsError};

/// Rows of one record batch, read or written.
pub const BATCH_ROWS: usize = 8192;
/// Rows of one row group.
const ROW_GROUP_ROWS: usize = 8 * BATCH_ROWS;

/// Why a file of events cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum EventFileError {
    /// The file system.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not Parquet, or damaged.
    #[error("{path}: {source}", path = path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ParquetError,
    },
    /// Parquet, but not of events.
    #[error("{path}, rows from {first_row}: {source}", path = path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// First row of the batch, from 0.
        first_row: u64,
        /// What is wrong.
        source: Box<ColumnsError>,
    },
}

/// Writes events, in the order they come, into one Parquet file (zstd).
pub struct EventFileWriter<W: Write + Send> {
    path: PathBuf,
    parquet: ArrowWriter<W>,
    waiting: Vec<Event>,
}

impl<W: Write + Send> EventFileWriter<W> {
    /// A writer into `sink`; `path` only names it in errors.
    pub fn new(sink: W, path: impl Into<PathBuf>) -> Result<Self, EventFileError> {
        let path = path.into();
        let level = ZstdLevel::try_new(1).unwrap_or_default();
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by("nextbest".to_owned())
            .build();
        let parquet = ArrowWriter::try_new(sink, columns::schema(), Some(properties));
        let parquet = parquet.map_err(|source| EventFileError::Parquet { path: path.clone(), source })?;
        Ok(Self { path, parquet, waiting: Vec::with_capacity(BATCH_ROWS) })
    }

    /// Appends one event.
    pub fn push(&mut self, event: Event) -> Result<(), EventFileError> {
        self.waiting.push(event);
        if self.waiting.len() >= BATCH_ROWS { self.write_waiting() } else { Ok(()) }
    }

    /// Writes the footer and hands the sink back, not yet flushed to disk.
    pub fn finish(mut self) -> Result<W, EventFileError> {
        self.write_waiting()?;
        let path = self.path;
        self.parquet.into_inner().map_err(|source| EventFileError::Parquet { path, source })
    }

    fn write_waiting(&mut self) -> Result<(), EventFileError> {
        let batch = columns::to_batch(&self.waiting);
        let columns_error = |source| EventFileError::Columns {
            path: self.path.clone(),
            first_row: 0,
            source: Box::new(source),
        };
        let batch = batch.map_err(columns_error)?;
        self.waiting.clear();
        let parquet_error = |source| EventFileError::Parquet { path: self.path.clone(), source };
        self.parquet.write(&batch).map_err(parquet_error)
    }
}

/// The events of one Parquet file, one record batch in memory at a time.
pub struct EventFile {
    path: PathBuf,
    batches: ParquetRecordBatchReader,
    n_read: u64,
    waiting: std::vec::IntoIter<Event>,
    failed: bool,
}

impl EventFile {
    /// Opens `path` from its first row.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, EventFileError> {
        Self::open_from(path, 0)
    }

    /// Opens `path` from row `offset`, counted from 0.
    pub fn open_from(path: impl Into<PathBuf>, offset: u64) -> Result<Self, EventFileError> {
        let path = path.into();
        let file = File::open(&path).map_err(|source| EventFileError::Io { path: path.clone(), source })?;
        let skipped = usize::try_from(offset).unwrap_or(usize::MAX);
        let batches = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(|builder| builder.with_batch_size(BATCH_ROWS).with_offset(skipped).build())
            .map_err(|source| EventFileError::Parquet { path: path.clone(), source })?;
        Ok(Self { path, batches, n_read: offset, waiting: Vec::new().into_iter(), failed: false })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills `waiting`; false at the end.
    fn read_batch(&mut self) -> Result<bool, EventFileError> {
        let Some(batch) = self.batches.next() else { return Ok(false) };
        let parquet_error = |source: arrow::error::ArrowError| EventFileError::Parquet {
            path: self.path.clone(),
            source: ParquetError::External(Box::new(source)),
        };
        let batch = batch.map_err(parquet_error)?;
        let columns_error = |source| EventFileError::Columns {
            path: self.path.clone(),
            first_row: self.n_read,
            source: Box::new(source),
        };
        self.waiting = columns::from_batch(&batch).map_err(columns_error)?.into_iter();
        self.n_read += batch.num_rows() as u64;
        Ok(true)
    }
}

impl Iterator for EventFile {
    type Item = Result<Event, EventFileError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.failed {
            if let Some(event) = self.waiting.next() {
                return Some(Ok(event));
            }
            match self.read_batch() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
