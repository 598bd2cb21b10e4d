//! What customers of a log had brought by some moments, and what they brought after: the fold, asked three times.
//!
//! A third of the log each: to know customers by, to learn what they bring, to hold what was learned against. At a cut-off T a
//! customer's features and summary come from the events known before T; what they brought from T on is told by the state
//! at the end of these weeks, so that what was taken back by then is off.

use nextbest_models::artifact::{ArtifactBuilder, RealisedParts};
use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::Event;
use nextbest_models::project::Project;
use nextbest_models::units::{Day, Seed, Timestamp};
use nextbest_models::value::{CustomerSummary, Horizon, TimeUnit};

use super::contest::RealisedReport;
use super::folded::{FoldedReport, fit_folded};
use super::realised;
use crate::cutoff::{feature_columns, is_active};
use crate::dataset::{Dataset, DatasetError};

/// Fewer weeks tell no value, and the state remembers no more behind the window of activity.
const WEEKS: std::ops::RangeInclusive<u32> = 4..=52;

/// When a log is asked for what customers bring.
#[derive(Clone, Debug, PartialEq)]
pub struct ValuePlan {
    pub(super) horizon: Horizon,
    pub(super) cutoffs: Option<Cutoffs>,
    as_of: Timestamp,
}

/// Two moments, some weeks apart, and as many before the end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cutoffs {
    /// Weeks after each whose value is learned.
    pub(super) n_weeks: u32,
    /// What came after is known at `test`.
    pub(super) fit: Timestamp,
    /// What came after is known at the end.
    pub(super) test: Timestamp,
}

/// Customers of one moment, active ones, with what they brought in the weeks after it.
#[derive(Clone, Debug)]
pub(super) struct Moment {
    /// Their features.
    pub(super) dataset: Dataset,
    /// One for each row: what the closed form takes.
    pub(super) summaries: Vec<CustomerSummary>,
    /// One for each row: discounted margin, in minor units.
    pub(super) brought: Vec<f64>,
}

/// All of a log.
#[derive(Clone, Debug)]
pub struct ValueHistory {
    /// At `fit` and at `test`.
    pub(super) moments: [Moment; 2],
    /// Everybody with a purchase by `test`, active or not.
    pub(super) by_test: Vec<CustomerSummary>,
    /// Everybody with a purchase by the end.
    pub(super) by_end: Vec<CustomerSummary>,
}

impl ValuePlan {
    /// The plan of a log of events from `first` to `as_of`. Weeks are those of the horizon, or as many as a third of
    /// the log has.
    #[must_use]
    pub fn new(horizon: Horizon, first: Timestamp, as_of: Timestamp) -> Self {
        let end = as_of.day();
        let third = u32::try_from(end.since(first.day()) / 21).unwrap_or(0);
        let n_weeks = third.min(horizon.n_units()).min(*WEEKS.end());
        // At most 52 weeks.
        let days = 7 * i32::try_from(n_weeks).unwrap_or(0);
        let (test, fit) = (end.plus(-days), end.plus(-2 * days));
        let cutoffs =
            WEEKS.contains(&n_weeks).then(|| Cutoffs { n_weeks, fit: fit.start(), test: test.start() });
        Self { horizon, cutoffs, as_of }
    }

    /// No customers yet.
    pub fn empty(project: &Project) -> Result<ValueHistory, DatasetError> {
        let moment = || {
            let dataset = Dataset::new(feature_columns(project).collect(), Vec::new())?;
            Ok(Moment { dataset, summaries: Vec::new(), brought: Vec::new() })
        };
        Ok(ValueHistory { moments: [moment()?, moment()?], by_test: Vec::new(), by_end: Vec::new() })
    }

    /// Adds one customer. `events` are theirs, sorted by ([`Event::known`], `occurred_at`, `event_id`).
    pub fn replay(
        &self,
        project: &Project,
        id: &CustomerId,
        events: &[Event],
        history: &mut ValueHistory,
    ) -> Result<(), DatasetError> {
        let schema = &project.schema;
        let mut customer = Customer::new(id.clone(), schema);
        let mut unseen = events.iter().peekable();
        let summary = |customer: &Customer, end: Timestamp| {
            CustomerSummary::of(customer, schema, end.day().plus(-1), TimeUnit::Week)
        };
        let mut open = None;
        for (at, cutoff) in self.cutoffs.iter().flat_map(|cutoffs| [cutoffs.fit, cutoffs.test]).enumerate() {
            while let Some(event) = unseen.next_if(|event| event.known() < cutoff) {
                // What the fold refuses is counted by the replay of the cut-offs.
                let _ = customer.apply(schema, event);
            }
            self.close(&mut open, project, &customer, history);
            let known = summary(&customer, cutoff);
            if at == 1 {
                history.by_test.extend(known);
            }
            if let Some(known) = known.filter(|_| is_active(project, &customer, cutoff)) {
                let moment = &mut history.moments[at];
                let features = schema.features(&customer, cutoff);
                moment.dataset.push(id.clone(), cutoff, features.values(), &[])?;
                moment.summaries.push(known);
                open = Some((at, cutoff.day()));
            }
        }
        while let Some(event) = unseen.next_if(|event| event.known() < self.as_of) {
            let _ = customer.apply(schema, event);
        }
        self.close(&mut open, project, &customer, history);
        history.by_end.extend(summary(&customer, self.as_of));
        Ok(())
    }

    /// Tells what an `open` row brought, by the state at the end of its weeks.
    fn close(
        &self,
        open: &mut Option<(usize, Day)>,
        project: &Project,
        customer: &Customer,
        history: &mut ValueHistory,
    ) {
        if let (Some((at, from)), Some(cutoffs)) = (open.take(), self.cutoffs) {
            let days = 7 * i32::try_from(cutoffs.n_weeks).unwrap_or(0);
            let until = from.plus(days - 1);
            let kept = |day: Day| {
                let week = day.since(from) / 7 + 1;
                self.horizon.margin() * (1.0 + self.horizon.discount_rate()).powi(-week)
            };
            let days = customer.activity(&project.schema).between(from, until);
            history.moments[at].brought.push(days.iter().map(|day| kept(day.day) * day.sum as f64).sum());
        }
    }

    /// Fits what `history` tells, seals it, and says what was sealed and why.
    pub fn seal(&self, history: &ValueHistory, seed: Seed, builder: &mut ArtifactBuilder) -> ValueReport {
        let mut report = ValueReport::default();
        let closed = match fit_folded(self.horizon, history.by_end.clone()) {
            Ok(trained) => {
                builder.lifetime(trained.metadata, &trained.model, &trained.golden);
                report.lifetime_value = Some(trained.report);
                Some(trained.model)
            }
            Err(error) => {
                report.notes.push(format!("no lifetime value: {error}"));
                None
            }
        };
        if report.lifetime_value.as_ref().is_some_and(|told| !told.misfits()) {
            return report;
        }
        let (told, parts) = realised::contest(self, history, closed.as_ref(), seed);
        parts.into_iter().for_each(|parts: RealisedParts| builder.realised(parts));
        report.realised_value = Some(told);
        report
    }
}

impl ValueHistory {
    /// Adds the customers of another bucket.
    pub fn append(&mut self, other: Self) -> Result<(), DatasetError> {
        for (mine, theirs) in self.moments.iter_mut().zip(other.moments) {
            mine.dataset.append(theirs.dataset)?;
            mine.summaries.extend(theirs.summaries);
            mine.brought.extend(theirs.brought);
        }
        self.by_test.extend(other.by_test);
        self.by_end.extend(other.by_end);
        Ok(())
    }
}

/// What a project's report says of what customers will bring.
#[derive(Clone, Debug, Default)]
pub struct ValueReport {
    /// The closed form; none where customers tell none.
    pub lifetime_value: Option<FoldedReport>,
    /// Trees of realised value; none where the closed form fits.
    pub realised_value: Option<RealisedReport>,
    /// Why there is no closed form.
    pub notes: Vec<String>,
}
