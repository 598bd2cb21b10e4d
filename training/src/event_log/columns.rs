//! The columns of events in Parquet: one fixed schema, to and from record batches.
//!
//! The columns are the wire's JSON members under the same names, nested where the wire nests (`value`, `refers_to`),
//! times as UTC milliseconds; `attributes` is a map whose value is one of `text`, `number`, `flag`. Reading takes any
//! column type that casts without loss of meaning and lets optional columns be absent; a column that is no member of
//! an event is an error, never ignored. No file is opened here.

use std::sync::{Arc, LazyLock};

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, MapArray, RecordBatch, StringArray,
    StructArray, TimestampMillisecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Field, Fields, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, TimestampMillisecondType,
};
use arrow::error::ArrowError;

use nextbest_models::event::{AttributeValue, Event, EventDraft, EventFault, Reference};
use nextbest_models::units::{Money, Timestamp};

use crate::nearest::nearest;

/// Why a batch holds no events.
#[derive(Debug, thiserror::Error)]
pub enum ColumnsError {
    /// A column that no event has.
    #[error("column {column:?} is no member of an event; the nearest is {nearest:?}")]
    UnknownColumn {
        /// As named in the file.
        column: String,
        /// The member with the most similar name.
        nearest: String,
    },
    /// A column every event needs.
    #[error("column {0:?} is missing")]
    MissingColumn(&'static str),
    /// A column whose type cannot be read as the one it should have.
    #[error("column {column:?} holds {found}, which does not read as {expected}: {source}")]
    WrongType {
        /// Its name.
        column: String,
        /// The type in the file.
        found: DataType,
        /// The type in [`schema`].
        expected: DataType,
        /// What the cast said.
        source: ArrowError,
    },
    /// A row that breaks a bound of an event.
    #[error("row {row}: {fault}")]
    Row {
        /// Counted from 0 within the batch.
        row: usize,
        /// What is wrong.
        fault: EventFault,
    },
    /// The arrays do not fit together.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

/// The schema of events: what [`to_batch`] gives and [`from_batch`] takes.
#[must_use]
pub fn schema() -> SchemaRef {
    static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        Arc::new(Schema::new(vec![
            Field::new("event_id", DataType::Utf8, false),
            Field::new("type", DataType::Utf8, false),
            Field::new("occurred_at", instant(), false),
            Field::new("known_at", instant(), true),
            text("customer_id"),
            text("anonymous_id"),
            text("session_id"),
            text("channel"),
            text("sku"),
            Field::new("quantity", DataType::Int64, true),
            Field::new("value", DataType::Struct(value_fields()), true),
            text("decision_id"),
            text("quote_id"),
            text("action_id"),
            text("treatment_id"),
            Field::new("refers_to", DataType::Struct(reference_fields()), true),
            Field::new("attributes", DataType::Map(entries_field(), false), false),
        ]))
    });
    Arc::clone(&SCHEMA)
}

/// Events as one record batch of [`schema`], in their order.
pub fn to_batch(events: &[Event]) -> Result<RecordBatch, ColumnsError> {
    let columns: Vec<ArrayRef> = vec![
        texts(events, |e| Some(&e.event_id)),
        texts(events, |e| Some(e.event_type.as_str())),
        instants(events.iter().map(|e| Some(e.occurred_at))),
        instants(events.iter().map(|e| e.known_at)),
        texts(events, |e| e.customer_id.as_ref().map(|id| id.as_str())),
        texts(events, |e| e.anonymous_id.as_deref()),
        texts(events, |e| e.session_id.as_deref()),
        texts(events, |e| e.channel.as_deref()),
        texts(events, |e| e.sku.as_deref()),
        Arc::new(events.iter().map(|e| e.quantity).collect::<Int64Array>()),
        values(events),
        texts(events, |e| e.decision_id.as_deref()),
        texts(events, |e| e.quote_id.as_deref()),
        texts(events, |e| e.action_id.as_deref()),
        texts(events, |e| e.treatment_id.as_deref()),
        references(events),
        attributes(events)?,
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// The checked events of a batch; the error names the first row that breaks a bound.
pub fn from_batch(batch: &RecordBatch) -> Result<Vec<Event>, ColumnsError> {
    let check = |(row, draft)| Event::try_from(draft).map_err(|fault| ColumnsError::Row { row, fault });
    drafts(batch)?.into_iter().enumerate().map(check).collect()
}

/// The rows of a batch as unchecked drafts, for readers that report every faulty row and not only the first.
///
/// A time outside the years 1900 to 2199 is a [`ColumnsError::Row`] at once, since no draft can hold it.
pub fn drafts(batch: &RecordBatch) -> Result<Vec<EventDraft>, ColumnsError> {
    let columns = Columns::of(batch)?;
    let row = |row| columns.draft(row).map_err(|fault| ColumnsError::Row { row, fault });
    (0..batch.num_rows()).map(row).collect()
}

/// Like [`drafts`], but every row has its own result.
pub fn rows(batch: &RecordBatch) -> Result<Vec<Result<EventDraft, EventFault>>, ColumnsError> {
    let columns = Columns::of(batch)?;
    Ok((0..batch.num_rows()).map(|row| columns.draft(row)).collect())
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn value_fields() -> Fields {
    vec![Field::new("amount_minor", DataType::Int64, false), Field::new("currency", DataType::Utf8, false)]
        .into()
}

fn reference_fields() -> Fields {
    vec![
        Field::new("event_id", DataType::Utf8, false),
        Field::new("occurred_at", instant(), false),
        Field::new("whole", DataType::Boolean, false),
    ]
    .into()
}

fn attribute_fields() -> Fields {
    vec![
        Field::new("text", DataType::Utf8, true),
        Field::new("number", DataType::Float64, true),
        Field::new("flag", DataType::Boolean, true),
    ]
    .into()
}

fn entry_fields() -> Fields {
    vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", DataType::Struct(attribute_fields()), false),
    ]
    .into()
}

fn entries_field() -> Arc<Field> {
    Arc::new(Field::new("entries", DataType::Struct(entry_fields()), false))
}

fn texts<'a>(events: &'a [Event], get: impl Fn(&'a Event) -> Option<&'a str>) -> ArrayRef {
    Arc::new(events.iter().map(get).collect::<StringArray>())
}

fn instants(times: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let times = times.map(|time| time.map(Timestamp::as_millis));
    Arc::new(times.collect::<TimestampMillisecondArray>().with_timezone("UTC"))
}

fn values(events: &[Event]) -> ArrayRef {
    let money = || events.iter().map(|e| e.value);
    let amounts: Int64Array = money().map(|m| Some(m.map_or(0, |m| m.amount_minor))).collect();
    let currencies: Vec<_> = money().map(|m| m.map(|m| m.currency)).collect();
    let currencies: StringArray =
        currencies.iter().map(|c| Some(c.as_ref().map_or("", |c| c.as_str()))).collect();
    let present: NullBuffer = money().map(|m| m.is_some()).collect();
    let arrays: Vec<ArrayRef> = vec![Arc::new(amounts), Arc::new(currencies)];
    Arc::new(StructArray::new(value_fields(), arrays, Some(present)))
}

fn references(events: &[Event]) -> ArrayRef {
    let reference = || events.iter().map(|e| e.refers_to.as_ref());
    let ids: StringArray = reference().map(|r| Some(r.map_or("", |r| r.event_id.as_str()))).collect();
    let times = instants(reference().map(|r| Some(r.map_or(Timestamp::MIN, |r| r.occurred_at))));
    let whole: BooleanArray = reference().map(|r| Some(r.is_some_and(|r| r.whole))).collect();
    let present: NullBuffer = reference().map(|r| r.is_some()).collect();
    Arc::new(StructArray::new(reference_fields(), vec![Arc::new(ids), times, Arc::new(whole)], Some(present)))
}

fn attributes(events: &[Event]) -> Result<ArrayRef, ArrowError> {
    let all = || events.iter().flat_map(|e| &e.attributes);
    let keys: StringArray = all().map(|(key, _)| Some(key.as_str())).collect();
    let text: StringArray =
        all().map(|(_, v)| if let AttributeValue::Text(t) = v { Some(t) } else { None }).collect();
    let number: Float64Array =
        all().map(|(_, v)| if let AttributeValue::Number(n) = v { Some(*n) } else { None }).collect();
    let flag: BooleanArray =
        all().map(|(_, v)| if let AttributeValue::Flag(f) = v { Some(*f) } else { None }).collect();
    let value =
        StructArray::new(attribute_fields(), vec![Arc::new(text), Arc::new(number), Arc::new(flag)], None);
    let entries = StructArray::new(entry_fields(), vec![Arc::new(keys), Arc::new(value)], None);
    let offsets = OffsetBuffer::from_lengths(events.iter().map(|e| e.attributes.len()));
    Ok(Arc::new(MapArray::try_new(entries_field(), offsets, entries, None, false)?))
}

/// The columns of one batch, cast to the types of [`schema`]; `None` where an optional one is absent.
struct Columns {
    event_id: StringArray,
    event_type: StringArray,
    occurred_at: TimestampMillisecondArray,
    known_at: Option<TimestampMillisecondArray>,
    customer_id: Option<StringArray>,
    anonymous_id: Option<StringArray>,
    session_id: Option<StringArray>,
    channel: Option<StringArray>,
    sku: Option<StringArray>,
    quantity: Option<Int64Array>,
    value: Option<(StructArray, Int64Array, StringArray)>,
    decision_id: Option<StringArray>,
    quote_id: Option<StringArray>,
    action_id: Option<StringArray>,
    treatment_id: Option<StringArray>,
    refers_to: Option<(StructArray, StringArray, TimestampMillisecondArray, BooleanArray)>,
    attributes: Option<Attributes>,
}

/// The parts of the attribute map.
struct Attributes {
    map: MapArray,
    keys: StringArray,
    text: StringArray,
    number: Float64Array,
    flag: BooleanArray,
}

impl Columns {
    fn of(batch: &RecordBatch) -> Result<Self, ColumnsError> {
        let wire = schema();
        let found = batch.schema();
        if let Some(field) = found.fields().iter().find(|f| wire.field_with_name(f.name()).is_err()) {
            let nearest = nearest(field.name(), wire.fields().iter().map(|f| f.name())).unwrap_or_default();
            let (column, nearest) = (field.name().clone(), nearest.to_owned());
            return Err(ColumnsError::UnknownColumn { column, nearest });
        }
        let text = |name| Ok::<_, ColumnsError>(column(batch, name)?.map(|c| c.as_string::<i32>().clone()));
        let time = |name| Ok::<_, ColumnsError>(column(batch, name)?.map(|c| millis(&c)));
        let missing = ColumnsError::MissingColumn;
        Ok(Self {
            event_id: text("event_id")?.ok_or(missing("event_id"))?,
            event_type: text("type")?.ok_or(missing("type"))?,
            occurred_at: time("occurred_at")?.ok_or(missing("occurred_at"))?,
            known_at: time("known_at")?,
            customer_id: text("customer_id")?,
            anonymous_id: text("anonymous_id")?,
            session_id: text("session_id")?,
            channel: text("channel")?,
            sku: text("sku")?,
            quantity: column(batch, "quantity")?.map(|c| c.as_primitive::<Int64Type>().clone()),
            value: column(batch, "value")?.map(|c| {
                let value = c.as_struct().clone();
                let amounts = value.column(0).as_primitive::<Int64Type>().clone();
                let currencies = value.column(1).as_string::<i32>().clone();
                (value, amounts, currencies)
            }),
            decision_id: text("decision_id")?,
            quote_id: text("quote_id")?,
            action_id: text("action_id")?,
            treatment_id: text("treatment_id")?,
            refers_to: column(batch, "refers_to")?.map(|c| {
                let reference = c.as_struct().clone();
                let ids = reference.column(0).as_string::<i32>().clone();
                let times = millis(reference.column(1));
                let whole = reference.column(2).as_boolean().clone();
                (reference, ids, times, whole)
            }),
            attributes: column(batch, "attributes")?.map(|c| Attributes::of(c.as_map())),
        })
    }

    fn draft(&self, row: usize) -> Result<EventDraft, EventFault> {
        Ok(EventDraft {
            event_id: text_at(Some(&self.event_id), row).unwrap_or_default(),
            event_type: text_at(Some(&self.event_type), row).unwrap_or_default(),
            occurred_at: time_at(Some(&self.occurred_at), row, "occurred_at")?,
            known_at: time_at(self.known_at.as_ref(), row, "known_at")?,
            customer_id: text_at(self.customer_id.as_ref(), row),
            anonymous_id: text_at(self.anonymous_id.as_ref(), row),
            session_id: text_at(self.session_id.as_ref(), row),
            channel: text_at(self.channel.as_ref(), row),
            sku: text_at(self.sku.as_ref(), row),
            quantity: self.quantity.as_ref().filter(|q| q.is_valid(row)).map(|q| q.value(row)),
            value: self.money(row)?,
            decision_id: text_at(self.decision_id.as_ref(), row),
            quote_id: text_at(self.quote_id.as_ref(), row),
            action_id: text_at(self.action_id.as_ref(), row),
            treatment_id: text_at(self.treatment_id.as_ref(), row),
            refers_to: self.reference(row)?,
            attributes: self.attributes.as_ref().map(|a| a.at(row)).unwrap_or_default(),
        })
    }

    fn money(&self, row: usize) -> Result<Option<Money>, EventFault> {
        let Some((_, amounts, currencies)) = self.value.as_ref().filter(|(value, ..)| value.is_valid(row))
        else {
            return Ok(None);
        };
        let currency = currencies.value(row).parse();
        let currency = currency.map_err(|e: nextbest_models::units::CurrencyError| {
            EventFault::new("bad_currency", "value.currency", e.to_string())
        })?;
        Ok(Some(Money { amount_minor: amounts.value(row), currency }))
    }

    fn reference(&self, row: usize) -> Result<Option<Reference>, EventFault> {
        let Some((_, ids, times, whole)) =
            self.refers_to.as_ref().filter(|(reference, ..)| reference.is_valid(row))
        else {
            return Ok(None);
        };
        let occurred_at = time_at(Some(times), row, "refers_to.occurred_at")?.ok_or_else(|| {
            EventFault::new(
                "missing",
                "refers_to.occurred_at",
                "a reference needs the time of what it refers to",
            )
        })?;
        Ok(Some(Reference { event_id: ids.value(row).to_owned(), occurred_at, whole: whole.value(row) }))
    }
}

impl Attributes {
    fn of(map: &MapArray) -> Self {
        let values = map.values().as_struct();
        Self {
            keys: map.keys().as_string::<i32>().clone(),
            text: values.column(0).as_string::<i32>().clone(),
            number: values.column(1).as_primitive::<Float64Type>().clone(),
            flag: values.column(2).as_boolean().clone(),
            map: map.clone(),
        }
    }

    fn at(&self, row: usize) -> std::collections::BTreeMap<String, AttributeValue> {
        if self.map.is_null(row) {
            return Default::default();
        }
        let offsets = self.map.value_offsets();
        let bound = |i: usize| usize::try_from(offsets[i]).unwrap_or(0);
        let entry = |i| {
            let value = if self.text.is_valid(i) {
                AttributeValue::Text(self.text.value(i).to_owned())
            } else if self.number.is_valid(i) {
                AttributeValue::Number(self.number.value(i))
            } else if self.flag.is_valid(i) {
                AttributeValue::Flag(self.flag.value(i))
            } else {
                return None;
            };
            Some((self.keys.value(i).to_owned(), value))
        };
        (bound(row)..bound(row + 1)).filter_map(entry).collect()
    }
}

/// The column `name` as the type it has in [`schema`], or `None` if the batch has none of that name.
fn column(batch: &RecordBatch, name: &str) -> Result<Option<ArrayRef>, ColumnsError> {
    let wire = schema();
    let expected = wire.field_with_name(name)?.data_type();
    let Some(array) = batch.column_by_name(name) else { return Ok(None) };
    if array.data_type().equals_datatype(expected) {
        return Ok(Some(Arc::clone(array)));
    }
    let wrong = |source| ColumnsError::WrongType {
        column: name.to_owned(),
        found: array.data_type().clone(),
        expected: expected.clone(),
        source,
    };
    // Not `safe`: that would turn what does not fit into nulls.
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let array = cast_with_options(array, expected, &options).map_err(wrong)?;
    Ok(Some(array))
}

fn millis(array: &ArrayRef) -> TimestampMillisecondArray {
    array.as_primitive::<TimestampMillisecondType>().clone()
}

fn text_at(array: Option<&StringArray>, row: usize) -> Option<String> {
    array.filter(|texts| texts.is_valid(row)).map(|texts| texts.value(row).to_owned())
}

fn time_at(
    array: Option<&TimestampMillisecondArray>,
    row: usize,
    path: &str,
) -> Result<Option<Timestamp>, EventFault> {
    let Some(times) = array.filter(|times| times.is_valid(row)) else { return Ok(None) };
    let fault =
        |e: nextbest_models::units::TimestampError| EventFault::new("out_of_range", path, e.to_string());
    Timestamp::from_millis(times.value(row)).map(Some).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::compute::cast;

    fn events() -> Vec<Event> {
        [
            r#"{"event_id":"e1","type":"order_placed","occurred_at":"2011-01-05T10:00:00Z","customer_id":"c1","sku":"85123A","quantity":6,"value":{"amount_minor":1530,"currency":"GBP"},"attributes":{"country":"France","express":true,"weight":1.5}}"#,
            r#"{"event_id":"e2","type":"page_viewed","occurred_at":"2011-01-06T10:00:00.123Z","known_at":"2011-01-07T00:00:00Z","anonymous_id":"a","session_id":"s","channel":"web"}"#,
            r#"{"event_id":"e3","type":"order_cancelled","occurred_at":"2011-02-05T10:00:00Z","customer_id":"c1","refers_to":{"event_id":"e1","occurred_at":"2011-01-05T10:00:00Z","whole":false},"attributes":{"n":-0.1}}"#,
            r#"{"event_id":"e4","type":"accepted","occurred_at":"2011-02-05T10:00:00Z","customer_id":"c1","decision_id":"d","quote_id":"q","action_id":"x","treatment_id":"t"}"#,
        ]
        .map(|json| serde_json::from_str(json).unwrap())
        .into()
    }

    #[test]
    fn events_survive_their_columns_and_slices_of_them() {
        let events = events();
        let batch = to_batch(&events).unwrap();
        assert_eq!(from_batch(&batch).unwrap(), events);
        assert_eq!(from_batch(&batch.slice(2, 2)).unwrap(), events[2..]);
        assert_eq!(from_batch(&to_batch(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn other_types_of_the_same_meaning_are_cast_and_optional_columns_may_be_absent() {
        let batch = to_batch(&events()).unwrap();
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("event_id", cast(batch.column(0), &DataType::LargeUtf8).unwrap()),
            ("type", cast(batch.column(1), &DataType::Utf8View).unwrap()),
            ("occurred_at", cast(batch.column(2), &micros).unwrap()),
            ("customer_id", Arc::new(StringArray::from(vec!["c"; 4]))),
        ];
        let events = from_batch(&RecordBatch::try_from_iter(columns).unwrap()).unwrap();
        assert_eq!(events[1].occurred_at.to_string(), "2011-01-06T10:00:00.123Z");
        assert_eq!(events[1].sku, None);
    }

    #[test]
    fn wrong_columns_are_named() {
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["e"]));
        let fails = |columns: Vec<(&str, ArrayRef)>| {
            from_batch(&RecordBatch::try_from_iter(columns).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(
            fails(vec![("customerid", Arc::clone(&ids))]),
            r#"column "customerid" is no member of an event; the nearest is "customer_id""#
        );
        assert_eq!(fails(vec![("event_id", Arc::clone(&ids))]), r#"column "type" is missing"#);
        let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true]));
        let wrong = fails(vec![("event_id", Arc::clone(&ids)), ("type", ids), ("occurred_at", flags)]);
        assert!(wrong.starts_with(r#"column "occurred_at" holds Boolean"#), "{wrong}");
    }

    #[test]
    fn a_row_that_breaks_a_bound_is_named() {
        let text = |text: &str| Arc::new(StringArray::from(vec!["ok", text])) as ArrayRef;
        let times: ArrayRef =
            Arc::new(TimestampMillisecondArray::from(vec![0, i64::MAX]).with_timezone("UTC"));
        let types: ArrayRef = Arc::new(StringArray::from(vec!["clicked"; 2]));
        let batch = RecordBatch::try_from_iter(vec![
            ("event_id", text("e")),
            ("type", types),
            ("occurred_at", times),
            ("customer_id", text("c")),
        ]);
        let error = from_batch(&batch.unwrap()).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("row 1: occurred_at: {} ms since 1970 lies outside the years 1900 to 2199", i64::MAX)
        );
    }
}
