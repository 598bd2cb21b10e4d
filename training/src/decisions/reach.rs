//! Whether the actions of a policy can be reached at all: everyone of a small population is decided at a few dates, and
//! the same counts as ever say where the funnel loses them.
//!
//! What a caller would say of the moment is drawn, where it may be any text from those that the rules ask for, and so is
//! what models would say where there are none: what is asked is whether the rules let anybody through, not how many. Draws
//! are seeded by customer and date.

use std::collections::BTreeSet;

use nextbest_models::action::Action;
use nextbest_models::artifact::Artifact;
use nextbest_models::customer::{CustomerId, stable_hash};
use nextbest_models::decision::{Context, Direction};
use nextbest_models::event::{AttributeValue, Event};
use nextbest_models::policy::file::{ContextKind, NamedKind};
use nextbest_models::policy::{Policy, Question, Situation};
use nextbest_models::project::Project;
use nextbest_models::units::{Probability, Seed, Timestamp};
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Tally;
use crate::cutoff::fold;

/// Dates at which everyone is decided.
pub const N_DATES: i32 = 4;
/// Days between them.
pub const STEP_DAYS: i32 = 45;
/// Numbers are drawn between 1 and this, evenly in their logarithm; of a context's, one in four is 0.
const LARGEST_NUMBER: f64 = 1e6;
/// Share of what a caller could say of the moment that is left out.
const SHARE_UNSAID: f64 = 0.25;
/// Contacts of an action that a drawn response model has learned from: as many as the strongest prior is worth.
const N_LEARNED: u64 = 1_000_000;

/// The dates for a population whose events end at `end`, the latest first.
pub fn dates(end: Timestamp) -> impl Iterator<Item = Timestamp> {
    (0..N_DATES).map(move |step| end.plus_days(-step * STEP_DAYS))
}

impl Tally {
    /// Decides the customer `id`, whose events in the order in which they became known are `events`, at each of
    /// [`dates`] before `end` at which anything is known of them, each in one of the `moments`.
    pub fn add_life(
        &mut self,
        project: &Project,
        artifact: Option<&Artifact>,
        moments: &Moments<'_>,
        id: &CustomerId,
        events: &[Event],
        end: Timestamp,
    ) {
        for date in dates(end) {
            let (customer, _) = fold(&project.schema, id, events, date);
            if customer.n_events() == 0 {
                continue;
            }
            let seed = stable_hash(&format!("{} {date}", id.as_str()));
            let mut draws = ChaCha8Rng::seed_from_u64(seed);
            let situation = Situation::of(project, &customer, true, date, Seed(seed));
            let situation = match artifact {
                Some(artifact) => situation.scored(project, artifact),
                None => drawn_scores(situation, &project.policy, &mut draws),
            };
            let context = moments.draw(&mut draws);
            self.decide(project, &situation, &Question { context, max_actions: 1, ..Question::default() });
        }
    }
}

/// The moments that a policy knows words for.
#[derive(Clone, Debug)]
pub struct Moments<'p> {
    channels: Vec<&'p String>,
    placements: Vec<String>,
    /// What callers may say besides, by name, with the texts it is drawn from where it may be any.
    attributes: Vec<(&'p String, &'p ContextKind, Vec<String>)>,
}

impl<'p> Moments<'p> {
    /// Those of `policy`.
    #[must_use]
    pub fn of(policy: &'p Policy) -> Self {
        let texts = |name: &str| telling(&policy.texts_asked_of(&format!("context.{name}")));
        Self {
            channels: policy.channels().collect(),
            placements: texts("placement"),
            attributes: policy.context().map(|(name, kind)| (name, kind, texts(name))).collect(),
        }
    }

    /// Any of them; half of the callers name no channel.
    fn draw(&self, draws: &mut ChaCha8Rng) -> Context {
        let channel = self.channels.choose(draws).filter(|_| draws.random_bool(0.5));
        let channel = channel.map(|channel| (*channel).clone());
        let direction = [Direction::Inbound, Direction::Outbound].choose(draws).copied();
        let placement = self.placements.choose(draws).filter(|_| !draws.random_bool(SHARE_UNSAID)).cloned();
        let attributes = self.attributes.iter().filter_map(|(name, kind, texts)| {
            if draws.random_bool(SHARE_UNSAID) {
                return None;
            }
            let value = match kind {
                ContextKind::Levels(levels) => AttributeValue::Text(levels.choose(draws)?.clone()),
                ContextKind::Named(NamedKind::Flag) => AttributeValue::Flag(draws.random_bool(0.5)),
                ContextKind::Named(NamedKind::Number) if draws.random_bool(0.25) => {
                    AttributeValue::Number(0.0)
                }
                ContextKind::Named(NamedKind::Number) => AttributeValue::Number(any_number(draws)),
                ContextKind::Named(NamedKind::Text) => AttributeValue::Text(texts.choose(draws)?.clone()),
            };
            Some(((*name).clone(), value))
        });
        let attributes = attributes.collect();
        Context { channel, direction, placement, attributes }
    }
}

/// The texts that tell rules apart: those `asked` for, and one that is none of them and has none in it, since a rule may ask
/// for any other.
fn telling(asked: &BTreeSet<&str>) -> Vec<String> {
    let longest = asked.iter().map(|text| text.len()).max().unwrap_or(0);
    let other = "?".repeat(longest + 1);
    asked.iter().map(|text| (*text).to_owned()).chain([other]).collect()
}

/// What models could say of the customer and of each offer: any propensity, of actions that they know well or not at all, and
/// any lifetime value where there are purchases to tell it from.
fn drawn_scores(mut situation: Situation, policy: &Policy, draws: &mut ChaCha8Rng) -> Situation {
    if situation.purchase_summary.is_some() {
        situation.lifetime_value_minor = Some(any_number(draws) as i64);
    }
    let mut any = || Probability::new(draws.random_range(0.0..1.0)).ok();
    situation.scores.iter_mut().for_each(|score| *score = any());
    situation.base_rates.iter_mut().for_each(|rate| *rate = any());
    if policy.responses().is_empty() {
        return situation;
    }
    situation.response_rates = policy.responses().iter().map(|_| any()).collect();
    let of_response = |action: &Action| policy.responses().contains(&action.propensity);
    let offers = policy.actions().flat_map(|action| action.treatments.iter().map(move |_| action));
    situation.offers = offers.map(|action| if of_response(action) { any() } else { None }).collect();
    let learned = policy.actions().map(|action| of_response(action) && draws.random_bool(0.5));
    situation.n_learned = learned.map(|learned| u64::from(learned) * N_LEARNED).collect();
    situation
}

/// Between 1 and [`LARGEST_NUMBER`].
fn any_number(draws: &mut ChaCha8Rng) -> f64 {
    LARGEST_NUMBER.powf(draws.random_range(0.0..1.0))
}
