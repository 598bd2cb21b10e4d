//! The three answers as a person reads them.

use comfy_table::{Table, presets::NOTHING};
use nextbest_functions::keys::NewKey;
use serde_json::Value;

use crate::ask::{Answers, Product};

/// All three, and what came of the decision.
pub fn tell(answers: &Answers) -> String {
    let outcomes = answers.decision_with_outcome["outcomes"].as_array().map_or(0, Vec::len);
    format!(
        "At risk (GET /v1/at-risk)\n{}\n\nNext best action (POST /v1/decisions/next-best-action)\n{}\n\n\
         Price (POST /v1/prices/quote)\n{}\n\nOutcome: the customer accepted; the decision's log now holds {outcomes} \
         outcome(s).\n",
        at_risk(&answers.at_risk),
        decision(&answers.next_best_action, &answers.customer),
        price(&answers.price),
    )
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header.to_vec());
    table
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// What a person reads of a reason: its text, or the code of one that has none.
fn words(reason: &Value) -> Option<&str> {
    reason["text"].as_str().or_else(|| reason["code"].as_str())
}

fn share(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn money(value: &Value) -> String {
    value.as_f64().map_or("-".to_owned(), |minor| format!("{:.2}", minor / 100.0))
}

fn at_risk(answer: &Value) -> Table {
    let mut table =
        table(&["rank", "customer", "churn", "at stake", "will bring", "saved by", "worth", "drivers"]);
    for customer in answer["customers"].as_array().into_iter().flatten().take(5) {
        let drivers = customer["driver_reasons"].as_array().into_iter().flatten();
        let drivers: Vec<&str> = drivers.filter_map(words).collect();
        table.add_row([
            text(&customer["rank"]),
            text(&customer["customer_id"]),
            share(&customer["churn_probability"]["value"]),
            money(&customer["value_at_risk_minor"]),
            money(&customer["clv"]["value_minor"]),
            share(&customer["save_uplift"]["value"]),
            money(&customer["net_save_value_minor"]),
            drivers.join("\n"),
        ]);
    }
    table
}

fn decision(answer: &Value, customer: &str) -> String {
    let Some(action) = answer["actions"].get(0) else {
        return format!("  {}: {}", text(&answer["outcome"]), answer["degraded"]);
    };
    let reasons = action["reason_codes"].as_array().into_iter().flatten().take(3);
    let reasons = reasons.map(|reason| {
        let added = reason["contribution"].as_f64().unwrap_or(f64::NAN);
        format!("    {added:+.2}  {}", words(reason).unwrap_or_default())
    });
    let reasons: Vec<String> = reasons.collect();
    let factors = &action["factors"];
    format!(
        "  {} ({}) by {} to {}, stage {}\n  propensity {} x value {} x lever {} = priority {}\n  because (log-odds)\n{}",
        text(&action["action_id"]),
        text(&action["campaign_type"]),
        text(&action["channel"]),
        customer,
        text(&answer["lifecycle_stage"]),
        share(&factors["propensity"]),
        money(&factors["value"]),
        text(&factors["lever"]),
        money(&action["priority"]),
        reasons.join("\n"),
    )
}

fn price(answer: &Value) -> Table {
    let mut table = table(&["sku", "list", "quoted", "floor", "ceiling", "elasticity", "outcome"]);
    for item in answer["items"].as_array().into_iter().flatten() {
        let elasticity = &item["elasticity"];
        let elasticity = elasticity["value"].as_f64().map_or("-".to_owned(), |value| {
            let bound = |name: &str| elasticity[name].as_f64().unwrap_or(f64::NAN);
            format!("{value:.2} ({:.2} to {:.2})", bound("lo"), bound("hi"))
        });
        table.add_row([
            text(&item["sku"]),
            money(&item["list_price_minor"]),
            money(&item["quoted_price_minor"]),
            money(&item["floor_minor"]),
            money(&item["ceiling_minor"]),
            elasticity,
            text(&answer["outcome"]),
        ]);
    }
    table
}

/// How to go on by hand while the server is up.
pub fn invitation(base: &str, keys: &[NewKey], product: &Product, customer: &str) -> String {
    let keys =
        keys.iter().map(|key| format!("export {}_KEY={}", key.role.as_str().to_uppercase(), key.secret));
    let keys: Vec<String> = keys.collect();
    format!(
        "Serving on {base} until Ctrl-C. In another terminal:\n\n{}\n\n\
         curl -s {base}/v1/decisions/next-best-action -H \"x-api-key: $CRM_KEY\" -H 'content-type: application/json' \\\n  \
         -d '{{\"customer_id\":\"{customer}\",\"max_actions\":2,\"explain\":\"full\"}}'\n\
         curl -s {base}/v1/prices/quote -H \"x-api-key: $CHECKOUT_KEY\" -H 'content-type: application/json' \\\n  \
         -d '{{\"customer_id\":\"{customer}\",\"session_id\":\"s1\",\"currency\":\"GBP\",\"market\":\"GB\",\
         \"items\":[{{\"sku\":\"{}\",\"quantity\":1,\"list_price_minor\":{}}}]}}'\n\
         curl -s '{base}/v1/at-risk?limit=20' -H \"x-api-key: $RETENTION_KEY\"",
        keys.join("\n"),
        product.sku,
        product.list_price_minor,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reasons_are_told_in_words_and_by_code_where_there_are_none() {
        let reasons = json!([
            { "code": "ordering", "text": "They order often", "contribution": -1.25 },
            { "code": "tenure", "text": null, "contribution": 0.5 },
        ]);
        let told = decision(&json!({ "actions": [{ "reason_codes": reasons }] }), "ann");
        assert!(
            told.ends_with("because (log-odds)\n    -1.25  They order often\n    +0.50  tenure"),
            "{told}"
        );
        let row = json!({ "customer_id": "ann", "driver_reasons": reasons });
        let told = at_risk(&json!({ "customers": [row] })).to_string();
        assert!(told.contains("They order often") && told.contains("tenure"), "{told}");
        assert!(!told.contains("ordering"), "{told}");
    }
}
