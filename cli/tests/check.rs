//! `nextbest check` over the simulated shop: whom the actions reach, and a warning of one that reaches nobody.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Who is defected has not ordered for half a year; nothing in the rules themselves contradicts that.
const UNREACHABLE: &str = r#"
[[action]]
id = "welcome_back"
campaign_type = "recovery"
stages = ["defected"]
suitability = [{ rule = "features.orders_30d >= 1", code = "no_fresh_order" }]
propensity = "conversion"
value = { fixed_minor = 500 }
[[action.treatment]]
id = "welcome_back_email"
channel = "email"
"#;

fn nextbest(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nextbest"));
    let (verb, options) = arguments.split_first().unwrap();
    command.arg(verb).arg(folder).args(options).output().unwrap()
}

fn told(arguments: &[&str], folder: &Path) -> String {
    let output = nextbest(arguments, folder);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn an_action_that_reaches_nobody_is_named_with_where_the_funnel_loses_them() {
    let folder = tempfile::tempdir().unwrap();
    told(&["init"], folder.path());
    // Before there is any data or model: the shop's own actions all reach somebody.
    let good = told(&["check", "--customers", "400"], folder.path());
    assert!(!good.contains("warning"), "{good}");
    assert!(good.contains("every action reaches somebody"), "{good}");
    assert_eq!(good, told(&["check", "--customers", "400"], folder.path()), "the same customers every time");

    let policy = folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap() + UNREACHABLE;
    std::fs::write(&policy, text).unwrap();
    let warned = told(&["check", "--customers", "400"], folder.path());
    let warnings: Vec<&str> = warned.lines().filter(|line| line.starts_with("warning")).collect();
    let [warning] = warnings.as_slice() else { panic!("{warned}") };
    for part in [
        "action \"welcome_back\" reaches nobody",
        "at eligibility by lifecycle_stage (stage_not_eligible)",
        "at suitability by no_fresh_order (rule_not_met)",
    ] {
        assert!(warning.contains(part), "{part} is not in {warning}");
    }
    let json = told(&["check", "--customers", "400", "--json"], folder.path());
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["warnings"].as_array().unwrap().len(), 1);
    let reach = &json["reach"];
    assert_eq!((&reach["population"], &reach["models"]), (&"simulated".into(), &false.into()));
    let actions = reach["actions"].as_array().unwrap();
    let unreached: Vec<&Value> = actions.iter().filter(|action| action["n_survived"] == 0).collect();
    assert_eq!(unreached.len(), 1);
    // Everyone decided is lost somewhere, once.
    let lost: u64 = unreached[0]["losses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|loss| loss["n_customers"].as_u64().unwrap())
        .sum();
    assert_eq!(lost, reach["n_decisions"].as_u64().unwrap());

    let quick = told(&["check", "--no-reach"], folder.path());
    assert!(!quick.contains("reaches"), "{quick}");
}
