//! Bad input: a policy that is wrong is refused with its place, and a request at the edge of what is allowed is answered.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_functions::keys::Role;
use nextbest_models::project::Project;
use nextbest_tests::fixture::{key, mini, now, order_json};
use nextbest_tests::world::{World, post};
use serde_json::{Value, json};

const DECIDE: &str = "/v1/decisions/next-best-action";

/// The fixture's project with this policy.toml; its faults as a person reads them, or its warnings.
fn read(policy: &str) -> Result<Vec<String>, String> {
    let project = Project::read(|file| match file {
        "policy.toml" => Ok(policy.to_owned()),
        other => std::fs::read_to_string(mini().join(other)),
    });
    project.map(|project| project.policy.warnings().to_vec()).map_err(|faults| faults.to_string())
}

/// An action, with `more` of it.
fn action(id: &str, more: &str) -> String {
    format!(
        "[[action]]\nid = \"{id}\"\ncampaign_type = \"upsell\"\nstages = [\"new\"]\npropensity = \"churn\"\n\
         value = {{ fixed_minor = 100 }}\n{more}\n"
    )
}

fn treated(id: &str, more: &str) -> String {
    action(id, more) + &format!("[[action.treatment]]\nid = \"{id}_email\"\nchannel = \"email\"\n")
}

/// Where `text` first stands in `policy`: line and column from 1.
fn place(policy: &str, text: &str) -> String {
    let at = policy.find(text).unwrap_or_else(|| panic!("{text} is in\n{policy}"));
    let line = policy[..at].matches('\n').count() + 1;
    let column = policy[..at].rsplit('\n').next().unwrap().chars().count() + 1;
    format!("policy.toml:{line}:{column}: ")
}

/// Each text, the part of it that is wrong, and what must be said of it.
fn faulty() -> Vec<(String, &'static str, &'static str)> {
    let good = || treated("a", "");
    let eligibility = |rule: &str| treated("a", &format!("eligibility = [\"{rule}\"]"));
    vec![
        // Names that nobody defined.
        (eligibility("features.orders_90 > 1"), "features.orders_90 ", "orders_90d"),
        (eligibility("1 < 2 && scores.ltv > 1"), "scores.ltv", "scores.ltv"),
        (eligibility("customer.stage == 'gone'"), "'gone'", "gone"),
        (treated("a", "follows = [\"nope\"]"), "nope", "follows \"nope\", which is no action"),
        (good() + "[fallback]\naction = \"nope\"\n", "action = \"nope\"", "no action is called \"nope\""),
        (
            good() + "[[cap]]\nid = \"c\"\naction = \"nope\"\nmax = 1\nwindow_days = 7\n",
            "nope",
            "no action has the id \"nope\"",
        ),
        (good().replace("\"churn\"", "\"chrun\""), "chrun", "propensity \"chrun\" is no label"),
        (good().replace("campaign_type", "campaign"), "campaign ", "unknown field `campaign`"),
        (good().replace("\"upsell\"", "\"spam\""), "\"spam\"", "unknown variant `spam`"),
        // What an action cannot be without.
        (action("a", ""), "\"a\"", "needs at least one stage and one [[action.treatment]]"),
        (good().replace("[\"new\"]", "[]"), "\"a\"", "needs at least one stage"),
        // Numbers that are none, or out of bounds.
        (treated("a", "lever = -0.5"), "lever", "lever -0.5 lies outside 0 ..= 100"),
        (treated("a", "lever = nan"), "lever", "lever NaN lies outside 0 ..= 100"),
        (treated("a", "lever = inf"), "lever", "lever inf lies outside 0 ..= 100"),
        (treated("a", "levers = [{ weight = -inf }]"), "weight", "weight -inf lies outside 0 ..= 100"),
        (treated("a", "prior = { propensity = nan, evidence = 10.0 }"), "prior", "NaN lies outside 0 .. 1"),
        (
            good().replace("fixed_minor = 100", "share_of_recent_value = nan"),
            "share_of_recent_value",
            "NaN lies outside 0 ..= 1",
        ),
        (
            good() + "[[context_weight]]\nrule = \"customer.known\"\nweight = -1.0\n",
            "weight = -1.0",
            "weight -1 lies outside 0 ..= 100",
        ),
        (
            treated("a", "issue = \"growth\"") + "[arbitration.issue_weights]\ngrowth = nan\n",
            "growth = nan",
            "growth NaN lies outside 0 ..= 100",
        ),
        (
            good() + "[exploration]\nkind = \"epsilon_softmax\"\nepsilon = nan\ntemperature = 1.0\n",
            "[exploration]",
            "epsilon NaN lies outside 0 ..= 1",
        ),
        (
            good() + "[control.model]\nshare = inf\nsalt = \"s\"\n",
            "model]",
            "share inf lies outside 0 ..= 0.5",
        ),
        // Actions and limits that contradict each other.
        (
            treated("a", "follows = [\"b\"]")
                + &treated("b", "follows = [\"c\"]")
                + &treated("c", "follows = [\"a\"]"),
            "follows",
            "none of them ever comes first",
        ),
        (treated("a", "follows = [\"a\"]"), "follows", "none of them ever comes first"),
        (
            good()
                + &["1", "2"].map(|n| format!("[[cap]]\nid = \"c\"\nmax = {n}\nwindow_days = 7\n")).concat(),
            "\"c\"",
            "cap \"c\": the id is empty or stands twice",
        ),
        (good() + "[[cap]]\nid = \"c\"\nmax = 0\nwindow_days = 7\n", "max", "max 0 lies outside 1 ..= 1000"),
        (
            good() + "[[budget]]\nid = \"d\"\nperiod = \"day\"\nmax_cost_minor = -1\n",
            "max_cost_minor",
            "max_cost_minor -1 is below 0",
        ),
        (
            treated(
                "a",
                "available_from = \"2026-02-01T00:00:00Z\"\navailable_until = \"2026-01-01T00:00:00Z\"",
            ),
            "available_until",
            "it ends before it begins",
        ),
    ]
}

#[test]
fn what_is_wrong_with_a_policy_is_told_with_its_line_and_column() {
    assert_eq!(read(&treated("a", "")), Ok(Vec::new()));
    for (policy, wrong, said) in faulty() {
        let faults = read(&policy).expect_err(&policy);
        let told = faults.lines().any(|line| line.starts_with(&place(&policy, wrong)) && line.contains(said));
        assert!(told, "{}{said}\nis not among\n{faults}\nof\n{policy}", place(&policy, wrong));
    }
}

#[test]
fn what_is_allowed_and_hardly_meant_is_a_warning() {
    let caps = "[[cap]]\nid = \"month\"\nmax = 1\nwindow_days = 30\n[[cap]]\nid = \"week\"\nmax = 2\nwindow_days = 7\n";
    let budget = "[[budget]]\nid = \"none\"\nperiod = \"day\"\nmax_contacts = 0\n";
    let never = treated(
        "a",
        "eligibility = [\"features.orders_90d > 5\"]\nsuitability = [\"features.orders_90d < 3\"]",
    );
    let warnings = read(&format!("{never}{caps}{budget}")).unwrap().join("\n");
    for said in [
        "cap \"week\" (2 in 7 days) never binds",
        "budget \"none\" has max_contacts = 0",
        "\"a\" reaches nobody",
    ] {
        assert!(warnings.contains(said), "{said} is not in\n{warnings}");
    }
}

#[tokio::test]
async fn a_thousand_candidates_are_answered_and_one_more_is_refused() {
    let world = World::new("").await;
    world.order(&["ann".to_owned()]).await;
    let ask = async |list: &str, n: usize| {
        let ids: Vec<&str> = (0..n).map(|n| ["second_order", "stay_with_us"][n % 2]).collect();
        world.post(DECIDE, &json!({ "customer_id": "ann", list: ids })).await
    };
    let (status, decision) = ask("candidate_actions", 1000).await;
    assert_eq!((status.as_u16(), &decision["outcome"]), (200, &json!("offer")), "{decision}");
    let (status, decision) = ask("excluded_actions", 1000).await;
    assert_eq!((status.as_u16(), &decision["outcome"]), (200, &json!("no_action")), "{decision}");
    for list in ["candidate_actions", "excluded_actions"] {
        let (status, problem) = ask(list, 1001).await;
        let found = (status.as_u16(), &problem["code"], &problem["path"]);
        assert_eq!(found, (422, &json!("invalid_field"), &json!(list)), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("1001 actions, at most 1000"), "{problem}");
    }
    let unknown = json!({ "customer_id": "ann", "candidate_actions": ["second_order", "third_order"] });
    let (status, problem) = world.post(DECIDE, &unknown).await;
    assert_eq!((status.as_u16(), &problem["path"]), (422, &json!("candidate_actions[1]")), "{problem}");
}

#[tokio::test]
async fn who_is_unknown_gets_a_decision_all_the_same() {
    // What an action without a model of its own would need: a prior, and the stage of those of whom nothing is known.
    let welcome = treated("welcome", "prior = { propensity = 0.1, evidence = 50.0 }");
    let world = World::new(&welcome.replace("[\"new\"]", "[\"aware\"]")).await;
    for who in ["customer_id", "anonymous_id"] {
        let decision = world.decide(json!({ who: "nobody" })).await;
        assert_eq!(decision["degraded"], json!(["unknown_customer"]), "{decision}");
        assert_eq!((&decision["outcome"], &decision["lifecycle_stage"]), (&json!("offer"), &json!("aware")));
        assert_eq!(decision["actions"][0]["action_id"], "welcome");
        assert!(!world.record(&decision).await.situation.known);
    }
}

#[tokio::test]
async fn clocks_that_differ_have_defined_answers() {
    let world = World::new("").await;
    let ordered_at = |order: u32, millis: i64| {
        let mut event = order_json("ann", order, 0, 2_000);
        event["occurred_at"] = json!(now().plus_millis(millis));
        event
    };
    const MINUTE: i64 = 60_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    // A caller's clock may run five minutes ahead of ours, and no further.
    let cases =
        [(1, -10 * DAY, Value::Null), (2, 5 * MINUTE, Value::Null), (3, 5 * MINUTE + 1, json!("in_future"))];
    for (order, ahead, code) in cases {
        let (_, told) = world.post("/v1/events", &json!({ "events": [ordered_at(order, ahead)] })).await;
        assert_eq!(told["results"][0]["code"], code, "{told}");
    }
    // The last event lies five minutes ahead of a decision at once; of a server whose clock is three days behind, it lies
    // three days ahead, and does not count yet.
    for (behind, n_orders, recency_days) in [(0, 2.0, 0.0), (3, 1.0, 7.0)] {
        let (base, app) = world.again(now().plus_days(-behind)).await;
        let crm = key(&world.keys, Role::Crm);
        let (status, decision) =
            post(&world.client, &base, crm, DECIDE, &json!({ "customer_id": "ann" })).await;
        assert_eq!(status, 200, "{decision}");
        assert_eq!(decision["features"]["age_seconds"], 0, "{decision}");
        let record = world.record(&decision).await;
        assert_eq!((record.situation.features[0], record.situation.features[2]), (n_orders, recency_days));
        assert_eq!(record.created_at, app.clock.now());
        assert_eq!(record.replay(&app.project, app.artifact.as_ref()), Ok(Vec::new()));
    }
}

#[test]
fn personal_prices_without_a_model_of_purchases_and_a_model_of_unknown_features_are_faults() {
    let faults = |main: &dyn Fn(String) -> String, pricing: &str| {
        let project = Project::read(|file| {
            let text = std::fs::read_to_string(mini().join(file))?;
            Ok(match file {
                "nextbest.toml" => main(text),
                "pricing.toml" => text + pricing,
                _ => text,
            })
        });
        project.map(|_| ()).map_err(|faults| faults.to_string())
    };
    let personal = "[market.GB]\npersonal_features = true\n";
    let without =
        |text: String| text.replace("[purchases]\nhorizon_days = 1\nprice_by = [\"orders_90d\"]\n", "");
    assert_eq!(faults(&|text| text, personal), Ok(()));
    assert_eq!(faults(&without, ""), Ok(()));
    let fault = faults(&without, personal).unwrap_err();
    assert_eq!(
        fault,
        "pricing.toml:21: market \"GB\": personal_features = true needs a purchase model: nextbest.toml has no [purchases]"
    );
    let wrong = |text: String| {
        text.replace("price_by = [\"orders_90d\"]", "price_by = [\"mood\"]\nmax_rows = 10")
            .replace("[purchases]\nhorizon_days = 1", "[purchases]\nhorizon_days = 0")
            .replace("[labels.conversion]", "[labels.purchase]")
    };
    let more = |text: String| {
        wrong(text)
            + "[lifetime_value]\nhorizon_weeks = 0\ndiscount_rate = 0.1\nmargin = 0.5\n[uplifts.save]\nlabel = \"loss\"\n\
               campaign_type = []\nanswer = \"heard\"\n[uplifts.win]\nlabel = \"purchase\"\ncampaign_type = [\"recovery\"]\n\
               answer = \"accepted\"\n"
    };
    let all = faults(&more, "").unwrap_err();
    for part in [
        "label \"loss\" is none; there are churn, purchase",
        "campaign_type names none",
        "answer \"heard\" is no response; there are accepted",
        "answer speaks of labels of kind absence, \"purchase\" is of presence",
        "horizon",
        "horizon_days = 0 lies outside 1 ..= 365",
        "max_rows = 10 lies outside 1000 ..= 10000000",
        "\"purchase\" is the name of the model of [purchases]",
        "price_by: \"mood\" is no feature of features.toml",
    ] {
        assert!(all.contains(part), "{part}: {all}");
    }
}
