//! Rules that can never hold together, and rules that can never fail, found without evaluating anything.
//!
//! For each condition and outcome, a region is computed: for each name the values it must have. Conditions over one
//! name and constants give it exactly; an `||` unites the regions of its operands name by name, and whatever compares
//! two names or computes gives none. Every region holds all facts that lead to the outcome, perhaps more: an empty one
//! proves a contradiction, and a contradiction may go unnoticed.

use std::collections::{BTreeMap, BTreeSet};

use super::domain::{Domain, Values};
use super::program::{At, Condition, Number, Order, Span, Text};
use super::vocabulary::Kind;
use super::{Rule, Truth, syntax};

/// Which facts can lead to an outcome: none, or those whose values lie in the domains named.
type Region<'r> = Option<Constraints<'r>>;

/// What is left of each name; one that is not among them may be anything.
type Constraints<'r> = BTreeMap<&'r str, Domain>;

/// Says which of the rules, or of their operands by `&&`, can never hold together, if some cannot.
///
/// What it says is so: no facts make all rules hold. That it says nothing proves nothing.
#[must_use]
pub fn contradiction(rules: &[&Rule]) -> Option<String> {
    let mut terms: Vec<Term<'_>> = Vec::new();
    let mut rest = Constraints::new();
    for rule in rules {
        for (at, id) in &rule.terms {
            let term = Term { rule, id: *id, region: rule.region(*at, Truth::Yes) };
            let narrowed = both(rest, &term.region);
            terms.push(term);
            match narrowed {
                Some(narrowed) => rest = narrowed,
                None => return Some(explain(&terms)),
            }
        }
    }
    None
}

/// Whether no facts make the rule come to [`Truth::No`]; where something is unknown it may still be unknown.
///
/// If it says so it is so; that it does not proves nothing.
#[must_use]
pub fn always(rule: &Rule) -> bool {
    rule.region(rule.root, Truth::No).is_none()
}

struct Term<'r> {
    rule: &'r Rule,
    id: u64,
    region: Region<'r>,
}

impl Term<'_> {
    fn meets<'r>(&'r self, other: &'r Self) -> Region<'r> {
        both(self.region.clone()?, &other.region)
    }

    fn words(&self) -> String {
        let tree = syntax::parse(&self.rule.text).ok();
        let node = tree.as_ref().and_then(|tree| syntax::find(tree, self.id));
        node.map_or_else(
            || self.rule.text.to_string(),
            |node| syntax::Places::new(&self.rule.text).words(node),
        )
    }
}

/// Of terms that contradict each other, the last one with the earlier ones, those that are needed for it.
fn explain(terms: &[Term<'_>]) -> String {
    let Some((last, earlier)) = terms.split_last() else { return String::new() };
    if last.region.is_none() {
        return format!("{} can never hold", last.words());
    }
    if let Some(other) = earlier.iter().find(|term| term.meets(last).is_none()) {
        return format!("{} contradicts {}", other.words(), last.words());
    }
    let mut needed: Vec<&Term<'_>> = terms.iter().collect();
    let mut at = 0;
    while at < needed.len() {
        let mut others = needed.iter().enumerate().filter(|(place, _)| *place != at);
        match others.try_fold(Constraints::new(), |all, (_, term)| both(all, &term.region)) {
            None => drop(needed.remove(at)),
            Some(_) => at += 1,
        }
    }
    let words: Vec<String> = needed.iter().map(|term| term.words()).collect();
    format!("{} can never hold together", words.join(" and "))
}

fn both<'r>(mut all: Constraints<'r>, others: &Region<'r>) -> Region<'r> {
    for (name, domain) in others.as_ref()? {
        let narrowed = all.get(name).map_or_else(|| domain.clone(), |known| known.intersected(domain));
        if narrowed.is_empty() {
            return None;
        }
        all.insert(name, narrowed);
    }
    Some(all)
}

/// What one of the two leaves, name by name: a name that either leaves open stays open.
fn either<'r>(a: Region<'r>, b: Region<'r>) -> Region<'r> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return a.or(b),
    };
    Some(a.iter().filter_map(|(name, domain)| Some((*name, domain.united(b.get(name)?)))).collect())
}

fn only<'r>(name: Option<&'r str>, domain: Domain) -> Region<'r> {
    let Some(name) = name else { return Some(Constraints::new()) };
    if domain.is_empty() { None } else { Some(BTreeMap::from([(name, domain)])) }
}

impl Rule {
    /// What leads `at` to `outcome`, which is yes or no.
    fn region(&self, at: At, outcome: Truth) -> Region<'_> {
        let open = || Some(Constraints::new());
        let yes = outcome == Truth::Yes;
        match &self.program.conditions[usize::from(at)] {
            Condition::Constant(truth) => (*truth == outcome).then(Constraints::new),
            Condition::Flag(slot) => {
                only(self.name(*slot, &Kind::Flag), Domain::known(Values::Flags { no: !yes, yes }))
            }
            Condition::HasNumber(slot) => {
                self.has(*slot, &Kind::Number, Values::Numbers(vec![(f64::MIN, f64::MAX)]), yes)
            }
            Condition::HasFlag(slot) => {
                self.has(*slot, &Kind::Flag, Values::Flags { no: true, yes: true }, yes)
            }
            Condition::HasText(slot) => self.has(*slot, &TEXT, self.all_texts(*slot), yes),
            Condition::Bound { slot, order, bound } => {
                let order = if yes { *order } else { order.negated() };
                only(self.name(*slot, &Kind::Number), Domain::known(Values::numbers(order, *bound)))
            }
            Condition::NumberIn { value, among } => self.number_in(*value, self.constants(*among), yes),
            Condition::SameText { left, right } => match (self.text_of(*left), self.text_of(*right)) {
                (Text::Fact(slot), Text::Constant(text)) | (Text::Constant(text), Text::Fact(slot)) => {
                    self.texts(*slot, &|level| level == &**text, Some([text.to_string()].into()), yes)
                }
                _ => open(),
            },
            Condition::TextIn { value, among } => match self.text_of(*value) {
                Text::Fact(slot) => {
                    let literals: BTreeSet<String> =
                        self.literals(*among).iter().map(ToString::to_string).collect();
                    self.texts(*slot, &|level| literals.contains(level), Some(literals.clone()), yes)
                }
                _ => open(),
            },
            Condition::TextTest { test, value, part } => match (self.text_of(*value), self.text_of(*part)) {
                (Text::Fact(slot), Text::Constant(part)) => {
                    self.texts(*slot, &|level| test.holds(level, part), None, yes)
                }
                _ => open(),
            },
            Condition::Not(of) => self.region(*of, outcome.negated()),
            Condition::All(span) if yes => self.every(*span, outcome),
            Condition::All(span) => self.some(*span, outcome),
            Condition::Any(span) if yes => self.some(*span, outcome),
            Condition::Any(span) => self.every(*span, outcome),
            Condition::Choose { when, then, otherwise } => either(
                self.region(*when, Truth::Yes).and_then(|when| both(when, &self.region(*then, outcome))),
                self.region(*when, Truth::No).and_then(|when| both(when, &self.region(*otherwise, outcome))),
            ),
            Condition::Compare { .. } | Condition::SameFlag { .. } => open(),
        }
    }

    fn every(&self, span: Span, outcome: Truth) -> Region<'_> {
        let mut operands = self.operands(span).iter();
        operands.try_fold(Constraints::new(), |all, at| both(all, &self.region(*at, outcome)))
    }

    fn some(&self, span: Span, outcome: Truth) -> Region<'_> {
        self.operands(span).iter().fold(None, |any, at| either(any, self.region(*at, outcome)))
    }

    fn has(&self, slot: u16, kind: &Kind, all: Values, yes: bool) -> Region<'_> {
        let domain = if yes { Domain::known(all) } else { Domain { known: none(&all), unknown: true } };
        only(self.name(slot, kind), domain)
    }

    fn number_in(&self, value: At, constants: &[f64], yes: bool) -> Region<'_> {
        let Number::Fact(slot) = self.program.numbers[usize::from(value)] else {
            return Some(Constraints::new());
        };
        let order = if yes { Order::Equal } else { Order::Unequal };
        let sets = constants.iter().map(|constant| Domain::known(Values::numbers(order, *constant)));
        let join = |a: Domain, b: Domain| if yes { a.united(&b) } else { a.intersected(&b) };
        match sets.reduce(join) {
            Some(domain) => only(self.name(slot, &Kind::Number), domain),
            None => Some(Constraints::new()),
        }
    }

    /// Texts for which `holds` comes to `yes`; `exactly` those, where they are known without levels.
    fn texts(
        &self,
        slot: u16,
        holds: &dyn Fn(&str) -> bool,
        exactly: Option<BTreeSet<String>>,
        yes: bool,
    ) -> Region<'_> {
        let values = match (self.all_texts(slot), exactly) {
            (Values::Texts(levels), _) => {
                Values::Texts(levels.into_iter().filter(|level| holds(level) == yes).collect())
            }
            (_, Some(texts)) if yes => Values::Texts(texts),
            (_, Some(texts)) => Values::TextsBut(texts),
            (all, None) => all,
        };
        only(self.name(slot, &TEXT), Domain::known(values))
    }

    fn all_texts(&self, slot: u16) -> Values {
        match self.used(slot, &TEXT).map(|used| &used.kind) {
            Some(Kind::Text { levels: Some(levels) }) => Values::Texts(levels.iter().cloned().collect()),
            _ => Values::TextsBut(BTreeSet::new()),
        }
    }

    fn used(&self, slot: u16, kind: &Kind) -> Option<&super::Use> {
        let same_kind = |used: &Kind| std::mem::discriminant(used) == std::mem::discriminant(kind);
        self.uses.iter().find(|used| used.slot == slot && same_kind(&used.kind))
    }

    fn name(&self, slot: u16, kind: &Kind) -> Option<&str> {
        self.used(slot, kind).map(|used| &*used.name)
    }

    fn text_of(&self, at: At) -> &Text {
        &self.program.texts[usize::from(at)]
    }

    fn operands(&self, span: Span) -> &[At] {
        span.of(&self.program.operands)
    }

    fn constants(&self, span: Span) -> &[f64] {
        span.of(&self.program.constants)
    }

    fn literals(&self, span: Span) -> &[Box<str>] {
        span.of(&self.program.literals)
    }
}

const TEXT: Kind = Kind::Text { levels: None };

fn none(all: &Values) -> Values {
    match all {
        Values::Numbers(_) => Values::Numbers(Vec::new()),
        Values::Flags { .. } => Values::Flags { no: false, yes: false },
        Values::Texts(_) | Values::TextsBut(_) => Values::Texts(BTreeSet::new()),
    }
}
