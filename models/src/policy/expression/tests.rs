//! What the tests of expressions share: a vocabulary, facts, and random well-typed expressions.

mod contradictions;
mod evaluation;
mod faults;
mod oracle;

use super::*;

fn vocabulary() -> Vocabulary {
    let stages = ["new", "active", "loyal", "lost"].map(str::to_owned).to_vec();
    Vocabulary::new()
        .number("features.orders_90d")
        .number("features.value")
        .number("scores.churn")
        .flag("consent.email")
        .flag("consent.sms")
        .text("customer.stage", Some(stages))
        .text("context.channel", None)
}

fn rule(text: &str) -> Rule {
    Rule::parse(text, &vocabulary()).unwrap_or_else(|fault| panic!("{text}: {fault}"))
}

/// The facts of one customer, in the order of `vocabulary`.
#[derive(Clone, Debug)]
struct Known {
    numbers: [f64; 3],
    flags: [Option<bool>; 2],
    texts: [Option<&'static str>; 2],
}

impl Known {
    fn facts(&self) -> Facts<'_> {
        Facts { numbers: &self.numbers, flags: &self.flags, texts: &self.texts }
    }
}

/// What bytes are read as: so an expression shrinks as its bytes do. Past the end it draws the first of anything.
struct Draw<'b> {
    bytes: std::slice::Iter<'b, u8>,
    /// Whether expressions may divide.
    divides: bool,
    /// Whether expressions may ask what is known.
    asks: bool,
}

impl<'b> Draw<'b> {
    fn new(bytes: &'b [u8]) -> Self {
        Self { bytes: bytes.iter(), divides: false, asks: true }
    }

    fn below(&mut self, n: usize) -> usize {
        usize::from(self.bytes.next().copied().unwrap_or(0)) % n
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// One in `unknown` facts is unknown; none if 0.
    fn known(&mut self, unknown: usize) -> Known {
        let numbers = std::array::from_fn(|_| {
            if self.unknown(unknown) { f64::NAN } else { self.of(&[0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 2.5]) }
        });
        let flags =
            std::array::from_fn(|_| if self.unknown(unknown) { None } else { Some(self.of(&[false, true])) });
        let stage =
            if self.unknown(unknown) { None } else { Some(self.of(&["new", "active", "loyal", "lost"])) };
        let channel = if self.unknown(unknown) { None } else { Some(self.of(&["web", "email", "", "wëb"])) };
        Known { numbers, flags, texts: [stage, channel] }
    }

    fn unknown(&mut self, one_in: usize) -> bool {
        one_in > 0 && self.below(one_in) == 0
    }

    fn number(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self
                .of(&[
                    "features.orders_90d",
                    "features.value",
                    "scores.churn",
                    "0.0",
                    "1.0",
                    "2.0",
                    "-1.0",
                    "0.5",
                ])
                .to_owned();
        }
        match self.below(8) {
            0 | 1 => self.number(0),
            2 => {
                let operators: &[&str] = if self.divides { &["/", "+", "-", "*"] } else { &["+", "-", "*"] };
                let operator = self.of(operators);
                format!("({} {operator} {})", self.number(depth - 1), self.number(depth - 1))
            }
            3 => format!("{} - {}", self.number(0), self.number(0)),
            4 => format!("-({})", self.number(depth - 1)),
            5 => format!("min({}, {})", self.number(depth - 1), self.number(depth - 1)),
            6 => format!("max({}, {})", self.number(depth - 1), self.number(0)),
            _ => format!(
                "({} ? {} : {})",
                self.condition(depth - 1),
                self.number(depth - 1),
                self.number(depth - 1)
            ),
        }
    }

    fn condition(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.test();
        }
        match self.below(9) {
            0 | 1 => self.test(),
            2 => format!("{} && {}", self.operand(depth - 1), self.operand(depth - 1)),
            3 => format!("{} || {}", self.operand(depth - 1), self.operand(depth - 1)),
            4 => format!("!({})", self.condition(depth - 1)),
            5 => format!("!!{}", self.operand(depth - 1)),
            6 => format!(
                "({} ? {} : {})",
                self.condition(depth - 1),
                self.condition(depth - 1),
                self.condition(depth - 1)
            ),
            7 => {
                let order = self.of(&["<", "<=", ">", ">=", "==", "!="]);
                format!("({}) {order} {}", self.number(depth - 1), self.number(depth - 1))
            }
            _ => {
                let order = self.of(&["==", "!="]);
                format!("({}) {order} {}", self.condition(depth - 1), self.operand(depth - 1))
            }
        }
    }

    fn operand(&mut self, depth: usize) -> String {
        format!("({})", self.condition(depth))
    }

    /// A condition on one name.
    fn test(&mut self) -> String {
        let number = self.of(&["features.orders_90d", "features.value"]);
        let text = self.of(&["customer.stage", "context.channel"]);
        let literal = if text == "customer.stage" { ["new", "lost"] } else { ["web", "wëb"] };
        match self.below(if self.asks { 12 } else { 11 }) {
            0 => format!("{number} {} {}", self.of(&["<", "<=", ">", ">=", "==", "!="]), self.number(0)),
            1 => format!("{} {} {number}", self.of(&["1.0", "2.0"]), self.of(&["<", "<=", ">", ">=", "=="])),
            2 => format!("{number} in [{}, {}]", self.of(&["1.0", "2.5"]), self.of(&["0.0", "-1.0"])),
            3 => format!("{text} == \"{}\"", self.of(&literal)),
            4 => format!("'{}' != {text}", self.of(&literal)),
            5 => format!("{text} in [\"{}\", \"{}\"]", self.of(&literal), self.of(&literal)),
            6 => {
                let test = self.of(&["startsWith", "endsWith", "contains"]);
                format!("{text}.{test}(\"{}\")", self.of(&["", "l", "w", "ë", "st"]))
            }
            7 => self.of(&["consent.email", "consent.sms"]).to_owned(),
            8 => self.of(&["true", "false"]).to_owned(),
            9 => format!("consent.email {} {}", self.of(&["==", "!="]), self.of(&["true", "consent.sms"])),
            10 => "customer.stage == context.channel".to_owned(),
            _ => {
                format!(
                    "has({})",
                    self.of(&["features.value", "consent.email", "customer.stage", "context.channel"])
                )
            }
        }
    }
}
