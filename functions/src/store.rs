//! The store: one DynamoDB table, reached only through the AWS SDK.
//!
//! On one machine the endpoint is an embedded compatible server, in a company it is DynamoDB; nothing here knows the
//! difference. This folder is the only place that spells an attribute name. Writes that race are conditional, every
//! item carries a format version, and what may expire a TTL. Every call ends within [`CALL_LIMIT`].
//!
//! ```text
//! customer#ID  state      state B, version N, schema S, writer S, reserved S      visitor#ID alike
//! stages#ID    stage#DAY#STAGE        document S (a stage_changed event)
//! decision#ID  log        document S, customer_id S       outcome#EVENT   document S
//! budget#ID    PERIOD     contacts N, cost_minor N, held_contacts_SLOT N, held_cost_SLOT N
//! quote#ID     quote      document S, redemption S
//! ledger#SKU   MARKET#CHANNEL        document S, version N
//! locks#HOLDER locks      document S, version N
//! orders#SKU   hour#NNNNNNN          units N
//! snapshot#ID  header     document S
//! snapshot#ID#ORDER#SHARD page#NNNNNNN        packed B (50 customers)
//! snapshot     current    snapshot_id S
//! building     snapshot   document S, version N, writer S         (a build that is under way)
//! hopper#ID    header     document S
//! hopper#ID#ORDER#SHARD   page#NNNNNNN        packed B (50 contacts)
//! hopper       current    snapshot_id S
//! export#ID    export     document S (who pulled what)
//! erased       SHA256     erased_at S (of a customer's id: hidden from snapshots built before)
//! beliefs      current    document S
//! answer#HASH  answer     body_sha256 S, status N, document S, token S    (Idempotency-Key)
//! ```

mod answers;
mod batching;
mod beliefs;
mod budgets;
mod bulk;
mod calls;
mod customers;
mod decisions;
mod erasures;
mod error;
mod exports;
mod item;
mod orders;
mod partition;
mod prices;
mod quotes;
mod reservations;
mod retry;
mod scan;
mod snapshots;
mod stages;
mod table;

use std::net::IpAddr;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{
    BehaviorVersion, Builder, Credentials, Region, StalledStreamProtectionConfig,
};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use axum::http::Uri;

pub use answers::{Claim, StoredAnswer};
pub use budgets::{BudgetState, Draw, Limit, Taking};
pub use bulk::Loaded;
use calls::Together;
pub use customers::{CustomerScan, Folded, StoredCustomer, Subject};
pub use decisions::{DecisionScan, LogEntry, LogItem, LoggedDecision};
pub use erasures::Erasures;
pub use error::StoreError;
pub use item::MAX_ITEM_BYTES;
pub use orders::{KEEP_HOURS, Orders};
pub use prices::{Change, Holder, LedgerKey, PriceBook, Versioned};
pub use quotes::{QuoteEntry, QuoteScan, Redeemed, StoredQuote};
pub use reservations::{Committed, Hold, Reservation};
pub use snapshots::{BuildRecord, Listing, PAGE_SIZE, Series, SnapshotPage};

/// Longest that one call of the SDK lasts, retries included.
pub const CALL_LIMIT: Duration = Duration::from_secs(4);
/// Longest that one attempt of a call lasts.
pub const ATTEMPT_LIMIT: Duration = Duration::from_secs(2);

/// The table, through one client and its pool of connections.
#[derive(Clone, Debug)]
pub struct Store {
    client: Client,
    table: String,
    /// Where a call costs more to make than to answer.
    together: Option<Together>,
}

impl Store {
    /// The store of the environment: region, credentials and `AWS_ENDPOINT_URL` as every AWS SDK reads them; `endpoint` goes
    /// before that variable.
    pub async fn from_env(table: &str, endpoint: Option<&str>) -> Self {
        let shared = aws_config::defaults(BehaviorVersion::v2026_01_12()).load().await;
        let builder = Builder::from(&shared);
        let builder = match endpoint {
            Some(endpoint) => builder.endpoint_url(endpoint),
            None => builder,
        };
        Self::new(builder, table, endpoint.or(shared.endpoint_url()))
    }

    /// A store at a local `endpoint` such as `http://127.0.0.1:8000`, with the fixed credentials such servers take.
    #[must_use]
    pub fn local(endpoint: &str, table: &str) -> Self {
        let builder = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("local", "local", None, None, "local server"))
            .endpoint_url(endpoint);
        Self::new(builder, table, Some(endpoint))
    }

    fn new(builder: Builder, table: &str, endpoint: Option<&str>) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(1000))
            .operation_attempt_timeout(ATTEMPT_LIMIT)
            .operation_timeout(CALL_LIMIT)
            .build();
        let retries = RetryConfig::standard()
            .with_max_attempts(4)
            .with_initial_backoff(Duration::from_millis(25))
            .with_max_backoff(Duration::from_millis(500));
        // Items are small, and an attempt ends by its own limit.
        let unmeasured = StalledStreamProtectionConfig::disabled();
        let builder = builder.timeout_config(timeouts).retry_config(retries);
        let config = builder.stalled_stream_protection(unmeasured).build();
        let alone = Self { client: Client::from_conf(config), table: table.to_owned(), together: None };
        let together =
            endpoint.filter(|endpoint| is_on_this_machine(endpoint)).map(|_| Together::over(&alone));
        Self { together, ..alone }
    }

    fn named<E, R>(&self, operation: &'static str, error: &SdkError<E, R>) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        StoreError::of(operation, &self.table, error)
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }
}

/// Whether `endpoint` is an address of the loopback.
fn is_on_this_machine(endpoint: &str) -> bool {
    let uri = endpoint.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).map(|host| host.trim_matches(['[', ']']));
    host.is_some_and(|host| {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_on_this_machine() {
        for endpoint in ["http://127.0.0.1:8000", "http://localhost:8000/", "http://[::1]:8000"] {
            assert!(is_on_this_machine(endpoint), "{endpoint}");
        }
        for endpoint in
            ["https://dynamodb.eu-west-1.amazonaws.com", "http://10.0.0.7:8000", "localhost.example", ""]
        {
            assert!(!is_on_this_machine(endpoint), "{endpoint}");
        }
    }
}
