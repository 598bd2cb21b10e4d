//! One measured number: what was counted, its 95 % interval, or a code that says why there is none.
//!
//! A customer is one observation, whatever they did, since what one customer does twice is not two independent tries.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::metrics::wilson;

/// Half-width of a 95 % interval in standard errors.
const WIDTH: f64 = 1.959_964;
/// Fewest values whose median has a 95 % interval: all five of five lie above it by chance in 2 * 2^-5 = 6 % of samples.
const LEAST_FOR_MEDIAN: u64 = 6;
/// Up to so many values the ranks of a median's interval are exact; beyond, normal.
const MANY: u64 = 1000;

/// Why there is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// The log begins too late for the window that is looked at.
    LogTooShort,
    /// Of nobody the window has run out yet.
    NotMatured,
    /// Nobody to divide by.
    NoCustomers,
    /// Fewer observations than an interval needs: two for a mean, six for a median.
    TooFew,
    /// nextbest.toml has no `[labels.churn]`.
    NoChurnLabel,
    /// No `survey_answered` event with an `nps` of 0 to 10 in the window.
    NoSurveys,
    /// No `contacted` event in the window whose time to answer is over.
    NoContacts,
}

impl Code {
    /// The name in files and on pages.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LogTooShort => "log_too_short",
            Self::NotMatured => "not_matured",
            Self::NoCustomers => "no_customers",
            Self::TooFew => "too_few",
            Self::NoChurnLabel => "no_churn_label",
            Self::NoSurveys => "no_surveys",
            Self::NoContacts => "no_contacts",
        }
    }
}

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounded {
    /// The number.
    pub value: f64,
    /// Lower bound.
    pub lo: f64,
    /// Upper bound.
    pub hi: f64,
    /// Its standard error; none where the interval does not rest on one (shares, medians).
    pub se: Option<f64>,
}

/// What was counted, and what follows: a number or a code, never both.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What is divided; none where nothing is (medians).
    pub numerator: Option<i64>,
    /// By what, or of how many.
    pub denominator: u64,
    /// The number.
    pub estimate: Option<Bounded>,
    /// Why there is none.
    pub code: Option<Code>,
}

impl Measure {
    /// No number, for this reason.
    #[must_use]
    pub const fn none(code: Code) -> Self {
        Self { numerator: None, denominator: 0, estimate: None, code: Some(code) }
    }

    const fn told(numerator: Option<i64>, denominator: u64, estimate: Bounded) -> Self {
        Self { numerator, denominator, estimate: Some(estimate), code: None }
    }

    const fn untold(numerator: Option<i64>, denominator: u64, code: Code) -> Self {
        Self { numerator, denominator, estimate: None, code: Some(code) }
    }

    /// The share `n` of `all` customers, by the score interval of Wilson (1927): {p : |n/all - p| <= z sqrt(p (1 - p) / all)}.
    /// It assumes that customers are independent; `code` where there are none.
    #[must_use]
    pub fn share(n: u64, all: u64, code: Code) -> Self {
        if all == 0 {
            return Self::untold(Some(0), 0, code);
        }
        let (lo, hi) = wilson(n as usize, all as usize);
        Self::told(Some(n as i64), all, Bounded { value: n as f64 / all as f64, lo, hi, se: None })
    }

    /// The other part of a share.
    #[must_use]
    pub fn complement(self) -> Self {
        let turned = |b: Bounded| Bounded { value: 1.0 - b.value, lo: 1.0 - b.hi, hi: 1.0 - b.lo, se: None };
        Self {
            numerator: self.numerator.map(|n| self.denominator as i64 - n),
            estimate: self.estimate.map(turned),
            ..self
        }
    }
}

/// A number for each customer: how many, their sum, their squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mean {
    n: u64,
    sum: u64,
    squares: u64,
}

impl Mean {
    pub(super) fn add(&mut self, value: u64) {
        self.n += 1;
        self.sum += value;
        self.squares += value * value;
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    /// Mean +- z s / sqrt(n), s the standard deviation with n - 1. By the central limit theorem; too narrow while n is small
    /// and the numbers are skewed.
    pub(super) fn measure(self) -> Measure {
        let (numerator, n) = (Some(self.sum as i64), self.n as f64);
        match self.n {
            0 => Measure::untold(numerator, 0, Code::NoCustomers),
            1 => Measure::untold(numerator, 1, Code::TooFew),
            _ => {
                let value = self.sum as f64 / n;
                let variance = (self.squares as f64 - n * value * value).max(0.0) / (n - 1.0);
                let se = (variance / n).sqrt();
                let (lo, hi) = (value - WIDTH * se, value + WIDTH * se);
                Measure::told(numerator, self.n, Bounded { value, lo, hi, se: Some(se) })
            }
        }
    }
}

/// A number of half units for each customer, by how often it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Halves(BTreeMap<u64, u64>);

impl Halves {
    pub(super) fn add(&mut self, halves: u64) {
        *self.0.entry(halves).or_default() += 1;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(halves, n)| *self.0.entry(*halves).or_default() += n);
    }

    /// The median, and the order statistics x(l), x(n + 1 - l) with the greatest l that P(Binomial(n, 1/2) < l) <= 2.5 %
    /// allows (Thompson 1936; David & Nagaraja 2003, section 7.1). No law is assumed but independence; where values are tied
    /// it covers more than 95 %.
    pub(super) fn median(&self) -> Measure {
        let n: u64 = self.0.values().sum();
        if n < LEAST_FOR_MEDIAN {
            let code = if n == 0 { Code::NoCustomers } else { Code::TooFew };
            return Measure::untold(None, n, code);
        }
        let rank = lower_rank(n);
        let at = |rank: u64| self.at(rank) as f64 / 2.0;
        let value = f64::midpoint(at(n.div_ceil(2)), at(n / 2 + 1));
        Measure::told(None, n, Bounded { value, lo: at(rank), hi: at(n + 1 - rank), se: None })
    }

    /// The value of rank `rank`, from 1.
    fn at(&self, rank: u64) -> u64 {
        let mut seen = 0;
        let found = self.0.iter().find(|(_, n)| {
            seen += **n;
            seen >= rank
        });
        found.map_or(0, |(halves, _)| *halves)
    }
}

/// The greatest l, at least 1, with P(B < l) <= 2.5 % for B of Binomial(n, 1/2).
fn lower_rank(n: u64) -> u64 {
    let half = n as f64 / 2.0;
    if n > MANY {
        return (half + 0.5 - WIDTH * half.sqrt() / 2.0_f64.sqrt()).floor().max(1.0) as u64;
    }
    // 2^-1000 is still a normal number.
    let (mut term, mut below, mut rank) = (0.5_f64.powi(n as i32), 0.0, 0);
    while below + term <= 0.025 {
        below += term;
        term *= (n - rank) as f64 / (rank + 1) as f64;
        rank += 1;
    }
    rank.max(1)
}

/// Tries of several customers, each with some of their own, and those that came true.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tries {
    n_customers: u64,
    tries: u64,
    hits: u64,
    tries_squared: u64,
    tries_hits: u64,
    hits_squared: u64,
}

impl Tries {
    pub(super) fn add(&mut self, tries: u64, hits: u64) {
        self.n_customers += 1;
        self.tries += tries;
        self.hits += hits;
        self.tries_squared += tries * tries;
        self.tries_hits += tries * hits;
        self.hits_squared += hits * hits;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.n_customers += other.n_customers;
        self.tries += other.tries;
        self.hits += other.hits;
        self.tries_squared += other.tries_squared;
        self.tries_hits += other.tries_hits;
        self.hits_squared += other.hits_squared;
    }

    pub(super) const fn n_customers(&self) -> u64 {
        self.n_customers
    }

    /// Hits per try, r = sum y / sum m over customers. Its variance is that of a ratio, c / (c - 1) sum (y - r m)^2 / (sum m)^2
    /// over c customers; Wilson's interval is then taken of as many tries as would have that variance, r (1 - r) / v, but no
    /// more than there are (Kott & Carr 1997; Dean & Pagano 2015). Where nobody or everybody answered, of c tries.
    pub(super) fn measure(&self) -> Measure {
        let numerator = Some(self.hits as i64);
        if self.tries == 0 {
            return Measure::untold(numerator, 0, Code::NoContacts);
        }
        let (n, c) = (self.tries as f64, self.n_customers as f64);
        let r = self.hits as f64 / n;
        let squares =
            self.hits_squared as f64 - 2.0 * r * self.tries_hits as f64 + r * r * self.tries_squared as f64;
        let variance = if c > 1.0 { c / (c - 1.0) * squares.max(0.0) / (n * n) } else { 0.0 };
        let effective = if variance > 0.0 { (r * (1.0 - r) / variance).min(n) } else { c.min(n) };
        let (lo, hi) = wilson_of(r, effective);
        Measure::told(numerator, self.tries, Bounded { value: r, lo, hi, se: None })
    }
}

/// Wilson's interval of a share of `n` tries, which need not be whole.
fn wilson_of(p: f64, n: f64) -> (f64, f64) {
    let z2 = WIDTH * WIDTH;
    let (middle, scale) = (p + z2 / (2.0 * n), 1.0 + z2 / n);
    let width = WIDTH * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // Rounding must not push a bound past the share itself.
    (((middle - width) / scale).clamp(0.0, p), ((middle + width) / scale).clamp(p, 1.0))
}

/// 100 times promoters less detractors, per answer.
///
/// The interval is the adjusted Wald one of Rocks (2016): three answers are added, 3/4 of a promoter, 3/4 of a detractor and
/// 3/2 of a passive, then d +- z sqrt((p + q - d^2) / n), d = p - q, the variance of a difference of multinomial shares.
pub(super) fn net_promoters(promoters: u64, detractors: u64, n: u64) -> Measure {
    let net = promoters as i64 - detractors as i64;
    if n == 0 {
        return Measure::untold(Some(0), 0, Code::NoSurveys);
    }
    let all = n as f64 + 3.0;
    let (p, q) = ((promoters as f64 + 0.75) / all, (detractors as f64 + 0.75) / all);
    let se = ((p + q - (p - q).powi(2)) / all).sqrt();
    let (value, middle) = (net as f64 / n as f64, p - q);
    let (lo, hi) = ((middle - WIDTH * se).max(-1.0).min(value), (middle + WIDTH * se).min(1.0).max(value));
    let hundred = |x: f64| 100.0 * x;
    Measure::told(
        Some(net),
        n,
        Bounded { value: hundred(value), lo: hundred(lo), hi: hundred(hi), se: Some(hundred(se)) },
    )
}
