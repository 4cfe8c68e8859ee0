//! A token bucket: 16 bytes per session, time as a parameter.
//!
//! The session calls it once per command. It never reads a clock, and a clock that steps back only pauses the refill.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bucket counts thousandths, so that a rate per second refills whole units every millisecond.
pub const UNITS_PER_TOKEN: u64 = 1_000;

/// How often a session may send commands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rate {
    /// Commands per second in the long run; 0 means no limit.
    pub per_s: u32,
    /// Commands that may come at once after a silence; at least 1 is used.
    pub burst: u32,
}

impl Default for Rate {
    fn default() -> Self {
        Self { per_s: 100, burst: 200 }
    }
}

impl Rate {
    fn capacity(self) -> u64 {
        u64::from(self.burst.max(1)) * UNITS_PER_TOKEN
    }
}

/// The bucket is empty: nothing will be granted for so long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exhausted {
    pub retry_after_ms: u64,
}

/// What one session has left.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    level: u64,
    updated_ms: u64,
}

const _: () = assert!(size_of::<Bucket>() <= 16);

impl Bucket {
    /// A full bucket.
    pub fn new(rate: Rate, now_ms: u64) -> Self {
        Self { level: rate.capacity(), updated_ms: now_ms }
    }

    /// Takes one command's worth.
    ///
    /// # Errors
    /// [`Exhausted`] with the shortest wait after which one command passes again.
    pub fn take(&mut self, rate: Rate, now_ms: u64) -> Result<(), Exhausted> {
        self.take_units(rate, UNITS_PER_TOKEN, now_ms)
    }

    /// Takes a part of it, at most [`UNITS_PER_TOKEN`].
    ///
    /// # Errors
    /// As [`Bucket::take`].
    pub fn take_units(&mut self, rate: Rate, units: u64, now_ms: u64) -> Result<(), Exhausted> {
        if rate.per_s == 0 {
            return Ok(());
        }
        self.refill(rate, now_ms);
        if self.level >= units {
            self.level -= units;
            return Ok(());
        }
        let missing = units - self.level;
        Err(Exhausted { retry_after_ms: missing.div_ceil(u64::from(rate.per_s)) })
    }

    fn refill(&mut self, rate: Rate, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.updated_ms);
        let gained = elapsed_ms.saturating_mul(u64::from(rate.per_s));
        self.level = self.level.saturating_add(gained).min(rate.capacity());
        self.updated_ms = self.updated_ms.max(now_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Lives through every single millisecond.
    struct Naive {
        units: u64,
        now_ms: u64,
    }

    impl Naive {
        fn take(&mut self, rate: Rate, units: u64, now_ms: u64) -> bool {
            while self.now_ms < now_ms {
                self.now_ms += 1;
                self.units = (self.units + u64::from(rate.per_s)).min(u64::from(rate.burst) * 1_000);
            }
            let granted = self.units >= units;
            if granted {
                self.units -= units;
            }
            granted
        }
    }

    #[test]
    fn a_burst_passes_then_the_rate_holds() {
        let rate = Rate::default();
        let mut bucket = Bucket::new(rate, 5_000);
        assert!((0..200).all(|_| bucket.take(rate, 5_000).is_ok()));
        assert_eq!(bucket.take(rate, 5_000), Err(Exhausted { retry_after_ms: 10 }));
        assert!(bucket.take(rate, 5_009).is_err());
        assert!(bucket.take(rate, 5_010).is_ok());
    }

    #[test]
    fn a_clock_that_steps_back_neither_fills_nor_empties() {
        let rate = Rate { per_s: 1, burst: 1 };
        let mut bucket = Bucket::new(rate, 10_000);
        assert!(bucket.take(rate, 10_000).is_ok());
        assert!(bucket.take(rate, 1_000).is_err());
        assert!(bucket.take(rate, 10_999).is_err());
        assert!(bucket.take(rate, 11_000).is_ok());
    }

    #[test]
    fn extremes_do_not_overflow() {
        let rate = Rate { per_s: u32::MAX, burst: u32::MAX };
        let mut bucket = Bucket::new(rate, 0);
        assert!(bucket.take(rate, u64::MAX).is_ok());
        let off = Rate { per_s: 0, burst: 0 };
        assert!((0..1_000).all(|_| bucket.take(off, 0).is_ok()));
    }

    proptest! {
        #[test]
        fn it_grants_what_the_naive_model_grants(per_s in 1u32..2_000, burst in 1u32..50, steps in prop::collection::vec((0u64..200, prop_oneof![Just(1_000u64), 1u64..1_000]), 1..200)) {
            let rate = Rate { per_s, burst };
            let mut bucket = Bucket::new(rate, 0);
            let mut naive = Naive { units: u64::from(burst) * 1_000, now_ms: 0 };
            let mut now_ms = 0;
            for (step, units) in steps {
                now_ms += step;
                prop_assert_eq!(bucket.take_units(rate, units, now_ms).is_ok(), naive.take(rate, units, now_ms));
            }
        }

        #[test]
        fn the_wait_it_names_is_enough_and_the_shortest(per_s in 1u32..2_000, burst in 1u32..10, now_ms in 0u64..1_000_000) {
            let rate = Rate { per_s, burst };
            let mut bucket = Bucket::new(rate, now_ms);
            let wait_ms = loop {
                if let Err(exhausted) = bucket.take(rate, now_ms) { break exhausted.retry_after_ms; }
            };
            let mut early = bucket;
            prop_assert!(early.take(rate, now_ms + wait_ms - 1).is_err());
            prop_assert!(bucket.take(rate, now_ms + wait_ms).is_ok());
        }
    }
}
