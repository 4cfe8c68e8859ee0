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

/// How far serving a session got.
#[derive(PartialEq)]
enum Served {
    /// Its queue is full, or gone; a notice will come when it is empty.
    Full,
    /// It has got everything that was at hand.
    All,
    /// It has got a piece, and there is more.
    Piece,
    /// It fell back to an earlier place, and has room.
    Again,
}

impl Org {
    /// Brings a session in catch-up as far as memory and its queue allow.
    pub(super) async fn serve(&mut self, slot: Slot) {
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
                if self.feed_from_tail(slot).await == Served::Full {
                    return;
                }
            }
        }
    }

    async fn feed_from_tail(&mut self, slot: Slot) -> Served {
        loop {
            let (Some(tail), Some(member)) = (&self.tail, self.members.get_mut(slot)) else { return Served::Full };
            let Some(after) = member.catch_up().map(|catch_up| catch_up.cursor.seq) else { return Served::All };
            let mut asking = Vec::new();
            let served = feed(member, tail.after(after), self.config.conflate_low, &mut self.replays, &mut asking);
            self.expect_acks_of(slot, &asking);
            self.effort.spend(self.replays.take_effort()).await;
            if served != Served::Piece {
                return served;
            }
        }
    }

    /// The session has everything: it is live, and the commands that waited for this are carried out. Whether one of them
    /// began another catch-up.
    fn finish_catch_up(&mut self, slot: Slot) -> bool {
        let Some(member) = self.members.get_mut(slot) else { return false };
        match tell_pending_gap(member) {
            Served::All => {}
            Served::Again | Served::Piece => return true,
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
        for slot in std::mem::take(&mut self.cold) {
            self.serve_from_page(slot, page, from_seq).await;
        }
        self.replays.clear();
    }

    async fn serve_from_page(&mut self, slot: Slot, page: &Page, from_seq: u64) {
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
            return self.serve(slot).await;
        }
        if self.feed_from_page(slot, page).await != Served::Full {
            self.serve(slot).await;
        }
    }

    async fn feed_from_page(&mut self, slot: Slot, page: &Page) -> Served {
        loop {
            let Some(member) = self.members.get_mut(slot) else { return Served::Full };
            let Some(after) = member.catch_up().map(|catch_up| catch_up.cursor.seq) else { return Served::All };
            let skip = page.entries.partition_point(|entry| entry.position.seq <= after);
            let mut asking = Vec::new();
            let served = feed(member, page.entries[skip..].iter(), self.config.conflate_low, &mut self.replays, &mut asking);
            self.expect_acks_of(slot, &asking);
            self.effort.spend(self.replays.take_effort()).await;
            if served != Served::Piece {
                return served;
            }
        }
    }
}

/// Feeds a piece of consecutive entries that follow the member's cursor, if its queue has room, and notes which of them ask to be
/// acknowledged.
fn feed<'a>(
    member: &mut Member,
    entries: impl Iterator<Item = &'a Entry> + Clone,
    conflate: bool,
    replays: &mut Replays,
    asking: &mut Vec<Arc<Publication>>,
) -> Served {
    let mut entries = entries.peekable();
    if entries.peek().is_none() {
        return Served::All;
    }
    let told = tell_pending_gap(member);
    if told != Served::All {
        return told;
    }
    let room = loop {
        match member.queue.log_room() {
            0 if member.queue.is_closed() || member.queue.want_drain() => return Served::Full,
            // It was emptied just now.
            0 => {}
            room => break room,
        }
    };
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
    if entries.peek().is_some() { Served::Piece } else { Served::All }
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
