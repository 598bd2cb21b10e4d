//! Contacts, replies and consent, held against brute force over the whole history.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeSet;

use nextbest_models::customer::contacts::{Contact, MAX_CONTACTS, Past, Reply};
use nextbest_models::customer::{Customer, CustomerId, stable_hash};
use nextbest_models::event::{AttributeValue, Event, EventDraft, EventType};
use nextbest_models::feature::{ActivityRule, Schema};
use nextbest_models::units::{DAY_MS, Timestamp};
use proptest::prelude::*;

const LATENESS_DAYS: i32 = 5;
const RESPONSE_DAYS: i32 = 7;

fn schema() -> Schema {
    let activity = ActivityRule { event: vec![EventType::OrderPlaced], window_days: 60 };
    Schema::new(Vec::new(), &activity, "GBP".parse().unwrap(), LATENESS_DAYS).unwrap()
}

fn at(millis: i64) -> Timestamp {
    "2025-01-01T00:00:00Z".parse::<Timestamp>().unwrap().plus_millis(millis)
}

fn event(number: usize, kind: &str, millis: i64) -> Event {
    let draft = EventDraft {
        event_id: format!("e{number}"),
        event_type: kind.to_owned(),
        occurred_at: Some(at(millis)),
        customer_id: Some("c".to_owned()),
        ..EventDraft::default()
    };
    draft.try_into().unwrap()
}

fn with(mut event: Event, attributes: &[(&str, AttributeValue)]) -> Event {
    event.attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    event
}

fn fold(events: &[Event]) -> Customer {
    let schema = schema();
    let mut customer = Customer::new(CustomerId::new("c").unwrap(), &schema);
    for event in events {
        customer.apply(&schema, event).unwrap();
    }
    customer
}

prop_compose! {
    /// At most 60 events on few decisions and actions, in time order, some of them at the same instant.
    fn history()(raw in proptest::collection::vec(
        (0..80_i64, 0_usize..8, proptest::option::of(0_u8..5), proptest::option::of(0_u8..3), 0_u8..2), 1..60,
    )) -> Vec<Event> {
        const KINDS: [&str; 8] = [
            "contacted", "contacted", "impression", "clicked", "order_placed", "rejected", "not_taken", "cart_added",
        ];
        let mut events: Vec<Event> = raw.into_iter().enumerate().map(|(number, (half_day, kind, decision, action, channel))| {
            let mut event = event(number, KINDS[kind], half_day * DAY_MS / 2);
            event.decision_id = decision.map(|decision| format!("d{decision}"));
            event.action_id = action.map(|action| format!("a{action}"));
            event.channel = Some(format!("c{channel}"));
            event
        }).collect();
        events.sort_by_key(|event| event.occurred_at);
        events
    }
}

/// What the documentation says, event by event.
fn expected(events: &[Event], now: Timestamp) -> Vec<Past> {
    let known: Vec<&Event> = events.iter().filter(|event| event.occurred_at <= now).collect();
    let of = |kind: EventType| known.iter().filter(move |event| event.event_type == kind);
    // Equal events are one, but an impression nobody told of stands beside the contact of the same instant.
    let mut shown_alone = BTreeSet::new();
    let contacts: BTreeSet<Contact> = of(EventType::Contacted).map(|event| contact(event)).collect();
    for shown in of(EventType::Impression).map(|event| contact(event)) {
        let told = of(EventType::Contacted).map(|event| contact(event)).any(|told| {
            shown.decision.is_some()
                && shown.decision == told.decision
                && (shown.action.is_none() || told.action.is_none() || shown.action == told.action)
        });
        let earlier = of(EventType::Impression).map(|event| contact(event)).any(|other| {
            shown.decision.is_some()
                && (shown.decision, shown.action) == (other.decision, other.action)
                && other < shown
        });
        if !told && !earlier {
            shown_alone.insert(shown);
        }
    }
    contacts.into_iter().chain(shown_alone).map(|contact| outcome(contact, &known, now)).collect()
}

fn contact(event: &Event) -> Contact {
    let key = |id: &Option<String>| id.as_deref().map(stable_hash);
    Contact {
        at: event.occurred_at,
        decision: key(&event.decision_id),
        action: key(&event.action_id),
        treatment: key(&event.treatment_id),
        channel: key(&event.channel),
    }
}

fn outcome(made: Contact, known: &[&Event], now: Timestamp) -> Past {
    let over = made.at.plus_days(RESPONSE_DAYS);
    let mut word: Option<(Timestamp, bool)> = None;
    let mut nothing: Option<Timestamp> = None;
    for event in known {
        let (decision, action) = (contact(event).decision, contact(event).action);
        if decision.is_some() && made.decision.is_some() {
            if decision != made.decision
                || (action.is_some() && made.action.is_some() && action != made.action)
            {
                continue;
            }
        } else if action.is_none()
            || action != made.action
            || event.occurred_at < made.at
            || event.occurred_at > over
        {
            continue;
        }
        match event.event_type {
            EventType::Clicked => word = word.max(Some((event.occurred_at, false))),
            EventType::OrderPlaced | EventType::CartAdded if decision.is_some() => {
                word = word.max(Some((event.occurred_at, false)));
            }
            EventType::Rejected => word = word.max(Some((event.occurred_at, true))),
            EventType::NotTaken => {
                nothing = Some(nothing.map_or(event.occurred_at, |n| n.min(event.occurred_at)))
            }
            _ => {}
        }
    }
    let (reply, replied_at) = match word {
        Some((at, true)) => (Reply::Rejected, at),
        Some((at, false)) => (Reply::Answered, at),
        None if nothing.is_some() => (Reply::Ignored, nothing.unwrap().min(over)),
        None if over <= now => (Reply::Ignored, over),
        None => (Reply::Pending, made.at),
    };
    // Whoever answers has seen it; else an impression tells, of the same decision or the contact itself.
    let shown = known.iter().filter(|event| event.event_type == EventType::Impression).any(|event| {
        let shown = contact(event);
        let same_action = shown.action.is_none() || made.action.is_none() || shown.action == made.action;
        shown == made || (shown.decision.is_some() && shown.decision == made.decision && same_action)
    });
    Past { contact: made, seen: word.is_some() || shown, reply, replied_at }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Contacts, replies and counts equal a brute-force reading of all events, at any moment.
    #[test]
    fn the_history_equals_brute_force(events in history(), half_day in 0..100_i64, back in 0..60_i32) {
        let customer = fold(&events);
        let now = at(half_day * DAY_MS / 2);
        let history = customer.contacts().history(now, RESPONSE_DAYS);
        let expected = expected(&events, now);
        let by_time = |entries: &[Past]| {
            let mut sorted = entries.to_vec();
            sorted.sort_by_key(|past| past.contact);
            sorted
        };
        prop_assert_eq!(by_time(history.entries()), by_time(&expected));
        let since = now.plus_days(-back);
        let one = |contact: &Contact| contact.action == Some(stable_hash("a1"));
        let n = |reply| expected.iter().filter(|past| past.reply == reply && past.replied_at >= since && one(&past.contact)).count();
        for reply in [Reply::Pending, Reply::Answered, Reply::Rejected, Reply::Ignored] {
            prop_assert_eq!(history.n_replies(reply, since, one), n(reply));
        }
        let contacts: Vec<Contact> = customer.contacts().since(since, now).collect();
        prop_assert_eq!(contacts.len(), history.n_contacts(since, |_| true));
        prop_assert!(contacts.is_sorted_by_key(|contact| contact.at));
    }
}

/// More contacts than are remembered, in a jumbled order within the lateness: the latest stay, bit for bit.
#[test]
fn beyond_the_bound_the_latest_stay_whatever_the_order() {
    let n_events = 3 * MAX_CONTACTS;
    let hours = |number: usize| i64::try_from(number).unwrap() * DAY_MS / 24;
    let mut events: Vec<Event> = (0..n_events)
        .map(|number| {
            let mut event = event(number, ["contacted", "clicked"][number % 2], hours(number / 2));
            event.action_id = Some(format!("a{}", number % 5));
            event
        })
        .collect();
    let straight = fold(&events);
    // Blocks of 100 hours, well within the five days, each backwards.
    events.chunks_mut(200).for_each(<[Event]>::reverse);
    let jumbled = fold(&events);
    assert_eq!(straight.to_bytes(), jumbled.to_bytes());
    let now = at(hours(n_events));
    let contacts: Vec<Contact> = straight.contacts().since(Timestamp::MIN, now).collect();
    assert_eq!(contacts.len(), MAX_CONTACTS);
    assert_eq!(contacts[0].at, at(hours(n_events / 2 - MAX_CONTACTS)));
    assert!(straight.to_bytes().len() < 8 * 1024, "{} bytes", straight.to_bytes().len());
}

#[test]
fn contacts_of_long_ago_are_forgotten() {
    let mut events = vec![event(0, "contacted", 0), event(1, "contacted", 10 * DAY_MS)];
    events.push(event(2, "page_viewed", 406 * DAY_MS));
    let contacts: Vec<Contact> = fold(&events).contacts().since(Timestamp::MIN, at(500 * DAY_MS)).collect();
    assert_eq!(contacts.iter().map(|contact| contact.at).collect::<Vec<_>>(), [at(10 * DAY_MS)]);
}

#[test]
fn consent_is_the_latest_word_and_a_refusal_of_one_channel_is_specific() {
    let yes = |granted: bool| ("granted", AttributeValue::Flag(granted));
    let of = |channel: &str| ("channel", AttributeValue::Text(channel.to_owned()));
    let say = |day: i64, attributes: &[(&str, AttributeValue)]| {
        with(event(usize::try_from(day).unwrap(), "consent_changed", day * DAY_MS), attributes)
    };
    let silent = fold(&[event(0, "page_viewed", 0)]);
    assert_eq!((silent.consent("email"), silent.objected()), (None, false));

    // The form the simulated shop writes is about every channel.
    let global = fold(&[say(1, &[("marketing", AttributeValue::Flag(true))])]);
    let consent = global.consent("phone").unwrap();
    assert!(consent.granted && consent.since == at(DAY_MS));

    let mut events = vec![say(1, &[yes(true)]), say(2, &[yes(false), of("email")])];
    assert!(!fold(&events).consent("email").unwrap().granted);
    assert!(fold(&events).consent("push").unwrap().granted);
    events.push(say(3, &[yes(true)]));
    assert!(!fold(&events).consent("email").unwrap().granted, "a general yes lifts no specific no");
    events.push(say(4, &[yes(true), of("email")]));
    assert!(fold(&events).consent("email").unwrap().granted);
    events.push(say(5, &[("granted", AttributeValue::Text("false".to_owned()))]));
    let all_off = fold(&events).consent("email").unwrap();
    assert!(!all_off.granted && all_off.since == at(5 * DAY_MS), "a general no ends every yes");
}

#[test]
fn an_objection_is_an_attribute_or_a_consent_with_that_purpose() {
    let attribute = |day: i64, objects: bool| {
        let event = event(usize::try_from(day).unwrap(), "attribute_set", day * DAY_MS);
        with(event, &[("objection", AttributeValue::Flag(objects))])
    };
    let purpose = |day: i64, purpose: &str, granted: bool| {
        let event = event(usize::try_from(day).unwrap(), "consent_changed", day * DAY_MS);
        let purpose = ("purpose", AttributeValue::Text(purpose.to_owned()));
        with(event, &[purpose, ("granted", AttributeValue::Flag(granted))])
    };
    let mut events = vec![attribute(1, true)];
    assert!(fold(&events).objected());
    assert_eq!(fold(&events).consents().objected_since(), Some(at(DAY_MS)));
    events.push(purpose(2, "automated_decisions", true));
    assert!(!fold(&events).objected());
    events.push(purpose(3, "profiling", false));
    assert!(fold(&events).objected());
    events.push(purpose(4, "newsletter_design", false));
    let last = fold(&events);
    assert!(last.objected() && last.consent("email").is_none());
}
