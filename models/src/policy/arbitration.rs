//! Arbitration: the order of the candidates, and how much each factor has to do with it.

use super::bid::Bid;
use super::exploration::Arm;
use super::{Policy, Situation};
use crate::decision::{Candidate, Factors};
use crate::posterior::{self, Evidence};
use crate::units::{Probability, Seed};

/// A factor of the priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the factors")]
pub enum Factor {
    Propensity,
    ContextWeight,
    Value,
    Lever,
}

impl Factor {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Propensity, Self::ContextWeight, Self::Value, Self::Lever];

    /// The priority without this factor.
    #[must_use]
    pub fn without(self, factors: &Factors) -> f64 {
        let left = match self {
            Self::Propensity => Factors { propensity: Probability::ONE, ..*factors },
            Self::ContextWeight => Factors { context_weight: 1.0, ..*factors },
            Self::Value => Factors { value: 1.0, ..*factors },
            Self::Lever => Factors { lever: 1.0, ..*factors },
        };
        left.priority()
    }

    /// Whether another of `candidates` would come first, exploration aside, if this factor counted as 1: over many
    /// decisions, the factor's sensitivity.
    #[must_use]
    pub fn decides(self, candidates: &[Candidate]) -> bool {
        let first = |priority: &dyn Fn(&Candidate) -> f64| {
            let rest = candidates.iter().filter(|candidate| !candidate.mandatory);
            rest.max_by(|a, b| {
                priority(a).total_cmp(&priority(b)).then_with(|| b.action_id.cmp(&a.action_id))
            })
            .map(|winner| winner.action_id.clone())
        };
        first(&|candidate| candidate.priority) != first(&|candidate| self.without(&candidate.factors))
    }
}

impl Policy {
    /// The probability of success that was believed of `candidate` in `situation`, where the decision was made: what its
    /// model said, or where none spoke, what its prior and its outcomes did. None where nobody can tell any more.
    ///
    /// The factor alone does not say it: a propensity that takes no part in the priority is logged as 1. No prior is that
    /// sure, so a 1 without a model is such a factor, and what was believed is told again by the action's prior.
    #[must_use]
    pub fn believed(&self, situation: &Situation, candidate: &Candidate) -> Option<Probability> {
        if candidate.maturity.model.is_some() {
            return candidate.maturity.model;
        }
        let logged = candidate.factors.propensity;
        if logged < Probability::ONE {
            return Some(logged);
        }
        let prior = self.action(&candidate.action_id)?.prior;
        let known = situation.evidence.get(&candidate.action_id).copied().unwrap_or_default();
        let n_outcomes = candidate.maturity.n_outcomes;
        // A fallback goes by its prior alone: it is logged with no outcomes, whatever became of it before.
        let evidence = Evidence { n_outcomes, n_successes: known.n_successes.min(n_outcomes), ..known };
        posterior::propensity(None, prior, evidence).map(|(believed, _)| believed)
    }
}

/// Sorts mandatory bids first, then by priority, ties by action id; draws the first of those that are not
/// mandatory.
pub(super) fn order(policy: &Policy, bids: &mut [Bid<'_>], seed: Seed) {
    bids.sort_unstable_by(|a, b| {
        (b.action.spec.mandatory.cmp(&a.action.spec.mandatory))
            .then_with(|| b.priority.total_cmp(&a.priority))
            .then_with(|| a.action.id.cmp(&b.action.id))
    });
    let (mandatory, open) = bids.split_at_mut(bids.partition_point(|one| one.action.spec.mandatory));
    if let Some(first) = mandatory.first_mut() {
        first.choice_probability = 1.0;
    }
    if !open.is_empty() {
        let arms: Vec<Arm> = open.iter().map(|bid| arm(policy, bid)).collect();
        let choice = policy.exploration.choose(&arms, seed);
        for (bid, p) in open.iter_mut().zip(&choice.probabilities) {
            bid.choice_probability = *p;
        }
        open[..=choice.chosen].rotate_right(1);
    }
}

/// Outcomes that a propensity which takes no part is taken to rest on: a belief of it has one value, 1.
const CERTAIN: f64 = 1e30;

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn arm(policy: &Policy, bid: &Bid<'_>) -> Arm {
    let takes_part = policy.arbitration.propensity;
    Arm {
        priority: bid.priority,
        propensity: bid.factors.propensity.get(),
        n_outcomes: if takes_part { bid.maturity.n_outcomes as f64 } else { CERTAIN },
        model_weight: bid.maturity.model_weight,
    }
}
