//! Snapshots of two series, customers at risk and the hopper's contacts: pages of 100 rows, a header, and a pointer to the
//! newest that is written last.
//!
//! A reader that holds a snapshot id sees that snapshot to its end, whatever is built meanwhile; one that holds none
//! starts at the pointer. Pages are few larger items, which are cheaper to write and read than many small ones.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Store;
use super::decisions::read_json;
use super::error::StoreError;
use super::item::{DOCUMENT, Item, SNAPSHOT_ID, key, live, read_text};

/// Rows on one page of a snapshot.
pub const PAGE_SIZE: usize = 100;

const HEADER: &str = "header";
const CURRENT: &str = "current";

/// One page.
pub type SnapshotPage<T> = Vec<T>;

/// What a snapshot is of; each has a pointer of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Series {
    /// Customers at risk.
    AtRisk,
    /// Contacts to be made.
    Hopper,
}

impl Series {
    const fn name(self) -> &'static str {
        match self {
            Self::AtRisk => "snapshot",
            Self::Hopper => "hopper",
        }
    }

    fn partition(self, snapshot_id: &str) -> String {
        format!("{}#{snapshot_id}", self.name())
    }
}

fn page_key(page: usize) -> String {
    format!("page#{page:04}")
}

impl Store {
    /// Writes a snapshot of `rows` in their order, kept until `expires_at_seconds`; the pointer moves last, so a
    /// snapshot that fails half way is never seen. Returns the number of pages.
    pub async fn put_snapshot<T: Serialize, H: Serialize>(
        &self,
        series: Series,
        snapshot_id: &str,
        header: &H,
        rows: &[T],
        expires_at_seconds: i64,
    ) -> Result<usize, StoreError> {
        let partition = series.partition(snapshot_id);
        let mut items = Vec::new();
        for (page, rows) in rows.chunks(PAGE_SIZE).enumerate() {
            let document = to_json(&partition, &rows)?;
            let item = Item::new(&partition, &page_key(page)).text(DOCUMENT, document);
            items.push(item.expires(expires_at_seconds).build()?);
        }
        let n_pages = items.len();
        let header = Item::new(&partition, HEADER).text(DOCUMENT, to_json(&partition, header)?);
        items.push(header.expires(expires_at_seconds).build()?);
        self.write_all(items).await?;
        let pointer = Item::new(series.name(), CURRENT).text(SNAPSHOT_ID, snapshot_id).build()?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(pointer));
        request.send().await.map_err(|error| self.named("PutItem", &error))?;
        Ok(n_pages)
    }

    /// The id of the newest complete snapshot.
    pub async fn current_snapshot(&self, series: Series) -> Result<Option<String>, StoreError> {
        let item = self.read(series.name(), CURRENT).await?;
        item.map(|item| read_text(&item, SNAPSHOT_ID).map(str::to_owned)).transpose()
    }

    /// The header of a snapshot; none when there is no such snapshot or its time is over.
    pub async fn snapshot_header<H: DeserializeOwned>(
        &self,
        series: Series,
        snapshot_id: &str,
        now_seconds: i64,
    ) -> Result<Option<H>, StoreError> {
        let item = self.read(&series.partition(snapshot_id), HEADER).await?;
        live(item, now_seconds)?.as_ref().map(read_json).transpose()
    }

    /// Page `page` (from 0) of a snapshot; none behind the last.
    pub async fn snapshot_page<T: DeserializeOwned>(
        &self,
        series: Series,
        snapshot_id: &str,
        page: usize,
    ) -> Result<Option<SnapshotPage<T>>, StoreError> {
        let item = self.read(&series.partition(snapshot_id), &page_key(page)).await?;
        item.as_ref().map(read_json).transpose()
    }

    async fn read(&self, pk: &str, sk: &str) -> Result<Option<super::item::Attributes>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = request.set_key(Some(key(pk, sk))).send().await;
        let item = answer.map_err(|error| self.named("GetItem", &error))?.item;
        item.map(|item| super::item::check_format(&item).map(|()| item)).transpose()
    }
}

fn to_json<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(key, error.to_string()))
}
