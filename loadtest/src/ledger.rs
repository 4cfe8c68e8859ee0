//! The ledger: every publish and what became of it, every receipt by every client, and the verdict over all of it.
//!
//! Pure: times are milliseconds of any clock that never steps back. It judges by the promises, from outside: an acknowledged
//! publication reaches every client that is entitled to it, once, in log order, or lies inside a gap that the client was told.

mod book;
mod reach;
mod verdict;

use std::collections::HashMap;

pub use verdict::Verdict;

use crate::position::Position;

/// What is known of a publish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It must arrive. The position, where the publisher was told it.
    Acked(Option<Position>),
    /// The server said no. It may have been logged nevertheless when the answer was that nothing is known.
    Refused,
    /// No answer came: both is well.
    Unknown,
}

struct Publish {
    room: String,
    fate: Fate,
    at_ms: u64,
}

/// What a client was told of a loss.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    pub from: Option<Position>,
    pub to: Position,
    /// Another history took the place of the one that `from` belongs to.
    pub replaced: bool,
}

#[derive(Default)]
struct Account {
    org: String,
    rooms: Vec<String>,
    /// How often each publication was delivered, by mark.
    delivered: HashMap<String, u32>,
    last: Option<Position>,
    gaps: Vec<Gap>,
    reorder: u64,
    cross: u64,
    wire_dup: u64,
    dup: u64,
    /// When a receipt came, and how long after its publication.
    delays: Vec<(u64, u64)>,
}

/// A client of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientId(usize);

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
    pub at_ms: u64,
}

/// All that was published and received in one run.
#[derive(Default)]
pub struct Ledger {
    publishes: HashMap<String, Publish>,
    /// Positions learnt from receipts, for publishers that were told none.
    positions: HashMap<String, Position>,
    accounts: Vec<Account>,
}

impl Ledger {
    /// Opens a client's account. It is entitled to what is published into `rooms` (rooms and patterns) of its org.
    pub fn client<S: Into<String>>(&mut self, org: &str, rooms: impl IntoIterator<Item = S>) -> ClientId {
        let rooms = rooms.into_iter().map(Into::into).collect();
        self.accounts.push(Account { org: org.to_owned(), rooms, ..Account::default() });
        ClientId(self.accounts.len() - 1)
    }

    /// Books a publish; a retry under the same mark settles what the first attempt left open.
    pub fn published(&mut self, mark: &str, room: &str, fate: Fate, at_ms: u64) {
        let publish = Publish { room: room.to_owned(), fate, at_ms };
        match self.publishes.get_mut(mark) {
            Some(earlier) if matches!(earlier.fate, Fate::Acked(_)) => {}
            Some(earlier) => *earlier = publish,
            None => {
                self.publishes.insert(mark.to_owned(), publish);
            }
        }
    }

    /// Books a receipt. What is received must have been booked as published before the verdict, not before the receipt.
    pub fn received(&mut self, client: ClientId, receipt: Receipt<'_>) {
        let account = &mut self.accounts[client.0];
        if reach::org(receipt.room) != Some(account.org.as_str()) {
            account.cross += 1;
        }
        let count = account.delivered.entry(receipt.mark.to_owned()).or_default();
        if *count > 0 {
            account.wire_dup += 1;
            account.dup += u64::from(receipt.fresh);
        }
        *count += 1;
        if !receipt.fresh {
            return;
        }
        account.delays.push((receipt.at_ms, 0));
        if let Some(position) = receipt.position {
            self.positions.insert(receipt.mark.to_owned(), position);
            if account.last.is_some_and(|last| !last.precedes(position)) {
                account.reorder += 1;
            }
            account.last = Some(position);
        }
        if let (Some(delay), Some(publish)) = (account.delays.last_mut(), self.publishes.get(receipt.mark)) {
            delay.1 = receipt.at_ms.saturating_sub(publish.at_ms);
        }
    }

    /// Books a gap that a client was told of.
    pub fn gap(&mut self, client: ClientId, gap: Gap) {
        let account = &mut self.accounts[client.0];
        account.gaps.push(gap);
        account.last = Some(gap.to);
    }

    /// What the client may still wait for: acknowledged, entitled, neither received nor inside a gap.
    pub fn missing(&self, client: ClientId) -> Vec<&str> {
        let account = &self.accounts[client.0];
        let due = self.publishes.iter().filter(|(mark, publish)| {
            matches!(publish.fate, Fate::Acked(_)) && account.is_entitled(&publish.room) && !account.delivered.contains_key(*mark)
        });
        let missing = due.filter(|(mark, publish)| {
            let position = match publish.fate {
                Fate::Acked(Some(position)) => Some(position),
                _ => self.positions.get(*mark).copied(),
            };
            !position.is_some_and(|position| account.gaps.iter().any(|gap| gap.covers(position)))
        });
        missing.map(|(mark, _)| mark.as_str()).collect()
    }

    /// The judgement over all that is booked.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict { publishes: self.publishes.len() as u64, clients: self.accounts.len() as u64, ..Verdict::default() };
        for publish in self.publishes.values() {
            match publish.fate {
                Fate::Acked(_) => verdict.acked += 1,
                Fate::Refused => verdict.refused += 1,
                Fate::Unknown => verdict.unknown += 1,
            }
        }
        for (index, account) in self.accounts.iter().enumerate() {
            verdict.receipts += account.delivered.values().map(|count| u64::from(*count)).sum::<u64>();
            verdict.silent += self.missing(ClientId(index)).len() as u64;
            verdict.reorder += account.reorder;
            verdict.dup += account.dup;
            verdict.wire_dup += account.wire_dup;
            verdict.gaps += account.gaps.len() as u64;
            // The room says whose it is, and so does the register of what was published.
            let foreign = |mark: &&String| self.publishes.get(*mark).is_some_and(|publish| reach::org(&publish.room) != Some(&account.org));
            verdict.cross += account.cross.max(account.delivered.keys().filter(foreign).count() as u64);
            verdict.stray += account.delivered.keys().filter(|mark| !self.publishes.contains_key(*mark)).count() as u64;
        }
        verdict
    }

    /// How long after `fault_ms` everyone was whole again: the last receipt that came later than `prompt_ms` after its
    /// publication.
    pub fn back_ms(&self, fault_ms: u64, prompt_ms: u64) -> u64 {
        let late = self.accounts.iter().flat_map(|account| &account.delays).filter(|(_, delay_ms)| *delay_ms > prompt_ms);
        late.map(|(at_ms, _)| at_ms.saturating_sub(fault_ms)).max().unwrap_or(0)
    }
}

impl Account {
    fn is_entitled(&self, room: &str) -> bool {
        reach::org(room) == Some(self.org.as_str()) && self.rooms.iter().any(|pattern| reach::reaches(pattern, room))
    }
}

impl Gap {
    /// Whether the loss of this entry was admitted.
    fn covers(self, position: Position) -> bool {
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

#[cfg(test)]
mod tests;
