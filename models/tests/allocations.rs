//! A decision takes few allocations, and no more for a customer with a long history of contacts.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::hint::black_box;

use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::{Event, EventDraft};
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::project::Project;
use nextbest_models::units::{Money, Seed, Timestamp};

fn shop() -> Project {
    Project::read(|file| {
        Ok(match file {
            "nextbest.toml" => include_str!("../../examples/shop/nextbest.toml"),
            "features.toml" => include_str!("../../examples/shop/features.toml"),
            "policy.toml" => include_str!("../../examples/shop/policy.toml"),
            _ => include_str!("../../examples/shop/pricing.toml"),
        }
        .to_owned())
    })
    .unwrap()
}

fn now() -> Timestamp {
    "2026-06-01T12:00:00Z".parse().unwrap()
}

/// Somebody with eight orders and `n_contacts` contacts that were seen, the last two months ago.
fn customer(project: &Project, n_contacts: usize) -> Customer {
    let mut customer = Customer::new(CustomerId::new("ann").unwrap(), &project.schema);
    let event = |id: String, kind: &str, days_ago: usize| EventDraft {
        event_id: id,
        event_type: kind.to_owned(),
        occurred_at: Some(now().plus_days(-i32::try_from(days_ago).unwrap())),
        customer_id: Some("ann".to_owned()),
        ..EventDraft::default()
    };
    let orders = (0..8).map(|order| EventDraft {
        value: Some(Money { amount_minor: 1_500, currency: project.schema.currency() }),
        quantity: Some(1),
        sku: Some(format!("SKU-{order}")),
        ..event(format!("order-{order}"), "order_placed", 10 + 20 * order)
    });
    let contacts = (0..n_contacts).flat_map(|nth| {
        ["contacted", "impression"].map(|kind| EventDraft {
            decision_id: Some(format!("d{nth}")),
            action_id: Some(["newsletter", "bundle", "renew"][nth % 3].to_owned()),
            channel: Some(["email", "push"][nth % 2].to_owned()),
            ..event(format!("{kind}-{nth}"), kind, 60 + 4 * nth)
        })
    });
    let mut drafts: Vec<EventDraft> = orders.chain(contacts).collect();
    drafts.sort_by_key(|draft| draft.occurred_at);
    for draft in drafts {
        customer.apply(&project.schema, &Event::try_from(draft).unwrap()).unwrap();
    }
    customer
}

#[test]
fn a_decision_takes_few_allocations_however_long_the_history() {
    let project = shop();
    let question = Question { max_actions: 1, ..Question::default() };
    let allocations = |customer: &Customer| {
        let whole = || {
            let situation = Situation::of(&project, customer, true, now(), Seed(7));
            let decision = decide(&project.policy, &situation, &question);
            assert!(!decision.actions.is_empty());
            drop(black_box((situation, decision)));
        };
        allocation_counter::measure(whole).count_total
    };
    let (short, long) = (allocations(&customer(&project, 4)), allocations(&customer(&project, 64)));
    // 41 were counted, and a few are left to a library that changes its mind. Vectors that are not sized beforehand grow by
    // doubling; of those only one holds the history, and doubles four times from 4 to 64.
    assert!(short <= 45, "{short}");
    assert!(long <= short + 4, "{long} instead of {short}");
}
