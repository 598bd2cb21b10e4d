//! Periods: how rows that have moments of their own, contacts and showings, are kept apart in time.
//!
//! A part is one or more periods of `step_days`; between two parts lies a horizon, so that no outcome of one reaches into
//! the next. The row's cut-off is the start of its period.

use nextbest_models::units::Timestamp;

use crate::cutoff::Split;

/// The periods of a training run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Periods {
    step_days: i32,
    split: Split,
}

impl Periods {
    /// The latest periods whose outcomes, `horizon_days` long, are known by `as_of`: one to test, one to calibrate, and
    /// all others since `first` to fit; none where no period is left to fit.
    #[must_use]
    pub fn new(step_days: i32, horizon_days: i32, first: Timestamp, as_of: Timestamp) -> Option<Self> {
        // From the start of one part to the start of the part before it: a period, and a horizon for its outcomes.
        let back = |start: Timestamp| start.plus_days(-step_days - horizon_days);
        let test = back(as_of.day().start());
        let calibrate = back(test);
        let latest = back(calibrate);
        let starts = (0..).map_while(|k: i32| Some(latest.plus_days(-k.checked_mul(step_days)?)));
        let mut fit: Vec<Timestamp> = starts.take_while(|start| *start >= first).collect();
        fit.reverse();
        (!fit.is_empty()).then_some(Self { step_days, split: Split { fit, calibrate, test } })
    }

    /// The starts of the periods, by part.
    #[must_use]
    pub const fn split(&self) -> &Split {
        &self.split
    }

    /// The start of the period that `at` lies in; none between the parts, before the first and after the last.
    #[must_use]
    pub fn of(&self, at: Timestamp) -> Option<Timestamp> {
        let Split { fit, calibrate, test } = &self.split;
        let holds = |start: &&Timestamp| **start <= at && at < start.plus_days(self.step_days);
        fit.iter().chain([calibrate, test]).find(holds).copied()
    }
}
