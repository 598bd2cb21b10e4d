//! `nextbest report`: each report over a small simulated shop, what it tells and writes, and what it refuses.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

mod at_risk;
mod decisions;
mod metrics;

fn nextbest(words: &[&str], place: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nextbest")).args(words).current_dir(place).output().unwrap()
}

fn told(words: &[&str], place: &Path) -> String {
    let output = nextbest(words, place);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}
