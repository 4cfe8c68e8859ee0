//! What an org's task does about publications that ask to be acknowledged: it counts whom it handed them, sends them again, and reports.
//!
//! `acks` knows what is due. Batches without such publications cost nothing here.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::acks::{Again, Due};
use super::command::Acknowledge;
use super::config::AcksConfig;
use super::fan_out::Mask;
use super::frames;
use super::member::{Delivery, Member};
use super::org::Org;
use super::router::Slot;
use super::standing::cursor;
use super::verdicts::Verdicts;
use crate::broker::ReadError;
use crate::broker::receipts::Share;
use crate::protocol::Publication;
use crate::protocol::push::{Manner, Reply};
use crate::telemetry::metrics;

/// Publications sent again before other things have their turn.
const AGAIN_AT_ONCE: usize = 256;
/// Pause after a report that did not get through.
const REPORT_PAUSE: Duration = Duration::from_secs(1);
/// By how much a node's clock may be ahead of the store's, so that its last word is not taken for an early one.
const CLOCK_SLACK_MS: u64 = 250;

/// A report under way; there is never more than one per org.
pub(super) type Reporting = Pin<Box<dyn Future<Output = Reported> + Send>>;

pub(super) struct Reported {
    shares: Vec<Share>,
    settled: bool,
    outcome: Result<(), ReadError>,
}

/// When to look for receipts that are past their deadline: once when the org comes to this node, for whose nodes are gone, and once
/// after the deadline of whatever asked to be acknowledged since.
pub(super) struct Settling {
    at: Option<Instant>,
    until: Instant,
}

impl Settling {
    pub(super) fn new(now: Instant, deadline_ms: u64, config: &AcksConfig) -> Self {
        Self { at: Some(now), until: now + Duration::from_millis(deadline_ms + config.settle_after_ms) }
    }

    fn expect(&mut self, until: Instant) {
        self.until = self.until.max(until);
        self.at.get_or_insert(self.until);
    }

    fn is_due(&self, now: Instant) -> bool {
        self.at.is_some_and(|at| at <= now)
    }

    fn done(&mut self, now: Instant) {
        self.at = (now < self.until).then_some(self.until);
    }
}

impl Org {
    /// Notes those publications of a batch that ask to be acknowledged, before it is delivered.
    pub(super) fn expect_acks(&mut self, batch: &[Arc<Publication>]) {
        let now_ms = self.now_ms();
        // Who is being caught up gets them later, and must be counted before anybody is told that nothing more can come.
        let reaches_all = self.members.iter().all(|(_, member)| member.is_live());
        for publication in asking(self.asking, batch) {
            let end_ms = self.end_ms(publication, now_ms);
            if end_ms > now_ms {
                if reaches_all {
                    self.acks.heard(publication, end_ms);
                } else {
                    self.acks.hear_of(publication, end_ms);
                }
                let after_ms = end_ms - now_ms + self.config.acks.settle_after_ms;
                self.settling.expect(Instant::now() + Duration::from_millis(after_ms));
            }
        }
    }

    /// Publications may have passed this node by, and those who heard of them may all be gone: their receipts are looked for once their
    /// deadlines are over.
    pub(super) fn expect_unheard(&mut self) {
        let after_ms = self.broker.ack_deadline_ms() + self.config.acks.settle_after_ms;
        self.settling.expect(Instant::now() + Duration::from_millis(after_ms));
    }

    /// A session got these.
    pub(super) fn expect_acks_of<'a>(&mut self, slot: Slot, publications: impl IntoIterator<Item = &'a Arc<Publication>>) {
        let Some(session) = self.members.get(slot).map(|member| member.session) else { return };
        let now_ms = self.now_ms();
        for publication in publications {
            let end_ms = self.end_ms(publication, now_ms);
            self.acks.handed(session, publication, now_ms, end_ms);
        }
    }

    pub(super) fn acknowledge(&mut self, command: Acknowledge) {
        let Some(member) = self.members.get(command.slot) else { return };
        let count = self.acks.acknowledge(member.session, &command.positions);
        if let Some(mut answer) = command.answer {
            answer.reply = Reply::Acked { count };
            super::service::answer(member, &answer);
        }
    }

    /// When there is something to do about acknowledgements.
    pub(super) fn acks_due(&self) -> Option<Instant> {
        let report = (!self.acks.is_reported() || self.acks.has_unwritten()).then_some(self.report_at);
        let due = self.acks.due_ms().map(|due_ms| self.begun + Duration::from_millis(due_ms));
        let settling = self.settling.at.map(|at| at.max(self.report_at));
        report.into_iter().chain(due).chain(settling).min()
    }

    /// Sends again what is due, and begins a report.
    pub(super) fn tend_acks(&mut self, reporting: &mut Option<Reporting>) {
        let now_ms = self.now_ms();
        self.look_who_is_reached(now_ms);
        for due in self.acks.take_due(now_ms, AGAIN_AT_ONCE) {
            let outcome = self.send_again(&due);
            self.acks.sent(&due, &outcome, now_ms);
        }
        let now = Instant::now();
        if now < self.report_at {
            return;
        }
        self.report_at = now + Duration::from_millis(self.config.acks.report_interval_ms);
        self.look_who_has_it();
        let settled = self.settling.is_due(now);
        if reporting.is_some() || (self.acks.is_reported() && !settled) {
            return;
        }
        let (shares, broker, name) = (self.acks.take_shares(), Arc::clone(&self.broker), self.name.clone());
        *reporting = Some(Box::pin(async move {
            let mut outcome = if shares.is_empty() { Ok(()) } else { broker.report_receipts(&name, &shares).await };
            if outcome.is_ok() && settled {
                outcome = broker.settle_receipts(&name).await;
            }
            Reported { shares, settled, outcome }
        }));
    }

    pub(super) fn reported(&mut self, reported: Reported) {
        if let Err(error) = reported.outcome {
            tracing::debug!(org = %self.name, %error, "receipts could not be reported; trying again");
            self.acks.put_back(reported.shares);
            self.report_at = Instant::now() + REPORT_PAUSE;
        } else if reported.settled {
            self.settling.done(Instant::now());
        }
    }

    fn send_again(&mut self, due: &Due) -> Again {
        let member = self.by_session.get(&due.session).and_then(|slot| self.members.get(*slot));
        let (Some(member), Some(position)) = (member, due.publication.position) else { return Again::Never };
        if !member.wire.is_native()
            || !member.wants(&due.publication, position.seq, 0, &Verdicts::default())
            || due.publication.expired_at((self.shared.clock)())
        {
            return Again::Never;
        }
        // It may be among what waits, or still to come from the log.
        let cursor = cursor(member, self.tail.as_ref());
        if member.queue.holds_publications() || cursor.epoch != position.epoch || cursor.seq < position.seq {
            return Again::Later;
        }
        let manner = Manner { redelivered: due.times, ..Manner::PLAIN };
        member.queue.push_log(&frames::encode(member.wire.as_ref(), &due.publication, manner), None);
        metrics::redelivered().increment(1);
        Again::Sent
    }

    fn look_who_has_it(&mut self) {
        let (members, by_session) = (&self.members, &self.by_session);
        let member = |session| by_session.get(&session).and_then(|slot| members.get(*slot));
        self.acks.look(|session| {
            let member: &Member = member(session)?;
            // What an overflow dropped of its queue comes with the log.
            (member.is_live() && !member.queue.holds_publications()).then(|| member.wire.is_native())
        });
    }

    /// Looks whether all sessions have come to publications that came while some were being caught up.
    fn look_who_is_reached(&mut self, now_ms: u64) {
        let Some(epoch) = self.tail.as_ref().map(|tail| tail.last().epoch).filter(|_| self.acks.is_reaching()) else { return };
        let behind = self.members.iter().filter_map(|(_, member)| match &member.delivery {
            Delivery::Live => None,
            Delivery::CatchUp(catch_up) if catch_up.cursor.epoch == epoch => Some(catch_up.cursor.seq),
            Delivery::CatchUp(_) => Some(0),
        });
        let behind = behind.min();
        // What stood in a log that was replaced is given up by all.
        self.acks.look_who_is_reached(now_ms, |at| at.epoch != epoch || behind.is_none_or(|seq| at.seq <= seq));
    }

    /// Milliseconds since the task began.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Until when acknowledgements of a publication count, on the task's clock.
    pub(super) fn end_ms(&self, publication: &Publication, now_ms: u64) -> u64 {
        let end_ms = publication.time_us / 1_000 + self.broker.ack_deadline_ms() + CLOCK_SLACK_MS;
        now_ms + end_ms.saturating_sub((self.shared.clock)() / 1_000)
    }
}

/// Those of a batch that `mask` names and that ask to be acknowledged.
pub(super) fn asking(mask: Mask, batch: &[Arc<Publication>]) -> impl Iterator<Item = &Arc<Publication>> {
    batch
        .iter()
        .enumerate()
        .filter(move |(index, publication)| publication.requires_ack && mask >> index & 1 == 1)
        .map(|(_, publication)| publication)
}
