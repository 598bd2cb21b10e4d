//! The arms: who chooses among what survives the funnel.

use nextbest_models::artifact::Artifact;
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::decision::{Context, Decision, Direction, RejectionCode};
use nextbest_models::event::Event;
use nextbest_models::policy::control::Assignment;
use nextbest_models::policy::{Question, Situation, decide};
use nextbest_models::project::Project;
use nextbest_models::units::Seed;
use nextbest_training::simulate::campaign::{CAMPAIGNS, CHANNELS};
use nextbest_training::simulate::takeover::{CampaignPolicy, Moment};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Who chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arm {
    /// Nobody is contacted.
    Nothing,
    /// The policy that was in force goes on, bound by no funnel.
    Legacy,
    /// Any of what survives, with equal probabilities.
    Random,
    /// The highest propensity.
    Propensity,
    /// `decide`, as the example shop configures it.
    Policy,
    /// The greatest gain of expected profit to one who knows the law of the simulation and the hidden state, but of the traits
    /// only what is on record: what learning from this log could at most come to, but for what answers tell of the traits.
    Informed,
    /// The greatest true gain of expected profit within the response window.
    Oracle,
}

impl Arm {
    pub const ALL: [Self; 7] = [
        Self::Nothing,
        Self::Legacy,
        Self::Random,
        Self::Propensity,
        Self::Policy,
        Self::Informed,
        Self::Oracle,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Legacy => "legacy policy, no funnel",
            Self::Random => "random eligible",
            Self::Propensity => "propensity only",
            Self::Policy => "**nextbest**",
            Self::Informed => "oracle without the hidden traits",
            Self::Oracle => "oracle",
        }
    }
}

/// Margin of an order as the oracle weighs it against costs, minor units.
const ORDER_MINOR: f64 = 900.0;

/// One customer under one arm.
pub struct Ruler<'a> {
    arm: Arm,
    project: &'a Project,
    artifact: &'a Artifact,
    customer: Option<Customer>,
    n_seen: usize,
    /// Written and not yet known.
    waiting: Vec<Event>,
    random: ChaCha8Rng,
}

impl<'a> Ruler<'a> {
    pub fn new(arm: Arm, project: &'a Project, artifact: &'a Artifact, number: u64) -> Self {
        let random = ChaCha8Rng::seed_from_u64(number);
        Self { arm, project, artifact, customer: None, n_seen: 0, waiting: Vec::new(), random }
    }

    /// Folds in what has become known, as the `events` function would have.
    fn catch_up(&mut self, moment: &Moment<'_, '_>) {
        let id: &CustomerId = moment.customer();
        let own = |event: &&Event| event.customer_id.as_ref() == Some(id);
        self.waiting.extend(moment.events()[self.n_seen..].iter().filter(own).cloned());
        self.n_seen = moment.events().len();
        self.waiting.sort_by_cached_key(|event| (event.known(), event.occurred_at, event.event_id.clone()));
        let known = self.waiting.partition_point(|event| event.known() < moment.at);
        let schema = &self.project.schema;
        let customer = self.customer.get_or_insert_with(|| Customer::new(id.clone(), schema));
        for event in self.waiting.drain(..known) {
            // Refused events (later than the allowed lateness) are lost, as they are to a shop.
            let _ = customer.apply(schema, &event);
        }
    }

    fn situation(&mut self, moment: &Moment<'_, '_>) -> Option<Situation> {
        let seed = Seed(self.random.random());
        let blank = Situation::of(self.project, self.customer.as_ref()?, true, moment.at, seed);
        let scored = blank.scored(self.project, self.artifact);
        Some(Situation { control: Assignment::default(), ..scored })
    }

    fn decide(&self, situation: &Situation, channel: Option<&str>) -> Decision {
        let (channel, direction) = (channel.map(str::to_owned), Some(Direction::Outbound));
        let context = Context { channel, direction, ..Context::default() };
        let question = Question { context, max_actions: 1, ..Question::default() };
        decide(&self.project.policy, situation, &question)
    }

    /// What rules, consent and contact policy leave, whatever it is worth.
    fn eligible(&self, situation: &Situation) -> Vec<(usize, usize)> {
        let mut found = Vec::new();
        for (channel, name) in CHANNELS.iter().enumerate() {
            let decision = self.decide(situation, Some(name));
            let survived = decision.actions.iter().chain(&decision.outranked).map(|one| &one.action_id);
            let worthless = decision.suppressed.iter().filter(|one| {
                matches!(one.code, RejectionCode::BelowMinPriority | RejectionCode::BelowMinPropensity)
            });
            let ids = survived.chain(worthless.map(|one| &one.action_id));
            found.extend(ids.filter_map(|id| Some((action(id)?, channel))));
        }
        found
    }

    fn cost_minor(&self, (action, channel): (usize, usize)) -> f64 {
        let action = self.project.policy.action(CAMPAIGNS[action].action_id);
        let forms = action.map(|action| action.treatments.as_slice()).unwrap_or_default();
        let form = forms.iter().find(|form| form.channel == CHANNELS[channel]);
        form.map_or(0.0, |form| form.cost_minor as f64)
    }
}

fn action(id: &str) -> Option<usize> {
    CAMPAIGNS.iter().position(|campaign| campaign.action_id == id)
}

fn channel(name: &str) -> Option<usize> {
    CHANNELS.iter().position(|channel| *channel == name)
}

impl CampaignPolicy for Ruler<'_> {
    fn choose(&mut self, moment: &mut Moment<'_, '_>) -> Option<(usize, usize)> {
        if self.arm == Arm::Nothing {
            return None;
        }
        self.catch_up(moment);
        let situation = self.situation(moment)?;
        match self.arm {
            Arm::Nothing | Arm::Legacy => None,
            Arm::Random => {
                let eligible = self.eligible(&situation);
                let n = eligible.len();
                (n > 0).then(|| eligible[self.random.random_range(0..n)])
            }
            Arm::Propensity => {
                let decision = self.decide(&situation, None);
                let all = decision.actions.iter().chain(&decision.outranked);
                let best =
                    all.max_by(|a, b| a.factors.propensity.get().total_cmp(&b.factors.propensity.get()))?;
                Some((action(&best.action_id)?, channel(&best.channel)?))
            }
            Arm::Policy => {
                let decision = self.decide(&situation, None);
                let first = decision.actions.first()?;
                Some((action(&first.action_id)?, channel(&first.channel)?))
            }
            Arm::Informed | Arm::Oracle => {
                let knows_traits = self.arm == Arm::Oracle;
                let nothing = moment.order_probability(None);
                let eligible = self.eligible(&situation);
                let gains = eligible.into_iter().map(|arm| {
                    let ordered = if knows_traits {
                        moment.order_probability(Some(arm))
                    } else {
                        moment.expected_order_probability(Some(arm))
                    };
                    let added = ordered - nothing;
                    (added * ORDER_MINOR - self.cost_minor(arm), arm)
                });
                let best = gains.max_by(|a, b| a.0.total_cmp(&b.0))?;
                (best.0 > 0.0).then_some(best.1)
            }
        }
    }
}
