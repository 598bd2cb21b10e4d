//! Writing a whole event log: into a directory beside the final one, which it replaces at the very end.
//!
//! Until [`LogWriter::finish`] returns, an earlier log stands untouched, whatever happens: every file and directory
//! is flushed to disk first and one rename puts the new log in place (on Linux by exchanging the two directories, so
//! that a log is there at every instant; elsewhere by two renames). A lock file keeps two writers apart; what a
//! killed writer left behind is swept by the next one.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use nextbest_models::customer::bucket_of;
use nextbest_models::digest::hex;
use nextbest_models::event::Event;
use sha2::{Digest, Sha256};

use crate::event_log::file::{EventFileError, EventFileWriter};
use crate::event_log::manifest::{self, Bucket, Contents, Manifest};
use crate::event_log::{N_BUCKETS, bucket_file, order_key};

/// Why a log was not written. The earlier one, if any, stands.
#[derive(Debug, thiserror::Error)]
pub enum LogWriteError {
    /// The file system.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another writer is at work.
    #[error("{} is held by another import into the same project", .0.display())]
    Locked(PathBuf),
    /// A bucket's file.
    #[error(transparent)]
    File(#[from] EventFileError),
    /// An event that does not belong there.
    #[error("event {event_id:?} is out of place in bucket {bucket}: {reason}")]
    Misplaced {
        /// Which event.
        event_id: String,
        /// Which bucket it was pushed to.
        bucket: u32,
        /// Why not.
        reason: &'static str,
    },
    /// A bucket was left out.
    #[error("bucket {0} was never written")]
    MissingBucket(u32),
}

/// A log being written.
pub struct LogWriter {
    /// Where the log is to stand.
    dir: PathBuf,
    /// Where it is written; removed when the writer is dropped unfinished.
    temporary: tempfile::TempDir,
    /// Held until the end.
    _lock: File,
}

/// One bucket being written.
pub struct BucketWriter {
    bucket: u32,
    path: PathBuf,
    file: EventFileWriter<HashingFile>,
    contents: Contents,
    last: Option<Event>,
}

const TEMPORARY_PREFIX: &str = ".events-";

impl LogWriter {
    /// Prepares to write the log `dir`, whose parent is made if it is not there.
    pub fn create(dir: impl Into<PathBuf>) -> Result<Self, LogWriteError> {
        let dir = dir.into();
        let parent = parent_of(&dir);
        fs::create_dir_all(&parent).map_err(|source| io_error(&parent, source))?;
        let lock_path = parent.join(".events.lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(|source| io_error(&lock_path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogWriteError::Locked(lock_path)),
            Err(TryLockError::Error(source)) => return Err(io_error(&lock_path, source)),
        }
        sweep(&parent)?;
        let temporary = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempdir_in(&parent);
        let temporary = temporary.map_err(|source| io_error(&parent, source))?;
        Ok(Self { dir, temporary, _lock: lock })
    }

    /// Where the log is to stand.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A directory for scratch files that goes away with the writer.
    pub fn scratch(&self) -> Result<PathBuf, LogWriteError> {
        let path = self.temporary.path().join("scratch");
        fs::create_dir_all(&path).map_err(|source| io_error(&path, source))?;
        Ok(path)
    }

    /// A writer for bucket `bucket`; several may be filled at once.
    pub fn bucket(&self, bucket: u32) -> Result<BucketWriter, LogWriteError> {
        let path = self.temporary.path().join(bucket_file(bucket));
        let file = File::create(&path).map_err(|source| io_error(&path, source))?;
        let sink = HashingFile { file: BufWriter::new(file), sha256: Sha256::new(), n_bytes: 0 };
        let file = EventFileWriter::new(sink, &path)?;
        Ok(BucketWriter { bucket, path, file, contents: Contents::default(), last: None })
    }

    /// Takes over `file`, a bucket of a log that stands, as it is.
    pub fn adopt(&self, file: &Path, bucket: &Bucket) -> Result<(), LogWriteError> {
        let to = self.temporary.path().join(&bucket.file);
        let copy = || fs::copy(file, &to).and_then(|_| File::open(&to)?.sync_all());
        copy().map_err(|source| io_error(file, source))
    }

    /// Writes the manifest and `extra` files (name, text), flushes all to disk and puts the log in place of the
    /// earlier one.
    pub fn finish(self, mut buckets: Vec<Bucket>, extra: &[(&str, &str)]) -> Result<Manifest, LogWriteError> {
        buckets.sort_by(|a, b| a.file.cmp(&b.file));
        for bucket in 0..N_BUCKETS {
            if buckets.get(bucket as usize).is_none_or(|found| found.file != bucket_file(bucket)) {
                return Err(LogWriteError::MissingBucket(bucket));
            }
        }
        let mut total = Contents::default();
        buckets.iter().for_each(|bucket| total.add(&bucket.contents));
        let manifest = Manifest { format: manifest::FORMAT, total, buckets };
        let new = self.temporary.path();
        let scratch = new.join("scratch");
        if scratch.exists() {
            fs::remove_dir_all(&scratch).map_err(|source| io_error(&scratch, source))?;
        }
        for (name, text) in extra {
            write_synced(&new.join(name), text)?;
        }
        let json = serde_json::to_string_pretty(&manifest).map_err(|e| io_error(new, io::Error::other(e)))?;
        write_synced(&new.join(manifest::FILE_NAME), &json)?;
        open_to_all(new)?;
        sync_dir(new)?;
        put_in_place(new, &self.dir)?;
        sync_dir(&parent_of(&self.dir))?;
        Ok(manifest)
    }
}

impl BucketWriter {
    /// Appends an event, which must belong to this bucket and not sort before the one pushed last.
    pub fn push(&mut self, event: Event) -> Result<(), LogWriteError> {
        let out_of_place = |reason| LogWriteError::Misplaced {
            event_id: event.event_id.clone(),
            bucket: self.bucket,
            reason,
        };
        if self.last.as_ref().is_some_and(|last| order_key(last) > order_key(&event)) {
            return Err(out_of_place("it sorts before the one before it"));
        }
        let owner = super::owner(&event);
        let is_new = self.last.as_ref().is_none_or(|last| super::owner(last) != owner);
        if is_new && bucket_of(owner, N_BUCKETS) != self.bucket {
            return Err(out_of_place("its customer belongs to another"));
        }
        if is_new && event.customer_id.is_some() {
            self.contents.count_customer();
        }
        self.contents.count(&event);
        self.last = Some(event.clone());
        Ok(self.file.push(event)?)
    }

    /// Flushes the file to disk.
    pub fn finish(self) -> Result<Bucket, LogWriteError> {
        let path = self.path;
        let sink = self.file.finish()?;
        let (n_bytes, sha256) = (sink.n_bytes, hex(&sink.sha256.finalize()));
        let file = sink.file.into_inner().map_err(|e| io_error(&path, e.into_error()))?;
        file.sync_all().map_err(|source| io_error(&path, source))?;
        Ok(Bucket { file: bucket_file(self.bucket), n_bytes, sha256, contents: self.contents })
    }
}

/// A file that hashes what goes through it.
struct HashingFile {
    file: BufWriter<File>,
    sha256: Sha256,
    n_bytes: u64,
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.sha256.update(&bytes[..n]);
        self.n_bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn io_error(path: &Path, source: io::Error) -> LogWriteError {
    LogWriteError::Io { path: path.to_owned(), source }
}

fn parent_of(dir: &Path) -> PathBuf {
    match dir.parent() {
        Some(parent) if parent != Path::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Removes what killed writers left; the lock is held, so none of it is in use.
fn sweep(parent: &Path) -> Result<(), LogWriteError> {
    for entry in fs::read_dir(parent).map_err(|source| io_error(parent, source))? {
        let entry = entry.map_err(|source| io_error(parent, source))?;
        let is_left_over = entry.file_name().to_string_lossy().starts_with(TEMPORARY_PREFIX);
        if is_left_over && entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).map_err(|source| io_error(&entry.path(), source))?;
        }
    }
    Ok(())
}

fn write_synced(path: &Path, text: &str) -> Result<(), LogWriteError> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|source| io_error(path, source))
}

/// A temporary directory is private; the log is as open as any other directory of the project.
#[cfg(unix)]
fn open_to_all(dir: &Path) -> Result<(), LogWriteError> {
    use std::os::unix::fs::PermissionsExt;
    let parent = parent_of(dir);
    let mode = fs::metadata(&parent).map_err(|source| io_error(&parent, source))?.permissions().mode();
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).map_err(|source| io_error(dir, source))
}

#[cfg(not(unix))]
fn open_to_all(_dir: &Path) -> Result<(), LogWriteError> {
    Ok(())
}

#[cfg(unix)]
fn sync_dir(dir: &Path) -> Result<(), LogWriteError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| io_error(dir, source))
}

#[cfg(not(unix))]
fn sync_dir(_dir: &Path) -> Result<(), LogWriteError> {
    Ok(())
}

/// `new` takes the place of `dir`; afterwards `new` holds the earlier log, if there was one, or is gone.
fn put_in_place(new: &Path, dir: &Path) -> Result<(), LogWriteError> {
    if !dir.exists() {
        return fs::rename(new, dir).map_err(|source| io_error(dir, source));
    }
    if exchange(new, dir).is_ok() {
        return Ok(());
    }
    // No exchange on this system: between the two renames the earlier log stands under the name in `aside`.
    let aside = parent_of(dir).join(format!("{TEMPORARY_PREFIX}previous"));
    fs::rename(dir, &aside).map_err(|source| io_error(dir, source))?;
    if let Err(source) = fs::rename(new, dir) {
        return Err(match fs::rename(&aside, dir) {
            Ok(()) => io_error(dir, source),
            Err(second) => io_error(&aside, second),
        });
    }
    fs::remove_dir_all(&aside).map_err(|source| io_error(&aside, source))
}

#[cfg(target_os = "linux")]
fn exchange(a: &Path, b: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)?)
}

#[cfg(not(target_os = "linux"))]
fn exchange(_a: &Path, _b: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
