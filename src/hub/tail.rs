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
        Self { last: state.last, entries: VecDeque::new(), bytes: 0, bytes_max, replaced: Replaced::default() }
    }

    pub fn last(&self) -> Position {
        self.last
    }

    /// The number of the oldest entry in memory; one past the newest when there is none.
    pub fn first_seq(&self) -> u64 {
        self.entries.front().map_or(self.last.seq + 1, |entry| entry.position.seq)
    }

    /// Entries after the one numbered `seq`, which must not lie before what is in memory.
    pub fn after(&self, seq: u64) -> impl Iterator<Item = &Entry> {
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
                Some(before) if !proven => self.restart(self.place(before), GapReason::Trimmed, &entries),
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
        self.last = to;
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
            }
        }
    }

    /// The check value of an entry in memory; `None` when the number is not there.
    fn check_of(&self, seq: u64) -> Option<u64> {
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

    /// A place in this log whose entry is not known; check value 0 says so.
    fn place(&self, seq: u64) -> Position {
        Position { epoch: self.last.epoch, seq, check: 0 }
    }
}

/// The last entry that is not later than `known`; the place before the first one when all are.
fn last_not_later(entries: &[Entry], known: Position) -> Position {
    let earlier = entries.iter().rev().find(|entry| entry.position.check <= known.check).map(|entry| entry.position);
    let before = entries.first().map_or(0, |entry| entry.position.seq.saturating_sub(1));
    earlier.unwrap_or(Position { epoch: known.epoch, seq: before, check: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Body;

    const EPOCH: u64 = 7;

    fn entry(seq: u64, check: u64) -> Entry {
        Entry { position: Position { epoch: EPOCH, seq, check }, body: Body::Malformed }
    }

    fn log(checks: &[u64]) -> Vec<Entry> {
        (1..).zip(checks).map(|(seq, check)| entry(seq, *check)).collect()
    }

    fn page(log: &[Entry], from_seq: u64, limit: usize) -> Page {
        let skip = log.iter().take_while(|entry| entry.position.seq < from_seq).count();
        let entries: Vec<Entry> = log[skip..].iter().take(limit).cloned().collect();
        Page { epoch: EPOCH, end: skip + entries.len() == log.len(), entries }
    }

    fn tail(log: &[Entry]) -> Tail {
        let mut tail = Tail::new(LogState { last: Position { epoch: EPOCH, seq: 0, check: 0 }, first_seq: 1 }, 1 << 20);
        for entry in log {
            assert_eq!(tail.admit(entry), Admission::Next);
        }
        tail
    }

    /// Reads as the org's task does, until the end; what was delivered and the gaps.
    fn repaired(tail: &mut Tail, log: &[Entry], limit: usize) -> (Vec<Entry>, Vec<Gap>) {
        let (mut delivered, mut gaps, mut from_seq) = (Vec::new(), Vec::new(), tail.repair_from_seq());
        for _ in 0..1_000 {
            let page = page(log, from_seq, limit);
            match tail.repair(&page, from_seq) {
                Repair::Compare { from_seq: next } => from_seq = next,
                Repair::Deliver { gap, entries, .. } => {
                    gaps.extend(gap);
                    delivered.extend(entries);
                    if page.end {
                        return (delivered, gaps);
                    }
                    from_seq = tail.repair_from_seq();
                }
            }
        }
        panic!("the repair does not end");
    }

    #[test]
    fn holes_and_replaced_entries_are_doubtful() {
        let mut tail = tail(&log(&[10, 20, 30]));
        assert_eq!(tail.admit(&entry(2, 20)), Admission::Known);
        assert_eq!(tail.admit(&entry(2, 21)), Admission::Doubtful);
        assert_eq!(tail.admit(&entry(5, 50)), Admission::Doubtful);
        assert_eq!(tail.admit(&entry(4, 29)), Admission::Doubtful);
        assert_eq!(tail.admit(&entry(4, 40)), Admission::Next);
    }

    #[test]
    fn a_hole_is_filled_from_the_log_without_a_gap() {
        let whole = log(&[10, 20, 30, 40, 50]);
        for limit in 2..6 {
            let mut tail = tail(&whole[..2]);
            let (delivered, gaps) = repaired(&mut tail, &whole, limit);
            assert_eq!((delivered.as_slice(), gaps.as_slice()), (&whole[2..], &[][..]));
        }
    }

    #[test]
    fn a_fork_goes_back_to_the_last_common_entry_and_delivers_the_new_history() {
        let old = log(&[10, 20, 30, 40, 50, 60]);
        for parting in 0..6 {
            let mut checks: Vec<u64> = (1..=parting).map(|seq| seq * 10).collect();
            checks.extend([101, 102, 103].map(|late| late + parting));
            let new = log(&checks);
            for limit in 2..10 {
                let mut tail = tail(&old);
                let (delivered, gaps) = repaired(&mut tail, &new, limit);
                let parting = usize::try_from(parting).unwrap();
                assert_eq!(delivered, new[parting..], "parting {parting} limit {limit}");
                assert_eq!(gaps.len(), usize::from(parting == 0));
                assert_eq!(tail.last(), new.last().unwrap().position);
                if parting > 0 {
                    // A session that holds a replaced position resumes at the common entry.
                    assert_eq!(tail.resume(old[5].position), Resumption::From(old[parting - 1].position));
                }
            }
        }
    }

    #[test]
    fn a_shorter_history_is_rewound_without_delivering_anything() {
        let old = log(&[10, 20, 30, 40]);
        let mut tail = tail(&old);
        assert_eq!(repaired(&mut tail, &old[..2], 3), (vec![], vec![]));
        assert_eq!(tail.last(), old[1].position);
    }

    #[test]
    fn a_lost_log_is_one_gap() {
        let mut tail = tail(&log(&[10, 20]));
        let fresh = Page { epoch: 9, entries: vec![], end: true };
        assert_eq!(tail.repair(&fresh, 2), Repair::Compare { from_seq: 1 });
        let Repair::Deliver { gap: Some(gap), entries, .. } = tail.repair(&fresh, 1) else { panic!("no gap") };
        assert_eq!((gap.reason, gap.to, entries.len()), (GapReason::LogLost, Position { epoch: 9, seq: 0, check: 0 }, 0));
    }

    #[test]
    fn what_was_trimmed_while_the_node_was_away_is_a_gap_with_exact_bounds() {
        let mut tail = tail(&log(&[10, 20]));
        let kept = [entry(6, 60), entry(7, 70)];
        let (delivered, gaps) = repaired(&mut tail, &kept, 10);
        assert_eq!(delivered, kept);
        assert_eq!(gaps, [Gap { from: Some(entry(2, 20).position), to: entry(5, 0).position, reason: GapReason::Trimmed }]);
    }

    #[test]
    fn resumption_trusts_only_what_it_can_prove() {
        let mut tail = tail(&log(&[10, 20, 30, 40]));
        tail.bytes_max = 1;
        assert_eq!(tail.admit(&entry(5, 50)), Admission::Next);
        assert_eq!(tail.first_seq(), 5);
        assert_eq!(tail.resume(entry(5, 50).position), Resumption::From(entry(5, 50).position));
        assert_eq!(tail.resume(entry(5, 51).position), Resumption::Ask);
        assert_eq!(tail.resume(entry(2, 20).position), Resumption::Ask);
        assert_eq!(tail.resume(entry(9, 90).position), Resumption::Ask);
        let since = entry(2, 20).position;
        assert_eq!(tail.resume_by_log(since, Some(entry(2, 20).position)), Resumption::From(since));
        let other = Some(entry(2, 21).position);
        assert!(matches!(tail.resume_by_log(since, other), Resumption::Gap(gap) if gap.reason == GapReason::Fork));
        let Resumption::Gap(gap) = tail.resume_by_log(since, Some(entry(5, 50).position)) else { panic!("no gap") };
        assert_eq!((gap.to, gap.reason), (entry(4, 0).position, GapReason::Trimmed));
    }
}
