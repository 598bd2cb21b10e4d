//! The log-likelihood of Gamma-Gamma over groups, and its gradient.

use nextbest_models::value::gamma::{digamma, ln_gamma};

use super::grouped::Grouped;
use super::optimum::Objective;

/// What the gamma functions come to for one count of purchases.
#[derive(Clone, Copy)]
struct Term {
    n: f64,
    log: f64,
    /// `ψ(pn+q) - ψ(pn)`, `ψ(pn+q) - ψ(q)`.
    by_p: f64,
    by_q: f64,
}

impl Objective<3> for Grouped<1> {
    /// `(ln L, d ln L / d ln [p, q, v])`, as `GammaGamma::log_likelihood` states it:
    /// `d/dp = n [ψ(pn+q) - ψ(pn) + ln (n z / (v + n z))]`, `d/dq = ψ(pn+q) - ψ(q) + ln (v / (v + n z))`,
    /// `d/dv = q/v - (pn+q) / (v + n z)`.
    fn at(&self, logs: &[f64; 3]) -> (f64, [f64; 3]) {
        let [p, q, v] = logs.map(f64::exp);
        let terms: Vec<Term> = self.counts.iter().map(|n| term(*n, [p, q, v])).collect();
        let [log, by_p, by_q, by_v] = self.sum(|group| {
            let term = &terms[group.at as usize];
            let z = group.rest[0];
            let (ln_z, ln_all) = (z.ln(), (v + term.n * z).ln());
            let shape = p * term.n;
            [
                term.log + (shape - 1.0) * ln_z - (shape + q) * ln_all,
                term.n * (term.by_p + ln_z + term.n.ln() - ln_all),
                term.by_q + v.ln() - ln_all,
                q / v - (shape + q) / (v + term.n * z),
            ]
        });
        (log, [p * by_p, q * by_q, v * by_v])
    }
}

fn term(n: f64, [p, q, v]: [f64; 3]) -> Term {
    let shape = p * n;
    let both = digamma(shape + q);
    Term {
        n,
        log: ln_gamma(shape + q) - ln_gamma(shape) - ln_gamma(q) + q * v.ln() + shape * n.ln(),
        by_p: both - digamma(shape),
        by_q: both - digamma(q),
    }
}
