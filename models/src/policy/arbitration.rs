//! Arbitration: the order of the candidates, and how much each factor has to do with it.

use super::Policy;
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

/// Sorts mandatory candidates first, then by priority, ties by action id; draws the first of those that are not
/// mandatory.
pub(super) fn order(policy: &Policy, candidates: &mut [Candidate], seed: Seed) {
    candidates.sort_by(|a, b| {
        (b.mandatory.cmp(&a.mandatory))
            .then_with(|| b.priority.total_cmp(&a.priority))
            .then_with(|| a.action_id.cmp(&b.action_id))
    });
    let (mandatory, open) = candidates.split_at_mut(candidates.partition_point(|one| one.mandatory));
    if let Some(first) = mandatory.first_mut() {
        first.choice_probability = 1.0;
    }
    if !open.is_empty() {
        let arms: Vec<Arm> = open.iter().map(arm).collect();
        let choice = policy.exploration.choose(&arms, seed);
        for (candidate, p) in open.iter_mut().zip(&choice.probabilities) {
            candidate.choice_probability = *p;
        }
        open[..=choice.chosen].rotate_right(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn arm(candidate: &Candidate) -> Arm {
    Arm {
        priority: candidate.priority,
        propensity: candidate.factors.propensity.get(),
        n_outcomes: candidate.maturity.n_outcomes as f64,
        model_weight: candidate.maturity.model_weight,
    }
}
