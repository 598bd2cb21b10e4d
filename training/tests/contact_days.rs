//! Uplift from a log: what contacts change is told although who is contacted follows what is known, and refused where
//! nobody, or everybody, was contacted.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use nextbest_models::customer::CustomerId;
use nextbest_models::event::{AttributeValue, Event, EventDraft};
use nextbest_models::project::Project;
use nextbest_models::units::{DAY_MS, Money, Seed, Timestamp};
use nextbest_models::uplift::ANSWERED;
use nextbest_training::uplift::{Answers, ContactDays, Method, UpliftPlan};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SPAN_DAYS: i32 = 120;
const HORIZON_DAYS: i32 = 20;
const SETTINGS: &str = r#"
    name = "test"
    currency = "GBP"
    time_zone = "UTC"
    lateness_days = 7
    [activity]
    event = ["order_placed"]
    window_days = 360
    [labels.churn]
    kind = "absence"
    event = ["order_placed"]
    horizon_days = 20
    [uplifts.save]
    label = "churn"
    campaign_type = ["prevent_defection"]
    [training]
    n_cutoffs = 3
    step_days = 20
    seed = 7
    [lifecycle]
    active_from_days = 3
    loyal_from_days = 8
    at_risk_days = 60
    defected_days = 120
"#;
const FEATURES: &str = r#"
    [[feature]]
    name = "angry"
    kind = "attribute"
    of = "attributes.angry"
    unit = "yes or no"
"#;
const POLICY: &str = "[[action]]\nid = \"stay\"\ncampaign_type = \"prevent_defection\"\nstages = [\"active\"]\npropensity = \
                      \"churn\"\nvalue = { fixed_minor = 100 }\n[[action.treatment]]\nid = \"stay_email\"\nchannel = \"email\"\n";

fn project() -> Project {
    Project::read(|name| {
        Ok(match name {
            "nextbest.toml" => SETTINGS.to_owned(),
            "features.toml" => FEATURES.to_owned(),
            "policy.toml" => POLICY.to_owned(),
            _ => include_str!("../../examples/retail/pricing.toml").to_owned(),
        })
    })
    .unwrap()
}

fn start() -> Timestamp {
    "2025-01-01T00:00:00Z".parse().unwrap()
}

fn event(id: &CustomerId, kind: &str, day: f64, more: EventDraft) -> Event {
    let draft = EventDraft {
        event_id: format!("{kind}-{day}"),
        event_type: kind.to_owned(),
        occurred_at: Some(start().plus_millis((day * DAY_MS as f64) as i64)),
        customer_id: Some(id.as_str().to_owned()),
        ..more
    };
    draft.try_into().unwrap()
}

fn order(id: &CustomerId, day: f64) -> Event {
    let value = Some(Money { amount_minor: 100, currency: "GBP".parse().unwrap() });
    event(
        id,
        "order_placed",
        day,
        EventDraft { value, sku: Some("A".into()), quantity: Some(1), ..EventDraft::default() },
    )
}

fn contact(id: &CustomerId, day: f64, action: &str) -> Event {
    let more =
        EventDraft { action_id: Some(action.into()), channel: Some("email".into()), ..EventDraft::default() };
    event(id, "contacted", day, more)
}

/// Orders a day by themselves: of the calm, and of the angry.
const ORDERS: [f64; 2] = [0.06, 0.02];

/// Customers of whom every second is angry, who live day by day: each day they order by themselves with a probability of
/// [`ORDERS`], are contacted with one of `contacts`, and a contact brings an order that day with probability `brings`.
fn shop(project: &Project, n_customers: usize, contacts: [f64; 2], brings: f64) -> (UpliftPlan, ContactDays) {
    shop_beside(project, Vec::new(), n_customers, contacts, brings)
}

/// The same beside the `lives` of others.
fn shop_beside(
    project: &Project,
    mut lives: Vec<(CustomerId, Vec<Event>)>,
    n_customers: usize,
    contacts: [f64; 2],
    brings: f64,
) -> (UpliftPlan, ContactDays) {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut n_contacts = 0;
    for customer in 0..n_customers {
        let id = CustomerId::new(format!("c{customer}")).unwrap();
        let angry = customer % 2;
        let attributes = BTreeMap::from([("angry".to_owned(), AttributeValue::Number(angry as f64))]);
        let set = event(&id, "attribute_set", 0.1, EventDraft { attributes, ..EventDraft::default() });
        let mut events = vec![set, order(&id, 0.2)];
        for day in 1..SPAN_DAYS {
            let day = f64::from(day);
            let contacted = rng.random::<f64>() < contacts[angry];
            if contacted {
                n_contacts += 1;
                events.push(contact(&id, day + 0.5, "stay"));
            }
            if rng.random::<f64>() < ORDERS[angry] || (contacted && rng.random::<f64>() < brings) {
                events.push(order(&id, day + 0.6));
            }
        }
        events.sort_by(|a, b| {
            (a.known(), a.occurred_at, &a.event_id).cmp(&(b.known(), b.occurred_at, &b.event_id))
        });
        lives.push((id, events));
    }
    let (name, rule) = project.settings.uplifts.iter().next().unwrap();
    let span = (start(), start().plus_days(SPAN_DAYS));
    let plan = UpliftPlan::new(project, (name, rule), span, (n_contacts, n_customers as u64)).unwrap();
    let mut days = plan.empty(project).unwrap();
    for (id, events) in &lives {
        plan.replay(project, id, events, &mut days).unwrap();
    }
    (plan, days)
}

/// The chance of no order within the horizon from a day on, without a contact on it: neither they themselves nor a later contact
/// bring one.
fn stays_away(angry: usize, contacts: [f64; 2], brings: f64) -> f64 {
    (1.0 - ORDERS[angry]).powi(HORIZON_DAYS) * (1.0 - contacts[angry] * brings).powi(HORIZON_DAYS - 1)
}

/// What is told, its standard error, and what it should be: adjusted for who is contacted, and plain.
struct Told {
    adjusted: f64,
    plain: f64,
    se: f64,
    effect: f64,
    difference: f64,
}

impl Told {
    fn of(contacts: [f64; 2], brings: f64) -> Self {
        let project = project();
        let (plan, days) = shop(&project, 3000, contacts, brings);
        let (parts, report) = plan.fit(days, None, Seed(7)).unwrap();
        assert_eq!(parts.metadata.name, "save");
        // The angry are this share of days with a contact, and of those without one.
        let of = |share: [f64; 2]| share[1] / (share[0] + share[1]);
        let [treated, control] = [of(contacts), of(contacts.map(|contact| 1.0 - contact))];
        let n = [report.treated_arm.n as f64, report.control_arm.n as f64];
        let all = (n[0] * treated + n[1] * control) / (n[0] + n[1]);
        let away = [0, 1].map(|kind| stays_away(kind, contacts, brings));
        // A contact brings an order, so takes that share of the chance.
        let mix = |angry: f64| away[0] * (1.0 - angry) + away[1] * angry;
        let (effect, difference) = (-brings * mix(all), (1.0 - brings) * mix(treated) - mix(control));
        let (adjusted, plain) = (report.effect.adjusted, report.effect.difference_of_means);
        Self { adjusted: adjusted.value, plain: plain.value, se: adjusted.se, effect, difference }
    }

    /// A row is a customer's day, and days of one customer lie within one another's horizon: errors are larger than of rows
    /// apart, by at most the root of how many drawn days of a customer overlap, below 2.
    fn bound(&self) -> f64 {
        3.0 * 2.0_f64.sqrt() * self.se
    }
}

#[test]
fn what_contacts_save_is_told_although_the_angry_are_contacted_most() {
    for brings in [0.4, 0.0] {
        let told = Told::of([0.01, 0.03], brings);
        let (found, truth, bound) = (told.adjusted, told.effect, told.bound());
        assert!((found - truth).abs() < bound, "{brings}: {found} of {truth}, give or take {bound}");
        // The plain difference takes the angry, who stay away anyway, for what contacts do: by as much as it must.
        assert!((told.plain - told.difference).abs() < bound, "{brings}: {} {}", told.plain, told.difference);
        assert!(told.plain > told.adjusted + 2.0 * told.se, "{brings}: {} {found}", told.plain);
    }
}

#[test]
fn without_contacts_or_days_there_is_no_model_and_a_reason() {
    let project = project();
    let (plan, days) = shop(&project, 300, [0.0, 0.0], 0.0);
    let refused = plan.fit(days, None, Seed(7)).unwrap_err().to_string();
    assert!(refused.contains("no_treated") && refused.contains("churn"), "{refused}");
    let (name, rule) = project.settings.uplifts.iter().next().unwrap();
    let short = (start(), start().plus_days(HORIZON_DAYS));
    assert_eq!(UpliftPlan::new(&project, (name, rule), short, (10, 10)), None, "no outcome is known yet");
}

#[test]
fn who_allows_no_contact_is_no_control() {
    let project = project();
    let contacts = [0.02, 0.02];
    let fitted = |refusing: bool| {
        let one = |customer: usize| {
            let id = CustomerId::new(format!("r{customer}")).unwrap();
            let no = BTreeMap::from([("marketing".to_owned(), AttributeValue::Flag(false))]);
            let said =
                event(&id, "consent_changed", 0.1, EventDraft { attributes: no, ..EventDraft::default() });
            let events = vec![said, order(&id, 0.2)];
            (id, events)
        };
        let silent = (0..if refusing { 1500 } else { 0 }).map(one).collect();
        let (plan, days) = shop_beside(&project, silent, 1500, contacts, 0.3);
        plan.fit(days, None, Seed(7)).unwrap().1
    };
    let [without, with] = [fitted(false), fitted(true)];
    // They never order again: as control they would make contacts look as if they saved nearly everybody. Fewer control days are
    // drawn of each customer where there are more, so that effects differ by what is drawn.
    let (a, b) = (without.effect.adjusted, with.effect.adjusted);
    assert!((a.value - b.value).abs() < 3.0 * 2.0_f64.sqrt() * a.se.hypot(b.se), "{a:?} {b:?}");
    // As many as the others, they would bring the share of churn without a contact half of the way to 1.
    let (rate, moved) = (without.control_arm.rate, with.control_arm.rate - without.control_arm.rate);
    assert!(moved < 0.25 * (1.0 - rate), "{rate} {moved}");
}

#[test]
fn with_answers_customers_differ_by_these_about_the_mean_effect() {
    let project = project();
    let (plan, days) = shop(&project, 1500, [0.02, 0.02], 0.3);
    let answers = Answers::new(&[0.05, 0.1, 0.3]).unwrap();
    let (parts, report) = plan.fit(days, Some(answers), Seed(7)).unwrap();
    assert_eq!((parts.metadata.learner.as_str(), report.learner), (ANSWERED, Method::Answered));
    assert!(parts.scorer.is_none() && report.candidates.is_empty() && report.ranking.is_none());
    let (line, mean) = (parts.calibration, report.effect.adjusted.value);
    let told = |q: f64| line.apply(-q).value;
    assert!((told(0.15) - mean).abs() < 1e-12, "the mean answer has the mean effect");
    assert!((told(0.05) - told(0.25) - 0.2).abs() < 1e-12, "an answer more keeps the label away once");
    assert!((told(0.9) - told(0.3)).abs() < 1e-12, "nothing is told beyond what was seen");
    let wide = |q: f64| line.apply(-q).hi - line.apply(-q).lo;
    assert!(wide(0.3) > wide(0.15), "how much answers do is not known for sure");
    assert_eq!(Answers::new(&[]), None);
}
