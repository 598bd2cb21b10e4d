//! Where the functions run: one struct, read once from the environment when a process starts.
//!
//! What the business decides is not here but in the project folder. A wrong value fails the start with its name,
//! its text and what is allowed; nothing reads the environment later. An API key is only ever
//! known by its SHA-256; the keys of quotes are needed in clear, and never shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::auth::AuthMode;
use crate::keys::{Keys, KeysError};
use crate::secrets::{self, SecretError};
use crate::signing::{QuoteKeys, QuoteKeysError};

/// The environment variables that are read, with what they mean; the template and the README derive from this list.
pub const VARIABLES: &[(&str, &str)] = &[
    (
        PROJECT,
        "folder with the four toml files and artifacts/; default $LAMBDA_TASK_ROOT/project, else ./project",
    ),
    (ARTIFACT, "an artifact file to use instead of the one artifacts/CURRENT names"),
    (TABLE, "DynamoDB table; default nextbest"),
    (AUTH, "who may call: api-key (default), jwt or iam"),
    (
        DEADLINE,
        "longest that a decision or price may take, in milliseconds, 20 to 25000; default 1000; with an \
         Idempotency-Key a quarter more",
    ),
    (API_KEYS, "role:sha256hex,role:sha256hex,... ; needed for api-key"),
    (
        QUOTE_KEYS,
        "id:base64url,id:base64url,... of at least 32 bytes each; the first signs quotes, all verify; without any \
         quotes are not signed and cannot be redeemed; or kms: and that list, encrypted by AWS KMS, in base64",
    ),
];

const PROJECT: &str = "NEXTBEST_PROJECT";
const ARTIFACT: &str = "NEXTBEST_ARTIFACT";
const TABLE: &str = "NEXTBEST_TABLE";
const AUTH: &str = "NEXTBEST_AUTH";
const DEADLINE: &str = "NEXTBEST_DEADLINE_MS";
const API_KEYS: &str = "NEXTBEST_API_KEYS";
const QUOTE_KEYS: &str = "NEXTBEST_QUOTE_KEYS";
const TASK_ROOT: &str = "LAMBDA_TASK_ROOT";

/// The deadline where none is set.
pub const DEFAULT_DEADLINE: Duration = Duration::from_millis(1000);

/// Where a process runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The project folder.
    pub project: PathBuf,
    /// The artifact to use instead of the project's current one.
    pub artifact: Option<PathBuf>,
    /// The DynamoDB table.
    pub table: String,
    /// How callers are known.
    pub auth: AuthMode,
    /// Longest that a decision or price may take; with an Idempotency-Key a quarter more, to keep the answer.
    pub deadline: Duration,
    /// The hashed API keys; empty unless `auth` is [`AuthMode::ApiKey`].
    pub keys: Keys,
    /// What signs quotes; empty where they are not signed.
    pub quote_keys: QuoteKeys,
}

/// Why the environment is no [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// An unknown way of knowing callers.
    #[error("{AUTH} is {0:?}; it must be api-key, jwt or iam")]
    Auth(String),
    /// No keys although callers are known by key.
    #[error("{API_KEYS} is not set; with {AUTH}=api-key nobody could call")]
    NoKeys,
    /// A malformed list of keys.
    #[error("{API_KEYS}: {0}")]
    Keys(#[from] KeysError),
    /// A malformed list of keys of quotes.
    #[error("{QUOTE_KEYS}: {0}")]
    QuoteKeys(#[from] QuoteKeysError),
    /// Keys of quotes that stand encrypted and cannot be opened.
    #[error("{QUOTE_KEYS}: {0}")]
    Encrypted(#[from] SecretError),
    /// No number of milliseconds, or one out of bounds.
    #[error("{DEADLINE} is {0:?}; it must be whole milliseconds, 20 to 25000")]
    Deadline(String),
    /// A table name DynamoDB would refuse.
    #[error("{TABLE} is {0:?}; a table name takes 3 to 255 letters, digits, '_', '-' and '.'")]
    Table(String),
}

impl Config {
    /// Reads the process environment; what stands encrypted there is opened by AWS KMS.
    pub async fn from_env() -> Result<Self, ConfigError> {
        let quote_keys = match environment(QUOTE_KEYS) {
            Some(keys) => Some(secrets::opened(keys).await?),
            None => None,
        };
        Self::from_lookup(|name| if name == QUOTE_KEYS { quote_keys.clone() } else { environment(name) })
    }

    /// Reads the variables, all in clear, through `lookup`.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let task_root = || lookup(TASK_ROOT).map(|root| Path::new(&root).join("project"));
        let project = lookup(PROJECT).map(PathBuf::from).or_else(task_root);
        let auth = match lookup(AUTH).as_deref() {
            None | Some("api-key") => AuthMode::ApiKey,
            Some("jwt") => AuthMode::Jwt,
            Some("iam") => AuthMode::Iam,
            Some(other) => return Err(ConfigError::Auth(other.to_owned())),
        };
        let keys = match (auth, lookup(API_KEYS)) {
            (AuthMode::ApiKey, None) => return Err(ConfigError::NoKeys),
            (AuthMode::ApiKey, Some(list)) => list.parse()?,
            _ => Keys::default(),
        };
        Ok(Self {
            project: project.unwrap_or_else(|| PathBuf::from("project")),
            artifact: lookup(ARTIFACT).map(PathBuf::from),
            table: checked_table(lookup(TABLE).unwrap_or_else(|| "nextbest".to_owned()))?,
            auth,
            deadline: deadline(lookup(DEADLINE))?,
            keys,
            quote_keys: lookup(QUOTE_KEYS).map(|list| list.parse()).transpose()?.unwrap_or_default(),
        })
    }
}

#[expect(clippy::disallowed_methods, reason = "configuration is the room where the environment is read")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn deadline(text: Option<String>) -> Result<Duration, ConfigError> {
    let Some(text) = text else { return Ok(DEFAULT_DEADLINE) };
    match text.parse() {
        Ok(ms @ 20..=25_000) => Ok(Duration::from_millis(ms)),
        _ => Err(ConfigError::Deadline(text)),
    }
}

fn checked_table(name: String) -> Result<String, ConfigError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (3..=255).contains(&name.len()) && name.chars().all(allowed) {
        Ok(name)
    } else {
        Err(ConfigError::Table(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_lookup(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn defaults_stand_where_nothing_is_set() {
        let config = read(&[(AUTH, "iam"), (TASK_ROOT, "/var/task")]).unwrap();
        assert_eq!(config.project, Path::new("/var/task/project"));
        assert_eq!((config.table.as_str(), config.auth), ("nextbest", AuthMode::Iam));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_allowed() {
        assert!(read(&[]).unwrap_err().to_string().contains("NEXTBEST_API_KEYS is not set"));
        let auth = read(&[(AUTH, "none")]).unwrap_err().to_string();
        assert_eq!(auth, "NEXTBEST_AUTH is \"none\"; it must be api-key, jwt or iam");
        assert!(read(&[(AUTH, "jwt"), (TABLE, "a/b")]).unwrap_err().to_string().contains("\"a/b\""));
        let keys = read(&[(API_KEYS, "boss:00")]).unwrap_err().to_string();
        assert!(keys.contains("boss") && keys.contains("checkout, crm, retention, admin"), "{keys}");
    }
}
