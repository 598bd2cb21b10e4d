//! Faulty rows: which file, which row, which column, what value, what bound.
//!
//! Faults are collected while the rest is read, all of them counted, the first ones kept, each one written to the
//! file of rejects where one is asked for. A faulty row is never repaired.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Faults a report names.
pub const MAX_NAMED_FAULTS: usize = 1000;

/// Why one row was rejected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RowFault {
    /// The file as it was named by the caller.
    pub file: String,
    /// The line of a text file (its header is line 1), the row of a Parquet file (from 1).
    pub row: u64,
    /// The column or columns, where the fault has one.
    pub column: String,
    /// Stable, for programs: `ragged`, `not_utf8`, `bad_json`, `wrong_type`, `unknown_type`, `unknown_value`,
    /// `out_of_range`, `negative_quantity`, `currency_mismatch`, `missing`, `too_long`, `too_many`, `bad_id`.
    pub code: String,
    /// The value, and what is allowed.
    pub message: String,
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.file, self.row)?;
        if !self.column.is_empty() {
            write!(f, "{}:", self.column)?;
        }
        write!(f, " {}", self.message)
    }
}

/// A fault of a row that does not know yet where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CellFault {
    pub(crate) code: String,
    pub(crate) column: String,
    pub(crate) message: String,
}

impl CellFault {
    pub(crate) fn new(code: &str, column: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), column: column.into(), message: message.into() }
    }

    pub(crate) fn at(self, file: &str, row: u64) -> RowFault {
        RowFault { file: file.to_owned(), row, column: self.column, code: self.code, message: self.message }
    }
}

/// A file of rejects that could not be written, and why.
pub(crate) type FileFault = (PathBuf, io::Error);

/// The faults of a whole import.
pub(crate) struct Faults {
    pub(crate) by_code: BTreeMap<String, u64>,
    /// The first of them, by file and row.
    pub(crate) first: Vec<RowFault>,
}

/// The faults of an import so far.
pub(crate) struct FaultLog {
    pub(crate) n: u64,
    pub(crate) by_code: BTreeMap<String, u64>,
    /// The first by file and row, whatever order they came in.
    first: BTreeMap<(u64, String), RowFault>,
    rejects: Option<(PathBuf, csv::Writer<File>)>,
}

impl FaultLog {
    /// A log that also writes each fault into the CSV file `rejects`.
    pub(crate) fn new(rejects: Option<&Path>) -> Result<Self, FileFault> {
        let open = |path: &Path| {
            let at = |error| (path.to_owned(), error);
            let mut writer = csv::Writer::from_writer(File::create(path).map_err(at)?);
            let header = writer.write_record(["file", "row", "column", "code", "message"]);
            header.map_err(|e| (path.to_owned(), e.into()))?;
            Ok((path.to_owned(), writer))
        };
        let rejects = rejects.map(open).transpose()?;
        Ok(Self { n: 0, by_code: BTreeMap::new(), first: BTreeMap::new(), rejects })
    }

    pub(crate) fn add(&mut self, fault: RowFault) -> Result<(), FileFault> {
        self.n += 1;
        *self.by_code.entry(fault.code.clone()).or_default() += 1;
        if let Some((path, writer)) = &mut self.rejects {
            let row = fault.row.to_string();
            let record = [&fault.file, &row, &fault.column, &fault.code, &fault.message];
            writer.write_record(record).map_err(|e| (path.clone(), e.into()))?;
        }
        self.first.insert((fault.row, fault.file.clone()), fault);
        if self.first.len() > MAX_NAMED_FAULTS {
            self.first.pop_last();
        }
        Ok(())
    }

    /// The counts and the first faults by file and row, after the file of rejects was flushed.
    pub(crate) fn finish(mut self) -> Result<Faults, FileFault> {
        if let Some((path, mut writer)) = self.rejects.take() {
            writer.flush().map_err(|e| (path, e))?;
        }
        let mut first: Vec<_> = self.first.into_values().collect();
        first.sort();
        Ok(Faults { by_code: self.by_code, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_faults_are_kept_whatever_order_they_come_in() {
        let mut log = FaultLog::new(None).unwrap();
        for row in (1..=2000).rev() {
            log.add(CellFault::new("wrong_type", "Price", "x").at("a.csv", row)).unwrap();
        }
        assert_eq!(log.n, 2000);
        let Faults { by_code, first } = log.finish().unwrap();
        assert_eq!(by_code["wrong_type"], 2000);
        assert_eq!(first.len(), MAX_NAMED_FAULTS);
        assert_eq!(first[0].to_string(), "a.csv:1:Price: x");
        assert_eq!(first[999].row, 1000);
    }
}
