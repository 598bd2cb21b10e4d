//! Whether the actions of a policy can be reached at all: everyone of a small population is decided at a few dates, and
//! the same counts as ever say where the funnel loses them.
//!
//! What a caller would say of the moment is drawn, and so are propensities where there is no model: what is asked is
//! whether the rules let anybody through, not how many. Draws are seeded by customer and date.

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
/// Numbers of a context are drawn between 1 and this, evenly in their logarithm; one in four is 0.
const LARGEST_NUMBER: f64 = 1e6;

/// The dates for a population whose events end at `end`, the latest first.
pub fn dates(end: Timestamp) -> impl Iterator<Item = Timestamp> {
    (0..N_DATES).map(move |step| end.plus_days(-step * STEP_DAYS))
}

impl Tally {
    /// Decides the customer `id`, whose events in the order in which they became known are `events`, at each of
    /// [`dates`] before `end` at which anything is known of them.
    pub fn add_life(
        &mut self,
        project: &Project,
        artifact: Option<&Artifact>,
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
                None => drawn_scores(situation, &mut draws),
            };
            let context = drawn_context(&project.policy, &mut draws);
            self.decide(project, &situation, &Question { context, max_actions: 1, ..Question::default() });
        }
    }
}

/// Any propensity, as a model could give it.
fn drawn_scores(mut situation: Situation, draws: &mut ChaCha8Rng) -> Situation {
    let mut any = || Probability::new(draws.random_range(0.0..1.0)).ok();
    situation.scores.iter_mut().for_each(|score| *score = any());
    situation.base_rates.iter_mut().for_each(|rate| *rate = any());
    situation
}

/// Any moment of those that the policy knows words for; half of the callers name no channel.
fn drawn_context(policy: &Policy, draws: &mut ChaCha8Rng) -> Context {
    let channels: Vec<&String> = policy.channels().collect();
    let channel = channels.choose(draws).filter(|_| draws.random_bool(0.5)).map(|channel| (*channel).clone());
    let direction = [Direction::Inbound, Direction::Outbound].choose(draws).copied();
    let attributes = policy.context().filter_map(|(name, kind)| {
        let value = match kind {
            ContextKind::Levels(levels) => AttributeValue::Text(levels.choose(draws)?.clone()),
            ContextKind::Named(NamedKind::Flag) => AttributeValue::Flag(draws.random_bool(0.5)),
            ContextKind::Named(NamedKind::Number) if draws.random_bool(0.25) => AttributeValue::Number(0.0),
            ContextKind::Named(NamedKind::Number) => {
                AttributeValue::Number(LARGEST_NUMBER.powf(draws.random_range(0.0..1.0)))
            }
            // What a free text may be nobody can guess.
            ContextKind::Named(NamedKind::Text) => return None,
        };
        Some((name.clone(), value))
    });
    let attributes = attributes.collect();
    Context { channel, direction, placement: None, attributes }
}
