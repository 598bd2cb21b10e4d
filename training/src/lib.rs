//! Offline jobs: event logs and tables in, sealed artifacts and reports out.

pub mod dataset;
pub mod event_log;
pub mod import;
pub mod simulate;

mod nearest;
