//! The embedded DynamoDB-compatible server: in this process, file-backed, on a loopback port of its own.
//!
//! It stands in for DynamoDB on one machine; the store reaches it through the AWS SDK like any other endpoint. SQLite
//! blocks the thread that works for it, so it runs on a thread with a runtime of its own. One process at a time
//! holds the file. Expired items are swept, as DynamoDB does some time after they expire, only where asked for: the server
//! goes by the machine's clock, by which all that was loaded from a past log has long expired.

use std::fs::{File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use dynoxide::{Database, server};
use tokio::sync::oneshot;

/// A running server; stops when dropped, after the requests at work.
pub struct Embedded {
    endpoint: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    _lock: File,
}

/// Why there is no embedded server.
#[derive(Debug)]
pub enum EmbeddedError {
    /// A file or socket that cannot be had.
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works on the file.
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file is no database of this server.
    Database {
        /// The file.
        path: PathBuf,
        /// What the server said.
        cause: String,
    },
}

impl std::fmt::Display for EmbeddedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
            Self::InUse { path } => {
                write!(f, "{} is in use by another nextbest; stop that one first", path.display())
            }
            Self::Database { path, cause } => write!(f, "{} cannot be opened: {cause}", path.display()),
        }
    }
}

impl std::error::Error for EmbeddedError {}

impl Embedded {
    /// Starts a server over the file at `path`, making it and its folder where they are missing. What has expired by the
    /// machine's clock is deleted once every `sweep`; with none it stays, and is hidden by who reads it.
    pub fn start(path: &Path, sweep: Option<Duration>) -> Result<Self, EmbeddedError> {
        let io = |source| EmbeddedError::Io { path: path.to_owned(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(io)?;
        }
        let lock = lock(path)?;
        let database = open(path)?;
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(io)?;
        listener.set_nonblocking(true).map_err(io)?;
        let endpoint = format!("http://{}", listener.local_addr().map_err(io)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("embedded-dynamodb")
            .enable_all()
            .build()
            .map_err(io)?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("embedded-dynamodb".to_owned());
        let thread = thread.spawn(move || runtime.block_on(run(listener, database, sweep, stopped)));
        let thread = thread.map_err(io)?;
        Ok(Self { endpoint, stop: Some(stop), thread: Some(thread), _lock: lock })
    }

    /// Where it answers, such as `http://127.0.0.1:40123`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // A server that ended by itself no longer listens: there is nothing to stop.
            let _ended = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ended = thread.join();
        }
    }
}

async fn run(
    listener: TcpListener,
    database: Database,
    sweep: Option<Duration>,
    stopped: oneshot::Receiver<()>,
) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    let sweeper = sweep.map(|every| tokio::spawn(swept(database.clone(), every)));
    let (finish, finished) = oneshot::channel::<()>();
    let serving = server::serve_with_shutdown(listener, database, async {
        let _sender_dropped = finished.await;
    });
    let serving = tokio::spawn(serving);
    let _sender_dropped = stopped.await;
    if let Some(sweeper) = sweeper {
        sweeper.abort();
    }
    drop(finish);
    // The client's idle connections may outlive it by a moment; they hold nothing that is not written.
    let _late = tokio::time::timeout(Duration::from_secs(2), serving).await;
}

async fn swept(database: Database, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let database = database.clone();
        // A sweep that fails is tried again; reads hide what has expired in any case.
        let _swept = tokio::task::spawn_blocking(move || database.sweep_ttl()).await;
    }
}

fn lock(path: &Path) -> Result<File, EmbeddedError> {
    let path = path.with_extension("lock");
    let io = |source| EmbeddedError::Io { path: path.clone(), source };
    let file = File::options().create(true).write(true).truncate(false).open(&path).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(EmbeddedError::InUse { path }),
        Err(TryLockError::Error(source)) => Err(EmbeddedError::Io { path, source }),
    }
}

/// Opens the file with `synchronous = NORMAL`: in WAL mode safe against a killed process, though not against a power
/// cut, and some hundred times faster than one fsync for each item.
fn open(path: &Path) -> Result<Database, EmbeddedError> {
    let failed = |cause: String| EmbeddedError::Database { path: path.to_owned(), cause };
    let text = path.to_str().ok_or_else(|| failed("the path is not UTF-8".to_owned()))?;
    let database = Database::new(text).map_err(|error| failed(error.to_string()))?;
    database.enable_bulk_loading().map_err(|error| failed(error.to_string()))?;
    database.disable_bulk_loading().map_err(|error| failed(error.to_string()))?;
    Ok(database)
}
