//! What a running function holds: project, artifact, store, clock, and who may call.
//!
//! Opened once when the process starts, where every fault is an error with a name; requests only read it. No
//! request opens a file or a connection.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use nextbest_models::project::{Project, ProjectFaults};

use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::config::Config;
use crate::door;
use crate::health;
use crate::store::Store;

/// A running function's state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// What the business decides.
    pub project: Project,
    /// Customers, decisions, quotes, snapshots.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Who may call.
    pub auth: Authenticator,
}

/// Why a function does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The project folder is wrong; each line names file and line.
    #[error("the project in {folder} cannot be used:\n{faults}")]
    Project {
        /// The folder.
        folder: PathBuf,
        /// Every fault of every file.
        faults: ProjectFaults,
    },
}

impl std::ops::Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Opens the project of `config` over `store`.
    pub fn open(config: &Config, store: Store, clock: Clock) -> Result<Self, OpenError> {
        let project = read_project(&config.project)?;
        let auth = Authenticator::new(config.auth, config.keys.clone());
        Ok(Self(Arc::new(Parts { project, store, clock, auth })))
    }

    /// Opens the store's connection ahead of the first request. A store that is away does not keep a function from
    /// starting: decisions and prices have an answer without it.
    pub async fn warm(&self) {
        if let Err(error) = self.store.warm().await {
            tracing::warn!(%error, "the store does not answer yet");
        }
    }

    /// `routes` behind the door, with health and the interface's description.
    pub fn serve(self, routes: Router<Self>) -> Router {
        door::close(routes.merge(health::routes()), self)
    }
}

fn read_project(folder: &Path) -> Result<Project, OpenError> {
    Project::read(|file| std::fs::read_to_string(folder.join(file)))
        .map_err(|faults| OpenError::Project { folder: folder.to_owned(), faults })
}
