//! The metrics held against a plain reading of made-up logs, against the truth of the simulated shop, and their intervals
//! against how often they cover.

use std::collections::BTreeMap;

use nextbest_models::customer::CustomerId;
use nextbest_models::event::{AttributeValue, Event, EventDraft, Reference};
use nextbest_models::project::Project;
use nextbest_models::units::{DAY_MS, Money, Timestamp};

use super::*;

mod codes;
mod coverage;
mod plain;
mod truth;

/// [`Look`] over customers, each in the order of the event log.
fn look_at(project: &Project, as_of: Timestamp, customers: &[Vec<Event>]) -> LifecycleReport {
    let look = Look::new(project, as_of);
    look.report(&tally(&look, customers))
}

fn tally(look: &Look<'_>, customers: &[Vec<Event>]) -> Tally {
    let mut tally = Tally::default();
    for events in customers {
        let id = events.first().and_then(|event| event.customer_id.clone()).unwrap();
        look.add(&id, events, &mut tally);
    }
    tally
}

fn shop() -> Project {
    Project::read(|file| {
        std::fs::read_to_string(format!("{}/../examples/shop/{file}", env!("CARGO_MANIFEST_DIR")))
    })
    .unwrap()
}

fn start() -> Timestamp {
    "2025-01-01T00:00:00Z".parse().unwrap()
}

fn day(day: i32) -> Timestamp {
    start().plus_days(day)
}

fn metric<'a>(report: &'a LifecycleReport, name: &str) -> &'a Metric {
    report.metrics.iter().find(|metric| metric.name == name).unwrap()
}

fn counts(report: &LifecycleReport, name: &str) -> (Option<i64>, u64) {
    let Measure { numerator, denominator, .. } = metric(report, name).measure;
    (numerator, denominator)
}

/// An event of customer `who`, at noon of a day.
struct Made {
    draft: EventDraft,
}

fn made(who: usize, number: usize, kind: &str, on: i32) -> Made {
    Made {
        draft: EventDraft {
            event_id: format!("e{number}"),
            event_type: kind.to_owned(),
            occurred_at: Some(day(on).plus_millis(DAY_MS / 2)),
            customer_id: Some(format!("c{who}")),
            // The fold books a qualifying event by its value.
            value: kind
                .starts_with("order_")
                .then(|| Money { amount_minor: 1000, currency: "GBP".parse().unwrap() }),
            ..EventDraft::default()
        },
    }
}

impl Made {
    fn known_after(mut self, days: f64) -> Self {
        let at = self.draft.occurred_at.unwrap();
        self.draft.known_at = Some(at.plus_millis((days * DAY_MS as f64) as i64));
        self
    }

    /// Takes back whole what happened on a day.
    fn of(mut self, on: i32) -> Self {
        let occurred_at = day(on).plus_millis(DAY_MS / 2);
        self.draft.refers_to = Some(Reference { event_id: "o".to_owned(), occurred_at, whole: true });
        self
    }

    fn naming(mut self, decision: &str, action: &str) -> Self {
        self.draft.decision_id = Some(decision.to_owned());
        self.draft.action_id = Some(action.to_owned());
        self.draft.channel = Some("email".to_owned());
        self
    }

    fn with(mut self, name: &str, value: AttributeValue) -> Self {
        self.draft.attributes = BTreeMap::from([(name.to_owned(), value)]);
        self
    }

    fn event(self) -> Event {
        Event::try_from(self.draft).unwrap()
    }
}

fn in_order(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|a, b| crate::event_log::order_key(a).cmp(&crate::event_log::order_key(b)));
    events
}

fn customer(events: &[Event]) -> CustomerId {
    events[0].customer_id.clone().unwrap()
}
