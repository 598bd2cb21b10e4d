//! The training set of a response model: one row per contact by an action that is about it, as the customer stood just before it, and whether success
//! followed within the horizon.
//!
//! The same two clocks as for cut-offs: a contact at T sees the events known before T; its outcome is what happened in
//! `[T, T + horizon)` as known by the run's present; [`Periods`] keep the parts apart. The columns of an offer are filled by
//! the code that fills them when a decision asks.

use std::collections::BTreeMap;

use nextbest_models::artifact::Artifact;
use nextbest_models::customer::{Customer, CustomerId, stable_hash};
use nextbest_models::event::{Event, EventType};
use nextbest_models::policy::contact::PastContact;
use nextbest_models::policy::response::{N_CODES, OFFER_COLUMNS, OfferCodes, OfferKey, ResponseSpec};
use nextbest_models::project::{Project, ResponseRule};
use nextbest_models::units::Timestamp;

use crate::cutoff::feature_columns;
use crate::dataset::{Column, Dataset, DatasetError};
use crate::periods::Periods;
use crate::uplift::{Answers, UpliftPlan};

/// The periods of one response model's contacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponsePlan {
    name: String,
    spec: ResponseSpec,
    periods: Periods,
    as_of: Timestamp,
}

/// The plans of all `[responses]` of `project` that events from `first` to `as_of` have room for, and the names of those
/// they have not.
pub fn plans(project: &Project, first: Timestamp, as_of: Timestamp) -> (Vec<ResponsePlan>, Vec<String>) {
    let (mut plans, mut too_short) = (Vec::new(), Vec::new());
    for (name, rule) in &project.settings.responses {
        match ResponsePlan::new(project, name, rule, first, as_of) {
            Some(plan) => plans.push(plan),
            None => too_short.push(name.clone()),
        }
    }
    (plans, too_short)
}

impl ResponsePlan {
    fn new(
        project: &Project,
        name: &str,
        rule: &ResponseRule,
        first: Timestamp,
        as_of: Timestamp,
    ) -> Option<Self> {
        let step_days = project.settings.training.step_days;
        let periods = Periods::new(step_days, rule.horizon_days, first, as_of)?;
        let policy = &project.policy;
        let asking = policy.actions().filter(|action| action.propensity == name);
        let actions = asking.map(|action| action.id.clone());
        let codes = OfferCodes::new(actions, policy.channels().cloned());
        let spec = ResponseSpec::new(rule.clone(), codes);
        Some(Self { name: name.to_owned(), spec, periods, as_of })
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a model of the contacts in `dataset` is about.
    #[must_use]
    pub fn spec(&self, dataset: &Dataset) -> ResponseSpec {
        let at = dataset.columns().len() - OFFER_COLUMNS.len();
        let mut spec = self.spec.clone();
        for (code, action) in spec.codes.actions().iter().enumerate() {
            let is_of = |row: &usize| dataset.row(*row).get(at).is_some_and(|found| *found == code as f64);
            let n_contacts = (0..dataset.n_rows()).filter(is_of).count();
            spec.n_contacts.insert(action.clone(), n_contacts as u64);
        }
        spec
    }

    /// How contacts are kept apart.
    #[must_use]
    pub const fn periods(&self) -> &Periods {
        &self.periods
    }

    /// The texts behind the codes of each column of an offer, by code.
    #[must_use]
    pub fn levels(&self) -> Vec<Vec<String>> {
        let texts = |names: &[String]| names.iter().cloned().chain(["(others)".to_owned()]).collect();
        let codes = [texts(self.spec.codes.actions()), texts(self.spec.codes.channels())];
        let numbers = OFFER_COLUMNS.iter().skip(N_CODES).map(|_| Vec::new());
        codes.into_iter().chain(numbers).collect()
    }

    /// An empty training set: a column per feature, then those of an offer.
    pub fn empty_dataset(&self, project: &Project) -> Result<Dataset, DatasetError> {
        let offer = OFFER_COLUMNS
            .iter()
            .enumerate()
            .map(|(at, name)| if at < N_CODES { Column::code(*name) } else { Column::numeric(*name) });
        Dataset::new(feature_columns(project).chain(offer).collect(), vec![self.name.clone()])
    }

    /// Adds a row for each contact of a period by an action that is about this response. `events` are this customer's, sorted by
    /// ([`Event::known`], `occurred_at`, `event_id`) as the event log keeps them. A row's cut-off is the start of its
    /// period.
    pub fn replay(
        &self,
        project: &Project,
        id: &CustomerId,
        events: &[Event],
        dataset: &mut Dataset,
    ) -> Result<(), DatasetError> {
        let known = events.partition_point(|event| event.known() < self.as_of);
        let known = events.get(..known).unwrap_or_default();
        let mut contacts: Vec<(&Event, Timestamp)> = known
            .iter()
            .filter(|event| event.event_type == EventType::Contacted && self.is_about(event))
            .filter_map(|event| Some((event, self.periods.of(event.occurred_at)?)))
            .collect();
        if contacts.is_empty() {
            return Ok(());
        }
        contacts.sort_by_key(|(event, _)| event.occurred_at);
        let successes = Successes::of(&self.spec.rule, known);
        let mut customer = Customer::new(id.clone(), &project.schema);
        let mut unseen = known.iter().peekable();
        for (contact, period) in contacts {
            let at = contact.occurred_at;
            while let Some(event) = unseen.next_if(|event| event.known() < at) {
                // What the fold refuses is counted by the replay of the cut-offs.
                let _ = customer.apply(&project.schema, event);
            }
            let (Some(action), Some(channel)) = (&contact.action_id, &contact.channel) else { continue };
            let history = customer.contacts().history(at, project.settings.lifecycle.response_days);
            let past: Vec<PastContact> = history.entries().iter().map(PastContact::of).collect();
            let mut row = project.schema.features(&customer, at).values().to_vec();
            let key = OfferKey { action: stable_hash(action), channel: stable_hash(channel) };
            self.spec.append((action, channel), key, &past, at, &mut row);
            dataset.push(id.clone(), period, &row, &[Some(successes.follow(contact))])?;
        }
        Ok(())
    }

    /// What the models of `artifact` tell of answers to those contacts of `dataset` that `uplift` speaks of.
    #[must_use]
    pub fn answers(&self, uplift: &UpliftPlan, artifact: &Artifact, dataset: &Dataset) -> Option<Answers> {
        let actions = self.spec.codes.actions().iter().enumerate();
        let codes = actions.filter(|(_, action)| uplift.treats(action)).map(|(code, _)| code).collect();
        let column = dataset.columns().len() - OFFER_COLUMNS.len();
        Answers::of(artifact, (&self.name, &uplift.rule().label), dataset, (column, &codes))
    }

    fn is_about(&self, contact: &Event) -> bool {
        contact.action_id.as_ref().is_some_and(|action| self.spec.codes.knows(action))
    }
}

/// When successes happened, by the decision or the action they name.
pub(crate) struct Successes<'a> {
    by_decision: BTreeMap<&'a str, Vec<(Timestamp, Option<&'a str>)>>,
    by_action: BTreeMap<&'a str, Vec<Timestamp>>,
    horizon_days: i32,
}

impl<'a> Successes<'a> {
    pub(crate) fn of(rule: &ResponseRule, known: &'a [Event]) -> Self {
        let (mut by_decision, mut by_action) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for event in known.iter().filter(|event| rule.event.contains(&event.event_type)) {
            let action = event.action_id.as_deref();
            match (event.decision_id.as_deref(), action) {
                (Some(id), _) => by_decision.entry(id).or_default().push((event.occurred_at, action)),
                (None, Some(action)) => by_action.entry(action).or_default().push(event.occurred_at),
                (None, None) => {}
            }
        }
        Self { by_decision, by_action, horizon_days: rule.horizon_days }
    }

    /// Whether one followed `contact` within the horizon: one that names its decision, and its action where it names one;
    /// where either names no decision, one of its action.
    pub(crate) fn follow(&self, contact: &Event) -> bool {
        let (from, until) = (contact.occurred_at, contact.occurred_at.plus_days(self.horizon_days));
        let within = |at: &Timestamp| from <= *at && *at < until;
        let own = contact.action_id.as_deref();
        let decided = contact.decision_id.as_deref().and_then(|id| self.by_decision.get(id));
        let same = |(at, action): &(Timestamp, Option<&str>)| {
            within(at) && action.zip(own).is_none_or(|(a, b)| a == b)
        };
        decided.is_some_and(|found| found.iter().any(same))
            || own.and_then(|action| self.by_action.get(action)).is_some_and(|found| found.iter().any(within))
    }
}
