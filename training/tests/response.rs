//! The rows of a response model: which contacts make one, what counts as success, and that none knows its future.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_models::customer::CustomerId;
use nextbest_models::event::{Event, EventDraft};
use nextbest_models::policy::response::OFFER_COLUMNS;
use nextbest_models::project::Project;
use nextbest_models::units::{DAY_MS, Timestamp};
use nextbest_training::dataset::Dataset;
use nextbest_training::response::{ResponsePlan, plans};
use proptest::prelude::*;

const SPAN_DAYS: i32 = 200;
const SETTINGS: &str = r#"
    name = "test"
    currency = "GBP"
    time_zone = "UTC"
    lateness_days = 7
    [activity]
    event = ["order_placed"]
    window_days = 90
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
    let action = |id: &str, propensity: &str| {
        format!(
            "[[action]]\nid = \"{id}\"\ncampaign_type = \"upsell\"\nstages = [\"active\"]\n\
             propensity = \"{propensity}\"\nvalue = {{ fixed_minor = 100 }}\n[[action.treatment]]\n\
             id = \"{id}_email\"\nchannel = \"email\"\n"
        )
    };
    let policy =
        action("bundle", "accepted") + &action("survey", "accepted") + &action("banner", "conversion");
    Project::read(|name| {
        Ok(match name {
            "nextbest.toml" => SETTINGS.to_owned(),
            "features.toml" => include_str!("../../examples/shop/features.toml").to_owned(),
            "policy.toml" => policy.clone(),
            _ => include_str!("../../examples/retail/pricing.toml").to_owned(),
        })
    })
    .unwrap()
}

fn start() -> Timestamp {
    "2025-01-01T00:00:00Z".parse().unwrap()
}

fn plan(project: &Project) -> ResponsePlan {
    let (mut plans, too_short) = plans(project, start(), start().plus_days(SPAN_DAYS));
    assert!(too_short.is_empty());
    plans.remove(0)
}

/// An event of `kind` on `day` (and `ms` after its start) about an action and a decision.
fn event(id: usize, kind: &str, day: f64, action: &str, decision: Option<&str>) -> Event {
    let draft = EventDraft {
        event_id: format!("e{id}"),
        event_type: kind.to_owned(),
        occurred_at: Some(start().plus_millis((day * DAY_MS as f64) as i64)),
        customer_id: Some("c".to_owned()),
        channel: Some("email".to_owned()),
        action_id: Some(action.to_owned()),
        decision_id: decision.map(str::to_owned),
        ..EventDraft::default()
    };
    draft.try_into().unwrap()
}

/// Rows of one customer, in the log's order.
fn rows(project: &Project, mut events: Vec<Event>) -> Dataset {
    events.sort_by(|a, b| {
        (a.known(), a.occurred_at, &a.event_id).cmp(&(b.known(), b.occurred_at, &b.event_id))
    });
    let plan = plan(project);
    let mut dataset = plan.empty_dataset(project).unwrap();
    plan.replay(project, &CustomerId::new("c").unwrap(), &events, &mut dataset).unwrap();
    dataset
}

#[test]
fn the_parts_lie_a_horizon_apart() {
    let project = project();
    let plan = plan(&project);
    let split = plan.periods().split();
    let day = |at: Timestamp| at.day().since(start().day());
    // Each part is 20 days long, and 7 days of outcomes lie before the next.
    assert_eq!((day(split.test), day(split.calibrate)), (200 - 27, 200 - 54));
    assert_eq!(split.fit.last().map(|at| day(*at)), Some(200 - 81));
    assert!(split.fit.windows(2).all(|pair| day(pair[1]) - day(pair[0]) == 20) && day(split.fit[0]) >= 0);
    let (none, too_short) = plans(&project, start(), start().plus_days(80));
    assert!(none.is_empty() && too_short == ["accepted"]);
}

#[test]
fn success_is_of_the_contact_it_names_and_within_the_horizon() {
    let project = project();
    let outcome = |more: Vec<Event>| {
        let contact = event(0, "contacted", 60.0, "bundle", Some("d1"));
        let dataset = rows(&project, [vec![contact], more].concat());
        assert_eq!(dataset.n_rows(), 1);
        dataset.labelled("accepted").unwrap().outcomes[0]
    };
    assert!(!outcome(vec![]));
    assert!(outcome(vec![event(1, "accepted", 66.9, "bundle", Some("d1"))]));
    assert!(!outcome(vec![event(1, "accepted", 67.0, "bundle", Some("d1"))]));
    assert!(!outcome(vec![event(1, "accepted", 61.0, "bundle", Some("d2"))]));
    assert!(!outcome(vec![event(1, "accepted", 61.0, "survey", Some("d1"))]));
    assert!(!outcome(vec![event(1, "clicked", 61.0, "bundle", Some("d1"))]));
    // Without a decision, its action is what it names.
    assert!(outcome(vec![event(1, "accepted", 61.0, "bundle", None)]));
    assert!(!outcome(vec![event(1, "accepted", 61.0, "survey", None)]));
}

#[test]
fn contacts_of_other_actions_and_between_the_parts_make_no_row() {
    let project = project();
    let of = |events: Vec<Event>| rows(&project, events).n_rows();
    assert_eq!(of(vec![event(0, "contacted", 60.0, "banner", Some("d"))]), 0);
    assert_eq!(of(vec![event(0, "contacted", 60.0, "retired", Some("d"))]), 0);
    // From day 139 on outcomes would reach into the calibration part, which begins on day 146.
    assert_eq!(of(vec![event(0, "contacted", 138.9, "bundle", Some("d"))]), 1);
    assert_eq!(of(vec![event(0, "contacted", 139.0, "bundle", Some("d"))]), 0);
    assert_eq!(of(vec![event(0, "contacted", 146.0, "bundle", Some("d"))]), 1);
    // Its outcome is not known by the end.
    assert_eq!(of(vec![event(0, "contacted", 193.0, "bundle", Some("d"))]), 0);
}

#[test]
fn an_offer_s_columns_tell_how_such_offers_were_taken() {
    let project = project();
    let told = [
        event(0, "contacted", 40.0, "bundle", Some("d1")),
        event(1, "accepted", 41.0, "bundle", Some("d1")),
        event(2, "contacted", 50.0, "survey", Some("d2")),
        event(4, "impression", 50.1, "survey", Some("d2")),
        event(5, "contacted", 55.0, "bundle", Some("d4")),
        event(6, "not_taken", 58.0, "bundle", Some("d4")),
        event(3, "contacted", 60.0, "bundle", Some("d3")),
    ];
    let dataset = rows(&project, told.to_vec());
    let row = dataset.row(3);
    let offer = &row[row.len() - OFFER_COLUMNS.len()..];
    // Codes by the alphabet (bundle, survey; email), 3 contacts in 30 days, the last 5 days ago; of 3 contacts 1 answered, of
    // 2 by this action 1, of 3 through this channel 1. Seen: what was answered, and the survey.
    assert_eq!(offer, [0.0, 0.0, 3.0, 5.0, 3.0, 1.0, 2.0, 1.0, 3.0, 1.0, 2.0, 1.0, 2.0]);
    let spec = plan(&project).spec(&dataset);
    assert_eq!(spec.n_contacts, [("bundle".to_owned(), 3), ("survey".to_owned(), 1)].into());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// What becomes known at or after a contact may be anything: no number of its row moves by a bit.
    #[test]
    fn no_row_knows_its_future(
        history in proptest::collection::vec((0.0..200.0_f64, 0_usize..7, 0_usize..3), 1..60),
        which in 0_usize..60,
    ) {
        let project = project();
        let kinds =
            ["contacted", "accepted", "rejected", "order_placed", "product_viewed", "clicked", "impression"];
        let make = |(at, &(day, kind, action)): (usize, &(f64, usize, usize))| {
            let decision = format!("d{}", at / 3);
            event(at, kinds[kind], day, ["bundle", "survey", "banner"][action], Some(&decision))
        };
        let all: Vec<Event> = history.iter().enumerate().map(make).collect();
        let dataset = rows(&project, all.clone());
        if dataset.n_rows() > 0 {
            let bits = |dataset: &Dataset, row: usize| {
                dataset.row(row).iter().map(|value| value.to_bits()).collect::<Vec<u64>>()
            };
            let row = which % dataset.n_rows();
            // Rows stand in the order of their contacts.
            let mut contacts: Vec<&Event> = all.iter().filter(|event| {
                rows(&project, vec![(*event).clone()]).n_rows() == 1
            }).collect();
            contacts.sort_by_key(|event| event.known());
            let contact = contacts[row].clone();
            let mut past: Vec<Event> = all.iter().filter(|event| event.known() < contact.known()).cloned().collect();
            past.push(contact);
            let alone = rows(&project, past);
            prop_assert_eq!(bits(&dataset, row), bits(&alone, alone.n_rows() - 1));
        }
    }
}
