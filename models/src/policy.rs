//! `decide()`: the one place where the steps of a decision are ordered.
//!
//! Availability -> eligibility by lifecycle stage -> treatment and channel -> propensity -> value -> arbitration.
//! Pure, total and deterministic: the same arguments give the same decision, bit for bit, and every action that fell
//! says where.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::action::{Action, ActionValue, Treatment};
use crate::customer::Customer;
use crate::decision::{Candidate, Context, Decision, DecisionOutcome, Factors, Rejection};
use crate::feature::Schema;
use crate::lifecycle::{LifecycleRules, Stage};
use crate::project::{LabelRule, Project};
use crate::units::{Probability, Timestamp};
use crate::value::recent_value_minor;

/// policy.toml as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    #[serde(default, rename = "action")]
    actions: Vec<Action>,
}

/// The checked catalogue of actions.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    actions: Vec<Action>,
}

impl Policy {
    /// Checks a file against the project's labels; every fault comes with the name it is about.
    pub fn new(
        file: PolicyFile,
        labels: &BTreeMap<String, LabelRule>,
    ) -> Result<Self, Vec<(String, String)>> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        for action in &file.actions {
            let mut fault = |message: String| {
                faults.push((action.id.clone(), format!("action {:?}: {message}", action.id)))
            };
            if action.id.is_empty() || !seen.insert(&action.id) {
                fault("the id is empty or stands twice".to_owned());
            }
            if !labels.contains_key(&action.propensity) {
                let known: Vec<&str> = labels.keys().map(String::as_str).collect();
                fault(format!(
                    "propensity {:?} is no label; nextbest.toml has {}",
                    action.propensity,
                    known.join(", ")
                ));
            }
            if action.stages.is_empty() || action.treatments.is_empty() {
                fault("needs at least one stage and one [[action.treatment]]".to_owned());
            }
            if !(0.0..=100.0).contains(&action.lever) {
                fault(format!("lever {} lies outside 0 ..= 100", action.lever));
            }
            if !(1..=365).contains(&action.valid_days) {
                fault(format!("valid_days {} lies outside 1 ..= 365", action.valid_days));
            }
            match action.value {
                ActionValue::FixedMinor(amount) if amount < 0 => {
                    fault(format!("fixed_minor {amount} is below 0"))
                }
                ActionValue::ShareOfRecentValue(share) if !(0.0..=1.0).contains(&share) => {
                    fault(format!("share_of_recent_value {share} lies outside 0 ..= 1"));
                }
                _ => {}
            }
        }
        if faults.is_empty() { Ok(Self { actions: file.actions }) } else { Err(faults) }
    }

    /// The actions, in the order of the file.
    #[must_use]
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }
}

/// What a caller asks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// The moment.
    pub context: Context,
    /// How many actions at most, at least 1.
    pub max_actions: u32,
    /// Only these actions; empty for all.
    pub candidate_actions: Vec<String>,
    /// Not these.
    pub excluded_actions: Vec<String>,
    /// Not through these channels: the customer's consent, as the caller knows it at this moment.
    pub denied_channels: Vec<String>,
}

/// What a decision is made of besides the question.
#[derive(Clone, Copy)]
pub struct Known<'a, P> {
    /// What the business decides.
    pub project: &'a Project,
    /// The customer's state; absent when nothing is known of them.
    pub customer: Option<&'a Customer>,
    /// Features of that customer as of `now`, in the schema's order.
    pub features: &'a [f64],
    /// Propensity by name of the model; absent when there is no such model.
    pub propensity: P,
    /// The moment of the decision.
    pub now: Timestamp,
}

/// Decides. Never fails: without a customer or a model it says so and falls back to no action.
pub fn decide<P>(known: &Known<'_, P>, question: &Question) -> Decision
where
    P: Fn(&str, &[f64]) -> Option<Probability>,
{
    let Some(customer) = known.customer else { return unknown_customer() };
    let stage = stage(&known.project.settings.lifecycle, customer, &known.project.schema, known.now);
    let (mut actions, mut suppressed, mut degraded) = (Vec::new(), Vec::new(), BTreeSet::new());
    for action in known.project.policy.actions() {
        match weigh(known, question, customer, stage, action) {
            Ok(candidate) => actions.push(candidate),
            Err(fall) => {
                if fall.code == "no_model" {
                    degraded.insert(format!("no_model:{}", action.propensity));
                }
                suppressed.push(fall.of(action));
            }
        }
    }
    arbitrate(&mut actions, &mut suppressed, question.max_actions);
    let outcome = match (actions.is_empty(), degraded.is_empty()) {
        (false, _) => DecisionOutcome::Offer,
        (true, true) => DecisionOutcome::NoAction,
        (true, false) => DecisionOutcome::Fallback,
    };
    Decision {
        outcome,
        lifecycle_stage: Some(stage),
        actions,
        suppressed,
        choice_probability: Probability::ONE,
        degraded: degraded.into_iter().collect(),
    }
}

fn unknown_customer() -> Decision {
    Decision {
        outcome: DecisionOutcome::Fallback,
        lifecycle_stage: None,
        actions: Vec::new(),
        suppressed: Vec::new(),
        choice_probability: Probability::ONE,
        degraded: vec!["unknown_customer".to_owned()],
    }
}

fn stage(rules: &LifecycleRules, customer: &Customer, schema: &Schema, now: Timestamp) -> Stage {
    rules.stage(customer, schema, now.day())
}

/// Where an action fell: step, component, code.
struct Fall {
    stage: &'static str,
    component: &'static str,
    code: &'static str,
}

impl Fall {
    const fn at(stage: &'static str, component: &'static str, code: &'static str) -> Self {
        Self { stage, component, code }
    }

    fn of(&self, action: &Action) -> Rejection {
        Rejection {
            action_id: action.id.clone(),
            stage: self.stage.to_owned(),
            component: self.component.to_owned(),
            code: self.code.to_owned(),
            until: None,
        }
    }
}

fn weigh<P>(
    known: &Known<'_, P>,
    question: &Question,
    customer: &Customer,
    stage: Stage,
    action: &Action,
) -> Result<Candidate, Fall>
where
    P: Fn(&str, &[f64]) -> Option<Probability>,
{
    if !question.candidate_actions.is_empty() && !question.candidate_actions.contains(&action.id) {
        return Err(Fall::at("availability", "candidate_actions", "not_requested"));
    }
    if question.excluded_actions.contains(&action.id) {
        return Err(Fall::at("availability", "excluded_actions", "excluded_by_caller"));
    }
    if !action.stages.contains(&stage) {
        return Err(Fall::at("eligibility", "lifecycle_stage", "stage_not_eligible"));
    }
    let treatment = treatment(action, question)?;
    let propensity = (known.propensity)(&action.propensity, known.features);
    let propensity = propensity.ok_or(Fall::at("propensity", "model", "no_model"))?;
    let factors = Factors {
        propensity,
        context_weight: 1.0,
        value: value_minor(action, known.project, customer, known.now),
        lever: action.lever,
    };
    let priority = factors.priority();
    if priority.is_nan() || priority <= 0.0 {
        return Err(Fall::at("arbitration", "priority", "not_positive"));
    }
    Ok(Candidate {
        rank: 0,
        action_id: action.id.clone(),
        campaign_type: action.campaign_type,
        propensity_model: action.propensity.clone(),
        treatment_id: treatment.id.clone(),
        channel: treatment.channel.clone(),
        expires_at: known.now.plus_days(action.valid_days),
        priority,
        factors,
    })
}

fn treatment<'a>(action: &'a Action, question: &Question) -> Result<&'a Treatment, Fall> {
    let channel = question.context.channel.as_deref();
    let fits = |treatment: &&Treatment| channel.is_none_or(|channel| treatment.channel == channel);
    let mut fitting = action.treatments.iter().filter(fits).peekable();
    if fitting.peek().is_none() {
        return Err(Fall::at("treatment", "channel", "no_treatment_for_channel"));
    }
    let allowed = |treatment: &&Treatment| !question.denied_channels.contains(&treatment.channel);
    fitting.find(allowed).ok_or(Fall::at("contact_policy", "consent", "no_consent"))
}

#[expect(clippy::cast_precision_loss, reason = "amounts in minor units stay far below 2^53")]
fn value_minor(action: &Action, project: &Project, customer: &Customer, now: Timestamp) -> f64 {
    match action.value {
        ActionValue::FixedMinor(amount) => amount as f64,
        ActionValue::ShareOfRecentValue(share) => {
            let window_days = project.settings.activity.window_days;
            share * recent_value_minor(customer, &project.schema, now.day(), window_days) as f64
        }
    }
}

/// Sorts by priority, ties by action id, and keeps the best `max_actions`.
fn arbitrate(actions: &mut Vec<Candidate>, suppressed: &mut Vec<Rejection>, max_actions: u32) {
    actions.sort_by(|a, b| b.priority.total_cmp(&a.priority).then_with(|| a.action_id.cmp(&b.action_id)));
    let kept = actions.len().min(max_actions.max(1) as usize);
    for loser in actions.drain(kept..) {
        suppressed.push(Rejection {
            action_id: loser.action_id,
            stage: "arbitration".to_owned(),
            component: "priority".to_owned(),
            code: "outranked".to_owned(),
            until: None,
        });
    }
    for (rank, action) in (1..).zip(actions) {
        action.rank = rank;
    }
}
