//! One client's account: what it received and what it was told. Pure.

use std::collections::HashMap;

use super::{Mark, reach};
use crate::position::Position;

/// What a client was told of a loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    pub from: Option<Position>,
    pub to: Position,
    /// Another history took the place of the one that `from` belongs to.
    pub replaced: bool,
}

impl Gap {
    /// Whether the loss of this entry was admitted.
    pub(super) fn covers(self, position: Position) -> bool {
        let after_from = self.from.is_none_or(|from| from.epoch == position.epoch && position.seq > from.seq);
        let up_to = match (self.from, self.replaced) {
            // All of the old log after `from` is gone.
            (Some(from), _) if from.epoch != self.to.epoch => true,
            // Entries of the history that was replaced are older than the one that admits it.
            (_, true) => self.to.check == 0 || position.check <= self.to.check,
            _ => position.epoch == self.to.epoch && position.seq <= self.to.seq,
        };
        after_from && up_to
    }
}

/// One thing that a client received.
#[derive(Clone, Copy, Debug)]
pub struct Receipt<'a> {
    /// What the publisher wrote into the publication to know it by.
    pub mark: &'a str,
    pub room: &'a str,
    /// `None` for what is not logged.
    pub position: Option<Position>,
    /// Whether the client's dedupe let it pass.
    pub fresh: bool,
    /// Which of the client's connections it came by.
    pub connection: u32,
    pub at_us: u64,
    pub turn: Turn,
}

/// When something comes, by its own words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    InTurn,
    /// Ahead of what stands before it in the log.
    Overtook,
    /// Once more, because it was not acknowledged.
    Redelivered,
}

/// A stretch of the log in which the client was told that so many of low priority gave way to later ones.
pub(super) struct Conflated {
    pub stretch: Gap,
    pub left_out: usize,
}

pub(super) struct Account {
    pub org: String,
    rooms: Vec<String>,
    /// By which connection and from which place each publication came last.
    delivered: HashMap<Mark, (u32, Option<Position>)>,
    last: Option<Position>,
    pub gaps: Vec<Gap>,
    pub conflated: Vec<Conflated>,
    pub receipts: u64,
    pub reorder: u64,
    pub cross: u64,
    pub wire_dup: u64,
    pub twice: u64,
    pub dup: u64,
    /// What came for the first time, and when.
    pub arrivals: Vec<(Mark, u64)>,
}

impl Account {
    pub fn new(org: &str, rooms: Vec<String>) -> Self {
        Self {
            org: org.to_owned(),
            rooms,
            delivered: HashMap::new(),
            last: None,
            gaps: Vec::new(),
            conflated: Vec::new(),
            receipts: 0,
            reorder: 0,
            cross: 0,
            wire_dup: 0,
            twice: 0,
            dup: 0,
            arrivals: Vec::new(),
        }
    }

    pub fn receive(&mut self, mark: Mark, receipt: &Receipt<'_>) {
        self.receipts += 1;
        if reach::org(receipt.room) != Some(self.org.as_str()) {
            self.cross += 1;
        }
        if receipt.turn == Turn::Redelivered && self.delivered.contains_key(&mark) {
            return;
        }
        if let Some((connection, position)) = self.delivered.insert(mark, (receipt.connection, receipt.position))
            && !self.was_lost(position, receipt.position)
        {
            self.wire_dup += 1;
            self.twice += u64::from(connection == receipt.connection);
            self.dup += u64::from(receipt.fresh);
        }
        if !receipt.fresh {
            return;
        }
        self.arrivals.push((mark, receipt.at_us));
        if let (Some(position), Turn::InTurn) = (receipt.position, receipt.turn) {
            if self.last.is_some_and(|last| !last.precedes(position)) {
                self.reorder += 1;
            }
            self.last = Some(position);
        }
    }

    /// Whether an entry is gone together with its log, or the end of it: whoever publishes it again under its idempotency key is right
    /// to have it logged again.
    fn was_lost(&self, earlier: Option<Position>, now: Option<Position>) -> bool {
        let (Some(earlier), Some(now)) = (earlier, now) else { return false };
        earlier.epoch != now.epoch || (earlier != now && self.gaps.iter().any(|gap| gap.covers(earlier)))
    }

    pub fn skip(&mut self, gap: Gap) {
        self.last = Some(gap.to);
        self.gaps.push(gap);
    }

    pub fn has(&self, mark: Mark) -> bool {
        self.delivered.contains_key(&mark)
    }

    /// Everything that came, each once.
    pub fn marks(&self) -> impl Iterator<Item = Mark> {
        self.delivered.keys().copied()
    }

    pub fn is_entitled(&self, room: &str) -> bool {
        reach::org(room) == Some(self.org.as_str()) && self.rooms.iter().any(|pattern| reach::reaches(pattern, room))
    }
}
