//! A project that is ahead of its models, or has none: what priors and the fallback offer, and what the
//! answer says of it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nextbest_functions::keys::Role;
use nextbest_models::project::Project;
use nextbest_tests::fault::Fault;
use nextbest_tests::fixture::{self, key, now};
use nextbest_tests::world::{World, post};
use serde_json::{Value, json};

const PRIOR: &str = "prior = { propensity = 0.5, evidence = 100 }";

/// An action for customers at `stage`, worth 10,000 minor units where `propensity` comes true, with one more
/// line of its table.
fn action(id: &str, stage: &str, propensity: &str, line: &str) -> String {
    format!(
        "\n[[action]]\nid = \"{id}\"\ncampaign_type = \"upsell\"\nstages = [\"{stage}\"]\n\
         propensity = \"{propensity}\"\nvalue = {{ fixed_minor = 10000 }}\n{line}\n\
         [[action.treatment]]\nid = \"{id}_letter\"\nchannel = \"post\"\n"
    )
}

/// Writes `text` behind what `file` says.
fn append(file: &Path, text: &str) {
    let before = std::fs::read_to_string(file).unwrap();
    std::fs::write(file, before + text).unwrap();
}

fn ann() -> Value {
    json!({ "customer_id": "ann", "max_actions": 5 })
}

/// The decision of the server at `base`, which comes.
async fn decide(world: &World, base: &str, body: &Value) -> Value {
    let crm = key(&world.keys, Role::Crm);
    let (status, decision) = post(&world.client, base, crm, "/v1/decisions/next-best-action", body).await;
    assert_eq!(status, 200, "{decision}");
    decision
}

fn text<'a>(of: &'a Value, name: &str) -> &'a str {
    of[name].as_str().unwrap()
}

/// The factors of what `decision` offers, by action.
fn factors(decision: &Value) -> BTreeMap<&str, &Value> {
    let actions = decision["actions"].as_array().unwrap();
    actions.iter().map(|action| (text(action, "action_id"), &action["factors"])).collect()
}

/// Stage, component and code of where each action fell, but for those that others outranked.
fn fallen(decision: &Value) -> BTreeMap<&str, [&str; 3]> {
    let fallen = decision["suppressed"].as_array().unwrap().iter();
    let why = fallen.map(|fallen| {
        (text(fallen, "action_id"), ["stage", "component", "code"].map(|name| text(fallen, name)))
    });
    why.filter(|(_, [.., code])| *code != "outranked").collect()
}

/// What is told of an action that only its prior speaks for.
fn assert_by_prior(offered: &Value) {
    assert_eq!(offered["factors"]["propensity"], json!(0.5), "{offered}");
    let maturity = json!({ "model": null, "model_weight": 0.0, "n_outcomes": 0 });
    assert_eq!(offered["maturity"], maturity, "{offered}");
}

#[tokio::test]
async fn an_action_that_the_model_of_its_response_never_saw_is_offered_by_its_prior_or_falls() {
    let world = World::new(&action("call", "new", "accepted", "")).await;
    world.order(&["ann".to_owned()]).await;
    let folder = world.folder.path();
    let trained = Project::read(|file| std::fs::read_to_string(folder.join(file))).unwrap();
    std::fs::write(folder.join("artifacts/older.nba"), fixture::answered_artifact(&trained)).unwrap();
    std::fs::write(folder.join("artifacts/CURRENT"), "older.nba\n").unwrap();
    let newer = action("write", "new", "accepted", PRIOR) + &action("visit", "new", "accepted", "");
    append(&folder.join("policy.toml"), &newer);

    let (base, app) = world.again(now()).await;
    let decision = decide(&world, &base, &ann()).await;
    assert_eq!(decision["degraded"], json!(["no_model:accepted", "prior_only:accepted"]), "{decision}");
    // Worth 5,000 by its prior, more than anything that a model speaks of.
    let first = &decision["actions"][0];
    assert_eq!((&first["action_id"], &first["rank"]), (&json!("write"), &json!(1)), "{decision}");
    assert_by_prior(first);
    assert_eq!(fallen(&decision), BTreeMap::from([("visit", ["propensity", "accepted", "no_model"])]));
    // The model goes on to speak of the action that it saw: log-odds of -2 and 0.3 for ann's one order.
    let known = factors(&decision)["call"]["propensity"].as_f64().unwrap();
    let expected = 1.0 / (1.0 + 1.7_f64.exp());
    assert!((known - expected).abs() <= 8.0 * f64::EPSILON, "{known} is not {expected}");
    // What came about without a model is made again like any other.
    let record = world.record(&decision).await;
    assert_eq!(record.replay(&app.project, app.artifact.as_ref()), Ok(Vec::new()));
}

#[tokio::test]
async fn a_label_that_the_artifact_lacks_leaves_all_other_actions_as_they_were() {
    let world = World::new("").await;
    world.order(&["ann".to_owned()]).await;
    let before = world.decide(ann()).await;
    assert_eq!(before["degraded"], json!([]), "{before}");
    let folder = world.folder.path();
    let label = "\n[labels.upgrade]\nkind = \"presence\"\nevent = [\"order_placed\"]\nhorizon_days = 90\n";
    append(&folder.join("nextbest.toml"), label);
    let newer = action("upgrade_soon", "new", "upgrade", PRIOR)
        + &action("upgrade_now", "new", "upgrade", "")
        + &action("upgraded", "new", "conversion", "suitability = [\"scores.upgrade > 0.1\"]");
    append(&folder.join("policy.toml"), &newer);

    let (base, app) = world.again(now()).await;
    let decision = decide(&world, &base, &ann()).await;
    assert_eq!(decision["degraded"], json!(["no_model:upgrade", "prior_only:upgrade"]), "{decision}");
    assert_eq!(decision["actions"][0]["action_id"], "upgrade_soon", "{decision}");
    assert_by_prior(&decision["actions"][0]);
    // A score that nobody has is a fact that is missing, never a number.
    let expected = [
        ("upgrade_now", ["propensity", "upgrade", "no_model"]),
        ("upgraded", ["suitability", "suitability[0]", "fact_missing"]),
    ];
    assert_eq!(fallen(&decision), BTreeMap::from(expected), "{decision}");
    let mut after = factors(&decision);
    after.remove("upgrade_soon");
    assert_eq!(after, factors(&before));
    let record = world.record(&decision).await;
    assert_eq!(record.replay(&app.project, app.artifact.as_ref()), Ok(Vec::new()));
}

/// A fallback that no stage of ann's would let through: only as the fallback is it offered.
fn with_fallback() -> String {
    format!("[fallback]\naction = \"thank\"\n{}", action("thank", "loyal", "conversion", PRIOR))
}

#[tokio::test]
async fn where_no_model_speaks_the_fallback_is_offered() {
    let world = World::new(&with_fallback()).await;
    world.order(&["ann".to_owned()]).await;
    let stage = ["eligibility", "lifecycle_stage", "stage_not_eligible"];
    let whole = world.decide(ann()).await;
    assert_eq!((&whole["outcome"], fallen(&whole)["thank"]), (&json!("offer"), stage), "{whole}");
    // Where nothing survives and nothing was missing, there is nothing to fall back from.
    let stranger = world.decide(json!({ "customer_id": "nobody" })).await;
    assert_eq!((&stranger["outcome"], &stranger["actions"]), (&json!("no_action"), &json!([])), "{stranger}");

    std::fs::remove_file(world.folder.path().join("artifacts/CURRENT")).unwrap();
    let (base, _) = world.again(now()).await;
    let decision = decide(&world, &base, &ann()).await;
    assert_eq!(decision["degraded"], json!(["no_model:churn", "no_model:conversion"]), "{decision}");
    assert_eq!(decision["outcome"], "offer", "{decision}");
    assert_eq!(factors(&decision).into_keys().collect::<Vec<_>>(), ["thank"], "{decision}");
    assert_by_prior(&decision["actions"][0]);
    // What the caller excludes is not offered as the fallback either.
    let body = json!({ "customer_id": "ann", "excluded_actions": ["thank"] });
    let decision = decide(&world, &base, &body).await;
    assert_eq!((&decision["outcome"], &decision["actions"]), (&json!("fallback"), &json!([])), "{decision}");
}

#[tokio::test]
async fn where_the_store_is_away_the_fallback_is_offered_if_nobody_counts_it() {
    let capped = "[[cap]]\nid = \"letters\"\nchannel = \"post\"\nmax = 1\nwindow_days = 7\n";
    for (limits, outcome) in [("", "offer"), (capped, "fallback")] {
        let away = Arc::new(AtomicBool::new(false));
        let broken = away.clone();
        let plan = move |_: &str, _: usize| match broken.load(Ordering::SeqCst) {
            true => Fault::Fail,
            false => Fault::None,
        };
        let policy = limits.to_owned() + &with_fallback();
        let world = World::with(&policy, Duration::from_secs(1), plan).await;
        away.store(true, Ordering::SeqCst);
        let decision = world.decide(json!({ "customer_id": "nobody" })).await;
        assert_eq!(decision["outcome"], outcome, "{decision}");
        let offered: Vec<&str> = factors(&decision).into_keys().collect();
        assert_eq!(offered, if outcome == "offer" { vec!["thank"] } else { vec![] }, "{decision}");
        // Whether the SDK is still trying again when the time for it is over is a race; one of the two it is.
        let degraded = &decision["degraded"];
        let expected = ["store_slow", "store_unreachable"].map(|code| json!([code, "not_logged"]));
        assert!(expected.contains(degraded), "{decision}");
    }
}
