//! One room that sessions of this node watch: its replica, its watchers, and what they are sent.
//!
//! `hub::presence` owns these and says when. All watchers are shown the same at the same moment, so what they are sent is encoded
//! once per kind of wire; who comes in between is shown what the others have been shown, and goes on with them.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use tokio::time::Instant;

use super::super::command::Handled;
use super::super::frames;
use super::super::member::Member;
use super::super::router::Slot;
use super::super::service::answer;
use super::super::shelf::Shelf;
use super::parts::{Cut, cut, split};
use super::replica::{Followed, Replica};
use crate::broker::presence::{News, Roster};
use crate::protocol::presence::{Diff, Snapshot};
use crate::protocol::push::{Answer, Reply};
use crate::protocol::{CommandId, Push, RoomName, Wire};
use crate::telemetry::metrics;

/// News that are kept while the room is read; more are read with it once more.
const HEARD_MAX: usize = 256;
/// Kinds of wire and lanes for which the parts of a snapshot are kept: whoever watches again and again makes new ones each time.
const ENCODED_MAX: usize = 4;
/// Watchers written to before other tasks get their turn.
const WATCHERS_AT_ONCE: usize = 256;

/// Which run of numbers a watcher is sent. One who watches again is moved to the next: a snapshot in parts is numbered backwards
/// from the next diff, and none of those numbers may be one that the session was sent before.
pub type Lane = u32;

/// The number of a diff as the watchers of a lane see it.
fn number(lane: Lane, version: u64) -> u64 {
    ((u64::from(lane) + 1) << 32) + version
}

pub struct Room {
    name: RoomName,
    /// `None` until the room was read.
    replica: Option<Replica>,
    /// How many diffs have been sent, those of earlier times when the room was watched included.
    version: u64,
    watchers: BTreeMap<Slot, Lane>,
    waiting: Vec<Waiting>,
    heard: Vec<News>,
    is_reading: bool,
    /// When to tell the watchers what has changed.
    pub flush_at: Option<Instant>,
    /// Where the replica was when the store was seen to be elsewhere.
    suspect: Option<u64>,
    /// The diff with the number `version`.
    last: Option<Diff>,
    /// What has been shown, cut for a newcomer, and the parts as they are sent; made at need, until the next diff.
    cut: Option<Cut>,
    parts: HashMap<(Lane, usize), Vec<Bytes>>,
}

/// A session that wants to watch, while the room is read for the first time.
pub struct Waiting {
    pub slot: Slot,
    pub id: Option<CommandId>,
    pub handled: Handled,
}

impl Room {
    pub fn new(name: RoomName, version: u64) -> Self {
        Self {
            name,
            replica: None,
            version,
            watchers: BTreeMap::new(),
            waiting: Vec::new(),
            heard: Vec::new(),
            is_reading: false,
            flush_at: None,
            suspect: None,
            last: None,
            cut: None,
            parts: HashMap::new(),
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    pub fn replica(&self) -> Option<&Replica> {
        self.replica.as_ref()
    }

    pub fn watchers(&self) -> usize {
        self.watchers.len()
    }

    /// Whether nobody watches it nor waits for it.
    pub fn is_deserted(&self) -> bool {
        self.watchers.is_empty() && self.waiting.is_empty()
    }

    pub fn wait(&mut self, waiting: Waiting) {
        self.waiting.push(waiting);
    }

    /// Those who wait, because the room has been read or cannot be.
    pub fn take_waiting(&mut self) -> Vec<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    pub fn leave(&mut self, slot: Slot) {
        self.watchers.remove(&slot);
        self.waiting.retain(|waiting| waiting.slot != slot);
    }

    pub fn start_reading(&mut self) {
        self.is_reading = true;
        self.heard.clear();
    }

    /// Whether the room has to be read, because something is missing.
    pub fn hear(&mut self, news: &News) -> bool {
        if self.is_reading && self.heard.len() <= HEARD_MAX {
            self.heard.push(news.clone());
        }
        self.replica.as_mut().is_some_and(|replica| replica.follow(news) == Followed::Missing)
    }

    /// Takes over what was read; whether it has to be read once more.
    pub fn take_in(&mut self, roster: Roster, is_believed: bool) -> bool {
        self.is_reading = false;
        let heard = std::mem::take(&mut self.heard);
        let replica = match self.replica.take() {
            Some(mut known) => {
                known.reread(roster, is_believed);
                known
            }
            None => Replica::new(roster),
        };
        let replica = self.replica.insert(replica);
        let missing = heard.iter().any(|news| replica.follow(news) == Followed::Missing);
        missing || heard.len() > HEARD_MAX
    }

    pub fn reading_failed(&mut self) {
        self.is_reading = false;
    }

    /// Compares with the number that the store has; whether the room has to be read. What is merely newer may still be on its
    /// way, so it is given until the next time.
    pub fn compare(&mut self, seq: Option<u64>) -> bool {
        let Some(replica) = &self.replica else { return false };
        let suspect = self.suspect.take();
        if seq == Some(replica.seq()) {
            return false;
        }
        self.suspect = Some(replica.seq());
        seq.is_none() || suspect == self.suspect
    }

    /// Answers a session with what watchers have been shown; the next diff goes on from there.
    pub fn show(&mut self, slot: Slot, lane: &mut Option<Lane>, id: Option<CommandId>, member: &Member, bytes_max: usize) {
        let Some(replica) = &self.replica else { return };
        let cut = self.cut.get_or_insert_with(|| cut(replica.shown(), bytes_max));
        let lane = *lane.insert(lane.map_or(0, |lane| if cut.parts.is_empty() { lane } else { lane + 1 }));
        let first = number(lane, self.version) - cut.parts.len() as u64;
        let snapshot = Snapshot { room: self.name.clone(), version: first, members: cut.head.clone() };
        answer(member, &Answer::new(id, Reply::PresenceSnapshot(snapshot)));
        let name = &self.name;
        let encode = || (first + 1..).zip(&cut.parts).map(|(version, part)| encode(member.wire.as_ref(), name, version, part)).collect();
        if self.parts.len() >= ENCODED_MAX && !self.parts.contains_key(&(lane, member.wire.kind())) {
            self.parts.clear();
        }
        for part in self.parts.entry((lane, member.wire.kind())).or_insert_with(encode) {
            member.queue.push_answer(part.clone());
        }
        self.watchers.insert(slot, lane);
    }

    /// Tells the watchers what has changed since they were told last.
    pub async fn flush(&mut self, members: &Shelf<Member>, bytes_max: usize) {
        let Some(replica) = &mut self.replica else { return };
        for diff in split(replica.take_diff(), bytes_max) {
            self.version += 1;
            self.cut = None;
            self.parts.clear();
            // Seldom more than two: one for each kind of wire and lane.
            let mut encoded: Vec<((Lane, usize), Bytes)> = Vec::new();
            for (number_told, (slot, lane)) in self.watchers.iter().enumerate() {
                let Some(member) = members.get(*slot) else { continue };
                let key = (*lane, member.wire.kind());
                let known = encoded.iter().position(|(known, _)| *known == key);
                let known = known.unwrap_or_else(|| {
                    encoded.push((key, encode(member.wire.as_ref(), &self.name, number(*lane, self.version), &diff)));
                    encoded.len() - 1
                });
                member.queue.push_aside(&encoded[known].1);
                if number_told % WATCHERS_AT_ONCE == WATCHERS_AT_ONCE - 1 {
                    tokio::task::yield_now().await;
                }
            }
            metrics::presence_diffs().increment(self.watchers.len() as u64);
            self.last = Some(diff);
        }
    }

    /// Sends the last diff once more to a watcher that may have missed some. One that has missed it alone is whole by that; one that
    /// has missed more sees that a number is missing; and to others it says nothing new.
    pub fn remind(&self, slot: Slot, member: &Member) {
        if let (Some(lane), Some(last)) = (self.watchers.get(&slot), &self.last) {
            member.queue.push_aside(&encode(member.wire.as_ref(), &self.name, number(*lane, self.version), last));
        }
    }
}

fn encode(wire: &dyn Wire, room: &RoomName, version: u64, diff: &Diff) -> Bytes {
    frames::push(wire, &Push::PresenceDiff { room, version, diff })
}

#[cfg(test)]
mod tests;
