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
use crate::import::read::{self, Batch, SourceFile};
use crate::import::rows::texts;

/// A table that is being read.
pub(crate) struct TableFile {
    file: SourceFile,
    /// The columns' names; one without a name is called after its place.
    pub(crate) names: Vec<String>,
    /// Of a CSV, where it is not the comma.
    pub(crate) separator: Option<char>,
}

/// Some rows of a table.
pub(crate) enum Rows {
    /// With their lines.
    Csv(Vec<(u64, csv::StringRecord)>),
    /// Columns, and the number of the first row.
    Parquet(u64, Vec<StringArray>, usize),
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
        Ok(Self { file, names, separator: (separator != ',').then_some(separator) })
    }

    /// Where it lies.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.file.path
    }

    fn rows(&self, batch: Batch) -> Result<Rows, TableError> {
        match batch {
            Batch::Records(records) => {
                let checked = records.into_iter().map(|(row, record)| Ok((row, self.checked(row, record)?)));
                Ok(Rows::Csv(checked.collect::<Result<_, TableError>>()?))
            }
            Batch::Columns(first, batch) => {
                let texts = texts(&batch).map_err(|source| TableError::Texts {
                    path: self.path().clone(),
                    source: Box::new(source),
                })?;
                Ok(Rows::Parquet(first, texts, batch.num_rows()))
            }
            // No table is opened as lines.
            Batch::Lines(_) => Ok(Rows::Csv(Vec::new())),
        }
    }

    fn checked(&self, row: u64, record: csv::ByteRecord) -> Result<csv::StringRecord, TableError> {
        if record.len() != self.names.len() {
            let (found, expected) = (record.len(), self.names.len());
            return Err(TableError::Ragged { path: self.path().clone(), row, found, expected });
        }
        csv::StringRecord::from_byte_record(record).map_err(|error| {
            let field = error.utf8_error().field();
            let record = error.into_byte_record();
            let text = String::from_utf8_lossy(record.get(field).unwrap_or_default()).into_owned();
            let column = self.names.get(field).cloned().unwrap_or_default();
            let fault = format!("{text:?} is not UTF-8");
            TableError::Cell { path: self.path().clone(), row, column, fault }
        })
    }
}

impl Iterator for TableFile {
    type Item = Result<Rows, TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let batch = self.file.next()?;
        Some(batch.map_err(TableError::from).and_then(|batch| self.rows(batch)))
    }
}

impl Rows {
    /// How many rows.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Csv(records) => records.len(),
            Self::Parquet(_, _, n_rows) => *n_rows,
        }
    }

    /// Where row `at` stands in the file: its line (CSV) or number (Parquet).
    pub(crate) fn place(&self, at: usize) -> u64 {
        match self {
            Self::Csv(records) => records.get(at).map_or(0, |(row, _)| *row),
            Self::Parquet(first, ..) => first + at as u64,
        }
    }

    /// A cell, without the blanks around it.
    pub(crate) fn cell(&self, at: usize, column: usize) -> &str {
        let text = match self {
            Self::Csv(records) => records.get(at).and_then(|(_, record)| record.get(column)),
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
