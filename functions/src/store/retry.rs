//! Bounded retries with full jitter: each wait is a random share of a bound that doubles.
//!
//! The SDK retries what the network or a throttle lost; this is for what only we can retry, a lost race or the
//! unprocessed rest of a batch.

use std::time::Duration;

use crate::clock;

/// The waits between attempts.
#[derive(Debug)]
pub(super) struct Backoff {
    attempts: u32,
    limit: u32,
    bound: Duration,
    longest: Duration,
}

const FIRST: Duration = Duration::from_millis(4);

impl Backoff {
    /// Allows `limit` attempts in all, with waits of at most `longest_ms` milliseconds.
    pub(super) const fn new(limit: u32, longest_ms: u64) -> Self {
        Self { attempts: 1, limit, bound: FIRST, longest: Duration::from_millis(longest_ms) }
    }

    /// The attempts begun so far.
    pub(super) const fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Waits before the next attempt; false when there is none left.
    pub(super) async fn wait(&mut self) -> bool {
        if self.attempts >= self.limit {
            return false;
        }
        tokio::time::sleep(clock::random_share(self.bound)).await;
        self.bound = self.longest.min(self.bound * 2);
        self.attempts += 1;
        true
    }
}
