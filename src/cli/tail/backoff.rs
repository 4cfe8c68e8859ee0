//! How long to wait before the next connection: full jitter over a doubling range, never below the server's hint.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    pub fn failures(&self) -> u32 {
        self.failures
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The wait after one more failure; `chance` is from 0 to 1.
    pub fn next(&mut self, floor: Duration, chance: f64) -> Duration {
        let range = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures += 1;
        range.mul_f64(chance.clamp(0.0, 1.0)).max(floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_keep_to_the_hint() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(Duration::ZERO, 1.0), FIRST);
        assert_eq!(backoff.next(Duration::ZERO, 1.0), FIRST * 2);
        assert_eq!(backoff.next(Duration::ZERO, 0.0), Duration::ZERO);
        assert_eq!(backoff.next(Duration::from_secs(40), 0.5), Duration::from_secs(40));
        (0..40).for_each(|_| assert!(backoff.next(Duration::ZERO, 1.0) <= LONGEST));
        backoff.succeeded();
        assert_eq!(backoff.next(Duration::ZERO, 1.0), FIRST);
    }
}
