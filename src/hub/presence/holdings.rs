//! What the sessions of one org on this node want to be in the store, and how far the store is known to have it.
//!
//! Pure but for the answers that it keeps for whoever asked. `hub::presence` writes batches of it, one at a time, and tells here
//! what came of them: what failed is told again until the store has it, so that it always comes to hold what sessions want.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;

use tokio::time::Instant;

use super::ask::Asking;
use crate::broker::presence::{Change, Verdict};
use crate::protocol::presence::Member;
use crate::protocol::{RoomName, SessionId};

/// Changes in one write, and roughly their bytes: a write must not hold the store up, nor its news the bus.
const CHANGES_MAX: usize = 128;
const BYTES_MAX: usize = 48 << 10;

type Key = (RoomName, SessionId);

/// Both ends of all sessions in one room.
const FIRST: SessionId = SessionId(uuid::Uuid::nil());
const LAST: SessionId = SessionId(uuid::Uuid::max());

#[derive(Default)]
pub struct Holdings {
    held: BTreeMap<Key, Held>,
    rooms: BTreeMap<SessionId, BTreeSet<RoomName>>,
    /// What the store is to be told, in order, each once.
    queue: VecDeque<Key>,
    /// Sessions that have ended without leaving, and until when they may stay.
    lingering: VecDeque<(Instant, SessionId)>,
}

struct Held {
    /// `None`: it is to leave.
    wanted: Option<Arc<Member>>,
    /// What the store acknowledged last.
    told: Option<Arc<Member>>,
    is_queued: bool,
    asking: Option<Asking>,
}

/// A write under way.
pub struct Batch {
    pub changes: Vec<Change>,
}

/// How a command ended that asked for a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settled {
    Done,
    Full,
    /// The store cannot be reached.
    Away,
}

impl Holdings {
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// The first room behind `after` that anybody is in.
    pub fn room_after(&self, after: Option<&RoomName>) -> Option<&RoomName> {
        let from = after.map_or(Unbounded, |after| Excluded((after.clone(), LAST)));
        self.held.range((from, Unbounded)).next().map(|((room, _), _)| room)
    }

    /// Rooms of one session.
    pub fn rooms_of(&self, session: SessionId) -> impl Iterator<Item = &RoomName> {
        self.rooms.get(&session).into_iter().flatten()
    }

    /// Rooms that the session is in.
    pub fn count_of(&self, session: SessionId) -> usize {
        let is_in = |room: &&RoomName| self.member(room, session).is_some();
        self.rooms_of(session).filter(is_in).count()
    }

    /// The member that the session wants to be in the room.
    pub fn member(&self, room: &RoomName, session: SessionId) -> Option<&Arc<Member>> {
        self.held.get(&(room.clone(), session))?.wanted.as_ref()
    }

    /// The session wants to be this in the room, or to leave it. The answer is kept for when the store has that.
    pub fn want(&mut self, room: &RoomName, session: SessionId, wanted: Option<Arc<Member>>, asking: Option<Asking>) {
        let key = (room.clone(), session);
        let held = self.held.entry(key.clone()).or_insert_with(|| Held { wanted: None, told: None, is_queued: false, asking: None });
        held.wanted = wanted;
        held.asking = asking;
        self.rooms.entry(session).or_default().insert(room.clone());
        self.enqueue(key);
    }

    /// The session has ended; its stays last until `until`, or end at once.
    pub fn end(&mut self, session: SessionId, until: Option<Instant>) {
        let rooms: Vec<RoomName> = self.rooms_of(session).cloned().collect();
        for room in &rooms {
            if let Some(held) = self.held.get_mut(&(room.clone(), session)) {
                held.asking = None;
            }
        }
        match until {
            Some(until) if !rooms.is_empty() => self.lingering.push_back((until, session)),
            _ => rooms.iter().for_each(|room| self.want(room, session, None, None)),
        }
    }

    /// When the next session has lingered long enough.
    pub fn lingers_until(&self) -> Option<Instant> {
        self.lingering.front().map(|(until, _)| *until)
    }

    /// Takes out the sessions that have lingered long enough.
    pub fn expire(&mut self, now: Instant) {
        while let Some((_, session)) = self.lingering.pop_front_if(|(until, _)| *until <= now) {
            self.end(session, None);
        }
    }

    /// The store may have lost everything.
    pub fn tell_all(&mut self) {
        let keys: Vec<Key> = self.held.keys().cloned().collect();
        keys.into_iter().for_each(|key| self.enqueue(key));
    }

    /// The store has lost this room.
    pub fn tell_room(&mut self, room: &RoomName) {
        let of_room = self.held.range((room.clone(), FIRST)..=(room.clone(), LAST));
        let keys: Vec<Key> = of_room.map(|(key, _)| key.clone()).collect();
        keys.into_iter().for_each(|key| self.enqueue(key));
    }

    /// What to tell the store next.
    pub fn take_batch(&mut self) -> Option<Batch> {
        let (mut changes, mut bytes) = (Vec::new(), 0);
        while changes.len() < CHANGES_MAX && bytes < BYTES_MAX {
            let Some(key) = self.queue.pop_front() else { break };
            let Some(held) = self.held.get_mut(&key) else { continue };
            held.is_queued = false;
            bytes += held.wanted.as_ref().map_or(0, |member| member.cost_bytes());
            let (room, session) = key;
            changes.push(Change { room, session, to: held.wanted.clone(), is_admitted: held.told.is_some() });
        }
        (!changes.is_empty()).then_some(Batch { changes })
    }

    /// The store has carried the batch out.
    pub fn done(&mut self, batch: Batch, verdicts: &[Verdict]) -> Vec<(Asking, Settled)> {
        let mut answers = Vec::new();
        for (change, verdict) in batch.changes.into_iter().zip(verdicts) {
            let key = (change.room, change.session);
            let Some(held) = self.held.get_mut(&key) else { continue };
            let settled = match verdict {
                Verdict::Done => {
                    held.told = change.to;
                    Settled::Done
                }
                Verdict::Full => {
                    (held.told, held.wanted) = (None, None);
                    Settled::Full
                }
            };
            // What is only told once more has been told; whoever asked for it must not hear of what becomes of that.
            if !held.is_queued || held.wanted == held.told {
                answers.extend(held.asking.take().map(|asking| (asking, settled)));
                if !held.is_queued && held.wanted.is_none() && held.told.is_none() {
                    self.forget(&key);
                }
            }
        }
        answers
    }

    /// Nothing is known of what became of the batch. Whoever asked is told so; what they asked for beyond what the store had is
    /// taken back, and the store is told again what holds now. Nobody who wanted to leave comes back by that.
    pub fn failed(&mut self, batch: Batch) -> Vec<(Asking, Settled)> {
        let mut answers = Vec::new();
        for change in batch.changes {
            let key = (change.room, change.session);
            let Some(held) = self.held.get_mut(&key) else { continue };
            if let Some(asking) = held.asking.take() {
                if held.wanted.is_some() {
                    held.wanted.clone_from(&held.told);
                } else {
                    // It takes itself to be out from now on: nothing that fails later may go back to what it was before.
                    held.told = None;
                }
                answers.push((asking, Settled::Away));
            }
            self.enqueue(key);
        }
        answers
    }

    /// The batch was not carried out, and nobody need know.
    pub fn put_back(&mut self, batch: Batch) {
        batch.changes.into_iter().for_each(|change| self.enqueue((change.room, change.session)));
    }

    fn enqueue(&mut self, key: Key) {
        if let Some(held) = self.held.get_mut(&key)
            && !held.is_queued
        {
            held.is_queued = true;
            self.queue.push_back(key);
        }
    }

    fn forget(&mut self, key: &Key) {
        self.held.remove(key);
        if let Some(rooms) = self.rooms.get_mut(&key.1) {
            rooms.remove(&key.0);
            if rooms.is_empty() {
                self.rooms.remove(&key.1);
            }
        }
    }
}

#[cfg(test)]
mod tests;
