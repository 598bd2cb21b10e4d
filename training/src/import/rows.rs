//! From a batch of a file to rows of the log: as the wire has them, or through a mapping.
//!
//! The three formats meet here: each gives a mapping texts by column. Batches are independent of each other, so they
//! are taken by many threads at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::DataType;
use nextbest_models::event::{Event, EventDraft, EventFault};
use nextbest_models::units::Currency;
use serde_json::Value;

use crate::event_log::columns::{self, ColumnsError};
use crate::import::fault::CellFault;
use crate::import::mapping::{Cells, Mapping};
use crate::import::read::Batch;
use crate::import::record::Row;
use crate::import::report::WITHOUT_CUSTOMER;

/// How the rows of one file are understood.
pub(crate) enum Understanding {
    /// The file has the wire's own members.
    Wire { currency: Currency },
    /// CSV columns by their place in `order`, which is that of their names.
    Csv { mapping: Mapping, header: Vec<String>, order: Vec<usize> },
    /// JSON members: column `n` of the mapping is the member `columns[n]`; `seen` collects all that occur.
    Json { mapping: Mapping, columns: Vec<String>, seen: Mutex<BTreeSet<String>> },
    /// Parquet columns: column `n` of the mapping is `columns[n]`, nested ones by dotted names.
    Parquet { mapping: Mapping, columns: Vec<String> },
}

/// One row understood, or its fault, with its place in the file, and whether a clock reading was ambiguous.
pub(crate) type Outcome = (u64, Result<(Row, bool), CellFault>);

/// The names of all Parquet columns that hold texts, numbers, times or flags, nested ones dotted.
pub(crate) fn leaf_names(batch: &RecordBatch) -> Vec<String> {
    leaves(batch).into_iter().map(|(name, _)| name).collect()
}

impl Understanding {
    /// The rows of `batch`.
    pub(crate) fn rows(&self, batch: &Batch) -> Result<Vec<Outcome>, ColumnsError> {
        match (self, batch) {
            (Self::Wire { currency }, Batch::Lines(lines)) => {
                Ok(lines.iter().map(|(row, line)| (*row, wire_line(line, *currency))).collect())
            }
            (Self::Wire { currency }, Batch::Columns(first, batch)) => {
                let drafts = columns::rows(batch)?.into_iter();
                let checked =
                    drafts.map(|draft| draft.and_then(|draft| wire_row(draft, *currency)).map_err(placed));
                Ok((*first..).zip(checked).collect())
            }
            (Self::Csv { mapping, header, order }, Batch::Records(records)) => {
                let mut mapping = mapping.clone();
                let row = |(row, record): &(u64, csv::ByteRecord)| {
                    (*row, csv_row(&mut mapping, header, order, record))
                };
                Ok(records.iter().map(row).collect())
            }
            (Self::Json { mapping, columns, seen }, Batch::Lines(lines)) => {
                let (mut mapping, mut names) = (mapping.clone(), BTreeSet::new());
                let row =
                    |(row, line): &(u64, Vec<u8>)| (*row, json_row(&mut mapping, columns, &mut names, line));
                let rows = lines.iter().map(row).collect();
                seen.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
                Ok(rows)
            }
            (Self::Parquet { mapping, columns }, Batch::Columns(first, batch)) => {
                let mut mapping = mapping.clone();
                let texts = Texts::of(batch, columns)?;
                let row = |at| (*first + at as u64, mapping.row(&TextsAt { texts: &texts, row: at }));
                Ok((0..batch.num_rows()).map(row).collect())
            }
            // A file gives batches of its own format only.
            _ => Ok(Vec::new()),
        }
    }
}

/// A fault of an event that has the wire's own members.
fn placed(fault: EventFault) -> CellFault {
    CellFault::new(&fault.code, fault.path, fault.message)
}

fn wire_row(draft: EventDraft, currency: Currency) -> Result<(Row, bool), EventFault> {
    let event = Event::try_from(draft)?;
    if let Some(value) = event.value
        && value.currency != currency
    {
        let message =
            format!("{:?} is not the project's currency {:?}", value.currency.as_str(), currency.as_str());
        return Err(EventFault::new("currency_mismatch", "value.currency", message));
    }
    let conditions = if event.customer_id.is_none() { WITHOUT_CUSTOMER } else { 0 };
    Ok((Row::Event { event, revises: None, conditions }, false))
}

fn wire_line(line: &[u8], currency: Currency) -> Result<(Row, bool), CellFault> {
    let draft: EventDraft = serde_json::from_slice(line).map_err(|error| {
        let code = if error.is_data() { "wrong_type" } else { "bad_json" };
        CellFault::new(code, "", error.to_string().replace(" at line 1 column", " at column"))
    })?;
    wire_row(draft, currency).map_err(placed)
}

/// A CSV record.
struct Record<'a> {
    texts: Vec<&'a str>,
    header: &'a [String],
    order: &'a [usize],
}

impl Cells for Record<'_> {
    fn get(&self, column: usize) -> &str {
        self.texts.get(column).copied().unwrap_or_default()
    }

    fn hash_content(&self, add: &mut dyn FnMut(&str, &str)) {
        for &column in self.order {
            add(&self.header[column], self.texts[column]);
        }
    }
}

fn csv_row(
    mapping: &mut Mapping,
    header: &[String],
    order: &[usize],
    record: &csv::ByteRecord,
) -> Result<(Row, bool), CellFault> {
    if record.len() != header.len() {
        let message = format!("{} cells under a header of {}", record.len(), header.len());
        return Err(CellFault::new("ragged", "", message));
    }
    let mut texts = Vec::with_capacity(record.len());
    for (column, bytes) in record.iter().enumerate() {
        let text = std::str::from_utf8(bytes).map_err(|_| {
            let message = format!("{:?} is not UTF-8", String::from_utf8_lossy(bytes));
            CellFault::new("not_utf8", &header[column], message)
        })?;
        texts.push(text);
    }
    mapping.row(&Record { texts, header, order })
}

/// A JSON object, flattened.
struct Object<'a> {
    members: BTreeMap<String, String>,
    columns: &'a [String],
}

impl Cells for Object<'_> {
    fn get(&self, column: usize) -> &str {
        self.columns.get(column).and_then(|name| self.members.get(name)).map_or("", String::as_str)
    }

    fn hash_content(&self, add: &mut dyn FnMut(&str, &str)) {
        self.members.iter().for_each(|(name, text)| add(name, text));
    }
}

fn json_row(
    mapping: &mut Mapping,
    columns: &[String],
    names: &mut BTreeSet<String>,
    line: &[u8],
) -> Result<(Row, bool), CellFault> {
    let value: Value = serde_json::from_slice(line).map_err(|error| {
        CellFault::new("bad_json", "", error.to_string().replace(" at line 1 column", " at column"))
    })?;
    let Value::Object(_) = &value else {
        return Err(CellFault::new("bad_json", "", "the line is no JSON object"));
    };
    let mut members = BTreeMap::new();
    flatten(String::new(), value, &mut members);
    for name in members.keys().filter(|name| !names.contains(*name)).cloned().collect::<Vec<_>>() {
        names.insert(name);
    }
    mapping.row(&Object { members, columns })
}

/// Members by dotted name; a list is one text.
fn flatten(name: String, value: Value, members: &mut BTreeMap<String, String>) {
    let text = match value {
        Value::Object(inner) => {
            for (key, value) in inner {
                let name = if name.is_empty() { key } else { format!("{name}.{key}") };
                flatten(name, value, members);
            }
            return;
        }
        Value::Null => String::new(),
        Value::String(text) => text,
        other => other.to_string(),
    };
    members.insert(name, text);
}

/// Parquet columns as texts.
struct Texts<'a> {
    names: &'a [String],
    arrays: Vec<StringArray>,
    /// By name.
    order: Vec<usize>,
}

struct TextsAt<'a> {
    texts: &'a Texts<'a>,
    row: usize,
}

impl<'a> Texts<'a> {
    fn of(batch: &RecordBatch, names: &'a [String]) -> Result<Self, ColumnsError> {
        let arrays = texts(batch)?;
        let mut order: Vec<usize> = (0..names.len()).collect();
        order.sort_by_key(|&column| &names[column]);
        Ok(Self { names, arrays, order })
    }

    fn at(&self, column: usize, row: usize) -> &str {
        self.arrays.get(column).filter(|array| array.is_valid(row)).map_or("", |array| array.value(row))
    }
}

impl Cells for TextsAt<'_> {
    fn get(&self, column: usize) -> &str {
        self.texts.at(column, self.row)
    }

    fn hash_content(&self, add: &mut dyn FnMut(&str, &str)) {
        for &column in &self.texts.order {
            add(&self.texts.names[column], self.texts.at(column, self.row));
        }
    }
}

/// The cells of every column of [`leaf_names`] as texts.
pub(crate) fn texts(batch: &RecordBatch) -> Result<Vec<StringArray>, ColumnsError> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let text = |(name, array): (String, arrow::array::ArrayRef)| {
        let cast = cast_with_options(&array, &DataType::Utf8, &options);
        let cast = cast.map_err(|source| ColumnsError::WrongType {
            column: name,
            found: array.data_type().clone(),
            expected: DataType::Utf8,
            source,
        })?;
        Ok(cast.as_string::<i32>().clone())
    };
    leaves(batch).into_iter().map(text).collect()
}

/// The columns that are no struct, nested ones by dotted names; a null struct's members are null.
fn leaves(batch: &RecordBatch) -> Vec<(String, arrow::array::ArrayRef)> {
    fn add(name: &str, array: &arrow::array::ArrayRef, found: &mut Vec<(String, arrow::array::ArrayRef)>) {
        let Some(inner) = array.as_struct_opt() else {
            if can_cast_types(array.data_type(), &DataType::Utf8) {
                found.push((name.to_owned(), std::sync::Arc::clone(array)));
            }
            return;
        };
        let (fields, arrays, nulls) = inner.clone().into_parts();
        for (field, array) in fields.iter().zip(arrays) {
            let masked = nulls.as_ref().and_then(|nulls| {
                let mask = arrow::array::BooleanArray::new(!nulls.inner(), None);
                arrow::compute::nullif(&array, &mask).ok()
            });
            add(&format!("{name}.{}", field.name()), masked.as_ref().unwrap_or(&array), found);
        }
    }
    let mut found = Vec::new();
    for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
        add(field.name(), array, &mut found);
    }
    found
}
