//! `nextbest import-model` as it is typed: a model of LightGBM becomes an artifact that scores a table as LightGBM does;
//! what is not supported is a wrong call, and nothing is written.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/foreign").join(file)
}

fn nextbest(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nextbest")).current_dir(folder).args(arguments).output().unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_lightgbm_model_scores_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let (model, rows) = (fixture("lightgbm.txt"), fixture("rows.csv.gz"));
    let from = ["import-model", "--from", model.to_str().unwrap(), "--key", "row", "--out", "theirs.nba"];
    let made = nextbest(folder.path(), &from);
    assert!(made.status.success(), "{}", told(&made));
    assert!(String::from_utf8_lossy(&made.stdout).contains("60 trees"), "{made:?}");

    let table = rows.to_str().unwrap();
    let scored =
        ["score", "--artifact", "theirs.nba", "--table", table, "--reasons", "2", "--out", "scores.csv"];
    let scored = nextbest(folder.path(), &scored);
    assert!(scored.status.success(), "{}", told(&scored));
    let scores = std::fs::read_to_string(folder.path().join("scores.csv")).unwrap();
    assert_eq!(scores.lines().count(), 10_001);
    assert!(scores.starts_with("key,probability,reason_1,reason_2\n0,"), "{}", &scores[..80]);
}

#[test]
fn what_cannot_be_taken_over_is_a_wrong_call() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.txt");
    let faults = [
        (fixture("lightgbm-poisson.txt"), "count:poisson"),
        (fixture("rows.csv.gz"), "neither a LightGBM text model nor an XGBoost"),
        (missing, "missing.txt: No such file"),
    ];
    for (file, message) in faults {
        let refused =
            nextbest(folder.path(), &["import-model", "--from", file.to_str().unwrap(), "--out", "m.nba"]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(told(&refused).contains(message), "{}", told(&refused));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
