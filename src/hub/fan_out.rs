//! Live delivery: from a batch of publications to the send queues of everyone whom they reach.
//!
//! Each publication is encoded once per wire; sessions that get the same part of the batch share one concatenated piece, which
//! is one write each. Nothing here allocates, parses or formats per delivery.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::acknowledging::asking;
use super::frames;
use super::member::{CatchUp, Member};
use super::org::Org;
use super::router::Slot;
use super::send_queue::Pushed;
use super::standing::note_for_all;
use super::trace::What;
use crate::broker::{Body, Entry};
use crate::clock::unix_us;
use crate::protocol::push::{Gap, GapReason};
use crate::protocol::{Position, Priority, Publication, Push};
use crate::telemetry::metrics::{self, DropReason};
use crate::telemetry::trace;

/// Publications in one batch: as many as a mask has bits.
pub const BATCH_MAX: usize = Mask::BITS as usize;
/// Which publications of a batch are meant, by their bits.
pub type Mask = u128;

/// A batch is cut when its data comes to this, so that one write never grows out of proportion.
const BATCH_BYTES_MAX: usize = 128 << 10;
/// Sessions written to before other tasks get their turn.
const SESSIONS_AT_ONCE: usize = 256;

impl Org {
    /// Delivers entries that follow the position `before` without a hole.
    pub(super) async fn deliver(&mut self, entries: &[Entry], mut before: Position) {
        let (mut batch, mut bytes, mut start) = (Vec::new(), 0, before);
        for entry in entries {
            match &entry.body {
                Body::Publication(publication) => {
                    bytes += publication.data.len();
                    batch.push(Arc::clone(publication));
                }
                Body::Fence(reason) => {
                    self.fan_out(&batch, Some(start), before.seq).await;
                    self.tell_gap(&Gap { from: self.doubted_from(), to: entry.position, reason: *reason }, before);
                    batch.clear();
                }
                Body::Newer => {
                    self.fan_out(&batch, Some(start), before.seq).await;
                    self.tell_gap(&Gap { from: Some(before), to: entry.position, reason: GapReason::Unreadable }, before);
                    batch.clear();
                }
                Body::Malformed => {
                    metrics::malformed().increment(1);
                    tracing::debug!(position = %entry.position, "skipped an entry that is no publication");
                }
            }
            before = entry.position;
            if batch.len() == BATCH_MAX || bytes > BATCH_BYTES_MAX {
                self.fan_out(&batch, Some(start), before.seq).await;
                batch.clear();
            }
            if batch.is_empty() {
                (start, bytes) = (before, 0);
            }
        }
        self.fan_out(&batch, Some(start), before.seq).await;
    }

    pub(super) async fn deliver_ephemeral(&mut self, publications: &[Arc<Publication>]) {
        for batch in publications.chunks(BATCH_MAX) {
            self.fan_out(batch, None, 0).await;
        }
    }

    async fn fan_out(&mut self, batch: &[Arc<Publication>], before: Option<Position>, last_seq: u64) {
        if batch.is_empty() {
            return;
        }
        // They end with this delivery.
        let _spans = trace::fanning_out(batch);
        self.reached.clear();
        self.reached.resize(batch.len(), 0);
        // An org in which nothing is published needs no marks.
        self.marks.resize(self.members.end(), 0);
        self.mark(batch);
        if self.asking != 0 {
            self.expect_acks(batch);
        }
        self.batch.reset(batch.len());
        let touched = std::mem::take(&mut self.touched);
        for slots in touched.chunks(SESSIONS_AT_ONCE) {
            for slot in slots {
                self.deliver_to(*slot, batch, before, last_seq);
            }
            if touched.len() > SESSIONS_AT_ONCE {
                tokio::task::yield_now().await;
            }
        }
        self.touched = touched;
        self.touched.clear();
        self.count(batch);
    }

    /// Once per batch, not per delivery.
    fn count(&self, batch: &[Arc<Publication>]) {
        self.meter.fanned_out(batch.len(), self.reached.iter().copied());
        let now_us = unix_us();
        for (publication, sessions) in batch.iter().zip(&self.reached) {
            self.counters.delivered(publication.event.as_str(), *sessions, publication.time_us, now_us);
            if *sessions > 0 {
                metrics::delivery_seconds().record(seconds_since(publication.time_us, now_us));
            }
        }
    }

    /// Notes in `marks` which publications reach whom, and in `touched` who is reached at all.
    fn mark(&mut self, batch: &[Arc<Publication>]) {
        let (marks, touched, reached) = (&mut self.marks, &mut self.touched, &mut self.reached);
        (self.urgent, self.asking) = (0, 0);
        for (index, publication) in batch.iter().enumerate() {
            let bit = Mask::from(1u8) << index;
            if publication.priority == Priority::Urgent {
                self.urgent |= bit;
            }
            if publication.requires_ack {
                self.asking |= bit;
            }
            let mut reach = |slot: Slot| {
                let mark = &mut marks[slot as usize];
                if *mark == 0 {
                    touched.push(slot);
                }
                reached[index] += u64::from(*mark & bit == 0);
                *mark |= bit;
            };
            if publication.sessions.is_empty() {
                self.router.visit(&publication.room, publication.cascade, &mut reach);
                if let Some(sieve) = &mut self.sieve {
                    sieve.visit(publication, &mut reach);
                }
            } else {
                publication.sessions.iter().filter_map(|session| self.by_session.get(session)).for_each(|slot| reach(*slot));
            }
        }
    }

    fn deliver_to(&mut self, slot: Slot, batch: &[Arc<Publication>], before: Option<Position>, last_seq: u64) {
        let mask = std::mem::take(&mut self.marks[slot as usize]);
        if mask & (self.urgent | self.asking) == 0 {
            self.deliver_in_turn(slot, mask, batch, before, last_seq);
        } else {
            self.deliver_with_care(slot, mask, batch, before, last_seq);
        }
    }

    /// Some of these are urgent, or ask to be acknowledged.
    fn deliver_with_care(&mut self, slot: Slot, mask: Mask, batch: &[Arc<Publication>], before: Option<Position>, last_seq: u64) {
        let was_live = self.members.get(slot).is_some_and(Member::is_live);
        if mask & self.urgent == 0 {
            self.deliver_in_turn(slot, mask, batch, before, last_seq);
        } else {
            self.overtake(slot, mask, batch, before, last_seq);
        }
        // One in catch-up gets the others on its way through the log, and is counted there.
        if was_live && mask & self.asking != 0 {
            self.expect_acks_of(slot, asking(mask, batch));
        }
    }

    pub(super) fn deliver_in_turn(&mut self, slot: Slot, mask: Mask, batch: &[Arc<Publication>], before: Option<Position>, last_seq: u64) {
        let Some(member) = self.members.get_mut(slot) else { return };
        if !member.is_live() {
            // It gets these on its way through the log, and is counted there.
            self.reached.iter_mut().enumerate().for_each(|(index, reached)| *reached -= (mask >> index & 1) as u64);
            return;
        }
        member.told_seq = member.told_seq.max(last_seq);
        let bytes = self.batch.group(mask, member.wire.as_ref(), batch);
        push(member, slot, bytes, before, &mut self.again);
    }

    /// Tells every live session of an admitted loss; those in catch-up meet it on their way.
    pub(super) fn tell_gap(&mut self, gap: &Gap, before: Position) {
        let live: Vec<Slot> = self.members.iter().filter(|(_, member)| member.is_live()).map(|(slot, _)| slot).collect();
        metrics::gaps(gap.reason).increment(live.len() as u64);
        note_for_all(&self.notes, before, What::Gap(*gap));
        for slot in live {
            let Some(member) = self.members.get_mut(slot) else { continue };
            let bytes = frames::push(member.wire.as_ref(), &Push::Gap(gap));
            push(member, slot, &bytes, Some(before), &mut self.again);
        }
    }

    /// Pushes to a live session.
    pub(super) fn push(&mut self, slot: Slot, bytes: &Bytes, before: Option<Position>) {
        if let Some(member) = self.members.get_mut(slot) {
            push(member, slot, bytes, before, &mut self.again);
        }
    }
}

/// Pushes to a live session; one that has no room is lagging from now on.
fn push(member: &mut Member, slot: Slot, bytes: &Bytes, before: Option<Position>, again: &mut BTreeSet<Slot>) {
    if let Pushed::Overflowed(cursor) = member.queue.push_log(bytes, before) {
        metrics::dropped(DropReason::Overflow).increment(1);
        member.start_catch_up(CatchUp::lagging(cursor));
        // Not served before the delivery in hand is done: the tail holds all of it already, and the rest of it would come
        // twice.
        again.insert(slot);
    }
}

pub(super) fn seconds_since(time_us: u64, now_us: u64) -> f64 {
    Duration::from_micros(now_us.saturating_sub(time_us)).as_secs_f64()
}
