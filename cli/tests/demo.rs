//! The whole loop from the command line, small: what a newcomer runs first, and how it fails.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

#[path = "demo/replay.rs"]
mod replay;

/// A project folder as `nextbest init` makes it.
fn shop() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let made = init(folder.path());
    assert!(made.status.success(), "{}", told(&made));
    folder
}

fn init(folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nextbest")).arg("init").arg(folder).output().unwrap()
}

fn nextbest(arguments: &[&str], project: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    command.args(arguments).arg("--project").arg(project).env_remove("AWS_ENDPOINT_URL").output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn init_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("policy.toml"), "mine").unwrap();
    let refused = init(folder.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(told(&refused).contains("already holds policy.toml"), "{}", told(&refused));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is written beside it");
}

#[test]
fn the_demo_closes_the_loop() {
    let folder = shop();
    let output = nextbest(&["demo", "--once", "--json", "--port", "0", "--customers", "1200"], folder.path());
    assert!(output.status.success(), "{}", told(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();

    let names: Vec<&str> =
        report["steps"].as_array().unwrap().iter().filter_map(|step| step["name"].as_str()).collect();
    assert_eq!(names, ["simulate", "import", "train", "load", "ask"]);
    let propensities = report["training"]["report"]["propensities"].as_array().unwrap();
    let names: Vec<&str> = propensities.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["churn", "conversion", "accepted", "answered", "purchase"]);
    // Of some 5,000 contacts a response model need not know much.
    for model in propensities.iter().filter(|one| !one["label"].is_null()) {
        // Chance is 0.5; the model must beat it by more than its own standard error tells apart.
        let auc = &model["test"]["auc"];
        assert!(auc["value"].as_f64().unwrap() - 0.5 > 3.0 * auc["se"].as_f64().unwrap(), "{auc}");
        assert_eq!(
            model["candidates"].as_array().unwrap().iter().filter(|row| row["chosen"] == true).count(),
            1
        );
    }
    for propensity in propensities {
        let found = &propensity["diagnostics"];
        // Folds of customers, which judge where contacts are few, are not apart in time.
        let in_time = propensity["validation"]["method"] == "in_time";
        assert_eq!(found["drift"]["status"], if in_time { "measured" } else { "omitted" });
        assert!(!found["importance"]["features"].as_array().unwrap().is_empty());
        assert_eq!(found["card"]["artifact_sha256"], report["training"]["report"]["artifact_sha256"]);
    }
    let customers = report["at_risk"]["customers"].as_array().unwrap();
    // A shop of 1,200 teaches lifetime values and what contacts save: the list is by what saving brings.
    assert_eq!(report["at_risk"]["sort"], "net_save_value", "{:?}", report["training"]["report"]["notes"]);
    let ranked = |name: &str| customers.iter().map(|row| row[name].as_f64().unwrap()).collect::<Vec<_>>();
    assert!(ranked("net_save_value_minor").is_sorted_by(|a, b| a >= b));
    let decision = &report["next_best_action"];
    assert!(["offer", "no_action"].contains(&decision["outcome"].as_str().unwrap()), "{decision}");
    assert_eq!(decision["degraded"], serde_json::json!([]));
    let reasons = decision["actions"].as_array().unwrap().iter().map(|action| &action["reason_codes"]);
    for reason in reasons.flat_map(|reasons| reasons.as_array().unwrap()) {
        assert!(
            reason["text"].as_str().unwrap().contains("it more likely") == (reason["direction"] == "raises")
        );
    }
    let item = &report["price"]["items"][0];
    let minor = |name: &str| item[name].as_i64().unwrap();
    assert!(
        minor("floor_minor") <= minor("quoted_price_minor")
            && minor("quoted_price_minor") <= minor("ceiling_minor")
    );
    assert_eq!(
        report["decision_with_outcome"]["outcomes"].as_array().unwrap().len(),
        1,
        "the customer accepted"
    );

    // What it left behind opens, verifies, and loads again.
    let current = std::fs::read_to_string(folder.path().join("artifacts/CURRENT")).unwrap();
    let artifact: PathBuf = folder.path().join("artifacts").join(current.trim());
    let verify = Command::new(env!("CARGO_BIN_EXE_nextbest")).arg("verify").arg(&artifact).output().unwrap();
    assert!(verify.status.success(), "{}", told(&verify));

    let table = folder.path().join("table.csv");
    let dataset = nextbest(&["dataset", "--out", table.to_str().unwrap()], folder.path());
    assert!(dataset.status.success(), "{}", told(&dataset));
    let table = std::fs::read_to_string(table).unwrap();
    assert_eq!(table.lines().count() as u64, 1 + report["training"]["report"]["n_rows"].as_u64().unwrap());
    let header = table.lines().next().unwrap();
    assert!(header.starts_with("customer_id,cutoff,orders_30d,"), "{header}");
    assert!(header.ends_with(",churn,churn_part,conversion,conversion_part"), "{header}");
    assert!(nextbest(&["load"], folder.path()).status.success());
    replay::every_decision(folder.path(), &report);
    the_list_is_written(folder.path());
    the_hopper_is_filled(folder.path());
}

/// Who is worth saving, as a table, as JSON and as files.
fn the_list_is_written(project: &Path) {
    let (table, parquet) = (project.join("save.csv"), project.join("save.parquet"));
    let args = ["at-risk", "--customers", "30", "--json", "--out", table.to_str().unwrap()];
    let written = nextbest(&args, project);
    assert!(written.status.success(), "{}", told(&written));
    let list: Value = serde_json::from_slice(&written.stdout).unwrap();
    let customers = list["customers"].as_array().unwrap();
    assert_eq!(customers.len(), 30);
    let net = |one: &Value| one["customer"]["net_save_value_minor"].as_i64().unwrap();
    assert!(customers.is_sorted_by(|a, b| net(a) >= net(b)));
    let csv = std::fs::read_to_string(table).unwrap();
    let ids: Vec<&str> = csv.lines().skip(1).map(|line| line.split(',').nth(1).unwrap()).collect();
    let expected: Vec<&str> =
        customers.iter().map(|one| one["customer"]["customer_id"].as_str().unwrap()).collect();
    assert_eq!(ids, expected);
    let args = ["at-risk", "--sort", "churn_probability", "--out", parquet.to_str().unwrap()];
    let shown = nextbest(&args, project);
    assert!(shown.status.success(), "{}", told(&shown));
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(text.contains("left out: ") && text.contains("20 customers in "), "{text}");
    assert_eq!(&std::fs::read(parquet).unwrap()[..4], b"PAR1");
    for (wrong, word) in [(["--sort", "age"], "net_save_value"), (["--customers", "0"], "1 ..= 20000")] {
        let refused = nextbest(&["at-risk", wrong[0], wrong[1]], project);
        assert_eq!(refused.status.code(), Some(2));
        assert!(told(&refused).contains(word), "{}", told(&refused));
    }
}

/// Over the store that was just loaded.
fn the_hopper_is_filled(project: &Path) {
    let (table, parquet) = (project.join("today.csv"), project.join("rest.parquet"));
    let filled = nextbest(&["hopper", "--json", "--out", table.to_str().unwrap()], project);
    assert!(filled.status.success(), "{}", told(&filled));
    let report: Value = serde_json::from_slice(&filled.stdout).unwrap();
    let n_listed = report["n_listed"].as_u64().unwrap();
    assert!(n_listed > 0 && report["proven_share"].as_f64().unwrap() > 0.5, "{report}");
    let listed = report["campaigns"].as_array().unwrap().iter().map(|one| one["n_listed"].as_u64().unwrap());
    assert_eq!(listed.sum::<u64>(), n_listed);
    let table = std::fs::read_to_string(table).unwrap();
    assert_eq!(table.lines().count() as u64, 1 + n_listed);

    // The same night again: nobody is listed twice, and an empty file is one all the same.
    let again = nextbest(&["hopper", "--out", parquet.to_str().unwrap()], project);
    assert!(again.status.success(), "{}", told(&again));
    let text = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(text.contains("stay_with_us.phone") && text.contains("nobody of"), "{text}");
    let bytes = std::fs::read(parquet).unwrap();
    assert_eq!((&bytes[..4], &bytes[bytes.len() - 4..]), (&b"PAR1"[..], &b"PAR1"[..]));
    // A contact that was listed is made again from the log.
    let decision_id = table.lines().nth(1).and_then(|line| line.split(',').nth(1)).unwrap();
    let replayed = nextbest(&["replay", decision_id], project);
    assert!(replayed.status.success(), "{}", told(&replayed));

    let nowhere = nextbest(&["hopper", "--out", "list.xlsx"], project);
    assert_eq!(nowhere.status.code(), Some(2));
    assert!(told(&nowhere).contains(".csv or .parquet"), "{}", told(&nowhere));
    // Neither a model nor a prior.
    std::fs::remove_file(project.join("artifacts/CURRENT")).unwrap();
    let policy = project.join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let without: Vec<&str> = text.lines().filter(|line| !line.starts_with("prior =")).collect();
    std::fs::write(&policy, without.join("\n")).unwrap();
    let untrained = nextbest(&["hopper"], project);
    assert_eq!(untrained.status.code(), Some(1));
    assert!(told(&untrained).contains("nextbest train"), "{}", told(&untrained));
    let text =
        std::fs::read_to_string(&policy).unwrap().replace("[[hopper.campaign]]", "[[hopper.campaigns]]");
    std::fs::write(&policy, text).unwrap();
    let faulty = nextbest(&["hopper"], project);
    assert_eq!(faulty.status.code(), Some(2));
    assert!(
        told(&faulty).contains("policy.toml:") && told(&faulty).contains("campaigns"),
        "{}",
        told(&faulty)
    );
}

#[test]
fn a_wrong_call_ends_with_2_and_says_what_to_do() {
    let folder = shop();
    let missing = nextbest(&["train"], &folder.path().join("nowhere"));
    assert_eq!(missing.status.code(), Some(2));
    assert!(told(&missing).contains("--project"), "{}", told(&missing));

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let busy = nextbest(&["serve", "--port", &port], folder.path());
    assert_eq!(busy.status.code(), Some(2));
    assert!(told(&busy).contains(&port) && told(&busy).contains("--port"), "{}", told(&busy));

    let policy = folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap().replacen("\"accepted\"", "\"acepted\"", 1);
    std::fs::write(&policy, text).unwrap();
    let faulty = nextbest(&["train"], folder.path());
    assert_eq!(faulty.status.code(), Some(2));
    assert!(
        told(&faulty).contains("policy.toml:") && told(&faulty).contains("\"acepted\""),
        "{}",
        told(&faulty)
    );
}

#[test]
fn work_without_its_input_ends_with_1_and_says_what_is_missing() {
    let folder = shop();
    let no_log = nextbest(&["train"], folder.path());
    assert_eq!(no_log.status.code(), Some(1));
    assert!(told(&no_log).contains("nextbest import"), "{}", told(&no_log));
    let no_file =
        Command::new(env!("CARGO_BIN_EXE_nextbest")).args(["verify", "nothing.nba"]).output().unwrap();
    assert_ne!(no_file.status.code(), Some(0));
    assert!(told(&no_file).contains("nothing.nba"), "{}", told(&no_file));
}

#[test]
fn an_unreachable_store_is_named() {
    let folder = shop();
    let made = nextbest(&["demo", "--once", "--json", "--port", "0", "--customers", "1200"], folder.path());
    assert!(made.status.success(), "{}", told(&made));
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{free}");
    let output = nextbest(&["load", "--endpoint", &endpoint], folder.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(told(&output).contains("DescribeTable") || told(&output).contains("store"), "{}", told(&output));
}
