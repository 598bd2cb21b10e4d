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

/// Writes beside, flushes to disk, renames.
fn place(path: &Path, bytes: &[u8]) -> Result<(), SealError> {
    let io = |source| SealError::Io { path: path.to_owned(), source };
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(dir).map_err(io)?;
    file.write_all(bytes).and_then(|()| readable(file.as_file())).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)
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
