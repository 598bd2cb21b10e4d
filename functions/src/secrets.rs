//! Values of the environment that stand there encrypted: AWS KMS opens them once, while a process starts.
//!
//! Such a value is `kms:` and the ciphertext in base64, as `aws kms encrypt` prints it. What a function's configuration
//! shows is then of no use without the key, whose policy and log say who opens it. Secrets never enter an error's text.

use std::time::Duration;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::BehaviorVersion;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::primitives::Blob;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What a value that stands encrypted begins with.
pub const ENCRYPTED: &str = "kms:";

/// KMS answers within this, its retries included, or the process does not start; Lambda allows ten seconds for all of it.
const LIMIT: Duration = Duration::from_secs(6);

/// Why an encrypted value cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No ciphertext.
    #[error("what follows {ENCRYPTED:?} is no ciphertext in base64")]
    Base64,
    /// KMS refused, or did not answer.
    #[error("KMS does not open it: {0}")]
    Kms(String),
    /// It was opened, and holds bytes that are no text.
    #[error("what KMS opened is no text")]
    Text,
}

/// `value`, opened by KMS where it stands encrypted; another as it is.
pub async fn opened(value: String) -> Result<String, SecretError> {
    let Some(ciphertext) = value.strip_prefix(ENCRYPTED) else { return Ok(value) };
    let ciphertext = STANDARD.decode(ciphertext.trim()).ok().filter(|bytes| !bytes.is_empty());
    let ciphertext = ciphertext.ok_or(SecretError::Base64)?;
    let timeouts = TimeoutConfig::builder().operation_timeout(LIMIT).build();
    let shared = aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts).load().await;
    let answer = Client::new(&shared).decrypt().ciphertext_blob(Blob::new(ciphertext)).send().await;
    let answer = answer.map_err(|error| SecretError::Kms(DisplayErrorContext(error).to_string()))?;
    let plain = answer.plaintext.map(Blob::into_inner).unwrap_or_default();
    String::from_utf8(plain).map_err(|_| SecretError::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_value_in_clear_stays_and_one_that_is_no_ciphertext_is_named() {
        assert_eq!(opened("first:abc".to_owned()).await.unwrap(), "first:abc");
        for wrong in ["kms:not base64!", "kms:"] {
            let error = opened(wrong.to_owned()).await.unwrap_err().to_string();
            assert_eq!(error, "what follows \"kms:\" is no ciphertext in base64");
        }
    }
}
