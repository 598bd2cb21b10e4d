//! The interpreter of the `cel` crate, over the tree of its other parser, says what expressions come to.
//!
//! What is unknown is missing there, which is an error to it: `&&` and `||` absorb errors as ours absorb unknown.

use std::collections::HashMap;

use cel::{Context, Program, Value};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

fn interpret(text: &str, known: &Known) -> Option<Value> {
    let mut context = Context::default();
    let mut groups: HashMap<&str, HashMap<String, Value>> = HashMap::new();
    let vocabulary = vocabulary();
    let numbers = vocabulary.numbers().iter().zip(known.numbers);
    let numbers =
        numbers.filter(|(_, value)| !value.is_nan()).map(|(name, value)| (name, Value::Float(value)));
    let flags = vocabulary.flags().iter().zip(known.flags);
    let flags = flags.filter_map(|(name, value)| Some((name, Value::Bool(value?))));
    let texts = vocabulary.texts().iter().zip(known.texts);
    let texts = texts.filter_map(|(name, value)| Some((name, Value::from(value?))));
    for group in ["features", "scores", "consent", "customer", "context"] {
        groups.insert(group, HashMap::new());
    }
    for (name, value) in numbers.chain(flags).chain(texts) {
        let (group, member) = name.split_once('.').unwrap();
        groups.get_mut(group).unwrap().insert(member.to_owned(), value);
    }
    for (group, members) in groups {
        context.add_variable_from_value(group, members);
    }
    context.add_function("min", cel::functions::min).unwrap();
    context.add_function("max", cel::functions::max).unwrap();
    Program::compile(text).unwrap().execute(&context).ok()
}

fn truth(value: Option<&Value>) -> Truth {
    match value {
        Some(Value::Bool(holds)) => Truth::from(*holds),
        Some(other) => panic!("{other:?} is no condition"),
        None => Truth::Unknown,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_rule_comes_to_what_the_interpreter_says(bytes in vec(any::<u8>(), 0..120), one_in in 0_usize..6) {
        let mut draw = Draw::new(&bytes);
        let known = draw.known(one_in);
        let text = draw.condition(4);
        let expected = interpret(&text, &known);
        prop_assert_eq!(rule(&text).holds(&known.facts()), truth(expected.as_ref()), "{} {:?}", text, known);
    }

    #[test]
    fn a_formula_is_worth_what_the_interpreter_says(bytes in vec(any::<u8>(), 0..120), one_in in 0_usize..6) {
        let mut draw = Draw::new(&bytes);
        let known = draw.known(one_in);
        let text = draw.number(4);
        let formula = Formula::parse(&text, &vocabulary()).unwrap();
        let expected = match interpret(&text, &known) {
            Some(Value::Float(value)) => Some(value),
            Some(other) => panic!("{other:?} is no number"),
            None => None,
        };
        prop_assert_eq!(formula.value(&known.facts()), expected, "{} {:?}", text, known);
    }

    /// There infinity is a number; here what depends on it is unknown, and the rest is the same.
    #[test]
    fn a_division_changes_nothing_but_what_it_makes_unknown(bytes in vec(any::<u8>(), 0..120)) {
        let mut draw = Draw::new(&bytes);
        draw.divides = true;
        let known = draw.known(0);
        let text = draw.condition(4);
        // A division of two constants by nothing is a fault.
        let Ok(rule) = Rule::parse(&text, &vocabulary()) else { return Ok(()) };
        let holds = rule.holds(&known.facts());
        if holds != Truth::Unknown {
            prop_assert_eq!(holds, truth(interpret(&text, &known).as_ref()), "{} {:?}", text, known);
        }
    }
}
