//! What can go wrong with the store, by name.
//!
//! The texts are for logs and operators; callers of the HTTP interface only learn the kind.

use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use nextbest_models::customer::StateError;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No answer in time, or none at all.
    #[error("the store did not answer {operation} on table {table:?}: {cause}")]
    Unreachable {
        /// The call.
        operation: &'static str,
        /// The table.
        table: String,
        /// What the SDK said.
        cause: String,
    },
    /// The table is not there.
    #[error("table {table:?} does not exist; create it with the template, or nextbest load on one machine")]
    NoTable {
        /// The table.
        table: String,
    },
    /// More than the table's capacity, still after the SDK's retries.
    #[error("{operation} on table {table:?} was throttled")]
    Throttled {
        /// The call.
        operation: &'static str,
        /// The table.
        table: String,
    },
    /// Others kept writing the same item first.
    #[error("item {key} was changed by others {attempts} times in a row")]
    Contended {
        /// The partition key.
        key: String,
        /// How often it was tried.
        attempts: u32,
    },
    /// A batch write kept coming back in part.
    #[error("{n_items} items of a batch were still unprocessed after {attempts} attempts")]
    Unprocessed {
        /// How many items were not written.
        n_items: usize,
        /// How often it was tried.
        attempts: u32,
    },
    /// More than an item may hold.
    #[error("item {key} would take {bytes} bytes, at most {bound}")]
    TooLarge {
        /// The partition key.
        key: String,
        /// Its size.
        bytes: usize,
        /// The most allowed.
        bound: usize,
    },
    /// An item that this version cannot read.
    #[error("item {key}: {problem}")]
    Corrupt {
        /// The partition key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A customer state that is not of this project's schema or version.
    #[error("item {key}: {source}")]
    State {
        /// The partition key.
        key: String,
        /// What the state says.
        source: StateError,
    },
    /// A call that will never work as it is: permission, validation.
    #[error("the store refused {operation} on table {table:?}: {cause}")]
    Refused {
        /// The call.
        operation: &'static str,
        /// The table.
        table: String,
        /// What the store said.
        cause: String,
    },
}

const THROTTLES: [&str; 3] =
    ["ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"];

/// Whether a conditional write found its condition false.
pub(super) fn is_conflict<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.as_service_error().and_then(ProvideErrorMetadata::code) == Some("ConditionalCheckFailedException")
}

impl StoreError {
    /// Names an SDK error of `operation` on `table`.
    pub(super) fn of<E, R>(operation: &'static str, table: &str, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        let cause = DisplayErrorContext(error).to_string();
        let table = table.to_owned();
        let code = match error {
            SdkError::ServiceError(service) => service.err().code().unwrap_or_default(),
            SdkError::ConstructionFailure(_) => return Self::Refused { operation, table, cause },
            _ => return Self::Unreachable { operation, table, cause },
        };
        match code {
            "ResourceNotFoundException" => Self::NoTable { table },
            "InternalServerError" | "ServiceUnavailable" | "InternalFailure" => {
                Self::Unreachable { operation, table, cause }
            }
            code if THROTTLES.contains(&code) => Self::Throttled { operation, table },
            _ => Self::Refused { operation, table, cause },
        }
    }

    pub(super) fn corrupt(key: &str, problem: impl Into<String>) -> Self {
        Self::Corrupt { key: key.to_owned(), problem: problem.into() }
    }

    /// Whether the store itself is away or overloaded, so that the same call may work later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::NoTable { .. }
                | Self::Throttled { .. }
                | Self::Contended { .. }
                | Self::Unprocessed { .. }
        )
    }
}
