//! Cut-offs: which moments a model learns from, and the replay that fills a training set at them.
//!
//! Two clocks keep the future out. At cut-off T a customer's features come from the events *known* before T, folded
//! in the order in which they became known; the label comes from what *happened* in `[T, T + horizon)`, as known by
//! the end of the log, so that a later cancellation revises it. Populations are customers still active at T by the
//! project's own rule. Nothing here reads a file.

use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::{Event, EventType};
use nextbest_models::feature::Schema;
use nextbest_models::feature::spec::FeatureKind;
use nextbest_models::project::{LabelKind, LabelRule, Project, Settings};
use nextbest_models::units::Timestamp;

use crate::dataset::{Column, Dataset, DatasetError};

/// The cut-offs of a training run, ascending, each at the start of a UTC day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    cutoffs: Vec<Timestamp>,
    as_of: Timestamp,
}

/// The three parts one label's rows are split into, out of time: no outcome of one part reaches into the next.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Split {
    /// To fit: every outcome is known at `calibrate`.
    pub fit: Vec<Timestamp>,
    /// To calibrate and to choose: the outcome is known at `test`.
    pub calibrate: Timestamp,
    /// To report, once.
    pub test: Timestamp,
}

/// Why a log is too short for the project's labels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not three cut-offs that are a horizon apart.
    #[error(
        "label {label:?} with horizon_days = {horizon_days} needs cut-offs to fit, calibrate and test that lie a horizon \
         apart; events from {first} to {as_of} with n_cutoffs = {n_cutoffs} and step_days = {step_days} leave none to \
         fit. Take a shorter horizon_days, more cut-offs, or more events"
    )]
    TooShort {
        /// Which label.
        label: String,
        /// Its horizon.
        horizon_days: i32,
        /// First event.
        first: Timestamp,
        /// Present of the training run.
        as_of: Timestamp,
        /// `[training]`.
        n_cutoffs: u32,
        /// `[training]`.
        step_days: i32,
    },
    /// Before any event.
    #[error("as-of {as_of} lies before the first event, {first}")]
    BeforeAll {
        /// First event.
        first: Timestamp,
        /// Present of the training run.
        as_of: Timestamp,
    },
}

impl Plan {
    /// Cut-offs `step_days` apart, the last as late as the longest horizon lets it mature by `as_of`; those before
    /// the first event are left out.
    pub fn new(settings: &Settings, first: Timestamp, as_of: Timestamp) -> Result<Self, PlanError> {
        if as_of <= first {
            return Err(PlanError::BeforeAll { first, as_of });
        }
        let horizon_days = settings.labels.values().map(|label| label.horizon_days).max().unwrap_or(0);
        let last = as_of.day().plus(-horizon_days);
        let days = (0..settings.training.n_cutoffs).rev().filter_map(|back| {
            let back = i32::try_from(back).ok()?.checked_mul(settings.training.step_days)?;
            Some(last.plus(-back).start())
        });
        let plan = Self { cutoffs: days.filter(|cutoff| *cutoff > first).collect(), as_of };
        for (name, label) in &settings.labels {
            if plan.split(label).is_none() {
                return Err(PlanError::TooShort {
                    label: name.clone(),
                    horizon_days: label.horizon_days,
                    first,
                    as_of,
                    n_cutoffs: settings.training.n_cutoffs,
                    step_days: settings.training.step_days,
                });
            }
        }
        Ok(plan)
    }

    /// The cut-offs, ascending.
    #[must_use]
    pub fn cutoffs(&self) -> &[Timestamp] {
        &self.cutoffs
    }

    /// The present of the training run: nothing known at or after it is used.
    #[must_use]
    pub const fn as_of(&self) -> Timestamp {
        self.as_of
    }

    /// How the rows of `label` are split: test on the last cut-off, calibrate on the latest whose outcomes are known
    /// there, fit on all whose outcomes are known at the latter. `None` when nothing is left to fit.
    #[must_use]
    pub fn split(&self, label: &LabelRule) -> Option<Split> {
        let matured_by = |end: Timestamp| {
            self.cutoffs.iter().copied().filter(move |cutoff| cutoff.plus_days(label.horizon_days) <= end)
        };
        let test = matured_by(self.as_of).next_back()?;
        let calibrate = matured_by(test).next_back()?;
        let fit: Vec<Timestamp> = matured_by(calibrate).collect();
        (!fit.is_empty()).then_some(Split { fit, calibrate, test })
    }
}

/// An empty training set for `project`: a column per feature, a label per label rule, in their orders.
pub fn empty_dataset(project: &Project) -> Result<Dataset, DatasetError> {
    Dataset::new(feature_columns(project).collect(), project.settings.labels.keys().cloned().collect())
}

/// A column per feature, in the order of the schema.
pub(crate) fn feature_columns(project: &Project) -> impl Iterator<Item = Column> {
    project.schema.specs().iter().map(|spec| {
        let is_code = spec.kind == FeatureKind::Attribute && !spec.categories.is_empty();
        if is_code { Column::code(&spec.name) } else { Column::numeric(&spec.name) }
    })
}

/// Adds a row for each cut-off at which the customer was active. `events` are this customer's, sorted by
/// ([`Event::known`], `occurred_at`, `event_id`) as the event log keeps them. Returns how many the fold refused.
pub fn replay(
    project: &Project,
    plan: &Plan,
    id: &CustomerId,
    events: &[Event],
    dataset: &mut Dataset,
) -> Result<u64, DatasetError> {
    let schema = &project.schema;
    let mut customer = Customer::new(id.clone(), schema);
    let mut n_refused = 0;
    let mut unseen = events.iter().peekable();
    let known = events.iter().take_while(|event| event.known() < plan.as_of).count();
    let known = events.get(..known).unwrap_or_default();
    for &cutoff in &plan.cutoffs {
        while let Some(event) = unseen.next_if(|event| event.known() < cutoff) {
            n_refused += u64::from(customer.apply(schema, event).is_err());
        }
        if !is_active(project, &customer, cutoff) {
            continue;
        }
        let features = schema.features(&customer, cutoff);
        let labels: Vec<Option<bool>> =
            project.settings.labels.values().map(|label| outcome(label, known, cutoff, plan.as_of)).collect();
        dataset.push(id.clone(), cutoff, features.values(), &labels)?;
    }
    Ok(n_refused)
}

/// The state of a customer after all `events` known before `as_of`, and how many the fold refused.
pub fn fold(schema: &Schema, id: &CustomerId, events: &[Event], as_of: Timestamp) -> (Customer, u64) {
    let mut customer = Customer::new(id.clone(), schema);
    let seen = events.iter().take_while(|event| event.known() < as_of);
    let n_refused = seen.map(|event| u64::from(customer.apply(schema, event).is_err())).sum();
    (customer, n_refused)
}

/// Whether the customer is still one by the project's `[activity]` rule.
pub(crate) fn is_active(project: &Project, customer: &Customer, cutoff: Timestamp) -> bool {
    let window_days = project.settings.activity.window_days;
    customer.inactive_days(&project.schema, cutoff.day()).is_some_and(|days| days <= window_days)
}

/// The label at `cutoff`, if its horizon has run out by `as_of`: whether (or whether none) of the label's events
/// happened in it and still stands by what is known.
pub(crate) fn outcome(
    label: &LabelRule,
    known: &[Event],
    cutoff: Timestamp,
    as_of: Timestamp,
) -> Option<bool> {
    let end = cutoff.plus_days(label.horizon_days);
    if end > as_of {
        return None;
    }
    let within = |at: Timestamp| cutoff <= at && at < end;
    let takes_orders = label.event.contains(&EventType::OrderPlaced);
    let standing: i64 = known
        .iter()
        .map(|event| {
            let counts = label.event.contains(&event.event_type) && within(event.occurred_at);
            let revises = takes_orders && event.takes_back_whole() && within(event.booked_at());
            i64::from(counts) - i64::from(revises)
        })
        .sum();
    Some((standing > 0) == (label.kind == LabelKind::Presence))
}
