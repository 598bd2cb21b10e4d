//! Everything a decision rests on besides the policy and the question: plain data, so that it can be logged and the
//! decision made again from the log, bit for bit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::contact::PastContact;
use super::control::Assignment;
use super::response::{OFFER_COLUMNS, OfferKey};
use super::{CheckedAction, CheckedTreatment, Predictor, funnel};
use crate::artifact::Artifact;
use crate::customer::contacts::Reply;
use crate::customer::{Customer, stable_hash};
use crate::decision::{Candidate, Context, Name};
use crate::lifecycle::Standing;
use crate::posterior::Evidence;
use crate::project::Project;
use crate::propensity::PropensityModel;
use crate::units::{Probability, Seed, Timestamp};
use crate::value::{CustomerSummary, TimeUnit, recent_value_minor};

/// What a caller asks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Question {
    /// The moment.
    pub context: Context,
    /// How many actions at most, at least 1.
    pub max_actions: u32,
    /// Only these actions; empty for all.
    pub candidate_actions: Vec<String>,
    /// Not these.
    pub excluded_actions: Vec<String>,
    /// Only in these forms; empty for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub treatments: Vec<String>,
    /// Consent by channel, as the caller knows it at this moment; it goes before what the customer's state says.
    pub consent: BTreeMap<String, bool>,
}

/// What is known when a decision is made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Situation {
    /// The moment of the decision.
    pub now: Timestamp,
    /// Of exploration.
    pub seed: Seed,
    /// Whether anything is known of the customer.
    pub known: bool,
    /// Where they stand.
    pub standing: Standing,
    /// Features as of `now`, in the schema's order; NaN where missing.
    #[serde(with = "missing_as_null")]
    pub features: Vec<f64>,
    /// Propensities in the order of [`Policy::models`](super::Policy::models); none where there is no model.
    pub scores: Vec<Option<Probability>>,
    /// The same for the average customer: what the model control is decided by.
    pub base_rates: Vec<Option<Probability>>,
    /// What the response models say of each treatment of each action, in the order of the file; none where the action is
    /// about a label, there is no model, or the action is closed to the customer whatever a model says (stage, dates, control
    /// group, objection). Empty where no action is about a response.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offers: Vec<Option<Probability>>,
    /// Contacts that the response models learned from, by action in the order of the file: their maturity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub n_learned: Vec<u64>,
    /// The share of outcomes among all contacts, in the order of [`Policy::responses`](super::Policy::responses).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_rates: Vec<Option<Probability>>,
    /// What they spent in the activity window, in minor units.
    pub recent_value_minor: i64,
    /// Their purchases, time in days: what a lifetime value is told from beside the features, so that it can be told again from
    /// the log. None where no rule or formula asks for that value, the project has no `[lifetime_value]`, or no purchase stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purchase_summary: Option<CustomerSummary>,
    /// What they will still bring, in minor units: the discounted margin within the model's horizon, as the at-risk list tells
    /// it. A score, of `purchase_summary` and the features; none without them or a model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime_value_minor: Option<i64>,
    /// Contacts and reservations, the latest first.
    pub contacts: Vec<PastContact>,
    /// Consent by channel, as far as it was ever given or refused.
    pub consent: BTreeMap<String, bool>,
    /// Whether they objected to automated decisions.
    pub objected: bool,
    /// To which control groups they belong.
    pub control: Assignment,
    /// Outcomes of actions, by id; none for an action that has none.
    pub evidence: BTreeMap<Name, Evidence>,
    /// Budgets that are used up, and until when.
    pub exhausted: BTreeMap<Name, Timestamp>,
    /// Whether nothing can be held: the store is away, so that what a cap or budget counts must not be offered.
    #[serde(default)]
    pub limits_unknown: bool,
}

impl Situation {
    /// Of `customer` at `now`, before models, evidence and budgets were asked; `customer` is a new one where `known` is
    /// false.
    #[must_use]
    pub fn of(project: &Project, customer: &Customer, known: bool, now: Timestamp, seed: Seed) -> Self {
        let today = now.day();
        let n_models = project.policy.models().len();
        let lifecycle = &project.settings.lifecycle;
        let history = customer.contacts().history(now, lifecycle.response_days);
        let contacts = history.entries().iter().rev().map(PastContact::of).collect();
        let said = |channel: &String| Some((channel.clone(), customer.consent(channel)?.granted));
        let is_asked = project.policy.asks_lifetime_value && project.settings.lifetime_value.is_some();
        let purchases = || CustomerSummary::of(customer, &project.schema, today, TimeUnit::Day);
        Self {
            now,
            seed,
            known,
            standing: lifecycle.standing(customer, &project.schema, now),
            features: project.schema.features(customer, now).values().to_vec(),
            scores: vec![None; n_models],
            base_rates: vec![None; n_models],
            offers: Vec::new(),
            n_learned: Vec::new(),
            response_rates: Vec::new(),
            recent_value_minor: recent_value_minor(
                customer,
                &project.schema,
                today,
                project.settings.activity.window_days,
            ),
            purchase_summary: if is_asked { purchases() } else { None },
            lifetime_value_minor: None,
            contacts,
            consent: project.policy.channels().filter_map(said).collect(),
            objected: customer.objected(),
            control: project.policy.control().assign(customer.id(), now),
            evidence: BTreeMap::new(),
            exhausted: BTreeMap::new(),
            limits_unknown: false,
        }
    }

    /// With contacts that are promised and not yet made; they count like those that were.
    #[must_use]
    pub fn reserved(mut self, reserved: impl IntoIterator<Item = PastContact>) -> Self {
        self.contacts.extend(reserved);
        self.contacts.sort_by_key(|contact| std::cmp::Reverse(contact.at));
        self
    }

    /// With the scores of `artifact`, its base rates, and the lifetime value where it is asked for.
    #[must_use]
    pub fn scored(mut self, project: &Project, artifact: &Artifact) -> Self {
        for (at, name) in project.policy.models().iter().enumerate() {
            if let Some(model) = artifact.propensity(name) {
                self.scores[at] = Some(model.score(&self.features));
                self.base_rates[at] = model.base_rate();
            }
        }
        if let Some(purchases) = self.purchase_summary {
            let models = artifact.lifetime_models();
            self.lifetime_value_minor =
                models.value_minor(&purchases.counted_in(models.unit()), &self.features);
        }
        if !project.policy.responses().is_empty() {
            self.score_offers(project, artifact);
        }
        self
    }

    fn score_offers(&mut self, project: &Project, artifact: &Artifact) {
        let policy = &project.policy;
        let of_offers = |name: &String| {
            let model = artifact.propensity(name)?;
            Some((model, model.metadata().response.as_ref()?))
        };
        let models: Vec<_> = policy.responses().iter().map(of_offers).collect();
        self.response_rates = models.iter().map(|found| found.as_ref()?.0.base_rate()).collect();
        let mut row = Vec::with_capacity(self.features.len() + OFFER_COLUMNS.len());
        let scored = policy.offers().map(|(action, treatment, asked)| {
            let (model, spec) = models.get(asked?)?.as_ref()?;
            // Of an action that was not there when it learned, a model knows nothing; the action's prior speaks. And most
            // actions are for other stages.
            if !spec.codes.knows(&action.id) || !funnel::is_open(action, self) {
                return None;
            }
            row.clear();
            row.extend_from_slice(&self.features);
            let offer = (&*action.id, &*treatment.channel);
            spec.append(offer, treatment.key, &self.contacts, self.now, &mut row);
            Some(model.score(&row))
        });
        self.offers = scored.collect();
        let learned = policy.actions.iter().map(|action| {
            let Predictor::Response(at) = action.model else { return 0 };
            let spec = models.get(at).and_then(Option::as_ref).map(|(_, spec)| spec);
            spec.and_then(|spec| spec.n_contacts.get(&action.spec.id)).copied().unwrap_or(0)
        });
        self.n_learned = learned.collect();
    }

    /// The row that the model of `candidate` reads: the features, and behind them the offer's columns where it is a
    /// response model.
    #[must_use]
    pub fn row_of(&self, candidate: &Candidate, model: &PropensityModel) -> Vec<f64> {
        let mut row = self.features.clone();
        if let Some(spec) = &model.metadata().response {
            let key = OfferKey {
                action: stable_hash(&candidate.action_id),
                channel: stable_hash(&candidate.channel),
            };
            let offer = (&*candidate.action_id, &*candidate.channel);
            spec.append(offer, key, &self.contacts, self.now, &mut row);
        }
        row
    }

    /// Whether a model spoke of `action`, through any of its treatments.
    pub(super) fn is_modelled(&self, action: &CheckedAction) -> bool {
        let told = |treatment: &CheckedTreatment| self.score(action, treatment).is_some();
        action.treatments.iter().any(told)
    }

    /// What the models say of `action` through `treatment`; for the model control, what they say of the average.
    pub(super) fn score(&self, action: &CheckedAction, treatment: &CheckedTreatment) -> Option<Probability> {
        let found = match (action.model, self.control.model) {
            (Predictor::Label(at), false) => self.scores.get(at),
            (Predictor::Label(at), true) => self.base_rates.get(at),
            (Predictor::Response(_), false) => self.offers.get(treatment.at),
            (Predictor::Response(at), true) => self.response_rates.get(at),
        };
        found.copied().flatten()
    }

    /// Whether a consent for `channel` is there (true), withdrawn (false) or was never spoken of.
    pub(super) fn consent_to(&self, channel: &str, question: &Question) -> Option<bool> {
        question.consent.get(channel).or_else(|| self.consent.get(channel)).copied()
    }

    /// Days since the last contact.
    #[expect(clippy::cast_precision_loss, reason = "days stay far below 2^53")]
    pub(super) fn days_since_contact(&self) -> f64 {
        self.contacts.first().map_or(f64::NAN, |last| {
            (self.now.as_millis() - last.at.as_millis()) as f64 / crate::units::DAY_MS as f64
        })
    }

    /// How many contacts were ignored of those that are remembered.
    pub(super) fn n_ignored(&self) -> f64 {
        let ignored = self.contacts.iter().filter(|contact| contact.reply == Reply::Ignored).count();
        f64::from(u32::try_from(ignored).unwrap_or(u32::MAX))
    }
}

/// A missing number is null in JSON, never a number that stands for it.
mod missing_as_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(numbers: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        let told: Vec<Option<f64>> = numbers.iter().map(|x| x.is_finite().then_some(*x)).collect();
        told.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let told = Vec::<Option<f64>>::deserialize(deserializer)?;
        Ok(told.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
    }
}
