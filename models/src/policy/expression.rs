//! Rules and formulas of policy.toml: texts in the Common Expression Language, checked once, then evaluated in
//! nanoseconds.
//!
//! The syntax is CEL's, parsed by the `cel` crate; what it means here is a typed, total part of CEL. All numbers are
//! 64-bit floats: CEL's distinction of int, uint and double is dropped, an integer literal is that float. What is not
//! known, or not finite (a division by zero, an overflow), is unknown, and `&&`, `||` and `!` over it follow Kleene's
//! three-valued logic, as CEL's own absorb errors. There are `&& || ! ?: == != < <= > >= + - * / %`, `in` a list of
//! literals, `has(name)`, min, max, abs, floor, ceil, round (halves away from zero), startsWith, endsWith, contains.
//! Loops, maps, bytes, time and regular expressions are refused by name.
//!
//! Past `parse` nothing can fail, loop or allocate. No fact is looked up here; they are handed in by slot.

mod asked;
mod bounds;
mod compile;
mod contradiction;
mod domain;
mod functions;
mod program;
mod syntax;
#[cfg(test)]
mod tests;
mod vocabulary;

use std::fmt;

pub use bounds::{MAX_BYTES, MAX_DEPTH, MAX_NODES};
pub use contradiction::{always, contradiction};
pub use vocabulary::{Kind, Vocabulary};

use compile::{Compiler, Terms, Use};
use program::{At, Program};

/// What is known when an expression is evaluated, by the slots of the [`Vocabulary`] it was parsed with.
///
/// A slot past the end is unknown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// NaN, or what else is not finite, is unknown.
    pub numbers: &'a [f64],
    /// `None` is unknown.
    pub flags: &'a [Option<bool>],
    /// `None` is unknown.
    pub texts: &'a [Option<&'a str>],
}

/// What a rule comes to. `&&` is the least of its operands and `||` the greatest, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    /// It does not hold.
    No,
    /// It depends on what is not known.
    Unknown,
    /// It holds.
    Yes,
}

impl Truth {
    const fn negated(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// A condition on the facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    text: Box<str>,
    program: Program,
    root: At,
    /// What must hold for the rule to hold: its operands by `&&`, each with its node in the parsed tree.
    terms: Terms,
    uses: Box<[Use]>,
}

impl Rule {
    /// Checks and compiles a condition.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Self, ExpressionFault> {
        bounds::tokens(text)?;
        let tree = syntax::parse(text)?;
        let mut compiler = Compiler::new(vocabulary);
        let compiled = compiler.rule(&tree);
        let (root, terms) = compiled
            .map_err(|complaint| syntax::Places::new(text).fault(complaint.node, &complaint.message))?;
        let (program, uses) = compiler.finish();
        Ok(Self { text: text.into(), program, root, terms, uses })
    }

    /// Whether it holds for these facts.
    #[must_use]
    pub fn holds(&self, facts: &Facts<'_>) -> Truth {
        self.program.condition(self.root, facts)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names it uses, each once, in the order of their first use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.uses.iter().map(|used| &*used.name)
    }
}

/// A number computed from the facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Formula {
    text: Box<str>,
    program: Program,
    root: At,
    uses: Box<[Use]>,
}

impl Formula {
    /// Checks and compiles a formula.
    pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Self, ExpressionFault> {
        bounds::tokens(text)?;
        let tree = syntax::parse(text)?;
        let mut compiler = Compiler::new(vocabulary);
        let compiled = compiler.formula(&tree);
        let root = compiled
            .map_err(|complaint| syntax::Places::new(text).fault(complaint.node, &complaint.message))?;
        let (program, uses) = compiler.finish();
        Ok(Self { text: text.into(), program, root, uses })
    }

    /// Its value for these facts: finite, or nothing where it is unknown.
    #[must_use]
    pub fn value(&self, facts: &Facts<'_>) -> Option<f64> {
        Some(self.program.number(self.root, facts)).filter(|value| value.is_finite())
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The names it uses, each once, in the order of their first use.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.uses.iter().map(|used| &*used.name)
    }
}

/// Why a text is no rule or formula, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionFault {
    /// What is wrong and what is allowed.
    pub message: String,
    /// From 1, within the text.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl ExpressionFault {
    /// At byte `at` of `text`.
    fn at(text: &str, at: usize, message: String) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (line, column) = (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1);
        Self { message, line, column }
    }
}

impl fmt::Display for ExpressionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ExpressionFault {}
