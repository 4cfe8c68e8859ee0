//! What an org's task asks of the store of presence, and what comes of the answers.
//!
//! Few calls are under way at a time: one write, which takes along all that has come since the last one; one renewal of the lease; one
//! sweep; some readings of rooms, each for all who wait for it. What fails is tried again: nobody is told of a failure but who asked.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use rand::Rng;
use tokio::time::Instant;

use super::super::member::Member;
use super::super::shelf::Shelf;
use super::ask::Asking;
use super::holdings::{Batch, Settled};
use super::{Presence, answer_to};
use crate::broker::ReadError;
use crate::broker::presence::{ChangeError, Kept, Owner, Roster, Verdict};
use crate::protocol::push::{Answer, Reply};
use crate::protocol::{Code, Fault, RoomName};
use crate::telemetry::metrics;

/// Readings of rooms under way at once.
const READS_MAX: usize = 4;
/// Rooms that one renewal keeps and compares; with more of them it is the turn of others next time.
const ROOMS_KEPT_AT_ONCE: usize = 256;
/// How long a call that failed waits for its next attempt.
const RETRY_MS: std::ops::RangeInclusive<u64> = 250..=750;

pub(super) type Call = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// What a call to the store brought.
pub(in crate::hub) enum Outcome {
    Changed { owner: Owner, batch: Batch, verdicts: Result<Vec<Verdict>, ChangeError> },
    Read { room: RoomName, roster: Result<Roster, ReadError> },
    Kept { owner: Option<Owner>, rooms: Vec<RoomName>, kept: Result<Kept, ReadError> },
    Swept,
}

impl Presence {
    /// Begins the calls that are due.
    pub(in crate::hub) fn begin_calls(&mut self) {
        let now = Instant::now();
        if !self.is_writing
            && now >= self.write_from
            && let Some(batch) = self.holdings.take_batch()
        {
            self.is_writing = true;
            let (broker, org, keeping) = (Arc::clone(&self.broker), self.org.clone(), self.tenure.keeping(self.config.members_max));
            self.calls.push(Box::pin(async move {
                let verdicts = broker.change_presence(&org, &batch.changes, keeping).await;
                Outcome::Changed { owner: keeping.owner, batch, verdicts }
            }));
        }
        while self.reading.len() < READS_MAX && now >= self.read_from {
            let Some(room) = self.to_read.iter().find(|room| !self.reading.contains(*room)).cloned() else { break };
            self.to_read.remove(&room);
            let Some(watched) = self.rooms.get_mut(&room) else { continue };
            watched.start_reading();
            self.reading.insert(room.clone());
            metrics::presence_reads().increment(1);
            let broker = Arc::clone(&self.broker);
            self.calls.push(Box::pin(async move {
                let roster = broker.presence(&room).await;
                Outcome::Read { room, roster }
            }));
        }
        if !self.is_sweeping
            && let Some(history) = self.tenure.history()
            && let Some(room) = self.to_sweep.pop_first()
        {
            self.is_sweeping = true;
            let (broker, history) = (Arc::clone(&self.broker), history.to_owned());
            self.calls.push(Box::pin(async move {
                // What is not swept now is found again by the next renewal.
                let _ = broker.sweep_presence(&room, &history).await;
                Outcome::Swept
            }));
        }
        if !self.is_keeping && self.is_needed() && now >= self.tenure.due() {
            self.begin_keeping();
        }
    }

    fn begin_keeping(&mut self) {
        self.is_keeping = true;
        let rooms = self.next_rooms();
        let (broker, org) = (Arc::clone(&self.broker), self.org.clone());
        let (owner, lease_ms) = (self.tenure.owner(), self.tenure.lease_ms());
        self.calls.push(Box::pin(async move {
            let kept = broker.keep_presence(&org, owner, lease_ms, &rooms).await;
            Outcome::Kept { owner, rooms, kept }
        }));
    }

    /// The next rooms in turn that sessions are in or watch.
    fn next_rooms(&mut self) -> Vec<RoomName> {
        let mut rooms = Vec::new();
        let mut after = self.kept_to.take();
        while rooms.len() < ROOMS_KEPT_AT_ONCE {
            use std::ops::Bound::{Excluded, Unbounded};
            let watched = self.rooms.range((after.clone().map_or(Unbounded, Excluded), Unbounded)).next().map(|(room, _)| room);
            let held = self.holdings.room_after(after.as_ref());
            let Some(next) = watched.into_iter().chain(held).min().cloned() else { return rooms };
            rooms.push(next.clone());
            after = Some(next);
        }
        self.kept_to = after;
        rooms
    }

    pub(in crate::hub) fn is_calling(&self) -> bool {
        !self.calls.is_empty()
    }

    /// The next call that comes back; only while [`Presence::is_calling`].
    pub(in crate::hub) async fn outcome(&mut self) -> Outcome {
        match self.calls.next().await {
            Some(outcome) => outcome,
            None => std::future::pending().await,
        }
    }

    pub(in crate::hub) fn finish(&mut self, outcome: Outcome, members: &Shelf<Member>) {
        match outcome {
            Outcome::Changed { owner, batch, verdicts } => self.changed(owner, batch, verdicts, members),
            Outcome::Read { room, roster } => self.read(&room, roster, members),
            Outcome::Kept { owner, rooms, kept } => self.kept(owner, &rooms, kept),
            Outcome::Swept => self.is_sweeping = false,
        }
    }

    fn changed(&mut self, owner: Owner, batch: Batch, verdicts: Result<Vec<Verdict>, ChangeError>, members: &Shelf<Member>) {
        self.is_writing = false;
        let rooms: BTreeSet<RoomName> = batch.changes.iter().map(|change| change.room.clone()).collect();
        let answers = match verdicts {
            Ok(verdicts) => {
                self.tenure.told(owner);
                if verdicts.contains(&Verdict::Full) && self.tenure.believes(Instant::now()) {
                    // Perhaps of sessions whose node is gone.
                    self.to_sweep.extend(rooms);
                }
                self.holdings.done(batch, &verdicts)
            }
            Err(ChangeError::Lapsed) => {
                self.holdings.put_back(batch);
                self.begin_anew();
                Vec::new()
            }
            Err(ChangeError::Unavailable(error)) => {
                tracing::debug!(org = %self.org, %error, "presence could not be told; it will be");
                self.write_from = self.later();
                self.holdings.failed(batch)
            }
        };
        for (Asking { slot, id, reply, handled }, settled) in answers {
            let reply = match settled {
                Settled::Done => reply,
                Settled::Full => Reply::Error(full()),
                Settled::Away => Reply::Error(away()),
            };
            answer_to(members, slot, &Answer::new(id, reply));
            drop(handled);
        }
    }

    /// Takes a new name and tells everything again.
    fn begin_anew(&mut self) {
        let next = Owner(self.random.random());
        self.tenure.lapsed(next, Instant::now());
        self.holdings.tell_all();
    }

    fn read(&mut self, name: &RoomName, roster: Result<Roster, ReadError>, members: &Shelf<Member>) {
        self.reading.remove(name);
        let is_believed = self.tenure.believes(Instant::now());
        match roster {
            Ok(roster) => {
                // Nobody may watch it any more.
                let Some(room) = self.rooms.get_mut(name) else { return };
                if room.take_in(roster, is_believed) {
                    self.to_read.insert(name.clone());
                }
                self.show_waiting(name, members);
                self.plan_flush(name);
            }
            Err(error) => {
                tracing::debug!(org = %self.org, %error, "a room's presence could not be read; it will be");
                self.read_from = self.later();
                let Some(room) = self.rooms.get_mut(name) else { return };
                room.reading_failed();
                for waiting in room.take_waiting() {
                    answer_to(members, waiting.slot, &Answer::error(waiting.id, away()));
                    self.unwatch(waiting.slot, name);
                }
                if self.rooms.contains_key(name) {
                    self.to_read.insert(name.clone());
                }
            }
        }
    }

    fn kept(&mut self, owner: Option<Owner>, rooms: &[RoomName], kept: Result<Kept, ReadError>) {
        self.is_keeping = false;
        self.count();
        let now = Instant::now();
        let Ok(kept) = kept else { return self.tenure.failed(now) };
        let next = Owner(self.random.random());
        if self.tenure.kept(&kept, owner, next, now) {
            self.holdings.tell_all();
        }
        for (name, seq) in rooms.iter().zip(&kept.seqs) {
            if seq.is_none() {
                self.holdings.tell_room(name);
            }
            if self.rooms.get_mut(name).is_some_and(|room| room.compare(*seq)) {
                self.to_read.insert(name.clone());
            }
        }
        if self.tenure.believes(now) {
            let running = self.tenure.running(kept);
            for (name, room) in &self.rooms {
                let Some(replica) = room.replica() else { continue };
                if replica.is_doubtful() {
                    self.to_read.insert(name.clone());
                }
                if replica.has_owner_besides(&running) {
                    self.to_sweep.insert(name.clone());
                }
            }
        }
    }

    fn later(&mut self) -> Instant {
        Instant::now() + Duration::from_millis(self.random.random_range(RETRY_MS))
    }
}

fn full() -> Fault {
    Fault::new(Code::RoomFull, "the room has its full number of members").retry_after_ms(5_000)
}

fn away() -> Fault {
    Fault::new(Code::BrokerUnavailable, "the broker cannot be reached, so nobody can be told").retry_after_ms(1_000)
}
