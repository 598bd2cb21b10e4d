//! Shocks: what moves a SKU's units from week to week beside prices, and lasts.
//!
//! `u_t ~ Poisson(mu_t exp(s_t))`, s a hidden first-order autoregression: units then have variance `mu_t + v mu_t^2` and
//! covariance `v k^|t-r| mu_t mu_r`. The slope solves Zeger's estimating equation (1988) with that covariance, which is right
//! for any distribution with these means and most precise for these variances: prices are drawn anew each week while
//! shocks last, so what the weeks around a week tell of its shock is taken off it. v and k are moments over all SKUs.

use crate::metrics::Estimate;

/// Steps of the scoring iteration.
const MAX_STEPS: usize = 50;
/// Most of a shock that is believed to be kept from week to week.
const MOST_KEPT: f64 = 0.95;

/// How much shocks move ln(units), and how much of one is left a week later; without variance there are none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shocks {
    variance: f64,
    kept: f64,
}

/// A SKU's slope, and its weeks freed of what they share.
pub(super) struct Fit {
    /// Change of ln(units) per unit of x.
    pub(super) slope: Estimate,
    /// Expected units.
    pub(super) means: Vec<f64>,
    /// What is left of units over means, whitened.
    pub(super) rest: Vec<f64>,
    one: Vec<f64>,
    x: Vec<f64>,
}

impl Shocks {
    /// `column`, of ratios to the means of those weeks, as independent numbers of variance 1: its innovations by Kalman's
    /// filter (1960), over their standard deviations.
    pub(super) fn whitened(self, weeks: &[i32], means: &[f64], column: &[f64]) -> Vec<f64> {
        let (mut expected, mut variance, mut last) = (0.0, self.variance, None);
        let one = |((week, mean), value): ((&i32, &f64), &f64)| {
            if let Some(before) = last {
                let kept = self.kept.powi(week - before);
                expected *= kept;
                variance = kept * kept * variance + (1.0 - kept * kept) * self.variance;
            }
            last = Some(*week);
            let (innovation, total) = (value - expected, variance + mean.recip());
            expected += variance / total * innovation;
            variance *= 1.0 - variance / total;
            innovation / total.sqrt()
        };
        weeks.iter().zip(means).zip(column).map(one).collect()
    }

    /// The slope of `units` on `x`, `offsets` (logarithms) held. `None` where there are fewer than three weeks, nothing was sold,
    /// x does not vary, or the iteration does not end.
    pub(super) fn fit(self, weeks: &[i32], units: &[f64], x: &[f64], offsets: &[f64]) -> Option<Fit> {
        let exposure: f64 = offsets.iter().map(|offset| offset.exp()).sum();
        let level = units.iter().sum::<f64>() / exposure;
        if units.len() < 3 || !(level > 0.0 && level.is_finite()) {
            return None;
        }
        let (mut a, mut e) = (level.ln(), 0.0);
        let ones = vec![1.0; x.len()];
        for _ in 0..MAX_STEPS {
            let means: Vec<f64> =
                x.iter().zip(offsets).map(|(x, o)| (a + e * x + o).clamp(-50.0, 50.0).exp()).collect();
            let over: Vec<f64> = units.iter().zip(&means).map(|(units, mean)| units / mean - 1.0).collect();
            let of = |column: &[f64]| self.whitened(weeks, &means, column);
            let (one, price, rest) = (of(&ones), of(x), of(&over));
            let [da, de] = solved(&one, &price, &rest)?;
            if da.abs() < 1e-9 && de.abs() < 1e-8 {
                let slope = slope(e, &one, &price, &rest)?;
                return Some(Fit { slope, means, rest, one, x: price });
            }
            // Steps are bounded: far from the root the line misleads.
            let scale = 1.0 / (da.abs() / 2.0).max(de.abs() / 5.0).max(1.0);
            (a, e) = (a + scale * da, e + scale * de);
        }
        None
    }
}

/// Least squares of `y` on two columns; none where they are one.
fn solved(one: &[f64], x: &[f64], y: &[f64]) -> Option<[f64; 2]> {
    let [h0, h1, h2] = [dot(one, one), dot(one, x), dot(x, x)];
    let det = h0 * h2 - h1 * h1;
    let (g0, g1) = (dot(one, y), dot(x, y));
    (det > 1e-12 * h0 * h0).then(|| [(h2 * g0 - h1 * g1) / det, (h0 * g1 - h1 * g0) / det])
}

/// `value` with its standard error: the sandwich HC3 (MacKinnon & White 1985) of whitened weeks, and never less than what these
/// would have if they were as the shocks say.
fn slope(value: f64, one: &[f64], x: &[f64], rest: &[f64]) -> Option<Estimate> {
    let [h0, h1, h2] = [dot(one, one), dot(one, x), dot(x, x)];
    let det = h0 * h2 - h1 * h1;
    let terms = one.iter().zip(x).zip(rest).map(|((one, x), rest)| {
        let leverage = (h2 * one * one - 2.0 * h1 * one * x + h0 * x * x) / det;
        ((h0 * x - h1 * one) / det * rest / (1.0 - leverage).max(0.05)).powi(2)
    });
    let se = terms.sum::<f64>().max(h0 / det).sqrt();
    (value.is_finite() && se.is_finite()).then_some(Estimate { value, se })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Fit {
    /// A whitened `column` less what level and price tell of it, and its slope on the price.
    pub(super) fn freed(&self, mut column: Vec<f64>) -> (Vec<f64>, f64) {
        let [level, slope] = solved(&self.one, &self.x, &column).unwrap_or_default();
        let parts = self.one.iter().zip(&self.x);
        column.iter_mut().zip(parts).for_each(|(value, (one, x))| *value -= level * one + slope * x);
        (column, slope)
    }
}

/// Sums over the weeks of all SKUs that tell of shocks.
#[derive(Default)]
pub(super) struct Moments {
    over: f64,
    square: f64,
    pairs: f64,
    pair_square: f64,
    n: f64,
    n_fitted: f64,
}

impl Moments {
    /// Adds the weeks of a SKU: the square of a rest says v mu^2 more than mu, the product of two a week apart v k mu mu'. A
    /// week counts by what `before`, the shocks believed so far, leave it to say.
    pub(super) fn add(&mut self, weeks: &[i32], units: &[f64], means: &[f64], before: Shocks) {
        let weight = |mean: f64| (1.0 + before.variance * mean).recip();
        let rest = |at: usize| (units[at] - means[at]) * weight(means[at]);
        let scale = |at: usize| means[at] * weight(means[at]);
        for at in 0..weeks.len() {
            self.over += rest(at).powi(2) - means[at] * weight(means[at]).powi(2);
            self.square += scale(at).powi(2);
            if at > 0 && weeks[at] == weeks[at - 1] + 1 {
                self.pairs += rest(at) * rest(at - 1);
                self.pair_square += scale(at) * scale(at - 1);
            }
        }
        self.n += weeks.len() as f64;
        // A level and a slope were fitted to them.
        self.n_fitted += 2.0;
    }

    /// Of them all.
    pub(super) fn shocks(&self) -> Shocks {
        let variance = self.over / self.square * self.n / (self.n - self.n_fitted);
        if !(variance > 0.0 && variance.is_finite()) {
            return Shocks::default();
        }
        let kept = self.pairs / self.pair_square / variance;
        Shocks { variance, kept: if kept.is_finite() { kept.clamp(0.0, MOST_KEPT) } else { 0.0 } }
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal, Poisson};

    use super::*;

    const TRUE: Shocks = Shocks { variance: 0.16, kept: 0.7 };
    const SLOPE: f64 = -2.0;

    #[test]
    fn whitened_weeks_are_independent_of_variance_one() {
        let (weeks, means) = ([1, 2, 3, 7, 8, 30], [5.0, 40.0, 0.3, 12.0, 7.0, 100.0]);
        let n = weeks.len();
        let unit = |at: usize| (0..n).map(|other| f64::from(u8::from(other == at))).collect::<Vec<f64>>();
        let columns: Vec<Vec<f64>> = (0..n).map(|at| TRUE.whitened(&weeks, &means, &unit(at))).collect();
        let covariance = |a: usize, b: usize| {
            let shock = TRUE.variance * TRUE.kept.powi((weeks[a] - weeks[b]).abs());
            shock + if a == b { 1.0 / means[a] } else { 0.0 }
        };
        for (row, other) in (0..n).flat_map(|row| (0..n).map(move |other| (row, other))) {
            let pairs = (0..n).flat_map(|a| (0..n).map(move |b| (a, b)));
            let found: f64 = pairs.map(|(a, b)| columns[a][row] * covariance(a, b) * columns[b][other]).sum();
            assert!((found - f64::from(u8::from(row == other))).abs() < 1e-12, "{row} {other} {found}");
        }
    }

    #[test]
    fn what_is_exact_is_solved_and_what_tells_nothing_has_no_slope() {
        let x: Vec<f64> = (0..10).map(|k| f64::from(k) / 10.0 - 0.4).collect();
        let (weeks, offsets): (Vec<i32>, Vec<f64>) = (0..10).map(|k| (k, f64::from(k % 3) / 5.0)).unzip();
        let units: Vec<f64> = x.iter().zip(&offsets).map(|(x, o)| (3.0 - 2.5 * x + o).exp()).collect();
        for shocks in [Shocks::default(), TRUE] {
            let found = shocks.fit(&weeks, &units, &x, &offsets).unwrap();
            assert!((found.slope.value + 2.5).abs() < 1e-7, "{:?}", found.slope);
            assert!(found.means.iter().zip(&units).all(|(mean, units)| (mean / units - 1.0).abs() < 1e-7));
            assert!(shocks.fit(&weeks, &units, &[0.1; 10], &offsets).is_none(), "a price that never moves");
            assert!(shocks.fit(&weeks, &[0.0; 10], &x, &offsets).is_none(), "nothing sold");
        }
    }

    /// Without shocks it is Poisson's regression: at its solution residuals are orthogonal to level and price, and its error is
    /// HC3 written out.
    #[test]
    fn without_shocks_it_is_the_poisson_fit() {
        let (weeks, units, x) = series(&mut ChaCha8Rng::seed_from_u64(3));
        let fit = Shocks::default().fit(&weeks, &units, &x, &vec![0.0; x.len()]).unwrap();
        let sum = |of: &dyn Fn(usize) -> f64| (0..x.len()).map(of).sum::<f64>();
        let rest = |at: usize| units[at] - fit.means[at];
        let scale = sum(&|at| units[at]);
        assert!(sum(&|at| rest(at)).abs() < 1e-6 * scale && sum(&|at| rest(at) * x[at]).abs() < 1e-6 * scale);
        let h = [0, 1, 2].map(|power| sum(&|at| fit.means[at] * x[at].powi(power)));
        let det = h[0] * h[2] - h[1] * h[1];
        let variance = sum(&|at| {
            let leverage = fit.means[at] * (h[2] - 2.0 * h[1] * x[at] + h[0] * x[at] * x[at]) / det;
            ((h[0] * x[at] - h[1]) / det * rest(at) / (1.0 - leverage)).powi(2)
        });
        assert!((fit.slope.se - variance.max(h[0] / det).sqrt()).abs() < 1e-6, "{:?} {variance}", fit.slope);
    }

    /// A year of drawn prices, and units under a shock that lasts.
    fn series(random: &mut ChaCha8Rng) -> (Vec<i32>, Vec<f64>, Vec<f64>) {
        let step = Normal::new(0.0, (TRUE.variance * (1.0 - TRUE.kept * TRUE.kept)).sqrt()).unwrap();
        let mut shock = Normal::new(0.0, TRUE.variance.sqrt()).unwrap().sample(random);
        let one = |week| {
            shock = TRUE.kept * shock + step.sample(random);
            let x = f64::ln([0.85, 0.92, 1.0, 1.08, 1.15][random.random_range(0..5)]);
            let mean = (3.5 + SLOPE * x + shock).exp();
            (week, Poisson::new(mean).unwrap().sample(random), x)
        };
        let rows: Vec<(i32, f64, f64)> = (0..52).map(one).collect();
        (
            rows.iter().map(|row| row.0).collect(),
            rows.iter().map(|row| row.1).collect(),
            rows.iter().map(|row| row.2).collect(),
        )
    }

    /// Over 400 series: the moments find the shocks, 95 % intervals hold the slope (380 of them, less 4 sqrt(400 .95 .05) = 17), and the
    /// squared error is below that of the fit that knows no shocks by more than chance (paired).
    #[test]
    fn taking_lasting_shocks_off_makes_slopes_more_precise() {
        let mut random = ChaCha8Rng::seed_from_u64(11);
        let all: Vec<_> = (0..400).map(|_| series(&mut random)).collect();
        let (mut believed, offsets) = (Shocks::default(), vec![0.0; 52]);
        for _ in 0..5 {
            let mut moments = Moments::default();
            for (weeks, units, x) in &all {
                let fit = believed.fit(weeks, units, x, &offsets).unwrap();
                moments.add(weeks, units, &fit.means, believed);
            }
            believed = moments.shocks();
        }
        // exp(v) - 1 is the variance of exp(shock) over its squared mean; the level, fitted to 52 weeks, takes of it about
        // v (1 + k) / (1 - k) / 52, a tenth.
        assert!((believed.variance - TRUE.variance.exp_m1()).abs() < 0.03, "{believed:?}");
        assert!((believed.kept - TRUE.kept).abs() < 0.1, "{believed:?}");
        let (mut n_inside, mut gains) = (0, Vec::new());
        for (weeks, units, x) in &all {
            let fit = believed.fit(weeks, units, x, &offsets).unwrap().slope;
            let plain = Shocks::default().fit(weeks, units, x, &offsets).unwrap().slope;
            n_inside += usize::from((fit.value - SLOPE).abs() < 1.96 * fit.se);
            gains.push((plain.value - SLOPE).powi(2) - (fit.value - SLOPE).powi(2));
        }
        let gain = crate::metrics::mean(&gains);
        assert!(gain.value > 4.0 * gain.se, "{gain:?}");
        assert!(n_inside >= 362, "{n_inside} of 400");
    }
}
