//! What must never be linked into a room, asked of cargo itself: everything a room's library or binaries stand on.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;
use std::process::Command;

/// The crates `package` stands on, tests and build scripts aside.
fn stands_on(package: &str) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            package,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let lines = String::from_utf8(tree.stdout).unwrap();
    lines.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

fn assert_free_of(package: &str, banned: &[&str]) {
    let found = stands_on(package);
    assert!(found.contains("serde"), "the tree of {package} was read");
    let wrong: Vec<&String> =
        found.iter().filter(|name| banned.iter().any(|ban| name.starts_with(ban))).collect();
    assert!(wrong.is_empty(), "{package} stands on {wrong:?}");
}

#[test]
fn models_stand_on_no_io_async_randomness_aws_or_learner() {
    assert_free_of(
        "nextbest-models",
        &["tokio", "aws-", "rand", "getrandom", "memmap2", "linfa", "smartcore", "axum", "reqwest"],
    );
}

#[test]
fn functions_stand_on_no_learner_and_no_embedded_store() {
    assert_free_of("nextbest-functions", &["nextbest-training", "linfa", "smartcore", "dynoxide", "parquet"]);
}

#[test]
fn training_stands_on_no_aws() {
    assert_free_of("nextbest-training", &["aws-", "lambda_", "axum", "nextbest-functions"]);
}
