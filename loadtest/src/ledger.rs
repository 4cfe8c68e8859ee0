//! The ledger: every publish and what became of it, every receipt by every client, and the verdict over all of it.
//!
//! Pure: times are microseconds of any clock that never steps back. It judges by the promises, from outside: an acknowledged
//! publication reaches every client that is entitled to it, once, in log order, or lies inside a gap that the client was told.

mod account;
mod book;
pub(crate) mod reach;
mod verdict;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use account::{Account, Conflated};
pub use account::{Gap, Receipt, Turn};
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

/// A publication of the ledger. What publishers write into it to know it by is kept once, whoever receives it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Mark(u32);

struct Entry {
    text: Arc<str>,
    /// `None` while it is only known from receipts.
    publish: Option<Publish>,
    /// Learnt from a receipt, for publishers that were told none.
    position: Option<Position>,
}

struct Publish {
    room: String,
    fate: Fate,
    at_us: u64,
}

/// A client of the ledger.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ClientId(usize);

/// All that was published and received in one run.
#[derive(Default)]
pub struct Ledger {
    marks: HashMap<Arc<str>, Mark>,
    /// By mark.
    entries: Vec<Entry>,
    /// The publications of an org, so that a client's account is held against its own org's only.
    by_org: HashMap<String, Vec<Mark>>,
    accounts: Vec<Account>,
}

impl Ledger {
    /// Opens a client's account. It is entitled to what is published into `rooms` (rooms and patterns) of its org.
    pub fn client<S: Into<String>>(&mut self, org: &str, rooms: impl IntoIterator<Item = S>) -> ClientId {
        self.accounts.push(Account::new(org, rooms.into_iter().map(Into::into).collect()));
        ClientId(self.accounts.len() - 1)
    }

    /// Books a publish; a retry under the same mark settles what the first attempt left open. The time is the first attempt's.
    pub fn published(&mut self, mark: &str, room: &str, fate: Fate, at_us: u64) {
        let mark = self.mark(mark);
        match &mut self.entries[mark.0 as usize].publish {
            Some(Publish { fate: Fate::Acked(_), .. }) => {}
            Some(earlier) => earlier.fate = fate,
            unknown @ None => {
                *unknown = Some(Publish { room: room.to_owned(), fate, at_us });
                self.by_org.entry(reach::org(room).unwrap_or_default().to_owned()).or_default().push(mark);
            }
        }
    }

    /// Books a receipt. What is received must have been booked as published before the verdict, not before the receipt.
    pub fn received(&mut self, client: ClientId, receipt: Receipt<'_>) {
        let mark = self.mark(receipt.mark);
        if let (true, Some(position)) = (receipt.fresh, receipt.position) {
            self.entries[mark.0 as usize].position = Some(position);
        }
        self.accounts[client.0].receive(mark, &receipt);
    }

    /// Books a gap that a client was told of.
    pub fn gap(&mut self, client: ClientId, gap: Gap) {
        self.accounts[client.0].skip(gap);
    }

    /// Books that `left_out` publications of low priority gave way to later ones in this stretch, as a client was told.
    pub fn conflated(&mut self, client: ClientId, stretch: Gap, left_out: usize) {
        self.accounts[client.0].conflated.push(Conflated { stretch, left_out });
    }

    fn mark(&mut self, mark: &str) -> Mark {
        if let Some(known) = self.marks.get(mark) {
            return *known;
        }
        let new = Mark(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        let text: Arc<str> = mark.into();
        self.entries.push(Entry { text: Arc::clone(&text), publish: None, position: None });
        self.marks.insert(text, new);
        new
    }

    fn publish(&self, mark: Mark) -> Option<&Publish> {
        self.entries[mark.0 as usize].publish.as_ref()
    }

    /// How many publications the client may still wait for: acknowledged, entitled, neither received nor inside a gap.
    pub fn missing(&self, client: ClientId) -> usize {
        self.owed(client).count()
    }

    /// The marks of what [`Ledger::missing`] counts; for people who look for the reason.
    pub fn missing_marks(&self, client: ClientId) -> impl Iterator<Item = &str> {
        self.owed(client).map(|mark| &*self.entries[mark.0 as usize].text)
    }

    fn owed(&self, client: ClientId) -> impl Iterator<Item = Mark> {
        let account = &self.accounts[client.0];
        let mut left_out: Vec<usize> = account.conflated.iter().map(|conflated| conflated.left_out).collect();
        // Each stretch excuses as many as it was said to.
        let mut gave_way = move |position: Position| {
            let mut stretches = account.conflated.iter().zip(&mut left_out);
            let Some((_, left)) = stretches.find(|(conflated, left)| **left > 0 && conflated.stretch.covers(position)) else {
                return false;
            };
            *left -= 1;
            true
        };
        let of_org = self.by_org.get(&account.org).into_iter().flatten().copied();
        of_org.filter(move |mark| {
            let entry = &self.entries[mark.0 as usize];
            let Some(Publish { room, fate: Fate::Acked(position), .. }) = &entry.publish else { return false };
            let excused = |position: Position| account.gaps.iter().any(|gap| gap.covers(position));
            let missing = account.is_entitled(room) && !account.has(*mark) && !position.or(entry.position).is_some_and(excused);
            missing && !position.or(entry.position).is_some_and(&mut gave_way)
        })
    }

    /// The judgement over all that is booked.
    pub fn verdict(&self) -> Verdict {
        let mut verdict = Verdict { clients: self.accounts.len() as u64, ..Verdict::default() };
        for publish in self.entries.iter().filter_map(|entry| entry.publish.as_ref()) {
            verdict.publishes += 1;
            match publish.fate {
                Fate::Acked(_) => verdict.acked += 1,
                Fate::Refused => verdict.refused += 1,
                Fate::Unknown => verdict.unknown += 1,
            }
        }
        for (index, account) in self.accounts.iter().enumerate() {
            verdict.silent += self.missing(ClientId(index)) as u64;
            verdict.receipts += account.receipts;
            verdict.reorder += account.reorder;
            verdict.dup += account.dup;
            verdict.wire_dup += account.wire_dup;
            verdict.twice += account.twice;
            verdict.gaps += account.gaps.len() as u64;
            // The room says whose it is, and so does the register of what was published.
            let foreign = |mark: &Mark| self.publish(*mark).is_some_and(|publish| reach::org(&publish.room) != Some(&account.org));
            verdict.cross += account.cross.max(account.marks().filter(foreign).count() as u64);
            verdict.stray += account.marks().filter(|mark| self.publish(*mark).is_none()).count() as u64;
        }
        verdict
    }

    /// How long after `fault_us` everyone was whole again: the last receipt that came later than `prompt_us` after its
    /// publication.
    pub fn back_us(&self, fault_us: u64, prompt_us: u64) -> u64 {
        let delays = self.accounts.iter().flat_map(|account| self.delays(account));
        delays.filter(|(_, delay_us)| *delay_us > prompt_us).map(|(at_us, _)| at_us.saturating_sub(fault_us)).max().unwrap_or(0)
    }

    /// How long after their publication the client got the publications that were sent within `sent_us` and whose marks are
    /// `chosen`, in no order.
    pub fn delays_us(&self, client: ClientId, sent_us: &Range<u64>, chosen: impl Fn(&str) -> bool) -> Vec<u64> {
        let arrivals = self.accounts[client.0].arrivals.iter();
        let delays = arrivals.filter_map(|(mark, at_us)| {
            let entry = &self.entries[mark.0 as usize];
            let publish = entry.publish.as_ref().filter(|publish| sent_us.contains(&publish.at_us) && chosen(&entry.text))?;
            Some(at_us.saturating_sub(publish.at_us))
        });
        delays.collect()
    }

    /// When each fresh receipt came, and how long after its publication.
    fn delays<'a>(&'a self, account: &'a Account) -> impl Iterator<Item = (u64, u64)> + 'a {
        let published_us = |mark| self.publish(mark).map(|publish| publish.at_us);
        account.arrivals.iter().filter_map(move |(mark, at_us)| Some((*at_us, at_us.saturating_sub(published_us(*mark)?))))
    }
}

#[cfg(test)]
mod tests;
