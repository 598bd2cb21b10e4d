//! The lifecycle machine, held against a day-by-day simulation over the whole history, and against its promises.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::{AttributeValue, Event, EventDraft, EventType, Reference};
use nextbest_models::feature::{ActivityRule, Schema};
use nextbest_models::lifecycle::{Cause, ContactState, LifecycleRules, Stage, Transition};
use nextbest_models::units::{DAY_MS, Day, Money, Timestamp};
use proptest::prelude::*;

const LATENESS_DAYS: i32 = 5;
/// What the measure of activity remembers: the window and a year.
const REMEMBERED_DAYS: i32 = 20 + 365;
const SPAN_DAYS: i32 = 1200;

fn schema() -> Schema {
    let activity = ActivityRule { event: vec![EventType::OrderPlaced], window_days: 20 };
    Schema::new(Vec::new(), &activity, "GBP".parse().unwrap(), LATENESS_DAYS).unwrap()
}

fn rules(text: &str) -> LifecycleRules {
    let rules: LifecycleRules = toml::from_str(text).unwrap();
    assert_eq!(rules.fault(), None);
    rules
}

/// Thresholds close enough together that all edges are met: a loyal one can decay before they are at risk.
fn tight() -> LifecycleRules {
    rules(
        "active_from_days = 3\nloyal_from_days = 5\nat_risk_days = 25\ndefected_days = 60\nhabit_days = 50\n\
         considering_days = 10\nadvocate_days = 30",
    )
}

fn start() -> Timestamp {
    "2022-01-01T00:00:00Z".parse().unwrap()
}

fn day(number: i32) -> Day {
    start().day().plus(number)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    Order,
    /// Takes back the whole order of so many days before.
    Cancel(i32),
    View,
    Referral,
    Promotion,
    Contact,
}

fn event(number: usize, at_day: i32, what: What) -> Event {
    let occurred_at = start().plus_millis(i64::from(at_day) * DAY_MS + i64::try_from(number).unwrap());
    let event_type = match what {
        What::Order => "order_placed",
        What::Cancel(_) => "order_cancelled",
        What::View => "product_viewed",
        What::Referral => "referral_sent",
        What::Promotion => "survey_answered",
        What::Contact => "contacted",
    };
    let is_money = matches!(what, What::Order | What::Cancel(_));
    let draft = EventDraft {
        event_id: format!("e{number}"),
        event_type: event_type.to_owned(),
        occurred_at: Some(occurred_at),
        customer_id: Some("c".to_owned()),
        action_id: (what == What::Contact).then(|| "a".to_owned()),
        value: is_money.then(|| Money { amount_minor: 100, currency: "GBP".parse().unwrap() }),
        refers_to: match what {
            What::Cancel(back) => Some(Reference {
                event_id: "o".to_owned(),
                occurred_at: occurred_at.plus_days(-back),
                whole: true,
            }),
            _ => None,
        },
        attributes: [("nps".to_owned(), AttributeValue::Number(9.0))].into(),
        ..EventDraft::default()
    };
    draft.try_into().unwrap()
}

fn fold(events: &[Event]) -> Customer {
    let schema = schema();
    let mut customer = Customer::new(CustomerId::new("c").unwrap(), &schema);
    for event in events {
        customer.apply(&schema, event).unwrap();
    }
    customer
}

/// Events on days in time order; gaps are drawn so that some lives are dense and some have long silences.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let what = prop_oneof![
        8 => Just(What::Order),
        1 => (0..450).prop_map(What::Cancel),
        1 => (0..30).prop_map(What::Cancel),
        3 => Just(What::View),
        1 => Just(What::Referral),
        1 => Just(What::Promotion),
    ];
    let gap = prop_oneof![6 => 0..8_i32, 4 => 8..30_i32, 2 => 20..80_i32, 1 => 60..400_i32];
    proptest::collection::vec((gap, what), 1..60).prop_map(|raw| {
        let mut at_day = 0;
        let mut events = Vec::new();
        for (number, (gap, what)) in raw.into_iter().enumerate() {
            at_day += gap;
            if at_day < SPAN_DAYS {
                events.push(event(number, at_day, what));
            }
        }
        events
    })
}

/// The same machine written as its documentation reads: every day in turn, everything counted anew.
struct Oracle {
    first: Option<Day>,
    active: Vec<Day>,
    interest: Vec<Day>,
    advocacy: Vec<(Day, Cause)>,
}

impl Oracle {
    fn of(events: &[Event]) -> Self {
        let days = |wanted: &[EventType]| -> Vec<Day> {
            let of = events.iter().filter(|event| wanted.contains(&event.event_type));
            of.map(|event| event.occurred_at.day()).collect()
        };
        let orders = days(&[EventType::OrderPlaced]);
        let revised = events.iter().filter(|event| {
            event.event_type == EventType::OrderCancelled
                && event.occurred_at.day().since(event.booked_at().day()) <= REMEMBERED_DAYS
        });
        let revised: Vec<Day> = revised.map(|event| event.booked_at().day()).collect();
        let n = |days: &[Day], one: Day| days.iter().filter(|day| **day == one).count();
        let mut active: Vec<Day> =
            orders.iter().copied().filter(|day| n(&orders, *day) > n(&revised, *day)).collect();
        active.sort_unstable();
        active.dedup();
        let advocacy =
            |kinds: &[EventType], cause: Cause| days(kinds).into_iter().map(move |day| (day, cause));
        Self {
            first: events.iter().map(|event| event.occurred_at.day()).min(),
            active,
            interest: days(&[EventType::ProductViewed]),
            advocacy: advocacy(&[EventType::ReferralSent], Cause::Referral)
                .chain(advocacy(&[EventType::SurveyAnswered], Cause::Survey))
                .collect(),
        }
    }

    fn transitions(&self, rules: &LifecycleRules, until: Day) -> Vec<Transition> {
        let Some(first) = self.first else { return Vec::new() };
        let mut found = Vec::new();
        let mut stage: Option<Stage> = None;
        // What they are apart from silence, and the day from which active days count.
        let (mut habit, mut counts_from) = (Stage::Aware, first);
        for today in (first.number()..=until.number()).map(Day::from_number) {
            let mut enter = |stage: &mut Option<Stage>, to: Stage, cause: Cause| {
                if *stage != Some(to) {
                    found.push(Transition { day: today, from: *stage, to, cause });
                    *stage = Some(to);
                }
            };
            let n_active = |last: Day, counts_from: Day| {
                let counted = |day: &&Day| {
                    **day <= last && **day >= counts_from && today.since(**day) < rules.habit_days
                };
                u32::try_from(self.active.iter().filter(counted).count()).unwrap()
            };
            let spoke = |last: Day| {
                self.advocacy.iter().any(|(day, _)| *day <= last && today.since(*day) <= rules.advocate_days)
            };
            let shown = |habit: Stage, last: Day| {
                if habit == Stage::Loyal && spoke(last) { Stage::Advocate } else { habit }
            };
            let worn = |habit: Stage, n: u32| match habit {
                Stage::Active | Stage::Loyal if n < rules.active_until() => Stage::Activating,
                Stage::Loyal if n < rules.loyal_until() => Stage::Active,
                other => other,
            };
            let yesterday = today.plus(-1);

            // Morning.
            let before = self.active.iter().copied().filter(|day| *day < today).max();
            match before.map(|last| today.since(last)) {
                None => {
                    let looked = self
                        .interest
                        .iter()
                        .any(|day| *day < today && today.since(*day) <= rules.considering_days);
                    if stage == Some(Stage::Considering) && !looked {
                        enter(&mut stage, Stage::Aware, Cause::Decay);
                    }
                }
                Some(silent) if silent > rules.defected_days => {
                    enter(&mut stage, Stage::Defected, Cause::Silence)
                }
                Some(silent) if silent > rules.at_risk_days => {
                    enter(&mut stage, Stage::AtRisk, Cause::Silence)
                }
                Some(_) => {
                    habit = worn(habit, n_active(yesterday, counts_from));
                    enter(&mut stage, shown(habit, yesterday), Cause::Decay);
                }
            }

            // Evening.
            let advocated = self.advocacy.iter().filter(|(day, _)| *day == today).map(|(_, cause)| *cause);
            let advocated = advocated.min_by_key(|cause| u8::from(*cause != Cause::Referral));
            if self.active.contains(&today) {
                let was = habit;
                let cause = if before.is_none() {
                    habit = Stage::New;
                    Cause::QualifyingEvent
                } else if stage == Some(Stage::Defected) {
                    (habit, counts_from) = (Stage::Recovered, today);
                    Cause::Returned
                } else {
                    let n = n_active(today, counts_from);
                    let needed = if habit == Stage::Recovered {
                        rules.recovered_until()
                    } else {
                        rules.active_from_days
                    };
                    habit = match worn(habit, n) {
                        Stage::Recovered if n < needed => Stage::Recovered,
                        _ if n >= rules.loyal_from_days => Stage::Loyal,
                        kept @ (Stage::Active | Stage::Loyal) => kept,
                        _ if n >= needed => Stage::Active,
                        _ => Stage::Activating,
                    };
                    if stage == Some(Stage::AtRisk) {
                        Cause::Returned
                    } else if habit == Stage::Activating {
                        Cause::QualifyingEvent
                    } else if was == habit {
                        advocated.unwrap_or(Cause::CountThreshold)
                    } else {
                        Cause::CountThreshold
                    }
                };
                enter(&mut stage, shown(habit, today), cause);
            } else if before.is_none() {
                if self.interest.contains(&today) {
                    enter(&mut stage, Stage::Considering, Cause::ProductInterest);
                } else if stage.is_none() {
                    enter(&mut stage, Stage::Aware, Cause::FirstEvent);
                }
            } else if let (Some(cause), Some(now)) = (advocated, stage)
                && !matches!(now, Stage::AtRisk | Stage::Defected)
            {
                enter(&mut stage, shown(habit, today), cause);
            }
        }
        found
    }
}

/// The stage on each day, from the first on.
fn by_day(transitions: &[Transition], until: Day) -> Vec<Stage> {
    let Some(first) = transitions.first() else { return Vec::new() };
    let on = |today: i32| transitions.iter().rev().find(|one| one.day.number() <= today).map(|one| one.to);
    (first.day.number()..=until.number()).filter_map(on).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// The walk over the folded state, after every event, equals the simulation of every day of the whole history:
    /// bounds, forgetting and the checkpoint make no difference, nor does whether one looks online or afterwards.
    #[test]
    fn the_walk_equals_a_day_by_day_simulation(events in history(), later in 0..500_i32) {
        let (schema, rules) = (schema(), tight());
        let mut customer = Customer::new(CustomerId::new("c").unwrap(), &schema);
        for (n_events, event) in (1..).zip(&events) {
            customer.apply(&schema, event).unwrap();
            if n_events % 5 > 0 && n_events < events.len() {
                continue;
            }
            let last = if n_events == events.len() { later } else { 0 };
            let now = event.occurred_at.plus_days(last);
            let expected = Oracle::of(&events[..n_events]).transitions(&rules, now.day());
            let found = rules.transitions(&customer, &schema, day(-1), now.day());
            prop_assert_eq!(&found, &expected);
            let standing = rules.standing(&customer, &schema, now);
            let last = expected.last().unwrap();
            prop_assert_eq!((standing.stage, standing.since, standing.cause), (last.to, last.day, last.cause));
            prop_assert_eq!(rules.stage(&customer, &schema, now.day()), standing.stage);
        }
    }

    /// Each change starts where the one before ended, in time, and changes something; a part of them is the part.
    #[test]
    fn transitions_are_one_unbroken_chain(events in history(), from in 0..SPAN_DAYS, to in 0..SPAN_DAYS) {
        let (schema, rules) = (schema(), tight());
        let customer = fold(&events);
        let all = rules.transitions(&customer, &schema, day(-1), day(2 * SPAN_DAYS));
        prop_assert_eq!(all[0].from, None);
        for pair in all.windows(2) {
            prop_assert_eq!(pair[1].from, Some(pair[0].to));
            prop_assert!(pair[1].to != pair[0].to && pair[0].day <= pair[1].day);
        }
        let expected: Vec<Transition> =
            all.iter().filter(|one| (day(from)..=day(to)).contains(&one.day)).copied().collect();
        prop_assert_eq!(rules.transitions(&customer, &schema, day(from), day(to)), expected);
    }

    /// After the last thing a customer did, stages only run down, each at most once, and end in silence.
    #[test]
    fn without_events_a_life_only_runs_down(events in history()) {
        let (schema, rules) = (schema(), tight());
        let customer = fold(&events);
        let last = events.last().unwrap().occurred_at.day();
        let after = rules.transitions(&customer, &schema, last.plus(1), day(3 * SPAN_DAYS));
        // Advocate, loyal, active, activating, at risk, defected: five edges at most; or considering to aware.
        prop_assert!(after.len() <= 5);
        let down = |stage: Stage| match stage {
            Stage::Considering | Stage::Advocate => 0,
            Stage::Aware | Stage::Loyal => 1,
            Stage::Active => 2,
            Stage::Activating | Stage::New | Stage::Recovered => 3,
            Stage::AtRisk => 4,
            Stage::Defected => 5,
        };
        for one in &after {
            prop_assert!(down(one.from.unwrap()) < down(one.to), "{:?}", one);
            prop_assert!(matches!(one.cause, Cause::Silence | Cause::Decay), "{:?}", one);
        }
        let end = rules.stage(&customer, &schema, day(3 * SPAN_DAYS));
        prop_assert!(matches!(end, Stage::Aware | Stage::Defected), "{:?}", end);
    }

    /// Between two active days there are at most five changes, and two more for each day of advocacy: one up, and the
    /// fall that it makes possible. And nobody goes to a stage and back on the next day but by an event.
    #[test]
    fn nobody_flickers(events in history()) {
        let (schema, rules) = (schema(), tight());
        let customer = fold(&events);
        let oracle = Oracle::of(&events);
        let until = day(2 * SPAN_DAYS);
        let all = rules.transitions(&customer, &schema, day(-1), until);
        for pair in oracle.active.windows(2) {
            let between = |day: Day| pair[0] < day && day <= pair[1];
            let n_changes = all.iter().filter(|one| between(one.day) && one.cause != Cause::Returned).count();
            let n_advocacy = oracle.advocacy.iter().filter(|(day, _)| between(*day)).count();
            // The sixth is the change that the second active day itself brings.
            prop_assert!(n_changes <= 6 + 2 * n_advocacy, "{} changes", n_changes);
        }
        for (at, three) in by_day(&all, until).windows(3).enumerate() {
            if three[0] == three[2] && three[0] != three[1] {
                let back = all[0].day.plus(i32::try_from(at).unwrap() + 2);
                let cause = all.iter().rev().find(|one| one.day == back).map(|one| one.cause);
                // Two days with an order in a row earn the margin back that two days leaving the window at once took.
                let earned = cause == Some(Cause::CountThreshold) && oracle.active.contains(&back);
                prop_assert!(earned || matches!(
                    cause,
                    Some(Cause::Returned | Cause::ProductInterest | Cause::Referral | Cause::Survey)
                ), "{:?} on {}", cause, back);
            }
        }
        // Who fell below a threshold has to earn the whole margin again.
        for (at, fall) in all.iter().enumerate().filter(|(_, one)| one.cause == Cause::Decay) {
            let margin = match (fall.from, fall.to) {
                (Some(Stage::Active), Stage::Activating) => rules.active_from_days - rules.active_until(),
                (Some(Stage::Loyal), Stage::Active) => rules.loyal_from_days - rules.loyal_until(),
                _ => continue,
            };
            if let Some(rise) = all[at + 1..].iter().find(|one| Some(one.to) == fall.from) {
                let n_earned = oracle.active.iter().filter(|day| (fall.day..=rise.day).contains(day)).count();
                prop_assert!(n_earned > margin as usize, "{:?} then {:?}", fall, rise);
            }
        }
    }
}

fn stages(events: &[(i32, What)], rules: &LifecycleRules, until: i32) -> Vec<(i32, Stage, Cause)> {
    let events: Vec<Event> =
        events.iter().enumerate().map(|(number, (day, what))| event(number, *day, *what)).collect();
    let found = rules.transitions(&fold(&events), &schema(), day(-1), day(until));
    found.into_iter().map(|one| (one.day.since(start().day()), one.to, one.cause)).collect()
}

#[test]
fn a_life_from_the_first_look_to_the_return() {
    use What::{Order, Referral, View};
    let life = [
        (0, What::Contact),
        (2, View),
        (20, View),
        (21, Order),
        (30, Order),
        (35, Order),
        (40, Order),
        (45, Order),
        (50, Referral),
        (120, Order),
        (125, Order),
        (130, Order),
    ];
    let expected = [
        (0, Stage::Aware, Cause::FirstEvent),
        (2, Stage::Considering, Cause::ProductInterest),
        (13, Stage::Aware, Cause::Decay),
        (20, Stage::Considering, Cause::ProductInterest),
        (21, Stage::New, Cause::QualifyingEvent),
        (30, Stage::Activating, Cause::QualifyingEvent),
        (35, Stage::Active, Cause::CountThreshold),
        (45, Stage::Loyal, Cause::CountThreshold),
        (50, Stage::Advocate, Cause::Referral),
        (71, Stage::AtRisk, Cause::Silence),
        (106, Stage::Defected, Cause::Silence),
        (120, Stage::Recovered, Cause::Returned),
        (130, Stage::Active, Cause::CountThreshold),
        (156, Stage::AtRisk, Cause::Silence),
        (191, Stage::Defected, Cause::Silence),
    ];
    assert_eq!(stages(&life, &tight(), 500), expected);
}

#[test]
fn a_cancelled_order_was_no_step_of_a_life() {
    let life = [(0, What::View), (1, What::Order), (3, What::Cancel(2))];
    let found = stages(&life, &tight(), 3);
    assert_eq!(found, [(0, Stage::Considering, Cause::ProductInterest)]);
}

#[test]
fn what_a_fold_changes_is_told_once_and_a_cancellation_is_a_revision() {
    let (schema, rules) = (schema(), tight());
    let events = [event(0, 0, What::View), event(1, 1, What::Order), event(2, 3, What::Cancel(2))];
    let states: Vec<Customer> = (0..=events.len()).map(|n_events| fold(&events[..n_events])).collect();
    let changes = |n_events: usize, today: i32| {
        let found = rules.changes(&states[n_events - 1], &states[n_events], &schema, day(today));
        found.into_iter().map(|one| (one.day, one.from, one.to, one.cause)).collect::<Vec<_>>()
    };
    assert_eq!(changes(1, 0), [(day(0), None, Stage::Considering, Cause::ProductInterest)]);
    assert_eq!(changes(2, 1), [(day(1), Some(Stage::Considering), Stage::New, Cause::QualifyingEvent)]);
    assert_eq!(changes(3, 3), [(day(3), Some(Stage::New), Stage::Considering, Cause::Revision)]);
    assert_eq!(rules.changes(&states[3], &states[3], &schema, day(3)), []);

    let same_day = [event(0, 5, What::View), event(1, 5, What::Order)];
    let found = rules.changes(&fold(&same_day[..1]), &fold(&same_day), &schema, day(5));
    let expected = Transition {
        day: day(5),
        from: Some(Stage::Considering),
        to: Stage::New,
        cause: Cause::QualifyingEvent,
    };
    assert_eq!(found, [expected]);

    let change = Transition { day: day(1), from: None, to: Stage::New, cause: Cause::QualifyingEvent };
    let told = change.event(&CustomerId::new("c").unwrap());
    let json = serde_json::to_string(&told).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), told, "an event like any other");
    assert!(
        json.contains(r#""type":"stage_changed""#) && json.contains(r#""event_id":"stage-2022-01-02-new""#)
    );
}

#[test]
fn who_ignores_the_last_contacts_is_ignoring_until_they_answer() {
    let rules = tight();
    let schema = schema();
    let contacts: Vec<Event> =
        (0..3).map(|at| event(at, 10 * i32::try_from(at).unwrap(), What::Contact)).collect();
    let state =
        |events: &[Event], at_day: i32| rules.standing(&fold(events), &schema, day(at_day).start()).contact;
    // The third is ignored a week after day 20.
    assert_eq!(state(&contacts, 26), ContactState::Listening);
    assert_eq!(state(&contacts, 28), ContactState::Ignoring);
    assert_eq!(state(&contacts, 91), ContactState::Listening, "the first lies too far back");
    let mut no = event(9, 22, What::Contact);
    no.event_type = EventType::Rejected;
    let answered: Vec<Event> = contacts.iter().cloned().chain([no]).collect();
    assert_eq!(state(&answered, 28), ContactState::Listening, "a no is an answer");
}

#[test]
fn one_of_whom_nothing_is_known_is_aware_as_of_today() {
    let standing = tight().standing(&fold(&[]), &schema(), day(7).start());
    assert_eq!((standing.stage, standing.since), (Stage::Aware, day(7)));
}

#[test]
fn names_are_those_of_serde_and_thresholds_name_what_is_wrong_with_them() {
    for stage in Stage::ALL {
        assert_eq!(serde_json::to_value(stage).unwrap(), stage.as_str());
    }
    assert!(Stage::ALL.is_sorted());
    for cause in [Cause::FirstEvent, Cause::Decay, Cause::Revision, Cause::QualifyingEvent] {
        assert_eq!(serde_json::to_value(cause).unwrap(), cause.as_str());
    }
    let four = "active_from_days = 3\nloyal_from_days = 8\nat_risk_days = 60\ndefected_days = 180\n";
    let defaults = rules(four);
    assert_eq!((defaults.active_until(), defaults.loyal_until(), defaults.recovered_until()), (2, 6, 3));
    let fault =
        |more: &str| toml::from_str::<LifecycleRules>(&format!("{four}{more}")).unwrap().fault().unwrap();
    assert!(fault("active_until_days = 3").contains("active_until_days (3) < active_from_days (3)"));
    assert!(fault("loyal_until_days = 8").contains("flickers"));
    assert!(fault("recovered_until_days = 1").contains("recovered_until_days (1) lies below 2"));
    assert!(fault("ignoring_contacts = 0").contains("ignoring_contacts"));
    assert!(fault("considering_days = 0").contains("considering_days 0 lies outside 1 ..= 36500"));
    assert!(fault("ignoring_days = 401").contains("outside 1 ..= 400"));
    for (active, loyal) in (2..40).flat_map(|active| (active + 1..60).map(move |loyal| (active, loyal))) {
        rules(&format!(
            "active_from_days = {active}\nloyal_from_days = {loyal}\nat_risk_days = 60\ndefected_days = 180"
        ));
    }
}
