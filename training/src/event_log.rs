//! The event log: events in Parquet, in a fixed number of buckets by a stable hash of the customer.
//!
//! Every offline job reads events from here, one independent task per bucket. The log is written whole and renamed
//! into place; nothing may write into a log that stands.

pub mod columns;
