//! A customer's purchases as the models take them: how many repeats, how recent, how old, and what one was worth.
//!
//! The constructors are the door: past them every number is finite and no summary contradicts itself.

use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::customer::life::MAX_SETTLED_DAYS;
use crate::feature::Schema;
use crate::units::Day;

/// In what time is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// 24 hours.
    Day,
    /// Seven days.
    #[default]
    Week,
    /// A twelfth of 365.25 days.
    Month,
}

impl TimeUnit {
    /// How many days it has.
    #[must_use]
    pub const fn days(self) -> f64 {
        match self {
            Self::Day => 1.0,
            Self::Week => 7.0,
            Self::Month => 365.25 / 12.0,
        }
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}

/// Why numbers are no summary.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SummaryFault {
    /// Not finite, or below 0.
    #[error("{name} is {value}, not a finite number of at least 0")]
    Number {
        /// `x`, `t_x`, `T`.
        name: &'static str,
        /// What it is.
        value: f64,
    },
    /// Half a purchase.
    #[error("x is {0}, not a whole number of repeat purchases")]
    Fraction(f64),
    /// A purchase after the end.
    #[error("t_x is {t_x}, above T = {age}: the last purchase lies after the end of the observation")]
    AfterEnd {
        /// Recency.
        t_x: f64,
        /// Age.
        age: f64,
    },
    /// Repeats at the time of the first purchase.
    #[error("t_x is 0 with x = {0}: a repeat purchase comes after the first")]
    NoTime(f64),
    /// A time without repeats.
    #[error("t_x is {0} with x = 0: without a repeat purchase the last one is the first, at 0")]
    NoRepeat(f64),
    /// A mean of nothing, or without a value.
    #[error("a mean of {mean} over {n} purchases; both must be above 0 and finite")]
    Spend {
        /// Purchases.
        n: f64,
        /// Their mean.
        mean: f64,
    },
}

/// Repeat purchases `x`, the time `t_x` of the last and the age `T` at the end of the observation, both since the first
/// purchase and in one unit. The first purchase itself is no repeat; several on one day are one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PurchaseDraft")]
pub struct PurchaseSummary {
    x: f64,
    t_x: f64,
    age: f64,
}

#[derive(Deserialize)]
struct PurchaseDraft {
    x: f64,
    t_x: f64,
    age: f64,
}

impl TryFrom<PurchaseDraft> for PurchaseSummary {
    type Error = SummaryFault;

    fn try_from(draft: PurchaseDraft) -> Result<Self, SummaryFault> {
        Self::new(draft.x, draft.t_x, draft.age)
    }
}

impl PurchaseSummary {
    /// Checked: `x` whole, `0 <= t_x <= age`, and `t_x` is 0 exactly when `x` is.
    pub fn new(x: f64, t_x: f64, age: f64) -> Result<Self, SummaryFault> {
        for (name, value) in [("x", x), ("t_x", t_x), ("T", age)] {
            if !value.is_finite() || value < 0.0 {
                return Err(SummaryFault::Number { name, value });
            }
        }
        if x.fract() != 0.0 {
            return Err(SummaryFault::Fraction(x));
        }
        if t_x > age {
            return Err(SummaryFault::AfterEnd { t_x, age });
        }
        if x > 0.0 && t_x == 0.0 {
            return Err(SummaryFault::NoTime(x));
        }
        if x == 0.0 && t_x > 0.0 {
            return Err(SummaryFault::NoRepeat(t_x));
        }
        Ok(Self { x, t_x, age })
    }

    /// Repeat purchases.
    #[must_use]
    pub const fn x(&self) -> f64 {
        self.x
    }

    /// Time of the last purchase since the first.
    #[must_use]
    pub const fn t_x(&self) -> f64 {
        self.t_x
    }

    /// Time from the first purchase to the end of the observation.
    #[must_use]
    pub const fn age(&self) -> f64 {
        self.age
    }
}

/// Purchases whose value is known and their mean, in whatever unit the model was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "SpendDraft")]
pub struct SpendSummary {
    n: f64,
    mean: f64,
}

#[derive(Deserialize)]
struct SpendDraft {
    n: f64,
    mean: f64,
}

impl TryFrom<SpendDraft> for SpendSummary {
    type Error = SummaryFault;

    fn try_from(draft: SpendDraft) -> Result<Self, SummaryFault> {
        Self::new(draft.n, draft.mean)
    }
}

impl SpendSummary {
    /// Checked: both above 0 and finite.
    pub fn new(n: f64, mean: f64) -> Result<Self, SummaryFault> {
        let sound = n.is_finite() && n > 0.0 && mean.is_finite() && mean > 0.0;
        if sound { Ok(Self { n, mean }) } else { Err(SummaryFault::Spend { n, mean }) }
    }

    /// How many purchases.
    #[must_use]
    pub const fn n(&self) -> f64 {
        self.n
    }

    /// Their mean value.
    #[must_use]
    pub const fn mean(&self) -> f64 {
        self.mean
    }
}

/// All that a lifetime value is told from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CustomerSummary {
    /// When they bought.
    pub purchases: PurchaseSummary,
    /// What they paid; none where nothing above 0 is known.
    pub spend: Option<SpendSummary>,
    /// The first purchases were forgotten, since there were more days than a state holds: `x` and the age are lower
    /// bounds.
    pub truncated: bool,
}

impl CustomerSummary {
    /// From the folded state, at the end of `today`, time in `unit`s and value in minor units; none where no purchase
    /// that stands is known by then.
    ///
    /// A purchase is a day with a qualifying event (the project's `[activity]`) that stands. Days the series of activity
    /// has forgotten are settled and kept apart, so `x`, `t_x` and `T` are exact over the whole history, up to
    /// [`MAX_SETTLED_DAYS`] settled days. The mean value is the all-time total over all purchase days, the first one
    /// included, since which part of it came with the first is not remembered: `n` is `x + 1` here, while a
    /// table's is `x` by custom. Gamma-Gamma takes either, on its assumption that the first purchase is like any other.
    /// Sound for today; for a day in the past, value booked on later days is taken off only as far as those are remembered.
    #[must_use]
    pub fn of(customer: &Customer, schema: &Schema, today: Day, unit: TimeUnit) -> Option<Self> {
        let activity = customer.activity(schema);
        let settled = customer.life().settled();
        let n_settled = settled.partition_point(|day| *day <= today);
        let mut recent = activity.active_days().filter(|day| *day <= today).peekable();
        let first = settled[..n_settled].first().copied().or_else(|| recent.peek().copied())?;
        let (n_recent, last) =
            recent.fold((0_u32, settled[..n_settled].last().copied()), |(n, _), day| (n + 1, Some(day)));
        let n = n_settled as f64 + f64::from(n_recent);
        let since = |day: Day| f64::from(day.since(first)) / unit.days();
        let purchases = PurchaseSummary::new(n - 1.0, since(last.unwrap_or(first)), since(today)).ok()?;
        let later: i128 =
            activity.between(today.plus(1), Day::from_number(i32::MAX)).iter().map(|day| day.sum).sum();
        let spend = SpendSummary::new(n, (activity.total_sum - later) as f64 / n).ok();
        Some(Self { purchases, spend, truncated: settled.len() >= MAX_SETTLED_DAYS })
    }

    /// The same with time in `unit`s, of a summary whose time is in days: to the bit what [`Self::of`] gives for `unit`,
    /// since days are whole.
    #[must_use]
    pub fn counted_in(self, unit: TimeUnit) -> Self {
        let PurchaseSummary { x, t_x, age } = self.purchases;
        let purchases = PurchaseSummary { x, t_x: t_x / unit.days(), age: age / unit.days() };
        Self { purchases, ..self }
    }
}
