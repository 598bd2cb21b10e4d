//! What a running function holds: project, artifact, store, clock, and who may call.
//!
//! Opened once when the process starts, where every fault is an error with a name; requests only read it. No
//! request opens a file or a connection, but for the console's reports.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use nextbest_models::artifact::{Artifact, ArtifactError};
use nextbest_models::pricing::Demand;
use nextbest_models::project::{Project, ProjectFaults};

use crate::at_risk::heads::Heads;
use crate::auth::Authenticator;
use crate::clock::Clock;
use crate::config::Config;
use crate::door;
use crate::health;
use crate::memory::{Beliefs, Erased, Memory, SpentBudgets};
use crate::metrics::Metrics;
use crate::openapi;
use crate::signing::QuoteKeys;
use crate::store::Store;

/// A running function's state; cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// What the business decides.
    pub project: Project,
    /// Its folder.
    pub folder: PathBuf,
    /// The models; none before the first training, and answers say so.
    pub artifact: Option<Artifact>,
    /// What they say of demand, under the rules of the project.
    pub demand: Option<Demand>,
    /// Customers, decisions, quotes, snapshots.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Who may call.
    pub auth: Authenticator,
    /// What signs quotes.
    pub quote_keys: QuoteKeys,
    /// The identity of the project folder.
    pub policy_sha256: String,
    /// Longest that a decision or price may take.
    pub deadline: Duration,
    /// Answers so far, and what they lacked.
    pub metrics: Metrics,
    /// Customers read last.
    pub memory: Memory,
    /// Headers and curves of snapshots read last.
    pub heads: Heads,
    /// Budgets found used up.
    pub budgets: SpentBudgets,
    /// What actions brought so far.
    pub beliefs: Beliefs,
    /// Customers erased lately.
    pub erased: Erased,
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
    /// A file that is named cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// CURRENT does not hold the name of a file beside it.
    #[error("{path} holds {name:?}, which is no file name")]
    Current {
        /// The file.
        path: PathBuf,
        /// What it holds.
        name: String,
    },
    /// The artifact is damaged, or was trained for other features.
    #[error("{path}: {source}")]
    Artifact {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ArtifactError,
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
        let artifact = read_artifact(config, &project)?;
        Ok(Self::of(config, (project, artifact), store, clock))
    }

    /// The same with `artifact`, which is open already, whatever the configuration names: for lists of days long past.
    pub fn with_artifact(
        config: &Config,
        artifact: Artifact,
        store: Store,
        clock: Clock,
    ) -> Result<Self, OpenError> {
        Ok(Self::of(config, (read_project(&config.project)?, Some(artifact)), store, clock))
    }

    fn of(
        config: &Config,
        (project, artifact): (Project, Option<Artifact>),
        store: Store,
        clock: Clock,
    ) -> Self {
        let auth = Authenticator::new(config.auth, config.keys.clone());
        let demand = artifact.as_ref().and_then(|artifact| artifact.demand());
        let demand = demand.map(|model| Demand::of(&project.pricing, model));
        Self(Arc::new(Parts {
            quote_keys: config.quote_keys.clone(),
            policy_sha256: project.fingerprint(),
            deadline: config.deadline,
            metrics: Metrics::default(),
            memory: Memory::default(),
            heads: Heads::default(),
            budgets: SpentBudgets::default(),
            beliefs: Beliefs::default(),
            erased: Erased::default(),
            folder: config.project.clone(),
            project,
            artifact,
            demand,
            store,
            clock,
            auth,
        }))
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
        door::close(routes.merge(health::routes()).merge(openapi::routes()), self)
    }
}

fn read_project(folder: &Path) -> Result<Project, OpenError> {
    Project::read(|file| std::fs::read_to_string(folder.join(file)))
        .map_err(|faults| OpenError::Project { folder: folder.to_owned(), faults })
}

fn read_artifact(config: &Config, project: &Project) -> Result<Option<Artifact>, OpenError> {
    let path = match &config.artifact {
        Some(path) => path.clone(),
        None => match current_artifact(&config.project.join("artifacts"))? {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    let bytes =
        nextbest_mapping::map(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
    let artifact = Artifact::from_bytes(bytes, Some(project.schema.fingerprint()));
    artifact.map(Some).map_err(|source| OpenError::Artifact { path, source })
}

/// The file that `CURRENT` names; none when nothing was trained yet.
fn current_artifact(folder: &Path) -> Result<Option<PathBuf>, OpenError> {
    let path = folder.join("CURRENT");
    let name = match std::fs::read_to_string(&path) {
        Ok(name) => name.trim().to_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    if name.is_empty() || Path::new(&name).file_name() != Some(name.as_ref()) {
        return Err(OpenError::Current { path, name });
    }
    Ok(Some(folder.join(name)))
}
