//! The last publication of each event in each room of one org, as its log has it up to some position.
//!
//! Pure. Whoever reads the log for it ([`super::reading`]) asks what to read and hands in the pages; whoever answers a session asks it what
//! reaches the session's subscriptions. It holds nothing that the log, as it was last seen, no longer has.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::Wish;
use super::config::Config;
use crate::broker::{Body, Entry, LogState, Page};
use crate::protocol::command::history::Shown;
use crate::protocol::filter::Document;
use crate::protocol::latest::Latest;
use crate::protocol::room::ORG_CHANNEL;
use crate::protocol::{Pattern, Position, Publication};

/// What a publication takes beside itself, in bytes: its places in two trees.
const PLACES_BYTES: usize = 128;
/// Between room and event in a name. It sorts before all that a room holds, so that what lies below a room comes behind the room itself.
const BETWEEN: char = ' ';

/// Every publication that nothing of the same event has followed in its room, but for those that are for single sessions only.
#[derive(Debug)]
pub struct Index {
    bounds: Config,
    /// The log was read up to here; `None` before it was read at all.
    at: Option<Position>,
    /// Reading goes on up to here at least.
    target: Position,
    /// By room and event.
    by_name: BTreeMap<Arc<str>, Arc<Publication>>,
    by_seq: BTreeMap<u64, Arc<str>>,
    bytes: usize,
    /// The newest publication for which there was no place; 0 when there always was.
    left_out_seq: u64,
}

/// What became of a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// Read on from this number.
    More(u64),
    /// That is the whole log up to [`Index::at`].
    All,
    /// The page is of another log, or of another history of it, than what was read before: begin anew.
    Torn,
}

impl Index {
    pub fn new(bounds: Config) -> Self {
        let target = Position { epoch: 0, seq: 0, check: 0 };
        Self { bounds, at: None, target, by_name: BTreeMap::new(), by_seq: BTreeMap::new(), bytes: 0, left_out_seq: 0 }
    }

    /// Up to where it is the whole of what it says; `None` before anything was read.
    pub fn at(&self) -> Option<Position> {
        self.at
    }

    pub fn publications(&self) -> usize {
        self.by_seq.len()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The log stands like this now: the number to read from, if anything must be read. Its entries that were known come once more, so that
    /// the page shows whether the log still has them.
    pub fn compare(&mut self, state: LogState) -> Option<u64> {
        let LogState { last, first_seq } = state;
        self.target = last;
        let continues = |at: &Position| at.epoch == last.epoch && at.seq <= last.seq && at.seq.max(1) >= first_seq;
        if !self.at.is_some_and(|at| continues(&at) && (at.seq < last.seq || at == last)) {
            self.clear();
        }
        while self.by_seq.first_key_value().is_some_and(|(seq, _)| *seq < first_seq) {
            self.drop_oldest();
        }
        if self.left_out_seq < first_seq {
            self.left_out_seq = 0;
        }
        match self.at {
            Some(at) if at == last => None,
            Some(at) => Some(at.seq.max(1)),
            None if first_seq > last.seq => {
                self.at = Some(last);
                None
            }
            None => Some(first_seq.max(1)),
        }
    }

    /// Takes in a page that was read from the number that was asked for.
    pub fn take(&mut self, page: &Page, from_seq: u64) -> Taken {
        let first = page.entries.first().map(|entry| entry.position);
        let follows = match (self.at, first) {
            (_, None) => false,
            (Some(at), Some(first)) if at.seq > 0 => first == at || (first.seq == at.seq + 1 && from_seq > at.seq),
            (Some(at), Some(first)) => first.seq == at.seq + 1,
            (None, Some(_)) => true,
        };
        if !follows || page.epoch != self.target.epoch {
            self.clear();
            return Taken::Torn;
        }
        let known = self.at;
        for entry in page.entries.iter().filter(|entry| known.is_none_or(|known| entry.position.seq > known.seq)) {
            self.enter(entry);
            self.at = Some(entry.position);
        }
        match self.at {
            _ if page.end => Taken::All,
            Some(at) if at.seq >= self.target.seq => Taken::All,
            // An entry so long that it filled the page alone was seen to be the same; what follows comes without it.
            Some(at) if self.at == known => Taken::More(at.seq + 1),
            Some(at) => Taken::More(at.seq),
            None => Taken::Torn,
        }
    }

    fn enter(&mut self, entry: &Entry) {
        let Body::Publication(publication) = &entry.body else { return };
        // What is for single sessions is no state of the room.
        if !publication.sessions.is_empty() {
            return;
        }
        let name = format!("{}{BETWEEN}{}", publication.room, publication.event);
        let name: Arc<str> = match self.by_name.remove_entry(name.as_str()) {
            Some((name, earlier)) => {
                self.bytes -= cost(&earlier);
                if let Some(earlier) = earlier.position {
                    self.by_seq.remove(&earlier.seq);
                }
                name
            }
            None => name.into(),
        };
        let cost = cost(publication);
        if cost > self.bounds.bytes_max {
            self.left_out_seq = entry.position.seq;
            return;
        }
        self.bytes += cost;
        self.by_seq.insert(entry.position.seq, Arc::clone(&name));
        self.by_name.insert(name, Arc::clone(publication));
        while self.bytes > self.bounds.bytes_max || self.by_seq.len() > self.bounds.publications_max {
            if let Some(seq) = self.drop_oldest() {
                self.left_out_seq = self.left_out_seq.max(seq);
            }
        }
    }

    fn drop_oldest(&mut self) -> Option<u64> {
        let (seq, name) = self.by_seq.pop_first()?;
        if let Some(publication) = self.by_name.remove(&name) {
            self.bytes -= cost(&publication);
        }
        Some(seq)
    }

    fn clear(&mut self) {
        *self = Self { target: self.target, ..Self::new(self.bounds) };
    }

    /// What reaches the wishes and passes, the newest where there is too much.
    pub fn select(&self, wishes: &[Wish], now_us: u64) -> Latest {
        let mut found = Vec::new();
        wishes.iter().for_each(|wish| self.collect(wish, now_us, &mut found));
        // The newest first; what several wishes found once.
        found.sort_unstable_by_key(|(seq, _)| Reverse(*seq));
        found.dedup_by_key(|(seq, _)| *seq);
        let (mut publications, mut bytes, mut complete) = (Vec::new(), 0, self.left_out_seq == 0);
        for (_, publication) in found {
            if publications.len() == self.bounds.reply_publications_max || bytes >= self.bounds.reply_bytes_max {
                complete = false;
                break;
            }
            let shown = Shown::of(publication);
            bytes += shown.as_ref().map_or(0, Shown::bytes);
            publications.extend(shown);
        }
        publications.reverse();
        Latest { publications, complete }
    }

    fn collect<'a>(&'a self, wish: &Wish, now_us: u64, found: &mut Vec<(u64, &'a Arc<Publication>)>) {
        let pattern = wish.pattern();
        let mut consider = |publication: &'a Arc<Publication>| {
            let reaches = pattern.is_reached_by(&publication.room, publication.cascade);
            let passes = || wish.filter().is_none_or(|filter| filter.passes(&Document::of(publication)));
            if reaches && !publication.expired_at(now_us) && passes() {
                found.extend(publication.position.map(|position| (position.seq, publication)));
            }
        };
        let mut visit = |beginning: &str| {
            let found = self.by_name.range::<str, _>((Bound::Included(beginning), Bound::Unbounded));
            found.take_while(|(name, _)| name.starts_with(beginning)).for_each(|(_, publication)| consider(publication));
        };
        let stem = stem(pattern);
        visit(stem);
        // What is published into the rooms above, or to all of the org, may be for those below too.
        for (at, _) in stem.match_indices(':') {
            visit(&format!("{}{BETWEEN}", &stem[..at]));
        }
        visit(&format!("{ORG_CHANNEL}:{}{BETWEEN}", pattern.org()));
    }
}

/// What stands before a pattern's first wildcard: all that it reaches begins with it, or lies above.
fn stem(pattern: &Pattern) -> &str {
    let text = pattern.as_str();
    text.find('*').map_or(text, |wildcard| text[..wildcard].trim_end_matches(':'))
}

fn cost(publication: &Publication) -> usize {
    publication.cost_bytes() + publication.room.as_str().len() + PLACES_BYTES
}

#[cfg(test)]
mod tests;
