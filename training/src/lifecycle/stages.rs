//! Stages: who stands where, for how long, and which way they went lately.

use std::collections::BTreeMap;

use nextbest_models::customer::Customer;
use nextbest_models::lifecycle::Stage;
use nextbest_models::units::Day;

use super::measure::Halves;
use super::{Change, Code, Look, Measure, Moves, RECENT_DAYS, StageShare};

/// The ladder: up is towards a business that lasts, down is away from it. Who has been lost stands below who never bought,
/// who came back from there between those and the new.
const LADDER: [Stage; 10] = [
    Stage::Defected,
    Stage::AtRisk,
    Stage::Aware,
    Stage::Considering,
    Stage::Recovered,
    Stage::New,
    Stage::Activating,
    Stage::Active,
    Stage::Loyal,
    Stage::Advocate,
];

fn rung(stage: Stage) -> usize {
    LADDER.iter().position(|one| *one == stage).unwrap_or(0)
}

/// Who still buys: neither before the first order nor silent.
const BUYING: [Stage; 6] =
    [Stage::New, Stage::Activating, Stage::Active, Stage::Loyal, Stage::Advocate, Stage::Recovered];

/// What was counted of stages.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Stages {
    now: BTreeMap<Stage, Standing>,
    /// Customers by where they stood and where they stand.
    flows: BTreeMap<(Stage, Stage), u64>,
    changes: BTreeMap<(Stage, Stage), u64>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Standing {
    n: u64,
    days: Halves,
}

impl Stages {
    pub(super) fn add(&mut self, look: &Look<'_>, customer: &Customer) {
        let (rules, schema) = (&look.project.settings.lifecycle, &look.project.schema);
        let standing = rules.standing(customer, schema, look.as_of);
        let now = self.now.entry(standing.stage).or_default();
        now.n += 1;
        now.days.add(2 * u64::from(look.today().since(standing.since).unsigned_abs()));
        let life = rules.transitions(customer, schema, Day::from_number(i32::MIN), look.today());
        let begin = look.today().plus(-RECENT_DAYS);
        let n_before = life.partition_point(|change| change.day <= begin);
        if let Some(before) = n_before.checked_sub(1).and_then(|at| life.get(at)) {
            *self.flows.entry((before.to, standing.stage)).or_default() += 1;
        }
        for change in life.iter().skip(n_before) {
            if let Some(from) = change.from {
                *self.changes.entry((from, change.to)).or_default() += 1;
            }
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        for (stage, theirs) in &other.now {
            let ours = self.now.entry(*stage).or_default();
            ours.n += theirs.n;
            ours.days.merge(&theirs.days);
        }
        other.flows.iter().for_each(|(way, n)| *self.flows.entry(*way).or_default() += n);
        other.changes.iter().for_each(|(way, n)| *self.changes.entry(*way).or_default() += n);
    }

    fn n(&self, stages: &[Stage]) -> u64 {
        stages.iter().filter_map(|stage| Some(self.now.get(stage)?.n)).sum()
    }

    /// Loyal customers and advocates among those who still buy.
    pub(super) fn loyalty(&self) -> Measure {
        Measure::share(self.n(&[Stage::Loyal, Stage::Advocate]), self.n(&BUYING), Code::NoCustomers)
    }

    pub(super) fn shares(&self) -> Vec<StageShare> {
        let all = self.n(&Stage::ALL);
        let of = |stage: Stage| StageShare {
            stage,
            share: Measure::share(self.n(&[stage]), all, Code::NoCustomers),
            days: self.now.get(&stage).map_or(Measure::none(Code::NoCustomers), |now| now.days.median()),
        };
        Stage::ALL.map(of).to_vec()
    }

    /// Of the stages somebody stood in.
    pub(super) fn moves(&self) -> Vec<Moves> {
        let of = |from: Stage| {
            let to: Vec<(Stage, u64)> = self
                .flows
                .iter()
                .filter(|((was, _), _)| *was == from)
                .map(|((_, is), n)| (*is, *n))
                .collect();
            let all: u64 = to.iter().map(|(_, n)| n).sum();
            let sum = |goes: &dyn Fn(usize) -> bool| {
                let n = to.iter().filter(|(is, _)| goes(rung(*is))).map(|(_, n)| n).sum();
                Measure::share(n, all, Code::NoCustomers)
            };
            let was = rung(from);
            let (stayed, up, down) = (sum(&|is| is == was), sum(&|is| is > was), sum(&|is| is < was));
            (all > 0).then_some(Moves { from, stayed, up, down, to })
        };
        Stage::ALL.into_iter().filter_map(of).collect()
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        let counted =
            self.changes.iter().map(|((from, to), n)| Change { from: *from, to: *to, n_changes: *n });
        let mut changes: Vec<Change> = counted.collect();
        changes.sort_by_key(|change| (std::cmp::Reverse(change.n_changes), change.from, change.to));
        changes
    }
}
