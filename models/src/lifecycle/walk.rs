//! The machine: from one day on which something may change to the next, up to a given day.
//!
//! Between two such days nothing can happen, so the walk takes a step or two per active day however long the life.
//! All it carries along is where in each list of days it is, the habit, and the stage.

use super::{Cause, LifecycleRules, Stage, Transition};
use crate::customer::Customer;
use crate::feature::Schema;
use crate::units::Day;

/// The days of a life that matter to its stages, each list ascending.
pub(super) struct Days<'c> {
    first: Option<Day>,
    active: Vec<Day>,
    interest: &'c [Day],
    referrals: &'c [Day],
    promotions: &'c [Day],
}

impl<'c> Days<'c> {
    pub(super) fn of(customer: &'c Customer, schema: &Schema) -> Self {
        let life = customer.life();
        let mut active = life.settled().to_vec();
        active.extend(customer.activity(schema).active_days());
        Self {
            first: life.first(),
            active,
            interest: life.interest(),
            referrals: life.referrals(),
            promotions: life.promotions(),
        }
    }
}

/// What a customer is apart from silence: the stage they come back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    New,
    Activating,
    Active,
    Loyal,
    Recovered,
}

impl Habit {
    /// After active days have left the window: down only.
    fn worn(self, n_days: u32, rules: &LifecycleRules) -> Self {
        match self {
            Self::Active | Self::Loyal if n_days < rules.active_until() => Self::Activating,
            Self::Loyal if n_days < rules.loyal_until() => Self::Active,
            other => other,
        }
    }

    /// After one more active day, which is not the first: up, where the count is enough.
    fn grown(self, n_days: u32, rules: &LifecycleRules) -> Self {
        let earned = if self == Self::Recovered { rules.recovered_until() } else { rules.active_from_days };
        match self {
            Self::Recovered if n_days < earned => Self::Recovered,
            _ if n_days >= rules.loyal_from_days => Self::Loyal,
            Self::Active | Self::Loyal => self,
            _ if n_days >= earned => Self::Active,
            _ => Self::Activating,
        }
    }
}

/// A walk over the life of one customer; yields each change of stage up to a day, in time.
pub(super) struct Walk<'a> {
    rules: &'a LifecycleRules,
    days: &'a Days<'a>,
    until: Day,
    today: Option<Day>,
    /// How many days of each list lie on or before `today`.
    n_active: usize,
    n_interest: usize,
    n_referrals: usize,
    n_promotions: usize,
    /// The first active day that counts: within the window, and not before a return.
    counted_from: usize,
    habit: Habit,
    stage: Option<Stage>,
    /// Two changes may fall on one day; the second waits here.
    waiting: Option<Transition>,
}

impl Iterator for Walk<'_> {
    type Item = Transition;

    fn next(&mut self) -> Option<Transition> {
        if let Some(second) = self.waiting.take() {
            return Some(second);
        }
        loop {
            let day = self.next_day().filter(|day| *day <= self.until)?;
            self.today = Some(day);
            let due = self.morning(day).and_then(|(stage, cause)| self.enter(day, stage, cause));
            let done = self.evening(day).and_then(|(stage, cause)| self.enter(day, stage, cause));
            if let Some(first) = due {
                self.waiting = done;
                return Some(first);
            }
            if done.is_some() {
                return done;
            }
        }
    }
}

impl<'a> Walk<'a> {
    pub(super) const fn new(rules: &'a LifecycleRules, days: &'a Days<'a>, until: Day) -> Self {
        Self {
            rules,
            days,
            until,
            today: None,
            n_active: 0,
            n_interest: 0,
            n_referrals: 0,
            n_promotions: 0,
            counted_from: 0,
            habit: Habit::New,
            stage: None,
            waiting: None,
        }
    }

    /// The next day after today on which anything may change.
    fn next_day(&self) -> Option<Day> {
        let days = self.days;
        let Some(today) = self.today else {
            return days.first;
        };
        let after = |day: Option<Day>, n_days: i32| day.map(|day| day.plus(n_days));
        let told = [
            days.active.get(self.n_active).copied(),
            days.referrals.get(self.n_referrals).copied(),
            days.promotions.get(self.n_promotions).copied(),
        ];
        let due = match self.last_active() {
            // Interest matters while nothing else is known.
            None => [
                days.interest.get(self.n_interest).copied(),
                after(latest(days.interest, self.n_interest), self.rules.considering_days + 1),
                None,
                None,
            ],
            last => [
                after(last, self.rules.at_risk_days + 1),
                after(last, self.rules.defected_days + 1),
                after(days.active.get(self.counted_from).copied(), self.rules.habit_days),
                after(self.last_advocacy().map(|(day, _)| day), self.rules.advocate_days + 1),
            ],
        };
        told.into_iter().chain(due).flatten().filter(|day| *day > today).min()
    }

    /// What is due in the morning: silence, or that something lies too far back.
    fn morning(&mut self, day: Day) -> Option<(Stage, Cause)> {
        let Some(last_active) = self.last_active() else {
            let last = latest(self.days.interest, self.n_interest)?;
            let is_over = day.since(last) > self.rules.considering_days;
            return is_over.then_some((Stage::Aware, Cause::Decay));
        };
        let n_silent_days = day.since(last_active);
        if n_silent_days > self.rules.defected_days {
            return Some((Stage::Defected, Cause::Silence));
        }
        if n_silent_days > self.rules.at_risk_days {
            return Some((Stage::AtRisk, Cause::Silence));
        }
        self.habit = self.habit.worn(self.n_counted(day), self.rules);
        Some((self.habit_stage(day), Cause::Decay))
    }

    /// What the customer did on the day.
    fn evening(&mut self, day: Day) -> Option<(Stage, Cause)> {
        let days = self.days;
        let has_interest = step(days.interest, &mut self.n_interest, day);
        step(days.referrals, &mut self.n_referrals, day);
        step(days.promotions, &mut self.n_promotions, day);
        if step(&days.active, &mut self.n_active, day) {
            let cause = self.come(day);
            return Some((self.habit_stage(day), cause));
        }
        if self.n_active == 0 {
            return match (has_interest, self.stage) {
                (true, _) => Some((Stage::Considering, Cause::ProductInterest)),
                (false, None) => Some((Stage::Aware, Cause::FirstEvent)),
                (false, Some(_)) => None,
            };
        }
        if matches!(self.stage, Some(Stage::AtRisk | Stage::Defected)) {
            return None;
        }
        Some((self.habit_stage(day), self.last_advocacy().map_or(Cause::Decay, |(_, cause)| cause)))
    }

    /// An active day: moves the habit, and tells what a change of stage is then due to.
    fn come(&mut self, day: Day) -> Cause {
        let before = self.habit;
        if self.n_active == 1 {
            return Cause::QualifyingEvent;
        }
        if self.stage == Some(Stage::Defected) {
            self.counted_from = self.n_active - 1;
            self.habit = Habit::Recovered;
            return Cause::Returned;
        }
        let n_counted = self.n_counted(day);
        self.habit = before.worn(n_counted, self.rules).grown(n_counted, self.rules);
        match (self.stage, self.habit) {
            (Some(Stage::AtRisk), _) => Cause::Returned,
            (_, Habit::Activating) => Cause::QualifyingEvent,
            (_, after) if after == before => {
                self.last_advocacy().map_or(Cause::CountThreshold, |(_, cause)| cause)
            }
            _ => Cause::CountThreshold,
        }
    }

    fn enter(&mut self, day: Day, stage: Stage, cause: Cause) -> Option<Transition> {
        let from = self.stage.replace(stage);
        (from != Some(stage)).then_some(Transition { day, from, to: stage, cause })
    }

    fn habit_stage(&self, day: Day) -> Stage {
        match self.habit {
            Habit::New => Stage::New,
            Habit::Activating => Stage::Activating,
            Habit::Active => Stage::Active,
            Habit::Recovered => Stage::Recovered,
            Habit::Loyal => match self.last_advocacy() {
                Some((last, _)) if day.since(last) <= self.rules.advocate_days => Stage::Advocate,
                _ => Stage::Loyal,
            },
        }
    }

    /// Active days up to today that lie within the window and, after a defection, not before the return.
    fn n_counted(&mut self, day: Day) -> u32 {
        let first = day.plus(1 - self.rules.habit_days);
        let up_to_now = self.days.active.get(..self.n_active).unwrap_or_default();
        while up_to_now.get(self.counted_from).is_some_and(|active| *active < first) {
            self.counted_from += 1;
        }
        u32::try_from(self.n_active - self.counted_from).unwrap_or(u32::MAX)
    }

    fn last_active(&self) -> Option<Day> {
        latest(&self.days.active, self.n_active)
    }

    /// The last day on which the customer spoke for us, and how.
    fn last_advocacy(&self) -> Option<(Day, Cause)> {
        let referral = latest(self.days.referrals, self.n_referrals);
        let promotion = latest(self.days.promotions, self.n_promotions);
        if referral >= promotion {
            referral.map(|day| (day, Cause::Referral))
        } else {
            promotion.map(|day| (day, Cause::Survey))
        }
    }
}

/// The last of the first `n_days`.
fn latest(days: &[Day], n_days: usize) -> Option<Day> {
    n_days.checked_sub(1).and_then(|last| days.get(last)).copied()
}

/// Moves past `day`; whether it is one of them.
fn step(days: &[Day], n_days: &mut usize, day: Day) -> bool {
    let before = *n_days;
    while days.get(*n_days).is_some_and(|next| *next <= day) {
        *n_days += 1;
    }
    *n_days > before && days.get(*n_days - 1) == Some(&day)
}
