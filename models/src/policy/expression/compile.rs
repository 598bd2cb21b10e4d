//! From the parsed tree to the program: every name found, every kind checked, constants folded.
//!
//! CEL itself finds a wrong kind only when it meets one; here it is a fault before anything is evaluated.

mod call;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators};

use super::Truth;
use super::program::{At, Condition, Number, Program, Span, Text};
use super::vocabulary::{Entry, Kind, Vocabulary};

/// What is wrong with a node of the tree; its words go before the message.
#[derive(Debug)]
pub(super) struct Complaint<'e> {
    pub(super) node: &'e IdedExpr,
    pub(super) message: String,
}

/// What must hold for a rule to hold, each with the id of its node.
pub(super) type Terms = Box<[(At, u64)]>;

type Compiled<'e, T> = Result<T, Complaint<'e>>;

fn complain<'e, T>(node: &'e IdedExpr, message: impl Into<String>) -> Compiled<'e, T> {
    Err(Complaint { node, message: message.into() })
}

/// A name that an expression uses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Use {
    pub(super) name: Box<str>,
    pub(super) kind: Kind,
    pub(super) slot: u16,
}

/// A compiled part.
#[derive(Clone, Copy)]
enum Part {
    Condition(At),
    Number(At),
    Text(At),
}

impl Part {
    const fn noun(self) -> &'static str {
        match self {
            Self::Condition(_) => Kind::Flag.noun(),
            Self::Number(_) => Kind::Number.noun(),
            Self::Text(_) => Kind::Text { levels: None }.noun(),
        }
    }
}

#[derive(Default)]
struct Arenas {
    conditions: Vec<Condition>,
    numbers: Vec<Number>,
    texts: Vec<Text>,
    operands: Vec<At>,
    constants: Vec<f64>,
    literals: Vec<Box<str>>,
}

pub(super) struct Compiler<'v> {
    vocabulary: &'v Vocabulary,
    arenas: Arenas,
    uses: Vec<Use>,
}

impl<'v> Compiler<'v> {
    pub(super) fn new(vocabulary: &'v Vocabulary) -> Self {
        Self { vocabulary, arenas: Arenas::default(), uses: Vec::new() }
    }

    /// The root, and what must hold for it to hold.
    pub(super) fn rule<'e>(&mut self, tree: &'e IdedExpr) -> Compiled<'e, (At, Terms)> {
        let mut nodes = Vec::new();
        chain(tree, operators::LOGICAL_AND, &mut nodes);
        if nodes.len() == 1 {
            let root = self.condition(tree, "a rule")?;
            return Ok((root, [(root, tree.id)].into()));
        }
        let terms: Vec<(At, u64)> =
            nodes.iter().map(|node| Ok((self.condition(node, "&&")?, node.id))).collect::<Result<_, _>>()?;
        let span = self.operands(terms.iter().map(|(at, _)| *at));
        Ok((self.add(Condition::All(span)), terms.into()))
    }

    pub(super) fn formula<'e>(&mut self, tree: &'e IdedExpr) -> Compiled<'e, At> {
        self.number(tree, "a formula")
    }

    pub(super) fn finish(self) -> (Program, Box<[Use]>) {
        let arenas = self.arenas;
        let program = Program {
            conditions: arenas.conditions.into(),
            numbers: arenas.numbers.into(),
            texts: arenas.texts.into(),
            operands: arenas.operands.into(),
            constants: arenas.constants.into(),
            literals: arenas.literals.into(),
        };
        (program, self.uses.into())
    }

    fn condition<'e>(&mut self, node: &'e IdedExpr, taker: &str) -> Compiled<'e, At> {
        match self.part(node)? {
            Part::Condition(at) => Ok(at),
            part => complain(node, misplaced(part, taker, &Kind::Flag)),
        }
    }

    fn number<'e>(&mut self, node: &'e IdedExpr, taker: &str) -> Compiled<'e, At> {
        match self.part(node)? {
            Part::Number(at) => Ok(at),
            part => complain(node, misplaced(part, taker, &Kind::Number)),
        }
    }

    fn text<'e>(&mut self, node: &'e IdedExpr, taker: &str) -> Compiled<'e, At> {
        match self.part(node)? {
            Part::Text(at) => Ok(at),
            part => complain(node, misplaced(part, taker, &Kind::Text { levels: None })),
        }
    }

    fn part<'e>(&mut self, node: &'e IdedExpr) -> Compiled<'e, Part> {
        match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Select(select) if select.test => {
                let Some(name) = name(&select.operand) else {
                    return complain(node, "asks has() of what is no name");
                };
                let name = format!("{name}.{}", select.field);
                let entry = self.find(node, &name, &format!("asks for {name}, which "))?;
                Ok(Part::Condition(self.add(match entry.kind {
                    Kind::Number => Condition::HasNumber(entry.slot),
                    Kind::Flag => Condition::HasFlag(entry.slot),
                    Kind::Text { .. } => Condition::HasText(entry.slot),
                })))
            }
            Expr::Ident(_) | Expr::Select(_) => {
                let Some(name) = name(node) else {
                    return complain(node, "selects from what is no name; values are asked for by name");
                };
                let entry = self.find(node, &name, "")?;
                Ok(match entry.kind {
                    Kind::Number => Part::Number(self.add_number(Number::Fact(entry.slot))),
                    Kind::Flag => Part::Condition(self.add(Condition::Flag(entry.slot))),
                    Kind::Text { .. } => Part::Text(self.add_text(Text::Fact(entry.slot))),
                })
            }
            Expr::Call(call) => self.call(node, call),
            Expr::List(_) => complain(node, "is a list, which may only stand right of `in`"),
            _ => complain(node, "is not known here"),
        }
    }

    /// `asked` is what goes before the name in a fault whose node spells more than the name.
    fn find<'e>(&mut self, node: &'e IdedExpr, name: &str, asked: &str) -> Compiled<'e, Entry> {
        let Some(entry) = self.vocabulary.entry(name) else {
            let hint = match (self.vocabulary.below(name), self.vocabulary.nearest(name)) {
                (Some(member), _) => format!("begins names and is none; one of them is {member}"),
                (None, Some(nearest)) => format!("is not known; the nearest is {nearest}"),
                (None, None) => "is not known".to_owned(),
            };
            return complain(node, format!("{asked}{hint}"));
        };
        if !self.uses.iter().any(|used| &*used.name == name) {
            self.uses.push(Use { name: name.into(), kind: entry.kind.clone(), slot: entry.slot });
        }
        Ok(entry.clone())
    }

    fn literal<'e>(&mut self, node: &'e IdedExpr, literal: &LiteralValue) -> Compiled<'e, Part> {
        if let Some(value) = number(literal) {
            return Ok(Part::Number(self.add_number(Number::Constant(value))));
        }
        match literal {
            LiteralValue::Boolean(flag) => {
                Ok(Part::Condition(self.add(Condition::Constant(Truth::from(*flag.inner())))))
            }
            LiteralValue::String(text) => Ok(Part::Text(self.add_text(Text::Constant(text.inner().into())))),
            _ => complain(node, "is neither a number, a text, true nor false"),
        }
    }

    fn not(&mut self, of: At) -> At {
        let condition = match self.arenas.conditions[usize::from(of)] {
            Condition::Bound { slot, order, bound } => {
                Condition::Bound { slot, order: order.negated(), bound }
            }
            Condition::Constant(truth) => Condition::Constant(truth.negated()),
            _ => Condition::Not(of),
        };
        self.add(condition)
    }

    fn constant(&self, at: At) -> Option<f64> {
        match self.arenas.numbers[usize::from(at)] {
            Number::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn operands(&mut self, operands: impl Iterator<Item = At>) -> Span {
        let first = self.arenas.operands.len();
        self.arenas.operands.extend(operands);
        span(first, self.arenas.operands.len())
    }

    fn add(&mut self, condition: Condition) -> At {
        self.arenas.conditions.push(condition);
        at(self.arenas.conditions.len() - 1)
    }

    fn add_number(&mut self, number: Number) -> At {
        self.arenas.numbers.push(number);
        at(self.arenas.numbers.len() - 1)
    }

    fn add_text(&mut self, text: Text) -> At {
        self.arenas.texts.push(text);
        at(self.arenas.texts.len() - 1)
    }
}

/// The operands of a chain of `operator`, whichever way its parentheses stand.
fn chain<'e>(node: &'e IdedExpr, operator: &str, found: &mut Vec<&'e IdedExpr>) {
    match &node.expr {
        Expr::Call(call) if call.func_name == operator && call.target.is_none() => {
            call.args.iter().for_each(|arg| chain(arg, operator, found));
        }
        _ => found.push(node),
    }
}

/// The dotted name that `node` spells, if it spells one.
fn name(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => Some(format!("{}.{}", name(&select.operand)?, select.field)),
        _ => None,
    }
}

/// A literal number as a 64-bit float; an integer beyond 2^53 is rounded. Never -0.
#[expect(
    clippy::cast_precision_loss,
    reason = "numbers are 64-bit floats here, whatever literal they come from"
)]
fn number(literal: &LiteralValue) -> Option<f64> {
    Some(match literal {
        LiteralValue::Double(value) => *value.inner() + 0.0,
        LiteralValue::Int(value) => *value.inner() as f64,
        LiteralValue::UInt(value) => *value.inner() as f64,
        _ => return None,
    })
}

fn misplaced(part: Part, taker: &str, expected: &Kind) -> String {
    let hint = match (part, expected, taker) {
        (Part::Text(_), Kind::Number, "<" | "<=" | ">" | ">=") => {
            "; texts have no order, compare them by == or in"
        }
        (Part::Text(_), Kind::Number, "+") => "; texts are not joined here",
        _ => "",
    };
    format!("is {}; {taker} takes {}{hint}", part.noun(), expected.noun())
}

fn span(first: usize, end: usize) -> Span {
    Span { first: at(first), end: at(end) }
}

/// The bound on nodes keeps every arena far below 2^16.
fn at(place: usize) -> At {
    At::try_from(place).unwrap_or(At::MAX)
}
