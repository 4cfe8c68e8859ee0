//! A node's view of the end of an org's log: the recent entries, in order and without holes.
//!
//! Pure. The org's task offers it what pub/sub brings and what it reads from the log; it says what may be delivered, and when
//! the log must be asked. It also remembers entries of a history that was replaced, so that sessions which hold positions in
//! it resume at the last entry that both histories share.

use std::collections::{HashMap, VecDeque};

use crate::broker::{Entry, LogState, Page};
use crate::protocol::push::Gap;
use crate::protocol::{GapReason, Position};

/// Replaced entries remembered for resumes; the oldest go first.
const REPLACED_MAX: usize = 10_000;

/// How far back a comparison goes at a time where memory holds nothing to compare with.
const STEP_BACK: u64 = 500;

/// The recent log of one org, bounded in bytes.
#[derive(Debug)]
pub struct Tail {
    /// The newest entry known; everything up to it has been delivered to live sessions.
    last: Position,
    /// The place right before the entries in memory. A reader may be sent there, and must be able to prove later that it is of
    /// this history.
    before: Position,
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
    replaced: Replaced,
}

/// Entries that the log no longer has, each with the last entry before it that the log still has.
#[derive(Debug, Default)]
struct Replaced {
    common: HashMap<Position, Position>,
    by_age: VecDeque<Position>,
}

impl Replaced {
    fn insert(&mut self, position: Position, common: Position) {
        self.common.insert(position, common);
        self.by_age.push_back(position);
        if self.by_age.len() > REPLACED_MAX {
            self.by_age.pop_front().and_then(|oldest| self.common.remove(&oldest));
        }
    }
}

/// What to do with an entry that pub/sub brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the next one and has been taken in.
    Next,
    /// It is known already.
    Known,
    /// It does not follow: entries were missed, or the log was replaced. Read the log.
    Doubtful,
}

/// What a read of the log meant for live sessions.
#[derive(Debug, PartialEq)]
pub enum Repair {
    /// Entries to deliver now, after a gap if there is one. They follow `base`, up to which everything has been delivered.
    Deliver { gap: Option<Gap>, base: Position, entries: Vec<Entry> },
    /// The histories differ: read again from this number to find where they part.
    Compare { from_seq: u64 },
}

/// Where a reader with an old position goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resumption {
    /// After this position, nothing lost.
    From(Position),
    /// After the gap's end.
    Gap(Gap),
    /// Memory cannot tell: the log must be read from the position's number.
    Ask,
}

impl Tail {
    pub fn new(state: LogState, bytes_max: usize) -> Self {
        Self { last: state.last, before: state.last, entries: VecDeque::new(), bytes: 0, bytes_max, replaced: Replaced::default() }
    }

    pub fn last(&self) -> Position {
        self.last
    }

    /// The number of the oldest entry in memory; one past the newest when there is none.
    pub fn first_seq(&self) -> u64 {
        self.entries.front().map_or(self.last.seq + 1, |entry| entry.position.seq)
    }

    /// Entries after the one numbered `seq`, which must not lie before what is in memory.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Entry> + Clone {
        let skip = usize::try_from((seq + 1).saturating_sub(self.first_seq())).unwrap_or(usize::MAX).min(self.entries.len());
        self.entries.range(skip..)
    }

    /// Offers an entry that the carrier brought.
    pub fn admit(&mut self, entry: &Entry) -> Admission {
        let position = entry.position;
        if position.epoch != self.last.epoch {
            return Admission::Doubtful;
        }
        if position.seq == self.last.seq + 1 {
            // An entry that is older than what it should follow waited in the feed while the history was replaced. Where a clock
            // was merely set back, the log confirms it.
            if position.check < self.last.check {
                return Admission::Doubtful;
            }
            self.append(entry.clone());
            return Admission::Next;
        }
        let known = position.seq <= self.last.seq && self.check_of(position.seq).is_none_or(|check| check == position.check);
        if known { Admission::Known } else { Admission::Doubtful }
    }

    /// Whether a page read from `from_seq` belongs to the history that is known here, as far as the two overlap.
    pub fn agrees_with(&self, page: &Page, from_seq: u64) -> bool {
        let same = |position: Position| self.check_of(position.seq).is_none_or(|check| check == position.check);
        let reaches = page.entries.last().map_or(from_seq > self.last.seq, |newest| newest.position.seq >= self.last.seq);
        page.epoch == self.last.epoch && page.entries.iter().all(|entry| same(entry.position)) && (reaches || !page.end)
    }

    /// Whether the log, as a probe found it, holds something that is not known here.
    pub fn differs_from(&self, found: Position) -> bool {
        found.epoch != self.last.epoch || found.seq < self.last.seq || (found.seq == self.last.seq && found.check != self.last.check)
    }

    /// The number to read from in order to see whether the log still continues what is known here.
    pub fn repair_from_seq(&self) -> u64 {
        self.last.seq.max(1)
    }

    /// Judges a page that was read from [`Tail::repair_from_seq`], or, after [`Repair::Compare`], from the number given there.
    pub fn repair(&mut self, page: &Page, from_seq: u64) -> Repair {
        if page.epoch != self.last.epoch {
            if from_seq > 1 {
                return Repair::Compare { from_seq: 1 };
            }
            let seq = page.entries.first().map_or(0, |entry| entry.position.seq - 1);
            return self.restart(Position { epoch: page.epoch, seq, check: 0 }, GapReason::LogLost, &page.entries);
        }
        if self.continues(page) {
            let entries: Vec<Entry> = page.entries.iter().filter(|entry| entry.position.seq > self.last.seq).cloned().collect();
            let proven = self.last.check == 0 || page.entries.len() > entries.len();
            return match entries.first().map(|first| first.position.seq - 1) {
                // The newest known entry was trimmed away, and with it what could prove that its history went on.
                Some(seq) if !proven => self.restart(Position { epoch: page.epoch, seq, check: 0 }, GapReason::Trimmed, &entries),
                _ => self.follow(entries),
            };
        }
        if from_seq == self.repair_from_seq() && from_seq > self.first_seq() {
            return Repair::Compare { from_seq: self.first_seq() };
        }
        self.fork(page, from_seq)
    }

    /// Whether the page holds the newest known entry, or what comes right after it while that one is gone.
    fn continues(&self, page: &Page) -> bool {
        match page.entries.iter().find(|entry| entry.position.seq >= self.last.seq) {
            Some(entry) if entry.position.seq == self.last.seq => entry.position.check == self.last.check || self.last.check == 0,
            Some(_) => page.entries.iter().all(|entry| entry.position.seq > self.last.seq),
            None => self.last.seq == 0,
        }
    }

    fn follow(&mut self, entries: Vec<Entry>) -> Repair {
        let base = self.last;
        let Some(first) = entries.first() else { return Repair::Deliver { gap: None, base, entries } };
        let before = Position { epoch: self.last.epoch, seq: first.position.seq - 1, check: 0 };
        if before.seq > self.last.seq {
            return self.restart(before, GapReason::Trimmed, &entries);
        }
        for entry in &entries {
            self.append(entry.clone());
        }
        Repair::Deliver { gap: None, base, entries }
    }

    /// The log holds other entries under known numbers: goes back to the last common entry, if it is still in memory.
    fn fork(&mut self, page: &Page, from_seq: u64) -> Repair {
        let common = page.entries.iter().rev().find(|entry| self.check_of(entry.position.seq) == Some(entry.position.check));
        if let (Some(common), Some(newest), false) = (common, page.entries.last(), page.end) {
            // Everything on this page is shared, so the parting lies on a later one; a page has room for two entries at least.
            if common.position == newest.position {
                return Repair::Compare { from_seq: common.position.seq };
            }
        }
        let Some(common) = common.map(|entry| entry.position) else {
            return self.fork_before_memory(page, from_seq);
        };
        self.rewind(common);
        let entries: Vec<Entry> = page.entries.iter().filter(|entry| entry.position.seq > common.seq).cloned().collect();
        self.follow(entries)
    }

    /// The histories part before what is in memory: goes on behind the last entry that is not later than what was delivered.
    /// What lies before that may or may not have been delivered, and the gap says so.
    fn fork_before_memory(&mut self, page: &Page, from_seq: u64) -> Repair {
        let all_later = page.entries.first().is_none_or(|entry| entry.position.check > self.last.check);
        if all_later && from_seq > 1 {
            return Repair::Compare { from_seq: from_seq.saturating_sub(STEP_BACK).max(1) };
        }
        let to = last_not_later(&page.entries, self.last);
        if !page.end && page.entries.last().is_some_and(|newest| newest.position == to) {
            return Repair::Compare { from_seq: to.seq };
        }
        let entries: Vec<Entry> = page.entries.iter().filter(|entry| entry.position.seq > to.seq).cloned().collect();
        self.restart(to, GapReason::Fork, &entries)
    }

    fn rewind(&mut self, common: Position) {
        while let Some(entry) = self.entries.pop_back_if(|entry| entry.position.seq > common.seq) {
            self.bytes -= entry.cost_bytes();
            self.replaced.insert(entry.position, common);
        }
        self.last = common;
    }

    fn restart(&mut self, to: Position, reason: GapReason, entries: &[Entry]) -> Repair {
        let gap = Gap { from: Some(self.last), to, reason };
        self.entries.clear();
        self.bytes = 0;
        (self.last, self.before) = (to, to);
        for entry in entries {
            self.append(entry.clone());
        }
        Repair::Deliver { gap: Some(gap), base: to, entries: entries.to_vec() }
    }

    fn append(&mut self, entry: Entry) {
        self.last = entry.position;
        self.bytes += entry.cost_bytes();
        self.entries.push_back(entry);
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.cost_bytes();
                self.before = oldest.position;
            }
        }
    }

    /// The check value of an entry in memory, or right before; `None` when the number is not there.
    fn check_of(&self, seq: u64) -> Option<u64> {
        if seq == self.before.seq && self.before.check != 0 {
            return Some(self.before.check);
        }
        let index = usize::try_from(seq.checked_sub(self.first_seq())?).ok()?;
        self.entries.get(index).map(|entry| entry.position.check)
    }

    /// Where a reader at `since` goes on, as far as memory can tell.
    ///
    /// Another node may be ahead of this one, and this one may not have noticed yet that the log was begun anew, so numbers and
    /// epochs that are not known here prove nothing.
    pub fn resume(&self, since: Position) -> Resumption {
        if let Some(common) = self.replaced.common.get(&since) {
            return self.resume(*common);
        }
        if since.epoch != self.last.epoch || since.seq > self.last.seq {
            return Resumption::Ask;
        }
        let known = if since.seq == self.last.seq { Some(self.last.check) } else { self.check_of(since.seq) };
        match known {
            Some(check) if check == since.check || since.check == 0 || check == 0 => Resumption::From(since),
            None if since.seq + 1 == self.first_seq() && since.check == 0 => Resumption::From(since),
            // Either the reader's history was replaced or the one known here, and only the log can tell.
            Some(_) | None => Resumption::Ask,
        }
    }

    /// The number to read from when memory cannot tell where a reader at `since` goes on.
    pub fn ask_from_seq(&self, since: Position) -> u64 {
        if since.epoch == self.last.epoch { since.seq.max(1) } else { 1 }
    }

    /// Where a reader at `since` goes on, told by a read of this very log: `first` is the first entry there is from
    /// [`Tail::ask_from_seq`] on (inclusive).
    pub fn resume_by_log(&self, since: Position, first: Option<Position>) -> Resumption {
        if since.epoch != self.last.epoch {
            // Nothing of this log is known to the reader, so it goes on before the first entry that is left.
            let seq = first.map_or(0, |first| first.seq - 1);
            return Resumption::Gap(Gap { from: Some(since), to: self.place(seq), reason: GapReason::LogLost });
        }
        match first {
            Some(first) if first.seq == since.seq && since.check != 0 && first.check != since.check => self.forked(since),
            // Without the reader's own entry nothing proves that what follows is the same history, unless it claims none.
            Some(first) if first.seq > since.seq + u64::from(since.check == 0) => {
                Resumption::Gap(Gap { from: Some(since), to: self.place(first.seq - 1), reason: GapReason::Trimmed })
            }
            None if since.seq > 0 => self.forked(since),
            _ => Resumption::From(since),
        }
    }

    /// A position of another history whose parting is not known: what was appended here after it was made is certainly new
    /// to its holder, and whether something before that is missing cannot be known.
    fn forked(&self, since: Position) -> Resumption {
        let entries = self.entries.iter().rev().find(|entry| entry.position.check <= since.check).map(|entry| entry.position);
        let to = entries.unwrap_or_else(|| self.place(self.first_seq() - 1));
        Resumption::Gap(Gap { from: Some(since), to, reason: GapReason::Fork })
    }

    /// A place in this log; where its entry is not known, check value 0 says so.
    fn place(&self, seq: u64) -> Position {
        Position { epoch: self.last.epoch, seq, check: self.check_of(seq).unwrap_or(0) }
    }
}

/// The last entry that is not later than `known`; the place before the first one when all are.
fn last_not_later(entries: &[Entry], known: Position) -> Position {
    let earlier = entries.iter().rev().find(|entry| entry.position.check <= known.check).map(|entry| entry.position);
    let before = entries.first().map_or(0, |entry| entry.position.seq.saturating_sub(1));
    earlier.unwrap_or(Position { epoch: known.epoch, seq: before, check: 0 })
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
