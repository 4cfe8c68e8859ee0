//! The tail against a model that remembers everything: a log to which anything may happen, a carrier that brings anything that
//! ever stood in it, and readers who come back with any position that they were ever told.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::broker::Body;

/// What memory holds, in entries: little, so that the log must be asked.
const ENTRIES_IN_MEMORY: usize = 5;

#[derive(Clone, Debug)]
enum Step {
    Append,
    /// The carrier brings an entry, by its place among all that ever were appended.
    Bring(prop::sample::Index),
    /// The newest entry arrives, as it mostly does.
    BringNewest,
    /// A probe of the log.
    Probe,
    /// Retention takes so many of the oldest entries.
    Trim(usize),
    /// A replica that lacks so many entries takes over.
    Fork(usize),
    /// The log is begun anew.
    Lose,
    /// A reader comes back who stopped at this place of what was delivered.
    Resume(prop::sample::Index),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => Just(Step::Append),
        4 => any::<prop::sample::Index>().prop_map(Step::Bring),
        8 => Just(Step::BringNewest),
        2 => Just(Step::Probe),
        1 => (1usize..6).prop_map(Step::Trim),
        2 => (1usize..9).prop_map(Step::Fork),
        1 => Just(Step::Lose),
        4 => any::<prop::sample::Index>().prop_map(Step::Resume),
    ];
    prop::collection::vec(step, 0..120)
}

/// What live sessions are told, in order.
#[derive(Clone, Copy, Debug)]
enum Told {
    Entry(Position),
    /// And when: nothing that was appended later is admitted by it.
    Gap(Gap, u64),
}

impl Told {
    fn position(self) -> Position {
        match self {
            Self::Entry(position) => position,
            Self::Gap(gap, _) => gap.to,
        }
    }
}

struct World {
    epoch: u64,
    clock: u64,
    log: Vec<Entry>,
    last: Position,
    /// Everything that ever stood in a log.
    ever: Vec<Entry>,
    tail: Tail,
    told: Vec<Told>,
    page_entries: usize,
}

impl World {
    fn new(page_entries: usize) -> Self {
        let last = Position { epoch: 1, seq: 0, check: 0 };
        let tail = Tail::new(LogState { last, first_seq: 1 }, ENTRIES_IN_MEMORY * size_of::<Entry>());
        Self { epoch: 1, clock: 0, log: Vec::new(), last, ever: Vec::new(), tail, told: Vec::new(), page_entries }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append => self.append(),
            Step::Bring(index) if !self.ever.is_empty() => self.bring(&self.ever[index.index(self.ever.len())].clone()),
            Step::BringNewest => self.log.last().cloned().iter().for_each(|newest| self.bring(newest)),
            Step::Probe => self.catch_up(),
            Step::Trim(count) => drop(self.log.drain(..(*count).min(self.log.len().saturating_sub(1)))),
            Step::Fork(count) => self.fork(*count),
            Step::Lose => {
                self.epoch += 1;
                self.log.clear();
                self.last = Position { epoch: self.epoch, seq: 0, check: 0 };
            }
            Step::Resume(index) if !self.told.is_empty() => self.resume(index.index(self.told.len())),
            Step::Bring(_) | Step::Resume(_) => {}
        }
    }

    fn append(&mut self) {
        self.clock += 1;
        self.last = Position { epoch: self.epoch, seq: self.last.seq + 1, check: self.clock };
        let entry = Entry { position: self.last, body: Body::Malformed };
        self.log.push(entry.clone());
        self.ever.push(entry);
    }

    /// Every feed is interrupted by a promotion, so the log is read before the carrier brings anything further.
    fn fork(&mut self, count: usize) {
        let keep = self.log.len().saturating_sub(count).max(1).min(self.log.len());
        self.log.truncate(keep);
        if let Some(newest) = self.log.last() {
            self.last = newest.position;
        }
        self.append();
        self.catch_up();
    }

    fn bring(&mut self, entry: &Entry) {
        match self.tail.admit(entry) {
            Admission::Next => self.told.push(Told::Entry(entry.position)),
            Admission::Known => {}
            Admission::Doubtful => self.catch_up(),
        }
    }

    fn page(&self, from_seq: u64) -> Page {
        let skip = self.log.partition_point(|entry| entry.position.seq < from_seq);
        let entries: Vec<Entry> = self.log[skip..].iter().take(self.page_entries).cloned().collect();
        Page { epoch: self.epoch, end: skip + entries.len() == self.log.len(), entries }
    }

    /// Reads the log to its end, as the org's task does.
    fn catch_up(&mut self) {
        let mut from_seq = self.tail.repair_from_seq();
        for _ in 0..1_000 {
            let page = self.page(from_seq);
            match self.tail.repair(&page, from_seq) {
                Repair::Compare { from_seq: next } => from_seq = next,
                Repair::Deliver { gap, entries, .. } => {
                    self.told.extend(gap.map(|gap| Told::Gap(gap, self.clock)));
                    self.told.extend(entries.iter().map(|entry| Told::Entry(entry.position)));
                    if page.end {
                        return self.check_end();
                    }
                    from_seq = self.tail.repair_from_seq();
                }
            }
        }
        panic!("the repair does not end");
    }

    fn check_end(&self) {
        assert_eq!(self.tail.last().seq, self.last.seq);
        assert!(!self.tail.differs_from(self.last) || self.tail.last().check == 0);
        self.check_owed(self.told.len(), self.last.seq, "after a repair");
    }

    /// Memory is bounded, and a run of the log's entries that ends with the newest known one.
    fn check_memory(&self) {
        assert!(self.tail.entries.len() <= ENTRIES_IN_MEMORY && self.tail.bytes <= self.tail.bytes_max);
        assert_eq!(self.tail.bytes, self.tail.entries.iter().map(Entry::cost_bytes).sum::<usize>());
        assert!(self.tail.replaced.by_age.len() <= REPLACED_MAX);
        let numbers: Vec<u64> = self.tail.entries.iter().map(|entry| entry.position.seq).collect();
        let first = self.tail.first_seq();
        assert_eq!(numbers, (first..first + numbers.len() as u64).collect::<Vec<_>>());
        assert_eq!(first + numbers.len() as u64, self.tail.last().seq + 1);
        assert_eq!(self.tail.before.seq + 1, first);
    }

    /// Whoever was told the first `count` things has every entry of the log up to number `to_seq`, or was told of a gap there.
    fn check_owed(&self, count: usize, to_seq: u64, when: &str) {
        let mut had = HashSet::new();
        let mut admitted = Vec::new();
        for told in &self.told[..count] {
            match told {
                Told::Entry(position) => drop(had.insert(*position)),
                Told::Gap(gap, when) => admitted.push((gap.to, *when)),
            }
        }
        for entry in self.log.iter().filter(|entry| entry.position.seq <= to_seq) {
            let position = entry.position;
            let admits = |(to, when): &(Position, u64)| to.epoch == position.epoch && position.seq <= to.seq && position.check <= *when;
            let covered = admitted.iter().any(admits);
            assert!(had.contains(&position) || covered, "{position} is lost {when}; told {:?}", &self.told[..count]);
        }
    }

    /// A reader comes back who was told everything up to one thing and nothing after it.
    fn resume(&mut self, index: usize) {
        self.catch_up();
        let since = self.told[index].position();
        let resumption = match self.tail.resume(since) {
            Resumption::Ask => {
                let needed = self.tail.ask_from_seq(since);
                self.tail.resume_by_log(since, self.page(needed).entries.first().map(|entry| entry.position))
            }
            known => known,
        };
        match resumption {
            Resumption::From(position) => {
                assert_eq!(position.epoch, self.epoch);
                assert!(position.seq <= self.last.seq);
                self.check_owed(index + 1, position.seq, "by a resume");
            }
            Resumption::Gap(gap) => {
                assert_eq!((gap.to.epoch, gap.from), (self.epoch, Some(since)));
                assert!(gap.to.seq <= self.last.seq);
            }
            Resumption::Ask => panic!("the log was asked already"),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_to_the_log_nothing_is_lost_in_silence(steps in steps(), page_entries in 2usize..7) {
        let mut world = World::new(page_entries);
        for step in &steps {
            world.take(step);
            world.check_memory();
        }
        world.catch_up();
    }
}
