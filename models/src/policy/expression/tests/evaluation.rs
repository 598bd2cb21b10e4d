//! What the interpreter cannot say: arithmetic it lacks, and the laws of three-valued logic.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KNOWN: Known =
    Known { numbers: [4.0, 2.5, f64::NAN], flags: [Some(true), None], texts: [Some("loyal"), None] };

fn value(text: &str) -> Option<f64> {
    Formula::parse(text, &vocabulary()).unwrap().value(&KNOWN.facts())
}

#[test]
fn formulas_compute_in_64_bit_floats() {
    assert_eq!(value("features.orders_90d / 8"), Some(0.5));
    assert_eq!(value("7 / 2"), Some(3.5));
    assert_eq!(value("-7 % 4 + 0x10 + 3u"), Some(16.0));
    assert_eq!(value("2 + 3 * 4 - -1"), Some(15.0));
    assert_eq!(value("10 - 2 - 3"), Some(5.0));
    assert_eq!(value("round(features.value) + floor(-0.5) + ceil(0.5) + abs(-2)"), Some(5.0));
    assert_eq!(value("min(3, features.orders_90d, 5) * max(1, 2, -7)"), Some(6.0));
    assert_eq!(value("consent.email ? 1 : 2"), Some(1.0));
    assert_eq!(value("has(scores.churn) ? scores.churn : 0.3"), Some(0.3));
    assert_eq!(value("true ? 1 : false ? 2 : 3"), Some(1.0));
    assert_eq!(value("9007199254740993"), Some(9_007_199_254_740_992.0));
}

#[test]
fn what_is_not_finite_is_unknown() {
    for text in [
        "features.orders_90d / 0",
        "0 / (features.orders_90d - 4)",
        "features.orders_90d % 0",
        "features.orders_90d * 1e308",
        "scores.churn * 0",
        "min(scores.churn, 1)",
        "max(1, scores.churn)",
        "consent.sms ? 1 : 1",
    ] {
        assert_eq!(value(text), None, "{text}");
    }
    let facts = Facts { numbers: &[f64::INFINITY, f64::NEG_INFINITY], ..Facts::default() };
    assert_eq!(rule("features.orders_90d > 1").holds(&facts), Truth::Unknown);
    assert_eq!(rule("has(features.value)").holds(&facts), Truth::No);
}

#[test]
fn facts_that_were_not_handed_in_are_unknown() {
    let nothing = Facts::default();
    assert_eq!(rule("features.value > 1 && consent.sms").holds(&nothing), Truth::Unknown);
    assert_eq!(rule("customer.stage == \"new\" || true").holds(&nothing), Truth::Yes);
    assert_eq!(rule("has(context.channel) || has(consent.email)").holds(&nothing), Truth::No);
}

#[test]
fn and_is_the_least_or_the_greatest_and_not_turns_around() {
    let texts = [("false", Truth::No), ("consent.sms", Truth::Unknown), ("true", Truth::Yes)];
    for (a, left) in texts {
        assert_eq!(rule(&format!("!{a}")).holds(&KNOWN.facts()), left.negated());
        for (b, right) in texts {
            assert_eq!(rule(&format!("{a} && {b}")).holds(&KNOWN.facts()), left.min(right));
            assert_eq!(rule(&format!("{a} || {b}")).holds(&KNOWN.facts()), left.max(right));
        }
    }
}

#[test]
fn a_rule_tells_its_text_and_names() {
    let rule = rule("features.value > 1 && has(consent.sms) && features.value < 2");
    assert_eq!(rule.text(), "features.value > 1 && has(consent.sms) && features.value < 2");
    assert_eq!(rule.names().collect::<Vec<_>>(), ["features.value", "consent.sms"]);
}

#[test]
fn texts_are_read_as_cel_writes_them() {
    for text in [
        r#"context.channel == 'a"b'"#,
        r#"context.channel == "a\"b""#,
        "context.channel == '''a\"b'''",
        "// whose quote\ncontext.channel == r'a\"b' // it is",
        r"context.channel == 'a\x22b'",
    ] {
        let facts = Facts { texts: &[None, Some("a\"b")], ..Facts::default() };
        assert_eq!(rule(text).holds(&facts), Truth::Yes, "{text}");
    }
}

proptest! {
    /// What is known already is not undone by knowing more, unless a rule asks what is known.
    #[test]
    fn knowing_more_keeps_what_was_decided(bytes in vec(any::<u8>(), 0..120), hidden in any::<[bool; 7]>()) {
        let mut draw = Draw::new(&bytes);
        (draw.divides, draw.asks) = (true, false);
        let all = draw.known(0);
        let Ok(rule) = Rule::parse(&draw.condition(4), &vocabulary()) else { return Ok(()) };
        let mut some = all.clone();
        for (at, _) in hidden.iter().enumerate().filter(|(_, hidden)| **hidden) {
            match at {
                0..3 => some.numbers[at] = f64::NAN,
                3..5 => some.flags[at - 3] = None,
                _ => some.texts[at - 5] = None,
            }
        }
        let before = rule.holds(&some.facts());
        prop_assert!(before == Truth::Unknown || before == rule.holds(&all.facts()), "{}", rule.text());
    }

    #[test]
    fn logic_keeps_the_laws_of_kleene(bytes in vec(any::<u8>(), 0..120)) {
        let mut draw = Draw::new(&bytes);
        let known = draw.known(3);
        let (a, b) = (draw.operand(2), draw.operand(2));
        let same = |left: String, right: String| {
            let (left, right) = (rule(&left), rule(&right));
            prop_assert_eq!(left.holds(&known.facts()), right.holds(&known.facts()), "{}", left.text());
            Ok(())
        };
        same(format!("{a} && {b}"), format!("{b} && {a}"))?;
        same(format!("{a} || {b}"), format!("{b} || {a}"))?;
        same(format!("!({a} && {b})"), format!("!{a} || !{b}"))?;
        same(format!("!({a} || {b})"), format!("!{a} && !{b}"))?;
        same(format!("!!{a}"), a.clone())?;
        same(format!("{a} && ({a} || {b})"), a)?;
    }
}
