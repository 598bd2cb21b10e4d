//! DynamoDB stand-ins by three hands: the embedded server, MiniStack (Python), Amazon's DynamoDB Local (Java).
//!
//! Each listens on loopback on a free port and is stopped when dropped. One that is not installed gives none, and the
//! caller says that it is skipped.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::embedded::Embedded;

/// A running stand-in.
pub struct Backend {
    /// Where it answers.
    pub endpoint: String,
    _guard: Guard,
}

enum Guard {
    Embedded(
        #[expect(dead_code, reason = "held until the backend goes")] Embedded,
        #[expect(dead_code, reason = "likewise")] tempfile::TempDir,
    ),
    Process(Child),
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Self::Process(child) = self {
            // One that ended by itself needs no end.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// The server that `nextbest serve` embeds, over a file in a temporary folder.
pub fn embedded() -> Backend {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let embedded =
        Embedded::start(&folder.path().join("store.sqlite"), None).expect("the embedded server starts");
    Backend { endpoint: embedded.endpoint().to_owned(), _guard: Guard::Embedded(embedded, folder) }
}

/// MiniStack from the virtual environment that `make test` fills; none where that is missing.
pub fn ministack() -> Option<Backend> {
    let program = cache().join("nextbest/venv/bin/ministack");
    if !program.exists() {
        return None;
    }
    let port = free_port();
    let mut command = Command::new(program);
    command
        .env("BIND_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("SERVICES", "dynamodb")
        .env_remove("PERSIST_STATE");
    Some(spawn(command, port))
}

/// Amazon's DynamoDB Local, fetched once from Maven Central; none where Java or Maven is missing.
pub fn dynamodb_local() -> Option<Backend> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts");
    let fetched = Command::new(scripts.join("dynamodb-local.sh")).output().ok()?;
    let home = PathBuf::from(String::from_utf8(fetched.stdout).ok()?.trim());
    if !home.join("READY").exists() {
        return None;
    }
    let port = free_port();
    let mut command = Command::new("java");
    let classes = format!("{}/*", home.join("lib").display());
    command.arg(format!("-Djava.library.path={}", home.join("lib").display())).args(["-cp", &classes]);
    command.arg(scripts.join("LoopbackDynamoDb.java")).arg(port.to_string());
    Some(spawn(command, port))
}

fn spawn(mut command: Command, port: u16) -> Backend {
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let backend = Backend {
        endpoint: format!("http://127.0.0.1:{port}"),
        _guard: Guard::Process(child.expect("the stand-in starts")),
    };
    // A start takes seconds; a minute without a listener is a failure.
    for _ in 0..600 {
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return backend;
        }
        #[expect(clippy::disallowed_methods, reason = "a listener of another process can only be polled")]
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nothing listens on port {port}");
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address").port()
}

fn cache() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from)
}
