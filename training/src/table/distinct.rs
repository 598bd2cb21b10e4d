//! How many different texts there are, in bounded memory: exact up to a limit, and estimated beyond.
//!
//! Adaptive sampling (Wegman; Flajolet 1990, "On adaptive sampling", Computing 43): texts whose hash ends in `depth`
//! zero bits are kept; when there are too many, `depth` grows by one. The estimate is kept x 2^depth, unbiased, with
//! a relative standard error of about 1.2 / sqrt(limit).

use std::collections::HashSet;

/// A count of different texts.
#[derive(Clone, Debug)]
pub(crate) struct Distinct {
    limit: usize,
    depth: u32,
    kept: HashSet<u64>,
}

impl Distinct {
    /// Exact up to `limit` different texts.
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), depth: 0, kept: HashSet::new() }
    }

    /// Counts `text`, unless it was counted before.
    pub(crate) fn add(&mut self, text: &str) {
        let hash = hash(text);
        if hash.trailing_zeros() < self.depth {
            return;
        }
        self.kept.insert(hash);
        while self.kept.len() > self.limit {
            self.depth += 1;
            let depth = self.depth;
            self.kept.retain(|hash| hash.trailing_zeros() >= depth);
        }
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        (self.kept.len() as u64) << self.depth
    }

    /// How many of `n` texts were not the first of their kind; where that is estimated, 0 unless it lies four standard
    /// errors away from it.
    pub(crate) fn n_repeated(&self, n: u64) -> u64 {
        let repeated = n.saturating_sub(self.count());
        let error = if self.is_exact() { 0.0 } else { 1.2 / (self.limit as f64).sqrt() * n as f64 };
        if repeated as f64 > 4.0 * error { repeated } else { 0 }
    }

    /// Whether [`Self::count`] is exact (but for texts of one 64-bit hash).
    pub(crate) fn is_exact(&self) -> bool {
        self.depth == 0
    }
}

/// A 64-bit hash, the same in every version and on every machine: FNV-1a, its bits mixed as splitmix64 does.
pub(crate) fn hash(text: &str) -> u64 {
    let fnv = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed(fnv)
}

/// The finaliser of splitmix64 (Steele, Lea & Flood 2014).
pub(crate) fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_do_not_count_and_the_estimate_is_near() {
        let mut counted = Distinct::new(4096);
        for n in 0..4096_u32 {
            counted.add(&n.to_string());
            counted.add(&(n / 2).to_string());
        }
        assert_eq!((counted.count(), counted.is_exact(), counted.n_repeated(8192)), (4096, true, 4096));
        for n in 0..100_000_u32 {
            counted.add(&n.to_string());
        }
        // Four standard errors of 1.2 / sqrt(4096).
        assert!(!counted.is_exact());
        assert!((counted.count() as f64 / 1e5 - 1.0).abs() < 4.0 * 1.2 / 64.0, "{}", counted.count());
        assert_eq!((counted.n_repeated(100_000), counted.n_repeated(200_000) > 90_000), (0, true));
    }
}
