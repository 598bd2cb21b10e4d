//! Calls: operators, functions, and which kinds each takes.

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, operators};

use super::{Compiled, Compiler, Part, Use, chain, complain, number, span};
use crate::nearest::nearest;
use crate::policy::expression::Truth;
use crate::policy::expression::functions::{self, Function};
use crate::policy::expression::program::{At, Binary, Condition, Number, Order, Text, Unary};
use crate::policy::expression::vocabulary::Kind;

impl Compiler<'_> {
    pub(super) fn call<'e>(&mut self, node: &'e IdedExpr, call: &'e CallExpr) -> Compiled<'e, Part> {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND | operators::LOGICAL_OR, None, [_, _]) => self.logic(node, call),
            (operators::LOGICAL_NOT, None, [of]) => {
                let of = self.condition(of, "!")?;
                Ok(Part::Condition(self.add(Condition::Not(of))))
            }
            (operators::CONDITIONAL, None, [when, then, otherwise]) => {
                self.choose(node, [when, then, otherwise])
            }
            (operators::EQUALS, None, [left, right]) => Ok(Part::Condition(self.equal(node, left, right)?)),
            (operators::NOT_EQUALS, None, [left, right]) => {
                let equal = self.equal(node, left, right)?;
                Ok(Part::Condition(self.not(equal)))
            }
            (operators::IN, None, [value, list]) => self.among(value, list),
            (operators::INDEX, None, _) => {
                complain(node, "takes a value out of a list; values have names here")
            }
            (operators::NEGATE, None, [value]) => {
                let value = self.number(value, "-")?;
                Ok(Part::Number(self.unary(Unary::Negate, value)))
            }
            (name, None, [left, right]) if order(name).is_some() || arithmetic(name).is_some() => {
                self.calculate(node, name, left, right)
            }
            (name, Some(value), [part]) => {
                let Some(test) = functions::text_test(name) else {
                    return complain(node, functions::unknown(name));
                };
                let (value, part) = (self.text(value, name)?, self.text(part, name)?);
                Ok(Part::Condition(self.add(Condition::TextTest { test, value, part })))
            }
            (name, None, args) => match functions::function(name) {
                Some(function) => self.function(node, name, function, args),
                None => complain(node, functions::unknown(name)),
            },
            (name, Some(_), _) => complain(node, functions::unknown(name)),
        }
    }

    fn logic<'e>(&mut self, node: &'e IdedExpr, call: &'e CallExpr) -> Compiled<'e, Part> {
        let all = call.func_name == operators::LOGICAL_AND;
        let mut nodes = Vec::new();
        chain(node, &call.func_name, &mut nodes);
        let taker = if all { "&&" } else { "||" };
        let parts: Vec<At> =
            nodes.into_iter().map(|node| self.condition(node, taker)).collect::<Result<_, _>>()?;
        let span = self.operands(parts.into_iter());
        Ok(Part::Condition(self.add(if all { Condition::All(span) } else { Condition::Any(span) })))
    }

    fn choose<'e>(
        &mut self,
        node: &'e IdedExpr,
        [when, then, otherwise]: [&'e IdedExpr; 3],
    ) -> Compiled<'e, Part> {
        let when = self.condition(when, "?")?;
        match (self.part(then)?, self.part(otherwise)?) {
            (Part::Condition(then), Part::Condition(otherwise)) => {
                Ok(Part::Condition(self.add(Condition::Choose { when, then, otherwise })))
            }
            (Part::Number(then), Part::Number(otherwise)) => {
                Ok(Part::Number(self.add_number(Number::Choose { when, then, otherwise })))
            }
            (Part::Text(then), Part::Text(otherwise)) => {
                Ok(Part::Text(self.add_text(Text::Choose { when, then, otherwise })))
            }
            (then, otherwise) => {
                let (then, otherwise) = (then.noun(), otherwise.noun());
                complain(node, format!("is {then} or {otherwise}; both sides of : must be of one kind"))
            }
        }
    }

    fn equal<'e>(
        &mut self,
        node: &'e IdedExpr,
        left_node: &'e IdedExpr,
        right_node: &'e IdedExpr,
    ) -> Compiled<'e, At> {
        match (self.part(left_node)?, self.part(right_node)?) {
            (Part::Number(left), Part::Number(right)) => Ok(self.compare(Order::Equal, left, right)),
            (Part::Text(left), Part::Text(right)) => {
                self.check_level(left, right_node, right)?;
                self.check_level(right, left_node, left)?;
                Ok(self.add(Condition::SameText { left, right }))
            }
            (Part::Condition(left), Part::Condition(right)) => {
                let constant = |at: At| match self.arenas.conditions[usize::from(at)] {
                    Condition::Constant(truth) => Some(truth),
                    _ => None,
                };
                Ok(match (constant(left), constant(right)) {
                    (_, Some(Truth::Yes)) => left,
                    (_, Some(Truth::No)) => self.not(left),
                    (Some(Truth::Yes), _) => right,
                    (Some(Truth::No), _) => self.not(right),
                    _ => self.add(Condition::SameFlag { left, right }),
                })
            }
            (left, right) => complain(
                node,
                format!("compares {} with {}; both must be of one kind", left.noun(), right.noun()),
            ),
        }
    }

    /// A literal must be one of the levels of the text it is compared with.
    fn check_level<'e>(&self, value: At, node: &'e IdedExpr, literal: At) -> Compiled<'e, ()> {
        match &self.arenas.texts[usize::from(literal)] {
            Text::Constant(literal) => self.check_literal(value, node, literal),
            _ => Ok(()),
        }
    }

    fn check_literal<'e>(&self, value: At, node: &'e IdedExpr, literal: &str) -> Compiled<'e, ()> {
        let Text::Fact(slot) = self.arenas.texts[usize::from(value)] else { return Ok(()) };
        let of_slot = |used: &&Use| used.slot == slot && matches!(used.kind, Kind::Text { .. });
        let Some(used) = self.uses.iter().find(of_slot) else { return Ok(()) };
        let Kind::Text { levels: Some(levels) } = &used.kind else { return Ok(()) };
        if levels.iter().any(|level| level == literal) {
            return Ok(());
        }
        let nearest = nearest(literal, levels.iter()).map(|nearest| format!("; the nearest is {nearest:?}"));
        complain(node, format!("is nothing that {} can be{}", used.name, nearest.unwrap_or_default()))
    }

    fn among<'e>(&mut self, value_node: &'e IdedExpr, list_node: &'e IdedExpr) -> Compiled<'e, Part> {
        let Expr::List(list) = &list_node.expr else {
            return complain(
                list_node,
                "stands right of `in`, which takes a list of literals: [\"a\", \"b\"]",
            );
        };
        if list.elements.is_empty() {
            return complain(list_node, "is empty: nothing is in it");
        }
        let condition = match self.part(value_node)? {
            Part::Number(value) => {
                let first = self.arenas.constants.len();
                for element in &list.elements {
                    let Expr::Literal(literal) = &element.expr else { return not_literal(element) };
                    let Some(constant) = number(literal) else {
                        return wrong_element(element, &Kind::Number);
                    };
                    self.arenas.constants.push(constant);
                }
                Condition::NumberIn { value, among: span(first, self.arenas.constants.len()) }
            }
            Part::Text(value) => {
                let first = self.arenas.literals.len();
                for element in &list.elements {
                    let Expr::Literal(literal) = &element.expr else { return not_literal(element) };
                    let LiteralValue::String(text) = literal else {
                        return wrong_element(element, &Kind::Text { levels: None });
                    };
                    self.check_literal(value, element, text.inner())?;
                    self.arenas.literals.push(text.inner().into());
                }
                Condition::TextIn { value, among: span(first, self.arenas.literals.len()) }
            }
            Part::Condition(_) => {
                return complain(value_node, "is true or false; `in` takes a number or a text");
            }
        };
        Ok(Part::Condition(self.add(condition)))
    }

    fn calculate<'e>(
        &mut self,
        node: &'e IdedExpr,
        name: &str,
        left: &'e IdedExpr,
        right: &'e IdedExpr,
    ) -> Compiled<'e, Part> {
        let taker = name.trim_matches('_');
        let (left, right) = (self.number(left, taker)?, self.number(right, taker)?);
        if let Some(order) = order(name) {
            return Ok(Part::Condition(self.compare(order, left, right)));
        }
        let Some(function) = arithmetic(name) else { return complain(node, functions::unknown(name)) };
        let number = match (self.constant(left), self.constant(right)) {
            (Some(left), Some(right)) => {
                let value = function.of(left, right);
                if value.is_nan() {
                    return complain(node, "is not finite, hence never known");
                }
                Number::Constant(value)
            }
            _ => Number::Binary { function, left, right },
        };
        Ok(Part::Number(self.add_number(number)))
    }

    fn function<'e>(
        &mut self,
        node: &'e IdedExpr,
        name: &str,
        function: Function,
        args: &'e [IdedExpr],
    ) -> Compiled<'e, Part> {
        let numbers: Vec<At> = args.iter().map(|arg| self.number(arg, name)).collect::<Result<_, _>>()?;
        let number = match (function, numbers.as_slice()) {
            (Function::Unary(function), [value]) => return Ok(Part::Number(self.unary(function, *value))),
            (Function::Unary(_), _) => {
                return complain(node, format!("gives {} operands; {name} takes 1", args.len()));
            }
            (_, []) => return complain(node, format!("gives no operand; {name} takes 1 or more")),
            (Function::Least, _) => Number::Least(self.operands(numbers.into_iter())),
            (Function::Greatest, _) => Number::Greatest(self.operands(numbers.into_iter())),
        };
        Ok(Part::Number(self.add_number(number)))
    }

    fn unary(&mut self, function: Unary, value: At) -> At {
        let number = self
            .constant(value)
            .map_or(Number::Unary { function, value }, |value| Number::Constant(function.of(value)));
        self.add_number(number)
    }

    fn compare(&mut self, order: Order, left: At, right: At) -> At {
        let fact = |at: At| match self.arenas.numbers[usize::from(at)] {
            Number::Fact(slot) => Some(slot),
            _ => None,
        };
        let condition = match (fact(left), self.constant(left), fact(right), self.constant(right)) {
            (Some(slot), _, _, Some(bound)) => Condition::Bound { slot, order, bound },
            (_, Some(bound), Some(slot), _) => Condition::Bound { slot, order: order.mirrored(), bound },
            (_, Some(left), _, Some(right)) => Condition::Constant(order.compare(left, right)),
            _ => Condition::Compare { order, left, right },
        };
        self.add(condition)
    }
}

fn order(operator: &str) -> Option<Order> {
    Some(match operator {
        operators::LESS => Order::Less,
        operators::LESS_EQUALS => Order::AtMost,
        operators::GREATER => Order::More,
        operators::GREATER_EQUALS => Order::AtLeast,
        _ => return None,
    })
}

fn arithmetic(operator: &str) -> Option<Binary> {
    Some(match operator {
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        operators::DIVIDE => Binary::Divide,
        operators::MODULO => Binary::Remainder,
        _ => return None,
    })
}

fn not_literal<'e, T>(element: &'e IdedExpr) -> Compiled<'e, T> {
    complain(element, "is no literal; a list right of `in` takes only literals, of one kind")
}

fn wrong_element<'e, T>(element: &'e IdedExpr, expected: &Kind) -> Compiled<'e, T> {
    complain(element, format!("stands in a list that is searched for {}", expected.noun()))
}
