//! Lifetime value and margin in rules and formulas: what the models tell, missing where nobody tells it, and told again from what
//! the log keeps.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use nextbest_models::artifact::{
    Artifact, ArtifactBuilder, Metadata, ModelKind, ModelMetadata, RealisedParts, SealedScorer,
};
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::decision::{Decision, FunnelStage, RejectionCode};
use nextbest_models::event::{Event, EventDraft};
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::project::{Project, ProjectFaults};
use nextbest_models::propensity::linear::{ColumnSpec, Transform};
use nextbest_models::units::{Money, Seed, Timestamp};
use nextbest_models::value::realised::RealisedKnot;
use nextbest_models::value::{
    BgNbd, CustomerSummary, GammaGamma, Horizon, LifetimeModel, RealisedLine, TimeUnit,
};

const SETTINGS: &str = include_str!("../../tests/fixtures/mini/nextbest.toml");
const FEATURES: &str = include_str!("../../tests/fixtures/mini/features.toml");
const PRICING: &str = include_str!("../../tests/fixtures/mini/pricing.toml");
/// What the small project lacks.
const LIFETIME: &str = "\n[lifetime_value]\nhorizon_weeks = 52\ndiscount_rate = 0.002\nmargin = 0.5\n";
const FORMULA: &str = "value = { formula = \"has(customer.lifetime_value_minor) ? \
    0.02 * customer.margin * customer.lifetime_value_minor : 100.0\" }";

/// The small project with `settings` behind its own, and one action for everybody: `lines` stand in its table from the
/// seventh line of policy.toml on, `more` behind it.
fn project(settings: &str, lines: &str, more: &str) -> Result<Project, ProjectFaults> {
    Project::read(|file| {
        Ok(match file {
            "nextbest.toml" => format!("{SETTINGS}{settings}"),
            "features.toml" => FEATURES.to_owned(),
            "policy.toml" => format!(
                "[[action]]\nid = \"keep\"\ncampaign_type = \"prevent_defection\"\n\
                 stages = [\"aware\", \"new\", \"activating\", \"active\", \"loyal\", \"at_risk\", \"recovered\"]\n\
                 propensity = \"churn\"\nprior = {{ propensity = 0.5, evidence = 100.0 }}\n{lines}\n\
                 [[action.treatment]]\nid = \"keep_mail\"\nchannel = \"email\"\n{more}"
            ),
            _ => PRICING.to_owned(),
        })
    })
}

fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

/// Of `project`, with an order of each amount so many days ago, the oldest first.
fn customer(project: &Project, orders: &[(i32, i64)]) -> Customer {
    let mut customer = Customer::new(CustomerId::new("ann").unwrap(), &project.schema);
    for &(days, amount_minor) in orders {
        let draft = EventDraft {
            event_id: format!("order-{days}"),
            event_type: "order_placed".to_owned(),
            occurred_at: Some(now().plus_days(-days)),
            customer_id: Some("ann".to_owned()),
            quantity: Some(1),
            value: Some(Money { amount_minor, currency: project.schema.currency() }),
            ..EventDraft::default()
        };
        customer.apply(&project.schema, &Event::try_from(draft).unwrap()).unwrap();
    }
    customer
}

/// Who bought three times.
fn ann(project: &Project) -> Customer {
    customer(project, &[(100, 2_000), (41, 5_500), (5, 3_100)])
}

fn lifetime() -> LifetimeModel {
    let purchases = BgNbd::new(0.8, 10.0, 0.5, 3.0).unwrap();
    let spend = GammaGamma::new(6.0, 4.0, 4_000.0).unwrap();
    LifetimeModel::new(TimeUnit::Week, purchases, Some(spend), Horizon::new(52, 0.002, 0.5).unwrap())
}

fn described(name: &str) -> ModelMetadata {
    ModelMetadata {
        name: name.to_owned(),
        kind: ModelKind::LifetimeValue,
        learner: "by hand".to_owned(),
        label: None,
        response: None,
        purchase: None,
        counts: BTreeMap::new(),
        metrics: BTreeMap::new(),
        notes: Vec::new(),
        sections: BTreeMap::new(),
    }
}

fn builder(project: &Project) -> ArtifactBuilder {
    ArtifactBuilder::new(Metadata {
        name: "lifetime".to_owned(),
        schema_fingerprint: project.schema.fingerprint().to_owned(),
        feature_names: project.schema.names().to_vec(),
        trained_through: now(),
        code_version: "0.1.0".to_owned(),
        seed: Seed(7),
        sources: BTreeMap::new(),
        table: None,
        models: Vec::new(),
    })
}

fn closed(project: &Project) -> ArtifactBuilder {
    let mut builder = builder(project);
    builder.lifetime(described("lifetime_value"), &lifetime(), &[]);
    builder
}

fn situation(project: &Project, artifact: Option<&Artifact>, customer: &Customer) -> Situation {
    let blank = Situation::of(project, customer, true, now(), Seed(7));
    match artifact {
        Some(artifact) => blank.scored(project, artifact),
        None => blank,
    }
}

fn decided(project: &Project, artifact: Option<&Artifact>, customer: &Customer) -> Decision {
    let question = Question { max_actions: 1, ..Question::default() };
    decide(&project.policy, &situation(project, artifact, customer), &question)
}

/// What the action is worth.
fn worth(project: &Project, artifact: Option<&Artifact>, customer: &Customer) -> f64 {
    decided(project, artifact, customer).actions[0].factors.value
}

#[test]
fn an_action_is_worth_what_the_model_says_and_what_the_formula_falls_back_to_without_it() {
    let project_without = project("", FORMULA, "").unwrap();
    let project = project(LIFETIME, FORMULA, "").unwrap();
    let artifact = closed(&project).seal().unwrap();
    let ann = ann(&project);
    let of = CustomerSummary::of(&ann, &project.schema, now().day(), TimeUnit::Week).unwrap();
    let value = lifetime().score(&of).lifetime_value.unwrap().round();
    assert!(value > 1_000.0, "{value}");
    assert_eq!(worth(&project, Some(&artifact), &ann), 0.02 * 0.5 * value);
    // No artifact, no such model in it, nothing of it in the project, no purchase that stands.
    assert_eq!(worth(&project, None, &ann), 100.0);
    assert_eq!(worth(&project, Some(&builder(&project).seal().unwrap()), &ann), 100.0);
    assert_eq!(worth(&project_without, Some(&artifact), &ann), 100.0);
    assert_eq!(worth(&project, Some(&artifact), &customer(&project, &[])), 100.0);
}

#[test]
fn trees_of_realised_value_tell_it_where_there_are_some() {
    let project = project(LIFETIME, FORMULA, "").unwrap();
    // 1,000 minor units, and 500 more for each view of the last 30 days, of which there are none; twice that by the horizon.
    let views =
        ColumnSpec { feature: 3, transform: Transform::Value { fill: 0.0 }, mean: 0.0, inverse_scale: 1.0 };
    let mut builder = closed(&project);
    builder.realised(RealisedParts {
        metadata: described("realised_value"),
        scorer: SealedScorer::linear(1.0, &[(views, 0.5)]),
        line: RealisedLine::new(0.9, 1_000.0, 2.0, &[RealisedKnot { from: 0.0, lo: 0.0, hi: 4.0 }]).unwrap(),
        golden: Vec::new(),
    });
    let artifact = builder.seal().unwrap();
    let ann = ann(&project);
    assert_eq!(situation(&project, Some(&artifact), &ann).lifetime_value_minor, Some(2_000));
    assert_eq!(worth(&project, Some(&artifact), &ann), 0.02 * 0.5 * 2_000.0);
}

#[test]
fn a_formula_that_does_not_ask_whether_it_is_there_falls_without_it() {
    let project = project(LIFETIME, "value = { formula = \"customer.lifetime_value_minor\" }", "").unwrap();
    let artifact = closed(&project).seal().unwrap();
    let ann = ann(&project);
    assert!(worth(&project, Some(&artifact), &ann) > 1_000.0);
    let decision = decided(&project, None, &ann);
    let fallen = &decision.suppressed[0];
    assert_eq!((fallen.stage, fallen.code), (FunnelStage::Value, RejectionCode::ValueUnknown));
}

#[test]
fn the_margin_of_the_project_is_known_of_everybody() {
    let lines = "value = { formula = \"has(customer.margin) ? 1000.0 * customer.margin : 1.0\" }";
    let with = project(LIFETIME, lines, "").unwrap();
    assert_eq!(worth(&with, None, &ann(&with)), 500.0);
    assert_eq!(worth(&with, None, &customer(&with, &[])), 500.0);
    let without = project("", lines, "").unwrap();
    assert_eq!(worth(&without, None, &ann(&without)), 1.0);
}

#[test]
fn it_is_told_and_logged_only_where_a_rule_or_formula_names_it() {
    let fixed = "value = { fixed_minor = 5 }";
    let margin = "value = { formula = \"customer.margin * customer.recent_value_minor\" }";
    let rule = "value = { fixed_minor = 5 }\n\
        suitability = [\"!has(customer.lifetime_value_minor) || customer.lifetime_value_minor > 1.0\"]";
    let weight = "[[context_weight]]\nrule = \"customer.lifetime_value_minor > 1.0\"\nweight = 2.0\n";
    for (lines, more, named) in [
        (fixed, "", false),
        (margin, "", false),
        (rule, "", true),
        (fixed, weight, true),
        (FORMULA, "", true),
    ] {
        let project = project(LIFETIME, lines, more).unwrap();
        let artifact = closed(&project).seal().unwrap();
        let situation = situation(&project, Some(&artifact), &ann(&project));
        assert_eq!(situation.lifetime_value_minor.is_some(), named, "{lines} {more}");
        assert_eq!(situation.purchase_summary.is_some(), named, "{lines} {more}");
        let logged = serde_json::to_string(&situation).unwrap();
        assert_eq!(logged.contains("lifetime_value_minor"), named, "{logged}");
        assert_eq!(logged.contains("purchase_summary"), named, "{logged}");
    }
}

#[test]
fn what_the_log_keeps_tells_it_again_bit_for_bit() {
    let project = project(LIFETIME, FORMULA, "").unwrap();
    let artifact = closed(&project).seal().unwrap();
    // A mean spend that no decimal fraction writes exactly.
    let made =
        situation(&project, Some(&artifact), &customer(&project, &[(99, 2_000), (41, 5_500), (5, 3_100)]));
    let read: Situation = serde_json::from_str(&serde_json::to_string(&made).unwrap()).unwrap();
    assert_eq!(read, made);
    let again = Situation { lifetime_value_minor: None, ..read }.scored(&project, &artifact);
    assert_eq!(again, made);
    // A log of before this was there.
    let mut old = serde_json::to_value(&made).unwrap();
    for name in ["purchase_summary", "lifetime_value_minor"] {
        old.as_object_mut().unwrap().remove(name);
    }
    let old: Situation = serde_json::from_value(old).unwrap();
    assert_eq!((old.purchase_summary, old.lifetime_value_minor), (None, None));
}

#[test]
fn a_summary_in_days_is_the_same_to_the_bit_in_any_unit() {
    let project = project("", "value = { fixed_minor = 5 }", "").unwrap();
    let of = |unit| CustomerSummary::of(&ann(&project), &project.schema, now().day(), unit).unwrap();
    for unit in [TimeUnit::Day, TimeUnit::Week, TimeUnit::Month] {
        assert_eq!(of(TimeUnit::Day).counted_in(unit), of(unit));
    }
    let mut text = serde_json::to_value(of(TimeUnit::Day)).unwrap();
    text["purchases"]["x"] = 0.5.into();
    let fault = serde_json::from_value::<CustomerSummary>(text).unwrap_err().to_string();
    assert!(fault.contains("x is 0.5, not a whole number of repeat purchases"), "{fault}");
}

#[test]
fn a_misspelt_name_is_told_with_its_place() {
    for (formula, column, nearest) in [
        ("2.0 * customer.lifetime_value_minr", 28, "customer.lifetime_value_minor"),
        ("customer.margn", 22, "customer.margin"),
    ] {
        let lines = format!("value = {{ formula = \"{formula}\" }}");
        let faults = project(LIFETIME, &lines, "").unwrap_err().0;
        let [fault] = &faults[..] else { panic!("{faults:?}") };
        assert_eq!((fault.file, fault.line, fault.column), ("policy.toml", Some(7), Some(column)), "{fault}");
        assert!(fault.message.contains(&format!("the nearest is {nearest}")), "{fault}");
    }
}

#[test]
fn the_values_of_the_docs_read() {
    let page = include_str!("../../docs/policy.md");
    let section = page.split("An action's `value` is").nth(1).unwrap();
    let example = section.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(example.lines().count(), 3);
    for line in example.lines() {
        assert!(project(LIFETIME, line, "").is_ok(), "{line}");
    }
}
