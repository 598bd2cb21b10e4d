//! What is believed of an action from its own outcomes: how often it succeeded beside how often its model said it would.
//!
//! A conversion model knows the customer, not the action. Once enough outcomes of an action have matured, the ratio of
//! observed to expected successes corrects the model for that action (indirect standardisation); until then a prior
//! speaks. No number here is ever a bare 0: an action nobody has tried is unknown, not hopeless.

use serde::{Deserialize, Serialize};

use crate::action::PriorSpec;
use crate::decision::Maturity;
use crate::units::Probability;

/// Matured outcomes of one action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Outcomes that matured.
    pub n_outcomes: u64,
    /// Successes among them.
    pub n_successes: u64,
    /// Successes that were expected of them: the sum of what the model said, or of what was believed where none spoke.
    pub expected: f64,
}

/// Expected successes that the ratio starts with, so that a few outcomes do not swing it: its standard error is then
/// below one over the root of this number.
const RATIO_PRIOR: f64 = 20.0;

impl Evidence {
    /// Folds one matured outcome in; `model` is the probability that the model gave at the time.
    pub fn add(&mut self, succeeded: bool, model: Probability) {
        self.n_outcomes += 1;
        self.n_successes += u64::from(succeeded);
        self.expected += model.get();
    }

    /// Observed over expected successes, shrunk toward 1: `(s + k) / (e + k)` with k = 20.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub fn ratio(&self) -> f64 {
        let ratio = (self.n_successes as f64 + RATIO_PRIOR) / (self.expected + RATIO_PRIOR);
        if ratio.is_finite() { ratio } else { 1.0 }
    }
}

/// P(outcome | customer, action) and where it comes from: the model corrected by the action's own outcomes, mixed with
/// the prior by evidence, `(E0 P0 + E P) / (E0 + E)`; without a model the prior and the outcomes alone,
/// `(E0 P0 + s) / (E0 + E)`. `None` where there is neither model nor prior.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn propensity(
    model: Option<Probability>,
    prior: Option<PriorSpec>,
    evidence: Evidence,
) -> Option<(Probability, Maturity)> {
    let corrected = model.map(|model| (model.get() * evidence.ratio()).min(1.0));
    let n_outcomes = evidence.n_outcomes;
    let (mixed, model_weight) = match (corrected, prior) {
        (Some(p), None) => (p, 1.0),
        // A beta prior worth `evidence` outcomes, and those that came.
        (None, Some(prior)) => {
            let successes = prior.evidence * prior.propensity + evidence.n_successes as f64;
            (successes / (prior.evidence + n_outcomes as f64), 0.0)
        }
        (Some(p), Some(prior)) => {
            let weight = n_outcomes as f64 / (n_outcomes as f64 + prior.evidence);
            (prior.propensity + weight * (p - prior.propensity), weight)
        }
        (None, None) => return None,
    };
    Some((Probability::new(mixed.clamp(0.0, 1.0)).ok()?, Maturity { model, model_weight, n_outcomes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(value: f64) -> Probability {
        Probability::new(value).unwrap()
    }

    #[test]
    fn an_action_nobody_tried_has_its_prior_and_an_old_one_its_record() {
        let prior = Some(PriorSpec { propensity: 0.04, evidence: 100.0 });
        let (young, maturity) = propensity(Some(p(0.5)), prior, Evidence::default()).unwrap();
        assert_eq!((young, maturity.model_weight), (p(0.04), 0.0));
        let mut evidence = Evidence::default();
        (0..100_000).for_each(|at| evidence.add(at % 10 == 0, p(0.2)));
        let (old, maturity) = propensity(Some(p(0.5)), prior, evidence).unwrap();
        // Half as many successes as expected: half the model, to within the weight of the prior.
        assert!((old.get() - 0.25).abs() < 0.001, "{}", old.get());
        assert!(maturity.model_weight > 0.99);
        assert_eq!(propensity(None, None, evidence), None);
    }

    #[test]
    fn no_outcomes_leave_the_model_alone() {
        assert_eq!(Evidence::default().ratio(), 1.0);
        assert_eq!(propensity(Some(p(0.3)), None, Evidence::default()).unwrap().0, p(0.3));
    }
}
