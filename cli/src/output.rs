//! Files a command is told to write: checked before the work begins, so that no hour of it is lost to a typing error.

use std::path::{Path, PathBuf};

use crate::exit::Failure;

/// What stands for standard output.
pub const STDOUT: &str = "-";

/// Refuses outputs whose folder is not there, that are one file, or that would overwrite one of `inputs`.
pub fn check(outputs: &[(&str, &Path)], inputs: &[&Path]) -> Result<(), Failure> {
    let mut taken: Vec<(&str, PathBuf)> = Vec::new();
    for &(option, path) in outputs.iter().filter(|(_, path)| *path != Path::new(STDOUT)) {
        let Some(place) = place(path) else {
            let shown = path.display();
            return Err(Failure::call(format!("{option} {shown}: there is no such folder, or no file name")));
        };
        if path.is_dir() {
            return Err(Failure::call(format!("{option} {}: is a folder", path.display())));
        }
        if inputs.iter().any(|input| input.canonicalize().is_ok_and(|input| input == place)) {
            return Err(Failure::call(format!("{option} {}: would overwrite what is read", path.display())));
        }
        if let Some((first, _)) = taken.iter().find(|(_, known)| *known == place) {
            return Err(Failure::call(format!("{first} and {option} name one file, {}", path.display())));
        }
        taken.push((option, place));
    }
    Ok(())
}

/// The file's place with its folder resolved; none where the folder is not there.
fn place(path: &Path) -> Option<PathBuf> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(path.canonicalize().unwrap_or(folder.canonicalize().ok()?.join(path.file_name()?)))
}

/// What the name of a list's file asks for.
#[derive(Clone, Copy, Debug)]
pub enum FileFormat {
    /// CSV (RFC 4180).
    Csv,
    /// Parquet.
    Parquet,
}

impl FileFormat {
    /// Of `--out`, which is checked as every output is.
    pub fn of(path: &Path) -> Result<Self, Failure> {
        check(&[("--out", path)], &[])?;
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            _ => {
                Err(Failure::call(format!("--out {}: the name must end in .csv or .parquet", path.display())))
            }
        }
    }
}
