//! Contacts as Parquet: the columns of the CSV, with their types.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray};
use nextbest_functions::hopper::{Listed, list};
use parquet::arrow::ArrowWriter;

/// The bytes of a file; without contacts one without rows.
pub fn bytes(contacts: &[Listed]) -> anyhow::Result<Vec<u8>> {
    let texts = |of: &dyn Fn(&Listed) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(contacts.iter().map(of)))
    };
    let numbers = |of: &dyn Fn(&Listed) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(contacts.iter().map(of)))
    };
    let ranks = contacts.iter().map(|one| i64::try_from(one.rank).unwrap_or(i64::MAX));
    let until = contacts.iter().map(|one| one.held_until.as_millis());
    let columns: [ArrayRef; list::COLUMNS.len()] = [
        Arc::new(Int64Array::from_iter_values(ranks)),
        texts(&|one| &one.decision_id),
        texts(&|one| &one.customer_id),
        texts(&|one| &one.action_id),
        texts(&|one| &one.treatment_id),
        texts(&|one| &one.channel),
        texts(&|one| one.lifecycle_stage.as_str()),
        numbers(&|one| one.propensity),
        numbers(&|one| one.expected_worth),
        Arc::new(Int64Array::from_iter_values(contacts.iter().map(|one| one.cost_minor))),
        Arc::new(TimestampMillisecondArray::from_iter_values(until).with_timezone("UTC")),
    ];
    let batch = RecordBatch::try_from_iter(list::COLUMNS.into_iter().zip(columns))?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}
