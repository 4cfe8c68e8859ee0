//! Holds every message that a member receives against what it is entitled to: the compact form of the ledger (`crate::ledger`), for
//! millions of receipts a second. No clock, no sockets.
//!
//! The ledger keeps every publication by its mark and judges at the end; this keeps one number per member and strand and judges at
//! once. Both see loss, repetition, wrong order and what belongs to somebody else; only the ledger can excuse single publications by the
//! extent of a gap, so here a gap excuses all that came before whatever is next, and is counted by itself.

use serde::Deserialize;

use super::due::{Due, Judgement};
use super::inflater::Inflater;
use super::register::Register;
use super::scan::{self, DEFLATED, MarksFinder};
use super::tally::{Span, Tally};
use crate::position::Position;

/// What one member has received and is still to receive.
pub(super) struct Account {
    /// In the order of their strands.
    pub dues: Vec<Due>,
    /// Where it stands in the log.
    pub last: Option<Position>,
    pub received: u64,
    /// Its times are told apart from the others'.
    pub apart: bool,
    /// It makes up for what it missed since this time.
    pub returning_us: Option<u64>,
}

impl Account {
    pub fn new(dues: Vec<Due>, apart: bool) -> Self {
        Self { dues, last: None, received: 0, apart, returning_us: None }
    }

    /// How many publications it should have by now and does not.
    pub fn missing(&self, register: &Register) -> u64 {
        let missing = |due: &Due| register.strand(due.strand).map_or(0, |strand| due.missing(strand.given));
        self.dues.iter().map(missing).sum()
    }
}

/// All that receipts are held against.
pub struct Judge {
    pub register: Register,
    pub tally: Tally,
    finder: MarksFinder,
    inflater: Inflater,
}

/// A push that tells a place in the log.
#[derive(Deserialize)]
struct Push {
    data: Place,
}

#[derive(Deserialize)]
struct Place {
    to: Option<String>,
    position: Option<String>,
}

impl Judge {
    pub(super) fn new(register: Register) -> Self {
        Self { register, tally: Tally::default(), finder: MarksFinder::new(), inflater: Inflater::new() }
    }

    /// Judges a message whose frame began with `first`; whether it was a publication.
    pub(super) fn message(&mut self, account: &mut Account, first: u8, payload: &[u8], now_us: u64) -> bool {
        let Self { register, tally, finder, inflater } = self;
        let payload = if first & DEFLATED == 0 {
            payload
        } else {
            match inflater.inflate(payload) {
                Some(inflated) => inflated,
                None => {
                    tally.counts.misrouted += 1;
                    tally.show("cannot be inflated", &[]);
                    return true;
                }
            }
        };
        let Some(marks) = finder.find(payload) else { return push(tally, account, payload) };
        tally.counts.received += 1;
        account.received += 1;
        let strand = register.strand_mut(marks.strand).filter(|strand| payload.starts_with(&strand.head));
        let due = account.dues.binary_search_by_key(&marks.strand, |due| due.strand);
        let (Some(strand), Ok(due)) = (strand, due) else {
            tally.counts.misrouted += 1;
            tally.show("of a room that this member has not asked for", payload);
            return true;
        };
        let position = scan::id(&payload[strand.head.len()..]);
        let (next, last) = (account.dues[due].next, account.last);
        let judgement = account.dues[due].take(marks.n);
        let overtaken = last.zip(position).is_some_and(|(last, position)| !last.precedes(position));
        match judgement {
            Judgement::InOrder if !overtaken => {}
            Judgement::Skipped(count) => {
                tally.counts.lost += count;
                tally.show(&format!("{count} missing before"), payload);
            }
            _ => {
                tally.counts.behind += 1;
                let last = last.map_or_else(|| "nothing".to_owned(), |last| last.to_string());
                tally.show(&format!("repeated or out of order: number {}, where {next} was due, behind {last}", marks.n), payload);
            }
        }
        account.last = position.or(account.last);
        if account.returning_us.is_some() {
            return true;
        }
        let taken_us = now_us.saturating_sub(marks.due_us);
        tally.record(if account.apart { Span::Apart } else { Span::Delivery }, taken_us);
        if !account.apart {
            tally.recent.saturating_record(taken_us.max(1));
        }
        if let Some(position) = position {
            if !account.apart {
                tally.record(Span::FromLog, now_us.saturating_sub(position.check));
            }
            if marks.n >= strand.seen {
                strand.seen = marks.n + 1;
                tally.record(Span::ToLog, position.check.saturating_sub(marks.due_us));
            }
        }
        true
    }
}

/// Everything without marks: gaps, positions, publications by others, and replies, for which the answer is no.
fn push(tally: &mut Tally, account: &mut Account, payload: &[u8]) -> bool {
    let place = |of: fn(Place) -> Option<String>| of(serde_json::from_slice::<Push>(payload).ok()?.data)?.parse().ok();
    if payload.starts_with(br#"{"event":"gap""#) {
        tally.counts.gaps += 1;
        tally.show("gap", payload);
        account.dues.iter_mut().for_each(Due::excuse);
        account.last = place(|place| place.to).or(account.last);
        return true;
    }
    if payload.starts_with(br#"{"event":"position""#) {
        account.last = place(|place| place.position).or(account.last);
        return true;
    }
    let is_publication = payload.windows(8).take(128).any(|window| window == br#""room":""#);
    if is_publication {
        tally.counts.misrouted += 1;
        tally.show("published by somebody else", payload);
    }
    is_publication
}

#[cfg(test)]
mod tests;
