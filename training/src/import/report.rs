//! What became of every row: exclusive buckets that add up to the rows read, and the conditions that overlap them.
//!
//! A bucket says where a row ended; a condition says what was true of it, wherever it ended, so that figures which
//! others publish about a file ("so many cancellations") can be recognised. Rejected rows were not understood and
//! have no conditions. Nothing in a report depends on the order of files or on the clock.

use std::collections::BTreeMap;

use nextbest_models::project::source::Source;
use serde::Serialize;

use crate::event_log::manifest::Contents;
use crate::import::fault::RowFault;

/// Where a row can end, set-aside rules apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Event,
    EventWithoutCustomer,
    CancellationMatched,
    CancellationSplit,
    CancellationPartlyMatched,
    CancellationUnmatched,
    CancellationWithoutCustomer,
    Duplicate,
    ConflictingDuplicate,
    Rejected,
    SetAside(u16),
}

/// The fates but `SetAside`, with the name of their bucket and what it holds.
const FATES: [(Fate, &str, &str); 10] = [
    (Fate::Event, "event", "became an event of a customer"),
    (Fate::EventWithoutCustomer, "event_without_customer", "became an event of no customer: demand only"),
    (Fate::CancellationMatched, "cancellation_matched", "revises one earlier line"),
    (Fate::CancellationSplit, "cancellation_split", "revises several earlier lines"),
    (
        Fate::CancellationPartlyMatched,
        "cancellation_partly_matched",
        "revises what is left of earlier lines; no line for the rest",
    ),
    (
        Fate::CancellationUnmatched,
        "cancellation_unmatched",
        "its customer has no earlier line to revise: not in the log",
    ),
    (
        Fate::CancellationWithoutCustomer,
        "cancellation_without_customer",
        "nobody's lines to look among: not in the log",
    ),
    (Fate::Duplicate, "duplicate", "the same row again: the first one counts"),
    (
        Fate::ConflictingDuplicate,
        "conflicting_duplicate",
        "the same event_id with other content: the first known counts",
    ),
    (Fate::Rejected, "rejected", "faulty: see the list"),
];

impl Fate {
    /// The number of its bucket in a [`Tally`].
    fn bucket(self) -> usize {
        match self {
            Self::SetAside(rule) => FATES.len() + usize::from(rule),
            fate => FATES.iter().position(|(known, ..)| *known == fate).unwrap_or(0),
        }
    }
}

/// The names of the condition bits: two fixed ones, then the set-aside rules of all sources.
#[derive(Clone, Debug)]
pub(crate) struct Conditions {
    rules: Vec<String>,
}

/// Bit of "a cancellation rule takes it".
pub(crate) const CANCELLATION: u64 = 1;
/// Bit of "it names no customer".
pub(crate) const WITHOUT_CUSTOMER: u64 = 2;
/// Number of fixed bits.
const FIXED: [&str; 2] = ["cancellation", "without_customer"];

impl Conditions {
    /// Of these sources; rules of the same name count together.
    pub(crate) fn of(sources: &[Source]) -> Self {
        let mut rules: Vec<String> = Vec::new();
        for rule in sources.iter().flat_map(|source| &source.set_aside) {
            if !rules.contains(&rule.name) {
                rules.push(rule.name.clone());
            }
        }
        Self { rules }
    }

    /// The number of the rule `name`.
    pub(crate) fn rule(&self, name: &str) -> u16 {
        self.rules.iter().position(|rule| rule == name).and_then(|at| u16::try_from(at).ok()).unwrap_or(0)
    }

    /// The bit of rule `rule`.
    pub(crate) fn bit(rule: u16) -> u64 {
        1_u64.checked_shl(u32::from(rule) + 2).unwrap_or(0)
    }

    /// How many rules fit the bits.
    pub(crate) fn fit(&self) -> bool {
        self.rules.len() + FIXED.len() <= 64
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        FIXED.into_iter().chain(self.rules.iter().map(String::as_str))
    }
}

/// Rows counted by fate and condition.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    buckets: Vec<Count>,
    pub(crate) cancellations: CancellationCounts,
    pub(crate) n_times_ambiguous: u64,
}

#[derive(Clone, Debug)]
struct Count {
    n_rows: u64,
    by_condition: [u64; 64],
}

/// What the matching of cancellations came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CancellationCounts {
    /// Events written: more than rows where one row revises several lines.
    pub n_revisions: u64,
    /// Revisions that leave nothing of their line.
    pub n_whole: u64,
    /// Revisions of a line with another unit price, because none with the same had enough left.
    pub n_other_price: u64,
    /// Revisions whose value was lowered to what was left of the line, so that no line is ever worth less than 0.
    pub n_value_capped: u64,
    /// Minor units by which it was lowered.
    pub value_capped_minor: i64,
    /// Units that were taken back but not found among earlier lines.
    pub quantity_unmatched: i64,
    /// Their worth in minor units.
    pub value_unmatched_minor: i64,
}

impl Tally {
    /// Counts one row.
    pub(crate) fn count(&mut self, fate: Fate, conditions: u64) {
        let bucket = fate.bucket();
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, Count { n_rows: 0, by_condition: [0; 64] });
        }
        let count = &mut self.buckets[bucket];
        count.n_rows += 1;
        let mut left = conditions;
        while left != 0 {
            count.by_condition[left.trailing_zeros() as usize] += 1;
            left &= left - 1;
        }
    }

    /// Adds what another task counted.
    pub(crate) fn add(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), Count { n_rows: 0, by_condition: [0; 64] });
        }
        for (own, other) in self.buckets.iter_mut().zip(&other.buckets) {
            own.n_rows += other.n_rows;
            own.by_condition.iter_mut().zip(other.by_condition).for_each(|(own, other)| *own += other);
        }
        self.n_times_ambiguous += other.n_times_ambiguous;
        self.add_cancellations(&other.cancellations);
    }

    /// Adds what one matching came to.
    pub(crate) fn add_cancellations(&mut self, other: &CancellationCounts) {
        let own = &mut self.cancellations;
        own.n_revisions += other.n_revisions;
        own.n_whole += other.n_whole;
        own.n_other_price += other.n_other_price;
        own.n_value_capped += other.n_value_capped;
        own.value_capped_minor += other.value_capped_minor;
        own.quantity_unmatched += other.quantity_unmatched;
        own.value_unmatched_minor += other.value_unmatched_minor;
    }

    /// Rows of one fate.
    pub(crate) fn n_rows(&self, fate: Fate) -> u64 {
        self.buckets.get(fate.bucket()).map_or(0, |count| count.n_rows)
    }

    /// The buckets and conditions of a report.
    pub(crate) fn tables(&self, conditions: &Conditions) -> (Vec<BucketCount>, Vec<ConditionCount>) {
        let rules = (0..).zip(&conditions.rules).map(|(rule, name)| {
            let meaning = format!("becomes no event: rule {name:?}");
            (Fate::SetAside(rule), format!("set_aside_{name}"), meaning)
        });
        let fixed = |range: std::ops::Range<usize>| {
            FATES[range]
                .iter()
                .map(|(fate, name, meaning)| (*fate, (*name).to_owned(), (*meaning).to_owned()))
        };
        let all: Vec<_> = fixed(0..7).chain(rules).chain(fixed(7..FATES.len())).collect();
        let bits = conditions.names().enumerate().map(|(bit, name)| {
            let rows =
                |fate: Fate| self.buckets.get(fate.bucket()).map_or(0, |count| count.by_condition[bit]);
            let by_bucket: BTreeMap<_, _> = all
                .iter()
                .map(|(fate, name, _)| (name.clone(), rows(*fate)))
                .filter(|(_, n)| *n > 0)
                .collect();
            ConditionCount { name: name.to_owned(), n_rows: by_bucket.values().sum(), by_bucket }
        });
        let bits = bits.collect();
        let bucket = |(fate, name, meaning)| BucketCount { n_rows: self.n_rows(fate), name, meaning };
        (all.iter().cloned().map(bucket).collect(), bits)
    }
}

/// The report of an import.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Rows read, of all files.
    pub n_rows: u64,
    /// Where they ended: exclusive, and adding up to `n_rows`.
    pub buckets: Vec<BucketCount>,
    /// What was true of them, wherever they ended.
    pub conditions: Vec<ConditionCount>,
    /// How cancellations were matched.
    pub cancellations: CancellationCounts,
    /// Clock readings that happened twice or never, when clocks were changed; see the rule in the documentation.
    pub n_times_ambiguous: u64,
    /// The files, by name.
    pub files: Vec<FileCount>,
    /// Rejected rows by code of the fault.
    pub rejected_by_code: BTreeMap<String, u64>,
    /// The first faults, by file and row; `n_rows` of bucket `rejected` says how many there are.
    pub faults: Vec<RowFault>,
    /// What the new log holds; absent if none was written.
    pub log: Option<Contents>,
    /// What the log held that was replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<Contents>,
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BucketCount {
    /// Its name.
    pub name: String,
    /// Rows in it.
    pub n_rows: u64,
    /// What they are.
    pub meaning: String,
}

/// One condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConditionCount {
    /// Its name.
    pub name: String,
    /// Rows of which it holds, in all buckets but `rejected`.
    pub n_rows: u64,
    /// The same by bucket, zeros left out.
    pub by_bucket: BTreeMap<String, u64>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileCount {
    /// Its name, without folder.
    pub name: String,
    /// SHA-256 of its bytes in hex.
    pub sha256: String,
    /// The source that mapped it; absent where it holds the wire's own columns.
    pub source: Option<String>,
    /// Rows read.
    pub n_rows: u64,
}

impl ImportReport {
    /// Rows in bucket `name`; 0 if there is no such bucket.
    #[must_use]
    pub fn bucket(&self, name: &str) -> u64 {
        self.buckets.iter().find(|bucket| bucket.name == name).map_or(0, |bucket| bucket.n_rows)
    }

    /// Rows of which condition `name` holds; 0 if there is no such condition.
    #[must_use]
    pub fn condition(&self, name: &str) -> u64 {
        self.conditions
            .iter()
            .find(|condition| condition.name == name)
            .map_or(0, |condition| condition.n_rows)
    }
}
