//! The texts that an expression asks a name for: which of the values of a text, that may be any, make a difference.
//!
//! They are read off the compiled form. What an expression means is told elsewhere: a text it asks for need not make it
//! hold, and one that it does not ask for may.

use std::collections::BTreeSet;

use super::compile::Use;
use super::program::{At, Condition, Program, Text};
use super::vocabulary::Kind;
use super::{Formula, Rule};

impl Rule {
    /// The texts that it asks the text `name` for: to be one of them, to start or to end with one, or to contain it.
    #[must_use]
    pub fn texts_asked_of(&self, name: &str) -> BTreeSet<&str> {
        asked_of(&self.program, &self.uses, name)
    }
}

impl Formula {
    /// The texts that its conditions ask the text `name` for: to be one of them, to start or to end with one, or to contain
    /// it.
    #[must_use]
    pub fn texts_asked_of(&self, name: &str) -> BTreeSet<&str> {
        asked_of(&self.program, &self.uses, name)
    }
}

fn asked_of<'p>(program: &'p Program, uses: &[Use], name: &str) -> BTreeSet<&'p str> {
    let mut asked: BTreeSet<&'p str> = BTreeSet::new();
    let is_it = |used: &&Use| &*used.name == name && matches!(used.kind, Kind::Text { .. });
    let Some(used) = uses.iter().find(is_it) else { return asked };
    for condition in &program.conditions {
        match condition {
            Condition::SameText { left, right } | Condition::TextTest { value: left, part: right, .. } => {
                for (of, by) in [(*left, *right), (*right, *left)] {
                    if can_be(program, of, used.slot) {
                        constants(program, by, &mut asked);
                    }
                }
            }
            Condition::TextIn { value, among } if can_be(program, *value, used.slot) => {
                asked.extend(among.of(&program.literals).iter().map(|literal| &**literal));
            }
            _ => {}
        }
    }
    asked
}

/// Whether the text at `at` can be the fact in `slot`.
fn can_be(program: &Program, at: At, slot: u16) -> bool {
    match &program.texts[usize::from(at)] {
        Text::Constant(_) => false,
        Text::Fact(of) => *of == slot,
        Text::Choose { then, otherwise, .. } => {
            can_be(program, *then, slot) || can_be(program, *otherwise, slot)
        }
    }
}

/// Adds the constants that the text at `at` can be to `found`.
fn constants<'p>(program: &'p Program, at: At, found: &mut BTreeSet<&'p str>) {
    match &program.texts[usize::from(at)] {
        Text::Constant(text) => {
            found.insert(text);
        }
        Text::Fact(_) => {}
        Text::Choose { then, otherwise, .. } => {
            constants(program, *then, found);
            constants(program, *otherwise, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::expression::Vocabulary;

    fn vocabulary() -> Vocabulary {
        Vocabulary::new()
            .number("features.orders")
            .text("context.placement", None)
            .text("context.campaign", None)
    }

    #[test]
    fn each_text_that_a_name_is_asked_for_is_told_and_no_other() {
        let cases: [(&str, &[&str]); 8] = [
            ("context.placement == 'home' || 'basket' == context.placement", &["basket", "home"]),
            ("context.placement != 'basket' && context.campaign == 'spring'", &["basket"]),
            ("!(context.placement in ['home', 'basket'])", &["basket", "home"]),
            (
                "context.placement.startsWith('home_') && !context.placement.endsWith('_old')",
                &["_old", "home_"],
            ),
            ("(features.orders > 1.0 ? context.placement : 'none') == 'basket'", &["basket"]),
            ("context.placement == (features.orders > 1.0 ? 'home' : 'basket')", &["basket", "home"]),
            ("has(context.placement)", &[]),
            ("features.orders > 1.0 && context.campaign == 'spring'", &[]),
        ];
        for (text, expected) in cases {
            let rule = Rule::parse(text, &vocabulary()).unwrap();
            let asked: Vec<&str> = rule.texts_asked_of("context.placement").into_iter().collect();
            assert_eq!(asked, expected, "{text}");
        }
    }

    #[test]
    fn a_formula_asks_too_and_a_number_is_asked_for_no_text() {
        let formula = Formula::parse("context.placement == 'basket' ? 2.0 : 1.0", &vocabulary()).unwrap();
        assert_eq!(formula.texts_asked_of("context.placement"), BTreeSet::from(["basket"]));
        assert_eq!(formula.texts_asked_of("features.orders"), BTreeSet::new());
    }
}
