//! Catch-up: one way for resumes, slow readers, lost messages and replaced histories.
//!
//! A session in catch-up has a cursor into the log. It is fed from the tail in memory, or, for what is older, from pages that
//! are read once for all who wait, as fast as its send queue empties; at the tail's end it is live again. The task is the only
//! one that moves the tail, so there is neither hole nor double at that seam.

use std::sync::Arc;

use super::frames::{self, Replays};
use super::member::{Delivery, Member};
use super::org::Org;
use super::piece::Piece;
use super::router::Slot;
use super::send_queue::Pushed;
use super::standing::note;
use super::tail::Resumption;
use super::trace::What;
use crate::broker::{Entry, Page};
use crate::protocol::{GapReason, Position, Publication, Push};
use crate::telemetry::metrics::{self, CatchUpSource};

/// Sessions served before other tasks get their turn.
const SESSIONS_AT_ONCE: usize = 256;

/// How far serving a session got.
#[derive(PartialEq)]
enum Served {
    /// Its queue is full, or gone; a notice will come when it is empty.
    Full,
    /// It has got everything that was at hand.
    All,
    /// It fell back to an earlier place, and has room.
    Again,
}

impl Org {
    /// Brings a session in catch-up as far as memory and its queue allow.
    pub(super) fn serve(&mut self, slot: Slot) {
        loop {
            let (Some(tail), Some(member)) = (&self.tail, self.members.get_mut(slot)) else { return };
            let Delivery::CatchUp(catch_up) = &mut member.delivery else {
                if member.has_waiting() && self.begin_waiting(slot) {
                    continue;
                }
                return;
            };
            if !catch_up.verified {
                match tail.resume(catch_up.cursor) {
                    Resumption::From(cursor) => member.verify(cursor),
                    Resumption::Gap(gap) => {
                        note(&self.notes, member, None, What::Gap(gap));
                        member.skip(gap);
                    }
                    Resumption::Ask => {
                        self.cold.insert(slot);
                        return;
                    }
                }
                continue;
            }
            let (cursor, last) = (catch_up.cursor, tail.last());
            if cursor.seq > last.seq {
                self.again.insert(slot);
                return;
            }
            if cursor.seq == last.seq {
                if !self.finish_catch_up(slot) {
                    return;
                }
            } else if cursor.seq + 1 < tail.first_seq() {
                self.cold.insert(slot);
                return;
            } else {
                metrics::catch_up_reads(CatchUpSource::Tail).increment(1);
                let mut asking = Vec::new();
                let served = feed(member, tail.after(cursor.seq), self.config.conflate_low, &mut self.replays, &mut asking);
                self.expect_acks_of(slot, &asking);
                if served == Served::Full {
                    return;
                }
            }
        }
    }

    /// The session has everything: it is live, and the commands that waited for this are carried out. Whether one of them
    /// began another catch-up.
    fn finish_catch_up(&mut self, slot: Slot) -> bool {
        let Some(member) = self.members.get_mut(slot) else { return false };
        match tell_pending_gap(member) {
            Served::All => {}
            Served::Again => return true,
            Served::Full => return false,
        }
        // Replays of commands that wait start from an empty queue, and one with a seam ends in one.
        let needs_empty = member.seam_waits() || (member.has_waiting() && member.queue.holds_log());
        if needs_empty && member.queue.want_drain() {
            return false;
        }
        note(&self.notes, member, self.tail.as_ref(), What::CaughtUp);
        member.go_live();
        self.carry_out_waiting(slot)
    }

    /// Carries out what waited for a live session. Whether one of these commands began another catch-up.
    pub(super) fn carry_out_waiting(&mut self, slot: Slot) -> bool {
        loop {
            let Some(member) = self.members.get_mut(slot) else { return false };
            if !member.is_live() {
                return true;
            }
            if self.is_ahead(slot) {
                self.again.insert(slot);
                return false;
            }
            let Some(command) = self.members.get_mut(slot).and_then(Member::next_waiting) else { return false };
            self.subscribe_now(command);
        }
    }

    /// Serves everyone who waits for older entries from one page of the log, read from `from_seq`.
    pub(super) async fn serve_page(&mut self, page: &Page, from_seq: u64) {
        let Some(tail) = &self.tail else { return };
        if !tail.agrees_with(page, from_seq) {
            // The log is no longer the one that is known here; whoever waits is served once that is mended.
            self.doubt();
            return;
        }
        metrics::catch_up_reads(CatchUpSource::Log).increment(1);
        let waiting: Vec<Slot> = std::mem::take(&mut self.cold).into_iter().collect();
        for slots in waiting.chunks(SESSIONS_AT_ONCE) {
            for slot in slots {
                self.serve_from_page(*slot, page, from_seq);
            }
            tokio::task::yield_now().await;
        }
        self.replays.clear();
    }

    fn serve_from_page(&mut self, slot: Slot, page: &Page, from_seq: u64) {
        let (Some(tail), Some(member)) = (&self.tail, self.members.get_mut(slot)) else { return };
        let Delivery::CatchUp(catch_up) = &mut member.delivery else { return };
        let needed = tail.ask_from_seq(catch_up.cursor);
        let first = page.entries.iter().map(|entry| entry.position).find(|position| position.seq >= needed);
        if needed < from_seq || (first.is_none() && !page.end) {
            // This page is not about what the session needs; the next one starts at the lowest number that is waited for.
            self.cold.insert(slot);
            return;
        }
        match tail.resume_by_log(catch_up.cursor, first) {
            Resumption::From(cursor) => member.verify(cursor),
            Resumption::Gap(mut gap) => {
                if gap.reason == GapReason::Trimmed {
                    gap.reason = catch_up.trimmed;
                }
                note(&self.notes, member, None, What::Gap(gap));
                member.skip(gap);
            }
            Resumption::Ask => {}
        }
        let Some(after) = member.catch_up().map(|catch_up| catch_up.cursor.seq) else { return };
        if after + 1 < from_seq {
            // A gap may end before this page.
            return self.serve(slot);
        }
        let entries = page.entries.iter().skip_while(|entry| entry.position.seq <= after);
        let mut asking = Vec::new();
        let served = feed(member, entries, self.config.conflate_low, &mut self.replays, &mut asking);
        self.expect_acks_of(slot, &asking);
        if served != Served::Full {
            self.serve(slot);
        }
    }
}

/// Feeds consecutive entries that follow the member's cursor, as far as its queue has room, and notes which of them ask to be
/// acknowledged.
fn feed<'a>(
    member: &mut Member,
    entries: impl Iterator<Item = &'a Entry> + Clone,
    conflate: bool,
    replays: &mut Replays,
    asking: &mut Vec<Arc<Publication>>,
) -> Served {
    let mut entries = entries.peekable();
    while entries.peek().is_some() {
        let told = tell_pending_gap(member);
        if told != Served::All {
            return told;
        }
        let room = member.queue.log_room();
        if room == 0 {
            if member.queue.is_closed() || member.queue.want_drain() {
                return Served::Full;
            }
            continue;
        }
        let Some(before) = member.catch_up().map(|catch_up| catch_up.cursor) else { return Served::All };
        let piece = Piece::take(member, &mut entries, before, room, conflate, replays);
        match piece.bytes.map(|bytes| member.queue.push_log(&bytes, Some(before))) {
            None | Some(Pushed::Taken) => {
                if let Some(catch_up) = member.catch_up() {
                    catch_up.cursor = piece.cursor;
                }
                asking.extend(piece.asking);
            }
            Some(Pushed::Closed) => return Served::Full,
            Some(Pushed::Overflowed(from)) => return fall_back(member, from),
        }
    }
    Served::All
}

fn tell_pending_gap(member: &mut Member) -> Served {
    let wire = Arc::clone(&member.wire);
    let Some(catch_up) = member.catch_up() else { return Served::All };
    let Some(gap) = catch_up.gap.take() else { return Served::All };
    metrics::gaps(gap.reason).increment(1);
    catch_up.told_gap = true;
    let before = gap.from.unwrap_or(gap.to);
    let bytes = frames::push(wire.as_ref(), &Push::Gap(&gap));
    match member.queue.push_log(&bytes, Some(before)) {
        Pushed::Taken => Served::All,
        Pushed::Closed => Served::Full,
        Pushed::Overflowed(from) => fall_back(member, from),
    }
}

/// After an overflow: goes on from an earlier place, which may lie before a gap, once the queue has room again.
fn fall_back(member: &mut Member, from: Position) -> Served {
    if let Some(catch_up) = member.catch_up() {
        (catch_up.cursor, catch_up.verified) = (from, false);
    }
    // Waits for the notice, or is served again at once when the overflow left nothing waiting.
    if member.queue.want_drain() { Served::Full } else { Served::Again }
}
