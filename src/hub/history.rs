//! The past of a room, for sessions that ask: read from the broker beside the orgs' tasks, which hear nothing of it.

use tokio::sync::Semaphore;

use super::Hub;
use crate::auth::HistoryGrant;
use crate::broker::history::{Visit, Walk, walk};
use crate::broker::{Body, Entry, ReadError};
use crate::clock::unix_us;
use crate::protocol::command::history::{HistoryPage, Shown};
use crate::protocol::filter::Document;
use crate::protocol::push::{Gap, GapReason};
use crate::protocol::{Filter, Position, SessionId};
use crate::telemetry::metrics;

/// What a session asks of the past.
#[derive(Debug)]
pub struct Past {
    pub grant: HistoryGrant,
    /// The client's own filter.
    pub filter: Option<Filter>,
    pub since: Option<Position>,
    pub limit: usize,
    pub reverse: bool,
}

/// Turns for reading the past: however many ask, so many read.
pub(super) struct Readers(Semaphore);

impl Readers {
    pub(super) fn new(count: usize) -> Self {
        Self(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)))
    }

    /// Waits for a turn, which ends when the answer is dropped.
    pub(super) async fn turn(&self) -> impl Drop + '_ {
        self.0.acquire().await.expect("it is never closed")
    }
}

impl Hub {
    /// One page, bounded by the configuration. What was sent to other sessions by their ids is not shown.
    ///
    /// # Errors
    /// [`ReadError`] when the log cannot be read.
    pub async fn history(&self, session: SessionId, past: Past) -> Result<HistoryPage, ReadError> {
        let _turn = self.readers.turn().await;
        let config = self.config();
        let (limit, bytes_max) = (past.limit.clamp(1, config.history_entries_max), config.history_bytes_max);
        let (pattern, filter) = (past.grant.pattern(), past.grant.filter(past.filter.as_ref()));
        let (mut page, mut bytes, now_us) = (HistoryPage::default(), 0, unix_us());
        let visit = |before: Option<Position>, entry: &Entry| {
            match &entry.body {
                Body::Publication(publication) => {
                    let meant = publication.sessions.is_empty() || publication.sessions.contains(&session);
                    let reaches = || pattern.is_reached_by(&publication.room, publication.cascade);
                    let passes = || filter.as_ref().is_none_or(|filter| filter.passes(&Document::of(publication)));
                    if meant && !publication.expired_at(now_us) && reaches() && passes() {
                        page.publications.extend(Shown::of(publication));
                        bytes += page.publications.last().map_or(0, Shown::bytes);
                    }
                }
                Body::Fence(reason) => {
                    let from = if past.reverse { None } else { before };
                    page.gaps.push(Gap { from, to: entry.position, reason: *reason });
                }
                Body::Newer => {
                    let from = if past.reverse { None } else { before };
                    page.gaps.push(Gap { from, to: entry.position, reason: GapReason::Unreadable });
                }
                Body::Malformed => {}
            }
            if page.publications.len() == limit || bytes >= bytes_max { Visit::Enough } else { Visit::On }
        };
        let asked = Walk { since: past.since, reverse: past.reverse, entries_max: config.history_entries_max };
        let walked = walk(self.broker.as_ref(), past.grant.org(), asked, visit).await?;
        metrics::history_pages().increment(1);
        // What was lost at the beginning is told first.
        let at = if past.reverse { page.gaps.len() } else { 0 };
        page.gaps.splice(at..at, walked.lost);
        Ok(HistoryPage { next: walked.next, end: walked.end, ..page })
    }
}
