//! Weeks whose prices no experiment drew, put to use beside those of one.
//!
//! Prices set by someone who sees demand vary with it, and so their slope is far from what a price does; but it is told
//! precisely, and where experiments tell the same SKUs' slopes too, the difference of the two tells what that someone does:
//! a bias `k_i ~ N(k, t^2)`. Slopes of all weeks less the bias then tell how SKUs differ, and the experiment what they have
//! in common (Kallus, Puli & Shalit 2018 call it grounding; the weighing of the two by precision, Rosenman et al. 2023).
//! Where the bias differs much from SKU to SKU, t is large, and little is gained or lost; where it goes with the slope itself,
//! the two kinds do not tell SKUs apart alike, and nothing is taken.

use serde::Serialize;

use super::estimate::{Population, believed_spread, population_of_spread, updated};
use super::fit::Series;
use crate::metrics::Estimate;

/// Fewest SKUs with slopes of both kinds: fewer tell neither by how much the bias differs between them nor whether it goes with
/// the slope. Where slopes differ by .3, told to .4, one that offsets them passes for one that does not in a fifth of the shops
/// of ten SKUs, and in a twelfth of those of thirty.
const MIN_SKUS: usize = 30;
/// Scale of the standard deviation by which the bias differs between SKUs, beforehand.
const BIAS_SPREAD: f64 = 1.0;

/// What is taken off slopes of weeks that no experiment priced.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Grounding {
    /// Mean, with its standard error; variance between SKUs; SKUs with slopes of both kinds.
    pub bias: Population,
    /// How much such slopes count beside those of the experiment, 0 to 1, on average; so much of the mean's error all share.
    pub weight: f64,
}

/// Makes own slopes of an experiment more precise by those `observed` in other weeks; none where these tell nothing, or nothing
/// like it. A SKU that no experiment priced keeps what it had: what others are biased by need not be its bias. A SKU's error is
/// what is its own: the mean bias's is for the caller to add.
pub(super) fn take(series: &mut [Series<'_>], observed: &[Option<Estimate>]) -> Option<Grounding> {
    let both = series.iter().zip(observed).filter_map(|(series, observed)| series.own.zip(*observed));
    let both: Vec<(Estimate, Estimate)> = both.collect();
    if both.len() < MIN_SKUS || !tell_alike(&both) {
        return None;
    }
    let differences = both
        .iter()
        .map(|(own, observed)| Estimate { value: observed.value - own.value, se: own.se.hypot(observed.se) });
    let differences: Vec<Estimate> = differences.collect();
    let bias = population_of_spread(&differences, believed_spread(&differences, BIAS_SPREAD))?;
    let mut weights = Vec::new();
    for (series, observed) in series.iter_mut().zip(observed) {
        let (Some(own), Some(observed)) = (series.own, observed) else { continue };
        let beside = Estimate {
            value: observed.value - bias.mean.value,
            se: (observed.se.powi(2) + bias.between).sqrt(),
        };
        let both = updated(own, beside);
        series.own = Some(both);
        weights.push((both.se / beside.se).powi(2));
    }
    let weight = weights.iter().sum::<f64>() / weights.len() as f64;
    Some(Grounding { bias, weight })
}

/// Whether SKUs differ by `both` kinds of slopes alike, at least by half. A bias that is independent of the slope leaves the
/// two covary by the variance of true slopes, which is that of the experiment's less their errors'; one that offsets the slope
/// (who moves the price of those most whose buyers mind it least, say) does not, and would pull all slopes to one.
fn tell_alike(both: &[(Estimate, Estimate)]) -> bool {
    let weights: Vec<f64> =
        both.iter().map(|(own, observed)| (own.se.powi(2) + observed.se.powi(2)).recip()).collect();
    let total: f64 = weights.iter().sum();
    let mean = |of: &dyn Fn(&(Estimate, Estimate)) -> f64| {
        both.iter().zip(&weights).map(|(both, weight)| weight * of(both)).sum::<f64>() / total
    };
    let (own, observed) = (mean(&|both| both.0.value), mean(&|both| both.1.value));
    let covariance = mean(&|both| (both.0.value - own) * (both.1.value - observed));
    let spread = mean(&|both| (both.0.value - own).powi(2) - both.0.se.powi(2));
    covariance > 0.0 && covariance >= 0.5 * spread
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal, Poisson};

    use crate::demand::{DemandOptions, DemandReport, Observation, fit};
    use crate::metrics::{self, Estimate};

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
        assert!(report.grounding.is_none_or(|grounding| grounding.weight < 0.1), "{:?}", report.grounding);
    }

    /// Who steers sales to a plan moves inelastic SKUs most, and all slopes of such weeks are alike: nothing is taken of them.
    #[test]
    fn a_bias_that_offsets_the_slope_is_seen() {
        for seed in 31..=35 {
            let report = told(&shop(|sku| 0.5 / truth(sku).abs(), 0.0, seed), true);
            assert!(report.grounding.is_none(), "{:?}", report.grounding);
        }
    }

    /// Of a thousand shops of as many SKUs as are asked for, their slopes differing by .3 and told to .4 by the experiment, to .15 by
    /// other weeks: a bias that offsets the slope passes in a twelfth, one that is independent of it in 19 of 20 (4 standard
    /// errors of a share either way); of ten SKUs the former passes far more often.
    #[test]
    fn a_bias_that_offsets_the_slope_seldom_passes() {
        let mut random = ChaCha8Rng::seed_from_u64(51);
        let mut draw = |sd: f64| Normal::new(0.0, sd).unwrap().sample(&mut random);
        let mut passed = |n: usize, offsets: bool| {
            let mut shop = || {
                let both = (0..n).map(|_| {
                    let slope = draw(0.3);
                    let kept = if offsets { 0.0 } else { slope };
                    let told = |value, se| Estimate { value, se };
                    (told(slope + draw(0.4), 0.4), told(kept + draw(0.15), 0.15))
                });
                super::tell_alike(&both.collect::<Vec<_>>())
            };
            (0..1000).filter(|_| shop()).count() as f64 / 1000.0
        };
        let error = |share: f64| (share * (1.0 - share) / 1000.0).sqrt();
        let (twelfth, most) = (1.0 / 12.0, 0.95);
        assert!(passed(super::MIN_SKUS, true) < twelfth + 4.0 * error(twelfth));
        assert!(passed(super::MIN_SKUS, false) > most - 4.0 * error(most));
        assert!(passed(10, true) > twelfth + 4.0 * error(twelfth));
    }

    /// A fifth of the SKUs are in no experiment, and their prices answer demand otherwise: they are believed as all are, no surer.
    #[test]
    fn who_is_in_no_experiment_has_no_slope_of_their_own() {
        let outside = |sku: usize| sku % 5 == 4;
        let mut all = shop(|sku| if outside(sku) { 0.2 } else { 0.3 }, 0.0, 41);
        let is_outside = |row: &Observation| outside(row.sku[1..].parse::<usize>().unwrap());
        all.iter_mut().filter(|row| is_outside(row)).for_each(|row| row.randomised = false);
        let report = told(&all, true);
        assert!(report.grounding.is_some(), "the others' weeks tell");
        for (sku, record) in report.records[..N_SKUS].iter().enumerate().filter(|(sku, _)| outside(*sku)) {
            assert!(record.own.is_none() && record.flags.contains(&"pooled".to_owned()), "{sku} {record:?}");
        }
    }

    /// Seasons of categories, told as such, leave slopes more precise than seasons that nobody knows of: over ten shops, and at
    /// least 380 of their 400 SKUs, whose slopes both tell.
    #[test]
    fn seasons_of_categories_are_taken_off() {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for seed in 21..=30 {
            let all = shop(|_| 0.3, 0.6, seed);
            let (known, unknown) = (told(&all, true), told(&all, false));
            for (sku, (one, other)) in known.records.iter().zip(&unknown.records).take(N_SKUS).enumerate() {
                let Some((one, other)) = one.own.zip(other.own) else { continue };
                with.push((one.0 - truth(sku)).powi(2));
                without.push((other.0 - truth(sku)).powi(2));
            }
        }
        assert!(with.len() >= 380, "{}", with.len());
        assert!(lead(&without, &with) > 4.0, "{}", lead(&without, &with));
    }
}
