//! What outcomes teach: counted once per contact that was made and whose time is over, and believed by later decisions.

use nextbest_functions::keys::Role;
use nextbest_functions::learn::{Learned, believe, learn};
use nextbest_models::units::{DAY_MS, Timestamp};
use nextbest_tests::fixture::{key, now};
use nextbest_tests::world::{World, post};
use serde_json::{Value, json};

/// An action nobody has a model for: its prior is 0.5, worth ten outcomes.
const YOUNG: &str = "[[action]]\nid = \"young\"\ncampaign_type = \"upsell\"\nstages = [\"new\"]\n\
    propensity = \"accepted\"\nprior = { propensity = 0.5, evidence = 10 }\nvalue = { fixed_minor = 9000 }\n\
    [[action.treatment]]\nid = \"young_sms\"\nchannel = \"sms\"\n";

fn sms(customer: &str, mode: &str) -> Value {
    let context = json!({ "channel": "sms", "direction": "outbound" });
    json!({ "customer_id": customer, "context": context, "mode": mode })
}

fn event(customer: &str, kind: &str, decision: &str, at: Timestamp) -> Value {
    json!({
        "event_id": format!("{decision}-{kind}"), "type": kind, "occurred_at": at, "customer_id": customer,
        "decision_id": decision, "action_id": "young", "channel": "sms",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn contacts_whose_time_is_over_count_once() {
    let world = World::new(YOUNG).await;
    let customers: Vec<String> = (0..8).map(|n| format!("c{n}")).collect();
    world.order(&customers).await;
    let mut decisions = Vec::new();
    for (n, customer) in customers.iter().enumerate() {
        let decision = world.decide(sms(customer, if n == 7 { "shadow" } else { "live" })).await;
        assert_eq!(
            (&decision["actions"][0]["action_id"], &decision["degraded"]),
            (&json!("young"), &json!(["prior_only:accepted"]))
        );
        decisions.push(decision["decision_id"].as_str().unwrap().to_owned());
    }
    // A week later: five were contacted at once, one a minute ago, one never; three accepted, one of them too late.
    let (base, app) = world.again(now().plus_days(15)).await;
    let day = |days: i64| now().plus_millis(days * DAY_MS);
    let mut events = Vec::new();
    for n in 0..5 {
        events.push(event(&customers[n], "contacted", &decisions[n], day(0)));
    }
    events.push(event(&customers[5], "contacted", &decisions[5], day(14)));
    events.push(event(&customers[7], "contacted", &decisions[7], day(0)));
    for (n, days) in [(0, 1), (1, 6), (2, 8)] {
        events.push(event(&customers[n], "accepted", &decisions[n], day(days)));
    }
    let told =
        post(&world.client, &base, key(&world.keys, Role::Crm), "/v1/events", &json!({ "events": events }))
            .await;
    assert_eq!(told.0, 200, "{}", told.1);
    let learned = learn(&app).await.unwrap();
    let young = learned.evidence["young"];
    // Five contacts matured (a horizon of 7 days and 7 of lateness), two accepted in time; 0.5 was believed of each.
    assert_eq!((young.n_outcomes, young.n_successes, young.expected), (5, 2, 2.5));
    assert_eq!(learned.evidence.len(), 1);
    // Again, and it is the same; another process takes it over.
    assert_eq!(learn(&app).await.unwrap(), learned);
    let (base, other) = world.again(now().plus_days(16)).await;
    assert!(other.beliefs.evidence().is_empty());
    believe(&other).await;
    assert_eq!(other.beliefs.evidence(), learned.evidence);
    let body = sms("c6", "dry_run");
    let (_, decision) =
        post(&world.client, &base, key(&world.keys, Role::Crm), "/v1/decisions/next-best-action", &body)
            .await;
    let factors = &decision["actions"][0]["factors"];
    // (10 x 0.5 + 2) / (10 + 5)
    assert!((factors["propensity"].as_f64().unwrap() - 7.0 / 15.0).abs() < 1e-12, "{decision}");
    assert_eq!(decision["actions"][0]["maturity"]["n_outcomes"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_artifact_taught_is_not_believed() {
    let world = World::new(YOUNG).await;
    let other = Learned {
        as_of: now(),
        artifact_sha256: Some("another".to_owned()),
        evidence: [("young".into(), Default::default())].into(),
    };
    world.app.store.put_beliefs(&other).await.unwrap();
    believe(&world.app).await;
    assert!(world.app.beliefs.evidence().is_empty());
    // Nothing was decided yet: nothing is learned, and that replaces what stood there.
    assert!(learn(&world.app).await.unwrap().evidence.is_empty());
    let stored: Learned = world.app.store.beliefs().await.unwrap().unwrap();
    assert_eq!(
        stored.artifact_sha256.as_deref(),
        world.app.artifact.as_ref().map(|artifact| artifact.sha256())
    );
}
