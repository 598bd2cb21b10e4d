//! What a customer is worth. First version: what they spent lately; a lifetime value takes its place later.

use crate::customer::Customer;
use crate::feature::Schema;
use crate::units::Day;

/// Minor units of qualifying events that stand, in the `window_days` whole days before `today` and today so far;
/// never negative.
#[must_use]
pub fn recent_value_minor(customer: &Customer, schema: &Schema, today: Day, window_days: i32) -> i64 {
    let days = customer.activity(schema).between(today.plus(-window_days), today);
    let sum: i128 = days.iter().map(|day| day.sum).sum();
    i64::try_from(sum.max(0)).unwrap_or(i64::MAX)
}
