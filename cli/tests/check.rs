//! `nextbest check` over the simulated shop: whom the actions reach, and a warning of one that reaches nobody, and of no
//! other.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::{Command, Output};

use nextbest_models::action::CampaignType;
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

/// An action without a prior, under one rule.
fn action(id: &str, propensity: &str, rule: &str) -> String {
    format!(
        "\n[[action]]\nid = \"{id}\"\ncampaign_type = \"upsell\"\n\
         stages = [\"new\", \"activating\", \"active\", \"loyal\"]\n\
         suitability = [\"{rule}\"]\npropensity = \"{propensity}\"\nvalue = {{ fixed_minor = 500 }}\n\
         [[action.treatment]]\nid = \"{id}_email\"\nchannel = \"email\"\n"
    )
}

#[test]
fn an_action_that_waits_for_a_model_or_for_a_callers_words_is_not_said_to_reach_nobody() {
    let folder = tempfile::tempdir().unwrap();
    told(&["init"], folder.path());
    let reached = [
        ("after_an_order", "accepted", "features.orders_180d >= 1"),
        ("in_the_basket", "conversion", "context.placement == 'basket'"),
        ("outside_the_basket", "accepted", "context.placement != 'basket'"),
        ("nowhere_in_particular", "accepted", "!has(context.placement)"),
        ("in_season", "answered", "context.season in ['spring', 'summer']"),
        ("at_a_sale", "accepted", "context.season.startsWith('sale_')"),
        ("out_of_season", "conversion", "has(context.season) && !(context.season in ['spring', 'summer'])"),
        ("on_an_unknown_device", "accepted", "!has(context.device)"),
    ];
    let policy = folder.path().join("policy.toml");
    let text = std::fs::read_to_string(&policy).unwrap();
    // Beside what the shop declares, a text that may be any.
    let declared =
        text.replacen("basket_minor = \"number\"", "basket_minor = \"number\"\nseason = \"text\"", 1);
    assert_ne!(declared, text);
    let reached: String = reached.iter().map(|(id, propensity, rule)| action(id, propensity, rule)).collect();
    // Drawn as the others are, and still nobody's.
    let unreachable = UNREACHABLE.replace("\"conversion\"", "\"accepted\"");
    assert_ne!(unreachable, UNREACHABLE);
    std::fs::write(&policy, format!("{declared}{reached}{unreachable}")).unwrap();

    let warned = told(&["check", "--customers", "400"], folder.path());
    let warnings: Vec<&str> = warned.lines().filter(|line| line.starts_with("warning")).collect();
    let [warning] = warnings.as_slice() else { panic!("{warned}") };
    assert!(warning.contains("action \"welcome_back\" reaches nobody"), "{warning}");
    assert!(warning.contains("simulated customers with drawn propensities"), "{warning}");
}

#[test]
fn each_of_the_ten_campaign_types_reaches_somebody_in_the_simulation() {
    let folder = tempfile::tempdir().unwrap();
    told(&["init"], folder.path());
    let json = told(&["check", "--customers", "400", "--json"], folder.path());
    let json: Value = serde_json::from_str(&json).unwrap();
    let actions = json["reach"]["actions"].as_array().unwrap();
    for campaign_type in CampaignType::ALL.into_iter().filter(|one| *one != CampaignType::Service) {
        let of_type = |action: &&Value| action["campaign_type"] == campaign_type.as_str();
        let n_reached = actions.iter().filter(of_type).filter_map(|action| action["n_survived"].as_u64());
        assert!(n_reached.sum::<u64>() > 0, "{}: {actions:?}", campaign_type.as_str());
    }
}
