//! The schemas that editors use allow what the project's files may say, and nothing else.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_models::project::{FILES, Project, json_schema};
use serde_json::{Value, json};

/// A file of the simulated shop as JSON, and its schema compiled.
fn shop(file: &str) -> (Value, jsonschema::Validator) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/");
    let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
    let schema = json_schema(file).unwrap();
    (toml::from_str(&text).unwrap(), jsonschema::validator_for(schema.as_value()).unwrap())
}

#[test]
fn the_shop_is_as_the_schemas_say() {
    for file in FILES {
        let (content, schema) = shop(file);
        let faults: Vec<String> =
            schema.iter_errors(&content).map(|e| format!("{} {e}", e.instance_path())).collect();
        assert_eq!(faults, [""; 0], "{file}");
    }
    assert!(json_schema("other.toml").is_none());
}

/// What is changed where: a JSON pointer and the new value, a name that is not known where the pointer ends in one.
const FAULTS: [(&str, &str, &str); 9] = [
    ("nextbest.toml", "/labels/churn/kind", "\"never\""),
    ("nextbest.toml", "/currency", "\"euro\""),
    ("nextbest.toml", "/training/n_cutofs", "3"),
    ("features.toml", "/feature/0/kind", "\"median\""),
    ("features.toml", "/feature/0/window", "30"),
    ("policy.toml", "/action/0/campaign_type", "\"spam\""),
    ("policy.toml", "/action/0/treatment/0/cost_minor", "\"much\""),
    ("pricing.toml", "/sku/0/list_price_minor", "19.99"),
    ("pricing.toml", "/default/flor_ratio", "0.5"),
];

#[test]
fn what_a_schema_refuses_the_project_refuses_too() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/shop/");
    for (file, pointer, value) in FAULTS {
        let (mut content, schema) = shop(file);
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        content.pointer_mut(parent).unwrap()[name] = serde_json::from_str(value).unwrap();
        assert!(!schema.is_valid(&content), "{file}{pointer} = {value}");
        let text = toml::to_string(&content).unwrap();
        let read = |asked: &str| match asked == file {
            true => Ok(text.clone()),
            false => std::fs::read_to_string(format!("{folder}{asked}")),
        };
        assert!(Project::read(read).is_err(), "{file}{pointer} = {value}");
    }
}

#[test]
fn what_may_be_left_out_is_not_required() {
    let schema = json_schema("policy.toml").unwrap();
    assert_eq!(schema.as_value().get("required"), None);
    let pricing = json_schema("pricing.toml").unwrap();
    assert_eq!(pricing.as_value()["required"], json!(["lock_minutes", "n_rungs", "default"]));
}
