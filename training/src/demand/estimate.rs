//! Estimators of price elasticity: the pooled plain one, and shrinkage between SKUs' own.
//!
//! Plain: log-log least squares with group effects. Shrinkage: normal-normal, between-SKU variance by DerSimonian & Laird
//! (1986). None of them knows why a price was set: on prices set by someone who saw demand all are biased.

use serde::Serialize;

use crate::metrics::Estimate;

/// Least squares of `ln units` on `ln price` with one intercept per group: the plain specification of textbooks.
///
/// `rows` are (group, ln price, ln units). Standard error by White with the factor n / (n - groups - 1). `None`
/// where no group's price varies.
#[must_use]
pub fn within_log_log(rows: &[(usize, f64, f64)]) -> Option<Estimate> {
    let n_groups = rows.iter().map(|row| row.0 + 1).max()?;
    let mut sums = vec![(0.0, 0.0, 0.0); n_groups];
    for &(group, x, y) in rows {
        let sum = &mut sums[group];
        *sum = (sum.0 + 1.0, sum.1 + x, sum.2 + y);
    }
    let centred = rows.iter().map(|&(group, x, y)| {
        let (n, sx, sy) = sums[group];
        (x - sx / n, y - sy / n)
    });
    let centred: Vec<(f64, f64)> = centred.collect();
    let sxx: f64 = centred.iter().map(|(x, _)| x * x).sum();
    let used = sums.iter().filter(|sum| sum.0 > 0.0).count();
    let freedom = rows.len() as f64 - used as f64 - 1.0;
    if sxx <= 1e-12 * rows.len() as f64 || freedom < 1.0 {
        return None;
    }
    let slope = centred.iter().map(|(x, y)| x * y).sum::<f64>() / sxx;
    let meat: f64 = centred.iter().map(|(x, y)| (x * (y - slope * x)).powi(2)).sum();
    let se = (meat * rows.len() as f64 / freedom).sqrt() / sxx;
    Some(Estimate { value: slope, se })
}

/// Where estimates of one kind come from: a normal with this mean and between-variance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Population {
    /// Mean, with its standard error.
    pub mean: Estimate,
    /// Variance between members.
    pub between: f64,
    /// Members.
    pub n: usize,
}

/// The population `estimates` are drawn from: DerSimonian & Laird's between-variance, then the weighted mean. `None`
/// without estimates.
#[must_use]
pub fn population(estimates: &[Estimate]) -> Option<Population> {
    let weights: Vec<f64> = estimates.iter().map(|estimate| estimate.se.powi(2).max(1e-12).recip()).collect();
    let sum: f64 = weights.iter().sum();
    let n = estimates.len();
    if n == 0 {
        return None;
    }
    let weighted = |weights: &[f64]| {
        let total: f64 = weights.iter().sum();
        weights.iter().zip(estimates).map(|(weight, estimate)| weight * estimate.value).sum::<f64>() / total
    };
    let fixed = weighted(&weights);
    let q: f64 =
        weights.iter().zip(estimates).map(|(w, estimate)| w * (estimate.value - fixed).powi(2)).sum();
    let c = sum - weights.iter().map(|weight| weight * weight).sum::<f64>() / sum;
    let between = if n > 1 && c > 0.0 { ((q - (n as f64 - 1.0)) / c).max(0.0) } else { 0.0 };
    population_of_spread(estimates, between)
}

/// The population of a known between-variance: the mean weighted by it. `None` without estimates.
#[must_use]
pub fn population_of_spread(estimates: &[Estimate], between: f64) -> Option<Population> {
    let rows = || {
        estimates.iter().map(|estimate| ((estimate.se.powi(2).max(1e-12) + between).recip(), estimate.value))
    };
    let total: f64 = rows().map(|(weight, _)| weight).sum();
    let value = rows().map(|(weight, value)| weight * value).sum::<f64>() / total;
    let mean = Estimate { value, se: total.recip().sqrt() };
    (total > 0.0).then_some(Population { mean, between, n: estimates.len() })
}

/// Steps in which [`believed_spread`] looks at standard deviations, and how far, per unit of its prior's scale.
const SPREAD_GRID: (usize, f64) = (80, 4.0);

/// The variance between members: its posterior mean, the standard deviation half-normal with scale `scale` and the mean flat
/// beforehand (Gelman 2006), on a grid. A few members cannot tell that they are alike, as an estimate of 0 would have it.
#[must_use]
pub fn believed_spread(estimates: &[Estimate], scale: f64) -> f64 {
    let (n, reach) = SPREAD_GRID;
    let grid = (0..n).map(|at| scale * reach * (at as f64 + 0.5) / n as f64);
    let told = grid.map(|sd| {
        let between = sd * sd;
        let rows = || estimates.iter().map(|e| ((e.se.powi(2).max(1e-12) + between).recip(), e.value));
        let total: f64 = rows().map(|(weight, _)| weight).sum();
        let mean = rows().map(|(weight, value)| weight * value).sum::<f64>() / total;
        let of = |(weight, value): (f64, f64)| weight.ln() - weight * (value - mean).powi(2);
        (between, 0.5 * (rows().map(of).sum::<f64>() - total.ln() - (sd / scale).powi(2)))
    });
    let told: Vec<(f64, f64)> = told.collect();
    let most = told.iter().map(|(_, log)| *log).fold(f64::NEG_INFINITY, f64::max);
    let (mass, sum) = told.iter().fold((0.0, 0.0), |(mass, sum), (between, log)| {
        let p = (log - most).exp();
        (mass + p, sum + p * between)
    });
    sum / mass
}

/// What is believed of a number told by `estimate` where N(prior.value, prior.se^2) was believed before.
#[must_use]
pub fn updated(prior: Estimate, estimate: Estimate) -> Estimate {
    let (w_own, w_prior) = (estimate.se.powi(2).max(1e-12).recip(), prior.se.powi(2).max(1e-12).recip());
    let value = (w_own * estimate.value + w_prior * prior.value) / (w_own + w_prior);
    Estimate { value, se: (w_own + w_prior).recip().sqrt() }
}

/// The variance between members within groups: DerSimonian & Laird's, its sums over all groups, each about its own mean.
#[must_use]
pub fn spread_within<'g>(groups: impl IntoIterator<Item = &'g Vec<Estimate>>) -> f64 {
    let (mut over, mut scale) = (0.0, 0.0);
    for group in groups.into_iter().filter(|group| group.len() > 1) {
        let weights: Vec<f64> = group.iter().map(|estimate| estimate.se.powi(2).max(1e-12).recip()).collect();
        let sum: f64 = weights.iter().sum();
        let rows = || weights.iter().zip(group);
        let mean = rows().map(|(weight, estimate)| weight * estimate.value).sum::<f64>() / sum;
        let q: f64 = rows().map(|(weight, estimate)| weight * (estimate.value - mean).powi(2)).sum();
        over += q - (group.len() as f64 - 1.0);
        scale += sum - weights.iter().map(|weight| weight * weight).sum::<f64>() / sum;
    }
    if scale > 0.0 { (over / scale).max(0.0) } else { 0.0 }
}

/// What to believe of a member: its own estimate, if there is one, pulled toward the population by precision.
#[must_use]
pub fn shrink(own: Option<Estimate>, population: &Population) -> Estimate {
    let prior = population.between + population.mean.se.powi(2);
    let Some(own) = own else {
        return Estimate { value: population.mean.value, se: prior.sqrt() };
    };
    updated(Estimate { value: population.mean.value, se: prior.sqrt() }, own)
}

/// `estimate` with an error beside its own.
#[must_use]
pub fn widened(estimate: Estimate, se: f64) -> Estimate {
    Estimate { se: estimate.se.hypot(se), ..estimate }
}

/// A belief N(value, se^2) given that the number is negative: mean, standard deviation, 2.5 % and 97.5 % points.
///
/// Economic sense is put in as knowledge, not by clipping: an estimate far below 0 stays as it is, one near or above
/// it ends small and negative with an honest interval.
#[must_use]
pub fn given_negative(belief: Estimate) -> [f64; 4] {
    let se = belief.se.max(1e-9);
    let bound = -belief.value / se;
    // Mills ratio pdf/cdf at the bound; for far tails its expansion -bound - 1/bound.
    let cdf = normal_cdf(bound);
    if bound < -8.0 {
        // Nearly all belief lies above 0: what is left is about exponential with rate |bound| / se.
        let scale = se / -bound;
        return [-scale, scale, -scale * 40.0_f64.ln(), -scale * (1.0_f64 / 0.975).ln()];
    }
    let mills = (-0.5 * bound * bound).exp() / (2.0 * std::f64::consts::PI).sqrt() / cdf;
    let mean = belief.value - se * mills;
    let variance = (1.0 - bound * mills - mills * mills).max(1e-12);
    let point = |share: f64| belief.value + se * normal_quantile(share * cdf);
    [mean, se * variance.sqrt(), point(0.025), point(0.975).min(-1e-9)]
}

/// A belief N(value, se^2) given that the number lies in 0 ..= 1: mean and standard deviation (Johnson, Kotz & Balakrishnan
/// 1994, 13.10).
#[must_use]
pub fn given_a_share(belief: Estimate) -> Estimate {
    let se = belief.se.max(1e-9);
    let (a, b) = (-belief.value / se, (1.0 - belief.value) / se);
    let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let mass = normal_cdf(b) - normal_cdf(a);
    if mass < 1e-9 {
        // All but nothing of the belief lies outside: the nearer bound.
        return Estimate { value: belief.value.clamp(0.0, 1.0), se: 0.0 };
    }
    let shift = (density(a) - density(b)) / mass;
    let variance = 1.0 + (a * density(a) - b * density(b)) / mass - shift * shift;
    Estimate { value: (belief.value + se * shift).clamp(0.0, 1.0), se: se * variance.max(0.0).sqrt() }
}

/// The standard normal distribution function, by the complementary error function of Numerical Recipes (2007, 6.2.2)
/// to 1.2e-7 relative.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    let z = x.abs() / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.5 * z);
    const C: [f64; 10] = [
        -1.265_512_23,
        1.000_023_68,
        0.374_091_96,
        0.096_784_18,
        -0.186_288_06,
        0.278_868_07,
        -1.135_203_98,
        1.488_515_87,
        -0.822_152_23,
        0.170_872_77,
    ];
    let polynomial = C.iter().rev().fold(0.0, |sum, c| sum * t + c);
    let tail = 0.5 * t * (-z * z + polynomial).exp();
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The inverse of [`normal_cdf`], by bisection to 1e-10.
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    let (mut lo, mut hi) = (-38.0, 38.0);
    while hi - lo > 1e-10 {
        let middle = 0.5 * (lo + hi);
        if normal_cdf(middle) < p { lo = middle } else { hi = middle }
    }
    0.5 * (lo + hi)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_believed_between_its_bounds() {
        let of = |value, se| given_a_share(Estimate { value, se });
        // Little is cut off; half is: mean se sqrt(2 / pi); a belief that knows little is nearly the uniform's, 1/2 and
        // 1/sqrt(12), moved by what it knows: (0.3 - 1/2) / (12 se^2), to first order of 1 / (12 se^2) = 1/48.
        assert!((of(0.4, 0.05).value - 0.4).abs() < 1e-6 && (of(0.4, 0.05).se - 0.05).abs() < 1e-6);
        assert!((of(0.0, 0.1).value - 0.1 * (2.0 / std::f64::consts::PI).sqrt()).abs() < 1e-6);
        let (little, order) = (of(0.3, 2.0), 1.0 / 48.0_f64);
        assert!((little.value - (0.5 - 0.2 * order)).abs() < order.powi(2));
        assert!((little.se - 12.0_f64.sqrt().recip()).abs() < order.powi(2).sqrt() * 0.2);
        assert_eq!((of(-5.0, 0.1).value, of(7.0, 0.1).value), (0.0, 1.0));
    }

    #[test]
    fn within_removes_group_levels() {
        let rows: Vec<(usize, f64, f64)> = (0..20)
            .map(|k| {
                let (group, x) = (k % 2, k as f64 / 10.0);
                (group, x, 5.0 * group as f64 - 1.5 * x)
            })
            .collect();
        let found = within_log_log(&rows).unwrap();
        assert!((found.value + 1.5).abs() < 1e-12 && found.se < 1e-10);
    }

    #[test]
    fn the_population_of_equal_estimates_has_no_spread() {
        let estimate = |value, se| Estimate { value, se };
        let same = population(&[estimate(-2.0, 0.5); 4]).unwrap();
        assert!((same.mean.value + 2.0).abs() < 1e-12 && same.between == 0.0);
        assert!((same.mean.se - 0.25).abs() < 1e-12);
        let apart = population(&[estimate(-1.0, 0.01), estimate(-3.0, 0.01)]).unwrap();
        // Two numbers 2 apart: sample variance 2, less the sampling variance 1e-4.
        assert!((apart.between - (2.0 - 1e-4)).abs() < 1e-9, "{}", apart.between);
        let believed = shrink(Some(estimate(-1.0, 10.0)), &apart);
        assert!((believed.value + 2.0).abs() < 0.05, "a vague estimate ends near the population");
        assert!((shrink(Some(estimate(-1.0, 0.001)), &apart).value + 1.0).abs() < 1e-3);
    }

    #[test]
    fn a_spread_is_believed_by_what_members_tell_of_it() {
        let told = |values: &[f64], se: f64| {
            let estimates: Vec<Estimate> = values.iter().map(|&value| Estimate { value, se }).collect();
            believed_spread(&estimates, 1.0)
        };
        // Of one member nothing is told: the half-normal's mean square, 1, less what lies beyond the grid (4 deviations).
        assert!((told(&[-2.0], 0.1) - 1.0).abs() < 0.01, "{}", told(&[-2.0], 0.1));
        // Many exact members tell it: a standard deviation of 1/2, to a few percent.
        let many: Vec<f64> = (0..400).map(|k| if k % 2 == 0 { -1.5 } else { -2.5 }).collect();
        assert!((told(&many, 0.01) - 0.25).abs() < 0.01, "{}", told(&many, 0.01));
        // Six alike that are each told to a third: small, not none.
        let few = told(&[-2.0; 6], 0.33);
        assert!(few > 0.01 && few < 0.15, "{few}");
    }

    #[test]
    fn beliefs_given_negative_match_closed_forms() {
        let far = given_negative(Estimate { value: -3.0, se: 0.2 });
        assert!((far[0] + 3.0).abs() < 1e-9 && (far[1] - 0.2).abs() < 1e-6);
        assert!((far[2] + 3.392).abs() < 1e-3 && (far[3] + 2.608).abs() < 1e-3);
        // Half normal: mean -se sqrt(2/pi), sd se sqrt(1 - 2/pi), 97.5 % point -0.03134 se.
        let half = given_negative(Estimate { value: 0.0, se: 1.0 });
        let pi = std::f64::consts::PI;
        assert!(
            (half[0] + (2.0 / pi).sqrt()).abs() < 1e-6 && (half[1] - (1.0 - 2.0 / pi).sqrt()).abs() < 1e-6
        );
        assert!((half[3] + 0.031_34).abs() < 1e-4);
        for value in [-1.0, 0.5, 3.0, 9.0, 50.0] {
            let [mean, sd, lo, hi] = given_negative(Estimate { value, se: 1.0 });
            assert!(lo < mean && mean < hi && hi < 0.0 && sd > 0.0, "{value}: {mean} {lo} {hi}");
        }
    }

    #[test]
    fn normal_functions_hold_table_values() {
        assert!((normal_cdf(1.959_964) - 0.975).abs() < 1e-6 && (normal_cdf(-1.0) - 0.158_655).abs() < 1e-6);
        assert!((normal_quantile(0.025) + 1.959_964).abs() < 1e-5);
    }
}
