//! Which order lines a cancellation takes back, among the events of one customer.
//!
//! Rows that take something back seldom say what. The rule, in order of time: a cancellation looks at the earlier
//! lines of the same customer and SKU that are not used up, and takes
//! 1. the latest with the same unit price and enough quantity left; else
//! 2. the latest of any price with enough quantity left; else
//! 3. several lines, those of the same price first, latest first, until its quantity is reached: one event per line,
//!    the first under the row's id, the others under `id#2`, `id#3`, ...; what no line covers stays out.
//!
//! A revision carries the attributes of the line it revises over its own, so that it is counted where that line was.
//! Value is shared out in proportion to quantity, exactly, and never takes more of a line than is left of it. Only
//! what is earlier is looked at, so no event depends on the future.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use nextbest_models::customer::stable_hash;
use nextbest_models::event::{AttributeValue, Event, EventType, MAX_ID_BYTES, Reference};
use nextbest_models::units::{Money, Timestamp};

use crate::import::decimal::divide_half_even;
use crate::import::report::{CancellationCounts, Fate};

/// An event of the customer; one with `revises` is a cancellation still to be matched.
pub(crate) struct Entry {
    pub(crate) event: Event,
    pub(crate) revises: Option<EventType>,
    pub(crate) conditions: u64,
}

/// What is left of an order line.
struct Line {
    event_id: String,
    occurred_at: Timestamp,
    quantity: i64,
    value_minor: i64,
    quantity_left: i64,
    value_left: i64,
    attributes: BTreeMap<String, AttributeValue>,
}

/// Matches the cancellations among `entries` (one owner's, without duplicates); tells `count` the fate and
/// conditions of every row, and returns the events to be logged, in no particular order.
pub(crate) fn match_cancellations(
    mut entries: Vec<Entry>,
    counts: &mut CancellationCounts,
    mut count: impl FnMut(Fate, u64),
) -> Vec<Event> {
    if entries.iter().any(|entry| entry.revises.is_some()) {
        entries.sort_by(|a, b| in_time(a).cmp(&in_time(b)));
    }
    let already = taken_already(&entries);
    let mut lines: HashMap<(EventType, String), Vec<Line>> = HashMap::new();
    let wanted: BTreeSet<EventType> = entries.iter().filter_map(|entry| entry.revises).collect();
    let mut events = Vec::with_capacity(entries.len());
    for Entry { event, revises, conditions } in entries {
        let has_customer = event.customer_id.is_some();
        let Some(revises) = revises else {
            count(if has_customer { Fate::Event } else { Fate::EventWithoutCustomer }, conditions);
            if wanted.contains(&event.event_type)
                && let Some((sku, line)) = Line::of(&event, &already)
            {
                lines.entry((event.event_type, sku)).or_default().push(line);
            }
            events.push(event);
            continue;
        };
        let sku = event.sku.clone().unwrap_or_default();
        let mut none = Vec::new();
        let own = lines.get_mut(&(revises, sku)).unwrap_or(&mut none);
        let parts = take_back(&event, own, counts);
        own.retain(|line| line.quantity_left > 0);
        let covered: i64 = parts.iter().map(|part| part.quantity.unwrap_or(0)).sum();
        count(fate(has_customer, parts.len(), covered, event.quantity.unwrap_or(0)), conditions);
        events.extend(parts);
    }
    events
}

/// Quantity and value that revisions which say themselves what they refer to take back, by id of the line.
fn taken_already(entries: &[Entry]) -> HashMap<String, (i64, i64)> {
    let mut taken: HashMap<String, (i64, i64)> = HashMap::new();
    for event in entries.iter().filter(|entry| entry.revises.is_none()).map(|entry| &entry.event) {
        if let Some(reference) = event.refers_to.as_ref().filter(|_| event.event_type.is_revision()) {
            let sum = taken.entry(reference.event_id.clone()).or_default();
            sum.0 += event.quantity.unwrap_or(0);
            sum.1 += event.value.map_or(0, |value| value.amount_minor);
        }
    }
    taken
}

fn fate(has_customer: bool, n_parts: usize, covered: i64, quantity: i64) -> Fate {
    match (n_parts, covered < quantity) {
        (0, _) if !has_customer => Fate::CancellationWithoutCustomer,
        (0, _) => Fate::CancellationUnmatched,
        (_, true) => Fate::CancellationPartlyMatched,
        (1, false) => Fate::CancellationMatched,
        (_, false) => Fate::CancellationSplit,
    }
}

/// Order of matching: by time, lines before the cancellations of the same instant.
fn in_time(entry: &Entry) -> (Timestamp, bool, Timestamp, &str) {
    let event = &entry.event;
    (event.occurred_at, entry.revises.is_some(), event.known(), &event.event_id)
}

/// The revisions `cancellation` comes to, and `lines` (earliest first) less what they take.
fn take_back(cancellation: &Event, lines: &mut [Line], counts: &mut CancellationCounts) -> Vec<Event> {
    let quantity = cancellation.quantity.unwrap_or(0);
    let value_minor = cancellation.value.map_or(0, |value| value.amount_minor);
    let mut parts = Vec::new();
    let mut covered = 0;
    for at in chosen(quantity, value_minor, lines) {
        let line = &mut lines[at];
        let before = share(value_minor, covered, quantity);
        let taken = line.quantity_left.min(quantity - covered);
        covered += taken;
        let asked = share(value_minor, covered, quantity) - before;
        let value = asked.min(line.value_left);
        counts.n_revisions += 1;
        counts.n_other_price += u64::from(!line.has_price(quantity, value_minor));
        counts.n_value_capped += u64::from(value < asked);
        counts.value_capped_minor += asked - value;
        line.quantity_left -= taken;
        line.value_left -= value;
        counts.n_whole += u64::from(line.quantity_left == 0);
        parts.push(Event {
            event_id: part_id(&cancellation.event_id, parts.len()),
            quantity: Some(taken),
            value: cancellation.value.map(|money| Money { amount_minor: value, ..money }),
            refers_to: Some(Reference {
                event_id: line.event_id.clone(),
                occurred_at: line.occurred_at,
                whole: line.quantity_left == 0,
            }),
            // By these the fold finds what is revised, such as the order a line belongs to.
            attributes: cancellation.attributes.clone().into_iter().chain(line.attributes.clone()).collect(),
            ..cancellation.clone()
        });
    }
    counts.quantity_unmatched += quantity - covered;
    counts.value_unmatched_minor += value_minor - share(value_minor, covered, quantity);
    parts
}

/// The lines that are taken from, by number, in the order of taking.
fn chosen(quantity: i64, value_minor: i64, lines: &[Line]) -> Vec<usize> {
    if quantity <= 0 {
        return Vec::new();
    }
    let enough = |&at: &usize| lines[at].quantity_left >= quantity;
    let same_price = |&at: &usize| lines[at].has_price(quantity, value_minor);
    let latest_first = || (0..lines.len()).rev();
    let one = latest_first().find(|at| enough(at) && same_price(at)).or_else(|| latest_first().find(enough));
    if let Some(one) = one {
        return vec![one];
    }
    let mut left = quantity;
    let preferred = latest_first().filter(same_price).chain(latest_first().filter(|at| !same_price(at)));
    let needed = preferred.take_while(|&at| {
        let is_needed = left > 0;
        left -= lines[at].quantity_left;
        is_needed
    });
    needed.collect()
}

impl Line {
    /// The line of `event`, less what revisions that name it themselves take back; `None` if nothing is left.
    fn of(event: &Event, already: &HashMap<String, (i64, i64)>) -> Option<(String, Self)> {
        let (sku, quantity) = (event.sku.clone()?, event.quantity.filter(|&quantity| quantity > 0)?);
        let value_minor = event.value.map_or(0, |value| value.amount_minor);
        let (quantity_taken, value_taken) = already.get(&event.event_id).copied().unwrap_or_default();
        let line = Self {
            event_id: event.event_id.clone(),
            occurred_at: event.occurred_at,
            quantity,
            value_minor,
            quantity_left: quantity - quantity_taken,
            value_left: (value_minor - value_taken).max(0),
            attributes: event.attributes.clone(),
        };
        (line.quantity_left > 0).then_some((sku, line))
    }

    /// Whether the unit price is the same, as far as two line values rounded to minor units can tell: each is off by
    /// at most a half, so v1 q2 and v2 q1 are apart by at most (q1 + q2) / 2.
    fn has_price(&self, quantity: i64, value_minor: i64) -> bool {
        let (q1, q2) = (i128::from(self.quantity), i128::from(quantity));
        let apart = i128::from(self.value_minor) * q2 - i128::from(value_minor) * q1;
        2 * apart.abs() <= q1 + q2
    }
}

/// The part of `value` that belongs to the first `covered` of `quantity` units; parts add up to the whole.
fn share(value: i64, covered: i64, quantity: i64) -> i64 {
    if quantity <= 0 {
        return 0;
    }
    let product = i128::from(value) * i128::from(covered);
    i64::try_from(divide_half_even(product, i128::from(quantity))).unwrap_or(value)
}

/// The id of part `part` (from 0): the row's own, then `id#2`, `id#3`, hashed where that would be too long.
fn part_id(id: &str, part: usize) -> String {
    if part == 0 {
        return id.to_owned();
    }
    let suffix = format!("#{}", part + 1);
    if id.len() + suffix.len() <= MAX_ID_BYTES {
        format!("{id}{suffix}")
    } else {
        format!("{:016x}{suffix}", stable_hash(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(id: &str, day: u32, quantity: i64, price: i64, cancels: bool) -> Entry {
        let kind = if cancels { "order_cancelled" } else { "order_placed" };
        let json = format!(
            r#"{{"event_id":"{id}","type":"{kind}","occurred_at":"2011-01-{day:02}T10:00:00Z","customer_id":"c","sku":"s","quantity":{quantity},"value":{{"amount_minor":{},"currency":"GBP"}}}}"#,
            quantity * price
        );
        let event = serde_json::from_str(&json).unwrap();
        Entry { event, revises: cancels.then_some(EventType::OrderPlaced), conditions: 0 }
    }

    /// Id, what it refers to, quantity, value, whole.
    type Revision = (String, String, i64, i64, bool);

    /// The revisions, and the fates of the cancellations.
    fn run(entries: Vec<Entry>) -> (Vec<Revision>, Vec<Fate>, CancellationCounts) {
        let (mut counts, mut fates) = (CancellationCounts::default(), Vec::new());
        let events = match_cancellations(entries, &mut counts, |fate, _| fates.push(fate));
        let revisions = events.into_iter().filter_map(|e| {
            let to = e.refers_to?;
            Some((e.event_id, to.event_id, e.quantity?, e.value?.amount_minor, to.whole))
        });
        fates.retain(|fate| *fate != Fate::Event);
        (revisions.collect(), fates, counts)
    }

    fn revision(
        id: &str,
        to: &str,
        quantity: i64,
        value: i64,
        whole: bool,
    ) -> (String, String, i64, i64, bool) {
        (id.to_owned(), to.to_owned(), quantity, value, whole)
    }

    #[test]
    fn the_latest_earlier_line_of_the_same_price_is_taken() {
        let (revisions, fates, counts) = run(vec![
            entry("old", 1, 10, 200, false),
            entry("new", 2, 10, 200, false),
            entry("dear", 3, 10, 300, false),
            entry("later", 9, 10, 200, false),
            entry("c1", 4, 4, 200, true),
            entry("c2", 5, 6, 200, true),
        ]);
        assert_eq!(revisions, [revision("c1", "new", 4, 800, false), revision("c2", "new", 6, 1200, true)]);
        assert_eq!(fates, [Fate::CancellationMatched; 2]);
        assert_eq!((counts.n_whole, counts.n_other_price), (1, 0));
    }

    #[test]
    fn a_revision_is_counted_where_its_line_was() {
        let named = |mut entry: Entry, order: &str| {
            entry.event.attributes.insert("order_id".to_owned(), AttributeValue::Text(order.to_owned()));
            entry
        };
        let entries = vec![
            named(entry("o", 1, 3, 100, false), "536365"),
            named(entry("c", 2, 3, 100, true), "C536400"),
        ];
        let events = match_cancellations(entries, &mut CancellationCounts::default(), |_, _| {});
        let revision = events.iter().find(|event| event.event_type == EventType::OrderCancelled).unwrap();
        assert_eq!(revision.text("order_id"), Some("536365"));
    }

    #[test]
    fn another_price_is_taken_when_none_fits_and_no_line_falls_below_zero() {
        let (revisions, _, counts) = run(vec![
            entry("o", 1, 3, 100, false),
            entry("c1", 2, 2, 140, true),
            entry("c2", 3, 1, 140, true),
        ]);
        assert_eq!(revisions, [revision("c1", "o", 2, 280, false), revision("c2", "o", 1, 20, true)]);
        assert_eq!((counts.n_other_price, counts.n_value_capped, counts.value_capped_minor), (2, 1, 120));
    }

    #[test]
    fn one_row_may_take_back_several_lines_and_more_than_there_is() {
        let lines =
            || vec![entry("a", 1, 2, 100, false), entry("b", 2, 3, 100, false), entry("d", 3, 1, 99, false)];
        let with = |id: &str, quantity| {
            let mut entries = lines();
            entries.push(entry(id, 4, quantity, 100, true));
            run(entries)
        };
        let (revisions, fates, _) = with("c", 4);
        assert_eq!(revisions, [revision("c", "b", 3, 300, true), revision("c#2", "a", 1, 100, false)]);
        assert_eq!(fates, [Fate::CancellationSplit]);
        let (revisions, fates, counts) = with("c", 8);
        assert_eq!(revisions.len(), 3);
        assert_eq!(fates, [Fate::CancellationPartlyMatched]);
        assert_eq!((counts.quantity_unmatched, counts.value_unmatched_minor), (2, 200));
    }

    #[test]
    fn nothing_earlier_means_unmatched() {
        let (revisions, fates, counts) = run(vec![entry("c", 1, 4, 100, true), entry("o", 2, 4, 100, false)]);
        assert_eq!((revisions.len(), fates), (0, vec![Fate::CancellationUnmatched]));
        assert_eq!((counts.quantity_unmatched, counts.value_unmatched_minor), (4, 400));
    }

    #[test]
    fn what_a_revision_takes_back_by_name_is_not_taken_again() {
        let mut named = entry("r", 9, 3, 100, false);
        named.event.event_type = EventType::Refunded;
        named.event.refers_to =
            Some(Reference { event_id: "o".into(), occurred_at: named.event.occurred_at, whole: false });
        let (revisions, fates, _) =
            run(vec![entry("o", 1, 4, 100, false), entry("c", 2, 2, 100, true), named]);
        assert_eq!(revisions, [revision("c", "o", 1, 100, true), revision("r", "o", 3, 300, false)]);
        assert_eq!(fates, [Fate::CancellationPartlyMatched]);
    }

    #[test]
    fn ids_of_parts_stay_within_bounds() {
        assert_eq!(part_id("x", 1), "x#2");
        assert_eq!(part_id(&"x".repeat(128), 1).len(), 18);
    }

    proptest! {
        /// Whatever is ordered and taken back: no line gives more than it had, every unit and every minor unit of a
        /// cancellation is in a revision, capped or unmatched, and the last revision that empties a line says so.
        #[test]
        fn nothing_is_made_or_lost(
            rows in prop::collection::vec((1_u32..28, 1_i64..20, 1_i64..4, any::<bool>()), 1..40),
        ) {
            let entries: Vec<Entry> = rows.iter().enumerate()
                .map(|(n, &(day, quantity, price, cancels))| entry(&format!("e{n}"), day, quantity, price, cancels))
                .collect();
            let asked: (i64, i64) = rows.iter().filter(|row| row.3).fold((0, 0), |sum, row| (sum.0 + row.1, sum.1 + row.1 * row.2));
            let had: HashMap<String, (i64, i64)> = rows.iter().enumerate().filter(|(_, row)| !row.3)
                .map(|(n, row)| (format!("e{n}"), (row.1, row.1 * row.2))).collect();
            let (revisions, fates, counts) = run(entries);
            prop_assert_eq!(fates.len(), rows.iter().filter(|row| row.3).count());
            let mut taken: HashMap<String, (i64, i64, bool)> = HashMap::new();
            for (_, to, quantity, value, whole) in &revisions {
                let sum = taken.entry(to.clone()).or_default();
                prop_assert!(!sum.2, "{} is revised after nothing was left of it", to);
                *sum = (sum.0 + quantity, sum.1 + value, *whole);
            }
            for (id, (quantity, value, whole)) in &taken {
                let line = had[id];
                prop_assert!(*quantity <= line.0 && *value <= line.1);
                prop_assert_eq!(*whole, *quantity == line.0);
            }
            let sums = taken.values().fold((0, 0), |sum, line| (sum.0 + line.0, sum.1 + line.1));
            prop_assert_eq!(sums.0 + counts.quantity_unmatched, asked.0);
            prop_assert_eq!(sums.1 + counts.value_capped_minor + counts.value_unmatched_minor, asked.1);
        }
    }
}
