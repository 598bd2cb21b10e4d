//! The rows of a plain table, CSV(.gz) or Parquet, as texts: one cell per column, whatever the file.
//!
//! Stands on the reading of source files for imports. A CSV's separator is the one of `,` `;` tab and `|` that its
//! header has most of. A row of another width than the header, bytes that are no UTF-8 and a broken file are faults
//! with their place.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

use arrow::array::{Array, StringArray};
use nextbest_models::project::source::SourceFormat;

use super::error::TableError;
use crate::import::read::{self, BATCH_ROWS, Batch, SourceFile};
use crate::import::rows::texts;

/// A table that is being read.
pub(crate) struct TableFile {
    file: SourceFile,
    /// The columns' names; one without a name is called after its place.
    pub(crate) names: Vec<String>,
    /// Of a CSV, where it is not the comma.
    pub(crate) separator: Option<char>,
    /// The record that is being read.
    record: csv::ByteRecord,
}

/// Some rows of a table.
pub(crate) enum Rows {
    /// Of CSV.
    Csv(Records),
    /// Columns, and the number of the first row.
    Parquet(u64, Vec<StringArray>, usize),
}

/// Records of a CSV side by side: one text holds the cells of all, so that a record needs no memory of its own.
pub(crate) struct Records {
    lines: Vec<u64>,
    text: String,
    /// Where each cell ends, row by row.
    ends: Vec<usize>,
    /// Cells of a record.
    width: usize,
}

impl Records {
    fn cell(&self, at: usize, column: usize) -> Option<&str> {
        let cell = (column < self.width).then(|| at * self.width + column)?;
        let start = cell.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before))?;
        self.text.get(*start..*self.ends.get(cell)?)
    }
}

impl TableFile {
    /// Opens `path`.
    pub(crate) fn open(path: &Path) -> Result<Self, TableError> {
        let format = match read::format_of(path) {
            Ok(format @ (SourceFormat::Csv | SourceFormat::Parquet)) => format,
            _ => return Err(TableError::Format(path.to_owned())),
        };
        let separator = if format == SourceFormat::Csv { separator(&read::first_line(path)?) } else { ',' };
        let file = SourceFile::open(path, format, separator)?;
        let named = |(at, name): (usize, &String)| match name.as_str() {
            "" => format!("(unnamed column {})", at + 1),
            name => name.to_owned(),
        };
        let names: Vec<String> = file.header.iter().enumerate().map(named).collect();
        let mut seen = HashSet::new();
        if let Some(name) = names.iter().find(|name| !seen.insert(name.as_str())) {
            return Err(TableError::DuplicateColumn { path: path.to_owned(), column: name.clone() });
        }
        let separator = (separator != ',').then_some(separator);
        Ok(Self { file, names, separator, record: csv::ByteRecord::new() })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.file.path
    }

    fn rows(&self, batch: Batch) -> Result<Option<Rows>, TableError> {
        // Records are read one by one, and no table is opened as lines.
        let Batch::Columns(first, batch) = batch else { return Ok(None) };
        let texts = texts(&batch)
            .map_err(|source| TableError::Texts { path: self.path().clone(), source: Box::new(source) })?;
        Ok(Some(Rows::Parquet(first, texts, batch.num_rows())))
    }

    /// The next records; none behind the last.
    fn records(&mut self) -> Result<Option<Rows>, TableError> {
        let width = self.names.len();
        let mut all = Records { lines: Vec::new(), text: String::new(), ends: Vec::new(), width };
        while all.lines.len() < BATCH_ROWS {
            let Some(row) = self.file.record(&mut self.record)? else { break };
            let (record, path) = (&self.record, self.path());
            if record.len() != width {
                let (path, found, expected) = (path.clone(), record.len(), width);
                return Err(TableError::Ragged { path, row, found, expected });
            }
            let start = all.text.len();
            all.text.push_str(self.text(row)?);
            all.lines.push(row);
            all.ends.extend((0..width).filter_map(|at| Some(start + record.range(at)?.end)));
        }
        Ok((!all.lines.is_empty()).then_some(Rows::Csv(all)))
    }

    /// The record that was read, its cells without anything between; an error where one is no UTF-8.
    fn text(&self, row: u64) -> Result<&str, TableError> {
        let bytes = self.record.as_slice();
        // Cells that are none by themselves may make UTF-8 together.
        let is_text = |cell: &[u8]| std::str::from_utf8(cell).is_ok();
        let faulty = if bytes.is_ascii() { None } else { self.record.iter().position(|cell| !is_text(cell)) };
        match (std::str::from_utf8(bytes), faulty) {
            (Ok(text), None) => Ok(text),
            (_, faulty) => {
                let field = faulty.unwrap_or(0);
                let text = String::from_utf8_lossy(self.record.get(field).unwrap_or_default()).into_owned();
                let column = self.names.get(field).cloned().unwrap_or_default();
                let fault = format!("{text:?} is not UTF-8");
                Err(TableError::Cell { path: self.path().clone(), row, column, fault })
            }
        }
    }
}

impl Iterator for TableFile {
    type Item = Result<Rows, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.file.format == SourceFormat::Csv {
            return self.records().transpose();
        }
        let batch = self.file.next()?;
        batch.map_err(TableError::from).and_then(|batch| self.rows(batch)).transpose()
    }
}

impl Rows {
    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Csv(records) => records.lines.len(),
            Self::Parquet(_, _, n_rows) => *n_rows,
        }
    }

    /// Where row `at` stands in the file: its line (CSV) or number (Parquet).
    pub(crate) fn place(&self, at: usize) -> u64 {
        match self {
            Self::Csv(records) => records.lines.get(at).copied().unwrap_or(0),
            Self::Parquet(first, ..) => first + at as u64,
        }
    }

    /// A cell, without the blanks around it.
    pub(crate) fn cell(&self, at: usize, column: usize) -> &str {
        let text = match self {
            Self::Csv(records) => records.cell(at, column),
            Self::Parquet(_, columns, _) => {
                columns.get(column).filter(|cells| cells.is_valid(at)).map(|cells| cells.value(at))
            }
        };
        text.unwrap_or_default().trim()
    }
}

/// The candidate that a header has most of, outside quotes; a comma where it has none.
fn separator(header: &[u8]) -> char {
    let mut quoted = false;
    let bare = header.iter().filter(|&&byte| {
        quoted ^= byte == b'"';
        !quoted
    });
    let bare: Vec<u8> = bare.copied().collect();
    let count = |separator: char| bare.iter().filter(|&&byte| char::from(byte) == separator).count();
    // The last of equals wins: the comma, then the semicolon.
    ['|', '\t', ';', ','].into_iter().max_by_key(|&separator| count(separator)).unwrap_or(',')
}

/// What a separator is called.
pub(crate) fn separator_name(separator: char) -> Cow<'static, str> {
    if separator == '\t' { Cow::Borrowed("tab") } else { Cow::Owned(format!("{separator:?}")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn file(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (dir, path)
    }

    fn cells(path: &Path) -> Result<Vec<Vec<String>>, TableError> {
        let table = TableFile::open(path)?;
        let width = table.names.len();
        let mut all = vec![table.names.clone()];
        for rows in table {
            let rows = rows?;
            let row = |at| (0..width).map(|column| rows.cell(at, column).to_owned()).collect();
            all.extend((0..rows.len()).map(row));
        }
        Ok(all)
    }

    fn fault(name: &str, bytes: &[u8]) -> String {
        let (_dir, path) = file(name, bytes);
        let fault = cells(&path).unwrap_err().to_string();
        fault.replace(&path.display().to_string(), name)
    }

    #[test]
    fn a_separator_is_taken_from_the_header() {
        for (text, expected) in
            [("a,b", ','), ("a;b,c;d", ';'), ("\"a;b;c\",d", ','), ("a\tb", '\t'), ("a", ',')]
        {
            assert_eq!(separator(text.as_bytes()), expected, "{text}");
        }
        let (_dir, path) = file("t.csv", b"\xef\xbb\xbfa;;b\r\n 1 ;2;\"x;y\"\r\n");
        assert_eq!(
            cells(&path).unwrap(),
            [["a", "(unnamed column 2)", "b"].map(str::to_owned), ["1", "2", "x;y"].map(str::to_owned)]
        );
    }

    #[test]
    fn faults_name_file_row_and_column() {
        assert_eq!(fault("t.csv", b"a,b\n1,2\n1\n"), "t.csv:3: 1 cells under a header of 2");
        assert_eq!(fault("t.csv", b"a,b\n1,2\n1,\xff\n"), "t.csv:3:b: \"\u{fffd}\" is not UTF-8");
        assert_eq!(fault("t.csv", b"a,a\n1,2\n"), "t.csv:1: two columns are named \"a\"");
        assert_eq!(fault("t.csv", b""), "t.csv: is empty: not even a header");
        assert_eq!(
            fault("t.json", b"{}"),
            "t.json: a table is CSV (.csv .tsv .txt), plain or gzipped, or Parquet"
        );
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        let rows: Vec<String> = (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_string()).collect();
        packed.write_all(format!("a\n{}\n", rows.join("\n")).as_bytes()).unwrap();
        let packed = packed.finish().unwrap();
        let broken = fault("t.csv.gz", &packed[..packed.len() / 2]);
        assert!(
            broken.starts_with("t.csv.gz:") && broken.contains("cannot be read on after this row"),
            "{broken}"
        );
    }
}
