//! Reads of an org's log: which one is needed next, and what became of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

use super::Org;
use crate::broker::{LogState, Page, PageLimit, ReadError};
use crate::hub::member::Delivery;
use crate::hub::tail::Tail;

/// The longest pause between attempts to read a log that cannot be read.
const RETRY_MAX_MS: u64 = 1_000;

/// The longest that an org leaves the broker to others after a page; otherwise as long as it had to wait for it.
const GIVEN_WAY_MAX: Duration = Duration::from_millis(20);
/// The shortest pause there is: the runtime's timers know whole milliseconds. Pages that took less have theirs together.
const GIVEN_WAY_MIN: Duration = Duration::from_millis(1);

/// When the broker is left to others between pages.
pub(super) struct Pauses {
    next_page_at: Instant,
    /// Pauses that are not taken yet.
    owed: Duration,
}

impl Pauses {
    pub(super) fn new(now: Instant) -> Self {
        Self { next_page_at: now, owed: Duration::ZERO }
    }

    /// A page has come, for which the org had to wait that long.
    fn page_took(&mut self, took: Duration, now: Instant) {
        self.owed += took.min(GIVEN_WAY_MAX);
        if self.owed >= GIVEN_WAY_MIN {
            self.next_page_at = now + std::mem::take(&mut self.owed);
        }
    }

    /// From when on a page may be asked for; that is never past, so that whoever waits longer after a failure does so from `now`.
    fn next_page_at(&self, now: Instant) -> Instant {
        self.next_page_at.max(now)
    }
}

/// A read of the log under way; there is never more than one per org.
pub(super) type Reading = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(super) enum Outcome {
    Opened(Result<LogState, ReadError>),
    Read { purpose: Purpose, from_seq: u64, page: Result<Page, ReadError>, took: Duration },
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Purpose {
    Repair,
    CatchUp,
}

impl Org {
    pub(super) fn next_reading(&mut self) -> Option<Reading> {
        let (pause, swept_seq, now) = (self.pause(), self.swept_seq, Instant::now());
        let (broker, name, reads) = (Arc::clone(&self.broker), self.name.clone(), Arc::clone(&self.shared.reads));
        let Some(tail) = &self.tail else {
            return Some(Box::pin(async move {
                tokio::time::sleep(pause).await;
                let _turn = reads.acquire().await;
                Outcome::Opened(broker.open(&name).await)
            }));
        };
        let asked = self.cold.iter().filter_map(|slot| self.members.get(*slot)).filter_map(|member| match &member.delivery {
            Delivery::CatchUp(catch_up) => Some(tail.ask_from_seq(catch_up.cursor)),
            Delivery::Live => None,
        });
        let (purpose, from_seq, at) = match self.repair {
            Some(from_seq) => (Purpose::Repair, from_seq, now),
            None => (Purpose::CatchUp, next_page(asked, swept_seq)?, self.pauses.next_page_at(now)),
        };
        let limit = PageLimit { entries: self.config.page_entries_max, bytes: self.config.page_bytes_max };
        Some(Box::pin(async move {
            tokio::time::sleep_until(at + pause).await;
            let _turn = reads.acquire().await;
            let begun = Instant::now();
            // Whatever raised the doubt may have replaced the log's history, and opening it puts the fence that says so first.
            let opened = if purpose == Purpose::Repair { broker.open(&name).await.map(|_| ()) } else { Ok(()) };
            let page = match opened {
                Ok(()) => broker.read(&name, from_seq, limit).await,
                Err(error) => Err(error),
            };
            Outcome::Read { purpose, from_seq, page, took: begun.elapsed() }
        }))
    }

    /// Grows with the failures in a row, with jitter, so that a broker that comes back is not overrun.
    fn pause(&mut self) -> Duration {
        if self.failures == 0 {
            return Duration::ZERO;
        }
        let ceiling = (50u64 << self.failures.min(6)).min(RETRY_MAX_MS);
        Duration::from_millis(self.jitter.random_range(ceiling / 2..=ceiling))
    }

    pub(super) async fn finish(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Opened(Ok(state)) => {
                self.failures = 0;
                self.tail = Some(Tail::new(state, self.config.tail_bytes_max));
                self.expect_unheard();
            }
            Outcome::Read { purpose, from_seq, page: Ok(page), took } => {
                self.failures = 0;
                self.pauses.page_took(took, Instant::now());
                match purpose {
                    Purpose::Repair => self.repair_from(&page, from_seq).await,
                    Purpose::CatchUp => {
                        self.swept_seq = page.entries.last().map_or(0, |last| last.position.seq + 1);
                        self.serve_page(&page, from_seq).await;
                    }
                }
            }
            Outcome::Opened(Err(error)) | Outcome::Read { page: Err(error), .. } => {
                self.failures = self.failures.saturating_add(1);
                if self.failures == 1 {
                    tracing::warn!(org = %self.name, %error, "the log cannot be read; trying again until it can");
                }
            }
        }
    }
}

/// Where the next page begins, by where those who wait go on: upwards from the last page, and from the lowest again when nobody waits
/// further up. So one pass serves all who came before it did, however many come meanwhile to begin at the beginning.
fn next_page(asked: impl Iterator<Item = u64> + Clone, swept_seq: u64) -> Option<u64> {
    let further_up = asked.clone().filter(|seq| *seq >= swept_seq).min();
    further_up.or_else(|| asked.min())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_broker_is_left_to_others_for_as_long_as_pages_took_and_no_pause_begins_in_the_past() {
        let begun = Instant::now();
        let after = |us| begun + Duration::from_micros(us);
        let mut pauses = Pauses::new(begun);
        pauses.page_took(Duration::from_micros(600), after(600));
        assert_eq!(pauses.next_page_at(after(600)), after(600));
        pauses.page_took(Duration::from_micros(600), after(1_200));
        assert_eq!(pauses.next_page_at(after(1_200)), after(2_400));
        pauses.page_took(Duration::from_secs(5), after(10_000));
        assert_eq!(pauses.next_page_at(after(10_000)), after(30_000));
        assert_eq!(pauses.next_page_at(after(9_000_000)), after(9_000_000));
    }

    #[test]
    fn who_waits_is_through_after_two_passes_whoever_comes_meanwhile() {
        const PAGE: u64 = 10;
        const LAST: u64 = 100;
        let (mut waiting, mut swept_seq, mut through): (Vec<(u64, u64)>, _, _) = (Vec::new(), 0, 0);
        for page in 0..1_000 {
            waiting.push((1, page));
            let from_seq = next_page(waiting.iter().map(|(seq, _)| *seq), swept_seq).unwrap();
            swept_seq = from_seq + PAGE;
            waiting.iter_mut().filter(|(seq, _)| (from_seq..swept_seq).contains(seq)).for_each(|(seq, _)| *seq = swept_seq);
            for (_, since) in waiting.extract_if(.., |(seq, _)| *seq > LAST) {
                through += 1;
                assert!(page - since <= 2 * LAST / PAGE, "{since} waits since {page}");
            }
        }
        assert!(through > 900, "{through}");
        assert_eq!(
            (next_page([].into_iter(), 5), next_page([3, 7, 9].into_iter(), 8), next_page([3, 7].into_iter(), 8)),
            (None, Some(9), Some(3))
        );
    }
}
