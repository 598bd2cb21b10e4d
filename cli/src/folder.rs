//! A project folder on disk: its four files, and where data and artifacts lie in it.

use std::fs;
use std::path::{Path, PathBuf};

use nextbest_models::project::Project;

use crate::exit::Failure;

/// An opened project folder.
pub struct Folder {
    /// Where it is.
    pub dir: PathBuf,
    /// What its files say.
    pub project: Project,
}

impl Folder {
    /// Opens `dir`; a missing folder or a fault in a file is a wrong call.
    pub fn open(dir: &Path) -> Result<Self, Failure> {
        if !dir.is_dir() {
            let hint = "name a project folder with --project, or make one with `nextbest init DIR`";
            return Err(Failure::call(format!("{} is no folder; {hint}", dir.display())));
        }
        let project = Project::read(|file| fs::read_to_string(dir.join(file)));
        let project = project.map_err(|faults| Failure::call(format!("in {}:\n{faults}", dir.display())))?;
        Ok(Self { dir: dir.to_owned(), project })
    }

    /// The event log.
    pub fn events(&self) -> PathBuf {
        self.dir.join("data/events")
    }

    /// The file behind the embedded DynamoDB.
    pub fn database(&self) -> PathBuf {
        self.dir.join("data/store.sqlite")
    }

    /// The hashed API keys of a local server.
    pub fn keys(&self) -> PathBuf {
        self.dir.join("data/keys")
    }

    /// What signs the quotes of a local server.
    pub fn quote_keys(&self) -> PathBuf {
        self.dir.join("data/quote-keys")
    }

    /// Sealed models and reports.
    pub fn artifacts(&self) -> PathBuf {
        self.dir.join("artifacts")
    }
}
