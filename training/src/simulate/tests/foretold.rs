//! What was lived against what was foretold: the sampled lives must agree with the summed truths.
//!
//! Given the market's path customers are independent, so that a sum of zero-one outcomes with stated probabilities
//! p has variance sum p (1 - p), and a normal bound of 4 standard deviations is broken by chance once in 16,000.
//! Seeds are fixed; a failure is a disagreement of the two codes, not bad luck.

use super::super::campaign::{CAMPAIGNS, CHANNELS, N_ACTIONS, RESPONSE_DAYS};
use super::super::life::{DecisionRecord, Life};
use super::super::traits::Temperament;
use super::super::truth::HORIZONS_DAYS;
use super::year;

/// A bound in standard deviations.
const K: f64 = 4.0;

/// Zero-one outcomes with stated probabilities.
#[derive(Default)]
struct Tally {
    n: f64,
    happened: f64,
    expected: f64,
    variance: f64,
}

impl Tally {
    fn add(&mut self, p: f64, happened: bool) {
        self.n += 1.0;
        self.happened += f64::from(u8::from(happened));
        self.expected += p;
        self.variance += p * (1.0 - p);
    }

    fn check(&self, what: &str) {
        let bound = K * self.variance.sqrt();
        let off = self.happened - self.expected;
        assert!(
            off.abs() <= bound,
            "{what}: {} of {} against {} +- {bound}",
            self.happened,
            self.n,
            self.expected
        );
    }
}

fn orders_within(life: &Life, age: usize, days: usize) -> usize {
    life.orders.iter().filter(|order| (age..age + days).contains(*order)).count()
}

/// The stated no-order probabilities are those of the lived lives: in all, and in each tenth of the range, so that
/// they are calibrated and not only right on average.
#[test]
fn silence_comes_as_often_as_foretold() {
    let (_, lives) = year(6_000, 21);
    for (index, horizon) in HORIZONS_DAYS.into_iter().enumerate() {
        let (mut all, mut tenths) = (Tally::default(), Vec::new());
        tenths.resize_with(10, Tally::default);
        for life in &lives {
            for state in life.states.iter().filter(|state| state.age + horizon <= 365) {
                let p = state.outlook.no_order[index];
                let silent = orders_within(life, state.age, horizon) == 0;
                all.add(p, silent);
                tenths[((p * 10.0) as usize).min(9)].add(p, silent);
            }
        }
        all.check(&format!("{horizon} days"));
        for (tenth, tally) in tenths.iter().enumerate() {
            tally.check(&format!("{horizon} days, tenth {tenth}"));
        }
        // A test over many who might go either way, or it would show nothing.
        assert!(all.n > 3_000.0 && all.variance > 300.0, "{} {}", all.n, all.variance);
    }
}

/// The number of orders less the expected number has mean 0; its standard error is estimated from the sample.
#[test]
fn orders_come_as_many_as_foretold() {
    let (_, lives) = year(6_000, 22);
    for (index, horizon) in HORIZONS_DAYS.into_iter().enumerate() {
        let off: Vec<f64> = lives
            .iter()
            .flat_map(|life| life.states.iter().map(move |state| (life, state)))
            .filter(|(_, state)| state.age + horizon <= 365 && state.age == 245)
            .map(|(life, state)| orders_within(life, state.age, horizon) as f64 - state.outlook.orders[index])
            .collect();
        let n = off.len() as f64;
        let mean = off.iter().sum::<f64>() / n;
        let se = (off.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
        assert!(mean.abs() <= K * se, "{horizon} days: {mean} +- {se} over {n}");
    }
}

fn decisions(lives: &[Life]) -> impl Iterator<Item = (&Life, &DecisionRecord)> {
    lives.iter().flat_map(|life| life.decisions.iter().map(move |decision| (life, decision)))
}

/// Response windows of one customer do not overlap, so outcomes are independent given their stated probabilities.
#[test]
fn decisions_are_answered_as_foretold() {
    const { assert!(RESPONSE_DAYS < super::super::campaign::DECISION_DAYS) };
    let (_, lives) = year(6_000, 23);
    let mut arms: Vec<Tally> = Vec::new();
    arms.resize_with(N_ACTIONS + 1, Tally::default);
    let (mut channels, mut tempers) =
        ([(); 3].map(|()| Tally::default()), [(); 3].map(|()| Tally::default()));
    for (life, decision) in decisions(&lives) {
        let Some(ordered) = decision.ordered else { continue };
        arms[decision.action.map_or(0, |action| action + 1)].add(decision.p_chosen, ordered);
        if let Some(channel) = decision.channel {
            channels[channel].add(decision.p_chosen, ordered);
        }
        tempers[life.traits.temperament as usize].add(decision.p_chosen, ordered);
    }
    for (arm, tally) in arms.iter().enumerate() {
        let name = arm.checked_sub(1).map_or("no_action", |action| CAMPAIGNS[action].id);
        tally.check(name);
        assert!(tally.n > 500.0, "{name}: {}", tally.n);
    }
    channels.iter().zip(CHANNELS).for_each(|(tally, name)| tally.check(name));
    tempers.iter().for_each(|tally| tally.check("temperament"));
}

/// The logged probabilities are those with which the policy chose: the inverse-probability estimate of each action's
/// value, from the log alone, meets the truth averaged over the same decisions.
#[test]
fn the_log_supports_off_policy_evaluation() {
    let (_, lives) = year(6_000, 24);
    for arm in 0..=N_ACTIONS {
        let mut off = Vec::new();
        for (_, decision) in decisions(&lives) {
            let Some(ordered) = decision.ordered else { continue };
            let (chosen, truth) = match arm.checked_sub(1) {
                None => (decision.action.is_none(), decision.response.no_action),
                Some(action) => (decision.action == Some(action), decision.response.action[action]),
            };
            // The truth is averaged over the policy's channels, and so is the probability.
            let reward = if chosen && ordered { 1.0 / decision.action_probability } else { 0.0 };
            off.push(reward - truth);
        }
        let n = off.len() as f64;
        let mean = off.iter().sum::<f64>() / n;
        let se = (off.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
        assert!(mean.abs() <= K * se, "arm {arm}: {mean} +- {se}");
    }
}

/// Contact helps the persuadable, hardly moves the deaf and hurts sleeping dogs; tired customers answer less.
#[test]
fn uplift_has_the_sign_of_the_temperament() {
    let (_, lives) = year(2_000, 25);
    let upsell = CAMPAIGNS.iter().position(|campaign| campaign.id == "upsell").unwrap();
    let mut sums = [(0.0, 0.0); 3];
    for (life, decision) in decisions(&lives).filter(|(_, decision)| decision.state.mood < 2) {
        let gain = decision.response.action[upsell] - decision.response.no_action;
        let sum = &mut sums[life.traits.temperament as usize];
        *sum = (sum.0 + gain, sum.1 + 1.0);
    }
    let mean = |temperament: Temperament| sums[temperament as usize].0 / sums[temperament as usize].1;
    assert!(mean(Temperament::Persuadable) > 0.02, "{sums:?}");
    assert!(mean(Temperament::SleepingDog) < -0.005, "{sums:?}");
    assert!(mean(Temperament::Deaf).abs() < 0.01, "{sums:?}");
}
