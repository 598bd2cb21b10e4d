//! A contradiction that is told is one.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn found(texts: &[&str]) -> Option<String> {
    let rules: Vec<Rule> = texts.iter().map(|text| rule(text)).collect();
    contradiction(&rules.iter().collect::<Vec<_>>())
}

#[test]
fn contradictions_are_told_in_the_words_of_the_rules() {
    for (rules, told) in [
        (
            &["features.orders_90d > 5 && consent.email", "features.orders_90d < 3"][..],
            "features.orders_90d > 5 contradicts features.orders_90d < 3",
        ),
        (
            &["5 < features.value", "!(features.value > 5)"],
            "5 < features.value contradicts !(features.value > 5)",
        ),
        (
            &["features.value > 5 && features.value <= 5.0"],
            "features.value > 5 contradicts features.value <= 5.0",
        ),
        (
            &["features.value == 1", "features.value in [2, 3]"],
            "features.value == 1 contradicts features.value in [2, 3]",
        ),
        (&["consent.email && consent.sms", "!consent.email"], "consent.email contradicts !consent.email"),
        (&["consent.email == false", "consent.email"], "consent.email == false contradicts consent.email"),
        (
            &["customer.stage == \"new\"", "customer.stage in [\"lost\", \"loyal\"]"],
            "customer.stage == \"new\" contradicts customer.stage in [\"lost\", \"loyal\"]",
        ),
        (
            &["customer.stage.startsWith(\"l\")", "customer.stage == 'new'"],
            "customer.stage.startsWith(\"l\") contradicts customer.stage == 'new'",
        ),
        (
            &["context.channel == \"a\"", "context.channel == \"b\""],
            "context.channel == \"a\" contradicts context.channel == \"b\"",
        ),
        (
            &["!has(features.value)", "features.value > 1"],
            "!has(features.value) contradicts features.value > 1",
        ),
        (
            &["features.value < 1 || features.value > 9", "features.value >= 1 && features.value <= 9"],
            "features.value < 1 || features.value > 9 and features.value >= 1 and features.value <= 9 can never hold together",
        ),
        (
            &[
                "customer.stage != 'new' && customer.stage != 'lost' && consent.sms && !(customer.stage in ['active', 'loyal'])",
            ],
            "customer.stage != 'new' and customer.stage != 'lost' and !(customer.stage in ['active', 'loyal']) can never hold together",
        ),
        (&["consent.sms", "false"], "false can never hold"),
        (&["1 > 2"], "1 > 2 can never hold"),
        (
            &["consent.sms || (features.value > 2 && features.value < 2)", "!consent.sms"],
            "consent.sms || (features.value > 2 && features.value < 2) contradicts !consent.sms",
        ),
        (
            &["features.value > 1.7976931348623157e308"],
            "features.value > 1.7976931348623157e308 can never hold",
        ),
    ] {
        assert_eq!(found(rules).as_deref(), Some(told));
    }
}

#[test]
fn what_can_hold_is_no_contradiction() {
    for rules in [
        &["features.orders_90d > 5", "features.value < 3"][..],
        &["features.value >= 5", "features.value <= 5"],
        &["features.value > 1", "features.value < 1.0000000000000005"],
        &["features.value > features.orders_90d", "features.value < features.orders_90d"],
        &["customer.stage != 'new'", "customer.stage != 'lost'"],
        &["context.channel != 'a'", "!context.channel.startsWith('b')"],
        &["has(features.value) ? features.value > 1 : consent.email", "!has(features.value)"],
        &[],
    ] {
        assert_eq!(found(rules), None, "{rules:?}");
    }
}

#[test]
fn a_rule_that_nothing_fails_is_known() {
    assert!(always(&rule("features.value > 2 || features.value <= 2")));
    assert!(always(&rule("customer.stage in ['new', 'active', 'loyal', 'lost']")));
    assert!(always(&rule("has(features.value) || !has(features.value)")));
    assert!(!always(&rule("features.value > 2 || features.value < 2")));
    assert!(!always(&rule("consent.email")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_facts_make_contradicting_rules_hold(bytes in vec(any::<u8>(), 0..160), facts in vec(vec(any::<u8>(), 12), 60)) {
        let mut draw = Draw::new(&bytes);
        let rules: Vec<Rule> = (0..=draw.below(4)).map(|_| rule(&draw.condition(2))).collect();
        let told = contradiction(&rules.iter().collect::<Vec<_>>());
        let always = always(&rules[0]);
        for facts in &facts {
            let known = Draw::new(facts).known(5);
            let holds: Vec<Truth> = rules.iter().map(|rule| rule.holds(&known.facts())).collect();
            if holds.iter().all(|holds| *holds == Truth::Yes) {
                prop_assert_eq!(&told, &None, "{:?}", known);
            }
            prop_assert!(!always || holds[0] != Truth::No, "{} {:?}", rules[0].text(), known);
        }
    }
}
