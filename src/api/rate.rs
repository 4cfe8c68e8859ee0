//! How often each caller may ask: one bucket per caller, in a table of bounded size.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::auth::Caller;
use crate::limit::bucket::{Bucket, Rate};
use crate::protocol::{Code, Fault};

/// Callers with a bucket at a time. Full ones, which say nothing, are forgotten first.
const CALLERS_MAX: usize = 10_000;

pub(super) struct Rates {
    rate: Rate,
    callers: Mutex<HashMap<Key, Seen>>,
}

/// The org keeps users of the same name apart.
#[derive(PartialEq, Eq, Hash)]
struct Key(Option<Box<str>>, Box<str>);

struct Seen {
    bucket: Bucket,
    at_ms: u64,
}

impl Rates {
    pub fn new(rate: Rate) -> Self {
        Self { rate, callers: Mutex::default() }
    }

    /// Takes one request's worth; `now_ms` is of a clock that never steps back.
    ///
    /// # Errors
    /// `RATE_LIMIT_EXCEEDED`, with the wait after which one request passes.
    pub fn take(&self, caller: &Caller, now_ms: u64) -> Result<(), Fault> {
        if self.rate.per_s == 0 {
            return Ok(());
        }
        let key = Key(caller.org.as_ref().map(|org| org.as_str().into()), caller.name.clone());
        let mut callers = self.callers.lock();
        if callers.len() >= CALLERS_MAX && !callers.contains_key(&key) {
            self.forget(&mut callers, now_ms);
            if callers.len() >= CALLERS_MAX {
                return Err(Fault::new(Code::RateLimitExceeded, "too many callers at once").retry_after_ms(1_000));
            }
        }
        let seen = callers.entry(key).or_insert_with(|| Seen { bucket: Bucket::new(self.rate, now_ms), at_ms: now_ms });
        seen.at_ms = now_ms;
        seen.bucket.take(self.rate, now_ms).map_err(|exhausted| {
            let text = format!("more than {} requests per second", self.rate.per_s);
            Fault::new(Code::RateLimitExceeded, text).retry_after_ms(exhausted.retry_after_ms)
        })
    }

    /// Drops the callers that were silent for so long that their buckets are full again.
    fn forget(&self, callers: &mut HashMap<Key, Seen>, now_ms: u64) {
        let full_after_ms = (u64::from(self.rate.burst.max(1)) * 1_000).div_ceil(u64::from(self.rate.per_s));
        callers.retain(|_, seen| now_ms.saturating_sub(seen.at_ms) < full_after_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Scopes;

    fn caller(name: &str) -> Caller {
        Caller { name: name.into(), scopes: Scopes::NONE, org: None, home: None, issued_at_s: None, token_id: None }
    }

    #[test]
    fn callers_have_their_own_rate() {
        let rates = Rates::new(Rate { per_s: 1, burst: 2 });
        assert!(rates.take(&caller("a"), 0).is_ok() && rates.take(&caller("a"), 0).is_ok());
        let fault = rates.take(&caller("a"), 0).unwrap_err();
        assert_eq!((fault.code, fault.retry_after_ms), (Code::RateLimitExceeded, Some(1_000)));
        assert!(rates.take(&caller("b"), 0).is_ok());
        assert!(rates.take(&caller("a"), 1_000).is_ok());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_silent() {
        let rates = Rates::new(Rate { per_s: 1, burst: 2 });
        for index in 0..CALLERS_MAX {
            rates.take(&caller(&index.to_string()), 0).unwrap();
        }
        assert!(rates.take(&caller("late"), 1_999).is_err());
        assert!(rates.take(&caller("late"), 2_000).is_ok());
        assert_eq!(rates.callers.lock().len(), 1);
    }
}
