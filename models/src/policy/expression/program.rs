//! The compiled form: arenas of typed nodes, and what they come to.
//!
//! A node names its operands by their place in an arena, and operands are placed before whoever uses them, so that
//! evaluation ends; it allocates nothing and cannot fail. Unknown is NaN in a number, `Truth::Unknown` in a condition,
//! `None` in a text, and spreads by Kleene's three-valued logic.

use super::{Facts, Truth};

/// A place in one of the arenas.
pub(super) type At = u16;

/// Consecutive places.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Span {
    pub(super) first: At,
    pub(super) end: At,
}

impl Span {
    pub(super) fn of<T>(self, arena: &[T]) -> &[T] {
        &arena[usize::from(self.first)..usize::from(self.end)]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
    Unequal,
}

impl Order {
    pub(super) fn compare(self, left: f64, right: f64) -> Truth {
        if left.is_nan() || right.is_nan() {
            return Truth::Unknown;
        }
        Truth::from(match self {
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::More => left > right,
            Self::AtLeast => left >= right,
            Self::Equal => left == right,
            Self::Unequal => left != right,
        })
    }

    /// With left and right exchanged.
    pub(super) const fn mirrored(self) -> Self {
        match self {
            Self::Less => Self::More,
            Self::AtMost => Self::AtLeast,
            Self::More => Self::Less,
            Self::AtLeast => Self::AtMost,
            Self::Equal | Self::Unequal => self,
        }
    }

    /// True where this is false.
    pub(super) const fn negated(self) -> Self {
        match self {
            Self::Less => Self::AtLeast,
            Self::AtMost => Self::More,
            Self::More => Self::AtMost,
            Self::AtLeast => Self::Less,
            Self::Equal => Self::Unequal,
            Self::Unequal => Self::Equal,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextTest {
    Starts,
    Ends,
    Contains,
}

impl TextTest {
    pub(super) fn holds(self, text: &str, part: &str) -> bool {
        match self {
            Self::Starts => text.starts_with(part),
            Self::Ends => text.ends_with(part),
            Self::Contains => text.contains(part),
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Condition {
    Constant(Truth),
    Flag(u16),
    HasNumber(u16),
    HasFlag(u16),
    HasText(u16),
    /// A number of the facts against a constant: what most rules are made of.
    Bound {
        slot: u16,
        order: Order,
        bound: f64,
    },
    Compare {
        order: Order,
        left: At,
        right: At,
    },
    /// One of `constants`.
    NumberIn {
        value: At,
        among: Span,
    },
    SameText {
        left: At,
        right: At,
    },
    /// One of `literals`.
    TextIn {
        value: At,
        among: Span,
    },
    TextTest {
        test: TextTest,
        value: At,
        part: At,
    },
    SameFlag {
        left: At,
        right: At,
    },
    Not(At),
    All(Span),
    Any(Span),
    Choose {
        when: At,
        then: At,
        otherwise: At,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unary {
    Negate,
    Abs,
    Floor,
    Ceil,
    Round,
}

impl Unary {
    pub(super) fn of(self, value: f64) -> f64 {
        match self {
            Self::Negate => -value,
            Self::Abs => value.abs(),
            Self::Floor => value.floor(),
            Self::Ceil => value.ceil(),
            Self::Round => value.round(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Binary {
    /// NaN where the result is not finite.
    pub(super) fn of(self, left: f64, right: f64) -> f64 {
        known(match self {
            Self::Add => left + right,
            Self::Subtract => left - right,
            Self::Multiply => left * right,
            Self::Divide => left / right,
            Self::Remainder => left % right,
        })
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Number {
    Constant(f64),
    Fact(u16),
    Unary { function: Unary, value: At },
    Binary { function: Binary, left: At, right: At },
    Least(Span),
    Greatest(Span),
    Choose { when: At, then: At, otherwise: At },
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Text {
    Constant(Box<str>),
    Fact(u16),
    Choose { when: At, then: At, otherwise: At },
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Program {
    pub(super) conditions: Box<[Condition]>,
    pub(super) numbers: Box<[Number]>,
    pub(super) texts: Box<[Text]>,
    /// Operands of nodes that take any number of them.
    pub(super) operands: Box<[At]>,
    /// What `in` compares numbers and texts with.
    pub(super) constants: Box<[f64]>,
    pub(super) literals: Box<[Box<str>]>,
}

impl Program {
    pub(super) fn condition(&self, at: At, facts: &Facts<'_>) -> Truth {
        match &self.conditions[usize::from(at)] {
            Condition::Bound { slot, order, bound } => order.compare(fact(facts, *slot), *bound),
            Condition::TextIn { value, among } => {
                let Some(text) = self.text(*value, facts) else { return Truth::Unknown };
                Truth::from(among.of(&self.literals).iter().any(|literal| **literal == *text))
            }
            Condition::All(span) => self.all(span.of(&self.operands), facts),
            Condition::Any(span) => self.any(span.of(&self.operands), facts),
            Condition::Not(of) => self.condition(*of, facts).negated(),
            Condition::Flag(slot) => flag(facts, *slot).map_or(Truth::Unknown, Truth::from),
            Condition::Compare { order, left, right } => {
                order.compare(self.number(*left, facts), self.number(*right, facts))
            }
            Condition::NumberIn { value, among } => match self.number(*value, facts) {
                value if value.is_nan() => Truth::Unknown,
                value => Truth::from(among.of(&self.constants).contains(&value)),
            },
            Condition::SameText { left, right } => {
                self.texts_hold(*left, *right, facts, |left, right| left == right)
            }
            Condition::TextTest { test, value, part } => {
                self.texts_hold(*value, *part, facts, |value, part| test.holds(value, part))
            }
            Condition::SameFlag { left, right } => {
                match (self.condition(*left, facts), self.condition(*right, facts)) {
                    (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                    (left, right) => Truth::from(left == right),
                }
            }
            Condition::HasNumber(slot) => Truth::from(!fact(facts, *slot).is_nan()),
            Condition::HasFlag(slot) => Truth::from(flag(facts, *slot).is_some()),
            Condition::HasText(slot) => Truth::from(text(facts, *slot).is_some()),
            Condition::Choose { when, then, otherwise } => match self.condition(*when, facts) {
                Truth::Yes => self.condition(*then, facts),
                Truth::No => self.condition(*otherwise, facts),
                Truth::Unknown => Truth::Unknown,
            },
            Condition::Constant(truth) => *truth,
        }
    }

    /// Finite, or NaN for unknown.
    pub(super) fn number(&self, at: At, facts: &Facts<'_>) -> f64 {
        match &self.numbers[usize::from(at)] {
            Number::Constant(value) => *value,
            Number::Fact(slot) => fact(facts, *slot),
            Number::Unary { function, value } => function.of(self.number(*value, facts)),
            Number::Binary { function, left, right } => {
                function.of(self.number(*left, facts), self.number(*right, facts))
            }
            Number::Least(span) => self.reduce(*span, facts, f64::min),
            Number::Greatest(span) => self.reduce(*span, facts, f64::max),
            Number::Choose { when, then, otherwise } => match self.condition(*when, facts) {
                Truth::Yes => self.number(*then, facts),
                Truth::No => self.number(*otherwise, facts),
                Truth::Unknown => f64::NAN,
            },
        }
    }

    fn text<'a>(&'a self, at: At, facts: &Facts<'a>) -> Option<&'a str> {
        match &self.texts[usize::from(at)] {
            Text::Constant(text) => Some(text),
            Text::Fact(slot) => text(facts, *slot),
            Text::Choose { when, then, otherwise } => match self.condition(*when, facts) {
                Truth::Yes => self.text(*then, facts),
                Truth::No => self.text(*otherwise, facts),
                Truth::Unknown => None,
            },
        }
    }

    fn all(&self, operands: &[At], facts: &Facts<'_>) -> Truth {
        let mut truth = Truth::Yes;
        for operand in operands {
            truth = truth.min(self.condition(*operand, facts));
            if truth == Truth::No {
                break;
            }
        }
        truth
    }

    fn any(&self, operands: &[At], facts: &Facts<'_>) -> Truth {
        let mut truth = Truth::No;
        for operand in operands {
            truth = truth.max(self.condition(*operand, facts));
            if truth == Truth::Yes {
                break;
            }
        }
        truth
    }

    fn texts_hold(&self, left: At, right: At, facts: &Facts<'_>, test: impl Fn(&str, &str) -> bool) -> Truth {
        match (self.text(left, facts), self.text(right, facts)) {
            (Some(left), Some(right)) => Truth::from(test(left, right)),
            _ => Truth::Unknown,
        }
    }

    /// Unknown as soon as one is: `f64::min` would pass NaN over.
    fn reduce(&self, span: Span, facts: &Facts<'_>, choose: fn(f64, f64) -> f64) -> f64 {
        let numbers = span.of(&self.operands).iter().map(|operand| self.number(*operand, facts));
        numbers
            .reduce(|a, b| if a.is_nan() || b.is_nan() { f64::NAN } else { choose(a, b) })
            .unwrap_or(f64::NAN)
    }
}

/// What is not finite is unknown.
fn known(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

fn fact(facts: &Facts<'_>, slot: u16) -> f64 {
    facts.numbers.get(usize::from(slot)).map_or(f64::NAN, |value| known(*value))
}

fn flag(facts: &Facts<'_>, slot: u16) -> Option<bool> {
    facts.flags.get(usize::from(slot)).copied().flatten()
}

fn text<'a>(facts: &Facts<'a>, slot: u16) -> Option<&'a str> {
    facts.texts.get(usize::from(slot)).copied().flatten()
}
