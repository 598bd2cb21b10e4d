//! Weeks whose prices no experiment drew, put to use beside those of one.
//!
//! Prices set by someone who sees demand vary with it, and so their slope is far from what a price does; but it is told
//! precisely, and where experiments tell the same SKUs' slopes too, the difference of the two tells what that someone does:
//! a bias `k_i ~ N(k, t^2)`. Slopes of all weeks less the bias then tell how SKUs differ, and the experiment what they have
//! in common (Kallus, Puli & Shalit 2018 call it grounding; the weighing of the two by precision, Rosenman et al. 2023).
//! Where the bias differs much from SKU to SKU, t is large, and nothing is gained or lost.

use serde::Serialize;

use super::estimate::{Population, population};
use super::fit::Series;
use crate::metrics::Estimate;

/// Fewest SKUs with slopes of both kinds: fewer do not tell by how much the bias differs between them.
const MIN_SKUS: usize = 10;

/// What is taken off slopes of weeks that no experiment priced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Grounding {
    /// Mean, with its standard error; variance between SKUs; SKUs with slopes of both kinds.
    pub bias: Population,
    /// How much such slopes count beside those of the experiment, 0 to 1, on average; so much of the mean's error all share.
    pub weight: f64,
}

/// Makes own slopes of an experiment more precise by those `observed` in other weeks; none where these tell nothing. A SKU's
/// error is what is its own: the mean bias's is for the caller to add.
pub(super) fn take(series: &mut [Series<'_>], observed: &[Option<Estimate>]) -> Option<Grounding> {
    let both = series.iter().zip(observed).filter_map(|(series, observed)| series.own.zip(*observed));
    let differences: Vec<Estimate> = both
        .map(|(own, observed)| Estimate { value: observed.value - own.value, se: own.se.hypot(observed.se) })
        .collect();
    let bias = population(&differences).filter(|bias| bias.n >= MIN_SKUS)?;
    let mut weights = Vec::new();
    for (series, observed) in series.iter_mut().zip(observed) {
        let Some(observed) = observed else { continue };
        let grounded = observed.value - bias.mean.value;
        let precision = (observed.se.powi(2) + bias.between).recip();
        let own = series.own.map_or((0.0, 0.0), |own| (own.value, own.se.powi(2).recip()));
        let total = precision + own.1;
        let value = (precision * grounded + own.1 * own.0) / total;
        series.own = Some(Estimate { value, se: total.recip().sqrt() });
        weights.push(precision / total);
    }
    let weight = weights.iter().sum::<f64>() / weights.len() as f64;
    Some(Grounding { bias, weight })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal, Poisson};

    use crate::demand::{DemandOptions, DemandReport, Observation, fit};
    use crate::metrics;

    const N_SKUS: usize = 40;

    /// Slopes of -1 to -3.
    fn truth(sku: usize) -> f64 {
        -1.0 - 2.0 * sku as f64 / (N_SKUS - 1) as f64
    }

    /// A year of blocks of four weeks, every other one with drawn prices, the rest set by who sees demand and answers it by
    /// `answer` of the SKU; ten SKUs a category, each of whose demand swings by `season` within the year.
    fn shop(answer: impl Fn(usize) -> f64, season: f64, seed: u64) -> Vec<Observation> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (innovation, whim) = (Normal::new(0.0, 0.3).unwrap(), Normal::new(0.0, 0.03).unwrap());
        let mut found = Vec::new();
        for sku in 0..N_SKUS {
            let mut shock = 0.0;
            for week in 0..52_i32 {
                let drawn = (week / 4) as usize % 2 == sku % 2;
                shock = 0.5 * shock + innovation.sample(&mut random);
                let arms = [0.85, 0.92, 1.0, 1.08, 1.15];
                let log = match drawn {
                    true => f64::ln(arms[random.random_range(0..5)]),
                    false => answer(sku) * shock + whim.sample(&mut random),
                };
                let phase = std::f64::consts::TAU * (f64::from(week) / 52.0 + (sku % 4) as f64 / 4.0);
                let mean = (4.0 + shock + season * phase.cos() + truth(sku) * log).exp();
                let units = Poisson::new(mean).unwrap().sample(&mut random) as i64;
                found.push(Observation {
                    sku: format!("S{sku:02}"),
                    week,
                    price_minor: 10_000.0 * log.exp(),
                    units,
                    n_orders: units as u64,
                    n_shown: 0,
                    randomised: drawn,
                });
            }
        }
        found
    }

    fn told(observations: &[Observation], by_category: bool) -> DemandReport {
        let category = |sku: &str| sku[1..].parse::<usize>().ok().map(|sku| format!("C{}", sku % 4));
        let category = |sku: &str| category(sku).filter(|_| by_category);
        fit(observations, category, DemandOptions::default()).unwrap().report
    }

    /// Squared errors of the SKUs' own estimates, and how many 95 % intervals hold the truth.
    fn errors(report: &DemandReport) -> (Vec<f64>, usize) {
        let own = report.records[..N_SKUS].iter().map(|record| record.own.unwrap());
        let errors: Vec<(f64, f64)> =
            own.enumerate().map(|(sku, (value, se))| (value - truth(sku), se)).collect();
        let n_held = errors.iter().filter(|(error, se)| error.abs() < 1.96 * se).count();
        (errors.into_iter().map(|(error, _)| error * error).collect(), n_held)
    }

    /// Errors of `one` less those of `other`, paired by SKU over shops, in standard errors.
    fn lead(one: &[f64], other: &[f64]) -> f64 {
        let gains: Vec<f64> = one.iter().zip(other).map(|(one, other)| one - other).collect();
        let gain = metrics::mean(&gains);
        gain.value / gain.se
    }

    /// Over ten shops: squared errors fall by more than chance, beyond half, and intervals hold 400 slopes 380 times, less
    /// 4 sqrt(400 .95 .05) = 17.
    #[test]
    fn weeks_that_no_experiment_priced_make_its_slopes_more_precise() {
        let (mut with, mut without, mut n_held) = (Vec::new(), Vec::new(), 0);
        for seed in 1..=10 {
            let all = shop(|_| 0.3, 0.0, seed);
            let drawn: Vec<Observation> = all.iter().filter(|row| row.randomised).cloned().collect();
            let report = told(&all, true);
            let grounding = report.grounding.unwrap();
            assert!(grounding.bias.mean.value > 2.0, "prices that follow demand: {grounding:?}");
            let (errors_with, held) = errors(&report);
            n_held += held;
            with.extend(errors_with);
            without.extend(errors(&told(&drawn, true)).0);
        }
        let sum = |errors: &[f64]| errors.iter().sum::<f64>();
        assert!(lead(&without, &with) > 4.0 && sum(&with) < 0.5 * sum(&without));
        assert!(n_held >= 363, "{n_held} of 400");
    }

    /// Of prices that follow demand for one SKU and run against it for the next, nothing is believed.
    #[test]
    fn a_bias_that_differs_from_sku_to_sku_counts_for_little() {
        let report = told(&shop(|sku| if sku % 2 == 0 { 0.3 } else { -0.3 }, 0.0, 11), true);
        let grounding = report.grounding.unwrap();
        assert!(grounding.weight < 0.1, "{grounding:?}");
    }

    /// Seasons of categories, told as such, leave slopes more precise than seasons that nobody knows of: over ten shops.
    #[test]
    fn seasons_of_categories_are_taken_off() {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for seed in 21..=30 {
            let all = shop(|_| 0.3, 0.6, seed);
            with.extend(errors(&told(&all, true)).0);
            without.extend(errors(&told(&all, false)).0);
        }
        assert!(lead(&without, &with) > 4.0);
    }
}
