//! Made-up logs, read as the definitions read: every day in turn, every pair of events, nothing added up on the way.

use std::collections::BTreeSet;

use nextbest_models::event::EventType;
use nextbest_models::lifecycle::Stage;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::cutoff::fold;

const SPAN_DAYS: i32 = 420;
const AS_OF: i32 = 400;

/// Lives of `n` customers: orders some of which are taken back, surveys, contacts and answers; news comes up to six days late.
fn lives(n: usize, seed: u64) -> Vec<Vec<Event>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|who| life(who, &mut rng)).collect()
}

fn life(who: usize, rng: &mut ChaCha8Rng) -> Vec<Event> {
    let mut events = vec![made(who, 0, "page_viewed", rng.random_range(0..AS_OF - 1)).event()];
    let begun = rng.random_range(0..SPAN_DAYS);
    let gap = rng.random_range(3..90);
    let mut on = begun;
    for number in 0..rng.random_range(0..60) {
        let n = 10 * number + 1;
        on += rng.random_range(0..gap);
        if on >= SPAN_DAYS {
            break;
        }
        let late = rng.random_range(0.0..6.0);
        match rng.random_range(0..10) {
            0..5 => events.push(made(who, n, "order_placed", on).known_after(late).event()),
            5 => {
                let back = on + rng.random_range(1..20);
                events.push(made(who, n, "order_placed", on).event());
                events.push(made(who, n + 1, "order_cancelled", back).of(on).event());
            }
            6 => {
                let nps = AttributeValue::Number(f64::from(rng.random_range(-1..11)));
                events.push(made(who, n, "survey_answered", on).known_after(late).with("nps", nps).event());
            }
            _ => {
                let actions = ["bundle", "newsletter", "how_are_we_doing", "of_old"];
                let (decision, action) = (format!("d{n}"), actions.choose(rng).unwrap());
                events.push(made(who, n, "contacted", on).naming(&decision, action).event());
                let answer = ["clicked", "accepted", "survey_answered", "rejected"].choose(rng).unwrap();
                let after = on + rng.random_range(0..12);
                events.push(made(who, n + 1, answer, after).naming(&decision, action).event());
                if rng.random::<f64>() < 0.2 {
                    let (no, when) = (AttributeValue::Flag(false), on + rng.random_range(0..60));
                    events.push(made(who, n + 2, "consent_changed", when).with("marketing", no).event());
                }
            }
        }
    }
    in_order(events)
}

/// What is known of a customer, and the days with an order that stands.
struct Read {
    known: Vec<Event>,
    days: Vec<i32>,
}

fn read(events: &[Event], before: i32) -> Read {
    let known: Vec<Event> = events.iter().filter(|event| event.known() < day(before)).cloned().collect();
    let on = |at: Timestamp| at.day().since(start().day());
    let stands = |today: &i32| {
        let placed =
            known.iter().filter(|e| e.event_type == EventType::OrderPlaced && on(e.occurred_at) == *today);
        let back = known.iter().filter(|e| {
            e.event_type == EventType::OrderCancelled
                && on(e.refers_to.as_ref().unwrap().occurred_at) == *today
        });
        placed.count() > back.count()
    };
    let days = (0..SPAN_DAYS).filter(stands).collect();
    Read { known, days }
}

fn everybody(customers: &[Vec<Event>]) -> Vec<Read> {
    customers.iter().map(|events| read(events, AS_OF)).filter(|one| !one.known.is_empty()).collect()
}

fn n_of(all: &[Read], is: impl Fn(&Read) -> bool) -> i64 {
    all.iter().filter(|one| is(one)).count() as i64
}

#[test]
fn orders_are_counted_as_their_definitions_read() {
    let (project, customers) = (shop(), lives(300, 11));
    let report = look_at(&project, day(AS_OF), &customers);
    let all = everybody(&customers);
    let risk = project.settings.lifecycle.at_risk_days;
    let old = |one: &Read| one.days.first().is_some_and(|first| first + risk < AS_OF);
    let soon = |one: &Read| one.days.len() > 1 && one.days[1] - one.days[0] <= risk;
    assert_eq!(
        counts(&report, "activation"),
        (Some(n_of(&all, |one| old(one) && soon(one))), n_of(&all, old) as u64)
    );
    let (buyers, twice) = (n_of(&all, |one| !one.days.is_empty()), n_of(&all, |one| one.days.len() > 1));
    assert_eq!(counts(&report, "repeat_purchase_rate"), (Some(twice), buyers as u64));
    let window = AS_OF - project.settings.activity.window_days;
    let lately: Vec<f64> = all
        .iter()
        .map(|one| one.days.iter().filter(|day| **day >= window).count() as f64)
        .filter(|n| *n > 0.0)
        .collect();
    let mean = crate::metrics::mean(&lately);
    let frequency = metric(&report, "purchase_frequency").measure.estimate.unwrap();
    // Some hundred small whole numbers: rounding alone.
    assert!((frequency.value - mean.value).abs() < 1e-12 && (frequency.se.unwrap() - mean.se).abs() < 1e-9);
    let mut gaps: Vec<f64> =
        all.iter().filter(|one| one.days.len() > 1).map(|one| middle(gaps_of(one))).collect();
    gaps.sort_by(f64::total_cmp);
    assert_eq!(counts(&report, "time_between_orders"), (None, gaps.len() as u64));
    assert_eq!(metric(&report, "time_between_orders").measure.estimate.unwrap().value, middle(gaps));
}

fn gaps_of(one: &Read) -> Vec<f64> {
    one.days.windows(2).map(|pair| f64::from(pair[1] - pair[0])).collect()
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    f64::midpoint(values[(n - 1) / 2], values[n / 2])
}

#[test]
fn retention_is_counted_by_the_names_of_months() {
    let (project, customers) = (shop(), lives(300, 12));
    let report = look_at(&project, day(AS_OF), &customers);
    let all = everybody(&customers);
    let name = |on: i32| day(on).to_string()[..7].to_owned();
    let months: Vec<String> = (0..SPAN_DAYS).map(name).collect::<BTreeSet<_>>().into_iter().collect();
    // Day 400 lies in February 2026: that month is not over.
    let n_over = months.iter().position(|month| *month == name(AS_OF)).unwrap();
    let mut n_cells = 0;
    for cohort in &report.retention.cohorts {
        let begun = months.iter().position(|month| *month == cohort.month).unwrap();
        let of = |one: &&Read| one.days.first().is_some_and(|first| name(*first) == cohort.month);
        let members: Vec<&Read> = all.iter().filter(of).collect();
        assert_eq!(cohort.n_customers, members.len() as u64);
        assert_eq!(cohort.months.len(), (n_over - begun).saturating_sub(1), "{}", cohort.month);
        for (at, cell) in cohort.months.iter().enumerate() {
            let then = &months[begun + at + 1];
            let retained = members.iter().filter(|one| one.days.iter().any(|on| name(*on) == *then)).count();
            assert_eq!((cell.numerator, cell.denominator), (Some(retained as i64), members.len() as u64));
            n_cells += 1;
        }
    }
    // Thirteen months are over: of the first cohort twelve are told, of the next eleven, and so on.
    assert_eq!(n_cells, 12 * 13 / 2);
}

#[test]
fn churn_is_that_of_the_customers_active_at_each_cutoff() {
    let (project, customers) = (shop(), lives(300, 13));
    let report = look_at(&project, day(AS_OF), &customers);
    let (window, horizon) =
        (project.settings.activity.window_days, project.settings.labels["churn"].horizon_days);
    assert_eq!(report.churn.len(), 6);
    for (k, told) in report.churn.iter().rev().enumerate() {
        let cutoff = AS_OF - horizon - 30 * k as i32;
        assert_eq!(told.cutoff, day(cutoff));
        let (mut n, mut churned) = (0, 0);
        for events in &customers {
            let before = read(events, cutoff);
            if before.days.iter().any(|on| cutoff - window <= *on) {
                n += 1;
                let after = read(events, AS_OF).days;
                churned += i64::from(!after.iter().any(|on| cutoff <= *on && *on < cutoff + horizon));
            }
        }
        assert_eq!((told.measure.numerator, told.measure.denominator), (Some(churned), n));
    }
    let (lost, kept) = (metric(&report, "churn").measure, metric(&report, "not_churned").measure);
    assert_eq!(lost.numerator.unwrap() + kept.numerator.unwrap(), lost.denominator as i64);
    let (lost, kept) = (lost.estimate.unwrap(), kept.estimate.unwrap());
    assert_eq!((kept.lo, kept.hi), (1.0 - lost.hi, 1.0 - lost.lo));
}

#[test]
fn stages_and_moves_are_those_the_machine_tells_on_both_days() {
    let (project, customers) = (shop(), lives(300, 14));
    let report = look_at(&project, day(AS_OF), &customers);
    let rules = &project.settings.lifecycle;
    let mut now: BTreeMap<Stage, u64> = BTreeMap::new();
    let mut flows: BTreeMap<(Stage, Stage), u64> = BTreeMap::new();
    for events in customers.iter().filter(|events| !read(events, AS_OF).known.is_empty()) {
        let (folded, _) = fold(&project.schema, &customer(events), events, day(AS_OF));
        let stage = |on: i32| rules.stage(&folded, &project.schema, day(on).day());
        *now.entry(stage(AS_OF)).or_default() += 1;
        if folded.life().first().is_some_and(|first| first <= day(AS_OF - RECENT_DAYS).day()) {
            *flows.entry((stage(AS_OF - RECENT_DAYS), stage(AS_OF))).or_default() += 1;
        }
    }
    for one in &report.stages {
        assert_eq!(one.share.numerator, Some(now.get(&one.stage).copied().unwrap_or(0) as i64));
    }
    let of = |stages: &[Stage]| stages.iter().filter_map(|stage| now.get(stage)).sum::<u64>();
    let loyal = of(&[Stage::Loyal, Stage::Advocate]);
    let buying = loyal + of(&[Stage::New, Stage::Activating, Stage::Active, Stage::Recovered]);
    assert_eq!(counts(&report, "loyalty"), (Some(loyal as i64), buying));
    assert!(loyal > 0 && report.moves.len() >= 6, "{:?}", report.moves.len());
    for one in &report.moves {
        let to: BTreeMap<Stage, u64> = one.to.iter().copied().collect();
        let expected: BTreeMap<Stage, u64> =
            flows.iter().filter(|((from, _), _)| *from == one.from).map(|((_, to), n)| (*to, *n)).collect();
        assert_eq!(to, expected);
        let n = |measure: &Measure| measure.numerator.unwrap() as u64;
        assert_eq!(n(&one.stayed), to.get(&one.from).copied().unwrap_or(0));
        assert_eq!(n(&one.stayed) + n(&one.up) + n(&one.down), to.values().sum::<u64>());
    }
    // An advocate has nothing above, who has defected nothing below.
    for one in &report.moves {
        let numerator = |measure: &Measure| measure.numerator.unwrap();
        assert!(one.from != Stage::Advocate || numerator(&one.up) == 0);
        assert!(one.from != Stage::Defected || numerator(&one.down) == 0);
    }
}

#[test]
fn answers_and_contacts_are_counted_pair_by_pair() {
    let (project, customers) = (shop(), lives(400, 15));
    let report = look_at(&project, day(AS_OF), &customers);
    let all = everybody(&customers);
    let rules = &project.settings.lifecycle;
    let (mut net, mut answered) = (0, 0);
    let (mut contacts, mut responses, mut contacted, mut withdrew) = (0, 0, 0, 0);
    for one in &all {
        let lately = one.known.iter().filter(|event| {
            event.event_type == EventType::SurveyAnswered
                && event.occurred_at >= day(AS_OF - rules.advocate_days)
                && event.number("nps").is_some_and(|nps| nps >= 0.0)
        });
        if let Some(last) = lately.max_by_key(|event| event.occurred_at) {
            let nps = last.number("nps").unwrap();
            net += i64::from(nps >= 9.0) - i64::from(nps <= 6.0);
            answered += 1;
        }
        let made: Vec<&Event> =
            one.known.iter().filter(|event| event.event_type == EventType::Contacted).collect();
        let within = |event: &Event, days: i32| {
            event.occurred_at >= day(AS_OF - days - RECENT_DAYS) && event.occurred_at <= day(AS_OF - days)
        };
        let follows = |event: &Event, contact: &Event, days: i32| {
            contact.occurred_at <= event.occurred_at
                && event.occurred_at < contact.occurred_at.plus_days(days)
        };
        for contact in made.iter().filter(|contact| within(contact, rules.response_days)) {
            contacts += 1;
            responses += i64::from(one.known.iter().any(|event| {
                matches!(
                    event.event_type,
                    EventType::Clicked | EventType::Accepted | EventType::SurveyAnswered
                ) && event.decision_id == contact.decision_id
                    && follows(event, contact, rules.response_days)
            }));
        }
        let old: Vec<&&Event> = made.iter().filter(|contact| within(contact, OPT_OUT_DAYS)).collect();
        contacted += u64::from(!old.is_empty());
        withdrew += i64::from(old.iter().any(|contact| {
            one.known.iter().any(|event| {
                event.event_type == EventType::ConsentChanged && follows(event, contact, OPT_OUT_DAYS)
            })
        }));
    }
    assert_eq!(counts(&report, "net_promoter_score"), (Some(net), answered));
    assert_eq!(counts(&report, "response_rate"), (Some(responses), contacts));
    assert_eq!(counts(&report, "opt_out_rate"), (Some(withdrew), contacted));
    assert!(withdrew > 0 && responses > 0 && report.answers.n_unread > 0);
    let types: Vec<&str> = report.responses.iter().map(|one| one.campaign_type.as_str()).collect();
    assert_eq!(types, ["keep_warm", "upsell", "survey", "unknown"]);
    assert_eq!(report.responses.iter().map(|one| one.measure.denominator).sum::<u64>(), contacts);
}

#[test]
fn parts_in_any_order_add_up_to_the_whole() {
    let (project, customers) = (shop(), lives(120, 16));
    let look = Look::new(&project, day(AS_OF));
    let whole = tally(&look, &customers);
    let (left, right) = customers.split_at(35);
    let mut sum = Tally::default();
    for part in [right, left] {
        sum.merge(&tally(&look, part));
    }
    assert_eq!(sum, whole);
}

#[test]
fn nothing_known_at_or_after_the_moment_moves_a_number() {
    let (project, customers) = (shop(), lives(200, 17));
    let early = 330;
    let known = |events: &Vec<Event>| -> Vec<Event> {
        events.iter().filter(|event| event.known() < day(early)).cloned().collect()
    };
    let before: Vec<Vec<Event>> = customers.iter().map(known).filter(|events| !events.is_empty()).collect();
    let whole = look_at(&project, day(early), &customers);
    assert_eq!(whole, look_at(&project, day(early), &before));
    assert_ne!(whole, look_at(&project, day(early + 1), &customers), "a day later something is known more");
}
