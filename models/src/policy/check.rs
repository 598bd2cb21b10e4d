//! From policy.toml as written to the checked [`Policy`]: every fault at once, each with the text it is about.

use std::collections::{BTreeMap, BTreeSet};

use super::contact::{Budget, Cap, Suppression};
use super::expression::{ExpressionFault, Formula, Rule, Truth, contradiction};
use super::facts::{LIFETIME_VALUE, Names};
use super::file::{Channel, PolicyFile};
use super::response::OfferKey;
use super::selector::Selector;
use super::{CheckedAction, CheckedRule, CheckedTreatment, CheckedValue, Policy, Predictor};
use crate::action::{Action, ActionValue, RuleSpec};
use crate::customer::stable_hash;
use crate::decision::Name;

mod example;
mod hopper;
mod limits;

/// A fault of policy.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFault {
    /// The id of the action, cap, ... it is in; empty where it is in none.
    pub within: String,
    /// A text of the file that it is about, behind `within`; empty where there is none.
    pub near: String,
    /// Column within `near`, from 1, where it is known.
    pub column: Option<usize>,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// The faults found so far.
#[derive(Default)]
struct Faults(Vec<PolicyFault>);

impl Faults {
    fn add(&mut self, within: &str, message: impl Into<String>) {
        self.near(within, "", message);
    }

    fn near(&mut self, within: &str, near: &str, message: impl Into<String>) {
        let (within, near) = (within.to_owned(), near.to_owned());
        self.0.push(PolicyFault { within, near, column: None, message: message.into() });
    }

    fn expression(&mut self, within: &str, text: &str, fault: &ExpressionFault) {
        // A line of the expression that is not its first is a line of its own in the file.
        let near = text.lines().nth(fault.line.saturating_sub(1)).unwrap_or(text).to_owned();
        let (within, message) = (within.to_owned(), fault.message.clone());
        self.0.push(PolicyFault { within, near, column: Some(fault.column), message });
    }

    fn range(&mut self, within: &str, name: &str, value: f64, low: f64, high: f64) {
        if !(low..=high).contains(&value) {
            self.near(within, name, format!("{name} {value} lies outside {low} ..= {high}"));
        }
    }
}

impl Policy {
    /// Checks a file against the project's labels, responses and features.
    ///
    /// # Errors
    ///
    /// Every fault of the file: ids that stand twice, names nobody defined, rules that do not type-check, numbers out
    /// of their bounds, limits that contradict or follow each other in a circle, examples with another answer.
    pub fn new(
        file: PolicyFile,
        labels: &[String],
        responses: &[String],
        features: &[String],
    ) -> Result<Self, Vec<PolicyFault>> {
        let mut faults = Faults::default();
        let channels = channels(&file, &mut faults);
        let names = Names::new(features, labels, channels.keys().cloned().collect(), &file.context);
        let ids: BTreeSet<&str> = file.actions.iter().map(|action| action.id.as_str()).collect();
        let mut checker = Checker {
            names: &names,
            labels,
            responses,
            channels: &channels,
            ids: &ids,
            n_treatments: 0,
            faults: &mut faults,
        };
        let actions: Vec<CheckedAction> =
            file.actions.iter().enumerate().map(|(at, action)| checker.action(at, action)).collect();
        unique(&file.actions, &mut faults);
        limits::circles(&file.actions, &mut faults);
        let mut warnings = limits::check(&file, &mut faults);
        warnings.extend(hopper::check(&file, &mut faults));
        general(&file, &mut faults);
        let context_weights = context_weights(&file, &names, &mut faults);
        let fallback = fallback(&file, &mut faults);
        warnings.extend(actions.iter().filter_map(contradictory));
        if !faults.0.is_empty() {
            return Err(faults.0);
        }
        let by_hash = actions.iter().enumerate().map(|(at, action)| (stable_hash(&action.spec.id), at));
        let channel_by_hash =
            channels.iter().map(|(id, channel)| (stable_hash(id), (id.clone(), channel.direction)));
        let policy = Self {
            by_hash: by_hash.collect(),
            channel_by_hash: channel_by_hash.collect(),
            asks_lifetime_value: names_fact(&actions, &context_weights, LIFETIME_VALUE),
            actions,
            models: labels.to_vec(),
            responses: responses.to_vec(),
            names,
            arbitration: file.arbitration,
            exploration: file.exploration,
            control: file.control,
            contact: file.contact,
            capacities: file.hopper.capacities(),
            hopper: file.hopper,
            fallback,
            channels,
            caps: file.caps,
            suppressions: file.suppressions,
            budgets: file
                .budgets
                .into_iter()
                .map(|budget| (Name::from(budget.id.as_str()), budget))
                .collect(),
            context_weights,
            warnings,
        };
        let wrong = example::faults(&policy);
        if wrong.is_empty() { Ok(policy) } else { Err(wrong) }
    }
}

/// All channels: those with rules and those that treatments go through.
fn channels(file: &PolicyFile, faults: &mut Faults) -> BTreeMap<String, Channel> {
    let mut channels = BTreeMap::new();
    for channel in &file.channels {
        if channels.insert(channel.id.clone(), channel.clone()).is_some() {
            faults.add(&channel.id, format!("two [[channel]]s are called {:?}", channel.id));
        }
    }
    for treatment in file.actions.iter().flat_map(|action| &action.treatments) {
        let snake = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if treatment.channel.is_empty() || !treatment.channel.chars().all(snake) {
            let message = format!("channel {:?} takes lower-case letters, digits and _", treatment.channel);
            faults.add(&treatment.id, message);
        }
        let plain = || Channel { id: treatment.channel.clone(), ..Channel::default() };
        channels.entry(treatment.channel.clone()).or_insert_with(plain);
    }
    channels
}

fn unique(actions: &[Action], faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for action in actions {
        if action.id.is_empty() || !seen.insert(&action.id) {
            faults.add(&action.id, format!("action {:?}: the id is empty or stands twice", action.id));
        }
    }
}

fn general(file: &PolicyFile, faults: &mut Faults) {
    let arbitration = &file.arbitration;
    faults.range("", "min_propensity", arbitration.min_propensity, 0.0, 1.0);
    faults.range("", "min_worth_minor", arbitration.min_worth_minor, 0.0, 1e12);
    for (issue, weight) in &arbitration.issue_weights {
        faults.range("issue_weights", issue, *weight, 0.0, 100.0);
        if !file.actions.iter().any(|action| action.issue == *issue) {
            faults.near("issue_weights", issue, format!("issue_weights: no action has the issue {issue:?}"));
        }
    }
    faults.range("", "reserve_minutes", file.contact.reserve_minutes.into(), 1.0, 10_080.0);
    if let Some(message) = file.exploration.fault() {
        faults.near("[exploration]", "", message);
    }
    for (name, group) in [("policy", &file.control.policy), ("model", &file.control.model)] {
        if let Some(message) = group.as_ref().and_then(super::control::ControlGroup::fault) {
            faults.near("control", name, format!("control.{name}: {message}"));
        }
    }
}

fn context_weights(file: &PolicyFile, names: &Names, faults: &mut Faults) -> Vec<(Selector, Rule, f64)> {
    let mut weights = Vec::new();
    for weight in &file.context_weights {
        faults.range("[[context_weight]]", "weight", weight.weight, 0.0, 100.0);
        match Rule::parse(&weight.rule, &names.vocabulary) {
            Ok(rule) => weights.push((weight.selector.clone(), rule, weight.weight)),
            Err(fault) => faults.expression("[[context_weight]]", &weight.rule, &fault),
        }
    }
    weights
}

fn fallback(file: &PolicyFile, faults: &mut Faults) -> Option<usize> {
    let fallback = file.fallback.as_ref()?;
    let at = file.actions.iter().position(|action| action.id == fallback.action);
    match at.map(|at| &file.actions[at]) {
        None => faults.near(
            "[fallback]",
            "action",
            format!("fallback: no action is called {:?}", fallback.action),
        ),
        Some(action) if action.prior.is_none() => {
            let message =
                format!("fallback {:?} needs a prior: it is offered when no model speaks", action.id);
            faults.add(&action.id, message);
        }
        Some(_) => {}
    }
    at
}

/// Whether a rule or formula uses the fact called `name`.
fn names_fact(actions: &[CheckedAction], weights: &[(Selector, Rule, f64)], name: &str) -> bool {
    let in_rule = |rule: &Rule| rule.names().any(|used| used == name);
    let in_action = |action: &CheckedAction| {
        let in_value = match &action.value {
            CheckedValue::Formula(formula) => formula.names().any(|used| used == name),
            CheckedValue::FixedMinor(_) | CheckedValue::ShareOfRecentValue(_) => false,
        };
        in_value || action.rules().any(|checked| in_rule(&checked.rule))
    };
    actions.iter().any(in_action) || weights.iter().any(|(_, rule, _)| in_rule(rule))
}

/// The warning that the rules of `action` cannot hold together.
fn contradictory(action: &CheckedAction) -> Option<String> {
    let rules: Vec<&Rule> = action.rules().map(|checked| &checked.rule).collect();
    let why = contradiction(&rules)?;
    Some(format!("action {:?} reaches nobody: {why}", action.spec.id))
}

/// Checks one action.
struct Checker<'a> {
    names: &'a Names,
    labels: &'a [String],
    responses: &'a [String],
    channels: &'a BTreeMap<String, Channel>,
    ids: &'a BTreeSet<&'a str>,
    /// Treatments seen so far.
    n_treatments: usize,
    faults: &'a mut Faults,
}

impl Checker<'_> {
    fn action(&mut self, at: usize, action: &Action) -> CheckedAction {
        let id = &action.id;
        self.plain(action);
        CheckedAction {
            at,
            id: Name::from(id.as_str()),
            model: self.predictor(action),
            model_name: Name::from(action.propensity.as_str()),
            eligibility: self.rules(id, "eligibility", &action.eligibility),
            applicability: self.rules(id, "applicability", &action.applicability),
            suitability: self.rules(id, "suitability", &action.suitability),
            value: self.value(action),
            treatments: self.treatments(action),
            follows: action.follows.iter().map(|id| stable_hash(id)).collect(),
            spec: action.clone(),
        }
    }

    fn predictor(&mut self, action: &Action) -> Predictor {
        let (id, name) = (&action.id, &action.propensity);
        let place = |names: &[String]| names.iter().position(|known| known == name);
        let label = || place(self.labels).map(Predictor::Label);
        if let Some(found) = place(self.responses).map(Predictor::Response).or_else(label) {
            return found;
        }
        let known: Vec<&str> = self.labels.iter().chain(self.responses).map(String::as_str).collect();
        let message = format!(
            "action {id:?}: propensity {name:?} is no label or response; nextbest.toml has {}",
            known.join(", ")
        );
        self.faults.near(id, name, message);
        Predictor::Label(0)
    }

    fn plain(&mut self, action: &Action) {
        let id = &action.id;
        if action.stages.is_empty() || action.treatments.is_empty() {
            let message = format!("action {id:?}: needs at least one stage and one [[action.treatment]]");
            self.faults.add(id, message);
        }
        self.faults.range(id, "lever", action.lever, 0.0, 100.0);
        for dated in &action.levers {
            self.faults.range(id, "weight", dated.weight, 0.0, 100.0);
            if dated.from.zip(dated.until).is_some_and(|(from, until)| until <= from) {
                self.faults.near(id, "levers", format!("action {id:?}: a lever ends before it begins"));
            }
        }
        self.faults.range(id, "valid_days", action.valid_days.into(), 1.0, 365.0);
        if action.available_from.zip(action.available_until).is_some_and(|(from, until)| until <= from) {
            self.faults.near(id, "available_until", format!("action {id:?}: it ends before it begins"));
        }
        if let Some(prior) = action.prior {
            if !(prior.propensity > 0.0 && prior.propensity < 1.0) {
                let message = format!(
                    "action {id:?}: prior.propensity {} lies outside 0 .. 1, both excluded",
                    prior.propensity
                );
                self.faults.near(id, "prior", message);
            }
            self.faults.range(id, "evidence", prior.evidence, 1.0, 1e6);
        }
        for other in action.follows.iter().filter(|other| !self.ids.contains(other.as_str())) {
            self.faults.near(id, other, format!("action {id:?} follows {other:?}, which is no action"));
        }
    }

    fn rules(&mut self, id: &str, step: &str, specs: &[RuleSpec]) -> Vec<CheckedRule> {
        let mut rules = Vec::new();
        for (at, spec) in specs.iter().enumerate() {
            let code = match spec {
                RuleSpec::Named { code, .. } => code.clone(),
                RuleSpec::Text(_) => format!("{step}[{at}]"),
            };
            match Rule::parse(spec.text(), &self.names.vocabulary) {
                Ok(rule) => rules.push(CheckedRule { rule, code }),
                Err(fault) => self.faults.expression(id, spec.text(), &fault),
            }
        }
        rules
    }

    #[expect(clippy::cast_precision_loss, reason = "amounts in minor units stay far below 2^53")]
    fn value(&mut self, action: &Action) -> CheckedValue {
        let id = &action.id;
        match &action.value {
            ActionValue::FixedMinor(amount) => {
                if *amount < 0 {
                    self.faults.near(
                        id,
                        "fixed_minor",
                        format!("action {id:?}: fixed_minor {amount} is below 0"),
                    );
                }
                CheckedValue::FixedMinor(*amount as f64)
            }
            ActionValue::ShareOfRecentValue(share) => {
                self.faults.range(id, "share_of_recent_value", *share, 0.0, 1.0);
                CheckedValue::ShareOfRecentValue(*share)
            }
            ActionValue::Formula(text) => match Formula::parse(text, &self.names.vocabulary) {
                Ok(formula) => CheckedValue::Formula(formula),
                Err(fault) => {
                    self.faults.expression(id, text, &fault);
                    CheckedValue::FixedMinor(0.0)
                }
            },
        }
    }

    fn treatments(&mut self, action: &Action) -> Vec<CheckedTreatment> {
        let mut seen = BTreeSet::new();
        let mut treatments = Vec::new();
        for treatment in &action.treatments {
            if treatment.id.is_empty() || !seen.insert(&treatment.id) {
                let message =
                    format!("action {:?}: treatment {:?} is empty or stands twice", action.id, treatment.id);
                self.faults.add(&treatment.id, message);
            }
            if treatment.cost_minor < 0 {
                let message =
                    format!("treatment {:?}: cost_minor {} is below 0", treatment.id, treatment.cost_minor);
                self.faults.near(&treatment.id, "cost_minor", message);
            }
            let channel = self.channels.get(&treatment.channel).cloned().unwrap_or_default();
            treatments.push(CheckedTreatment {
                id: Name::from(treatment.id.as_str()),
                channel: Name::from(treatment.channel.as_str()),
                consent: channel.consent,
                direction: channel.direction,
                cost_minor: treatment.cost_minor,
                at: self.n_treatments,
                key: OfferKey { action: stable_hash(&action.id), channel: stable_hash(&treatment.channel) },
            });
            self.n_treatments += 1;
        }
        treatments
    }
}

/// The id, the selector and the kind of a limit, for checks that all limits share.
trait Limit {
    fn id(&self) -> &str;
    fn selector(&self) -> &Selector;
    const KIND: &'static str;
}

macro_rules! limit {
    ($type:ty, $kind:literal) => {
        impl Limit for $type {
            fn id(&self) -> &str {
                &self.id
            }
            fn selector(&self) -> &Selector {
                &self.selector
            }
            const KIND: &'static str = $kind;
        }
    };
}

limit!(Cap, "cap");
limit!(Suppression, "suppression");
limit!(Budget, "budget");

/// Whether every rule of `action` holds, for examples.
fn lets_through(action: &CheckedAction, facts: &super::expression::Facts<'_>) -> bool {
    action.rules().all(|checked| checked.rule.holds(facts) == Truth::Yes)
}
