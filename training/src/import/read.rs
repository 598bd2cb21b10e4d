//! Opening source files and cutting them into batches of rows, without understanding them.
//!
//! CSV and JSON lines may be gzipped, which their first bytes tell, not their name. What makes the rest of a file
//! unreadable (a broken gzip stream, broken Parquet, an endless line) is an error of the file; what is wrong with
//! one row is left to those who map rows.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;
use nextbest_models::digest::hex;
use nextbest_models::project::source::SourceFormat;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use sha2::{Digest, Sha256};

/// Rows of one batch: the unit of parallel work.
pub(crate) const BATCH_ROWS: usize = 4096;
/// Longest line of a JSON lines file, in bytes.
pub(crate) const MAX_LINE_BYTES: usize = 1 << 20;

/// Why a file cannot be read on. Nothing of an import is kept after one of these.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It is not there, or may not be read.
    #[error("{path}: {source}", path = path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds nothing at all.
    #[error("{}: is empty: not even a header", .0.display())]
    Empty(PathBuf),
    /// Named `.gz`, and is not.
    #[error("{}: is named .gz but is no gzip file", .0.display())]
    NotGzip(PathBuf),
    /// A broken or truncated gzip stream, or a failing disk.
    #[error("{path}:{row}: cannot be read on after this row: {source}", path = path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// The last line that was read whole.
        row: u64,
        /// What is wrong.
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
    /// A line without end.
    #[error("{path}:{row}: the line is longer than {MAX_LINE_BYTES} bytes", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        row: u64,
    },
    /// A header that cannot be used.
    #[error("{path}:1: {reason}", path = path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A format that cannot be told from the name.
    #[error("{}: the name ends in none of .csv .tsv .jsonl .ndjson .json .parquet (.gz); name the format in its source", .0.display())]
    Format(PathBuf),
}

/// Some rows of a file, each with its place.
pub(crate) enum Batch {
    /// CSV records with their line.
    Records(Vec<(u64, ByteRecord)>),
    /// Lines, as they stand, with their number.
    Lines(Vec<(u64, Vec<u8>)>),
    /// Rows of Parquet and the number of the first, from 1.
    Columns(u64, RecordBatch),
}

/// A file that is being read.
pub(crate) struct SourceFile {
    pub(crate) path: PathBuf,
    /// Names of the columns: the header, the leaves of a Parquet schema, the members of the first JSON object.
    pub(crate) header: Vec<String>,
    pub(crate) format: SourceFormat,
    inner: Inner,
    failed: bool,
}

enum Inner {
    Csv(Box<csv::Reader<Box<dyn BufRead + Send>>>),
    Lines { reader: Box<dyn BufRead + Send>, row: u64, first: Option<Vec<u8>> },
    Parquet { batches: Box<ParquetRecordBatchReader>, n_read: u64 },
}

/// The format a name promises.
pub(crate) fn format_of(path: &Path) -> Result<SourceFormat, FileError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    match plain.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv" | "tsv" | "txt") => Ok(SourceFormat::Csv),
        Some("jsonl" | "ndjson" | "json") => Ok(SourceFormat::JsonLines),
        Some("parquet" | "pq") => Ok(SourceFormat::Parquet),
        _ => Err(FileError::Format(path.to_owned())),
    }
}

/// SHA-256 in hex and length of a file.
pub(crate) fn hash(path: &Path) -> Result<(String, u64), FileError> {
    let mut hasher = Sha256::new();
    let copied = File::open(path).and_then(|mut file| {
        // It is read twice, so a pipe will not do.
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("is no regular file"));
        }
        io::copy(&mut file, &mut hasher)
    });
    match copied {
        Ok(0) => Err(FileError::Empty(path.to_owned())),
        Ok(n_bytes) => Ok((hex(&hasher.finalize()), n_bytes)),
        Err(source) => Err(FileError::Open { path: path.to_owned(), source }),
    }
}

impl SourceFile {
    /// Opens `path`; `delimiter` is that of CSV.
    pub(crate) fn open(path: &Path, format: SourceFormat, delimiter: char) -> Result<Self, FileError> {
        let path = path.to_owned();
        if format == SourceFormat::Parquet {
            return Self::open_parquet(path);
        }
        let mut text = open_text(&path)?;
        if text
            .fill_buf()
            .map_err(|source| FileError::Broken { path: path.clone(), row: 0, source })?
            .is_empty()
        {
            return Err(FileError::Empty(path));
        }
        if format == SourceFormat::Csv {
            Self::open_csv(path, text, delimiter)
        } else {
            Self::open_lines(path, text)
        }
    }

    fn open_csv(path: PathBuf, text: Box<dyn BufRead + Send>, delimiter: char) -> Result<Self, FileError> {
        let delimiter = u8::try_from(delimiter).unwrap_or(b',');
        let mut csv = csv::ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(text);
        let header = match csv.byte_headers() {
            Ok(header) => header.clone(),
            Err(error) => return Err(broken(&path, 0, error)),
        };
        let refuse = |reason| FileError::Header { path: path.clone(), reason };
        let mut names: Vec<String> = Vec::new();
        let mut seen = HashSet::new();
        for name in &header {
            let name =
                std::str::from_utf8(name).map_err(|_| refuse("the header is not UTF-8".to_owned()))?.trim();
            if !name.is_empty() && !seen.insert(name.to_owned()) {
                return Err(refuse(format!("two columns are named {name:?}")));
            }
            names.push(name.to_owned());
        }
        let (format, inner) = (SourceFormat::Csv, Inner::Csv(Box::new(csv)));
        Ok(Self { path, header: names, format, inner, failed: false })
    }

    fn open_lines(path: PathBuf, reader: Box<dyn BufRead + Send>) -> Result<Self, FileError> {
        let format = SourceFormat::JsonLines;
        let inner = Inner::Lines { reader, row: 0, first: None };
        let mut file = Self { path, header: Vec::new(), format, inner, failed: false };
        // The members of the first object stand for a header, to tell whether these are events of the wire.
        let first = file.line()?;
        let object = first.as_ref().and_then(|(_, line)| serde_json::from_slice(line).ok());
        let object: serde_json::Map<String, serde_json::Value> = object.unwrap_or_default();
        file.header = object.into_iter().map(|(name, _)| name).collect();
        if let Inner::Lines { first: peeked, row, .. } = &mut file.inner {
            *peeked = first.map(|(_, line)| line);
            *row -= u64::from(peeked.is_some());
        }
        Ok(file)
    }

    fn open_parquet(path: PathBuf) -> Result<Self, FileError> {
        let file = File::open(&path).map_err(|source| FileError::Open { path: path.clone(), source })?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file);
        let batches = builder.and_then(|builder| builder.with_batch_size(BATCH_ROWS).build());
        let batches = batches.map_err(|source| FileError::Parquet { path: path.clone(), source })?;
        let schema = arrow::array::RecordBatchReader::schema(&batches);
        let header = crate::import::rows::leaf_names(&RecordBatch::new_empty(schema));
        let inner = Inner::Parquet { batches: Box::new(batches), n_read: 0 };
        Ok(Self { path, header, format: SourceFormat::Parquet, inner, failed: false })
    }

    fn batch(&mut self) -> Result<Option<Batch>, FileError> {
        match &mut self.inner {
            Inner::Csv(_) => {
                let mut rows = Vec::with_capacity(BATCH_ROWS);
                while rows.len() < BATCH_ROWS {
                    let mut record = ByteRecord::new();
                    let Some(line) = self.record(&mut record)? else { break };
                    rows.push((line, record));
                }
                Ok((!rows.is_empty()).then_some(Batch::Records(rows)))
            }
            Inner::Lines { .. } => {
                let mut rows = Vec::with_capacity(BATCH_ROWS);
                while rows.len() < BATCH_ROWS {
                    let Some(line) = self.line()? else { break };
                    rows.push(line);
                }
                Ok((!rows.is_empty()).then_some(Batch::Lines(rows)))
            }
            Inner::Parquet { batches, n_read } => {
                let Some(batch) = batches.next() else { return Ok(None) };
                let refuse = |error: arrow::error::ArrowError| FileError::Parquet {
                    path: self.path.clone(),
                    source: ParquetError::External(Box::new(error)),
                };
                let batch = batch.map_err(refuse)?;
                let first = *n_read + 1;
                *n_read += batch.num_rows() as u64;
                Ok(Some(Batch::Columns(first, batch)))
            }
        }
    }

    /// Reads the next record of a CSV into `record`, whose memory is used again, and tells its line; none at the end, after an
    /// error, and in other formats.
    pub(crate) fn record(&mut self, record: &mut ByteRecord) -> Result<Option<u64>, FileError> {
        let (Inner::Csv(csv), false) = (&mut self.inner, self.failed) else { return Ok(None) };
        let before = csv.position().line();
        match csv.read_byte_record(record) {
            Ok(true) => Ok(Some(record.position().map_or(before, csv::Position::line))),
            Ok(false) => Ok(None),
            Err(error) => {
                self.failed = true;
                Err(broken(&self.path, before.saturating_sub(1), error))
            }
        }
    }

    /// The next line that is not blank, without its end.
    fn line(&mut self) -> Result<Option<(u64, Vec<u8>)>, FileError> {
        let Inner::Lines { reader, row, first } = &mut self.inner else { return Ok(None) };
        if let Some(line) = first.take() {
            *row += 1;
            return Ok(Some((*row, line)));
        }
        loop {
            let mut line = Vec::new();
            let limit = MAX_LINE_BYTES as u64 + 1;
            let read = reader.by_ref().take(limit).read_until(b'\n', &mut line);
            match read {
                Ok(0) => return Ok(None),
                Ok(_) => *row += 1,
                Err(source) => return Err(FileError::Broken { path: self.path.clone(), row: *row, source }),
            }
            if line.len() > MAX_LINE_BYTES {
                return Err(FileError::Line { path: self.path.clone(), row: *row });
            }
            if *row == 1 && line.starts_with(b"\xef\xbb\xbf") {
                line.drain(..3);
            }
            let length = line.trim_ascii_end().len();
            line.truncate(length);
            if !line.trim_ascii_start().is_empty() {
                return Ok(Some((*row, line)));
            }
        }
    }
}

impl Iterator for SourceFile {
    type Item = Result<Batch, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let batch = self.batch().transpose();
        self.failed = matches!(batch, Some(Err(_)));
        batch
    }
}

fn broken(path: &Path, row: u64, error: csv::Error) -> FileError {
    let source = match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        other => io::Error::other(format!("{other:?}")),
    };
    FileError::Broken { path: path.to_owned(), row, source }
}

/// The first line of a text file, unpacked where it is gzip, without its end; at most 16 times [`MAX_LINE_BYTES`].
pub(crate) fn first_line(path: &Path) -> Result<Vec<u8>, FileError> {
    let mut line = Vec::new();
    let read = open_text(path)?.take(16 * MAX_LINE_BYTES as u64).read_until(b'\n', &mut line);
    read.map_err(|source| FileError::Broken { path: path.to_owned(), row: 0, source })?;
    Ok(line)
}

/// The bytes of a text file, unpacked where they are gzip.
fn open_text(path: &Path) -> Result<Box<dyn BufRead + Send>, FileError> {
    let refuse = |source| FileError::Open { path: path.to_owned(), source };
    let mut file = BufReader::with_capacity(1 << 18, File::open(path).map_err(refuse)?);
    let is_gzip = file.fill_buf().map_err(refuse)?.starts_with(&[0x1f, 0x8b]);
    let is_named_gzip = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    if is_gzip {
        Ok(Box::new(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(file))))
    } else if is_named_gzip {
        Err(FileError::NotGzip(path.to_owned()))
    } else {
        Ok(Box::new(file))
    }
}
