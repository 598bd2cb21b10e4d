//! Features: data in, numbers out. features.toml is parsed and checked into a [`Schema`], which knows what the fold
//! must remember ([`Measure`]) and turns a customer's state into a [`FeatureVector`].
//!
//! A window of N days at instant T is the N whole UTC days before T's day and T's day so far. A missing number is NaN
//! and its name is told; it is never replaced here.

pub mod measure;
pub mod spec;
pub mod reason;

use schemars::JsonSchema;
use serde::Serialize;

use crate::customer::Customer;
use crate::customer::series::{DayTotal, Held, Series};
use crate::digest::sha256_hex;
use crate::event::EventType;
use crate::units::{Currency, Day, Timestamp};
use measure::{Field, Filter, Measure, Memory};
use spec::{FeatureKind, FeatureSpec, Missing, SpecError};

/// Widest window, in days; a recency without a window looks back this far.
pub const MAX_WINDOW_DAYS: i32 = 1095;
/// Bumped when the fold or a formula changes meaning: states and models of another number do not open.
const FOLD_VERSION: u32 = 1;

/// The events that keep a customer active, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivityRule {
    /// Qualifying types.
    pub event: Vec<EventType>,
    /// A customer is active if one of them happened within this many days.
    pub window_days: i32,
}

/// How one feature is computed from the measures.
#[derive(Clone, Debug)]
enum Formula {
    Attribute { measure: usize, categories: Vec<String> },
    Count { measure: usize, window_days: Option<i32> },
    Sum { measure: usize, window_days: Option<i32>, scale: f64 },
    Mean { measure: usize, window_days: Option<i32>, scale: f64 },
    Recency { measure: usize, window_days: i32 },
    Tenure { measure: usize },
    Distinct { measure: usize, window_days: i32 },
    Trend { measure: usize, window_days: i32, of_sum: bool },
    DecayedCount { measure: usize, window_days: i32, half_life_days: f64 },
    Ratio { numerator: usize, denominator: usize },
}

/// The compiled features of a project: names in order, measures, formulas, fingerprint.
#[derive(Clone, Debug)]
pub struct Schema {
    specs: Vec<FeatureSpec>,
    names: Vec<String>,
    formulas: Vec<Formula>,
    measures: Vec<Measure>,
    activity: usize,
    currency: Currency,
    lateness_days: i32,
    fingerprint: String,
}

/// The features of one customer at one instant, in the order of [`Schema::names`]; NaN is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureVector {
    values: Vec<f64>,
}

impl FeatureVector {
    /// The numbers, NaN where missing.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The names of the missing ones.
    #[must_use]
    pub fn missing<'s>(&self, schema: &'s Schema) -> Vec<&'s str> {
        let pairs = schema.names.iter().zip(&self.values);
        pairs.filter(|(_, value)| value.is_nan()).map(|(name, _)| name.as_str()).collect()
    }
}

impl Schema {
    /// Compiles specs; every fault is returned, each with the feature's name.
    pub fn new(
        specs: Vec<FeatureSpec>,
        activity: &ActivityRule,
        currency: Currency,
        lateness_days: i32,
    ) -> Result<Self, Vec<SpecError>> {
        let canonical = serde_json::to_vec(&(FOLD_VERSION, &specs, activity, currency, lateness_days));
        let mut schema = Self {
            names: specs.iter().map(|spec| spec.name.clone()).collect(),
            formulas: Vec::with_capacity(specs.len()),
            measures: Vec::new(),
            activity: 0,
            currency,
            lateness_days,
            fingerprint: sha256_hex(&canonical.unwrap_or_default()),
            specs: Vec::new(),
        };
        let filter = Filter { event: activity.event.clone(), ..Filter::default() };
        schema.activity = schema.remember(
            &filter,
            Memory::Daily(Some(Field::Value)),
            activity.window_days.max(1) + MAX_HORIZON_DAYS,
        );
        let mut faults = Vec::new();
        for spec in &specs {
            match schema.compile(spec) {
                Ok(formula) => schema.formulas.push(formula),
                Err(message) => faults.push(SpecError { feature: spec.name.clone(), message }),
            }
        }
        schema.specs = specs;
        if faults.is_empty() { Ok(schema) } else { Err(faults) }
    }

    fn remember(&mut self, filter: &Filter, memory: Memory, window_days: i32) -> usize {
        let same = |measure: &Measure| measure.filter == *filter && measure.memory == memory;
        if let Some(at) = self.measures.iter().position(same) {
            self.measures[at].window_days = self.measures[at].window_days.max(window_days);
            return at;
        }
        self.measures.push(Measure { filter: filter.clone(), memory, window_days });
        self.measures.len() - 1
    }

    fn compile(&mut self, spec: &FeatureSpec) -> Result<Formula, String> {
        spec.check()?;
        if self.names.iter().filter(|name| **name == spec.name).count() > 1 {
            return Err("the name stands twice".to_owned());
        }
        let (filter, window_days) = (spec.filter(), spec.window_days);
        let wide = window_days.unwrap_or(MAX_WINDOW_DAYS);
        let of = spec.of.clone();
        let scale = of.as_ref().map_or(1.0, Field::scale);
        let needs_of = || format!("{} needs `of`, the field it is taken of", spec.kind);
        Ok(match spec.kind {
            FeatureKind::Attribute => Formula::Attribute {
                measure: self.remember(&filter, Memory::Latest(of.ok_or_else(needs_of)?), 0),
                categories: spec.categories.clone(),
            },
            FeatureKind::Count => Formula::Count {
                measure: self.remember(&filter, Memory::Daily(of), window_days.unwrap_or(0)),
                window_days,
            },
            FeatureKind::Sum | FeatureKind::Mean => {
                let memory = Memory::Daily(Some(of.ok_or_else(needs_of)?));
                let measure = self.remember(&filter, memory, window_days.unwrap_or(0));
                if spec.kind == FeatureKind::Sum {
                    Formula::Sum { measure, window_days, scale }
                } else {
                    Formula::Mean { measure, window_days, scale }
                }
            }
            FeatureKind::Recency => Formula::Recency {
                measure: self.remember(&filter, Memory::Daily(of), wide),
                window_days: wide,
            },
            FeatureKind::Tenure => Formula::Tenure { measure: self.remember(&filter, Memory::First, 0) },
            FeatureKind::Distinct => {
                let measure = self.remember(&filter, Memory::Keyed(of.ok_or_else(needs_of)?), wide);
                Formula::Distinct { measure, window_days: wide }
            }
            FeatureKind::Trend => {
                let window_days = window_days.ok_or("trend needs `window_days`")?;
                let of_sum = of.is_some();
                let measure = self.remember(&filter, Memory::Daily(of), 2 * window_days);
                Formula::Trend { measure, window_days, of_sum }
            }
            FeatureKind::DecayedCount => {
                let half_life_days = spec.half_life_days.ok_or("decayed_count needs `half_life_days`")?;
                // Past ten half-lives an event weighs below a thousandth.
                let window_days = window_days.unwrap_or_else(|| ten_half_lives(half_life_days));
                let measure = self.remember(&filter, Memory::Daily(of), window_days);
                Formula::DecayedCount { measure, window_days, half_life_days }
            }
            FeatureKind::Ratio => {
                let earlier = |name: &Option<String>, role: &str| {
                    let name = name
                        .as_ref()
                        .ok_or_else(|| format!("ratio needs `{role}`, the name of a feature"))?;
                    let known = self.names.iter().take(self.formulas.len()).position(|other| other == name);
                    known.ok_or_else(|| format!("{role} {name:?} is no feature defined above"))
                };
                Formula::Ratio {
                    numerator: earlier(&spec.numerator, "numerator")?,
                    denominator: earlier(&spec.denominator, "denominator")?,
                }
            }
        })
    }

    /// How many features.
    #[must_use]
    pub fn n_features(&self) -> usize {
        self.names.len()
    }

    /// Their names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Their specs, in order.
    #[must_use]
    pub fn specs(&self) -> &[FeatureSpec] {
        &self.specs
    }

    /// What the fold remembers.
    #[must_use]
    pub fn measures(&self) -> &[Measure] {
        &self.measures
    }

    /// SHA-256, in hex, of all that gives features their meaning; states and artifacts of another one do not open.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The project's currency; an event in another is refused.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.currency
    }

    /// How late an event may arrive after the latest one of its customer, in days.
    #[must_use]
    pub const fn lateness_days(&self) -> i32 {
        self.lateness_days
    }

    /// Index of the measure of activity (qualifying events, with their value).
    pub(crate) const fn activity(&self) -> usize {
        self.activity
    }

    /// What is remembered of qualifying events.
    pub(crate) fn activity_measure(&self) -> Option<&Measure> {
        self.measures.get(self.activity)
    }

    /// The features of `customer` as of `as_of`. The state must have been folded with this schema and hold no event
    /// known after `as_of`.
    #[must_use]
    pub fn features(&self, customer: &Customer, as_of: Timestamp) -> FeatureVector {
        let today = as_of.day();
        let mut values = Vec::with_capacity(self.formulas.len());
        for (formula, spec) in self.formulas.iter().zip(&self.specs) {
            let value = formula.value(customer.series(), &values, today);
            let fill = if spec.missing == Missing::Zero { 0.0 } else { f64::NAN };
            values.push(value.filter(|value| value.is_finite()).unwrap_or(fill));
        }
        FeatureVector { values }
    }
}

/// How long after the activity window the measure of activity still remembers: recency of the lapsed.
const MAX_HORIZON_DAYS: i32 = 365;

#[expect(clippy::cast_possible_truncation, reason = "half-lives are checked to lie in 0.5 ..= 365 days")]
fn ten_half_lives(half_life_days: f64) -> i32 {
    ((half_life_days * 10.0).ceil() as i32).min(MAX_WINDOW_DAYS)
}

/// Net count and sum over some days.
fn add_up(days: &[DayTotal]) -> (i64, i128) {
    days.iter().fold((0, 0), |(count, sum), day| (count + day.count, sum + day.sum))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "features are f64; sums past 2^53 round to the nearest, the same everywhere"
)]
fn number(sum: i128) -> f64 {
    sum as f64
}

impl Formula {
    fn value(&self, series: &[Series], earlier: &[f64], today: Day) -> Option<f64> {
        let count_and_sum =
            |measure: usize, window_days: Option<i32>| match (series.get(measure)?, window_days) {
                (Series::Daily(daily), Some(window)) => {
                    Some(add_up(daily.between(today.plus(-window), today)))
                }
                (Series::Daily(daily), None) => Some((daily.total_count, daily.total_sum)),
                _ => None,
            };
        match self {
            Self::Count { measure, window_days } => {
                Some(number(count_and_sum(*measure, *window_days)?.0.into()))
            }
            Self::Sum { measure, window_days, scale } => {
                Some(number(count_and_sum(*measure, *window_days)?.1) / scale)
            }
            Self::Mean { measure, window_days, scale } => {
                let (count, sum) = count_and_sum(*measure, *window_days)?;
                (count > 0).then(|| number(sum) / scale / number(count.into()))
            }
            Self::Recency { measure, window_days } => match series.get(*measure)? {
                Series::Daily(daily) => {
                    let days = today.since(daily.last_active(today)?);
                    (days <= *window_days).then(|| days.into())
                }
                _ => None,
            },
            Self::Tenure { measure } => match series.get(*measure)? {
                Series::First(first) => Some(today.since(first.day()?).into()),
                _ => None,
            },
            Self::Distinct { measure, window_days } => match series.get(*measure)? {
                Series::Keyed(keyed) => {
                    let n_distinct = keyed.n_distinct(today.plus(-window_days), today);
                    Some(f64::from(u32::try_from(n_distinct).unwrap_or(u32::MAX)))
                }
                _ => None,
            },
            Self::Trend { measure, window_days, of_sum } => match series.get(*measure)? {
                Series::Daily(daily) => {
                    let middle = today.plus(-window_days);
                    let recent = add_up(daily.between(middle, today));
                    let previous = add_up(daily.between(middle.plus(-window_days), middle.plus(-1)));
                    let pick = |(count, sum): (i64, i128)| number(if *of_sum { sum } else { count.into() });
                    trend(pick(recent), pick(previous))
                }
                _ => None,
            },
            Self::DecayedCount { measure, window_days, half_life_days } => match series.get(*measure)? {
                Series::Daily(daily) => {
                    let days = daily.between(today.plus(-window_days), today);
                    let weight = |day: &DayTotal| (-f64::from(today.since(day.day)) / half_life_days).exp2();
                    Some(days.iter().map(|day| weight(day) * number(day.count.into())).sum())
                }
                _ => None,
            },
            Self::Ratio { numerator, denominator } => {
                let (over, under) = (earlier.get(*numerator)?, earlier.get(*denominator)?);
                (*under != 0.0).then(|| over / under)
            }
            Self::Attribute { measure, categories } => match series.get(*measure)? {
                Series::Latest(latest) => Some(match latest.value()? {
                    #[expect(
                        clippy::cast_precision_loss,
                        reason = "millionths of at most 1e12 lose digits no model sees"
                    )]
                    Held::Micros(micros) => *micros as f64 / 1e6,
                    Held::Flag(flag) => f64::from(u8::from(*flag)),
                    Held::Text(text) => {
                        let code =
                            categories.iter().position(|known| known == text).unwrap_or(categories.len());
                        f64::from(u32::try_from(code).unwrap_or(u32::MAX))
                    }
                }),
                _ => None,
            },
        }
    }
}

/// (recent - previous) / (recent + previous), in -1 ..= 1; missing when both are nought.
fn trend(recent: f64, previous: f64) -> Option<f64> {
    let both = recent.abs() + previous.abs();
    (both > 0.0).then(|| ((recent - previous) / both).clamp(-1.0, 1.0))
}
