//! The log-likelihood of BG/NBD over groups, and its gradient.

use nextbest_models::value::gamma::{digamma, ln_gamma};

use super::grouped::Grouped;
use super::optimum::Objective;

/// What the gamma functions come to for one count of purchases.
#[derive(Clone, Copy)]
struct Term {
    x: f64,
    log: f64,
    by_r: f64,
    by_a: f64,
    by_b: f64,
    /// `ln a / (b + x - 1)`; of one-time buyers minus infinity.
    odds: f64,
}

impl Objective<4> for Grouped<2> {
    /// `(ln L, d ln L / d ln [r, alpha, a, b])`, as `BgNbd::log_likelihood` states it. With `w` the share of the bracket's
    /// second part, customers who left:
    /// `d/dr = ψ(r+x) - ψ(r) + ln alpha - (1-w) ln(alpha+T) - w ln(alpha+t_x)`,
    /// `d/dalpha = r/alpha - (r+x) [(1-w)/(alpha+T) + w/(alpha+t_x)]`,
    /// `d/da = ψ(a+b) - ψ(a+b+x) + w/a`, `d/db = ψ(b+x) - ψ(b) + ψ(a+b) - ψ(a+b+x) - w/(b+x-1)`.
    fn at(&self, logs: &[f64; 4]) -> (f64, [f64; 4]) {
        let [r, alpha, a, b] = logs.map(f64::exp);
        let terms: Vec<Term> = self.counts.iter().map(|x| term(*x, [r, alpha, a, b])).collect();
        // By time of the last purchase and by age: `alpha` later, its logarithm, its inverse.
        let times = self.values.each_ref().map(|values| -> Vec<[f64; 2]> {
            values.iter().map(|value| [(alpha + value).ln(), 1.0 / (alpha + value)]).collect()
        });
        let [log, by_r, by_alpha, by_a, by_b] = self.sum(|group| {
            let term = &terms[group.at as usize];
            let shape = r + term.x;
            let [ln_leave, leave] = times[0][group.places[0] as usize];
            let [ln_stay, stay] = times[1][group.places[1] as usize];
            if term.x == 0.0 {
                return [
                    term.log - shape * ln_stay,
                    term.by_r - ln_stay,
                    -shape * stay,
                    term.by_a,
                    term.by_b,
                ];
            }
            // exp(left - stayed): how much likelier to have left at once than to be there still.
            let odds = (term.odds + shape * (ln_stay - ln_leave)).exp();
            // Beyond what exp can hold they have surely left.
            let w = if odds.is_finite() { odds / (1.0 + odds) } else { 1.0 };
            let bracket =
                if odds.is_finite() { odds.ln_1p() - shape * ln_stay } else { term.odds - shape * ln_leave };
            [
                term.log + bracket,
                term.by_r - (1.0 - w) * ln_stay - w * ln_leave,
                -shape * ((1.0 - w) * stay + w * leave),
                term.by_a + w / a,
                if w == 0.0 { term.by_b } else { term.by_b - w / (b + term.x - 1.0) },
            ]
        });
        (log, [r * by_r, self.n * r + alpha * by_alpha, a * by_a, b * by_b])
    }
}

fn term(x: f64, [r, alpha, a, b]: [f64; 4]) -> Term {
    let log = ln_gamma(r + x) - ln_gamma(r) + ln_gamma(b + x) - ln_gamma(b) + ln_gamma(a + b)
        - ln_gamma(a + b + x)
        + r * alpha.ln();
    let both = digamma(a + b) - digamma(a + b + x);
    Term {
        x,
        log,
        by_r: digamma(r + x) - digamma(r) + alpha.ln(),
        by_a: both,
        by_b: digamma(b + x) - digamma(b) + both,
        odds: if x == 0.0 { f64::NEG_INFINITY } else { a.ln() - (b + x - 1.0).ln() },
    }
}
