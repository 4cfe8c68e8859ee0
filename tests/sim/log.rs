//! One org's log as the store has it, and the memory of all that was ever appended to it.

use std::collections::{BTreeMap, HashMap};

use roomcast::broker::{Entry, LogState, Page};
use roomcast::protocol::{NewPublication, Position};

/// Everything that was ever appended, in the order of time, whatever became of it.
#[derive(Clone, Debug)]
pub struct Record {
    pub position: Position,
    /// `None` for a fence.
    pub publication: Option<NewPublication>,
}

#[derive(Default)]
pub struct Log {
    pub entries: Vec<Entry>,
    pub last: Option<Position>,
    pub records: Vec<Record>,
    /// Where publications with an idempotency key were logged.
    pub keys: BTreeMap<Box<str>, Position>,
    /// Another history took the log's place: the next append, or whoever opens the log, says so first.
    pub fence_due: bool,
    /// Where each record stands.
    places: HashMap<Position, usize>,
    /// Where each epoch began, as an index into the records.
    begun: BTreeMap<u64, usize>,
}

impl Log {
    pub fn begin(&mut self, epoch: u64) {
        self.last = Some(Position { epoch, seq: 0, check: 0 });
        self.begun.insert(epoch, self.records.len());
    }

    /// The place of an entry that is appended now.
    pub fn next(&self, clock_us: u64) -> Position {
        let last = self.last.unwrap();
        Position { epoch: last.epoch, seq: last.seq + 1, check: clock_us }
    }

    pub fn append(&mut self, entry: Entry, new: Option<&NewPublication>, retention: usize) {
        let position = entry.position;
        self.last = Some(position);
        self.entries.push(entry);
        self.places.insert(position, self.records.len());
        self.records.push(Record { position, publication: new.cloned() });
        if let Some(key) = new.and_then(|new| new.idempotency_key.clone()) {
            self.keys.insert(key, position);
        }
        let excess = self.entries.len().saturating_sub(retention);
        self.entries.drain(..excess);
    }

    pub fn page(&self, from_seq: u64, limit: usize) -> Page {
        let last = self.last.unwrap();
        let skip = self.entries.partition_point(|entry| entry.position.seq < from_seq);
        let entries: Vec<Entry> = self.entries[skip..].iter().take(limit).cloned().collect();
        Page { epoch: last.epoch, end: skip + entries.len() == self.entries.len(), entries }
    }

    pub fn state(&self) -> Option<LogState> {
        let last = self.last?;
        Some(LogState { last, first_seq: self.entries.first().map_or(last.seq + 1, |entry| entry.position.seq) })
    }

    /// Goes back to what a replica has that lacks the last `count` entries, keys and all.
    pub fn fall_back(&mut self, count: usize) {
        // Retention never removes the newest entry, so a replica has at least that one.
        let keep = self.entries.len().saturating_sub(count).max(1).min(self.entries.len());
        self.entries.truncate(keep);
        if let Some(last) = self.entries.last().map(|entry| entry.position) {
            self.last = Some(last);
            self.keys.retain(|_, position| position.seq <= last.seq);
        }
        self.fence_due = true;
    }

    pub fn lose(&mut self) {
        (self.last, self.fence_due) = (None, false);
        self.entries.clear();
        self.keys.clear();
    }

    pub fn record(&self, position: Position) -> Option<&Record> {
        self.places.get(&position).map(|place| &self.records[*place])
    }

    /// The age of a place in the log: how many records are not younger. Places without a check value are those of the present
    /// history.
    pub fn age(&self, position: Position) -> usize {
        let begun = self.begun.get(&position.epoch).copied().unwrap_or(0);
        if position.seq == 0 {
            return begun;
        }
        let same = |record: &Record| record.position.epoch == position.epoch && record.position.seq == position.seq;
        let exact = self.places.get(&position).copied();
        exact.or_else(|| self.records.iter().rposition(same)).map_or(begun, |index| index + 1)
    }
}
