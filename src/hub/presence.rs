//! Presence in one org on this node: what its sessions want is told to the store, and rooms that they watch are followed.
//!
//! The org's task owns one [`Presence`] from the first time on that a session asks for it; other orgs have none and pay nothing. What
//! sessions ask and what watchers are told is here, through their send queues; the calls to the store are `calls`'.

mod ask;
mod calls;
pub mod config;
mod holdings;
mod parts;
mod replica;
mod room;
mod tenure;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

pub use ask::{Ask, Request};
pub use config::Config;

use self::ask::Asking;
use self::calls::Call;
use self::holdings::Holdings;
use self::room::{Lane, Room, Waiting};
use self::tenure::Tenure;
use super::frames;
use super::member::Member;
use super::router::Slot;
use super::service::answer;
use super::shelf::Shelf;
use crate::auth::{PresenceGrant, Principal};
use crate::broker::Broker;
use crate::broker::presence::{News, Owner};
use crate::protocol::presence as wire;
use crate::protocol::push::{Answer, Reply};
use crate::protocol::{Code, Fault, OrgId, Push, RoomName, SessionId};
use crate::telemetry::metrics;

/// Watchers of a room on this node for each further millisecond between two diffs.
const WATCHERS_A_MS: usize = 20;

pub(super) struct Presence {
    org: OrgId,
    config: Arc<Config>,
    broker: Arc<dyn Broker>,
    random: SmallRng,
    tenure: Tenure,
    holdings: Holdings,
    rooms: BTreeMap<RoomName, Room>,
    watches: HashMap<Slot, Vec<Watch>>,
    calls: FuturesUnordered<Call>,
    is_writing: bool,
    write_from: Instant,
    is_keeping: bool,
    /// The last room that a renewal kept.
    kept_to: Option<RoomName>,
    to_read: BTreeSet<RoomName>,
    reading: BTreeSet<RoomName>,
    read_from: Instant,
    to_sweep: BTreeSet<RoomName>,
    is_sweeping: bool,
    /// Rooms that have something to tell their watchers, by when.
    flushes: BTreeSet<(Instant, RoomName)>,
    /// No room that is watched no more has counted further.
    version: u64,
    /// What this org contributes to the gauges.
    counted: (usize, usize),
}

/// A room that a session watches, or has watched: its numbers must not come again.
struct Watch {
    room: RoomName,
    lane: Option<Lane>,
    is_on: bool,
}

impl Presence {
    pub(super) fn new(org: OrgId, config: Arc<Config>, broker: Arc<dyn Broker>, seed: u64) -> Self {
        let now = Instant::now();
        let mut random = SmallRng::seed_from_u64(seed);
        let tenure = Tenure::new(Owner(random.random()), Duration::from_millis(config.lease_ms), now);
        Self {
            org,
            config,
            broker,
            random,
            tenure,
            holdings: Holdings::default(),
            rooms: BTreeMap::new(),
            watches: HashMap::new(),
            calls: FuturesUnordered::new(),
            is_writing: false,
            write_from: now,
            is_keeping: false,
            kept_to: None,
            to_read: BTreeSet::new(),
            reading: BTreeSet::new(),
            read_from: now,
            to_sweep: BTreeSet::new(),
            is_sweeping: false,
            flushes: BTreeSet::new(),
            version: 0,
            counted: (0, 0),
        }
    }

    /// Whether the store is still to be told something for sessions, some of which may be gone.
    pub(super) fn is_busy(&self) -> bool {
        !self.holdings.is_empty()
    }

    fn is_needed(&self) -> bool {
        self.is_busy() || !self.rooms.is_empty()
    }

    pub(super) fn ask(&mut self, request: Request, members: &Shelf<Member>) {
        let Request { slot, id, ask, handled } = request;
        let Some(member) = members.get(slot) else { return };
        match ask {
            Ask::Enter { grant, status, state } => {
                let room = grant.room().clone();
                let wanted = wire::Member { user_id: grant.user().clone(), status, state };
                let asking = Asking { slot, id, reply: Reply::PresenceEntered { room: room.clone() }, handled };
                self.enter(&room, wanted, asking, member);
            }
            Ask::Update { room, status, state } => match self.holdings.member(&room, member.session).cloned() {
                None => {
                    let fault = Fault::new(Code::RoomNotFound, format!("the session is not present in {room}: send presence:enter first"));
                    answer(member, &Answer::error(id, fault));
                }
                Some(known) => {
                    let wanted = wire::Member {
                        user_id: known.user_id.clone(),
                        status: status.unwrap_or(known.status),
                        state: state.unwrap_or_else(|| known.state.clone()),
                    };
                    let asking = Asking { slot, id, reply: Reply::PresenceUpdated { room: room.clone() }, handled };
                    self.holdings.want(&room, member.session, Some(Arc::new(wanted)), Some(asking));
                }
            },
            Ask::Leave(room) if self.holdings.member(&room, member.session).is_none() => {
                answer(member, &Answer::new(id, Reply::PresenceLeft { room }));
            }
            Ask::Leave(room) => {
                let asking = Asking { slot, id, reply: Reply::PresenceLeft { room: room.clone() }, handled };
                self.holdings.want(&room, member.session, None, Some(asking));
            }
            Ask::Watch(grant) => self.watch(&grant, Waiting { slot, id, handled }, members),
            Ask::Unwatch(room) => {
                self.unwatch(slot, &room);
                answer(member, &Answer::new(id, Reply::PresenceUnwatched { room }));
            }
        }
    }

    fn enter(&mut self, room: &RoomName, wanted: wire::Member, asking: Asking, member: &Member) {
        let is_new = self.holdings.member(room, member.session).is_none();
        if is_new && self.holdings.count_of(member.session) >= self.config.rooms_per_session_max {
            let text = format!("a session may be present in {} rooms; leave others first", self.config.rooms_per_session_max);
            return answer(member, &Answer::error(asking.id, Fault::new(Code::RoomFull, text)));
        }
        self.holdings.want(room, member.session, Some(Arc::new(wanted)), Some(asking));
    }

    fn watch(&mut self, grant: &PresenceGrant, waiting: Waiting, members: &Shelf<Member>) {
        let (name, slot) = (grant.room(), waiting.slot);
        if let Err(fault) = self.note_watch(slot, name) {
            return answer_to(members, slot, &Answer::error(waiting.id, fault));
        }
        let version = self.version;
        let room = self.rooms.entry(name.clone()).or_insert_with(|| Room::new(name.clone(), version));
        room.wait(waiting);
        if room.replica().is_some() {
            self.show_waiting(name, members);
        } else if !self.reading.contains(name) {
            self.to_read.insert(name.clone());
        }
    }

    /// Enters the room among those that the session watches.
    fn note_watch(&mut self, slot: Slot, name: &RoomName) -> Result<(), Fault> {
        let (most, watched_most) = (self.config.rooms_per_session_max, self.config.watched_rooms_max);
        if !self.rooms.contains_key(name) && self.rooms.len() >= watched_most {
            let text = format!("sessions of one organization may watch {watched_most} rooms on one node");
            return Err(Fault::new(Code::RoomFull, text).retry_after_ms(5_000));
        }
        let watches = self.watches.entry(slot).or_default();
        if let Some(watch) = watches.iter_mut().find(|watch| watch.room == *name) {
            watch.is_on = true;
            return Ok(());
        }
        if watches.iter().filter(|watch| watch.is_on).count() >= most {
            return Err(Fault::new(Code::RoomFull, format!("a session may watch {most} rooms; unwatch others first")));
        }
        // What was sent of a room so many rooms ago has long arrived.
        if watches.len() >= 2 * most
            && let Some(oldest) = watches.iter().position(|watch| !watch.is_on)
        {
            watches.remove(oldest);
        }
        watches.push(Watch { room: name.clone(), lane: None, is_on: true });
        Ok(())
    }

    fn show_waiting(&mut self, name: &RoomName, members: &Shelf<Member>) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        for Waiting { slot, id, handled } in room.take_waiting() {
            let watch = self.watches.get_mut(&slot).and_then(|watches| watches.iter_mut().find(|watch| watch.room == *name));
            if let (Some(member), Some(watch)) = (members.get(slot), watch) {
                room.show(slot, &mut watch.lane, id, member, self.config.message_bytes_max);
            }
            drop(handled);
        }
    }

    fn unwatch(&mut self, slot: Slot, name: &RoomName) {
        let watch = self.watches.get_mut(&slot).and_then(|watches| watches.iter_mut().find(|watch| watch.room == *name));
        if let Some(watch) = watch {
            watch.is_on = false;
            self.desert(slot, name);
        }
    }

    /// Takes a watcher out of a room, and lets go of a room that nobody watches.
    fn desert(&mut self, slot: Slot, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        room.leave(slot);
        if room.is_deserted() {
            self.version = self.version.max(room.version());
            if let Some(flush_at) = room.flush_at {
                self.flushes.remove(&(flush_at, name.clone()));
            }
            self.rooms.remove(name);
            self.to_read.remove(name);
            self.to_sweep.remove(name);
        }
    }

    /// A session has ended. Where it `lingers` it stays a member for a while, for it may only be on its way to another node.
    pub(super) fn end(&mut self, slot: Slot, session: SessionId, lingers: bool) {
        for watch in self.watches.remove(&slot).unwrap_or_default().into_iter().filter(|watch| watch.is_on) {
            self.desert(slot, &watch.room);
        }
        let until = Instant::now() + Duration::from_millis(self.config.linger_ms);
        self.holdings.end(session, lingers.then_some(until));
    }

    /// Ends what a renewed token no longer grants, and says so.
    pub(super) fn narrow(&mut self, slot: Slot, member: &Member, principal: &Principal) {
        let watched = self.watches.get(&slot).into_iter().flatten().filter(|watch| watch.is_on).map(|watch| &watch.room);
        let rooms: BTreeSet<RoomName> = watched.chain(self.holdings.rooms_of(member.session)).cloned().collect();
        for room in rooms.iter().filter(|room| principal.grant_presence((*room).clone()).is_err()) {
            self.unwatch(slot, room);
            if self.holdings.member(room, member.session).is_some() {
                self.holdings.want(room, member.session, None, None);
            }
            let fault = Fault::new(Code::Unauthorized, "the renewed token no longer grants this");
            member.queue.push_answer(frames::push(member.wire.as_ref(), &Push::PresenceEnded { room, fault: &fault }));
        }
    }

    /// The session reads again after diffs may have been dropped for it.
    pub(super) fn remind(&self, slot: Slot, member: &Member) {
        for watch in self.watches.get(&slot).into_iter().flatten().filter(|watch| watch.is_on) {
            if let Some(room) = self.rooms.get(&watch.room) {
                room.remind(slot, member);
            }
        }
    }

    pub(super) fn hear(&mut self, news: &News) {
        let Some(room) = self.rooms.get_mut(&news.room) else { return };
        if room.hear(news) {
            self.to_read.insert(news.room.clone());
        }
        self.plan_flush(&news.room);
    }

    /// News may have been missed, or the store may be another.
    pub(super) fn interrupted(&mut self) {
        self.tenure.interrupted(Instant::now());
        self.to_sweep.clear();
        self.to_read.extend(self.rooms.keys().cloned());
    }

    fn plan_flush(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else { return };
        if room.flush_at.is_none() && room.replica().is_some_and(replica::Replica::is_changed) {
            let wait_ms = self.config.batch_ms + (room.watchers() / WATCHERS_A_MS) as u64;
            let flush_at = *room.flush_at.insert(Instant::now() + Duration::from_millis(wait_ms));
            self.flushes.insert((flush_at, name.clone()));
        }
    }

    /// When something is to be done that no call brings.
    pub(super) fn due(&self) -> Option<Instant> {
        let keeping = (self.is_needed() && !self.is_keeping).then(|| self.tenure.due());
        let writing = (self.is_busy() && !self.is_writing && self.write_from > Instant::now()).then_some(self.write_from);
        let reading = (!self.to_read.is_empty() && self.read_from > Instant::now()).then_some(self.read_from);
        let flush = self.flushes.first().map(|(flush_at, _)| *flush_at);
        [keeping, writing, reading, flush, self.holdings.lingers_until()].into_iter().flatten().min()
    }

    /// Does what is due: tells watchers, lets go of who has lingered long enough.
    pub(super) async fn attend(&mut self, members: &Shelf<Member>) {
        let now = Instant::now();
        self.holdings.expire(now);
        while let Some((flush_at, _)) = self.flushes.first()
            && *flush_at <= now
        {
            let Some((_, name)) = self.flushes.pop_first() else { break };
            if let Some(room) = self.rooms.get_mut(&name) {
                room.flush_at = None;
                room.flush(members, self.config.message_bytes_max).await;
            }
        }
    }

    fn count(&mut self) {
        let now = (self.holdings.len(), self.rooms.values().map(Room::watchers).sum());
        metrics::presence_sessions().increment(now.0 as f64 - self.counted.0 as f64);
        metrics::presence_watchers().increment(now.1 as f64 - self.counted.1 as f64);
        self.counted = now;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        metrics::presence_sessions().decrement(self.counted.0 as f64);
        metrics::presence_watchers().decrement(self.counted.1 as f64);
    }
}

fn answer_to(members: &Shelf<Member>, slot: Slot, answered: &Answer) {
    if let Some(member) = members.get(slot) {
        answer(member, answered);
    }
}
