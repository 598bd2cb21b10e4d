//! Bids: the actions that survived the funnel, as arbitration orders them, and what is offered of them once they are in order.

use super::contact::{Budget, PastContact};
use super::funnel::{Fall, counted_by, seen};
use super::{CheckedAction, CheckedTreatment, Policy, Question, Situation};
use crate::decision::{Candidate, Factors, FunnelStage, Maturity, Name, Rejection, RejectionCode};
use crate::units::Timestamp;

/// An action that survived, in the form that is best: what arbitration orders. A [`Candidate`] is made of it once, where it
/// has found its place.
pub(super) struct Bid<'a> {
    pub(super) action: &'a CheckedAction,
    treatment: &'a CheckedTreatment,
    exempt_from: Vec<Name>,
    pub(super) factors: Factors,
    /// Propensity x context weight x value less the cost of delivery, in minor units, whatever the priority leaves out.
    pub(super) worth: f64,
    pub(super) maturity: Maturity,
    pub(super) priority: f64,
    pub(super) choice_probability: f64,
}

impl<'a> Bid<'a> {
    pub(super) fn new(
        action: &'a CheckedAction,
        treatment: &'a CheckedTreatment,
        exempt_from: Vec<Name>,
        factors: Factors,
        worth: f64,
        maturity: Maturity,
    ) -> Self {
        let priority = factors.priority();
        Self { action, treatment, exempt_from, factors, worth, maturity, priority, choice_probability: 0.0 }
    }

    /// With the names it has in the log; its rank is yet to be said.
    fn candidate(self, policy: &Policy, now: Timestamp, question: &Question) -> Candidate {
        let Self { action, treatment, exempt_from, factors, maturity, priority, choice_probability, .. } =
            self;
        let subject = action.subject(treatment, question.context.direction);
        let valid_until = now.plus_days(action.spec.valid_days);
        let expires_at = action.spec.available_until.map_or(valid_until, |until| until.min(valid_until));
        // Exempt from limits, a mandatory action draws on no budget: a spent one would hold it back for ever.
        let draws = |budget: &&(Name, Budget)| !action.spec.mandatory && budget.1.selector.takes(&subject);
        let drawn = policy.budgets.iter().filter(draws);
        Candidate {
            rank: 0,
            action_id: action.id.clone(),
            campaign_type: action.spec.campaign_type,
            propensity_model: action.model_name.clone(),
            treatment_id: treatment.id.clone(),
            channel: treatment.channel.clone(),
            expires_at,
            mandatory: action.spec.mandatory,
            cost_minor: treatment.cost_minor,
            priority,
            factors,
            maturity,
            choice_probability,
            counted: counted_by(policy, &subject).is_some(),
            budgets: drawn.map(|(id, _)| id.clone()).collect(),
            exempt_from,
        }
    }
}

/// What is offered, and what is not.
pub(super) struct Offered {
    pub(super) actions: Vec<Candidate>,
    pub(super) outranked: Vec<Candidate>,
    /// Why each of the outranked is not.
    pub(super) why: Vec<Rejection>,
}

/// Of `bids` in their order, those to offer, at most `max_actions`, and the rest, each with why: others came
/// first, or a cap holds it back because the ones offered before it count as contacts too.
pub(super) fn offer(
    policy: &Policy,
    situation: &Situation,
    question: &Question,
    bids: Vec<Bid<'_>>,
) -> Offered {
    let most = question.max_actions.max(1) as usize;
    let n_rest = bids.len().saturating_sub(most);
    let mut offered = Offered {
        actions: Vec::with_capacity(most.min(bids.len())),
        outranked: Vec::with_capacity(n_rest),
        why: Vec::with_capacity(n_rest),
    };
    let mut contacts = Vec::new();
    for bid in bids {
        let n_offered = offered.actions.len();
        let fall = if n_offered >= most {
            Some(Fall::at(FunnelStage::Arbitration, "priority", RejectionCode::Outranked))
        } else if n_offered > 0 {
            capped(policy, situation.now, &contacts, question, &bid)
        } else {
            None
        };
        if let Some(fall) = fall {
            offered.why.push(fall.of(bid.action));
            offered.outranked.push(bid.candidate(policy, situation.now, question));
            continue;
        }
        if most > 1 {
            if n_offered == 0 {
                contacts.clone_from(&situation.contacts);
            }
            let made = PastContact::reserved(situation.now, &bid.action.id, &bid.treatment.channel);
            contacts.insert(0, made);
        }
        offered.actions.push(bid.candidate(policy, situation.now, question));
    }
    let ranked = offered.actions.iter_mut().chain(&mut offered.outranked);
    (1..).zip(ranked).for_each(|(rank, candidate)| candidate.rank = rank);
    offered
}

/// The cap that holds a bid back, which passed before others were offered.
fn capped(
    policy: &Policy,
    now: Timestamp,
    contacts: &[PastContact],
    question: &Question,
    bid: &Bid<'_>,
) -> Option<Fall> {
    if bid.action.spec.mandatory {
        return None;
    }
    let seen = seen(policy, contacts);
    let subject = bid.action.subject(bid.treatment, question.context.direction);
    let held = policy.caps.iter().find_map(|cap| cap.holds(&subject, &seen, now))?;
    let fall = Fall::at(FunnelStage::ContactPolicy, held.id.to_owned(), RejectionCode::CapReached);
    Some(fall.until(held.until))
}
