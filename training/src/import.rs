//! From a business's own files to an event log: read, map, check, sort, dedupe, match cancellations, write.
//!
//! An import builds the log anew from exactly the files it is given: the same files in any order give the same
//! bytes, giving a file twice changes nothing, and a new month is imported by naming all months. Until the last step
//! the log that stands is not touched, and after a failure it stands as before. Rows are read in batches by all
//! threads, sorted in a bounded share of memory (the rest waits on disk), and every bucket is then finished on its
//! own. A fault of a row rejects the row, and by default one rejected row refuses the import; a fault of a file ends
//! it. Every row ends in exactly one bucket of the report.

mod bucket;
mod cancel;
mod decimal;
pub mod fault;
pub mod mapping;
pub mod read;
mod record;
pub mod report;
pub(crate) mod rows;
mod select;
mod spill;
pub mod times;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nextbest_models::customer::bucket_of;
use nextbest_models::project::Settings;
use nextbest_models::project::source::Source;
use nextbest_models::units::Currency;
use rayon::iter::{IntoParallelIterator, ParallelBridge, ParallelIterator};

use crate::event_log::columns::ColumnsError;
use crate::event_log::manifest::{Bucket, Contents};
use crate::event_log::writer::{LogWriteError, LogWriter};
use crate::event_log::{EventLog, N_BUCKETS};
use bucket::BucketError;
use fault::{FaultLog, RowFault};
use mapping::{MappingError, Terms};
use read::{Batch, FileError};
use record::{RecordError, Row};
use report::{Conditions, Fate, FileCount, ImportReport, Tally};
use select::Opened;
use spill::{Record, Sorter};

/// Memory for rows being sorted, unless told otherwise.
pub const DEFAULT_MEMORY_BYTES: usize = 512 << 20;

/// What a project says about its files.
#[derive(Clone, Copy, Debug)]
pub struct Rules<'a> {
    /// How files are mapped.
    pub sources: &'a [Source],
    /// Of every amount.
    pub currency: Currency,
    /// IANA name, of times that carry no offset.
    pub time_zone: &'a str,
}

impl<'a> From<&'a Settings> for Rules<'a> {
    fn from(settings: &'a Settings) -> Self {
        Self { sources: &settings.sources, currency: settings.currency, time_zone: &settings.time_zone }
    }
}

/// How an import is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The source that maps every file, instead of the one whose pattern fits.
    pub source: Option<String>,
    /// Rejected rows up to which the log is written.
    pub max_rejected: u64,
    /// A CSV file that gets every rejected row.
    pub rejects: Option<PathBuf>,
    /// Memory for rows being sorted, in bytes; a tenth of it comes on top for what is in flight.
    pub memory_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { source: None, max_rejected: 0, rejects: None, memory_bytes: DEFAULT_MEMORY_BYTES }
    }
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Rows read of all files so far.
    Rows(u64),
    /// Buckets written so far, of [`N_BUCKETS`].
    Buckets(u64),
}

/// Why no log was written. An earlier one stands as before.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Nothing to import.
    #[error("no file is named")]
    NoFiles,
    /// The files hold no row.
    #[error("the files hold no rows: an empty log is not written in place of another")]
    NoRows,
    /// A file that no source takes.
    #[error("{file}: no source takes it: {reason}", file = .file.display())]
    NoSource {
        /// The file.
        file: PathBuf,
        /// The sources there are, and what the wire's own columns would need.
        reason: String,
    },
    /// `--source` names none.
    #[error("no source is named {name:?}; there are {known}")]
    UnknownSource {
        /// As named.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A source that does not fit a file.
    #[error("{file}: source {name:?}: {source}", file = .file.display())]
    Mapping {
        /// The file.
        file: PathBuf,
        /// The source.
        name: String,
        /// What does not fit.
        source: MappingError,
    },
    /// The file of rejects would overwrite a file that is imported.
    #[error("{}: rejected rows cannot be written over a file that is imported", .0.display())]
    RejectsOverInput(PathBuf),
    /// More set-aside rules than a report can count.
    #[error("the sources have more than 62 differently named set_aside rules")]
    TooManyRules,
    /// A file that cannot be read on.
    #[error(transparent)]
    File(#[from] FileError),
    /// A Parquet file with columns that no event has.
    #[error("{file}: {source}", file = .file.display())]
    Columns {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        source: Box<ColumnsError>,
    },
    /// Faulty rows, more than allowed.
    #[error("{} rows are rejected, {max_rejected} are allowed; the first: {}", .report.bucket("rejected"), first(.report))]
    Rejected {
        /// What was found; no log was written.
        report: Box<ImportReport>,
        /// The bound.
        max_rejected: u64,
    },
    /// The file system, while sorting or writing rejects.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A row that could not be packed or unpacked.
    #[error("rows on their way to the log: {0}")]
    Record(String),
    /// The log could not be written.
    #[error(transparent)]
    Log(#[from] LogWriteError),
    /// The caller asked to stop.
    #[error("stopped: nothing was written")]
    Stopped,
}

impl ImportError {
    /// Whether the call or the project is at fault, not the data: a missing file, a mapping that does not fit.
    #[must_use]
    pub fn is_wrong_call(&self) -> bool {
        match self {
            Self::NoFiles
            | Self::NoSource { .. }
            | Self::UnknownSource { .. }
            | Self::Mapping { .. }
            | Self::RejectsOverInput(_)
            | Self::TooManyRules => true,
            Self::File(error) => matches!(error, FileError::Open { .. } | FileError::Format(_)),
            _ => false,
        }
    }
}

fn first(report: &ImportReport) -> String {
    report.faults.first().map(ToString::to_string).unwrap_or_default()
}

impl From<BucketError> for ImportError {
    fn from(error: BucketError) -> Self {
        match error {
            BucketError::Spill(bucket, source) => {
                Self::Io { path: format!("spill-{bucket:03}").into(), source }
            }
            BucketError::Record(error) => error.into(),
            BucketError::Log(error) => Self::Log(error),
        }
    }
}

impl From<RecordError> for ImportError {
    fn from(error: RecordError) -> Self {
        Self::Record(error.to_string())
    }
}

impl From<(PathBuf, io::Error)> for ImportError {
    fn from((path, source): (PathBuf, io::Error)) -> Self {
        Self::Io { path, source }
    }
}

/// Builds the log `log_dir` anew from `files`. `progress` is told how far it is, from any thread, and may stop it.
pub fn import(
    rules: Rules<'_>,
    files: &[PathBuf],
    log_dir: &Path,
    options: &Options,
    progress: &(dyn Fn(Progress) -> ControlFlow<()> + Sync),
) -> Result<ImportReport, ImportError> {
    let conditions = Conditions::of(rules.sources);
    if !conditions.fit() {
        return Err(ImportError::TooManyRules);
    }
    let terms = Terms { currency: rules.currency, time_zone: rules.time_zone.to_owned(), conditions };
    if files.is_empty() {
        return Err(ImportError::NoFiles);
    }
    let opened: Vec<Opened> = files
        .iter()
        .map(|file| Opened::new(file, rules, &terms, options.source.as_deref()))
        .collect::<Result<_, _>>()?;
    spare_inputs(files, options.rejects.as_deref())?;
    let log = LogWriter::create(log_dir)?;
    let run = Run {
        sorter: Sorter::new(N_BUCKETS, options.memory_bytes, log.scratch()?),
        faults: Mutex::new(FaultLog::new(options.rejects.as_deref())?),
        n_rows: AtomicU64::new(0),
        n_ambiguous: AtomicU64::new(0),
        progress,
    };
    let mut counted = opened.into_iter().map(|file| run.read(file)).collect::<Result<Vec<_>, _>>()?;
    counted.sort();
    run.finish(log, counted, &terms.conditions, options)
}

/// Refuses to write rejects over one of `files`.
fn spare_inputs(files: &[PathBuf], rejects: Option<&Path>) -> Result<(), ImportError> {
    let Some(rejects) = rejects.and_then(|path| path.canonicalize().ok()) else { return Ok(()) };
    match files.iter().find(|file| file.canonicalize().is_ok_and(|file| file == rejects)) {
        Some(file) => Err(ImportError::RejectsOverInput(file.clone())),
        None => Ok(()),
    }
}

/// An import under way.
struct Run<'a> {
    sorter: Sorter,
    faults: Mutex<FaultLog>,
    n_rows: AtomicU64,
    n_ambiguous: AtomicU64,
    progress: &'a (dyn Fn(Progress) -> ControlFlow<()> + Sync),
}

impl Run<'_> {
    /// Reads one file into the sorter.
    fn read(&self, mut opened: Opened) -> Result<FileCount, ImportError> {
        let n_rows = AtomicU64::new(0);
        let (file, understanding) = (&mut opened.file, &opened.understanding);
        let path = file.path.clone();
        file.par_bridge().try_for_each(|batch| {
            let n = self.batch(&path, understanding, &batch?)?;
            n_rows.fetch_add(n, Ordering::Relaxed);
            let so_far = self.n_rows.fetch_add(n, Ordering::Relaxed) + n;
            self.tell(Progress::Rows(so_far))
        })?;
        opened.check_seen_columns()?;
        Ok(opened.count(n_rows.into_inner()))
    }

    /// Understands one batch and hands its rows to the sorter; how many there were.
    fn batch(
        &self,
        path: &Path,
        understanding: &rows::Understanding,
        batch: &Batch,
    ) -> Result<u64, ImportError> {
        let outcomes = understanding.rows(batch);
        let outcomes = outcomes
            .map_err(|source| ImportError::Columns { file: path.to_owned(), source: Box::new(source) })?;
        let n_rows = outcomes.len() as u64;
        let mut by_bucket: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
        let mut faults: Vec<RowFault> = Vec::new();
        for (row, outcome) in outcomes {
            match outcome {
                Ok((understood, ambiguous)) => {
                    self.n_ambiguous.fetch_add(u64::from(ambiguous), Ordering::Relaxed);
                    let bucket = bucket_of(understood.bucket_key(), N_BUCKETS);
                    by_bucket.entry(bucket).or_default().push(packed(&understood)?);
                }
                Err(fault) => faults.push(fault.at(&path.display().to_string(), row)),
            }
        }
        for (bucket, records) in by_bucket {
            self.sorter.push(bucket, &records).map_err(|source| BucketError::Spill(bucket, source))?;
        }
        if !faults.is_empty() {
            let mut log = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults.into_iter().try_for_each(|fault| log.add(fault))?;
        }
        Ok(n_rows)
    }

    /// Finishes every bucket, and puts the log in place unless too many rows were rejected.
    fn finish(
        self,
        log: LogWriter,
        files: Vec<FileCount>,
        conditions: &Conditions,
        options: &Options,
    ) -> Result<ImportReport, ImportError> {
        let n_rows: u64 = files.iter().map(|file| file.n_rows).sum();
        if n_rows == 0 {
            return Err(ImportError::NoRows);
        }
        let n_rejected = self.faults.lock().unwrap_or_else(PoisonError::into_inner).n;
        let is_refused = n_rejected > options.max_rejected;
        let (buckets, mut tally) = self.buckets((!is_refused).then_some(&log))?;
        (0..n_rejected).for_each(|_| tally.count(Fate::Rejected, 0));
        tally.n_times_ambiguous = self.n_ambiguous.into_inner();
        let faults = self.faults.into_inner().unwrap_or_else(PoisonError::into_inner);
        let faults = faults.finish()?;
        let (bucket_counts, condition_counts) = tally.tables(conditions);
        let mut report = ImportReport {
            n_rows,
            buckets: bucket_counts,
            conditions: condition_counts,
            cancellations: tally.cancellations,
            n_times_ambiguous: tally.n_times_ambiguous,
            files,
            rejected_by_code: faults.by_code,
            faults: faults.first,
            log: None,
            replaced: None,
        };
        if is_refused {
            let max_rejected = options.max_rejected;
            return Err(ImportError::Rejected { report: Box::new(report), max_rejected });
        }
        let mut total = Contents::default();
        buckets.iter().for_each(|bucket| total.add(&bucket.contents));
        report.log = Some(total);
        let replaced = EventLog::open(log.dir()).ok().map(|log| log.manifest().total.clone());
        let json = serde_json::to_string_pretty(&report).map_err(|e| ImportError::Record(e.to_string()))?;
        log.finish(buckets, &[(REPORT_FILE, &json)])?;
        report.replaced = replaced;
        Ok(report)
    }

    fn buckets(&self, log: Option<&LogWriter>) -> Result<(Vec<Bucket>, Tally), ImportError> {
        let n_done = AtomicU64::new(0);
        let one = |bucket| {
            let finished = bucket::finish(&self.sorter, bucket, log)?;
            self.tell(Progress::Buckets(n_done.fetch_add(1, Ordering::Relaxed) + 1))?;
            Ok(finished)
        };
        let finished = (0..N_BUCKETS).into_par_iter().map(one).collect::<Result<Vec<_>, ImportError>>()?;
        let mut tally = Tally::default();
        finished.iter().for_each(|(_, own)| tally.add(own));
        Ok((finished.into_iter().filter_map(|(bucket, _)| bucket).collect(), tally))
    }

    fn tell(&self, progress: Progress) -> Result<(), ImportError> {
        match (self.progress)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ImportError::Stopped),
        }
    }
}

/// Name of the report inside the log.
pub const REPORT_FILE: &str = "import.json";

fn packed(row: &Row) -> Result<Record, RecordError> {
    Ok((row.key(), row.payload()?))
}
