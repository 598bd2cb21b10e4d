//! The at-risk list held against what followed: lists as they would have been built at past cut-offs, once the labels of
//! their customers have matured.
//!
//! Whoever builds the lists answers for the models: none may have learned from anything known at or after the cut-off it
//! is judged at. Here they are counted: churners and value expected against churners and value lost, at every length of the
//! list; probabilities by band; and, where a control group was held out and others contacted, the difference that made.
//! Intervals are 95 %, a customer being one observation.

use nextbest_models::event::{Event, EventType};
use nextbest_models::project::LabelRule;
use nextbest_models::units::Timestamp;
use serde::Serialize;

use crate::cutoff::outcome;
use crate::metrics::wilson;

/// Half-width of a 95 % interval in standard errors.
const WIDTH: f64 = 1.959_964;
/// Points of a curve.
const N_POINTS: usize = 100;
/// Days after a cut-off in which a contact counts as made from its list.
pub const CONTACT_DAYS: i32 = 14;
/// Fewest customers of either arm of a difference.
pub const LEAST_ARM: usize = 30;

/// One customer of a list, in its order, and what became of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// P(churn) as the list said it, 0 ..= 1.
    pub churn_probability: f64,
    /// `high`, `medium` or `low`.
    pub band: String,
    /// What the list said they would still bring, in minor units.
    pub value_minor: f64,
    /// Whether they were held out of the policy.
    pub held_out: bool,
    /// Whether a contact of those the list speaks of reached them within [`CONTACT_DAYS`] days.
    pub contacted: bool,
    /// Whether they left, by the label.
    pub churned: bool,
}

/// What a customer's events tell of the days after `cutoff`: whether they left, none where the label has not matured by
/// `as_of`; and whether a contact that `of_list` knows fell into the first [`CONTACT_DAYS`] of them. `events` are theirs,
/// sorted by when they became known.
#[must_use]
pub fn followed(
    label: &LabelRule,
    events: &[Event],
    (cutoff, as_of): (Timestamp, Timestamp),
    of_list: impl Fn(&str) -> bool,
) -> Option<(bool, bool)> {
    let known = events.partition_point(|event| event.known() < as_of);
    let known = events.get(..known).unwrap_or_default();
    let until = cutoff.plus_days(CONTACT_DAYS);
    let contacted = known.iter().any(|event| {
        event.event_type == EventType::Contacted
            && (cutoff..until).contains(&event.occurred_at)
            && event.action_id.as_deref().is_some_and(&of_list)
    });
    Some((outcome(label, known, cutoff, as_of)?, contacted))
}

/// The report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Backtest {
    /// The project.
    pub name: String,
    /// The project folder's identity.
    pub policy_sha256: String,
    /// Nothing known at or after this moment was used.
    pub as_of: Timestamp,
    /// What churn means.
    pub churn_definition: LabelRule,
    /// In what order the lists stand.
    pub order: &'static str,
    /// Whose worth `value` is: `lifetime_value`, or `recent_value` where no model tells the former.
    pub value: &'static str,
    /// By cut-off, the latest last.
    pub cutoffs: Vec<AtCutoff>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Where the models of a list came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// An artifact of the project whose training had ended by then.
    Artifact,
    /// Trained for this report on what was known by then.
    Refitted,
}

/// One list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AtCutoff {
    /// The day it is of.
    pub cutoff: Timestamp,
    /// Where its models came from; none where there are none.
    pub source: Option<ModelSource>,
    /// They know nothing from here on.
    pub trained_through: Option<Timestamp>,
    /// Of the artifact.
    pub artifact_sha256: Option<String>,
    /// What was counted; none with a code.
    pub judged: Option<Judged>,
    /// `too_early`: nothing could be trained on what was known by then. `nobody_listed`: nobody was active.
    pub code: Option<&'static str>,
    /// Why, in words.
    pub reason: Option<String>,
}

/// What became of a list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judged {
    /// Customers on it.
    pub n_customers: usize,
    /// Who left.
    pub n_churned: usize,
    /// At every hundredth of it.
    pub curve: Vec<Point>,
    /// By band, the highest first.
    pub bands: Vec<Band>,
    /// What contacting it made of churn.
    pub difference: Difference,
}

/// The first of a list, as expected and as it came.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// How long the list is.
    pub n_customers: usize,
    /// The sum of their probabilities.
    pub expected_churners: f64,
    /// By how much churners may differ from it by chance if the probabilities are right: the standard deviation of a sum of
    /// independent outcomes, sqrt(sum p (1 - p)).
    pub chance: f64,
    /// Who left, with the interval of their share (Wilson 1927) times the length.
    pub churners: Interval,
    /// Of all who left, the share among these.
    pub share_of_churners: Option<f64>,
    /// The sum of probability times value, in minor units.
    pub expected_lost_minor: f64,
    /// The value of those who left, in minor units, with a normal interval: n times the mean of value over those who left
    /// and 0 over the others.
    pub lost_minor: Interval,
    /// The value of those who stayed.
    pub kept_minor: f64,
}

/// The customers of one band.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Band {
    /// Its name.
    pub band: String,
    /// Customers.
    pub n_customers: usize,
    /// Their mean probability.
    pub expected: f64,
    /// The share that left (Wilson 1927).
    pub observed: Interval,
}

/// Share of churners among those the policy could contact less that among those it held out: by assignment and not by
/// contact, so that who was reached does not matter. Below 0 contacts kept customers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Customers not held out.
    pub n_open: usize,
    /// Of these, contacted.
    pub n_contacted: usize,
    /// Held out.
    pub n_held_out: usize,
    /// With its interval (Newcombe 1998, method 10: of two Wilson intervals); none with a code.
    pub estimate: Option<Interval>,
    /// `no_control_group`, `no_contacts`, or `control_contacted`: who was held out by the rules of today was contacted all the
    /// same, so the log is of another policy.
    pub code: Option<&'static str>,
}

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The number.
    pub value: f64,
    /// Lower bound.
    pub lo: f64,
    /// Upper bound.
    pub hi: f64,
}

/// `n` of `all` as a share (Wilson 1927); none of nobody.
fn share(n: usize, all: usize) -> Option<Interval> {
    let (lo, hi) = wilson(n, all);
    (all > 0).then(|| Interval { value: n as f64 / all as f64, lo, hi })
}

/// Counts a list; none where it is empty.
#[must_use]
pub fn judge(list: &[Listed]) -> Option<Judged> {
    let n_churned = list.iter().filter(|one| one.churned).count();
    (!list.is_empty()).then(|| Judged {
        n_customers: list.len(),
        n_churned,
        curve: curve(list, n_churned),
        bands: bands(list),
        difference: difference(list),
    })
}

fn curve(list: &[Listed], n_churned: usize) -> Vec<Point> {
    let mut points: Vec<Point> = Vec::new();
    let (mut expected, mut variance, mut churners) = (0.0, 0.0, 0);
    let (mut expected_lost, mut lost, mut lost2, mut kept) = (0.0, 0.0, 0.0, 0.0);
    for (at, one) in list.iter().enumerate() {
        let (p, value) = (one.churn_probability, one.value_minor);
        expected += p;
        variance += p * (1.0 - p);
        expected_lost += p * value;
        if one.churned {
            churners += 1;
            lost += value;
            lost2 += value * value;
        } else {
            kept += value;
        }
        let n_customers = at + 1;
        if n_customers < (list.len() * (points.len() + 1)).div_ceil(N_POINTS).max(1) {
            continue;
        }
        let n = n_customers as f64;
        let (lo, hi) = wilson(churners, n_customers);
        // Of a sum of n: n times the variance of one.
        let half = WIDTH * (lost2 - lost * lost / n).max(0.0).sqrt();
        points.push(Point {
            n_customers,
            expected_churners: expected,
            chance: f64::sqrt(variance),
            churners: Interval { value: churners as f64, lo: n * lo, hi: n * hi },
            share_of_churners: (n_churned > 0).then(|| churners as f64 / n_churned as f64),
            expected_lost_minor: expected_lost,
            lost_minor: Interval { value: lost, lo: (lost - half).max(0.0), hi: lost + half },
            kept_minor: kept,
        });
    }
    points
}

fn bands(list: &[Listed]) -> Vec<Band> {
    let of_band = |name: &&str| {
        let of: Vec<&Listed> = list.iter().filter(|one| one.band == *name).collect();
        let n_churned = of.iter().filter(|one| one.churned).count();
        Some(Band {
            band: (*name).to_owned(),
            n_customers: of.len(),
            expected: of.iter().map(|one| one.churn_probability).sum::<f64>() / of.len() as f64,
            observed: share(n_churned, of.len())?,
        })
    };
    ["high", "medium", "low"].iter().filter_map(of_band).collect()
}

fn difference(list: &[Listed]) -> Difference {
    let count = |held_out: bool, of: fn(&Listed) -> bool| {
        list.iter().filter(|one| one.held_out == held_out && of(one)).count()
    };
    let (n_open, n_held_out) = (count(false, |_| true), count(true, |_| true));
    let n_contacted = count(false, |one| one.contacted);
    let code = if n_held_out < LEAST_ARM || n_open < LEAST_ARM {
        Some("no_control_group")
    } else if n_contacted == 0 {
        Some("no_contacts")
    } else if count(true, |one| one.contacted) > 0 {
        Some("control_contacted")
    } else {
        None
    };
    let [open, held_out] =
        [(false, n_open), (true, n_held_out)].map(|(arm, n)| (count(arm, |one| one.churned), n));
    let estimate = code.is_none().then(|| newcombe(open, held_out));
    Difference { n_open, n_contacted, n_held_out, estimate, code }
}

/// The difference of two shares, each as (count, of how many), with the interval of Newcombe (1998, Statistics in Medicine 17,
/// 873-890, method 10).
fn newcombe(a: (usize, usize), b: (usize, usize)) -> Interval {
    let rate = |(n, all): (usize, usize)| n as f64 / all as f64;
    let ((p, q), (of_p, of_q)) = ((rate(a), rate(b)), (wilson(a.0, a.1), wilson(b.0, b.1)));
    let half = |x: f64, y: f64| x.hypot(y);
    Interval {
        value: p - q,
        lo: p - q - half(p - of_p.0, of_q.1 - q),
        hi: p - q + half(of_p.1 - p, q - of_q.0),
    }
}

#[cfg(test)]
mod tests;
