//! What followed the calibration, week by week, beside what the model expected of the same customers.

use std::collections::BTreeMap;

use nextbest_models::units::Day;
use nextbest_models::value::{BgNbd, TimeUnit};
use serde::Serialize;

use super::purchases::{Customer, Purchases};

/// Days of a week.
const WEEK: i32 = 7;
/// The last cell holds this many repeats and more.
const LAST: usize = 7;

/// Repeat purchases of everybody calibrated on, up to the end of a week.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Week {
    /// From the first purchase of all, the first is 1.
    pub week: i32,
    /// Its last day.
    pub through: String,
    /// Whether it lies behind the calibration.
    pub holdout: bool,
    /// Since the beginning.
    pub actual: f64,
    /// Since the beginning, `sum_i E[X(t - first_i)]`: by the parameters alone, not by what each customer did.
    pub expected: f64,
}

/// Customers of so many repeats in the calibration, and what they did after it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HoldoutFrequency {
    /// Repeats in the calibration; the last stands for so many and more.
    pub x: usize,
    /// Customers.
    pub n_customers: u64,
    /// Mean purchases in the holdout.
    pub actual: f64,
    /// Mean of `E[Y(t) | x, t_x, T]`.
    pub expected: f64,
}

/// The model after the data it was fitted on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Holdout {
    /// Its last day.
    pub through: String,
    /// Its length, in units of time.
    pub length: f64,
    /// Purchases of those calibrated on.
    pub actual: f64,
    /// Expected given what each did: `sum_i E[Y(t) | x_i, t_xi, T_i]`.
    pub expected: f64,
    /// Mean absolute difference per customer.
    pub mean_absolute_error: f64,
    /// Correlation of expected and actual purchases over customers; null where one is constant.
    pub correlation: Option<f64>,
    /// Cumulated, from the first purchase on.
    pub weeks: Vec<Week>,
    /// By repeats in the calibration.
    pub frequencies: Vec<HoldoutFrequency>,
}

/// Follows `customers`, summarised at the end of `calibrated`, to the end of `last`.
pub(super) fn follow(
    model: &BgNbd,
    purchases: &Purchases,
    customers: &[Customer],
    (calibrated, last): (Day, Day),
    unit: TimeUnit,
) -> Holdout {
    let length = f64::from(last.since(calibrated)) / unit.days();
    let told: Vec<(usize, f64, f64)> = customers
        .iter()
        .map(|of| {
            let later = purchases.days(of.who).filter(|day| *day > calibrated && *day <= last).count();
            let x = (of.summary.purchases.x() as usize).min(LAST);
            (x, later as f64, model.expected_purchases(&of.summary.purchases, length))
        })
        .collect();
    let n = (told.len() as f64).max(1.0);
    Holdout {
        through: last.to_string(),
        length,
        actual: told.iter().map(|one| one.1).sum(),
        expected: told.iter().map(|one| one.2).sum(),
        mean_absolute_error: told.iter().map(|one| (one.1 - one.2).abs()).sum::<f64>() / n,
        correlation: correlation(&told),
        weeks: weeks(model, purchases, customers, (calibrated, last), unit),
        frequencies: frequencies(&told),
    }
}

fn correlation(told: &[(usize, f64, f64)]) -> Option<f64> {
    let n = told.len() as f64;
    let (a, e) =
        (told.iter().map(|one| one.1).sum::<f64>() / n, told.iter().map(|one| one.2).sum::<f64>() / n);
    let sum = |of: &dyn Fn(f64, f64) -> f64| told.iter().map(|one| of(one.1 - a, one.2 - e)).sum::<f64>();
    let value = sum(&|a, e| a * e) / (sum(&|a, _| a * a) * sum(&|_, e| e * e)).sqrt();
    value.is_finite().then_some(value)
}

fn frequencies(told: &[(usize, f64, f64)]) -> Vec<HoldoutFrequency> {
    let mut sums = BTreeMap::<usize, (u64, f64, f64)>::new();
    for (x, actual, expected) in told {
        let sum = sums.entry(*x).or_default();
        *sum = (sum.0 + 1, sum.1 + actual, sum.2 + expected);
    }
    let mean = |(x, (n, actual, expected)): (usize, (u64, f64, f64))| HoldoutFrequency {
        x,
        n_customers: n,
        actual: actual / n as f64,
        expected: expected / n as f64,
    };
    sums.into_iter().map(mean).collect()
}

fn weeks(
    model: &BgNbd,
    purchases: &Purchases,
    customers: &[Customer],
    (calibrated, last): (Day, Day),
    unit: TimeUnit,
) -> Vec<Week> {
    let Some(first) = customers.iter().map(|of| of.first).min() else { return Vec::new() };
    let (mut firsts, mut repeats) = (BTreeMap::<Day, f64>::new(), BTreeMap::<Day, f64>::new());
    for of in customers {
        *firsts.entry(of.first).or_default() += 1.0;
        for day in purchases.days(of.who).skip(1).take_while(|day| *day <= last) {
            *repeats.entry(day).or_default() += 1.0;
        }
    }
    // E[X] by days since the first purchase, as far as any week asks for it.
    let mut known = BTreeMap::<i32, f64>::new();
    let n_weeks = (last.since(first) + 1) / WEEK;
    (1..=n_weeks)
        .map(|week| {
            let through = first.plus(week * WEEK - 1);
            let mut expected = 0.0;
            for (begun, n) in firsts.range(..=through) {
                let days = through.since(*begun);
                let of = |days| model.expected_repeats(f64::from(days) / unit.days());
                expected += n * *known.entry(days).or_insert_with(|| of(days));
            }
            Week {
                week,
                through: through.to_string(),
                holdout: through > calibrated,
                actual: repeats.range(..=through).map(|(_, n)| n).sum(),
                expected,
            }
        })
        .collect()
}
