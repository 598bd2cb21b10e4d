//! Limits: caps, suppressions and budgets, what they count and until when they hold.

use nextbest_models::customer::contacts::Reply;
use nextbest_models::decision::{Context, Direction, FunnelStage, Name, RejectionCode};
use nextbest_models::policy::contact::Period;
use nextbest_models::policy::{Question, Situation, decide};

use super::{action, assert_fall, at, contact, fall, first, now, policy, question, situation, two};

#[test]
fn a_cap_counts_its_window_and_says_when_it_is_free_again() {
    let text = two() + "[[cap]]\nid = \"week\"\nchannel = \"email\"\nmax = 2\nwindow_days = 7\n";
    let policy = policy(&text);
    let contacts = vec![
        contact(1, "big", "email", Reply::Pending),
        contact(3, "gone", "email", Reply::Pending),
        contact(4, "small", "push", Reply::Pending),
        contact(9, "big", "email", Reply::Answered),
    ];
    let decision = decide(&policy, &Situation { contacts: contacts.clone(), ..situation() }, &question());
    assert_fall(&decision, "big", FunnelStage::ContactPolicy, "week", RejectionCode::CapReached);
    assert_eq!(fall(&decision, "big").until, Some(now().plus_days(4)));
    let fewer = Situation { contacts: contacts[1..].to_vec(), ..situation() };
    assert_eq!(first(&decide(&policy, &fewer, &question())), "big");
}

#[test]
fn a_cap_per_action_leaves_others_alone_and_a_direction_the_other_way() {
    let text = two()
        + "[[cap]]\nid = \"once\"\nper = \"action\"\ndirection = \"outbound\"\nmax = 1\nwindow_days = 30\n";
    let policy = policy(&text);
    let reached = Situation { contacts: vec![contact(2, "big", "email", Reply::Pending)], ..situation() };
    let outbound = |direction| Question {
        context: Context { direction: Some(direction), ..Context::default() },
        ..question()
    };
    assert_eq!(first(&decide(&policy, &reached, &outbound(Direction::Outbound))), "small");
    assert_eq!(first(&decide(&policy, &reached, &outbound(Direction::Inbound))), "big");
}

#[test]
fn ignored_twice_in_thirty_days_is_silent_for_sixty() {
    let text = two()
        + "[[suppression]]\nid = \"quiet\"\nper = \"action\"\nafter = \"ignored\"\ntimes = 2\nwithin_days = 30\nsilent_days = 60\n";
    let policy = policy(&text);
    let ignored = |days: &[i32]| {
        let contacts = days.iter().map(|days| contact(*days, "big", "email", Reply::Ignored)).collect();
        Situation { contacts, ..situation() }
    };
    let silenced = decide(&policy, &ignored(&[10, 35]), &question());
    assert_fall(&silenced, "big", FunnelStage::ContactPolicy, "quiet", RejectionCode::Suppressed);
    assert_eq!(fall(&silenced, "big").until, Some(now().plus_days(50)));
    // Too far apart, long ago, or of the other action alone.
    for days in [&[10, 45][..], &[61, 62], &[10]] {
        assert_eq!(first(&decide(&policy, &ignored(days), &question())), "big");
    }
    // A later lone one does not lift the silence that two earlier ones began.
    assert_eq!(first(&decide(&policy, &ignored(&[2, 40, 45]), &question())), "small");
}

/// A cap on one direction holds back whoever does not say which way they ask, and counts no contact that went the other
/// way for certain.
#[test]
fn who_does_not_say_which_way_they_ask_slips_through_no_cap() {
    let cap = "[[cap]]\nid = \"one\"\ndirection = \"outbound\"\nmax = 1\nwindow_days = 7\n";
    let web = "[[channel]]\nid = \"web\"\ndirection = \"inbound\"\n";
    let policy = policy(&(two() + cap + web));
    let asked = |direction| Question { context: Context { direction, ..Context::default() }, ..question() };
    let after = |channel: &str| Situation {
        contacts: vec![contact(1, "small", channel, Reply::Answered)],
        ..situation()
    };
    for direction in [None, Some(Direction::Outbound)] {
        let held = decide(&policy, &after("email"), &asked(direction));
        assert_fall(&held, "big", FunnelStage::ContactPolicy, "one", RejectionCode::CapReached);
        let free = decide(&policy, &after("web"), &asked(direction));
        assert_eq!((first(&free), free.actions[0].counted), ("big", true));
    }
    let inbound = decide(&policy, &after("email"), &asked(Some(Direction::Inbound)));
    assert_eq!((first(&inbound), inbound.actions[0].counted), ("big", false));
}

#[test]
fn a_budget_that_is_used_up_holds_back_until_its_period_ends() {
    let text = two() + "[[budget]]\nid = \"day\"\ngroup = \"g\"\nperiod = \"day\"\nmax_contacts = 5\n";
    let policy = policy(&text);
    let decision = decide(&policy, &situation(), &question());
    assert_eq!(decision.actions[0].budgets, [Name::from("day")]);
    let (_, until) = Period::Day.around(now());
    let spent = Situation { exhausted: [(Name::from("day"), until)].into(), ..situation() };
    let decision = decide(&policy, &spent, &question());
    assert_fall(&decision, "big", FunnelStage::ContactPolicy, "day", RejectionCode::BudgetExhausted);
    assert_eq!((first(&decision), fall(&decision, "big").until), ("small", Some(at("2026-06-16T00:00:00Z"))));
}

#[test]
fn what_is_counted_is_not_offered_while_nobody_can_count() {
    let text = two() + "[[cap]]\nid = \"week\"\naction = \"big\"\nmax = 2\nwindow_days = 7\n";
    let decision = decide(&policy(&text), &Situation { limits_unknown: true, ..situation() }, &question());
    assert_fall(&decision, "big", FunnelStage::ContactPolicy, "week", RejectionCode::LimitsUnknown);
    assert_eq!((first(&decision), decision.actions[0].counted), ("small", false));
}

#[test]
fn what_is_offered_together_counts_together() {
    let text = two() + "[[cap]]\nid = \"week\"\nmax = 2\nwindow_days = 7\n";
    let contacts = vec![contact(1, "small", "email", Reply::Pending)];
    let asked = Question { max_actions: 2, ..question() };
    let decision = decide(&policy(&text), &Situation { contacts, ..situation() }, &asked);
    assert_eq!((first(&decision), decision.actions.len()), ("big", 1));
    assert_fall(&decision, "small", FunnelStage::ContactPolicy, "week", RejectionCode::CapReached);
    assert_eq!(decide(&policy(&text), &situation(), &asked).actions.len(), 2);
}

#[test]
fn a_mandatory_action_draws_on_no_budget() {
    let text = action("must", 10, "mandatory = true")
        + "[[budget]]\nid = \"day\"\nperiod = \"day\"\nmax_contacts = 1\n";
    let (_, until) = Period::Day.around(now());
    let spent = Situation { exhausted: [(Name::from("day"), until)].into(), ..situation() };
    let decision = decide(&policy(&text), &spent, &question());
    assert_eq!((first(&decision), decision.actions[0].budgets.len()), ("must", 0));
    assert_eq!(decision.actions[0].exempt_from, [Name::from("day")]);
}

#[test]
fn periods_begin_where_people_expect() {
    let around = |period: Period, text: &str| {
        let (from, until) = period.around(at(text));
        (from.to_string(), until.to_string())
    };
    let pair = |a: &str, b: &str| (format!("{a}T00:00:00Z"), format!("{b}T00:00:00Z"));
    assert_eq!(around(Period::Week, "2026-11-25T10:00:00Z"), pair("2026-11-23", "2026-11-30"));
    assert_eq!(around(Period::Week, "1969-12-31T10:00:00Z"), pair("1969-12-29", "1970-01-05"));
    assert_eq!(around(Period::Month, "2024-02-29T10:00:00Z"), pair("2024-02-01", "2024-03-01"));
    assert_eq!(around(Period::Month, "2026-12-31T23:59:59Z"), pair("2026-12-01", "2027-01-01"));
}
