//! From a training run to files: the artifact, its report, and the pointer that makes it the one in use.
//!
//! Each file is written beside its place, flushed and renamed; `CURRENT`, the name of the artifact in use, goes last.
//! A run killed half way leaves the earlier artifact in use. Going back is writing an earlier name into `CURRENT`.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::report;
use crate::train::Trained;

/// Name of the file that names the artifact in use.
pub const CURRENT: &str = "CURRENT";

/// Why a run's files could not be written; the earlier artifact stays in use.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A file.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A report that is no JSON.
    #[error("the report cannot be written as JSON: {0}")]
    Report(#[from] serde_json::Error),
}

/// Where a run's files lie.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Sealed {
    /// The artifact.
    pub artifact: PathBuf,
    /// For programs.
    pub report_json: PathBuf,
    /// For people.
    pub report_html: PathBuf,
}

/// Writes artifact, reports and [`CURRENT`] into `dir`, which is made if it is not there.
pub fn write(dir: &Path, trained: &Trained) -> Result<Sealed, SealError> {
    fs::create_dir_all(dir).map_err(|source| SealError::Io { path: dir.to_owned(), source })?;
    let report = &trained.report;
    let sha8 = report.artifact_sha256.get(..8).unwrap_or_default();
    let name = format!("{}-{}-{sha8}.nba", report.name, report.trained_through.day());
    let sealed = Sealed {
        artifact: dir.join(&name),
        report_json: dir.join("report.json"),
        report_html: dir.join("report.html"),
    };
    place(&sealed.artifact, trained.artifact.as_bytes())?;
    place(&sealed.report_json, &serde_json::to_vec_pretty(report)?)?;
    place(&sealed.report_html, report::html(report).as_bytes())?;
    place(&dir.join(CURRENT), name.as_bytes())?;
    Ok(sealed)
}

/// Writes `bytes` to `path` whole or not at all.
pub fn place(path: &Path, bytes: &[u8]) -> Result<(), SealError> {
    let mut file = Placing::new(path)?;
    file.write_all(bytes).map_err(|source| SealError::Io { path: path.to_owned(), source })?;
    file.finish()
}

/// A file under way: written beside its place, and there only once [`Self::finish`] was called.
#[derive(Debug)]
pub struct Placing {
    path: PathBuf,
    file: tempfile::NamedTempFile,
}

impl Placing {
    /// Begins a file that will stand at `path`, whose folder is there.
    pub fn new(path: &Path) -> Result<Self, SealError> {
        let file = tempfile::NamedTempFile::new_in(folder_of(path));
        let file = file.map_err(|source| SealError::Io { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }

    /// Flushes to disk and renames.
    pub fn finish(self) -> Result<(), SealError> {
        let Self { path, file } = self;
        let io = |source| SealError::Io { path: path.clone(), source };
        readable(file.as_file()).and_then(|()| file.as_file().sync_all()).map_err(io)?;
        file.persist(&path).map_err(|error| io(error.error))?;
        File::open(folder_of(&path)).and_then(|dir| dir.sync_all()).map_err(io)
    }
}

impl io::Write for Placing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// The folder a file stands in; that of a bare name is the one we are in.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Temporary files are the owner's alone; what is packaged for Lambda is read by another user.
#[cfg(unix)]
fn readable(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_file: &File) -> io::Result<()> {
    Ok(())
}
