//! Reads of an org's log: which one is needed next, and what became of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng;

use super::Org;
use crate::broker::{LogState, Page, PageLimit, ReadError};
use crate::hub::member::Delivery;
use crate::hub::tail::Tail;

/// The longest pause between attempts to read a log that cannot be read.
const RETRY_MAX_MS: u64 = 1_000;

/// A read of the log under way; there is never more than one per org.
pub(super) type Reading = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(super) enum Outcome {
    Opened(Result<LogState, ReadError>),
    Read { purpose: Purpose, from_seq: u64, page: Result<Page, ReadError> },
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Purpose {
    Repair,
    CatchUp,
}

impl Org {
    pub(super) fn next_reading(&mut self) -> Option<Reading> {
        let pause = self.pause();
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
        let (purpose, from_seq) = match self.repair {
            Some(from_seq) => (Purpose::Repair, from_seq),
            None => (Purpose::CatchUp, asked.min()?),
        };
        let limit = PageLimit { entries: self.config.page_entries_max, bytes: self.config.page_bytes_max };
        Some(Box::pin(async move {
            tokio::time::sleep(pause).await;
            let _turn = reads.acquire().await;
            // Whatever raised the doubt may have replaced the log's history, and opening it puts the fence that says so first.
            let opened = if purpose == Purpose::Repair { broker.open(&name).await.map(|_| ()) } else { Ok(()) };
            let page = match opened {
                Ok(()) => broker.read(&name, from_seq, limit).await,
                Err(error) => Err(error),
            };
            Outcome::Read { purpose, from_seq, page }
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
            Outcome::Read { purpose, from_seq, page: Ok(page) } => {
                self.failures = 0;
                match purpose {
                    Purpose::Repair => self.repair_from(&page, from_seq).await,
                    Purpose::CatchUp => self.serve_page(&page, from_seq).await,
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
