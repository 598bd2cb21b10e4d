//! Snapshots of two series, customers at risk and the hopper's contacts: pages of 50 rows in one or several orders, a
//! header, and a pointer to the newest that is written last.
//!
//! A reader that holds a snapshot id sees that snapshot to its end, whatever is built meanwhile; one that holds none
//! starts at the pointer. A page is one packed item of its own partition, so that it costs the same at any size of the
//! snapshot, and no partition has to take all the writes.

use std::io::{Read as _, Write as _};

use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Store;
use super::decisions::read_json;
use super::error::{StoreError, is_conflict};
use super::item::{
    Attributes, DOCUMENT, Item, PACKED, PK, SNAPSHOT_ID, VERSION, WRITER, key, live, read_bytes, read_number,
    read_text,
};
use crate::clock::Clock;

/// Rows on one page of a snapshot.
pub const PAGE_SIZE: usize = 50;

const HEADER: &str = "header";
const CURRENT: &str = "current";
const BUILDING: &str = "building";
/// Pages of one partition.
const SHARD_PAGES: usize = 50;
/// Most bytes that a page unpacks to: some hundred times a page as it is.
const MAX_UNPACKED: u64 = 16 << 20;

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

/// What came of writing the record of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildRecord {
    /// It is written, as this version.
    Kept(i64),
    /// Another run wrote it meanwhile.
    Taken,
    /// Somebody deleted it.
    Gone,
}

/// The rows of a snapshot in one of its orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing<'a> {
    /// What it is of.
    pub series: Series,
    /// Which.
    pub snapshot_id: &'a str,
    /// The order's name.
    pub order: &'a str,
}

impl Listing<'_> {
    fn keys(&self, page: usize) -> (String, String) {
        let partition = self.series.partition(self.snapshot_id);
        (format!("{partition}#{}#{}", self.order, page / SHARD_PAGES), format!("page#{page:07}"))
    }
}

impl Store {
    /// Writes `rows` as pages of `listing` from page `first` on, kept until `expires_at_seconds`; all but the last page of a
    /// listing are full. Returns how many pages they took.
    pub async fn put_pages<T: Serialize>(
        &self,
        listing: Listing<'_>,
        first: usize,
        rows: &[T],
        expires_at_seconds: i64,
    ) -> Result<usize, StoreError> {
        let pages = (first..).zip(rows.chunks(PAGE_SIZE));
        let items: Vec<_> = pages
            .map(|(page, rows)| page_item(listing, page, rows, expires_at_seconds))
            .collect::<Result<_, _>>()?;
        let n_pages = items.len();
        self.write_all(items).await?;
        Ok(n_pages)
    }

    /// Writes `rows`, however many, as the one page of `listing`: what belongs together, as a curve does.
    pub async fn put_page<T: Serialize>(
        &self,
        listing: Listing<'_>,
        rows: &[T],
        expires_at_seconds: i64,
    ) -> Result<(), StoreError> {
        self.write_all(vec![page_item(listing, 0, rows, expires_at_seconds)?]).await.map(|_| ())
    }

    /// Writes the header of a snapshot whose pages are there, and makes it the newest: until then nobody sees it.
    pub async fn publish_snapshot<H: Serialize>(
        &self,
        series: Series,
        snapshot_id: &str,
        header: &H,
        expires_at_seconds: i64,
    ) -> Result<(), StoreError> {
        let partition = series.partition(snapshot_id);
        let header = Item::new(&partition, HEADER).text(DOCUMENT, to_json(&partition, header)?);
        self.write_all(vec![header.expires(expires_at_seconds).build()?]).await?;
        let pointer = Item::new(series.name(), CURRENT).text(SNAPSHOT_ID, snapshot_id).build()?;
        let request = self.client.put_item().table_name(&self.table).set_item(Some(pointer));
        request.send().await.map(|_| ()).map_err(|error| self.named("PutItem", &error))
    }

    /// The record of a build that is under way or was left, and its version; the record is none where it is of another form.
    pub async fn build_record<R: DeserializeOwned>(
        &self,
        series: Series,
    ) -> Result<Option<(Option<R>, i64)>, StoreError> {
        let item = self.read_checked(BUILDING, series.name()).await?;
        item.map(|item| Ok((read_json(&item).ok(), read_number(&item, VERSION)?))).transpose()
    }

    /// Writes the record of a build for `run`, in place of version `before`, or as the first.
    pub async fn keep_build_record<R: Serialize>(
        &self,
        series: Series,
        record: &R,
        run: &str,
        before: Option<i64>,
        expires_at_seconds: i64,
    ) -> Result<BuildRecord, StoreError> {
        // The first is numbered by the clock, so that a record that was deleted lends its numbers to no other.
        let version = before.map_or_else(|| Clock::system().now().as_millis(), |before| before + 1);
        let item = Item::new(BUILDING, series.name())
            .text(DOCUMENT, to_json(series.name(), record)?)
            .text(WRITER, run)
            .number(VERSION, version);
        let item = item.expires(expires_at_seconds).build()?;
        if self.write_if_version(item, before.unwrap_or(0)).await? {
            return Ok(BuildRecord::Kept(version));
        }
        // An answer that was lost on the way is given again as a conflict with ourselves.
        let Some(item) = self.read_checked(BUILDING, series.name()).await? else {
            return Ok(BuildRecord::Gone);
        };
        let ours = read_text(&item, WRITER)? == run && read_number(&item, VERSION)? == version;
        Ok(if ours { BuildRecord::Kept(version) } else { BuildRecord::Taken })
    }

    /// Deletes the record of a build, whoever wrote it.
    pub async fn forget_build(&self, series: Series) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request.set_key(Some(key(BUILDING, series.name())));
        request.send().await.map(|_| ()).map_err(|error| self.named("DeleteItem", &error))
    }

    /// The same, if it is still of this version.
    pub async fn forget_build_at(&self, series: Series, version: i64) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table);
        let request = request
            .set_key(Some(key(BUILDING, series.name())))
            .condition_expression("#version = :version")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_values(":version", AttributeValue::N(version.to_string()));
        match request.send().await {
            Err(error) if !is_conflict(&error) => Err(self.named("DeleteItem", &error)),
            _ => Ok(()),
        }
    }

    /// The id of the newest complete snapshot.
    pub async fn current_snapshot(&self, series: Series) -> Result<Option<String>, StoreError> {
        let item = self.read_checked(series.name(), CURRENT).await?;
        item.map(|item| read_text(&item, SNAPSHOT_ID).map(str::to_owned)).transpose()
    }

    /// The header of a snapshot; none when there is no such snapshot or its time is over.
    pub async fn snapshot_header<H: DeserializeOwned>(
        &self,
        series: Series,
        snapshot_id: &str,
        now_seconds: i64,
    ) -> Result<Option<H>, StoreError> {
        let item = self.read_checked(&series.partition(snapshot_id), HEADER).await?;
        live(item, now_seconds)?.as_ref().map(read_json).transpose()
    }

    /// Page `page` (from 0) of a listing; none behind the last.
    pub async fn snapshot_page<T: DeserializeOwned>(
        &self,
        listing: Listing<'_>,
        page: usize,
    ) -> Result<Option<SnapshotPage<T>>, StoreError> {
        let (pk, sk) = listing.keys(page);
        self.read_checked(&pk, &sk).await?.as_ref().map(unpacked).transpose()
    }

    async fn read_checked(&self, pk: &str, sk: &str) -> Result<Option<Attributes>, StoreError> {
        let item = self.read(pk, sk).await?;
        item.map(|item| super::item::check_format(&item).map(|()| item)).transpose()
    }
}

fn page_item<T: Serialize>(
    listing: Listing<'_>,
    page: usize,
    rows: &[T],
    expires_at_seconds: i64,
) -> Result<Attributes, StoreError> {
    let (pk, sk) = listing.keys(page);
    let packed = pack(to_json(&pk, rows)?.as_bytes());
    let packed = packed.map_err(|error| StoreError::corrupt(&pk, error.to_string()))?;
    Item::new(&pk, &sk).bytes(PACKED, packed).expires(expires_at_seconds).build()
}

fn pack(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes)?;
    packer.finish()
}

fn unpacked<T: DeserializeOwned>(item: &Attributes) -> Result<T, StoreError> {
    let corrupt = |problem: String| StoreError::corrupt(read_text(item, PK).unwrap_or("?"), problem);
    let mut bytes = Vec::new();
    let mut unpacker = DeflateDecoder::new(read_bytes(item, PACKED)?).take(MAX_UNPACKED);
    unpacker
        .read_to_end(&mut bytes)
        .map_err(|error| corrupt(format!("the page does not unpack: {error}")))?;
    serde_json::from_slice(&bytes).map_err(|error| corrupt(format!("the page is no JSON: {error}")))
}

fn to_json<T: Serialize + ?Sized>(key: &str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::corrupt(key, error.to_string()))
}
