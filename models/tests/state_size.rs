//! How many bytes a typical customer of the simulated shop's features takes in the store.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;

use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::Event;
use nextbest_models::project::Project;
use nextbest_models::units::Timestamp;
use serde_json::json;

/// A year as the simulated shop writes it: 12 orders of two lines, 40 visits, 10 contacts each with its replies.
fn year() -> Vec<Event> {
    let start: Timestamp = "2025-01-01T08:00:00Z".parse().unwrap();
    let mut events = Vec::new();
    let mut add = |kind: &str, hours: i64, more: serde_json::Value| {
        let mut event = json!({
            "event_id": format!("C000017-{}", events.len()), "type": kind, "customer_id": "C000017",
            "occurred_at": start.plus_millis(hours * 3_600_000 + 17 * i64::try_from(events.len()).unwrap()),
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        events.push(serde_json::from_value(event).unwrap());
    };
    for hours in (0..40).map(|n: i64| n * 9 * 24) {
        add("product_viewed", hours, json!({"sku": format!("TEA-{}", hours % 10), "channel": "web"}));
    }
    for order in 0..12_i64 {
        for line in ["COFFEE-01", "TEA-02"] {
            let value = json!({"amount_minor": 1299, "currency": "GBP"});
            let of = json!({"order_id": format!("C000017-O{order}")});
            add(
                "order_placed",
                order * 720 + 1,
                json!({"sku": line, "quantity": 1, "value": value, "attributes": of}),
            );
        }
    }
    for contact in 0..10_i64 {
        let action = ["newsletter", "bundle", "second_order", "how_are_we_doing"]
            [usize::try_from(contact % 4).unwrap()];
        let of = json!({
            "decision_id": format!("C000017-D{contact}"), "action_id": action, "channel": "email",
            "treatment_id": format!("{action}_email"),
        });
        let replies = [("contacted", 0), ("impression", 3), ("clicked", 4), ("not_taken", 168)];
        for (kind, after) in replies.into_iter().take(if contact % 2 == 0 { 4 } else { 1 }) {
            add(kind, contact * 840 + after, of.clone());
        }
    }
    add("consent_changed", 1, json!({"attributes": {"marketing": true}}));
    events.sort_by_key(|event: &Event| event.occurred_at);
    events
}

#[test]
fn what_contacts_consent_and_life_add_stays_below_a_kilobyte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
    let project = Project::read(|file| std::fs::read_to_string(folder.join(file))).unwrap();
    let mut customer = Customer::new(CustomerId::new("C000017").unwrap(), &project.schema);
    for event in year() {
        customer.apply(&project.schema, &event).unwrap();
    }
    let size = |part: Vec<u8>| part.len();
    let contacts = size(postcard::to_stdvec(customer.contacts()).unwrap());
    let consents = size(postcard::to_stdvec(customer.consents()).unwrap());
    let life = size(postcard::to_stdvec(customer.life()).unwrap());
    let whole = customer.to_bytes().len();
    println!("{whole} bytes, of which contacts {contacts}, consent {consents}, life {life}");
    assert!(contacts + consents + life < 1024, "{contacts} + {consents} + {life}");
}
