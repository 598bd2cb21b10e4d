//! One stream of random numbers per customer (and one for the market), each seeded by what it is for.
//!
//! A stream's key is (seed, purpose, number), so customer 17 lives the same life whether 100 or 100,000 others are
//! simulated and whichever thread simulates it. The draws below are written out rather than taken from a
//! distribution library: a new version of such a library may draw differently and would change every file.

use nextbest_models::units::Seed;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// What a stream is for; part of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Prices, demand shocks and delivery trouble, common to all customers.
    Market = 1,
    /// The hidden traits of one customer.
    Traits = 2,
    /// What happens to one customer.
    Life = 3,
    /// The reference population over which true elasticities are averaged.
    Population = 4,
    /// The demand shocks over which what prices bring is averaged.
    Foresight = 5,
}

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// The stream of `number` for `purpose` under `seed`.
    #[must_use]
    pub fn new(seed: Seed, purpose: Purpose, number: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.0.to_le_bytes());
        key[8..16].copy_from_slice(&(purpose as u64).to_le_bytes());
        key[16..24].copy_from_slice(&number.to_le_bytes());
        Self(ChaCha8Rng::from_seed(key))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform on \[0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        // 2^-53, and a number of 53 bits is exact in f64.
        (self.bits() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Uniform on \[low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform over the whole numbers 0 .. `n` (`n` at least 1).
    pub fn below(&mut self, n: usize) -> usize {
        ((self.uniform() * n as f64) as usize).min(n.saturating_sub(1))
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.uniform()).ln()
    }

    /// Standard normal, by Box and Muller's transform (the second of each pair is not kept).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// exp of a normal with mean `mu` and standard deviation `sigma`.
    pub fn log_normal(&mut self, mu: f64, sigma: f64) -> f64 {
        (mu + sigma * self.normal()).exp()
    }

    /// An index with probability proportional to `weights` (non-negative, not all zero); the last one if all are 0.
    pub fn pick(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100,000 draws under a visible seed; each mean must lie within 5 standard errors of its closed form.
    #[test]
    fn draws_have_their_closed_form_means() {
        let mut stream = Stream::new(Seed(1), Purpose::Life, 0);
        let n = 100_000;
        let mut check = |name: &str, mean: f64, sd: f64, draw: &mut dyn FnMut(&mut Stream) -> f64| {
            let found = (0..n).map(|_| draw(&mut stream)).sum::<f64>() / f64::from(n);
            let bound = 5.0 * sd / f64::from(n).sqrt();
            assert!((found - mean).abs() <= bound, "{name}: {found} against {mean} +- {bound}");
        };
        check("uniform", 0.5, (1.0f64 / 12.0).sqrt(), &mut Stream::uniform);
        check("normal", 0.0, 1.0, &mut Stream::normal);
        check("normal squared", 1.0, 2.0f64.sqrt(), &mut |s| s.normal().powi(2));
        check("exponential", 3.0, 3.0, &mut |s| s.exponential(3.0));
        check("pick", 0.75, (0.75f64 * 0.25).sqrt(), &mut |s| s.pick(&[1.0, 3.0]) as f64);
    }

    #[test]
    fn streams_differ_by_seed_purpose_and_number() {
        let first = |seed, purpose, number| Stream::new(Seed(seed), purpose, number).bits();
        let all = [
            first(1, Purpose::Life, 0),
            first(2, Purpose::Life, 0),
            first(1, Purpose::Traits, 0),
            first(1, Purpose::Life, 1),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|b| a != b));
        }
    }
}
