//! What one org may still publish at the moment: publications and bytes, each filled up at its rate.
//!
//! Pure, and the same arithmetic as `charge` in the Lua functions. The embedded broker asks it before it appends.

use super::quota::Quota;

/// How much may come at once, in seconds of the rate.
const BURST_S: f64 = 2.0;
const US_PER_S: f64 = 1_000_000.0;
/// One, but for what is lost in sums of fractions.
const ENOUGH: f64 = 1.0 - 1e-6;

/// Neither is counted unless it has a limit.
#[derive(Clone, Copy, Debug)]
pub struct Allowance {
    publications: f64,
    /// Below 0 after a publication that was larger than what was left: the next one waits for it.
    bytes: f64,
    updated_us: u64,
}

/// A quota is used up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the organization publishes more {what} per second than its quota, {allowed}")]
pub struct Exceeded {
    pub what: Measure,
    /// Per second.
    pub allowed: u64,
    /// The shortest wait after which one publication passes.
    pub retry_after_ms: u64,
}

/// What a quota of publishing counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measure {
    Publications,
    Bytes,
}

impl std::fmt::Display for Measure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Publications => "publications",
            Self::Bytes => "bytes",
        })
    }
}

impl Allowance {
    /// The full allowance.
    pub fn new(quota: &Quota, now_us: u64) -> Self {
        let (publications, bytes) = capacities(quota);
        Self { publications, bytes, updated_us: now_us }
    }

    /// Takes one publication of so many bytes.
    ///
    /// # Errors
    /// [`Exceeded`], and nothing is taken.
    pub fn take(&mut self, quota: &Quota, bytes: usize, now_us: u64) -> Result<(), Exceeded> {
        self.refill(quota, now_us);
        let short = |what, level: f64, rate: u64| {
            let retry_after_ms = ((1.0 - level) / rate as f64 * 1_000.0).ceil().max(1.0) as u64;
            (rate > 0 && level < ENOUGH).then_some(Exceeded { what, allowed: rate, retry_after_ms })
        };
        let publications = short(Measure::Publications, self.publications, quota.publications_per_s.into());
        let of_bytes = short(Measure::Bytes, self.bytes, quota.bytes_per_s);
        if let Some(exceeded) = publications.into_iter().chain(of_bytes).max_by_key(|exceeded| exceeded.retry_after_ms) {
            return Err(exceeded);
        }
        self.publications -= 1.0;
        self.bytes -= bytes as f64;
        Ok(())
    }

    fn refill(&mut self, quota: &Quota, now_us: u64) {
        // A clock that steps back only pauses it.
        let elapsed_s = now_us.saturating_sub(self.updated_us) as f64 / US_PER_S;
        let (publications_max, bytes_max) = capacities(quota);
        self.publications = (self.publications + elapsed_s * f64::from(quota.publications_per_s)).min(publications_max);
        self.bytes = (self.bytes + elapsed_s * quota.bytes_per_s as f64).min(bytes_max);
        self.updated_us = self.updated_us.max(now_us);
    }
}

fn capacities(quota: &Quota) -> (f64, f64) {
    (f64::from(quota.publications_per_s) * BURST_S, quota.bytes_per_s as f64 * BURST_S)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_large_one_passes_and_is_paid_for_afterwards() {
        let quota = Quota { bytes_per_s: 1_000, ..Quota::default() };
        let mut allowance = Allowance::new(&quota, 0);
        assert!(allowance.take(&quota, 5_000, 0).is_ok());
        let exceeded = allowance.take(&quota, 1, 0).unwrap_err();
        assert_eq!((exceeded.what, exceeded.retry_after_ms), (Measure::Bytes, 3_001));
        assert!(allowance.take(&quota, 1, 3_000_000).is_err() && allowance.take(&quota, 1, 3_001_000).is_ok());
    }

    proptest! {
        #[test]
        fn in_the_long_run_the_rates_hold_and_the_named_wait_is_enough(
            publications_per_s in 0u32..50, bytes_per_s in 0u64..5_000, steps in prop::collection::vec((0u64..400_000, 1usize..3_000), 1..300)
        ) {
            let quota = Quota { publications_per_s, bytes_per_s, ..Quota::default() };
            let mut allowance = Allowance::new(&quota, 0);
            let (mut now_us, mut count, mut sum, mut last) = (0, 0u64, 0u64, 0);
            for (step_us, bytes) in steps {
                now_us += step_us;
                match allowance.take(&quota, bytes, now_us) {
                    Ok(()) => (count, sum, last) = (count + 1, sum + bytes as u64, bytes as u64),
                    Err(exceeded) => {
                        let mut later = allowance;
                        prop_assert!(later.take(&quota, bytes, now_us + exceeded.retry_after_ms * 1_000).is_ok());
                    }
                }
                let seconds = 2.0 + now_us as f64 / 1e6;
                prop_assert!(publications_per_s == 0 || count as f64 <= seconds * f64::from(publications_per_s) + 1e-3);
                prop_assert!(bytes_per_s == 0 || (sum - last) as f64 <= seconds * bytes_per_s as f64 + 1e-3);
                prop_assert!(publications_per_s > 0 || bytes_per_s > 0 || count > 0);
            }
        }
    }
}
