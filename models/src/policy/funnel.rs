//! The funnel: one action after another through the steps, up to its bid or to where it falls.

use std::borrow::Cow;

use super::bid::Bid;
use super::contact::{Held, PastContact, Seen};
use super::expression::{Facts, Truth};
use super::file::ConsentRule;
use super::selector::Subject;
use super::{
    CheckedAction, CheckedRule, CheckedTreatment, CheckedValue, Policy, Predictor, Question, Situation,
};
use crate::decision::{Factors, FunnelStage, Maturity, Name, Rejection, RejectionCode};
use crate::posterior;
use crate::units::{Probability, Timestamp};

/// Where an action fell.
pub(super) struct Fall {
    stage: FunnelStage,
    component: Cow<'static, str>,
    pub(super) code: RejectionCode,
    until: Option<Timestamp>,
}

impl Fall {
    pub(super) fn at(
        stage: FunnelStage,
        component: impl Into<Cow<'static, str>>,
        code: RejectionCode,
    ) -> Self {
        Self { stage, component: component.into(), code, until: None }
    }

    pub(super) fn until(self, until: Timestamp) -> Self {
        Self { until: Some(until), ..self }
    }

    pub(super) fn of(self, action: &CheckedAction) -> Rejection {
        Rejection {
            action_id: action.id.clone(),
            stage: self.stage,
            component: self.component,
            code: self.code,
            until: self.until,
        }
    }
}

/// What all actions of a decision share.
struct Round<'a, 'f> {
    policy: &'a Policy,
    situation: &'a Situation,
    question: &'a Question,
    facts: Facts<'f>,
    /// Contacts, the latest first, beside what the policy knows of their actions.
    seen: Vec<Seen<'a>>,
    /// Whether each context weight's rule holds.
    weights_hold: Vec<bool>,
}

/// Tells `each` action, in the order of the file, its bid or where it fell.
pub(super) fn weigh_all<'a>(
    policy: &'a Policy,
    situation: &'a Situation,
    question: &'a Question,
    mut each: impl FnMut(&'a CheckedAction, Result<Bid<'a>, Fall>),
) {
    let collected = policy.names.collect(situation, question);
    let round = Round::new(policy, situation, question, collected.facts());
    policy.actions.iter().for_each(|action| each(action, round.weigh(action)));
}

/// Whether nothing that stands before any rule or question keeps `action` from the customer: only then is it worth asking a
/// model of it.
pub(super) fn is_open(action: &CheckedAction, situation: &Situation) -> bool {
    let closed = held_out(action, situation)
        .and_then(|()| in_time(action, situation.now))
        .and_then(|()| unobjected(action, situation))
        .and_then(|()| in_stage(action, situation));
    closed.is_ok()
}

fn held_out(action: &CheckedAction, situation: &Situation) -> Result<(), Fall> {
    if situation.control.policy && !action.is_service() {
        return Err(Fall::at(FunnelStage::Control, "policy_control", RejectionCode::ControlGroup));
    }
    Ok(())
}

fn in_time(action: &CheckedAction, now: Timestamp) -> Result<(), Fall> {
    let fall = |component, code| Fall::at(FunnelStage::Availability, component, code);
    if let Some(from) = action.spec.available_from.filter(|from| now < *from) {
        return Err(fall("available_from", RejectionCode::NotYetAvailable).until(from));
    }
    if action.spec.available_until.is_some_and(|until| until <= now) {
        return Err(fall("available_until", RejectionCode::Expired));
    }
    Ok(())
}

fn unobjected(action: &CheckedAction, situation: &Situation) -> Result<(), Fall> {
    if situation.objected && !action.is_service() {
        return Err(Fall::at(FunnelStage::Consent, "objection", RejectionCode::Objected));
    }
    Ok(())
}

fn in_stage(action: &CheckedAction, situation: &Situation) -> Result<(), Fall> {
    if action.spec.stages.contains(&situation.standing.stage) {
        return Ok(());
    }
    Err(Fall::at(FunnelStage::Eligibility, "lifecycle_stage", RejectionCode::StageNotEligible))
}

/// The fallback action, if the policy names one and nothing but rules and models stands against it.
pub(super) fn fall_back<'a>(
    policy: &'a Policy,
    situation: &'a Situation,
    question: &'a Question,
) -> Option<Bid<'a>> {
    let action = &policy.actions[policy.fallback?];
    let collected = policy.names.collect(situation, question);
    let round = Round::new(policy, situation, question, collected.facts());
    round.available(action).ok()?;
    let (treatment, exempt_from) = round.treatment(action).ok()?;
    let believed = action.spec.prior.map(|prior| prior.propensity)?;
    let (factors, worth) = round.factors(action, treatment, believed, None).ok()?;
    let maturity = Maturity { model: None, model_weight: 0.0, n_outcomes: 0 };
    Some(Bid::new(action, treatment, exempt_from, factors, worth, maturity))
}

/// A cap or budget that counts contacts of `subject`.
pub(super) fn counted_by<'a>(policy: &'a Policy, subject: &Subject<'_>) -> Option<&'a str> {
    let cap = policy.caps.iter().find(|cap| cap.counts(subject)).map(|cap| cap.id.as_str());
    let budget = || policy.budgets.iter().find(|(_, budget)| budget.selector.takes(subject));
    cap.or_else(|| budget().map(|(_, budget)| budget.id.as_str()))
}

/// Contacts, the latest first, beside what the policy knows of their actions.
pub(super) fn seen<'a>(policy: &'a Policy, contacts: &'a [PastContact]) -> Vec<Seen<'a>> {
    let seen = contacts.iter().map(|contact| {
        let channel = contact.channel.and_then(|hash| policy.channel_by_hash.get(&hash));
        let direction = channel.and_then(|(_, direction)| *direction);
        let channel = channel.map(|(id, _)| id.as_str());
        let action = contact.action.and_then(|hash| policy.by_hash.get(&hash)).map(|at| &policy.actions[*at]);
        let subject = match action {
            Some(action) => Subject { channel, direction, ..action.itself() },
            None => Subject { channel, direction, ..Subject::default() },
        };
        Seen { contact, subject }
    });
    seen.collect()
}

impl<'a, 'f> Round<'a, 'f> {
    fn new(policy: &'a Policy, situation: &'a Situation, question: &'a Question, facts: Facts<'f>) -> Self {
        let seen = seen(policy, &situation.contacts);
        let holds = |(_, rule, _): &(_, super::Rule, f64)| rule.holds(&facts) == Truth::Yes;
        let weights_hold = policy.context_weights.iter().map(holds).collect();
        Self { policy, situation, question, facts, seen, weights_hold }
    }

    fn weigh(&self, action: &'a CheckedAction) -> Result<Bid<'a>, Fall> {
        self.available(action)?;
        in_stage(action, self.situation)?;
        self.predecessor(action)?;
        let steps = [
            (FunnelStage::Eligibility, &action.eligibility),
            (FunnelStage::Applicability, &action.applicability),
            (FunnelStage::Suitability, &action.suitability),
        ];
        for (stage, rules) in steps {
            rules.iter().try_for_each(|rule| self.rule(stage, rule))?;
        }
        match action.model {
            Predictor::Label(_) => {
                let (treatment, exempt_from) = self.treatment(action)?;
                self.form(action, treatment, exempt_from)
            }
            Predictor::Response(_) => self.best_treatment(action),
        }
    }

    /// The bid that `action` makes in this form.
    fn form(
        &self,
        action: &'a CheckedAction,
        treatment: &'a CheckedTreatment,
        exempt_from: Vec<Name>,
    ) -> Result<Bid<'a>, Fall> {
        let (propensity, maturity) = self.propensity(action, treatment)?;
        let (factors, worth) = self.factors(action, treatment, propensity.get(), Some(propensity))?;
        Ok(Bid::new(action, treatment, exempt_from, factors, worth, maturity))
    }

    /// Of the treatments that are allowed, the one whose response is worth most after its cost, the first of equals; a
    /// response model tells them apart, a model of the customer does not. Else where the furthest one fell.
    fn best_treatment(&self, action: &'a CheckedAction) -> Result<Bid<'a>, Fall> {
        let mut best: Result<Bid<'a>, Fall> = Err(Self::no_treatment());
        for treatment in self.fitting(action) {
            let found = self.consent(treatment).and_then(|()| self.limits(action, treatment));
            let found = found.and_then(|exempt_from| self.form(action, treatment, exempt_from));
            best = match (best, found) {
                (Ok(best), Ok(found)) if found.worth > best.worth => Ok(found),
                (Err(furthest), Err(fall)) if fall.stage > furthest.stage => Err(fall),
                (Err(_), Ok(found)) => Ok(found),
                (best, _) => best,
            };
        }
        best
    }

    fn available(&self, action: &CheckedAction) -> Result<(), Fall> {
        let fall = |component, code| Err(Fall::at(FunnelStage::Availability, component, code));
        let question = self.question;
        held_out(action, self.situation)?;
        if !question.candidate_actions.is_empty() && !question.candidate_actions.contains(&action.spec.id) {
            return fall("candidate_actions", RejectionCode::NotRequested);
        }
        if question.excluded_actions.contains(&action.spec.id) {
            return fall("excluded_actions", RejectionCode::ExcludedByCaller);
        }
        in_time(action, self.situation.now)?;
        unobjected(action, self.situation)
    }

    fn predecessor(&self, action: &CheckedAction) -> Result<(), Fall> {
        let met = |seen: &Seen<'_>| seen.contact.action.is_some_and(|hash| action.follows.contains(&hash));
        if action.follows.is_empty() || self.seen.iter().any(met) {
            return Ok(());
        }
        Err(Fall::at(FunnelStage::Eligibility, "follows", RejectionCode::PredecessorMissing))
    }

    fn rule(&self, stage: FunnelStage, checked: &CheckedRule) -> Result<(), Fall> {
        let code = match checked.rule.holds(&self.facts) {
            Truth::Yes => return Ok(()),
            Truth::No => RejectionCode::RuleNotMet,
            Truth::Unknown => RejectionCode::FactMissing,
        };
        Err(Fall::at(stage, checked.code.clone(), code))
    }

    /// The first treatment that fits the channel, is consented to and within the limits; else where the last one fell,
    /// counting the furthest step. Beside it the limits that a mandatory action was exempt from.
    fn treatment<'b>(&self, action: &'b CheckedAction) -> Result<(&'b CheckedTreatment, Vec<Name>), Fall> {
        let mut furthest = Self::no_treatment();
        for treatment in self.fitting(action) {
            let found = self.consent(treatment).and_then(|()| self.limits(action, treatment));
            match found {
                Ok(exempt_from) => return Ok((treatment, exempt_from)),
                Err(fall) if fall.stage > furthest.stage => furthest = fall,
                Err(_) => {}
            }
        }
        Err(furthest)
    }

    /// The treatments for the channel and the direction that were asked for.
    fn fitting<'b>(&self, action: &'b CheckedAction) -> impl Iterator<Item = &'b CheckedTreatment> {
        let context = &self.question.context;
        let asked = &self.question.treatments;
        let fits = |treatment: &&CheckedTreatment| {
            if !asked.is_empty() && !asked.iter().any(|id| **id == *treatment.id) {
                return false;
            }
            let fits_channel =
                context.channel.as_deref().is_none_or(|channel| *treatment.channel == *channel);
            fits_channel && context.direction.zip(treatment.direction).is_none_or(|(asked, of)| asked == of)
        };
        action.treatments.iter().filter(fits)
    }

    fn no_treatment() -> Fall {
        Fall::at(FunnelStage::Treatment, "channel", RejectionCode::NoTreatmentForChannel)
    }

    fn consent(&self, treatment: &CheckedTreatment) -> Result<(), Fall> {
        let told = self.situation.consent_to(&treatment.channel, self.question);
        let allowed = match treatment.consent {
            ConsentRule::NotNeeded => true,
            ConsentRule::OptOut => told != Some(false),
            ConsentRule::OptIn => told == Some(true),
        };
        if allowed {
            return Ok(());
        }
        Err(Fall::at(FunnelStage::Consent, treatment.channel.to_string(), RejectionCode::NoConsent))
    }

    fn limits(&self, action: &CheckedAction, treatment: &CheckedTreatment) -> Result<Vec<Name>, Fall> {
        let subject = action.subject(treatment, self.question.context.direction);
        let (policy, now) = (self.policy, self.situation.now);
        let fall = |held: Held<'_>, code| {
            Fall::at(FunnelStage::ContactPolicy, held.id.to_owned(), code).until(held.until)
        };
        if self.situation.limits_unknown
            && !action.spec.mandatory
            && let Some(limit) = counted_by(policy, &subject)
        {
            let stage = FunnelStage::ContactPolicy;
            return Err(Fall::at(stage, limit.to_owned(), RejectionCode::LimitsUnknown));
        }
        let capped = policy.caps.iter().filter_map(|cap| cap.holds(&subject, &self.seen, now));
        let capped = capped.map(|held| fall(held, RejectionCode::CapReached));
        let silenced = policy.suppressions.iter().filter_map(|rule| rule.holds(&subject, &self.seen, now));
        let silenced = silenced.map(|held| fall(held, RejectionCode::Suppressed));
        let spent = policy.budgets.iter().filter(|(_, budget)| budget.selector.takes(&subject));
        let spent = spent.filter_map(|(id, _)| Some((id, *self.situation.exhausted.get(id)?)));
        let spent = spent.map(|(id, until)| fall(Held { id, until }, RejectionCode::BudgetExhausted));
        let mut held = capped.chain(silenced).chain(spent);
        if action.spec.mandatory {
            return Ok(held.map(|fall| Name::from(fall.component.as_ref())).collect());
        }
        held.next().map_or(Ok(Vec::new()), Err)
    }

    fn propensity(
        &self,
        action: &CheckedAction,
        treatment: &CheckedTreatment,
    ) -> Result<(Probability, Maturity), Fall> {
        let fall = |code| Fall::at(FunnelStage::Propensity, action.model_name.to_string(), code);
        let score = self.situation.score(action, treatment);
        let mut evidence = self.situation.evidence.get(&action.id).copied().unwrap_or_default();
        evidence.n_outcomes += self.situation.n_learned.get(action.at).copied().unwrap_or(0);
        let known = posterior::propensity(score, action.spec.prior, evidence);
        let (propensity, maturity) = known.ok_or_else(|| fall(RejectionCode::NoModel))?;
        if propensity.get() < self.policy.arbitration.min_propensity && !action.spec.mandatory {
            return Err(fall(RejectionCode::BelowMinPropensity));
        }
        Ok((propensity, maturity))
    }

    /// The factors of the priority, of which one that is switched off is 1, and beside them what tells an action's treatments
    /// apart: propensity x context weight x value less the cost of delivery, whatever the priority leaves out, since less a
    /// cost only money means anything.
    fn factors(
        &self,
        action: &CheckedAction,
        treatment: &CheckedTreatment,
        propensity: f64,
        known: Option<Probability>,
    ) -> Result<(Factors, f64), Fall> {
        let value = self
            .value(action)
            .ok_or_else(|| Fall::at(FunnelStage::Value, "value", RejectionCode::ValueUnknown))?;
        let arbitration = &self.policy.arbitration;
        let worth = propensity * value - minor(treatment.cost_minor);
        if (worth < arbitration.min_worth_minor || worth <= 0.0) && !action.spec.mandatory {
            return Err(Fall::at(FunnelStage::Arbitration, "worth", RejectionCode::BelowMinPriority));
        }
        let propensity = known.or_else(|| Probability::new(propensity).ok()).unwrap_or(Probability::ONE);
        let factors = Factors {
            propensity: if arbitration.propensity { propensity } else { Probability::ONE },
            context_weight: if arbitration.context_weight {
                self.context_weight(action, treatment)
            } else {
                1.0
            },
            value: if arbitration.value { value } else { 1.0 },
            lever: if arbitration.lever { self.lever(action) } else { 1.0 },
        };
        if (factors.priority().is_nan() || factors.priority() <= 0.0) && !action.spec.mandatory {
            return Err(Fall::at(FunnelStage::Arbitration, "priority", RejectionCode::BelowMinPriority));
        }
        let weighed = propensity.get() * factors.context_weight * value - minor(treatment.cost_minor);
        Ok((factors, weighed))
    }

    fn value(&self, action: &CheckedAction) -> Option<f64> {
        let value = match &action.value {
            CheckedValue::FixedMinor(amount) => *amount,
            CheckedValue::ShareOfRecentValue(share) => share * minor(self.situation.recent_value_minor),
            CheckedValue::Formula(formula) => formula.value(&self.facts)?,
        };
        value.is_finite().then(|| value.max(0.0))
    }

    fn context_weight(&self, action: &CheckedAction, treatment: &CheckedTreatment) -> f64 {
        let subject = action.subject(treatment, self.question.context.direction);
        let weights = self.policy.context_weights.iter().zip(&self.weights_hold);
        let taken = weights.filter(|((selector, _, _), holds)| **holds && selector.takes(&subject));
        taken.fold(1.0, |product, ((_, _, weight), _)| product * weight)
    }

    fn lever(&self, action: &CheckedAction) -> f64 {
        let issue = self.policy.arbitration.issue_weights.get(&action.spec.issue).copied().unwrap_or(1.0);
        action.spec.lever_at(self.situation.now) * issue
    }
}

#[expect(clippy::cast_precision_loss, reason = "amounts in minor units stay far below 2^53")]
const fn minor(amount: i64) -> f64 {
    amount as f64
}
