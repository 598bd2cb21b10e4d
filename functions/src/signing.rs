//! Signatures of quotes: compact JWS (RFC 7515) by HMAC-SHA-256 under a key of the environment.
//!
//! The first key signs, all verify, so a key is rotated by putting a new one in front and dropping the old one after the
//! longest lock. The algorithm is ours, never the token's: another one, or `none`, is a forgery. Times in a token are
//! checked against the clock of the request, not here. A key is never logged or printed.

use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::clock::{self, NoEntropy};
use crate::keys::{KeyFileError, write_private};

/// Least bytes of a key: as many as the digest has (RFC 7518, 3.2).
const LEAST_BYTES: usize = 32;

/// The keys, the one that signs first.
#[derive(Clone, Default)]
pub struct QuoteKeys(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: String,
    signs: EncodingKey,
    verifies: DecodingKey,
}

/// Why a list of keys cannot be used. The key itself is never part of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuoteKeysError {
    /// An entry that is not `id:secret`.
    #[error(
        "entry {0} is not id:base64url, with an id of 1 to 32 letters, digits, '_' and '-', other than kms"
    )]
    Entry(usize),
    /// Too short, or not base64url.
    #[error("the secret of entry {0} is not at least {LEAST_BYTES} bytes in base64url without padding")]
    Secret(usize),
    /// Nothing but commas and blanks.
    #[error("there is no key in it")]
    Empty,
    /// An id that stands twice.
    #[error("the id of entry {0} stands twice")]
    Twice(usize),
}

/// Why a token is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forgery {
    /// Not a compact JWS with our claims.
    #[error("the signature is no token of a quote")]
    Malformed,
    /// Signed by another algorithm, or by none.
    #[error("the signature uses another algorithm than HS256")]
    Algorithm,
    /// Under a key that is unknown, or no longer in use.
    #[error("the signature names a key that is not in use")]
    Key,
    /// The content and the signature do not belong together.
    #[error("the signature does not fit its content")]
    Signature,
}

impl QuoteKeys {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `claims`, signed by the first key; none where there is no key.
    #[must_use]
    pub fn sign<T: Serialize>(&self, claims: &T) -> Option<String> {
        let key = self.0.first()?;
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some(key.id.clone());
        jsonwebtoken::encode(&header, claims, &key.signs).ok()
    }

    /// The claims of a token that one of the keys signed.
    pub fn verify<T: DeserializeOwned>(&self, token: &str) -> Result<T, Forgery> {
        // A header that names no algorithm we know, `none` among them, does not parse.
        let header = jsonwebtoken::decode_header(token).map_err(|error| match error.kind() {
            ErrorKind::Json(_) | ErrorKind::InvalidAlgorithmName | ErrorKind::InvalidAlgorithm => {
                Forgery::Algorithm
            }
            _ => Forgery::Malformed,
        })?;
        if header.alg != Algorithm::HS256 {
            return Err(Forgery::Algorithm);
        }
        let key = self.0.iter().find(|key| Some(&key.id) == header.kid.as_ref()).ok_or(Forgery::Key)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode::<T>(token, &key.verifies, &validation);
        decoded.map(|token| token.claims).map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Forgery::Signature,
            _ => Forgery::Malformed,
        })
    }

    /// The keys in the file at `path`; one is made where there is no such file.
    pub fn open_or_create(path: &Path) -> Result<Self, KeyFileError> {
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let text = Self::generate()?;
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder).map_err(io)?;
                }
                write_private(path, &text).map_err(io)?;
                text
            }
            Err(error) => return Err(io(error)),
        };
        text.trim().parse().map_err(|error: QuoteKeysError| {
            io(io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
        })
    }

    /// A list of one new key, as `NEXTBEST_QUOTE_KEYS` takes it.
    fn generate() -> Result<String, NoEntropy> {
        Ok(format!("local:{}", URL_SAFE_NO_PAD.encode(clock::random_bytes::<LEAST_BYTES>()?)))
    }
}

impl FromStr for QuoteKeys {
    type Err = QuoteKeysError;

    fn from_str(list: &str) -> Result<Self, QuoteKeysError> {
        let mut keys: Vec<Key> = Vec::new();
        for (at, entry) in list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).enumerate() {
            let (id, secret) = entry.split_once(':').ok_or(QuoteKeysError::Entry(at + 1))?;
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
            // A list in clear is not to be taken for an encrypted one.
            if !(1..=32).contains(&id.len()) || !id.chars().all(allowed) || id == "kms" {
                return Err(QuoteKeysError::Entry(at + 1));
            }
            let secret = URL_SAFE_NO_PAD.decode(secret).map_err(|_| QuoteKeysError::Secret(at + 1))?;
            if secret.len() < LEAST_BYTES {
                return Err(QuoteKeysError::Secret(at + 1));
            }
            if keys.iter().any(|key| key.id == id) {
                return Err(QuoteKeysError::Twice(at + 1));
            }
            let (signs, verifies) = (EncodingKey::from_secret(&secret), DecodingKey::from_secret(&secret));
            keys.push(Key { id: id.to_owned(), signs, verifies });
        }
        if keys.is_empty() { Err(QuoteKeysError::Empty) } else { Ok(Self(keys)) }
    }
}

impl fmt::Debug for QuoteKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuoteKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn secret(byte: u8) -> String {
        URL_SAFE_NO_PAD.encode([byte; 32])
    }

    fn keys(list: &str) -> QuoteKeys {
        list.parse().unwrap()
    }

    #[test]
    fn a_token_is_ours_or_it_is_named_why_not() {
        let ours = keys(&format!("a:{}", secret(1)));
        let token = ours.sign(&json!({ "jti": "quo_1" })).unwrap();
        assert_eq!(ours.verify::<Value>(&token).unwrap()["jti"], "quo_1");
        let parts: Vec<&str> = token.split('.').collect();
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let other = encode(&json!({ "jti": "quo_2" }));
        let with = |header: Value, rest: &str| format!("{}.{}.{rest}", encode(&header), parts[1]);
        let cases = [
            (format!("{}.{other}.{}", parts[0], parts[2]), Forgery::Signature),
            (with(json!({ "alg": "none", "kid": "a" }), ""), Forgery::Algorithm),
            (with(json!({ "alg": "HS384", "kid": "a" }), parts[2]), Forgery::Algorithm),
            (with(json!({ "alg": "RS256", "kid": "a" }), parts[2]), Forgery::Algorithm),
            (with(json!({ "alg": "HS256", "kid": "b" }), parts[2]), Forgery::Key),
            (with(json!({ "alg": "HS256" }), parts[2]), Forgery::Key),
            ("quo_1".to_owned(), Forgery::Malformed),
            (String::new(), Forgery::Malformed),
        ];
        for (token, why) in cases {
            assert_eq!(ours.verify::<Value>(&token).unwrap_err(), why, "{token}");
        }
        let forged = keys(&format!("a:{}", secret(2))).sign(&json!({ "jti": "quo_1" })).unwrap();
        assert_eq!(ours.verify::<Value>(&forged).unwrap_err(), Forgery::Signature);
    }

    #[test]
    fn keys_are_rotated_by_a_new_one_in_front() {
        let (old, new) = (format!("a:{}", secret(1)), format!("b:{}", secret(2)));
        let earlier = keys(&old).sign(&json!({ "n": 1 })).unwrap();
        let both = keys(&format!("{new},{old}"));
        assert!(both.verify::<Value>(&earlier).is_ok());
        let later = both.sign(&json!({ "n": 2 })).unwrap();
        assert!(keys(&new).verify::<Value>(&later).is_ok());
        assert_eq!(keys(&new).verify::<Value>(&earlier).unwrap_err(), Forgery::Key);
    }

    #[test]
    fn a_wrong_list_is_named_by_its_entry_and_no_secret_is_shown() {
        let short = URL_SAFE_NO_PAD.encode([1; 31]);
        assert_eq!("a".parse::<QuoteKeys>().unwrap_err(), QuoteKeysError::Entry(1));
        assert_eq!(format!("a:{short}").parse::<QuoteKeys>().unwrap_err(), QuoteKeysError::Secret(1));
        let twice = format!("a:{},a:{}", secret(1), secret(2));
        assert_eq!(twice.parse::<QuoteKeys>().unwrap_err(), QuoteKeysError::Twice(2));
        assert_eq!(format!("{:?}", keys(&format!("a:{}", secret(1)))), "QuoteKeys(1)");
    }

    #[test]
    fn the_file_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/quote-keys");
        let token = QuoteKeys::open_or_create(&path).unwrap().sign(&json!({})).unwrap();
        assert!(QuoteKeys::open_or_create(&path).unwrap().verify::<Value>(&token).is_ok());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
