//! Discounted purchases without asking for every unit of the horizon: quadrature of a sum.
//!
//! A purchase counts at the end of its unit, so `sum_i v^i (E(i) - E(i-1)) = v^n E(n) + sum_{i<n} (1 - v) v^i E(i)`, `v = 1 / (1 + d)`.
//! The sum on the right is an integral of the smooth `E` over `n - 1` masses, and Gauss's rule of `m` nodes for just these masses
//! (Gautschi 2004, "Orthogonal polynomials", 1.4 and 2.2) is exact for polynomials of degree `2m - 1`. What it leaves is at most
//! `h_m / (2m)! max |E^(2m)|`, `h_m` the squared norm of the monic polynomial whose zeros the nodes are. Even derivatives of `E`
//! shrink in size as time goes on, so the largest is the one at 0, which is known: [`BgNbd::derivative`](super::BgNbd). The
//! bound is asked for before a rule is used, the shortest rule first; where none is sure enough, every unit is asked.

/// Nodes of the rules.
const N_NODES: [usize; 3] = [6, 10, 14];
/// What a rule may leave, as a share of the discounted purchases.
const SURE: f64 = 1e-12;

/// The rules of one horizon.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Discounting {
    n_units: u32,
    /// Of one unit.
    factor: f64,
    rules: Vec<Rule>,
}

/// Nodes and weights, and how much of a derivative is left out.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    nodes: Vec<(f64, f64)>,
    /// `h_m / (2m)!`.
    left: f64,
}

impl Discounting {
    /// For `n_units` of at least 1 and a `discount_rate` of at least 0.
    pub(super) fn new(n_units: u32, discount_rate: f64) -> Self {
        let factor = 1.0 / (1.0 + discount_rate);
        let masses: Vec<(f64, f64)> = (1..n_units)
            .map(f64::from)
            .map(|at| (at, (1.0 - factor) * factor.powf(at)))
            .filter(|(_, mass)| *mass > f64::MIN_POSITIVE)
            .collect();
        // Twice as many masses as nodes, else a rule saves nothing.
        let worth = N_NODES.into_iter().filter(|n| 2 * n < masses.len());
        let rules = worth.filter_map(|n| Rule::new(&masses, n)).collect();
        Self { n_units, factor, rules }
    }

    /// Purchases within the horizon, plain and discounted. `by` are those expected by a time, `derivative` is the size of their
    /// derivative of an even order at 0.
    pub(super) fn sum(&self, by: impl Fn(f64) -> f64, derivative: impl Fn(u32) -> f64) -> (f64, f64) {
        let n = f64::from(self.n_units);
        let all = by(n);
        if self.factor == 1.0 {
            return (all, all);
        }
        let last = self.factor.powf(n) * all;
        let sure = |rule: &&Rule| {
            let order = 2 * u32::try_from(rule.nodes.len()).unwrap_or(u32::MAX / 2);
            rule.left * derivative(order) <= SURE * last
        };
        if let Some(rule) = self.rules.iter().find(sure) {
            return (all, last + rule.nodes.iter().map(|(at, weight)| weight * by(*at)).sum::<f64>());
        }
        (all, last + self.unit_by_unit(by))
    }

    /// What the rules stand for.
    fn unit_by_unit(&self, by: impl Fn(f64) -> f64) -> f64 {
        let mut mass = 1.0 - self.factor;
        let mut sum = 0.0;
        for unit in 1..self.n_units {
            mass *= self.factor;
            sum += mass * by(f64::from(unit));
        }
        sum
    }
}

impl Rule {
    /// Of `n` nodes for `masses`, ascending and more than `n`; none where rounding spoils it.
    fn new(masses: &[(f64, f64)], n: usize) -> Option<Self> {
        let polynomials = Polynomials::of(masses, n)?;
        let mut nodes = Vec::with_capacity(n);
        // Between two masses lies at most one zero, and at none but the last can it be a mass.
        for pair in masses.windows(2) {
            let (low, high) = (pair[0].0, pair[1].0);
            let (at_low, at_high) = (polynomials.last(low), polynomials.last(high));
            if at_low == 0.0 || at_low * at_high < 0.0 {
                let at = if at_low == 0.0 { low } else { polynomials.zero(low, high) };
                nodes.push((at, polynomials.weight(at)));
            }
        }
        let mut factorial = 1.0;
        (1..=2 * n).for_each(|k| factorial *= k as f64);
        let left = polynomials.norms.last()? / factorial;
        (nodes.len() == n && nodes.iter().all(|(_, weight)| *weight > 0.0)).then_some(Self { nodes, left })
    }
}

/// Monic polynomials that are orthogonal over some masses, by their recurrence
/// `p_(k+1) = (t - a_k) p_k - b_k p_(k-1)`, found as Stieltjes did.
struct Polynomials {
    a: Vec<f64>,
    b: Vec<f64>,
    /// Squared norms, from `p_0` to `p_n`.
    norms: Vec<f64>,
}

impl Polynomials {
    fn of(masses: &[(f64, f64)], n: usize) -> Option<Self> {
        let mut found = Self { a: Vec::new(), b: Vec::new(), norms: Vec::new() };
        let (mut before, mut now) = (vec![0.0; masses.len()], vec![1.0; masses.len()]);
        for k in 0..=n {
            let norm: f64 = masses.iter().zip(&now).map(|((_, mass), p)| mass * p * p).sum();
            if !norm.is_normal() {
                return None;
            }
            let moment: f64 = masses.iter().zip(&now).map(|((at, mass), p)| at * mass * p * p).sum();
            let (a, b) = (moment / norm, found.norms.last().map_or(0.0, |last| norm / last));
            found.norms.push(norm);
            if k == n {
                break;
            }
            found.a.push(a);
            found.b.push(b);
            for (((at, _), before), now) in masses.iter().zip(&mut before).zip(&mut now) {
                let next = (at - a) * *now - b * *before;
                (*before, *now) = (*now, next);
            }
        }
        Some(found)
    }

    /// `p_0 ..= p_n` at `at`.
    fn all(&self, at: f64) -> impl Iterator<Item = f64> {
        let mut pair = (0.0, 1.0);
        let later = self.a.iter().zip(&self.b).map(move |(a, b)| {
            pair = (pair.1, (at - a) * pair.1 - b * pair.0);
            pair.1
        });
        std::iter::once(1.0).chain(later)
    }

    fn last(&self, at: f64) -> f64 {
        self.all(at).last().unwrap_or(1.0)
    }

    /// The zero of the last one between `low` and `high`, where it changes sign.
    fn zero(&self, mut low: f64, mut high: f64) -> f64 {
        let rises = self.last(high) > 0.0;
        // Halving a unit so often leaves what a number of this size is rounded to.
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if (self.last(middle) > 0.0) == rises { high = middle } else { low = middle }
        }
        f64::midpoint(low, high)
    }

    /// Christoffel's number: `1 / sum_(k<n) p_k^2 / h_k`.
    fn weight(&self, at: f64) -> f64 {
        let n = self.a.len();
        1.0 / self.all(at).take(n).zip(&self.norms).map(|(p, norm)| p * p / norm).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Discounting {
        Discounting::new(52, 0.002)
    }

    /// Monomials up to degree `2m - 1`; sums of fifty terms, so some 1e-14 of their size.
    #[test]
    fn a_rule_is_exact_for_polynomials() {
        let rules = rules();
        assert_eq!(rules.rules.iter().map(|rule| rule.nodes.len()).collect::<Vec<_>>(), N_NODES);
        for rule in &rules.rules {
            for degree in 0..2 * rule.nodes.len() {
                let term = |at: f64| (at / 52.0).powf(degree as f64);
                let found: f64 = rule.nodes.iter().map(|(at, weight)| weight * term(*at)).sum();
                let by_unit = rules.unit_by_unit(term);
                assert!((found - by_unit).abs() < 1e-11 * by_unit, "{degree}: {found} {by_unit}");
            }
        }
    }

    /// Of `t^2m` the derivative is `(2m)!` everywhere, so the bound is met, not only kept.
    #[test]
    fn what_a_rule_leaves_is_what_it_says() {
        let rules = rules();
        if let Some(rule) = rules.rules.first() {
            let degree = 2 * rule.nodes.len() as i32;
            let found: f64 = rule.nodes.iter().map(|(at, weight)| weight * at.powi(degree)).sum();
            let by_unit = rules.unit_by_unit(|at| at.powi(degree));
            let bound: f64 = (1..=degree).map(f64::from).product::<f64>() * rule.left;
            // A difference of near numbers: what is left is 1e-6 of them.
            assert!((by_unit - found - bound).abs() < 1e-3 * bound, "{degree}: {by_unit} {found} {bound}");
        }
    }

    #[test]
    fn horizons_and_rates_at_their_ends_have_sums() {
        for (n_units, rate) in
            [(1, 0.0), (1, 0.5), (2, 0.1), (1_200, 1e-9), (1_200, 0.01), (1_200, 1e6), (52, 0.0)]
        {
            let rules = Discounting::new(n_units, rate);
            let by = |t: f64| t / (10.0 + t);
            // Of t / (c + t): (2m)! / c^2m.
            let derivative = |order: u32| (1..=order).map(|k| f64::from(k) / 10.0).product::<f64>();
            let (all, discounted) = rules.sum(by, derivative);
            let last = rules.factor.powf(f64::from(n_units)) * all;
            let by_unit = if rate == 0.0 { all } else { last + rules.unit_by_unit(by) };
            assert!(
                (discounted - by_unit).abs() <= 1e-11 * by_unit,
                "{n_units} {rate}: {discounted} {by_unit}"
            );
        }
    }
}
