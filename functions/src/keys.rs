//! API keys: made once, shown once, kept only as SHA-256.
//!
//! A key carries 256 random bits, so a plain hash is enough: there is nothing to guess and nothing to salt.
//! Comparison takes the same time whichever key is presented. The keys file of a local server is readable by its
//! owner alone. A key itself is never logged or stored.

use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::{self, NoEntropy};

/// Who calls; also the name of the scope in a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The shop's checkout: prices and events.
    Checkout,
    /// The CRM: decisions, events and scores.
    Crm,
    /// The retention desk: at-risk lists.
    Retention,
    /// The operator: everything.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: &'static [Self] = &[Self::Checkout, Self::Crm, Self::Retention, Self::Admin];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Checkout => "checkout",
            Self::Crm => "crm",
            Self::Retention => "retention",
            Self::Admin => "admin",
        }
    }

    /// The role called `name`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|role| role.as_str() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A key in clear, at the moment it is made. Show it and drop it.
pub struct NewKey {
    /// Whose it is.
    pub role: Role,
    /// The key as the caller sends it.
    pub secret: String,
}

/// The hashed keys that open the doors; a role may have several, for rotation.
#[derive(Clone, Default)]
pub struct Keys(Vec<(Role, [u8; 32])>);

/// Why a text is no list of [`Keys`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// No `role:hash`.
    #[error("entry {0} is no role:sha256hex")]
    Entry(usize),
    /// A role that does not exist.
    #[error("entry {0} names the role {1:?}; the roles are checkout, crm, retention, admin")]
    Role(usize, String),
    /// A hash of another length or alphabet.
    #[error("entry {0}: the hash of a key is 64 hex digits")]
    Hash(usize),
}

/// Why a keys file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no list of keys.
    #[error("{path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: KeysError,
    },
    /// No randomness for new keys.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Names a key without telling it: the first 64 bits of its hash.
#[must_use]
pub fn fingerprint(presented: &str) -> String {
    shorten(&hash(presented))
}

fn shorten(hash: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(&hash[..8])
}

impl Keys {
    /// One new key for every role.
    pub fn generate() -> Result<(Self, Vec<NewKey>), NoEntropy> {
        let mut hashed = Vec::new();
        let mut shown = Vec::new();
        for &role in Role::ALL {
            let secret = format!("nb_{role}_{}", URL_SAFE_NO_PAD.encode(clock::random_bytes::<32>()?));
            hashed.push((role, hash(&secret)));
            shown.push(NewKey { role, secret });
        }
        Ok((Self(hashed), shown))
    }

    /// The role `presented` opens; every stored hash is compared in full, so the time says nothing.
    #[must_use]
    pub fn role_of(&self, presented: &str) -> Option<Role> {
        let presented = hash(presented);
        let mut found = None;
        for (role, stored) in &self.0 {
            let difference = stored.iter().zip(&presented).fold(0, |seen, (a, b)| seen | (a ^ b));
            if std::hint::black_box(difference) == 0 {
                found = Some(*role);
            }
        }
        found
    }

    /// Whether a key of `role` with this [`fingerprint`] still opens doors.
    #[must_use]
    pub fn holds(&self, role: Role, fingerprint: &str) -> bool {
        self.0.iter().any(|(held, hash)| *held == role && shorten(hash) == fingerprint)
    }

    /// The keys in the file at `path`; made, stored hashed and returned in clear when there is no such file.
    pub fn open_or_create(path: &Path) -> Result<(Self, Vec<NewKey>), KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let keys = text.trim().parse();
                Ok((
                    keys.map_err(|source| KeyFileError::Content { path: path.to_owned(), source })?,
                    Vec::new(),
                ))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let (keys, shown) = Self::generate()?;
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(io)?;
                }
                write_private(path, &keys.to_string()).map_err(io)?;
                Ok((keys, shown))
            }
            Err(e) => Err(io(e)),
        }
    }
}

impl fmt::Display for Keys {
    /// The list as `NEXTBEST_API_KEYS` takes it: hashes only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (role, hash)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{role}:{}", hex(hash))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} hashed)", self.0.len())
    }
}

impl FromStr for Keys {
    type Err = KeysError;

    fn from_str(list: &str) -> Result<Self, KeysError> {
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate();
        entries
            .map(|(i, entry)| {
                let (role, digits) = entry.split_once(':').ok_or(KeysError::Entry(i + 1))?;
                let role = Role::from_name(role).ok_or_else(|| KeysError::Role(i + 1, role.to_owned()))?;
                Ok((role, unhex(digits).ok_or(KeysError::Hash(i + 1))?))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// The SHA-256 of `text`, in 64 hex digits.
#[must_use]
pub fn sha256_hex(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    for (i, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(hash)
}

pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_its_role_and_no_other_text_does() {
        let (keys, shown) = Keys::generate().unwrap();
        for key in &shown {
            assert_eq!(keys.role_of(&key.secret), Some(key.role));
            assert_eq!(keys.role_of(&key.secret[1..]), None);
            assert!(!format!("{keys:?} {keys}").contains(&key.secret));
        }
        assert_eq!(keys.role_of(""), None);
        assert_eq!(keys.to_string().parse::<Keys>().unwrap().to_string(), keys.to_string());
    }

    #[test]
    fn the_keys_file_is_made_once_holds_no_key_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/keys");
        let (_, shown) = Keys::open_or_create(&path).unwrap();
        assert_eq!(shown.len(), Role::ALL.len());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(shown.iter().all(|key| !text.contains(&key.secret)));
        let (again, none) = Keys::open_or_create(&path).unwrap();
        assert!(none.is_empty());
        assert_eq!(again.role_of(&shown[0].secret), Some(shown[0].role));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_malformed_list_is_named_by_its_entry() {
        assert_eq!("admin".parse::<Keys>().unwrap_err(), KeysError::Entry(1));
        assert_eq!("admin:0".parse::<Keys>().unwrap_err(), KeysError::Hash(1));
        assert_eq!("root:00".parse::<Keys>().unwrap_err(), KeysError::Role(1, "root".into()));
    }
}
