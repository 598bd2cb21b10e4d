//! `nextbest import` as it is typed: exit codes, the report as text and as JSON, and what stays unwritten.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

const PROJECT: &str = r#"
name = "corner"
currency = "GBP"
time_zone = "Europe/London"
lateness_days = 7
activity = { event = ["order_placed"], window_days = 180 }
training = { n_cutoffs = 3, step_days = 30, seed = 1 }
lifecycle = { active_from_days = 3, loyal_from_days = 8, at_risk_days = 60, defected_days = 180 }

[labels.churn]
kind = "absence"
event = ["order_placed"]
horizon_days = 60

[[source]]
name = "till"
files = ["till*.csv"]
type = { constant = "order_placed" }
occurred_at = { column = "when", format = "%Y-%m-%d" }
customer_id = "who"
sku = "item"
quantity = "units"
value = "paid"
"#;

const TILL: &str = "when,who,item,units,paid\n2026-01-31,anna,mug,2,25.10\n2026-02-01,bert,cup,1,3.99\n";

/// A project folder with nextbest.toml and one file to import.
fn project(file: &str, text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("nextbest.toml"), PROJECT).unwrap();
    fs::write(dir.path().join(file), text).unwrap();
    dir
}

fn import(project: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    command.current_dir(project).args(["import", "--project", "."]).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn an_import_tells_its_report_as_text_and_as_json() {
    let dir = project("till.csv", TILL);
    let told = import(dir.path(), &["till.csv"]);
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    assert!(text.contains("became an event of a customer") && text.contains("rows read: 2"), "{text}");
    assert!(
        text.contains("log: 2 events of 2 customers, 0 of no customer, 2026-01-31 to 2026-02-01 ("),
        "{text}"
    );
    assert_eq!(stderr(&told), "", "no bar where there is no terminal");

    let told = import(dir.path(), &["--json", "till.csv"]);
    let report: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(report["log"]["n_events"], 2);
    assert_eq!(report["replaced"]["n_events"], 2);
    let sum: u64 = report["buckets"].as_array().unwrap().iter().map(|b| b["n_rows"].as_u64().unwrap()).sum();
    assert_eq!(sum, report["n_rows"].as_u64().unwrap());
}

#[test]
fn faulty_data_ends_with_1_and_a_wrong_call_with_2() {
    let dir = project("till.csv", &TILL.replace("25.10", "lots"));
    let told = import(dir.path(), &["till.csv"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(
        stderr(&told).contains("1 rows are rejected, 0 are allowed; the first: till.csv:2:paid: \"lots\"")
    );
    assert!(String::from_utf8_lossy(&told.stdout).contains("no log was written"));
    assert!(!dir.path().join("data/events").exists());
    let told = import(dir.path(), &["--max-rejected", "1", "--rejects", "bad.csv", "--json", "till.csv"]);
    assert_eq!(told.status.code(), Some(0), "{}", stderr(&told));
    assert_eq!(fs::read_to_string(dir.path().join("bad.csv")).unwrap().lines().count(), 2);

    for (args, message) in [
        (vec!["gone.csv"], "gone.csv: "),
        (vec!["nextbest.toml"], "nextbest.toml: "),
        (vec!["--source", "tull", "till.csv"], "no source is named \"tull\"; there are \"till\""),
        (vec![], "required arguments were not provided"),
        (vec!["--memory-mib", "0", "till.csv"], "0 is not in 1..=1048576"),
    ] {
        let told = import(dir.path(), &args);
        assert_eq!(told.status.code(), Some(2), "{args:?}: {}", stderr(&told));
        assert!(stderr(&told).contains(message), "{args:?}: {}", stderr(&told));
    }
}

#[test]
fn a_faulty_project_file_is_named_with_its_line() {
    let dir = project("till.csv", TILL);
    let broken = PROJECT
        .replace("customer_id = \"who\"\n", "")
        .replace("value = \"paid\"", "value = \"paid\"\nunit_price = \"paid\"");
    fs::write(dir.path().join("nextbest.toml"), broken).unwrap();
    let told = import(dir.path(), &["till.csv"]);
    assert_eq!(told.status.code(), Some(2));
    let text = stderr(&told);
    assert!(
        text.contains("source \"till\": none of customer_id, anonymous_id and guest_id is given"),
        "{text}"
    );
    assert!(text.contains("only one of value, unit_price and value_minor may be given"), "{text}");
    let (folder, missing) = (dir.path().join("none"), "nextbest.toml: No such file");
    fs::create_dir(&folder).unwrap();
    let told = import(&folder, &["x.csv"]);
    assert!(told.status.code() == Some(2) && stderr(&told).contains(missing), "{}", stderr(&told));
}
