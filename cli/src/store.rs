//! Which store a command speaks to: the endpoint of the environment, else the embedded one of the project folder.

use std::time::Duration;

use nextbest_functions::store::Store;

use crate::embedded::Embedded;
use crate::exit::Failure;
use crate::folder::Folder;

/// The name of the table, unless the environment says otherwise.
const TABLE: &str = "nextbest";

/// What a command says of its store.
#[derive(clap::Args, Clone, Debug)]
pub struct StoreArgs {
    /// DynamoDB endpoint; without it the project's embedded store is used.
    #[arg(long, env = "AWS_ENDPOINT_URL", value_name = "URL")]
    endpoint: Option<String>,
    /// The table.
    #[arg(long, env = "NEXTBEST_TABLE", default_value = TABLE)]
    pub table: String,
}

/// An open store; the embedded server, if it is one, runs as long as this lives.
pub struct OpenStore {
    /// The table.
    pub store: Store,
    /// Where it answers, for people.
    pub place: String,
    _embedded: Option<Embedded>,
}

impl StoreArgs {
    /// The project's own embedded store.
    pub fn embedded() -> Self {
        Self { endpoint: None, table: TABLE.to_owned() }
    }

    /// Whether it is the project's own.
    pub const fn is_embedded(&self) -> bool {
        self.endpoint.is_none()
    }

    /// Opens the store; the embedded one gets its table when it is new.
    pub async fn open(&self, folder: &Folder) -> Result<OpenStore, Failure> {
        self.open_swept(folder, None).await
    }

    /// The same; what has expired by the machine's clock leaves the embedded one once every `sweep`, as it leaves DynamoDB by
    /// itself.
    pub async fn open_swept(&self, folder: &Folder, sweep: Option<Duration>) -> Result<OpenStore, Failure> {
        if let Some(endpoint) = &self.endpoint {
            let store = Store::from_env(&self.table, Some(endpoint)).await;
            store.warm().await?;
            return Ok(OpenStore { store, place: endpoint.clone(), _embedded: None });
        }
        let database = folder.database();
        let embedded = Embedded::start(&database, sweep)?;
        let store = Store::local(embedded.endpoint(), &self.table);
        store.create_table().await?;
        Ok(OpenStore { store, place: database.display().to_string(), _embedded: Some(embedded) })
    }
}
