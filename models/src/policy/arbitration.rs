//! Arbitration: the order of the candidates, and how much each factor has to do with it.

use super::Policy;
use super::bid::Bid;
use super::exploration::Arm;
use crate::decision::{Candidate, Factors};
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
        let arms: Vec<Arm> = open.iter().map(arm).collect();
        let choice = policy.exploration.choose(&arms, seed);
        for (bid, p) in open.iter_mut().zip(&choice.probabilities) {
            bid.choice_probability = *p;
        }
        open[..=choice.chosen].rotate_right(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn arm(bid: &Bid<'_>) -> Arm {
    Arm {
        priority: bid.priority,
        propensity: bid.factors.propensity.get(),
        n_outcomes: bid.maturity.n_outcomes as f64,
        model_weight: bid.maturity.model_weight,
    }
}
