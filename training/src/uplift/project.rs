//! The uplift models of a project: what a contact changes of a label, learned from days with one and days without.
//!
//! A sequence of trials, one a day (Hernan & Robins 2016): a customer's day is treated if a contact of the rule's campaign
//! types fell on it, and control if no contact at all did, whatever came later; features are as of the start of the day,
//! the outcome is the label from then on. Treatment is settled when the trial begins, so nobody is control for having come by
//! themselves before they could be contacted; days of who allows no contact are no trial. Days are drawn evenly by a hash of customer and day. Who is contacted follows what is known of them: probabilities of treatment are
//! estimated, cross-fitted, and where days with and without have nothing in common nothing is told.

use std::collections::{BTreeMap, BTreeSet};

use nextbest_models::action::CampaignType;
use nextbest_models::artifact::{ModelKind, ModelMetadata, UpliftParts};
use nextbest_models::customer::{Customer, CustomerId, stable_hash};
use nextbest_models::event::{Event, EventType};
use nextbest_models::project::{Project, UpliftRule};
use nextbest_models::units::{Day, Seed, Timestamp};
use serde::Serialize;

use super::answered::Answers;
use super::choose::UpliftCandidate;
use super::curve::Ranking;
use super::effect::{Arm, AverageEffect};
use super::error::{RefusalCode, Refused, UpliftError};
use super::fit::{Chosen, golden};
use super::learners::Effect;
use super::refuse::{refusal, refuse_lopsided};
use super::study::Study;
use super::trial::Trial;
use super::{AssignmentReport, Choice, Design, Method};
use crate::cutoff::{feature_columns, is_active, outcome};
use crate::dataset::{Dataset, DatasetError};
use crate::learner::MIN_PER_CLASS;
use crate::table::fold_by_hash;

/// Most contacts, of any kind, whose days are looked at.
const MAX_CONTACTS: f64 = 20_000.0;
/// Control days drawn for each of them; those of the rule's kinds are but a part.
const CONTROLS: f64 = 0.5;
const N_FOLDS: u32 = 5;

/// Which days are learned from.
#[derive(Clone, Debug, PartialEq)]
pub struct UpliftPlan {
    name: String,
    rule: UpliftRule,
    actions: BTreeSet<String>,
    from: Day,
    /// The last day whose outcome is known.
    until: Day,
    as_of: Timestamp,
    /// Of treated days, and of all customers' days, those that are learned from.
    shares: (f64, f64),
}

/// Days of customers, with and without a contact.
#[derive(Clone, Debug)]
pub struct ContactDays {
    dataset: Dataset,
    treated: Vec<bool>,
}

impl ContactDays {
    /// Adds those of another bucket.
    pub fn append(&mut self, other: Self) -> Result<(), DatasetError> {
        self.dataset.append(other.dataset)?;
        self.treated.extend(other.treated);
        Ok(())
    }
}

/// What a project's report says of an uplift model.
#[derive(Clone, Debug, Serialize)]
pub struct ProjectUplift {
    /// Its name.
    pub name: String,
    /// Of what.
    pub rule: UpliftRule,
    /// Days with a contact.
    pub treated_arm: Arm,
    /// Days without.
    pub control_arm: Arm,
    /// Who was contacted.
    pub assignment: AssignmentReport,
    /// The average effect on the label; below 0 the label becomes rarer.
    pub effect: AverageEffect,
    /// What is sealed.
    pub learner: Method,
    /// Every candidate, out of fold.
    pub candidates: Vec<UpliftCandidate>,
    /// What predicted uplift is worth, out of fold; none of a constant effect.
    pub ranking: Option<Ranking>,
}

impl UpliftPlan {
    /// The plan of `[uplifts.name]` on events from `first` to `as_of`, of which `n_contacts` are contacts of any kind to
    /// `n_customers`; none where no outcome is known by then.
    #[must_use]
    pub fn new(
        project: &Project,
        (name, rule): (&str, &UpliftRule),
        (first, as_of): (Timestamp, Timestamp),
        (n_contacts, n_customers): (u64, u64),
    ) -> Option<Self> {
        let label = project.settings.labels.get(&rule.label)?;
        let (from, until) = (first.day().plus(1), as_of.day().plus(-label.horizon_days));
        let n_days = f64::from(until.since(from)) + 1.0;
        if n_days < 1.0 {
            return None;
        }
        let of_rule = |kind: CampaignType| rule.campaign_type.contains(&kind);
        let actions = project.policy.actions().filter(|action| of_rule(action.campaign_type));
        let looked_at = (n_contacts as f64).min(MAX_CONTACTS);
        let of_contacts = looked_at / (n_contacts as f64).max(1.0);
        let of_days = CONTROLS * looked_at / (n_days * (n_customers as f64).max(1.0));
        Some(Self {
            name: name.to_owned(),
            rule: rule.clone(),
            actions: actions.map(|action| action.id.clone()).collect(),
            from,
            until,
            as_of,
            shares: (of_contacts, of_days.min(1.0)),
        })
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// No days yet.
    pub fn empty(&self, project: &Project) -> Result<ContactDays, DatasetError> {
        let dataset = Dataset::new(feature_columns(project).collect(), vec![self.rule.label.clone()])?;
        Ok(ContactDays { dataset, treated: Vec::new() })
    }

    /// Adds the days of one customer. `events` are theirs, sorted by ([`Event::known`], `occurred_at`, `event_id`).
    pub fn replay(
        &self,
        project: &Project,
        id: &CustomerId,
        events: &[Event],
        days: &mut ContactDays,
    ) -> Result<(), DatasetError> {
        let Some(label) = project.settings.labels.get(&self.rule.label) else { return Ok(()) };
        let known = events.partition_point(|event| event.known() < self.as_of);
        let known = events.get(..known).unwrap_or_default();
        let Some(first) = known.iter().map(|event| event.occurred_at.day()).min() else { return Ok(()) };
        let contacts = known.iter().filter(|event| event.event_type == EventType::Contacted);
        let mut contacted: BTreeMap<Day, bool> = BTreeMap::new();
        for contact in contacts {
            let of_rule = contact.action_id.as_ref().is_some_and(|action| self.actions.contains(action));
            *contacted.entry(contact.occurred_at.day()).or_default() |= of_rule;
        }
        let mut customer = Customer::new(id.clone(), &project.schema);
        let mut unseen = known.iter().peekable();
        let hash = stable_hash(id.as_str());
        let mut day = self.from.max(first.plus(1));
        while day <= self.until {
            let treated = match contacted.get(&day) {
                Some(true) if drawn(hash, day, self.shares.0) => Some(true),
                None if drawn(hash, day, self.shares.1) => Some(false),
                _ => None,
            };
            if let Some(treated) = treated {
                let start = day.start();
                while let Some(event) = unseen.next_if(|event| event.known() < start) {
                    // What the fold refuses is counted by the replay of the cut-offs.
                    let _ = customer.apply(&project.schema, event);
                }
                if is_active(project, &customer, start)
                    && may_be_contacted(project, &customer)
                    && let Some(happened) = outcome(label, known, start, self.as_of)
                {
                    let features = project.schema.features(&customer, start);
                    days.dataset.push(id.clone(), start, features.values(), &[Some(happened)])?;
                    days.treated.push(treated);
                }
            }
            day = day.plus(1);
        }
        Ok(())
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> &UpliftRule {
        &self.rule
    }

    /// Whether a contact by `action` is a treatment.
    #[must_use]
    pub fn treats(&self, action: &str) -> bool {
        self.actions.contains(action)
    }

    /// Fits uplift on `days`, as parts of the artifact and what is told of it; with `answers` customers differ by these, else by
    /// what is learned.
    pub fn fit(
        &self,
        days: ContactDays,
        answers: Option<Answers>,
        seed: Seed,
    ) -> Result<(UpliftParts, ProjectUplift), UpliftError> {
        let labelled = days.dataset.labelled(&self.rule.label)?;
        let count = |arm: bool| {
            let of_arm = days.treated.iter().zip(&labelled.outcomes).filter(|(treated, _)| **treated == arm);
            let n_positive = of_arm.clone().filter(|(_, outcome)| **outcome).count();
            Arm::of(of_arm.count() as u64, n_positive as u64)
        };
        let (treated_arm, control_arm) = (count(true), count(false));
        self.refuse_too_few(&treated_arm, &control_arm)?;
        let bonds: Vec<u64> = days.dataset.customers().iter().map(|id| stable_hash(id.as_str())).collect();
        let trial = Trial {
            fold_of_row: bonds.iter().map(|bond| fold_by_hash(*bond, N_FOLDS, seed)).collect(),
            n_folds: N_FOLDS,
            bonds,
            outcomes: labelled.outcomes,
            treated: days.treated,
            dataset: days.dataset,
            probability: None,
        };
        let refused = |refused: Refused| match refused {
            Refused::Because(code, reason) => refusal(code, reason, &treated_arm, &control_arm),
            Refused::Learn(error) => error.into(),
        };
        refuse_lopsided(&trial).map_err(refused)?;
        let learners = if answers.is_some() { &[][..] } else { &Method::LEARNERS };
        let study = Study::of(&trial, Design::Observed, learners, seed).map_err(refused)?;
        let mut chosen = Chosen::of(Choice::Auto, &trial, &study)?;
        let effect = AverageEffect::of((&treated_arm, &control_arm), &study.pseudo, &study.shares);
        if let Some(answers) = answers {
            (chosen.method, chosen.line) = (Method::Answered, answers.line(effect.adjusted));
            chosen.candidates.clear();
        }
        let ranked = !matches!(chosen.method, Method::Constant | Method::Answered);
        let ranking =
            ranked.then(|| Ranking::of(&chosen.contender.values, &study.pseudo, &trial.fold_of_row));
        let parts = UpliftParts {
            metadata: self.described(&chosen, &effect, [&treated_arm, &control_arm]),
            scorer: chosen.effect.as_ref().map(Effect::seal).transpose()?,
            golden: golden(&trial, &chosen)?,
            calibration: chosen.line,
        };
        let report = ProjectUplift {
            name: self.name.clone(),
            rule: self.rule.clone(),
            treated_arm,
            control_arm,
            assignment: study.assignment,
            effect,
            learner: chosen.method,
            candidates: chosen.candidates,
            ranking,
        };
        Ok((parts, report))
    }

    fn refuse_too_few(&self, treated: &Arm, control: &Arm) -> Result<(), UpliftError> {
        for (name, arm, code) in
            [("with", treated, RefusalCode::NoTreated), ("without", control, RefusalCode::NoControl)]
        {
            if arm.n == 0 {
                let reason = format!("no day {name} a contact has a known {}", self.rule.label);
                return Err(refusal(code, reason, treated, control));
            }
            let found = arm.n_positive.min(arm.n_negative());
            if found < MIN_PER_CLASS as u64 {
                let reason = format!(
                    "{found} of the {} days {name} a contact are of the rarer outcome of {}; at least {MIN_PER_CLASS} are \
                     needed",
                    arm.n, self.rule.label
                );
                return Err(refusal(RefusalCode::TooFewOutcomes, reason, treated, control));
            }
        }
        Ok(())
    }

    fn described(
        &self,
        chosen: &Chosen,
        effect: &AverageEffect,
        [treated, control]: [&Arm; 2],
    ) -> ModelMetadata {
        let kinds: Vec<String> = self.rule.campaign_type.iter().map(kind).collect();
        ModelMetadata {
            name: self.name.clone(),
            kind: ModelKind::Uplift,
            learner: chosen.method.name().to_owned(),
            label: None,
            response: None,
            purchase: None,
            counts: BTreeMap::from([
                ("n_treated".to_owned(), treated.n),
                ("n_control".to_owned(), control.n),
            ]),
            metrics: BTreeMap::from([
                ("effect".to_owned(), effect.adjusted.value),
                ("effect_se".to_owned(), effect.adjusted.se),
            ]),
            notes: vec![format!("what contacts of {} change of {}", kinds.join(", "), self.rule.label)],
            sections: BTreeMap::new(),
        }
    }
}

fn kind(campaign: &CampaignType) -> String {
    serde_json::to_value(campaign).ok().and_then(|name| name.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Whether some channel is open: who objects, or allows none, is contacted by nobody, and differs from others in more than that.
fn may_be_contacted(project: &Project, customer: &Customer) -> bool {
    let open = |channel: &String| customer.consent(channel).is_none_or(|consent| consent.granted);
    !customer.objected() && project.policy.channels().any(open)
}

/// Whether a customer's day is drawn, with probability `share`.
fn drawn(customer: u64, day: Day, share: f64) -> bool {
    // SplitMix64 (Steele et al. 2014) over customer and day.
    let mut x = customer ^ (day.number() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) as f64 / u64::MAX as f64) < share
}
