//! Numbers and codes as a person reads them. A number that is not there is told by its code, never by a zero.

use nextbest_models::units::{Currency, Money};
use serde_json::Value;

/// What codes mean; a code that is not here is read word by word.
const CODES: &[(&str, &str)] = &[
    ("no_clv_model", "no lifetime value model yet"),
    ("no_uplift_model", "no uplift model yet"),
    ("no_consent_data", "no record of consent yet"),
    ("not_estimated", "not estimated"),
    ("policy_control", "held out of the policy"),
    ("model_control", "averages decide"),
];

/// What `code` says.
pub(super) fn of_code(code: &str) -> String {
    let known = CODES.iter().find(|(name, _)| *name == code);
    known.map_or_else(|| code.replace('_', " "), |(_, words)| (*words).to_owned())
}

/// The code of a number that is not there: an object whose value is null beside it.
pub(super) fn absence(field: &Value) -> Option<&str> {
    let fields = field.as_object()?;
    let there = ["value", "value_minor"].iter().any(|name| fields.get(*name).is_some_and(|v| !v.is_null()));
    if there { None } else { fields.get("code")?.as_str() }
}

/// A text field, or a dash.
pub(super) fn text(field: &Value) -> &str {
    field.as_str().unwrap_or("-")
}

/// A code field in words, or a dash.
pub(super) fn coded(field: &Value) -> String {
    field.as_str().map_or_else(|| "-".to_owned(), of_code)
}

/// A share as a percentage; a dash where there is none.
pub(super) fn percent(field: &Value) -> String {
    field.as_f64().map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

/// A difference of shares, with its sign.
pub(super) fn points(field: &Value) -> String {
    field.as_f64().map_or_else(|| "-".to_owned(), |share| format!("{:+.1} %", 100.0 * share))
}

/// Whole minor units as money.
pub(super) fn money(field: &Value, currency: Currency) -> String {
    let amount = field.as_i64().map(|amount_minor| Money { amount_minor, currency }.to_string());
    amount.unwrap_or_else(|| "-".to_owned())
}

/// Minor units that need not be whole, as money.
#[expect(clippy::cast_possible_truncation, reason = "amounts stay far below 2^53")]
pub(super) fn about(field: &Value, currency: Currency) -> String {
    field.as_f64().map_or_else(
        || "-".to_owned(),
        |amount| Money { amount_minor: amount.round() as i64, currency }.to_string(),
    )
}

/// A number, in as many digits as tell something.
pub(super) fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value:.0}") } else { format!("{value:.3}") }
}

/// `2026-03-01T12:00:00Z` as `2026-03-01 12:00 UTC`.
pub(super) fn instant(field: &Value) -> String {
    let text = text(field);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_absent_is_told_and_what_is_there_is_not() {
        assert_eq!(absence(&json!({ "value": null, "code": "no_clv_model" })), Some("no_clv_model"));
        assert_eq!(absence(&json!({ "value_minor": 5, "code": null })), None);
        assert_eq!(absence(&json!({ "value": 0.0 })), None);
        assert_eq!(absence(&json!(7)), None);
        assert_eq!(of_code("no_uplift_model"), "no uplift model yet");
        assert_eq!(of_code("some_new_code"), "some new code");
    }

    #[test]
    fn numbers_read_well() {
        let pounds = "GBP".parse().unwrap();
        assert_eq!(money(&json!(1299), pounds), "12.99 GBP");
        assert_eq!(about(&json!(1299.4), pounds), "12.99 GBP");
        assert_eq!(percent(&json!(0.3125)), "31.2 %");
        assert_eq!(points(&json!(0.03)), "+3.0 %");
        assert_eq!(instant(&json!("2026-03-01T12:00:00Z")), "2026-03-01 12:00 UTC");
        assert_eq!([money(&json!(null), pounds), percent(&json!(null))], ["-", "-"]);
    }
}
