//! What the policy does to the customers of an event log: whom each action reaches, where the funnel loses the others,
//! which factors decide who wins, and whether the control groups are fair samples.
//!
//! Every customer is decided once, as the functions would, at one moment; nothing is logged or held.

pub mod reach;

use std::collections::BTreeMap;

use nextbest_models::artifact::Artifact;
use nextbest_models::customer::{Customer, stable_hash};
use nextbest_models::decision::{Decision, DecisionOutcome, FunnelStage, RejectionCode};
use nextbest_models::lifecycle::Stage;
use nextbest_models::policy::control::Assignment;
use nextbest_models::policy::{Factor, Question, Situation, decide};
use nextbest_models::project::Project;
use nextbest_models::units::{Seed, Timestamp};
use serde::Serialize;

use crate::metrics::wilson;

/// What is said of a policy over a population.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DecisionReport {
    /// The project.
    pub name: String,
    /// The project folder's identity.
    pub policy_sha256: String,
    /// The artifact that scored; none where only priors spoke.
    pub artifact_sha256: Option<String>,
    /// The moment at which everyone was decided.
    pub as_of: Timestamp,
    /// Customers.
    pub n_customers: u64,
    /// Decisions by outcome.
    pub outcomes: BTreeMap<String, u64>,
    /// Customers by stage of life.
    pub stages: BTreeMap<String, u64>,
    /// One per action, in the order of the policy.
    pub actions: Vec<ActionReach>,
    /// One per factor.
    pub sensitivity: Vec<Sensitivity>,
    /// Decisions in which a choice was explored, and the probability of what came first: mean over all.
    pub mean_choice_probability: Option<f64>,
    /// One per control group.
    pub control: Vec<ControlCheck>,
}

/// Whom an action reaches.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ActionReach {
    /// Which action.
    pub action_id: String,
    /// Of which kind.
    pub campaign_type: String,
    /// Customers for whom it survived the funnel.
    pub n_survived: u64,
    /// Customers for whom it comes first.
    pub n_first: u64,
    /// The same as a share of all customers.
    pub share_first: f64,
    /// Mean priority where it survived, in minor units.
    pub mean_priority: Option<f64>,
    /// Customers lost at each place of the funnel, the largest first.
    pub losses: Vec<Loss>,
}

/// Customers that an action loses at one place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Loss {
    /// Step of the funnel.
    pub stage: FunnelStage,
    /// What in it.
    pub component: String,
    /// Why.
    pub code: RejectionCode,
    /// How many.
    pub n_customers: u64,
}

/// A share of a count, with its 95 % interval (Wilson 1927).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The share.
    pub value: f64,
    /// Lower bound.
    pub lo: f64,
    /// Upper bound.
    pub hi: f64,
}

impl Share {
    /// Of `n` in `all`; none where there are none.
    fn of(n: u64, all: u64) -> Option<Self> {
        let (lo, hi) = wilson(usize::try_from(n).ok()?, usize::try_from(all).ok()?);
        (all > 0).then(|| Self { value: n as f64 / all as f64, lo, hi })
    }
}

/// How often another action would come first without a factor, among customers with a choice.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The factor.
    pub factor: Factor,
    /// Customers with at least two candidates.
    pub n_choices: u64,
    /// Customers whose winner changes.
    pub n_changed: u64,
    /// Share of them; none without a choice.
    pub share: Option<Share>,
}

/// Whether a control group is a fair sample over the stages of life.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ControlCheck {
    /// policy or model.
    pub group: &'static str,
    /// Share that the policy asks for.
    pub share_asked: f64,
    /// Members.
    pub n_members: u64,
    /// Share found.
    pub share: Option<Share>,
    /// Pearson's statistic of membership against stage, over stages where at least five members are expected.
    pub chi_squared: f64,
    /// Its degrees of freedom.
    pub degrees: u64,
    /// Probability of as much by chance (Wilson & Hilferty 1931); 1 without a degree of freedom.
    pub p_value: f64,
}

/// Counts that parts of a population add up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    n_customers: u64,
    outcomes: BTreeMap<String, u64>,
    stages: BTreeMap<Stage, [u64; 3]>,
    actions: BTreeMap<String, ActionTally>,
    changed: BTreeMap<Factor, u64>,
    n_choices: u64,
    choice_probability: f64,
    n_offered: u64,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct ActionTally {
    n_survived: u64,
    n_first: u64,
    priority: f64,
    losses: BTreeMap<(FunnelStage, String, RejectionCode), u64>,
}

impl Tally {
    /// Decides `customer` at `as_of` and counts.
    pub fn add(
        &mut self,
        project: &Project,
        artifact: Option<&Artifact>,
        customer: &Customer,
        as_of: Timestamp,
    ) {
        let seed = Seed(stable_hash(customer.id().as_str()));
        let mut situation = Situation::of(project, customer, true, as_of, seed);
        if let Some(artifact) = artifact {
            situation = situation.scored(project, artifact);
        }
        self.decide(project, &situation, &Question { max_actions: 1, ..Question::default() });
    }

    /// Decides `question` in `situation` and counts.
    fn decide(&mut self, project: &Project, situation: &Situation, question: &Question) {
        self.count(&decide(&project.policy, situation, question), situation.control);
    }

    fn count(&mut self, decision: &Decision, control: Assignment) {
        self.n_customers += 1;
        *self.outcomes.entry(outcome(decision.outcome).to_owned()).or_default() += 1;
        let stage = self.stages.entry(decision.lifecycle_stage).or_default();
        stage[0] += 1;
        stage[1] += u64::from(control.policy);
        stage[2] += u64::from(control.model);
        for candidate in decision.actions.iter().chain(&decision.outranked) {
            let action = self.actions.entry(candidate.action_id.to_string()).or_default();
            action.n_survived += 1;
            action.priority += candidate.priority;
        }
        for fallen in decision.suppressed.iter().filter(|fallen| fallen.code != RejectionCode::Outranked) {
            let action = self.actions.entry(fallen.action_id.to_string()).or_default();
            let place = (fallen.stage, fallen.component.to_string(), fallen.code);
            *action.losses.entry(place).or_default() += 1;
        }
        let Some(first) = decision.actions.first() else { return };
        self.actions.entry(first.action_id.to_string()).or_default().n_first += 1;
        self.n_offered += 1;
        self.choice_probability += decision.choice_probability;
        let candidates: Vec<_> = decision.actions.iter().chain(&decision.outranked).cloned().collect();
        if candidates.iter().filter(|candidate| !candidate.mandatory).count() > 1 {
            self.n_choices += 1;
            for factor in Factor::ALL {
                *self.changed.entry(factor).or_default() += u64::from(factor.decides(&candidates));
            }
        }
    }

    /// Adds the counts of another part.
    pub fn merge(&mut self, other: Self) {
        self.n_customers += other.n_customers;
        self.n_choices += other.n_choices;
        self.n_offered += other.n_offered;
        self.choice_probability += other.choice_probability;
        other.outcomes.into_iter().for_each(|(name, n)| *self.outcomes.entry(name).or_default() += n);
        other.changed.into_iter().for_each(|(factor, n)| *self.changed.entry(factor).or_default() += n);
        for (stage, counts) in other.stages {
            let own = self.stages.entry(stage).or_default();
            own.iter_mut().zip(counts).for_each(|(own, n)| *own += n);
        }
        for (id, counts) in other.actions {
            let own = self.actions.entry(id).or_default();
            own.n_survived += counts.n_survived;
            own.n_first += counts.n_first;
            own.priority += counts.priority;
            counts.losses.into_iter().for_each(|(place, n)| *own.losses.entry(place).or_default() += n);
        }
    }

    /// The report.
    #[must_use]
    pub fn report(self, project: &Project, artifact: Option<&Artifact>, as_of: Timestamp) -> DecisionReport {
        let sensitivity = Factor::ALL.map(|factor| {
            let n_changed = self.changed.get(&factor).copied().unwrap_or(0);
            let share = Share::of(n_changed, self.n_choices);
            Sensitivity { factor, n_choices: self.n_choices, n_changed, share }
        });
        let rules = project.policy.control();
        let groups = [("policy", &rules.policy, 1), ("model", &rules.model, 2)];
        let control = groups.iter().filter_map(|(name, group, column)| {
            Some(control_check(name, group.as_ref()?.share, &self.stages, *column))
        });
        let actions = project.policy.actions().map(|action| {
            let counts = self.actions.get(&action.id).cloned().unwrap_or_default();
            reach(&action.id, &name_of(&action.campaign_type), counts, self.n_customers)
        });
        DecisionReport {
            name: project.settings.name.clone(),
            policy_sha256: project.fingerprint(),
            artifact_sha256: artifact.map(|artifact| artifact.sha256().to_owned()),
            as_of,
            n_customers: self.n_customers,
            stages: self.stages.iter().map(|(stage, n)| (stage.as_str().to_owned(), n[0])).collect(),
            actions: actions.collect(),
            sensitivity: sensitivity.to_vec(),
            mean_choice_probability: (self.n_offered > 0)
                .then(|| self.choice_probability / self.n_offered as f64),
            control: control.collect(),
            outcomes: self.outcomes,
        }
    }
}

const fn outcome(outcome: DecisionOutcome) -> &'static str {
    match outcome {
        DecisionOutcome::Offer => "offer",
        DecisionOutcome::NoAction => "no_action",
        DecisionOutcome::Control => "control",
        DecisionOutcome::Fallback => "fallback",
    }
}

/// The name of a value on the wire.
pub(crate) fn name_of(value: &impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

fn reach(id: &str, campaign_type: &str, counts: ActionTally, n_customers: u64) -> ActionReach {
    let mut losses: Vec<Loss> = counts
        .losses
        .into_iter()
        .map(|((stage, component, code), n_customers)| Loss { stage, component, code, n_customers })
        .collect();
    losses.sort_by(|a, b| b.n_customers.cmp(&a.n_customers).then_with(|| a.cmp(b)));
    ActionReach {
        action_id: id.to_owned(),
        campaign_type: campaign_type.to_owned(),
        n_survived: counts.n_survived,
        n_first: counts.n_first,
        share_first: counts.n_first as f64 / (n_customers as f64).max(1.0),
        mean_priority: (counts.n_survived > 0).then(|| counts.priority / counts.n_survived as f64),
        losses,
    }
}

/// Least number of members expected in a stage for it to take part in the test.
const MIN_EXPECTED: f64 = 5.0;

fn control_check(
    group: &'static str,
    share_asked: f64,
    stages: &BTreeMap<Stage, [u64; 3]>,
    column: usize,
) -> ControlCheck {
    let (n, n_members) = stages.values().fold((0, 0), |(n, m), counts| (n + counts[0], m + counts[column]));
    let overall = n_members as f64 / (n as f64).max(1.0);
    let tested = stages.values().filter(|counts| counts[0] as f64 * overall >= MIN_EXPECTED);
    let (mut chi_squared, mut degrees) = (0.0, 0u64);
    for counts in tested {
        let expected = counts[0] as f64 * overall;
        let difference = counts[column] as f64 - expected;
        // Both cells of the stage, members and others, are off by the same number.
        chi_squared += difference * difference / (expected * (1.0 - overall)).max(f64::MIN_POSITIVE);
        degrees += 1;
    }
    let degrees = degrees.saturating_sub(1);
    ControlCheck {
        group,
        share_asked,
        n_members,
        share: Share::of(n_members, n),
        chi_squared,
        degrees,
        p_value: chi_squared_above(chi_squared, degrees),
    }
}

/// P(X >= `value`) of a chi-squared variable, by Wilson and Hilferty's cube root, whose error stays below 0.01.
fn chi_squared_above(value: f64, degrees: u64) -> f64 {
    if degrees == 0 {
        return 1.0;
    }
    let k = degrees as f64;
    let spread = 2.0 / (9.0 * k);
    let z = ((value / k).cbrt() - (1.0 - spread)) / spread.sqrt();
    normal_above(z)
}

/// P(Z >= `z`) of a standard normal (Zelen & Severo 1964, 26.2.17 of Abramowitz & Stegun; error below 1e-7).
fn normal_above(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_above(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let poly = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530]
        .iter()
        .fold(0.0, |sum, c| (sum + c) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * poly
}

#[cfg(test)]
mod tests;
