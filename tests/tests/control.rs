//! Control groups: who is drawn into one is in it everywhere.

use std::collections::BTreeMap;

use nextbest_functions::keys::Role;
use nextbest_functions::snapshot;
use nextbest_models::customer::CustomerId;
use nextbest_tests::fixture::{key, now};
use nextbest_tests::world::World;
use serde_json::{Value, json};

/// Half of the customers in each group, so that few are needed for all four arms.
const GROUPS: &str =
    "[control.policy]\nshare = 0.5\nsalt = \"p\"\n[control.model]\nshare = 0.5\nsalt = \"m\"\n";

#[tokio::test]
async fn one_customer_has_one_arm_in_decision_price_and_list() {
    let world = World::new(GROUPS).await;
    let customers: Vec<String> = (0..32).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    snapshot::build(&world.app).await.unwrap();
    let list = world.client.get(format!("{}/v1/at-risk?limit=500", world.base));
    let list = list.header("x-api-key", key(&world.keys, Role::Retention)).send().await.unwrap();
    let list: Value = list.json().await.unwrap();
    let rows: BTreeMap<&str, &Value> = list["customers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["customer_id"].as_str().unwrap(), row))
        .collect();

    let mut seen: BTreeMap<(bool, bool), usize> = BTreeMap::new();
    for customer in &customers {
        let id = CustomerId::new(customer.clone()).unwrap();
        let drawn = world.app.project.policy.control().assign(&id, now());
        *seen.entry((drawn.policy, drawn.model)).or_default() += 1;
        let arm = match (drawn.policy, drawn.model) {
            (true, _) => json!("policy_control"),
            (false, true) => json!("model_control"),
            (false, false) => Value::Null,
        };
        let experiment = json!({ "arm": arm, "control": drawn.policy });

        let decision = world.decide(json!({ "customer_id": customer })).await;
        assert_eq!(decision["experiment"], experiment, "{decision}");
        assert_eq!(decision["outcome"] == "control", drawn.policy, "{decision}");

        let basket = json!({ "customer_id": customer, "currency": "GBP", "items": [{ "sku": "MUG" }] });
        let (_, quote) = world.post_as(Role::Checkout, "/v1/prices/quote", &basket).await;
        assert_eq!(quote["experiment"], experiment, "{quote}");
        assert_eq!(quote["degraded"], json!([]), "being held out is no lack: {quote}");
        let item = &quote["items"][0];
        // At the SKU's elasticity of -2 twice the cost of 610; at the average of -1.8 9/4 of it, 1372.5.
        let (outcome, prices) = match (drawn.policy, drawn.model) {
            (true, _) => ("control_list_price", vec![1299]),
            (false, true) => ("quoted", vec![1372, 1373]),
            (false, false) => ("quoted", vec![1220]),
        };
        assert_eq!(quote["outcome"], outcome, "{quote}");
        assert!(prices.contains(&item["model_price_minor"].as_i64().unwrap()), "{item}");
        if drawn.policy {
            assert_eq!(item["quoted_price_minor"], item["list_price_minor"]);
            assert_eq!(item["elasticity"], json!({ "value": null, "code": "control_group" }));
        }

        let row = rows[customer.as_str()];
        assert_eq!(row["experiment"], experiment, "{row}");
        // The fixture's models carry no base rates, so that averages recommend nothing either.
        assert_eq!(row["recommended"].is_null(), drawn.policy || drawn.model, "{row}");
    }
    assert_eq!(seen.len(), 4, "each arm was met: {seen:?}");

    // A basket without a customer belongs to nobody's arm.
    let basket = json!({ "currency": "GBP", "items": [{ "sku": "MUG" }] });
    let (_, quote) = world.post_as(Role::Checkout, "/v1/prices/quote", &basket).await;
    assert_eq!(quote["experiment"], json!({ "arm": null, "control": false }));
}
