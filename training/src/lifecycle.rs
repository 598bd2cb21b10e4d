//! What becomes of customers: activation, repeat purchase, retention, churn, loyalty, stages, promoters, contacts.
//!
//! A [`Look`] reads the events of one customer after another, as known before its moment, into a [`Tally`]; tallies add up, so
//! that every bucket of a log is a task of its own, and [`Look::report`] divides. An order is an *active day*: a day with a
//! qualifying event (`[activity]`) that stands, several lines of a day being one; an order that is cancelled whole was none.
//! Stages come from the fold and its one lifecycle machine. Every number has what was counted, a 95 % interval in which a
//! customer is one observation, or a code in place of both. Nothing here knows a file format or a page.

use nextbest_models::customer::{Customer, CustomerId};
use nextbest_models::event::Event;
use nextbest_models::lifecycle::Stage;
use nextbest_models::project::{LabelRule, Project};
use nextbest_models::units::{Day, Timestamp};
use serde::Serialize;

use crate::cutoff::{is_active, outcome};

mod answers;
mod contacts;
mod measure;
mod orders;
mod report;
mod stages;

pub use measure::{Bounded, Code, Measure};

use answers::Answers;
use contacts::Contacts;
use orders::Orders;
use stages::Stages;

/// Days over which moves between stages, and contacts, are looked at.
pub const RECENT_DAYS: i32 = 90;
/// Days after a contact within which withdrawn consent is laid to it.
pub const OPT_OUT_DAYS: i32 = 30;
/// Most months of retention told.
pub const MAX_MONTHS: usize = 24;
/// The label that says what churn is.
const CHURN: &str = "churn";

/// The metrics of a project's customers at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LifecycleReport {
    /// The project.
    pub name: String,
    /// The project folder's identity.
    pub policy_sha256: String,
    /// The first event of a customer; none in an empty log.
    pub from: Option<Timestamp>,
    /// Nothing known at or after this moment is used.
    pub as_of: Timestamp,
    /// Customers of whom anything was known.
    pub n_customers: u64,
    /// Each with its definition.
    pub metrics: Vec<Metric>,
    /// By month of the first order.
    pub retention: Retention,
    /// Observed churn by cut-off, oldest first.
    pub churn: Vec<ChurnAt>,
    /// Who stands where today, all stages in the order of a life.
    pub stages: Vec<StageShare>,
    /// What became of those who stood in a stage [`RECENT_DAYS`] ago.
    pub moves: Vec<Moves>,
    /// Changes of stage since then, the most frequent first.
    pub changes: Vec<Change>,
    /// How surveys were answered.
    pub answers: AnswerCounts,
    /// Responses by campaign type, in the order of the types; contacts by actions that policy.toml does not have stand last.
    pub responses: Vec<Response>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// What a metric counts in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// 0 ..= 1.
    Share,
    /// Orders a customer.
    Orders,
    /// Days.
    Days,
    /// -100 ..= 100.
    Points,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Stable, for programs.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// In words, with the windows that were used.
    pub definition: String,
    /// What stands above the line.
    pub numerator_is: &'static str,
    /// What stands below it, or whose median it is.
    pub denominator_is: &'static str,
    /// What it counts in.
    pub unit: Unit,
    /// The number.
    #[serde(flatten)]
    pub measure: Measure,
}

/// Retention by monthly cohort.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Retention {
    /// All cohorts together, by months since the first order, from 1; of the cohorts whose month is over.
    pub months: Vec<Measure>,
    /// By month of the first order.
    pub cohorts: Vec<Cohort>,
}

/// The customers whose first order fell into one month.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cohort {
    /// `2026-01`, by UTC.
    pub month: String,
    /// Customers.
    pub n_customers: u64,
    /// Share with an order in the first, second, ... month after; only months that are over.
    pub months: Vec<Measure>,
}

/// Observed churn at one cut-off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChurnAt {
    /// The cut-off.
    pub cutoff: Timestamp,
    /// Those active then who churned by the label's rule.
    pub measure: Measure,
}

/// One stage today.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageShare {
    /// The stage.
    pub stage: Stage,
    /// Of all customers.
    pub share: Measure,
    /// Days since they came to it, the median of those who are in it; their stay is not over.
    pub days: Measure,
}

/// What became of the customers of one stage.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moves {
    /// Where they stood.
    pub from: Stage,
    /// Are there today.
    pub stayed: Measure,
    /// Stand higher on the ladder.
    pub up: Measure,
    /// Stand lower: the drop-off.
    pub down: Measure,
    /// Where they stand today, by stage; stages without one are left out.
    pub to: Vec<(Stage, u64)>,
}

/// A change of stage, counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// From where.
    pub from: Stage,
    /// To where.
    pub to: Stage,
    /// How often.
    pub n_changes: u64,
}

/// Customers by what they answered last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AnswerCounts {
    /// 9 and 10.
    pub n_promoters: u64,
    /// 7 and 8.
    pub n_passives: u64,
    /// 0 to 6.
    pub n_detractors: u64,
    /// Answers whose `nps` lies outside 0 ..= 10, or is none: not counted.
    pub n_unread: u64,
}

/// The response to one type of campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Response {
    /// The campaign type; `unknown` where policy.toml has no such action.
    pub campaign_type: String,
    /// Customers contacted.
    pub n_customers: u64,
    /// Contacts answered, of those made.
    pub measure: Measure,
}

/// A look at a project's customers as they were known before a moment.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    project: &'a Project,
    as_of: Timestamp,
    cutoffs: Vec<Timestamp>,
}

/// What was counted of some customers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    n_customers: u64,
    first: Option<Timestamp>,
    orders: Orders,
    /// Active and churned, by cut-off.
    churn: Vec<(u64, u64)>,
    stages: Stages,
    answers: Answers,
    contacts: Contacts,
}

impl Tally {
    /// Adds what another part counted.
    pub fn merge(&mut self, other: &Self) {
        self.n_customers += other.n_customers;
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.orders.merge(&other.orders);
        self.churn.resize(self.churn.len().max(other.churn.len()), (0, 0));
        for ((n, churned), (more, theirs)) in self.churn.iter_mut().zip(&other.churn) {
            *n += more;
            *churned += theirs;
        }
        self.stages.merge(&other.stages);
        self.answers.merge(&other.answers);
        self.contacts.merge(&other.contacts);
    }
}

impl<'a> Look<'a> {
    /// A look at `as_of`. Churn is observed at the `n_cutoffs` latest cut-offs, `step_days` apart, whose horizon is over.
    #[must_use]
    pub fn new(project: &'a Project, as_of: Timestamp) -> Self {
        let rules = &project.settings.training;
        let cutoffs = project.settings.labels.get(CHURN).map_or_else(Vec::new, |label| {
            let last = as_of.day().plus(-label.horizon_days);
            let back = (0..rules.n_cutoffs).rev().filter_map(|k| i32::try_from(k).ok());
            back.map(|k| last.plus(k.saturating_mul(-rules.step_days)).start()).collect()
        });
        Self { project, as_of, cutoffs }
    }

    fn today(&self) -> Day {
        self.as_of.day()
    }

    fn label(&self) -> Option<&'a LabelRule> {
        self.project.settings.labels.get(CHURN)
    }

    /// Counts a customer in. `events` are theirs, in the order of the event log; one of whom nothing was known yet is none.
    pub fn add(&self, id: &CustomerId, events: &[Event], tally: &mut Tally) {
        let known = events.partition_point(|event| event.known() < self.as_of);
        let known = events.get(..known).unwrap_or_default();
        let Some(first) = known.iter().map(|event| event.occurred_at).min() else { return };
        tally.n_customers += 1;
        tally.first = Some(tally.first.map_or(first, |before| before.min(first)));
        tally.orders.add(self, known);
        tally.churn.resize(self.cutoffs.len(), (0, 0));
        let customer = self.replay(id, known, &mut tally.churn);
        tally.stages.add(self, &customer);
        tally.answers.add(self, known);
        tally.contacts.add(self, known);
    }

    /// Folds what was known, and labels those active at each cut-off on the way. What the fold refuses is refused here.
    fn replay(&self, id: &CustomerId, known: &[Event], churn: &mut [(u64, u64)]) -> Customer {
        let schema = &self.project.schema;
        let mut customer = Customer::new(id.clone(), schema);
        let mut unseen = known.iter().peekable();
        for (&cutoff, (n, churned)) in self.cutoffs.iter().zip(churn) {
            while let Some(event) = unseen.next_if(|event| event.known() < cutoff) {
                // An event too late for the fold still counts as an order.
                let _ = customer.apply(schema, event);
            }
            let label = self.label().filter(|_| is_active(self.project, &customer, cutoff));
            if let Some(is_churned) = label.and_then(|label| outcome(label, known, cutoff, self.as_of)) {
                *n += 1;
                *churned += u64::from(is_churned);
            }
        }
        unseen.for_each(|event| {
            let _ = customer.apply(schema, event);
        });
        customer
    }
}

#[cfg(test)]
mod tests;
