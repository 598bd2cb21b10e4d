//! Which source takes a file, and how its columns are bound to it.
//!
//! The first source with a pattern that fits the file's name takes it; where none does, a file that has the wire's
//! own columns (`event_id`, `type`, `occurred_at` and others) maps itself. Columns are bound before a row is read,
//! but those of JSON lines, which have no header: there a column that never occurs is an error at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nextbest_models::project::source::{Cell, ReferenceCells, Source, SourceFormat};

use crate::event_log::columns;
use crate::import::mapping::{Mapping, MappingError, Terms};
use crate::import::read::{self, SourceFile};
use crate::import::report::FileCount;
use crate::import::rows::Understanding;
use crate::import::{ImportError, Rules};
use crate::nearest::nearest;

/// A file with its columns bound, ready to be read.
pub(crate) struct Opened {
    pub(crate) file: SourceFile,
    pub(crate) understanding: Understanding,
    source: Option<Source>,
    sha256: String,
}

/// Columns without which a file does not have the wire's own.
const NEEDED: [&str; 3] = ["event_id", "type", "occurred_at"];

impl Opened {
    /// Opens `path` and binds it to `named`, or to the source that takes it.
    pub(crate) fn new(
        path: &Path,
        rules: Rules<'_>,
        terms: &Terms,
        named: Option<&str>,
    ) -> Result<Self, ImportError> {
        let (sha256, _) = read::hash(path)?;
        let source = choose(path, rules.sources, named)?;
        let format = match source.and_then(|source| source.format) {
            Some(format) => format,
            None => read::format_of(path)?,
        };
        let name = path.to_string_lossy().to_lowercase();
        let is_tabbed = name.ends_with(".tsv") || name.ends_with(".tsv.gz");
        let delimiter = source.map_or(if is_tabbed { '\t' } else { ',' }, |source| source.delimiter);
        let file = SourceFile::open(path, format, delimiter)?;
        let understanding = match source {
            Some(source) => bind(&file, source, terms)?,
            None => bind_wire(&file, rules, terms)?,
        };
        Ok(Self { file, understanding, source: source.cloned(), sha256 })
    }

    /// The file and how many rows it had.
    pub(crate) fn count(self, n_rows: u64) -> FileCount {
        let name = self.file.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        FileCount { name, sha256: self.sha256, source: self.source.map(|source| source.name), n_rows }
    }

    /// Refuses a mapping of JSON lines that asks for a member which no line had.
    pub(crate) fn check_seen_columns(&self) -> Result<(), ImportError> {
        let (Understanding::Json { seen, .. }, Some(source)) = (&self.understanding, &self.source) else {
            return Ok(());
        };
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.is_empty() {
            return Ok(());
        }
        let unseen = source.columns().into_iter().find(|(_, column)| !seen.contains(*column));
        let Some((member, column)) = unseen else { return Ok(()) };
        let nearest = nearest(column, seen.iter()).unwrap_or_default().to_owned();
        let error = MappingError::UnknownColumn { member, column: column.to_owned(), nearest };
        Err(ImportError::Mapping { file: self.file.path.clone(), name: source.name.clone(), source: error })
    }
}

/// The source for a file, if one takes it.
fn choose<'a>(
    path: &Path,
    sources: &'a [Source],
    named: Option<&str>,
) -> Result<Option<&'a Source>, ImportError> {
    if let Some(name) = named {
        let source = sources.iter().find(|source| source.name == name);
        return source
            .map(Some)
            .ok_or_else(|| ImportError::UnknownSource { name: name.to_owned(), known: names(sources) });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(sources.iter().find(|source| source.files.iter().any(|pattern| fits(pattern, &name))))
}

fn names(sources: &[Source]) -> String {
    if sources.is_empty() {
        return "none".to_owned();
    }
    sources
        .iter()
        .map(|source| format!("{:?} for {}", source.name, source.files.join(" ")))
        .collect::<Vec<_>>()
        .join(", ")
}

/// Binds the columns of `file` to `source`.
fn bind(file: &SourceFile, source: &Source, terms: &Terms) -> Result<Understanding, ImportError> {
    let mapped = |columns: &[String]| {
        let number = |name: &str| {
            let found = columns.iter().position(|column| column == name);
            found.ok_or_else(|| nearest(name, columns).unwrap_or_default().to_owned())
        };
        let refuse = |error| ImportError::Mapping {
            file: file.path.clone(),
            name: source.name.clone(),
            source: error,
        };
        Mapping::new(source, terms, &number).map_err(refuse)
    };
    let header = file.header.clone();
    Ok(match file.format {
        SourceFormat::Csv => {
            let mut order: Vec<usize> = (0..header.len()).collect();
            order.sort_by_key(|&column| &header[column]);
            Understanding::Csv { mapping: mapped(&header)?, header, order }
        }
        SourceFormat::Parquet => Understanding::Parquet { mapping: mapped(&header)?, columns: header },
        SourceFormat::JsonLines => {
            let mut columns: Vec<String> =
                source.columns().into_iter().map(|(_, column)| column.to_owned()).collect();
            columns.sort();
            columns.dedup();
            Understanding::Json { mapping: mapped(&columns)?, columns, seen: Mutex::default() }
        }
    })
}

/// Binds a file that no source takes, if it has the wire's own columns.
fn bind_wire(file: &SourceFile, rules: Rules<'_>, terms: &Terms) -> Result<Understanding, ImportError> {
    let missing = NEEDED.iter().find(|needed| !file.header.iter().any(|column| column == *needed));
    if let Some(missing) = missing {
        let reason = format!(
            "the sources are {}; and it does not have the columns of events, {missing:?} is missing",
            names(rules.sources)
        );
        return Err(ImportError::NoSource { file: file.path.clone(), reason });
    }
    match file.format {
        SourceFormat::Csv => bind(file, &wire_source(&file.path, &file.header)?, terms),
        _ => Ok(Understanding::Wire { currency: terms.currency }),
    }
}

/// The source that a CSV file with the wire's own columns is.
fn wire_source(path: &Path, header: &[String]) -> Result<Source, ImportError> {
    let mut cells: BTreeMap<&str, Cell> =
        header.iter().map(|name| (name.as_str(), Cell::column(name))).collect();
    let mut take = |name: &str| cells.remove(name);
    let reference = take("refers_to.event_id").zip(take("refers_to.occurred_at"));
    let mut source = Source {
        name: "wire".to_owned(),
        files: vec!["*".to_owned()],
        format: Some(SourceFormat::Csv),
        delimiter: ',',
        decimal_mark: '.',
        time_zone: None,
        event_id: take("event_id"),
        event_type: take("type").unwrap_or_default(),
        occurred_at: take("occurred_at").unwrap_or_default(),
        known_at: take("known_at"),
        customer_id: take("customer_id"),
        anonymous_id: take("anonymous_id"),
        guest_id: None,
        session_id: take("session_id"),
        channel: take("channel"),
        sku: take("sku"),
        quantity: take("quantity"),
        value: None,
        unit_price: None,
        value_minor: take("value.amount_minor"),
        currency: take("value.currency"),
        decision_id: take("decision_id"),
        quote_id: take("quote_id"),
        action_id: take("action_id"),
        treatment_id: take("treatment_id"),
        refers_to: reference.map(|(event_id, occurred_at)| ReferenceCells { event_id, occurred_at }),
        attributes: BTreeMap::new(),
        cancellation: None,
        set_aside: Vec::new(),
    };
    for (column, cell) in cells {
        let Some(name) = column.strip_prefix("attributes.") else {
            let schema = columns::schema();
            let known = schema.fields().iter().map(|field| field.name());
            let nearest = nearest(column, known).unwrap_or_default().to_owned();
            let error = columns::ColumnsError::UnknownColumn { column: column.to_owned(), nearest };
            return Err(ImportError::Columns { file: path.to_owned(), source: Box::new(error) });
        };
        source.attributes.insert(name.to_owned(), cell);
    }
    Ok(source)
}

/// Whether `name` fits `pattern`, in which `*` stands for any run and `?` for one character.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last star stood, and how much of the name it has eaten so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&one) if one == '?' || one == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, eaten)) = star else { return false };
                star = Some((at, eaten + 1));
                p = at + 1;
                n = eaten + 1;
            }
        }
    }
    pattern[p..].iter().all(|&rest| rest == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_whole_names() {
        for (pattern, name, expected) in [
            ("online_retail.csv*", "online_retail.csv.gz", true),
            ("*.csv", "a.csv.gz", false),
            ("a?c*e", "abcdde", true),
            ("*a*b", "xaxbxb", true),
            ("", "x", false),
            ("**", "", true),
            ("a", "aa", false),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
