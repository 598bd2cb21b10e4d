//! The training report as a page: one self-contained HTML file.

use crate::train::TrainingReport;

/// The page of `report`.
#[must_use]
pub fn html(report: &TrainingReport) -> String {
    format!("<!doctype html><title>{}</title><h1>{}</h1>", report.name, report.name)
}
