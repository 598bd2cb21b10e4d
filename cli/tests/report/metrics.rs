//! `nextbest report metrics` over a small simulated shop: what it tells and writes, what it refuses, and the commands of
//! docs/metrics.md.

use std::path::Path;

use serde_json::Value;

use super::{nextbest, told};

/// Every command of the page is run in an empty folder, and what stands below it there is what it answers.
#[test]
fn every_command_of_the_documentation_answers_as_shown() {
    let text = include_str!("../../../docs/metrics.md");
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let (block, rest) = text.split_once("```sh\n").unwrap().1.split_once("\n```\n").unwrap();
    let mut last = String::new();
    for line in block.lines() {
        let command = line.split(" # ").next().unwrap();
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        last = told(&words, place);
    }
    let shown = rest.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let tidy = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    assert_eq!(tidy(last.trim_end()), tidy(shown.trim_end()));

    the_json_is_what_the_page_shows(place);
    a_moment_in_the_past_knows_less(place);
}

fn json(words: &[&str], place: &Path) -> Value {
    serde_json::from_str(&told(words, place)).unwrap()
}

fn the_json_is_what_the_page_shows(place: &Path) {
    let words = ["report", "metrics", "--project", "my-shop", "--json", "--out", "told/page.html"];
    let report = json(&words, place);
    let page = std::fs::read_to_string(place.join("told/page.html")).unwrap();
    let metrics = report["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 11);
    for metric in metrics {
        let [value, lo, hi] = ["value", "lo", "hi"].map(|name| metric["estimate"][name].as_f64().unwrap());
        assert!(lo <= value && value <= hi && lo < hi, "{metric}");
        if metric["unit"] == "share" {
            assert!(
                page.contains(&format!("<td>{:.1} %</td><td>{:.1} to", 100.0 * value, 100.0 * lo)),
                "{metric}"
            );
        }
    }
    assert!(page.contains("Retention by monthly cohort") && !page.contains("src="));
    let stages = report["stages"].as_array().unwrap();
    let n = stages.iter().map(|stage| stage["share"]["numerator"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(report["n_customers"], n, "everybody stands in one stage");
}

fn a_moment_in_the_past_knows_less(place: &Path) {
    let ask = |as_of: &str| {
        json(
            &["report", "metrics", "--project", "my-shop", "--json", "--as-of", as_of, "--out", "p.html"],
            place,
        )
    };
    let early = ask("2025-01-20T00:00:00Z");
    let code = |name: &str| {
        let metrics = early["metrics"].as_array().unwrap();
        let metric = metrics.iter().find(|metric| metric["name"] == name).unwrap().clone();
        assert!(metric["estimate"].is_null(), "{metric}");
        metric["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(code("activation"), "not_matured");
    assert_eq!(code("retention_month_1"), "not_matured");
    assert_eq!(code("churn"), "log_too_short");
    assert_eq!(code("purchase_frequency"), "log_too_short");
    let before = ask("2024-12-01T00:00:00Z");
    assert_eq!((&before["n_customers"], &before["from"]), (&0.into(), &Value::Null));
}

#[test]
fn a_wrong_call_ends_with_2_and_a_missing_log_with_1() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    let nowhere = nextbest(&["report", "metrics", "--project", "nowhere"], place);
    assert_eq!(nowhere.status.code(), Some(2));
    told(&["init", "my-shop"], place);
    let no_log = nextbest(&["report", "metrics", "--project", "my-shop"], place);
    assert_eq!(no_log.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&no_log.stderr).contains("nextbest import"));
    let no_time = nextbest(&["report", "metrics", "--project", "my-shop", "--as-of", "yesterday"], place);
    assert_eq!(no_time.status.code(), Some(2));
}
