//! Customers at risk as Parquet: the columns of the CSV, with their types.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use nextbest_functions::at_risk::exports::COLUMNS;
use nextbest_functions::snapshot::{AtRisk, Recommended};
use parquet::arrow::ArrowWriter;

/// The bytes of a file; without customers one without rows.
pub fn bytes(customers: &[(usize, AtRisk)]) -> anyhow::Result<Vec<u8>> {
    let all = || customers.iter().map(|(_, one)| one);
    let texts = |of: &dyn Fn(&AtRisk) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(all().map(of)))
    };
    let numbers = |of: &dyn Fn(&AtRisk) -> Option<f64>| -> ArrayRef {
        Arc::new(Float64Array::from_iter(all().map(of)))
    };
    let amounts =
        |of: &dyn Fn(&AtRisk) -> Option<i64>| -> ArrayRef { Arc::new(Int64Array::from_iter(all().map(of))) };
    let action = |of: fn(&Recommended) -> &String| {
        texts(&move |one| one.recommended.as_ref().map(|action| of(action).clone()))
    };
    let ranks = customers.iter().map(|(rank, _)| i64::try_from(*rank).unwrap_or(i64::MAX));
    let columns: [ArrayRef; COLUMNS.len()] = [
        Arc::new(Int64Array::from_iter_values(ranks)),
        texts(&|one| Some(one.customer_id.as_str().to_owned())),
        texts(&|one| Some(one.lifecycle_stage.as_str().to_owned())),
        numbers(&|one| Some(one.churn_probability)),
        texts(&|one| Some(one.band.clone())),
        amounts(&|one| Some(one.recent_value_minor)),
        amounts(&|one| Some(one.value_at_risk_minor)),
        amounts(&|one| one.clv.map(|clv| clv.value_minor)),
        amounts(&|one| one.clv.and_then(|clv| clv.lo_minor)),
        amounts(&|one| one.clv.and_then(|clv| clv.hi_minor)),
        numbers(&|one| one.clv.and_then(|clv| clv.p_alive)),
        numbers(&|one| one.save_uplift.map(|uplift| uplift.value)),
        numbers(&|one| one.save_uplift.map(|uplift| uplift.lo)),
        numbers(&|one| one.save_uplift.map(|uplift| uplift.hi)),
        amounts(&|one| one.net_save_value_minor),
        action(|action| &action.action_id),
        action(|action| &action.treatment_id),
        action(|action| &action.channel),
        amounts(&|one| one.recommended.as_ref().map(|action| action.cost_minor)),
        texts(&|one| Some(one.drivers.join(" "))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        COLUMNS.into_iter().zip(columns).map(|(name, column)| (name, column, true)),
    )?;
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}
