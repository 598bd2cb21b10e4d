//! What the folded state tells of a customer's purchases, held against the whole history.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::collections::BTreeMap;

use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::{Event, EventDraft, EventType};
use nextbest_models::feature::{ActivityRule, Schema};
use nextbest_models::units::{DAY_MS, Money, Timestamp};
use nextbest_models::value::{CustomerSummary, TimeUnit};
use proptest::prelude::*;

fn schema() -> Schema {
    let activity = ActivityRule { event: vec![EventType::OrderPlaced], window_days: 20 };
    Schema::new(Vec::new(), &activity, "GBP".parse().unwrap(), 5).unwrap()
}

fn start() -> Timestamp {
    "2019-01-01T00:00:00Z".parse().unwrap()
}

fn event(number: usize, event_type: &str, day: i32, amount_minor: i64) -> Event {
    let draft = EventDraft {
        event_id: format!("e{number}"),
        event_type: event_type.to_owned(),
        occurred_at: Some(start().plus_millis(i64::from(day) * DAY_MS + number as i64)),
        customer_id: Some("c".to_owned()),
        value: Some(Money { amount_minor, currency: "GBP".parse().unwrap() }),
        ..EventDraft::default()
    };
    draft.try_into().unwrap()
}

proptest! {
    /// Over years, of which the series of activity remembers one: the first day, the number of days, the last, and the
    /// total are those of the whole history. Views before the first order are no purchase.
    #[test]
    fn a_long_history_is_told_exactly(
        gaps in prop::collection::vec((0_i32..200, 1_i64..50_000), 1..40), after in 0_i32..400,
    ) {
        let schema = schema();
        let mut customer = Customer::new(CustomerId::new("c").unwrap(), &schema);
        customer.apply(&schema, &event(0, "product_viewed", 0, 1)).unwrap();
        let (mut day, mut days) = (3, BTreeMap::<i32, i64>::new());
        for (number, (gap, amount)) in gaps.iter().enumerate() {
            day += gap;
            customer.apply(&schema, &event(number + 1, "order_placed", day, *amount)).unwrap();
            *days.entry(day).or_default() += amount;
        }
        let today = start().day().plus(day + after);
        let told = CustomerSummary::of(&customer, &schema, today, TimeUnit::Week).unwrap();
        let first = *days.keys().next().unwrap();
        let n = days.len() as f64;
        prop_assert_eq!(told.purchases.x(), n - 1.0);
        prop_assert_eq!(told.purchases.t_x(), f64::from(day - first) / 7.0);
        prop_assert_eq!(told.purchases.age(), f64::from(day + after - first) / 7.0);
        let spend = told.spend.unwrap();
        prop_assert_eq!((spend.n(), spend.mean()), (n, days.values().sum::<i64>() as f64 / n));
        prop_assert!(!told.truncated);
    }
}

#[test]
fn who_never_bought_has_no_summary() {
    let schema = schema();
    let mut customer = Customer::new(CustomerId::new("c").unwrap(), &schema);
    customer.apply(&schema, &event(0, "product_viewed", 0, 1)).unwrap();
    assert_eq!(CustomerSummary::of(&customer, &schema, start().day().plus(9), TimeUnit::Day), None);
    customer.apply(&schema, &event(1, "order_placed", 4, 500)).unwrap();
    // Asked of a day before the first order.
    assert_eq!(CustomerSummary::of(&customer, &schema, start().day().plus(3), TimeUnit::Day), None);
    let told = CustomerSummary::of(&customer, &schema, start().day().plus(9), TimeUnit::Day).unwrap();
    assert_eq!((told.purchases.x(), told.purchases.age()), (0.0, 5.0));
}
