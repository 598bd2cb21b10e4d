//! No row of a training set knows its future, on either clock; labels do.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_models::customer::CustomerId;
use nextbest_models::event::{AttributeValue, Event, EventDraft, Reference};
use nextbest_models::project::Project;
use nextbest_models::units::{DAY_MS, Money, Timestamp};
use nextbest_training::cutoff::{Plan, PlanError, empty_dataset, replay};
use nextbest_training::dataset::Dataset;
use proptest::prelude::*;

const SPAN_DAYS: i32 = 300;
const SETTINGS: &str = r#"
    name = "test"
    currency = "GBP"
    time_zone = "UTC"
    lateness_days = 7
    [activity]
    event = ["order_placed"]
    window_days = 90
    [labels.churn]
    kind = "absence"
    event = ["order_placed"]
    horizon_days = 40
    [labels.conversion]
    kind = "presence"
    event = ["order_placed"]
    horizon_days = 20
    [responses.accepted]
    event = ["accepted"]
    horizon_days = 7
    [training]
    n_cutoffs = 6
    step_days = 20
    seed = 7
    [lifecycle]
    active_from_days = 3
    loyal_from_days = 8
    at_risk_days = 60
    defected_days = 120
"#;

fn project() -> Project {
    let features = include_str!("../../examples/shop/features.toml");
    Project::read(|name| {
        Ok(match name {
            "nextbest.toml" => SETTINGS.to_owned(),
            "features.toml" => features.to_owned(),
            "pricing.toml" => include_str!("../../examples/retail/pricing.toml").to_owned(),
            _ => String::new(),
        })
    })
    .unwrap()
}

fn start() -> Timestamp {
    "2025-01-01T00:00:00Z".parse().unwrap()
}

fn plan(project: &Project) -> Plan {
    Plan::new(&project.settings, start(), start().plus_days(SPAN_DAYS)).unwrap()
}

type Raw = (i64, i64, u8, i64, i64);

/// `delay` milliseconds pass until it is known; kind 0..5 orders, 5..7 cancels an earlier time, else a view.
fn event(number: usize, (age, delay, kind, quantity, back): Raw) -> Event {
    let kind = match kind {
        0..5 => "order_placed",
        5..7 => "order_cancelled",
        7 => "support_contacted",
        _ => "product_viewed",
    };
    let occurred_at = start().plus_millis(age);
    let draft = EventDraft {
        event_id: format!("e{number}"),
        event_type: kind.to_owned(),
        occurred_at: Some(occurred_at),
        known_at: Some(occurred_at.plus_millis(delay)),
        customer_id: Some("c".to_owned()),
        sku: Some(format!("sku{quantity}")),
        quantity: Some(quantity),
        value: Some(Money { amount_minor: quantity * 100, currency: "GBP".parse().unwrap() }),
        refers_to: (kind == "order_cancelled").then(|| Reference {
            event_id: "r".to_owned(),
            occurred_at: start().plus_millis((age - back).max(0)),
            whole: true,
        }),
        attributes: [("order_id".to_owned(), AttributeValue::Text(format!("o{number}")))].into(),
        ..EventDraft::default()
    };
    draft.try_into().unwrap()
}

fn raw() -> impl Strategy<Value = Raw> {
    let span = i64::from(SPAN_DAYS) * DAY_MS;
    (0..span, 0..6 * DAY_MS, 0_u8..10, 1_i64..9, 0..60 * DAY_MS)
}

/// Rows of one customer, in the log's order.
fn rows(project: &Project, mut events: Vec<Event>) -> Dataset {
    events.sort_by(|a, b| {
        (a.known(), a.occurred_at, &a.event_id).cmp(&(b.known(), b.occurred_at, &b.event_id))
    });
    let mut dataset = empty_dataset(project).unwrap();
    replay(project, &plan(project), &CustomerId::new("c").unwrap(), &events, &mut dataset).unwrap();
    dataset
}

/// Features, bit by bit, by cut-off.
fn features_by_cutoff(dataset: &Dataset) -> Vec<(Timestamp, Vec<u64>)> {
    let bits = |row: usize| dataset.row(row).iter().map(|value| value.to_bits()).collect();
    dataset.cutoffs().iter().enumerate().map(|(row, cutoff)| (*cutoff, bits(row))).collect()
}

fn before(rows: Vec<(Timestamp, Vec<u64>)>, bound: Timestamp) -> Vec<(Timestamp, Vec<u64>)> {
    rows.into_iter().filter(|(cutoff, _)| *cutoff <= bound).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever becomes known at or after a cut-off may be dropped, doubled or replaced: no feature of that cut-off,
    /// and no membership in its population, moves by a bit.
    #[test]
    fn nothing_known_at_or_after_a_cutoff_is_seen(
        history in proptest::collection::vec(raw(), 1..80),
        replacements in proptest::collection::vec(raw(), 0..20),
        which in 0_usize..6,
    ) {
        let project = project();
        let cutoffs = plan(&project).cutoffs().to_vec();
        let cutoff = cutoffs[which % cutoffs.len()];
        let events: Vec<Event> = history.iter().enumerate().map(|(at, one)| event(at, *one)).collect();
        let mut changed: Vec<Event> = events.iter().filter(|event| event.known() < cutoff).cloned().collect();
        let others = replacements.iter().enumerate().map(|(at, one)| event(1000 + at, *one));
        changed.extend(others.filter(|event| event.known() >= cutoff));
        prop_assert_eq!(
            before(features_by_cutoff(&rows(&project, events)), cutoff),
            before(features_by_cutoff(&rows(&project, changed)), cutoff)
        );
    }
}

#[test]
fn an_event_known_before_a_cutoff_is_seen() {
    let project = project();
    let cutoff = plan(&project).cutoffs()[2];
    let age = cutoff.as_millis() - start().as_millis() - DAY_MS;
    let base = vec![event(0, (age - DAY_MS, 0, 0, 1, 0))];
    // The same order a day before the cut-off: known in time, or half a day too late.
    let in_time = [base.clone(), vec![event(1, (age, DAY_MS - 1, 0, 5, 0))]].concat();
    let too_late = [base.clone(), vec![event(1, (age, DAY_MS, 0, 5, 0))]].concat();
    let of = |events| before(features_by_cutoff(&rows(&project, events)), cutoff);
    assert_ne!(of(base.clone()), of(in_time));
    assert_eq!(of(base), of(too_late));
}

#[test]
fn labels_follow_the_definition_and_later_cancellations() {
    let project = project();
    let plan = plan(&project);
    let cutoff = *plan.cutoffs().last().unwrap();
    let day = |days: i64| cutoff.as_millis() - start().as_millis() + days * DAY_MS;
    let base = event(0, (day(-5), 0, 0, 1, 0));
    let label = |more: &[Event], name: &str| {
        let dataset = rows(&project, [std::slice::from_ref(&base), more].concat());
        *dataset.labelled(name).unwrap().outcomes.last().unwrap()
    };
    assert!(label(&[], "churn") && !label(&[], "conversion"));
    // On day 0 it counts, at the end of the horizon no more.
    assert!(label(&[event(1, (day(0), 0, 0, 1, 0))], "conversion"));
    assert!(label(&[event(1, (day(19), 0, 0, 1, 0))], "conversion"));
    assert!(!label(&[event(1, (day(20), 0, 0, 1, 0))], "conversion"));
    assert!(!label(&[event(1, (day(39), 0, 0, 1, 0))], "churn"));
    // Taken back whole within what is known by the end: as if it had not been.
    let ordered = event(1, (day(3), 0, 0, 1, 0));
    let cancelled = event(2, (day(9), 0, 5, 1, 6 * DAY_MS));
    assert!(!label(&[ordered, cancelled], "conversion"));
}

#[test]
fn splits_are_out_of_time_with_a_horizon_between() {
    let project = project();
    let plan = plan(&project);
    for label in project.settings.labels.values() {
        let split = plan.split(label).unwrap();
        assert!(split.calibrate.plus_days(label.horizon_days) <= split.test);
        assert!(split.fit.iter().all(|fit| fit.plus_days(label.horizon_days) <= split.calibrate));
        assert!(split.test.plus_days(label.horizon_days) <= plan.as_of());
    }
}

#[test]
fn a_log_too_short_says_what_to_change() {
    let project = project();
    let error = Plan::new(&project.settings, start(), start().plus_days(100)).unwrap_err();
    assert!(
        matches!(&error, PlanError::TooShort { label, horizon_days: 40, .. } if label == "churn"),
        "{error}"
    );
    assert!(matches!(Plan::new(&project.settings, start(), start()), Err(PlanError::BeforeAll { .. })));
}
