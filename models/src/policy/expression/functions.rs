//! The functions of expressions, by the names CEL has for them, and what to do instead of those that are missing.

use super::program::{TextTest, Unary};
use crate::nearest::nearest;

/// A function called as `name(..)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Least,
    Greatest,
    Unary(Unary),
}

const FUNCTIONS: [(&str, Function); 6] = [
    ("min", Function::Least),
    ("max", Function::Greatest),
    ("abs", Function::Unary(Unary::Abs)),
    ("floor", Function::Unary(Unary::Floor)),
    ("ceil", Function::Unary(Unary::Ceil)),
    ("round", Function::Unary(Unary::Round)),
];

/// Functions called as `text.name(..)`.
const TEXT_TESTS: [(&str, TextTest); 3] =
    [("startsWith", TextTest::Starts), ("endsWith", TextTest::Ends), ("contains", TextTest::Contains)];

const HAS: &str = "has";

pub(super) fn function(name: &str) -> Option<Function> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).map(|(_, function)| *function)
}

pub(super) fn text_test(name: &str) -> Option<TextTest> {
    TEXT_TESTS.iter().find(|(known, _)| *known == name).map(|(_, test)| *test)
}

/// Why `name` cannot be called that way, and what can.
pub(super) fn unknown(name: &str) -> String {
    if let Some(instead) = instead(name) {
        return instead.to_owned();
    }
    if text_test(name).is_some() {
        return format!("is not how `{name}` is called; it stands after a text: text.{name}(\"part\")");
    }
    if function(name).is_some() || name == HAS {
        return format!("is not how `{name}` is called; it stands before its operands: {name}(..)");
    }
    let known = FUNCTIONS.iter().map(|(name, _)| *name);
    let known: Vec<&str> = known.chain(TEXT_TESTS.iter().map(|(name, _)| *name)).chain([HAS]).collect();
    let nearest = nearest(name, known.iter()).unwrap_or_default();
    format!("calls `{name}`, which is no function here; the nearest is {nearest}")
}

/// What takes the place of a function that CEL has and expressions do not.
fn instead(name: &str) -> Option<&'static str> {
    Some(match name {
        "int" | "uint" | "double" => "converts to a number; all numbers are 64-bit floats, leave it out",
        "string" | "bytes" | "bool" | "type" | "dyn" => "converts a value; values keep their kind here",
        "timestamp" | "duration" | "getFullYear" | "getMonth" | "getDate" | "getDayOfWeek" | "getHours" => {
            "asks for time, which is not known here; use a feature that counts days"
        }
        "matches" => "asks for a regular expression; use startsWith, endsWith or contains",
        "size" => "asks for a size, of which there is none here; compare texts by == or in",
        _ => return None,
    })
}
