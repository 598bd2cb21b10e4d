//! A customer: an id, and the state folded from events.

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use sha2::{Digest, Sha256};
use std::fmt;

use crate::event::MAX_ID_BYTES;

/// An opaque customer id: 1 to 128 bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct CustomerId(String);

/// A text that is no [`CustomerId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no customer id: 1 to {MAX_ID_BYTES} bytes without control characters")]
pub struct CustomerIdError(String);

impl CustomerId {
    /// A checked id; the error names the text.
    pub fn new(id: impl Into<String>) -> Result<Self, CustomerIdError> {
        let id = id.into();
        if id.is_empty() || id.len() > MAX_ID_BYTES || id.chars().any(char::is_control) {
            return Err(CustomerIdError(id));
        }
        Ok(Self(id))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bucket of an event log with `n_buckets` buckets this customer belongs to, in 0 .. `n_buckets`.
    #[must_use]
    pub fn bucket(&self, n_buckets: u32) -> u32 {
        bucket_of(&self.0, n_buckets)
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CustomerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The first eight bytes of the SHA-256 of `key`, as a big-endian number: stable over versions and machines.
#[must_use]
pub fn stable_hash(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().take(8).fold(0, |hash, &byte| hash << 8 | u64::from(byte))
}

/// The bucket of `key` among `n_buckets` (at least 1), by [`stable_hash`].
#[must_use]
pub fn bucket_of(key: &str, n_buckets: u32) -> u32 {
    u32::try_from(stable_hash(key) % u64::from(n_buckets.max(1))).unwrap_or(0)
}
