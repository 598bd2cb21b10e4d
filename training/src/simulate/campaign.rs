//! The ten campaign types, what customers really answer to them, and the randomised policy that was in force.
//!
//! The legacy policy looks only at what is logged (age band, recorded channel), so the probability with which it
//! chose is known for every decision and stands in the log; that is what off-policy evaluation later rests on.

use super::traits::{N_AGES, Traits};

/// Number of campaign types.
pub const N_ACTIONS: usize = 10;
/// Number of channels a campaign may go through.
pub const N_CHANNELS: usize = 3;
/// Days from one decision about a customer to the next.
pub const DECISION_DAYS: i32 = 21;
/// Days over which the response to a decision is measured.
pub const RESPONSE_DAYS: i32 = 7;
/// Probability with which the legacy policy does nothing.
pub const NO_ACTION: f64 = 0.4;
/// Highest fatigue at which a customer is still contacted; one more means consent withdrawn.
pub const OPTED_OUT: usize = 3;
/// The channels.
pub const CHANNELS: [&str; N_CHANNELS] = ["email", "push", "phone"];

/// A campaign type and how it works on the median customer.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The campaign type: its name in the truth.
    pub id: &'static str,
    /// The action under which the log knows it, as in examples/shop/policy.toml.
    pub action_id: &'static str,
    /// Probability that one who has read it comes to the shop, by mood: delighted, content, annoyed, resting.
    pub pull: [f64; 4],
    /// Multiple of the pull while the customer has stock at home, and when not.
    pub stock_factor: [f64; 2],
    /// Weight in the legacy policy.
    weight: f64,
    /// Multiple of that weight for the youngest band; the oldest gets the inverse, others lie between.
    youth: f64,
    /// Share of a sleeping dog's harm this campaign does.
    pub sting: f64,
}

/// The ten types, in the order of the documentation.
pub const CAMPAIGNS: [Campaign; N_ACTIONS] = [
    campaign("follow_up", "second_order", [0.35, 0.25, 0.10, 0.03], [0.9, 1.3], 1.2, 0.7, 0.5),
    campaign("remarketing", "browse_reminder", [0.35, 0.35, 0.15, 0.05], [1.3, 0.7], 1.2, 1.5, 1.0),
    campaign("keep_warm", "newsletter", [0.25, 0.30, 0.10, 0.05], [1.1, 0.9], 1.5, 1.0, 0.8),
    campaign("re_engage", "we_miss_you", [0.15, 0.20, 0.15, 0.20], [1.1, 0.6], 1.0, 1.0, 1.2),
    campaign("upsell", "bundle", [0.50, 0.30, 0.05, 0.02], [1.0, 1.2], 1.2, 1.4, 1.3),
    campaign("survey", "how_are_we_doing", [0.10, 0.08, 0.05, 0.02], [1.0, 1.0], 0.8, 1.0, 0.4),
    campaign("referral", "invite_a_friend", [0.15, 0.08, 0.02, 0.01], [1.0, 1.0], 0.6, 1.5, 0.8),
    campaign("renewal", "renew", [0.30, 0.25, 0.10, 0.05], [1.1, 0.8], 0.5, 0.7, 1.2),
    campaign("prevent_defection", "stay_with_us", [0.15, 0.20, 0.45, 0.15], [1.1, 0.8], 1.0, 0.9, 1.0),
    campaign("recovery", "come_back", [0.10, 0.10, 0.30, 0.40], [1.1, 0.7], 1.0, 0.9, 1.0),
];

const fn campaign(
    id: &'static str,
    action_id: &'static str,
    pull: [f64; 4],
    stock_factor: [f64; 2],
    weight: f64,
    youth: f64,
    sting: f64,
) -> Campaign {
    Campaign { id, action_id, pull, stock_factor, weight, youth, sting }
}

/// The hidden state a contact meets.
#[derive(Clone, Copy, Debug)]
pub struct Situation {
    /// Index of the mood, 0 ..= 3.
    pub mood: usize,
    /// 0 = nothing at home, 1 = stocked.
    pub stock: usize,
    /// 0 ..= 2.
    pub fatigue: usize,
}

/// Probability that `action` through `channel` brings this customer to the shop on the same day.
#[must_use]
pub fn response(traits: &Traits, action: usize, channel: usize, at: Situation) -> f64 {
    traits.read[channel] * pull(traits, action, at)
}

/// Probability that it does so once read.
#[must_use]
pub fn pull(traits: &Traits, action: usize, at: Situation) -> f64 {
    let campaign = &CAMPAIGNS[action];
    let worn = traits.wear.powi(i32::try_from(at.fatigue).unwrap_or(0));
    (campaign.pull[at.mood] * campaign.stock_factor[at.stock] * traits.persuasion[action] * worn).min(0.9)
}

/// Probability that `action` puts off a customer who did not respond to it: to resting, or from resting away.
#[must_use]
pub fn harm(traits: &Traits, action: usize, fatigue: usize) -> f64 {
    (traits.harm * CAMPAIGNS[action].sting * (1.0 + 0.8 * fatigue as f64)).min(0.6)
}

/// Probability that a contact at this fatigue makes a customer withdraw consent.
#[must_use]
pub fn opt_out(fatigue: usize) -> f64 {
    [0.002, 0.008, 0.025, 0.0][fatigue.min(3)]
}

/// Where harm leads from a mood; 4 is gone.
#[must_use]
pub const fn harmed(mood: usize) -> usize {
    if mood == 3 { 4 } else { 3 }
}

/// The legacy policy's probabilities of the ten actions for this age band; the rest, [`NO_ACTION`], is nothing.
#[must_use]
pub fn legacy_actions(age_band: usize) -> [f64; N_ACTIONS] {
    // +1 for the youngest, -1 for the oldest.
    let youth = 1.0 - 2.0 * age_band as f64 / (N_AGES - 1) as f64;
    let weights = CAMPAIGNS.map(|campaign| campaign.weight * campaign.youth.powf(youth));
    let total: f64 = weights.iter().sum();
    weights.map(|weight| (1.0 - NO_ACTION) * weight / total)
}

/// The legacy policy's probabilities of the channels, given that it acts: 0.6 for the recorded one, 0.2 for others.
#[must_use]
pub fn legacy_channels(recorded: usize) -> [f64; N_CHANNELS] {
    std::array::from_fn(|channel| if channel == recorded { 0.6 } else { 0.2 })
}

/// [`response`] averaged over the channels of the legacy policy.
#[must_use]
pub fn mean_response(traits: &Traits, action: usize, at: Situation) -> f64 {
    let read: f64 =
        legacy_channels(traits.recorded_channel).iter().zip(traits.read).map(|(p, r)| p * r).sum();
    read * pull(traits, action, at)
}

/// What one decision of the legacy policy does to a customer in a given situation.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContactOdds {
    /// Contacted, did not respond, unharmed.
    pub ignored: f64,
    /// Contacted, did not respond, put off.
    pub harmed: f64,
    /// Contacted and came to the shop.
    pub came: f64,
}

impl ContactOdds {
    /// The odds under the legacy policy; the three sum to 1 - [`NO_ACTION`].
    #[must_use]
    pub fn of(traits: &Traits, at: Situation) -> Self {
        let mut odds = Self::default();
        for (action, p) in traits.legacy.iter().enumerate() {
            let response = mean_response(traits, action, at);
            let harm = harm(traits, action, at.fatigue);
            odds.came += p * response;
            odds.harmed += p * (1.0 - response) * harm;
            odds.ignored += p * (1.0 - response) * (1.0 - harm);
        }
        odds
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_names_the_actions_of_the_example() {
        let policy = include_str!("../../../examples/shop/policy.toml");
        let policy: toml::Table = policy.parse().unwrap();
        for action in policy["action"].as_array().unwrap() {
            let member = |name: &str| action[name].as_str().unwrap();
            let campaign = CAMPAIGNS.iter().find(|campaign| campaign.id == member("campaign_type"));
            if let Some(campaign) = campaign {
                assert_eq!(campaign.action_id, member("id"));
            }
        }
    }

    #[test]
    fn legacy_probabilities_add_up() {
        for age in 0..N_AGES {
            let sum: f64 = legacy_actions(age).iter().sum();
            assert!((sum - (1.0 - NO_ACTION)).abs() < 1e-12);
        }
        assert!((legacy_channels(1).iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(legacy_actions(0)[1] > 2.0 * legacy_actions(N_AGES - 1)[1]);
    }
}
