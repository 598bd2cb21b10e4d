//! How well the models fit: frequencies of repeat purchases, and whether spend goes with frequency.

use std::collections::BTreeMap;

use nextbest_models::value::gamma::ln_gamma;
use nextbest_models::value::{BgNbd, CustomerSummary, LifetimeModel};

use super::optimum::QUANTILE;
use super::report::{Correlation, Frequency, GoodnessOfFit};

/// The last cell holds this many repeats and more (Fader, Hardie and Lee 2005, figure 1).
const LAST: usize = 7;
/// A cell with less expected is joined with the one before (Cochran's rule).
const LEAST_EXPECTED: f64 = 5.0;
/// Parameters of BG/NBD.
const N_PARAMETERS: usize = 4;

/// Observed and expected customers by repeats, 0 to 6 and 7 and more, and Pearson's chi-square of them.
///
/// The expectation is summed over everybody's age. The p-value takes four degrees for four parameters, as if they had been
/// fitted to these cells; since they were fitted to more, it is somewhat too large (Chernoff and Lehmann 1954): a small one
/// is a misfit, a large one no proof.
pub(super) fn frequencies(model: &BgNbd, customers: &[CustomerSummary]) -> GoodnessOfFit {
    let mut found = observed(customers);
    let mut ages = BTreeMap::<u64, f64>::new();
    for of in customers {
        // Ages are at least 0, so their bits are in their order.
        *ages.entry(of.purchases.age().to_bits()).or_default() += 1.0;
    }
    for (age, n) in &ages {
        expect(&mut found, model, f64::from_bits(*age), *n);
    }
    told(found, N_PARAMETERS)
}

/// The same of a model with covariates, whose values of each customer stand one after the other. Three coefficients more for each
/// leave no degree of freedom with these cells, so there is no p-value.
pub(super) fn frequencies_moved(
    model: &LifetimeModel,
    customers: &[CustomerSummary],
    values: &[f64],
) -> GoodnessOfFit {
    let mut found = observed(customers);
    let width = model.covariates().len();
    for (of, values) in customers.iter().zip(values.chunks(width)) {
        expect(&mut found, model.of(values).bg_nbd(), of.purchases.age(), 1.0);
    }
    told(found, N_PARAMETERS + 3 * width)
}

/// Customers by repeats; nobody is expected yet.
fn observed(customers: &[CustomerSummary]) -> Vec<Frequency> {
    let mut found: Vec<Frequency> =
        (0..=LAST).map(|x| Frequency { x, observed: 0.0, expected: 0.0 }).collect();
    customers.iter().for_each(|of| found[(of.purchases.x() as usize).min(LAST)].observed += 1.0);
    found
}

/// Adds `n` customers of one age, as `model` spreads them.
fn expect(found: &mut [Frequency], model: &BgNbd, age: f64, n: f64) {
    let mut rest = 1.0;
    for (cell, p) in found.iter_mut().zip(model.probabilities(age, LAST)) {
        cell.expected += n * p;
        rest -= p;
    }
    found[LAST].expected += n * f64::max(rest, 0.0);
}

fn told(found: Vec<Frequency>, n_parameters: usize) -> GoodnessOfFit {
    let (chi_square, n_cells) = chi_square(&found);
    let degrees_of_freedom = n_cells.saturating_sub(1 + n_parameters);
    let p_value = (degrees_of_freedom > 0).then(|| upper_tail(degrees_of_freedom, chi_square));
    let code = p_value.is_none().then_some("too_few_cells");
    GoodnessOfFit { frequencies: found, chi_square, degrees_of_freedom, p_value, code }
}

/// The statistic, and the cells it was taken over.
fn chi_square(found: &[Frequency]) -> (f64, usize) {
    let mut cells: Vec<(f64, f64)> = found.iter().map(|cell| (cell.observed, cell.expected)).collect();
    while cells.len() > 1 && cells.last().is_some_and(|cell| cell.1 < LEAST_EXPECTED) {
        let (observed, expected) = cells.pop().unwrap_or_default();
        if let Some(last) = cells.last_mut() {
            *last = (last.0 + observed, last.1 + expected);
        }
    }
    let statistic = cells.iter().map(|(o, e)| (o - e).powi(2) / e.max(f64::MIN_POSITIVE)).sum();
    (statistic, cells.len())
}

/// P(chi-square with `freedom` degrees > `statistic`): from `erfc` or `exp` up by
/// `Q(s + 1, y) = Q(s, y) + y^s e^-y / Γ(s + 1)` (Abramowitz & Stegun 1964, 6.5.21), `s = freedom / 2`.
pub(super) fn upper_tail(freedom: usize, statistic: f64) -> f64 {
    let y = 0.5 * statistic;
    if y <= 0.0 {
        return 1.0;
    }
    let (mut s, mut q) = if freedom % 2 == 1 { (0.5, libm::erfc(y.sqrt())) } else { (1.0, (-y).exp()) };
    while s + 0.5 < 0.5 * freedom as f64 {
        q += (s * y.ln() - y - ln_gamma(s + 1.0)).exp();
        s += 1.0;
    }
    q.clamp(0.0, 1.0)
}

/// The correlation of repeats and mean value over those with both; none below four of them, or where one is constant.
pub(super) fn correlation(customers: &[CustomerSummary]) -> Option<Correlation> {
    let pairs: Vec<(f64, f64)> =
        customers.iter().filter_map(|of| Some((of.purchases.x(), of.spend?.mean()))).collect();
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (x, z) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| pairs.iter().map(|pair| of(pair.0 - x, pair.1 - z)).sum::<f64>();
    let value = sum(&|x, z| x * z) / (sum(&|x, _| x * x) * sum(&|_, z| z * z)).sqrt();
    if pairs.len() < 4 || !value.is_finite() {
        return None;
    }
    let (z, half) = (value.clamp(-1.0, 1.0).atanh(), QUANTILE / (n - 3.0).sqrt());
    Some(Correlation { value, lo: (z - half).tanh(), hi: (z + half).tanh() })
}
