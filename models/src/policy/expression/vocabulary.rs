//! The names an expression may use: what kind of value each is, and where that value stands among the facts.
//!
//! A name is dotted and spelled as CEL spells names (letters, digits, underscores); one spelled otherwise is declared
//! in vain. No value lives here.

use std::collections::BTreeMap;

use crate::nearest::nearest;

/// What a name, or a part of an expression, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A 64-bit float.
    Number,
    /// True or false.
    Flag,
    /// A text.
    Text {
        /// The only texts possible, where that is known: another one in an expression is a fault.
        levels: Option<Vec<String>>,
    },
}

impl Kind {
    /// As faults name it.
    pub(crate) const fn noun(&self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Flag => "true or false",
            Self::Text { .. } => "a text",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) slot: u16,
}

/// The names known to expressions; slots are dense for each kind, in the order of declaration.
///
/// A name declared again keeps its first declaration. At most 65,536 names of a kind are kept.
#[derive(Clone, Debug, Default)]
pub struct Vocabulary {
    entries: BTreeMap<String, Entry>,
    numbers: Vec<String>,
    flags: Vec<String>,
    texts: Vec<String>,
}

impl Vocabulary {
    /// Without any name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a number.
    #[must_use]
    pub fn number(self, name: impl Into<String>) -> Self {
        self.with(name.into(), Kind::Number)
    }

    /// Declares a flag.
    #[must_use]
    pub fn flag(self, name: impl Into<String>) -> Self {
        self.with(name.into(), Kind::Flag)
    }

    /// Declares a text, with the only texts it may be, where that is known.
    #[must_use]
    pub fn text(self, name: impl Into<String>, levels: Option<Vec<String>>) -> Self {
        self.with(name.into(), Kind::Text { levels })
    }

    fn with(mut self, name: String, kind: Kind) -> Self {
        let names = match kind {
            Kind::Number => &mut self.numbers,
            Kind::Flag => &mut self.flags,
            Kind::Text { .. } => &mut self.texts,
        };
        if let (Ok(slot), false) = (u16::try_from(names.len()), self.entries.contains_key(&name)) {
            names.push(name.clone());
            self.entries.insert(name, Entry { kind, slot });
        }
        self
    }

    /// The names of numbers, by slot: `Facts::numbers` is in this order.
    #[must_use]
    pub fn numbers(&self) -> &[String] {
        &self.numbers
    }

    /// The names of flags, by slot: `Facts::flags` is in this order.
    #[must_use]
    pub fn flags(&self) -> &[String] {
        &self.flags
    }

    /// The names of texts, by slot: `Facts::texts` is in this order.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// What `name` is, if it is known.
    #[must_use]
    pub fn kind(&self, name: &str) -> Option<&Kind> {
        self.entry(name).map(|entry| &entry.kind)
    }

    pub(super) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The first name that goes on from `name` with a dot.
    pub(super) fn below(&self, name: &str) -> Option<&str> {
        let start = format!("{name}.");
        let (first, _) = self.entries.range(start.clone()..).next()?;
        first.starts_with(&start).then_some(first)
    }

    pub(super) fn nearest(&self, name: &str) -> Option<&str> {
        nearest(name, self.entries.keys())
    }
}
