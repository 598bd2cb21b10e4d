//! `nextbest report at-risk` over a small simulated shop: what it tells and writes, by whose models, and what it refuses.

use std::path::Path;

use serde_json::Value;

use super::{nextbest, number, told};

fn report(place: &Path, more: &[&str]) -> Value {
    let words = ["report", "at-risk", "--project", "my-shop", "--json", "--out", "page.html"];
    serde_json::from_str(&told(&[&words, more].concat(), place)).unwrap()
}

#[test]
fn lists_of_past_days_are_told_beside_what_followed() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    told(&["init", "my-shop"], place);
    let words =
        ["simulate", "--customers", "700", "--days", "330", "--seed", "11", "--out", "my-shop/data/log"];
    told(&words, place);
    told(&["import", "--project", "my-shop", "my-shop/data/log/events.parquet"], place);

    // No artifact is there: models are trained as of the list's day, 60 days before the end of the log.
    let refitted = report(place, &[]);
    let at = &refitted["cutoffs"][0];
    assert_eq!((&at["source"], &at["cutoff"]), (&"refitted".into(), &"2025-09-28T00:00:00Z".into()));
    assert_eq!(at["trained_through"], at["cutoff"], "nothing known from the day on is learned from");
    counts_add_up(&at["judged"]);
    shown_as_told(&std::fs::read_to_string(place.join("page.html")).unwrap(), at);

    // The simulated log is of a policy that held nobody out.
    assert_eq!(at["judged"]["difference"]["code"], "no_control_group");
    assert!(at["judged"]["difference"]["estimate"].is_null());

    // An artifact whose training ended before the list is taken, and tells the same; a later one is not.
    told(&["train", "--project", "my-shop", "--as-of", "2025-09-28T00:00:00Z"], place);
    let by_artifact = report(place, &[]);
    assert_eq!(by_artifact["cutoffs"][0]["source"], "artifact");
    assert_eq!(by_artifact["cutoffs"][0]["judged"], at["judged"]);
    let earlier = report(place, &["--as-of", "2025-11-20T00:00:00Z"]);
    let source = |report: &Value| report["cutoffs"][0]["source"].clone();
    assert_ne!(
        source(&earlier),
        "artifact",
        "its training ended on 28 September, the list is of 21 September"
    );

    // Where nothing could be trained by then there is a code in place of numbers.
    let early = report(place, &["--as-of", "2025-06-20T00:00:00Z"]);
    assert_eq!(early["cutoffs"][0]["code"], "too_early");
    assert!(early["cutoffs"][0]["judged"].is_null() && early["cutoffs"][0]["reason"].is_string());
}

fn counts_add_up(judged: &Value) {
    let curve = judged["curve"].as_array().unwrap();
    let last = curve.last().unwrap();
    assert_eq!(curve.len(), 100);
    assert_eq!(last["n_customers"], judged["n_customers"]);
    assert_eq!(number(&last["churners"]["value"]), number(&judged["n_churned"]));
    let bands = judged["bands"].as_array().unwrap();
    let n: u64 = bands.iter().map(|band| band["n_customers"].as_u64().unwrap()).sum();
    assert_eq!(n, judged["n_customers"].as_u64().unwrap());
    let expected: f64 =
        bands.iter().map(|band| number(&band["expected"]) * number(&band["n_customers"])).sum();
    // Sums of some hundred numbers below 1, in another order.
    assert!((expected - number(&last["expected_churners"])).abs() < 1e-9);
    for pair in curve.windows(2) {
        assert!(number(&pair[0]["churners"]["value"]) <= number(&pair[1]["churners"]["value"]));
    }
}

fn shown_as_told(page: &str, at: &Value) {
    let judged = &at["judged"];
    for band in judged["bands"].as_array().unwrap() {
        let percent = |value: &Value| format!("{:.1} %", 100.0 * number(value));
        let left = &band["observed"];
        let shown = format!(
            "<td>{}</td><td>{} <small>({} to {})</small></td>",
            percent(&band["expected"]),
            percent(&left["value"]),
            percent(&left["lo"]),
            percent(&left["hi"])
        );
        assert!(page.contains(&shown), "{shown}");
    }
    assert!(page.contains("no_control_group") && page.contains("<svg") && !page.contains("src="));
}

#[test]
fn a_wrong_call_ends_with_2_and_a_missing_log_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let nowhere = nextbest(&["report", "at-risk", "--project", "nowhere"], place);
    assert_eq!(nowhere.status.code(), Some(2));
    told(&["init", "my-shop"], place);
    let no_log = nextbest(&["report", "at-risk", "--project", "my-shop"], place);
    assert_eq!(no_log.status.code(), Some(1));
    let none = nextbest(&["report", "at-risk", "--project", "my-shop", "--cutoffs", "0"], place);
    assert_eq!(none.status.code(), Some(2));
}
