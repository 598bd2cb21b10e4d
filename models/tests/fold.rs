//! The fold, held against brute force and against itself in other orders.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;

use nextbest_models::customer::{Applied, Customer, CustomerId, StateError};
use nextbest_models::event::{AttributeValue, Event, EventDraft, EventType, Reference};
use nextbest_models::feature::spec::FeatureSpec;
use nextbest_models::feature::{ActivityRule, Schema};
use nextbest_models::units::{DAY_MS, Money, Timestamp};
use proptest::prelude::*;

const LATENESS_DAYS: i32 = 5;
const SPAN_DAYS: i64 = 120;
const FEATURES: &str = r#"
    [[feature]]
    name = "orders_30d"
    kind = "distinct"
    of = "attributes.order_id"
    event = ["order_placed"]
    window_days = 30
    [[feature]]
    name = "value_20d"
    kind = "sum"
    of = "value"
    event = ["order_placed"]
    window_days = 20
    [[feature]]
    name = "value_ever"
    kind = "sum"
    of = "value"
    event = ["order_placed"]
    [[feature]]
    name = "lines_ever"
    kind = "count"
    event = ["order_placed"]
    [[feature]]
    name = "value_per_line"
    kind = "ratio"
    numerator = "value_ever"
    denominator = "lines_ever"
    [[feature]]
    name = "mean_quantity_40d"
    kind = "mean"
    of = "quantity"
    event = ["order_placed"]
    window_days = 40
    [[feature]]
    name = "recency"
    kind = "recency"
    event = ["order_placed"]
    [[feature]]
    name = "trend_10d"
    kind = "trend"
    event = ["order_placed"]
    window_days = 10
    [[feature]]
    name = "decayed"
    kind = "decayed_count"
    event = ["order_placed"]
    half_life_days = 7
    [[feature]]
    name = "web_views_15d"
    kind = "count"
    event = ["product_viewed"]
    where = { channel = "web" }
    window_days = 15
    [[feature]]
    name = "country"
    kind = "attribute"
    of = "attributes.order_id"
    categories = ["o1", "o2"]
    [[feature]]
    name = "tenure"
    kind = "tenure"
"#;

#[derive(serde::Deserialize)]
struct File {
    feature: Vec<FeatureSpec>,
}

fn schema() -> Schema {
    let file: File = toml::from_str(FEATURES).unwrap();
    let activity = ActivityRule { event: vec![EventType::OrderPlaced], window_days: 60 };
    Schema::new(file.feature, &activity, "GBP".parse().unwrap(), LATENESS_DAYS).unwrap()
}

/// Kinds from 9 on.
const OTHER: [&str; 11] = [
    "contacted",
    "contacted",
    "impression",
    "clicked",
    "accepted",
    "rejected",
    "not_taken",
    "consent_changed",
    "attribute_set",
    "survey_answered",
    "referral_sent",
];

fn start() -> Timestamp {
    "2025-01-01T00:00:00Z".parse().unwrap()
}

fn at(millis: i64) -> Timestamp {
    start().plus_millis(millis)
}

/// One event, `age` milliseconds after the start; kind 0..4 order, 4..6 cancellation of an earlier time, 6..9 a view,
/// else one of [`OTHER`], on one of six decisions.
fn event(number: usize, (age, kind, order, quantity, back): (i64, u8, u8, i64, i64)) -> Event {
    let revised = at((age - back).max(0));
    let is_revision = (4..6).contains(&kind);
    let draft = EventDraft {
        event_id: format!("e{number}"),
        event_type: match kind {
            0..4 => "order_placed",
            4..6 => "order_cancelled",
            6..9 => "product_viewed",
            other => OTHER[usize::from(other) - 9],
        }
        .to_owned(),
        occurred_at: Some(at(age)),
        customer_id: Some("c".to_owned()),
        channel: Some(if quantity % 2 == 0 { "web" } else { "app" }.to_owned()),
        quantity: Some(quantity),
        value: Some(Money { amount_minor: quantity * 199, currency: "GBP".parse().unwrap() }),
        refers_to: is_revision.then(|| Reference {
            event_id: format!("r{number}"),
            occurred_at: revised,
            whole: order % 2 == 0,
        }),
        decision_id: (kind >= 9 && back % 3 > 0).then(|| format!("d{order}")),
        action_id: (kind >= 9 && back % 5 > 0).then(|| format!("a{}", quantity % 3)),
        attributes: [
            ("order_id".to_owned(), AttributeValue::Text(format!("o{order}"))),
            ("granted".to_owned(), AttributeValue::Flag(back % 2 == 0)),
            ("objection".to_owned(), AttributeValue::Flag(back % 2 == 0)),
            ("channel".to_owned(), AttributeValue::Text(format!("c{order}"))),
            ("nps".to_owned(), AttributeValue::Number(f64::from(order) + 5.0)),
        ]
        .into(),
        ..EventDraft::default()
    };
    draft.try_into().unwrap()
}

prop_compose! {
    fn history()(raw in proptest::collection::vec(
        (0..SPAN_DAYS * DAY_MS, 0_u8..20, 0_u8..6, 1_i64..9, 0..100 * DAY_MS), 1..60)) -> Vec<Event> {
        raw.into_iter().enumerate().map(|(number, one)| event(number, one)).collect()
    }
}

/// Folds `events` and tells how each was answered.
fn fold(schema: &Schema, events: &[Event]) -> (Customer, Vec<Applied>) {
    let mut customer = Customer::new(CustomerId::new("c").unwrap(), schema);
    let answers = events.iter().map(|event| customer.apply(schema, event).unwrap()).collect();
    (customer, answers)
}

fn in_time_order(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|a, b| (a.occurred_at, &a.event_id).cmp(&(b.occurred_at, &b.event_id)));
    events
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Each event is delayed by less than the lateness and up to twice delivered: the state is the same, bit for bit.
    #[test]
    fn any_order_within_the_lateness_gives_the_same_state(
        events in history(),
        delays in proptest::collection::vec((0..i64::from(LATENESS_DAYS) * DAY_MS, any::<bool>(), 0..i64::from(LATENESS_DAYS) * DAY_MS), 60),
    ) {
        let schema = schema();
        let (expected, _) = fold(&schema, &in_time_order(events.clone()));
        let mut arrivals: Vec<(i64, &Event)> = Vec::new();
        for (event, (delay, twice, delay_again)) in events.iter().zip(&delays) {
            arrivals.push((event.occurred_at.as_millis() + delay, event));
            if *twice {
                arrivals.push((event.occurred_at.as_millis() + delay_again, event));
            }
        }
        arrivals.sort_by_key(|(arrival, event)| (*arrival, std::cmp::Reverse(event.event_id.clone())));
        let arrived: Vec<Event> = arrivals.into_iter().map(|(_, event)| event.clone()).collect();
        let (state, answers) = fold(&schema, &arrived);
        let n_duplicates = answers.iter().filter(|answer| **answer == Applied::Duplicate).count();
        prop_assert_eq!(n_duplicates, arrived.len() - events.len());
        prop_assert_eq!(state.to_bytes(), expected.to_bytes());
    }

    /// Windows by brute force over the whole history, at a moment after the last event.
    #[test]
    fn windows_are_exact_to_the_day(events in history(), later in 0..40_i32) {
        let schema = schema();
        let events = in_time_order(events);
        let (customer, _) = fold(&schema, &events);
        let as_of = events.last().unwrap().occurred_at.plus_days(later);
        let features = schema.features(&customer, as_of);
        let value = |name: &str| features.values()[schema.names().iter().position(|other| other == name).unwrap()];
        let within = |day: i32, window: i32| (0..=window).contains(&(as_of.day().number() - day));
        let orders = || events.iter().filter(|event| event.event_type == EventType::OrderPlaced);
        let cancellations = || events.iter().filter(|event| event.event_type.is_revision());

        let mut expected_minor = 0;
        for event in orders().filter(|event| within(event.occurred_at.day().number(), 20)) {
            expected_minor += event.value.unwrap().amount_minor;
        }
        // A revision reaches back as far as the measure remembers: value is also the measure of activity.
        let remembered = |event: &&Event| event.occurred_at.day().since(event.booked_at().day()) <= 60 + 365;
        for event in cancellations().filter(remembered).filter(|event| within(event.booked_at().day().number(), 20)) {
            expected_minor -= event.value.unwrap().amount_minor;
        }
        #[expect(clippy::cast_precision_loss, reason = "small sums")]
        let expected = expected_minor as f64;
        prop_assert_eq!(value("value_20d").to_bits(), expected.to_bits());

        let views = events.iter().filter(|event| {
            event.event_type == EventType::ProductViewed
                && event.channel.as_deref() == Some("web")
                && within(event.occurred_at.day().number(), 15)
        });
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let n_views = views.count() as f64;
        prop_assert_eq!(value("web_views_15d").to_bits(), n_views.to_bits());

        if cancellations().count() == 0 {
            let ids: BTreeSet<_> = orders()
                .filter(|event| within(event.occurred_at.day().number(), 30))
                .map(|event| event.text("order_id").unwrap())
                .collect();
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let n_ids = ids.len() as f64;
            prop_assert_eq!(value("orders_30d").to_bits(), n_ids.to_bits());
            let last = orders().map(|event| event.occurred_at.day()).max();
            let recency = last.map_or(f64::NAN, |last| f64::from(as_of.day().since(last)));
            prop_assert_eq!(value("recency").is_nan(), recency.is_nan());
            prop_assert!(recency.is_nan() || value("recency").to_bits() == recency.to_bits());
        }
    }

    /// A state is the same after its bytes, and any damage is told, never a panic.
    #[test]
    fn a_state_survives_its_bytes(events in history(), at in any::<prop::sample::Index>(), flip in 1_u8..=255) {
        let schema = schema();
        let (customer, _) = fold(&schema, &in_time_order(events));
        let mut bytes = customer.to_bytes();
        prop_assert_eq!(&Customer::from_bytes(&bytes, &schema).unwrap(), &customer);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        let _ = Customer::from_bytes(&bytes, &schema);
        bytes.truncate(at);
        prop_assert!(Customer::from_bytes(&bytes, &schema).is_err());
    }
}

#[test]
fn a_whole_cancellation_leaves_no_trace_in_what_counts() {
    let schema = schema();
    let order = event(1, (10 * DAY_MS, 0, 2, 4, 0));
    let cancel = event(2, (30 * DAY_MS, 4, 2, 4, 20 * DAY_MS));
    let (customer, _) = fold(&schema, &[order, cancel]);
    let features = schema.features(&customer, at(31 * DAY_MS));
    let value =
        |name: &str| features.values()[schema.names().iter().position(|other| other == name).unwrap()];
    for name in ["orders_30d", "value_ever", "lines_ever", "decayed"] {
        assert!(value(name).abs() < f64::EPSILON, "{name} = {}", value(name));
    }
    assert!(value("recency").is_nan() && features.missing(&schema).contains(&"value_per_line"));
}

#[test]
fn refusals_name_their_bound_and_change_nothing() {
    let schema = schema();
    let (mut customer, _) = fold(&schema, &[event(1, (50 * DAY_MS, 0, 1, 1, 0))]);
    let before = customer.clone();
    let too_late = event(2, (50 * DAY_MS - i64::from(LATENESS_DAYS) * DAY_MS - 1, 0, 1, 1, 0));
    let fault = customer.apply(&schema, &too_late).unwrap_err();
    assert_eq!((fault.code.as_str(), fault.path.as_str()), ("too_late", "occurred_at"));
    let mut foreign = event(3, (51 * DAY_MS, 0, 1, 1, 0));
    foreign.value = Some(Money { amount_minor: 1, currency: "EUR".parse().unwrap() });
    assert_eq!(customer.apply(&schema, &foreign).unwrap_err().code, "currency_mismatch");
    let mut other = event(4, (51 * DAY_MS, 0, 1, 1, 0));
    other.customer_id = Some(CustomerId::new("d").unwrap());
    assert_eq!(customer.apply(&schema, &other).unwrap_err().code, "wrong_customer");
    assert_eq!(customer, before);
}

#[test]
fn a_state_of_other_features_does_not_open() {
    let schema = schema();
    let (customer, _) = fold(&schema, &[event(1, (0, 0, 1, 1, 0))]);
    let activity = ActivityRule { event: vec![EventType::OrderPlaced], window_days: 61 };
    let other =
        Schema::new(schema.specs().to_vec(), &activity, "GBP".parse().unwrap(), LATENESS_DAYS).unwrap();
    let error = Customer::from_bytes(&customer.to_bytes(), &other).unwrap_err();
    assert!(error.to_string().contains("load the events again"), "{error}");
}

#[test]
fn a_state_of_the_first_format_asks_to_load_again() {
    let schema = schema();
    let (customer, _) = fold(&schema, &[event(1, (0, 0, 1, 1, 0))]);
    let mut bytes = customer.to_bytes();
    assert_eq!(bytes[0], 2, "the format comes first");
    bytes[0] = 1;
    let error = Customer::from_bytes(&bytes, &schema).unwrap_err();
    assert_eq!(error, StateError::Format { found: 1 });
    assert!(error.to_string().contains("load the events again"), "{error}");
}
