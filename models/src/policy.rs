//! `decide()`: the one place where the steps of a decision are ordered.
//!
//! Control -> availability -> eligibility, applicability, suitability -> treatment -> consent -> contact policy ->
//! propensity -> value -> arbitration -> exploration. Pure, total and deterministic: the same policy, situation and
//! question give the same decision, bit for bit, and every action that fell says at which step, by what, and until
//! when where that is known.

pub mod expression;
pub mod selector;
pub mod control;
pub mod contact;
pub mod exploration;
pub mod hopper;
pub mod file;
pub mod response;
pub mod situation;
mod facts;
mod check;
mod funnel;
mod bid;
mod arbitration;

use std::collections::{BTreeMap, BTreeSet};

use crate::action::Action;
use crate::decision::{Decision, DecisionOutcome, Direction, Name, RejectionCode};
use contact::{Budget, Cap, Suppression};
use control::ControlRules;
use exploration::Exploration;
use expression::{Formula, Rule};
use facts::Names;
use file::{Arbitration, Channel, ConsentRule, ContactRules, ContextKind};
use hopper::HopperRules;
use response::OfferKey;
use selector::{Selector, Subject};

pub use arbitration::Factor;
pub use check::PolicyFault;
pub use situation::{Question, Situation};

/// The checked policy.
#[derive(Clone, Debug)]
pub struct Policy {
    actions: Vec<CheckedAction>,
    /// Names of the propensity models that actions are about or rules speak of.
    models: Vec<String>,
    /// Names of the response models.
    responses: Vec<String>,
    names: Names,
    /// Whether a rule or formula names the lifetime value.
    asks_lifetime_value: bool,
    arbitration: Arbitration,
    exploration: Exploration,
    control: ControlRules,
    contact: ContactRules,
    hopper: HopperRules,
    /// What each campaign of the hopper has a night.
    capacities: Vec<Budget>,
    fallback: Option<usize>,
    channels: BTreeMap<String, Channel>,
    caps: Vec<Cap>,
    suppressions: Vec<Suppression>,
    budgets: Vec<(Name, Budget)>,
    context_weights: Vec<(Selector, Rule, f64)>,
    /// Actions by the hash under which contacts know them.
    by_hash: BTreeMap<u64, usize>,
    /// Channels likewise, each with the direction of its contacts where it has one.
    channel_by_hash: BTreeMap<u64, (String, Option<Direction>)>,
    warnings: Vec<String>,
}

/// An action with its rules compiled.
#[derive(Clone, Debug)]
struct CheckedAction {
    /// Its place in the file.
    at: usize,
    spec: Action,
    id: Name,
    model: Predictor,
    model_name: Name,
    eligibility: Vec<CheckedRule>,
    applicability: Vec<CheckedRule>,
    suitability: Vec<CheckedRule>,
    value: CheckedValue,
    treatments: Vec<CheckedTreatment>,
    follows: Vec<u64>,
}

/// What tells the propensity of an action, by its place in its list.
#[derive(Clone, Copy, Debug)]
enum Predictor {
    /// A model of the customer.
    Label(usize),
    /// A model of the customer and the offer.
    Response(usize),
}

#[derive(Clone, Debug)]
struct CheckedRule {
    rule: Rule,
    /// What is told where it fails.
    code: String,
}

#[derive(Clone, Debug)]
enum CheckedValue {
    FixedMinor(f64),
    ShareOfRecentValue(f64),
    Formula(Formula),
}

#[derive(Clone, Debug)]
struct CheckedTreatment {
    id: Name,
    channel: Name,
    consent: ConsentRule,
    direction: Option<Direction>,
    cost_minor: i64,
    /// Its place among the treatments of all actions, in the order of the file.
    at: usize,
    key: OfferKey,
}

impl CheckedAction {
    /// What limits and weights see of it through `treatment`, where the caller asked for contacts of the direction `asked`.
    fn subject<'a>(&'a self, treatment: &'a CheckedTreatment, asked: Option<Direction>) -> Subject<'a> {
        let direction = treatment.direction.or(asked);
        Subject { channel: Some(&treatment.channel), direction, ..self.itself() }
    }

    /// The same, whatever its form.
    fn itself(&self) -> Subject<'_> {
        Subject {
            action: Some(&self.spec.id),
            channel: None,
            direction: None,
            group: Some(&self.spec.group),
            issue: Some(&self.spec.issue),
            campaign_type: Some(self.spec.campaign_type),
        }
    }

    /// Its rules, of all steps.
    fn rules(&self) -> impl Iterator<Item = &CheckedRule> {
        self.eligibility.iter().chain(&self.applicability).chain(&self.suitability)
    }

    /// Whether it reaches those who objected or are held out.
    fn is_service(&self) -> bool {
        self.spec.mandatory || self.spec.campaign_type == crate::action::CampaignType::Service
    }
}

impl Policy {
    /// With the margin of the project, 0 ..= 1, for rules and formulas to use; examples do not know it unless they give it.
    #[must_use]
    pub fn with_margin(mut self, margin: Option<f64>) -> Self {
        self.names.margin = margin;
        self
    }

    /// The actions, in the order of the file.
    pub fn actions(&self) -> impl ExactSizeIterator<Item = &Action> {
        self.actions.iter().map(|action| &action.spec)
    }

    /// The action called `id`.
    #[must_use]
    pub fn action(&self, id: &str) -> Option<&Action> {
        self.actions().find(|action| action.id == id)
    }

    /// Names of the propensity models that a decision asks, in the order of [`Situation::scores`].
    #[must_use]
    pub fn models(&self) -> &[String] {
        &self.models
    }

    /// Names of the response models that actions are about, in the order of [`Situation::response_rates`].
    #[must_use]
    pub fn responses(&self) -> &[String] {
        &self.responses
    }

    /// Every treatment of every action in the order of the file, each with the place of the response model that is asked
    /// of it; none where the action is about a label.
    fn offers(&self) -> impl Iterator<Item = (&CheckedAction, &CheckedTreatment, Option<usize>)> {
        self.actions.iter().flat_map(|action| {
            let response = match action.model {
                Predictor::Response(at) => Some(at),
                Predictor::Label(_) => None,
            };
            action.treatments.iter().map(move |treatment| (action, treatment, response))
        })
    }

    /// The channels that treatments go through or that have rules.
    pub fn channels(&self) -> impl Iterator<Item = &String> {
        self.channels.keys()
    }

    /// What callers may say of the moment for rules to use, by name.
    pub fn context(&self) -> impl Iterator<Item = (&String, &ContextKind)> {
        self.names.context()
    }

    /// The texts that rules, formulas and context weights ask the text `name` for, such as `context.placement`.
    #[must_use]
    pub fn texts_asked_of(&self, name: &str) -> BTreeSet<&str> {
        let mut asked: BTreeSet<&str> = BTreeSet::new();
        for action in &self.actions {
            asked.extend(action.rules().flat_map(|checked| checked.rule.texts_asked_of(name)));
            if let CheckedValue::Formula(formula) = &action.value {
                asked.extend(formula.texts_asked_of(name));
            }
        }
        asked.extend(self.context_weights.iter().flat_map(|(_, rule, _)| rule.texts_asked_of(name)));
        asked
    }

    /// Who is held out.
    #[must_use]
    pub const fn control(&self) -> &ControlRules {
        &self.control
    }

    /// How long contacts are held.
    #[must_use]
    pub const fn contact(&self) -> &ContactRules {
        &self.contact
    }

    /// How the first place is drawn.
    #[must_use]
    pub const fn exploration(&self) -> &Exploration {
        &self.exploration
    }

    /// What all customers together may get.
    pub fn budgets(&self) -> impl ExactSizeIterator<Item = &Budget> {
        self.budgets.iter().map(|(_, budget)| budget)
    }

    /// What is allowed and probably not meant: rules that contradict each other, caps that never bind.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Decides. Never fails: what is missing is told in `degraded`, and every action has its place.
#[must_use]
pub fn decide(policy: &Policy, situation: &Situation, question: &Question) -> Decision {
    let n_actions = policy.actions.len();
    let (mut bids, mut suppressed, mut degraded) =
        (Vec::with_capacity(n_actions), Vec::with_capacity(n_actions), BTreeSet::new());
    funnel::weigh_all(policy, situation, question, |action, weighed| match weighed {
        Ok(bid) => {
            if !situation.is_modelled(action) {
                degraded.insert(format!("prior_only:{}", action.model_name));
            }
            bids.push(bid);
        }
        Err(fall) => {
            if fall.code == RejectionCode::NoModel {
                degraded.insert(format!("no_model:{}", action.model_name));
            }
            suppressed.push(fall.of(action));
        }
    });
    let lacking = !degraded.is_empty() || situation.limits_unknown;
    if bids.is_empty() && lacking && !situation.control.policy {
        bids.extend(funnel::fall_back(policy, situation, question));
    }
    arbitration::order(policy, &mut bids, situation.seed);
    let bid::Offered { actions, outranked, why } = bid::offer(policy, situation, question, bids);
    suppressed.extend(why);
    Decision {
        outcome: outcome(!actions.is_empty(), situation.control.policy, lacking),
        lifecycle_stage: situation.standing.stage,
        choice_probability: actions.first().map_or(1.0, |first| first.choice_probability),
        actions,
        outranked,
        suppressed,
        degraded: degraded.into_iter().collect(),
    }
}

const fn outcome(offered: bool, control: bool, degraded: bool) -> DecisionOutcome {
    match (offered, control, degraded) {
        (true, _, _) => DecisionOutcome::Offer,
        (false, true, _) => DecisionOutcome::Control,
        (false, false, true) => DecisionOutcome::Fallback,
        (false, false, false) => DecisionOutcome::NoAction,
    }
}
