//! Presence as the store keeps it: by the words of `broker::presence`, and step by step as Redis' script does it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use async_trait::async_trait;
use rand::Rng;
use roomcast::broker::presence::{Change, ChangeError, Keeping, Kept, News, Owner, PresenceStore, Roster, Stay, Verdict, write_line};
use roomcast::broker::{OrgEvent, ReadError};
use roomcast::protocol::{OrgId, RoomName, SessionId};

use crate::broker::SimBroker;
use crate::clock;
use crate::store::Inner;

/// How long a room that nobody is in is remembered, unless a node asks after it.
const EMPTY_MS: u64 = 10_000;
/// Changes by which a replica may be behind.
const LACKING_MAX: usize = 12;

/// What a store does wrong on purpose: the judge must notice each.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sabotage {
    /// What is left of those whose lease ran out stays.
    Unswept,
    /// Some news tell of somebody else than they are about.
    Mistaken,
    /// Leases of others seem to have run out.
    Hasty,
}

/// Everybody's presence.
#[derive(Default)]
pub struct Presences {
    orgs: BTreeMap<OrgId, Presence>,
    /// How each org stood before its last changes.
    earlier: BTreeMap<OrgId, VecDeque<Presence>>,
    /// Which history of the store this is.
    history: u64,
    pub sabotage: Option<Sabotage>,
}

/// One org's.
#[derive(Clone, Default)]
struct Presence {
    leases: BTreeMap<Owner, u64>,
    rooms: BTreeMap<RoomName, Room>,
}

#[derive(Clone)]
struct Room {
    seq: u64,
    stays: BTreeMap<SessionId, Stay>,
    forgotten_at_ms: u64,
}

impl Presence {
    fn running(&self) -> BTreeSet<Owner> {
        let now_ms = clock::now_ms();
        self.leases.iter().filter(|(_, until_ms)| **until_ms >= now_ms).map(|(owner, _)| *owner).collect()
    }

    /// A room, whose numbers begin with the time.
    fn room(&mut self, name: &RoomName) -> &mut Room {
        let now_ms = clock::now_ms();
        self.rooms.retain(|_, room| !room.stays.is_empty() || room.forgotten_at_ms >= now_ms);
        let begin = || Room { seq: clock::now_us(), stays: BTreeMap::new(), forgotten_at_ms: now_ms + EMPTY_MS };
        self.rooms.entry(name.clone()).or_insert_with(begin)
    }

    fn change(&mut self, change: &Change, keeping: Keeping, lines: &mut String) -> Verdict {
        let room = self.room(&change.room);
        let known = room.stays.get(&change.session);
        let stay = match &change.to {
            None if known.is_none() => return Verdict::Done,
            Some(member) if known.is_some_and(|stay| stay.owner == keeping.owner && stay.member == *member) => return Verdict::Done,
            Some(_) if known.is_none() && !change.is_admitted && room.stays.len() >= keeping.stays_max => return Verdict::Full,
            to => to.as_ref().map(|member| Stay { told: room.seq + 1, owner: keeping.owner, member: member.clone() }),
        };
        room.seq += 1;
        room.forgotten_at_ms = clock::now_ms() + EMPTY_MS;
        write_line(change.session, stay.as_ref(), lines);
        match stay {
            Some(stay) => drop(room.stays.insert(change.session, stay)),
            None => drop(room.stays.remove(&change.session)),
        }
        Verdict::Done
    }
}

impl Presences {
    /// Who is in a room; what is left of those whose lease ran out only where it is `swept`.
    pub fn stays(&self, room: &RoomName, swept: bool) -> BTreeMap<SessionId, Stay> {
        let Some(presence) = self.orgs.get(room.org()) else { return BTreeMap::new() };
        let running = presence.running();
        let stays = presence.rooms.get(room).into_iter().flat_map(|room| &room.stays);
        let counts = |(_, stay): &(&SessionId, &Stay)| swept || running.contains(&stay.owner);
        stays.filter(counts).map(|(session, stay)| (*session, stay.clone())).collect()
    }

    /// A replica that lacks the last `count` changes has taken over.
    pub fn fall_back(&mut self, org: &OrgId, count: usize) {
        self.history += 1;
        let earlier = self.earlier.entry(org.clone()).or_default();
        let lacking = earlier.len().saturating_sub(count);
        if let Some(then) = earlier.drain(lacking..).next() {
            self.orgs.insert(org.clone(), then);
        }
    }

    pub fn lose(&mut self, org: &OrgId) {
        self.history += 1;
        self.orgs.remove(org);
        self.earlier.remove(org);
    }

    fn of(&mut self, org: &OrgId) -> &mut Presence {
        self.orgs.entry(org.clone()).or_default()
    }

    fn remember(&mut self, org: &OrgId) {
        let now = self.of(org).clone();
        let earlier = self.earlier.entry(org.clone()).or_default();
        earlier.push_back(now);
        if earlier.len() > LACKING_MAX {
            earlier.pop_front();
        }
    }
}

impl Inner {
    fn change_presence(&mut self, org: &OrgId, changes: &[Change], keeping: Keeping) -> Result<Vec<Verdict>, ChangeError> {
        let until_ms = self.presences.of(org).leases.get(&keeping.owner).copied();
        if until_ms.map_or(keeping.is_known, |until_ms| until_ms < clock::now_ms()) {
            return Err(ChangeError::Lapsed);
        }
        self.presences.remember(org);
        let presence = self.presences.of(org);
        presence.leases.insert(keeping.owner, clock::now_ms() + keeping.lease_ms);
        let mut told: BTreeMap<RoomName, (u64, String)> = BTreeMap::new();
        let mut verdicts = Vec::new();
        for change in changes {
            let before = presence.room(&change.room).seq;
            let (_, lines) = told.entry(change.room.clone()).or_insert_with(|| (before, String::new()));
            verdicts.push(presence.change(change, keeping, lines));
        }
        for (room, (before, lines)) in told {
            self.tell(room, before, lines);
        }
        Ok(verdicts)
    }

    fn sweep(&mut self, room: &RoomName) {
        self.presences.remember(room.org());
        let sabotage = self.presences.sabotage;
        let presence = self.presences.of(room.org());
        let running = if sabotage == Some(Sabotage::Hasty) { BTreeSet::new() } else { presence.running() };
        if sabotage == Some(Sabotage::Unswept) {
            return;
        }
        let swept = presence.room(room);
        let (before, mut lines) = (swept.seq, String::new());
        let gone: Vec<SessionId> =
            swept.stays.iter().filter(|(_, stay)| !running.contains(&stay.owner)).map(|(session, _)| *session).collect();
        for session in gone {
            swept.stays.remove(&session);
            swept.seq += 1;
            write_line(session, None, &mut lines);
        }
        self.tell(room.clone(), before, lines);
    }

    fn tell(&mut self, room: RoomName, before: u64, mut lines: String) {
        if self.presences.sabotage == Some(Sabotage::Mistaken) && lines.lines().count() == 1 && self.rng.random_bool(0.2) {
            lines.clear();
            write_line(SessionId(uuid::Uuid::max()), None, &mut lines);
        }
        if !lines.is_empty() {
            let org = room.org().clone();
            self.carry(&org, &OrgEvent::Presence(News { room, before, lines: lines.into() }));
        }
    }
}

#[async_trait]
impl PresenceStore for SimBroker {
    async fn change_presence(&self, org: &OrgId, changes: &[Change], keeping: Keeping) -> Result<Vec<Verdict>, ChangeError> {
        self.pass().await?;
        self.take_time().await;
        let verdicts = self.store.inner.lock().change_presence(org, changes, keeping);
        self.take_time().await;
        self.pass().await?;
        verdicts
    }

    async fn presence(&self, room: &RoomName) -> Result<Roster, ReadError> {
        self.pass().await?;
        self.take_time().await;
        let roster = {
            let mut inner = self.store.inner.lock();
            let presence = inner.presences.of(room.org());
            let owners = presence.running();
            let read = presence.room(room);
            Roster { seq: read.seq, stays: read.stays.iter().map(|(session, stay)| (*session, stay.clone())).collect(), owners }
        };
        self.take_time().await;
        self.pass().await?;
        Ok(roster)
    }

    async fn keep_presence(&self, org: &OrgId, owner: Option<Owner>, lease_ms: u64, rooms: &[RoomName]) -> Result<Kept, ReadError> {
        self.pass().await?;
        self.take_time().await;
        let kept = {
            let now_ms = clock::now_ms();
            let mut inner = self.store.inner.lock();
            let history = inner.presences.history.to_string().into();
            let presence = inner.presences.of(org);
            let owners = presence.running();
            let held = owner.filter(|owner| owners.contains(owner));
            presence.leases.extend(held.map(|owner| (owner, now_ms + lease_ms)));
            let seqs = rooms.iter().map(|name| {
                let room = presence.rooms.get_mut(name).filter(|room| !room.stays.is_empty() || room.forgotten_at_ms >= now_ms)?;
                room.forgotten_at_ms = now_ms + EMPTY_MS;
                Some(room.seq)
            });
            Kept { history, is_held: held.is_some(), seqs: seqs.collect(), owners }
        };
        self.take_time().await;
        self.pass().await?;
        Ok(kept)
    }

    async fn sweep_presence(&self, room: &RoomName, history: &str) -> Result<(), ReadError> {
        self.pass().await?;
        self.take_time().await;
        {
            let mut inner = self.store.inner.lock();
            if inner.presences.history.to_string() == history {
                inner.sweep(room);
            }
        }
        self.pass().await
    }
}
