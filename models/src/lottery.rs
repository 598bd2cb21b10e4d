//! Draws from a seed that is an argument, and beliefs cut into equally likely values.
//!
//! A choice among finitely many, each with a probability that is a sum and not an estimate, is a lottery; actions and
//! prices are explored by the same ones. No randomness comes from here, only what a seed says.

use crate::units::Seed;

/// Values a belief is cut into.
pub(crate) const N_VALUES: usize = 16;
/// Quantiles of the standard normal at (k + 1/2) / 16.
pub(crate) const NORMAL: [f64; N_VALUES] = [
    -1.862731867421651,
    -1.3180108973035367,
    -1.009990169249582,
    -0.7764217611479276,
    -0.579132162255556,
    -0.40225006532172525,
    -0.2372021093287877,
    -0.0784124127331122,
    0.0784124127331122,
    0.2372021093287877,
    0.40225006532172525,
    0.579132162255556,
    0.7764217611479276,
    1.009990169249582,
    1.3180108973035367,
    1.862731867421651,
];

/// A stream of numbers from a seed: SplitMix64 (Steele, Lea & Flood 2014).
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) const fn new(seed: Seed) -> Self {
        Self(seed.0)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// In 0 .. 1, by 53 bits.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// In 0 .. n.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.next()) * n as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// A place, by its probability.
    pub(crate) fn pick(&mut self, probabilities: &[f64]) -> usize {
        let (mut left, last) = (self.unit(), probabilities.len().saturating_sub(1));
        for (at, p) in probabilities.iter().enumerate() {
            if left < *p {
                return at;
            }
            left -= p;
        }
        last
    }
}
