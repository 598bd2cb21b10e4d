//! What every report of a project takes, and how it is handed over: a page beside the artifacts, a table or JSON.

use std::path::PathBuf;

use nextbest_models::units::Timestamp;
use nextbest_training::event_log::EventLog;
use nextbest_training::seal;
use serde::Serialize;

use crate::exit::{Failure, Outcome, say};
use crate::folder::Folder;
use crate::load::present;

/// Of which project, as of when, and where to.
#[derive(Clone, Debug, clap::Args)]
pub struct PageArgs {
    /// The project folder, with an event log
    #[arg(long, default_value = "examples/shop", value_name = "DIR")]
    project: PathBuf,
    /// Only what was known before this moment. Default: the end of the log
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
    /// Where the page goes. Default: beside the artifacts
    #[arg(long, value_name = "FILE.html")]
    out: Option<PathBuf>,
    /// Print the report as JSON instead of a table
    #[arg(long)]
    json: bool,
}

impl PageArgs {
    /// The project.
    pub fn folder(&self) -> Result<Folder, Failure> {
        Folder::open(&self.project)
    }

    /// The moment of the report: that asked for, or the end of `log`.
    pub fn as_of(&self, log: &EventLog) -> Result<Timestamp, Failure> {
        self.as_of.map_or_else(|| present(log), Ok)
    }

    /// Writes `html`, under `name` beside the artifacts unless it goes elsewhere, and tells `report`.
    pub fn hand_over<R: Serialize>(
        &self,
        folder: &Folder,
        name: &str,
        html: &str,
        report: &R,
        table: impl FnOnce(&R) -> String,
    ) -> Outcome {
        let path = self.out.clone().unwrap_or_else(|| folder.artifacts().join(name));
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        seal::place(&path, html.as_bytes())?;
        if self.json {
            say!("{}", serde_json::to_string_pretty(report)?);
        } else {
            say!("{}\n{}", table(report), path.display());
        }
        Ok(())
    }
}
