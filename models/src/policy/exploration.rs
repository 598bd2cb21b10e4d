//! Exploration: which candidate comes first, and with exactly which probability each one would have.
//!
//! Both methods are finite lotteries, so the probabilities are sums and products, not estimates: what is logged is what
//! a draw over seeds would count. Only the first place is drawn; the rest follow by priority. The seed is an argument.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lottery::{Draws, N_VALUES, NORMAL};
use crate::units::Seed;

/// `[exploration]` of policy.toml.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, tag = "kind", rename_all = "snake_case")]
pub enum Exploration {
    /// The highest priority wins.
    #[default]
    None,
    /// Mostly by priority to the power `1 / temperature`, sometimes any: `(1 - e) p^(1/T) / sum + e / n`, with
    /// `e = max(epsilon, n floor)`, so that nobody's probability lies below `floor`.
    EpsilonSoftmax {
        /// Share of uniform choices, 0 ..= 1.
        epsilon: f64,
        /// Above 0; the smaller, the surer the highest priority wins.
        temperature: f64,
        /// Least probability of a candidate, 0 ..= 0.1.
        #[serde(default)]
        floor: f64,
    },
    /// A draw from what is believed of each propensity, the highest resulting priority wins (Thompson 1933).
    ///
    /// The belief is a logit-normal around the propensity, with the variance of a Beta(1 + pE, 1 + (1 - p)E) after `E`
    /// outcomes, cut into 16 equally likely values. The winner of independent finite draws has a probability that is a
    /// sum of products: exact, without simulation.
    Thompson {
        /// Outcomes that a propensity of a mature model is taken to be worth, 1 ..= 1,000,000.
        evidence: f64,
        /// Least probability of a candidate, 0 ..= 0.1, by uniform choices.
        #[serde(default)]
        floor: f64,
    },
}

/// A candidate as exploration sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arm {
    /// Expected worth; above 0.
    pub priority: f64,
    /// P(outcome), 0 ..= 1.
    pub propensity: f64,
    /// Outcomes of its own that the propensity rests on besides the model's.
    pub n_outcomes: f64,
    /// Weight of the model in the propensity, 0 ..= 1.
    pub model_weight: f64,
}

/// Who comes first.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// Place of the chosen arm.
    pub chosen: usize,
    /// Probability of each arm to be chosen; they sum to 1 within rounding.
    pub probabilities: Vec<f64>,
}

impl Exploration {
    /// Its name in answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::EpsilonSoftmax { .. } => "epsilon_softmax",
            Self::Thompson { .. } => "thompson",
        }
    }

    /// What is wrong with the parameters, if anything.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let outside = |name: &str, value: f64, low: f64, high: f64| {
            (!(low..=high).contains(&value)).then(|| format!("{name} {value} lies outside {low} ..= {high}"))
        };
        match *self {
            Self::None => None,
            Self::EpsilonSoftmax { epsilon, temperature, floor } => outside("epsilon", epsilon, 0.0, 1.0)
                .or_else(|| outside("temperature", temperature, 0.01, 100.0))
                .or_else(|| outside("floor", floor, 0.0, 0.1)),
            Self::Thompson { evidence, floor } => {
                outside("evidence", evidence, 1.0, 1e6).or_else(|| outside("floor", floor, 0.0, 0.1))
            }
        }
    }

    /// The first of `arms` (at least one, the highest priority first) for this `seed`, and every arm's probability.
    #[must_use]
    pub fn choose(&self, arms: &[Arm], seed: Seed) -> Choice {
        let mut draws = Draws::new(seed);
        match *self {
            Self::None => Choice { chosen: 0, probabilities: certain(arms.len(), 0) },
            Self::EpsilonSoftmax { epsilon, temperature, floor } => {
                let best = arms.iter().map(|arm| arm.priority).fold(f64::MIN_POSITIVE, f64::max);
                let mut probabilities: Vec<f64> =
                    arms.iter().map(|arm| (arm.priority / best).powf(1.0 / temperature)).collect();
                let sum: f64 = probabilities.iter().sum();
                probabilities.iter_mut().for_each(|p| *p /= sum);
                mix(&mut probabilities, epsilon, floor);
                Choice { chosen: draws.pick(&probabilities), probabilities }
            }
            Self::Thompson { evidence, floor } => {
                let beliefs: Vec<Belief> = arms.iter().map(|arm| Belief::of(arm, evidence)).collect();
                let mut probabilities = win_probabilities(&beliefs);
                let uniform = mix(&mut probabilities, 0.0, floor);
                let chosen = if draws.unit() < uniform {
                    draws.below(arms.len())
                } else {
                    winner(&beliefs, &mut draws)
                };
                Choice { chosen, probabilities }
            }
        }
    }
}

fn certain(n_arms: usize, chosen: usize) -> Vec<f64> {
    (0..n_arms).map(|arm| if arm == chosen { 1.0 } else { 0.0 }).collect()
}

/// Mixes a uniform choice in, by the share that is returned: at least `epsilon`, and so much that each gets `floor`.
#[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53 candidates")]
fn mix(probabilities: &mut [f64], epsilon: f64, floor: f64) -> f64 {
    let n_arms = probabilities.len() as f64;
    let uniform = epsilon.max(n_arms * floor).min(1.0);
    probabilities.iter_mut().for_each(|p| *p = (1.0 - uniform) * *p + uniform / n_arms);
    uniform
}

/// What is believed of an arm's priority: equally likely values, ascending.
struct Belief([f64; N_VALUES]);

impl Belief {
    fn of(arm: &Arm, model_evidence: f64) -> Self {
        let evidence = arm.n_outcomes + arm.model_weight * model_evidence;
        let (a, b) = (1.0 + arm.propensity * evidence, 1.0 + (1.0 - arm.propensity) * evidence);
        // The delta method for the logit of a Beta(a, b).
        let (middle, spread) = ((a / b).ln(), (1.0 / a + 1.0 / b).sqrt());
        let worth = arm.priority / arm.propensity.max(f64::MIN_POSITIVE);
        Self(NORMAL.map(|z| worth / (1.0 + (-(middle + spread * z)).exp())))
    }
}

/// One value of one arm; the order decides who wins, ties included.
type Value = (f64, usize);

fn above(a: Value, b: Value) -> std::cmp::Ordering {
    // Of equal values the earlier arm's is higher: it had the higher priority.
    a.0.total_cmp(&b.0).then(b.1.cmp(&a.1))
}

fn winner(beliefs: &[Belief], draws: &mut Draws) -> usize {
    let drawn = beliefs.iter().enumerate().map(|(arm, belief)| (belief.0[draws.below(N_VALUES)], arm));
    drawn.max_by(|a, b| above(*a, *b)).map_or(0, |(_, arm)| arm)
}

/// For each arm, the probability that its draw is the highest: over its values, the product over all other arms of the
/// share of their values that lie below.
#[expect(clippy::cast_precision_loss, reason = "counts of 16 values")]
fn win_probabilities(beliefs: &[Belief]) -> Vec<f64> {
    let mut values: Vec<Value> =
        beliefs.iter().enumerate().flat_map(|(arm, belief)| belief.0.map(|value| (value, arm))).collect();
    values.sort_unstable_by(|a, b| above(*a, *b));
    let (mut below, mut wins) = (vec![0.0; beliefs.len()], vec![0.0; beliefs.len()]);
    let one = 1.0 / N_VALUES as f64;
    for (_, arm) in values {
        let others: f64 =
            below.iter().enumerate().filter(|(other, _)| *other != arm).map(|(_, share)| share).product();
        wins[arm] += one * others;
        below[arm] += one;
    }
    wins
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arm(priority: f64, propensity: f64, n_outcomes: f64, model_weight: f64) -> Arm {
        Arm { priority, propensity, n_outcomes, model_weight }
    }

    fn arms() -> Vec<Arm> {
        vec![
            arm(90.0, 0.3, 40.0, 0.5),
            arm(80.0, 0.2, 0.0, 0.0),
            arm(80.0, 0.6, 900.0, 1.0),
            arm(30.0, 0.05, 10.0, 0.2),
            arm(1.0, 0.001, 0.0, 0.1),
        ]
    }

    /// Over a million seeds each frequency lies within five standard errors of the logged probability: by chance one of
    /// the ten tested would fall outside in 6 of a million such tests.
    fn frequencies_are_the_logged_probabilities(exploration: Exploration) {
        const N_SEEDS: u32 = 1_000_000;
        let arms = arms();
        let mut counts = vec![0u32; arms.len()];
        let mut logged = Vec::new();
        for seed in 0..N_SEEDS {
            let choice = exploration.choose(&arms, Seed(u64::from(seed)));
            counts[choice.chosen] += 1;
            logged = choice.probabilities;
        }
        assert!((logged.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        for (count, p) in counts.iter().zip(&logged) {
            let frequency = f64::from(*count) / f64::from(N_SEEDS);
            let error = (p * (1.0 - p) / f64::from(N_SEEDS)).sqrt();
            assert!((frequency - p).abs() <= 5.0 * error, "{frequency} against {p} +- {error}");
        }
    }

    #[test]
    fn epsilon_softmax_chooses_as_often_as_it_says() {
        let kind = Exploration::EpsilonSoftmax { epsilon: 0.1, temperature: 0.5, floor: 0.01 };
        frequencies_are_the_logged_probabilities(kind);
    }

    #[test]
    fn thompson_chooses_as_often_as_it_says() {
        frequencies_are_the_logged_probabilities(Exploration::Thompson { evidence: 200.0, floor: 0.005 });
    }

    #[test]
    fn nobody_falls_below_the_floor_and_without_exploration_the_best_wins() {
        for kind in [
            Exploration::EpsilonSoftmax { epsilon: 0.0, temperature: 0.05, floor: 0.02 },
            Exploration::Thompson { evidence: 1e5, floor: 0.02 },
        ] {
            let choice = kind.choose(&arms(), Seed(1));
            // A rounding of the mixture is all that may be lacking.
            assert!(choice.probabilities.iter().all(|p| *p >= 0.02 - 1e-15), "{choice:?}");
        }
        let choice = Exploration::None.choose(&arms(), Seed(1));
        assert_eq!((choice.chosen, choice.probabilities[0]), (0, 1.0));
    }

    #[test]
    fn the_more_is_known_the_less_is_explored() {
        let best = |evidence| {
            let sure: Vec<Arm> = arms().iter().map(|arm| Arm { model_weight: 1.0, ..*arm }).collect();
            Exploration::Thompson { evidence, floor: 0.0 }.choose(&sure, Seed(1)).probabilities[0]
        };
        assert!(best(10.0) < best(1e3) && best(1e3) < best(1e6));
    }
}
