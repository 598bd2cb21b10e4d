//! Examples: cases in policy.toml whose answer is known, decided when the file is loaded.

use super::{PolicyFault, lets_through};
use crate::action::Example;
use crate::lifecycle::Stage;
use crate::policy::expression::{Facts, Kind};
use crate::policy::{CheckedAction, Policy};

/// Every example that is decided otherwise than it says, or that names what no rule could.
pub(super) fn faults(policy: &Policy) -> Vec<PolicyFault> {
    let mut faults = Vec::new();
    for action in &policy.actions {
        for (at, example) in action.spec.examples.iter().enumerate() {
            if let Err(message) = decide(policy, action, example) {
                let message = format!("action {:?}, example {}: {message}", action.spec.id, at + 1);
                let within = action.spec.id.clone();
                faults.push(PolicyFault {
                    within,
                    near: "[[action.example]]".to_owned(),
                    column: None,
                    message,
                });
            }
        }
    }
    faults
}

fn decide(policy: &Policy, action: &CheckedAction, example: &Example) -> Result<(), String> {
    let words = &policy.names.vocabulary;
    let mut numbers = vec![f64::NAN; words.numbers().len()];
    let mut flags = vec![None; words.flags().len()];
    let mut texts: Vec<Option<&str>> = vec![None; words.texts().len()];
    let slot = |names: &[String], name: &str| names.iter().position(|known| known == name).unwrap_or(0);
    for (name, value) in &example.given {
        let Some(kind) = words.kind(name) else {
            return Err(format!("{name:?} is no name that rules know"));
        };
        match (kind, value) {
            (Kind::Number, toml::Value::Integer(x)) => numbers[slot(words.numbers(), name)] = *x as f64,
            (Kind::Number, toml::Value::Float(x)) => numbers[slot(words.numbers(), name)] = *x,
            (Kind::Flag, toml::Value::Boolean(flag)) => flags[slot(words.flags(), name)] = Some(*flag),
            (Kind::Text { levels }, toml::Value::String(text)) => {
                if let Some(levels) = levels
                    && !levels.contains(text)
                {
                    return Err(format!("{name} = {text:?} is none of {}", levels.join(", ")));
                }
                texts[slot(words.texts(), name)] = Some(text);
            }
            (kind, value) => return Err(format!("{name} = {value} is not {}", kind.noun())),
        }
    }
    let stage = example.given.get("customer.stage").and_then(toml::Value::as_str);
    let in_stage =
        stage.is_none_or(|name| action.spec.stages.iter().any(|stage: &Stage| stage.as_str() == name));
    let facts = Facts { numbers: &numbers, flags: &flags, texts: &texts };
    let offered = in_stage && lets_through(action, &facts);
    if offered == example.offered {
        return Ok(());
    }
    Err(format!("says offered = {}, but stages and rules say {offered}", example.offered))
}
