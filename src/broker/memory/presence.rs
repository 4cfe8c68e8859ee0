//! Presence on the embedded broker: rooms in memory, news straight into the feed.
//!
//! There is one node, which dies together with what is kept here, so nobody's lease ever runs out.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use async_trait::async_trait;
use bytes::Bytes;

use super::MemoryBroker;
use crate::broker::presence::{Change, ChangeError, Keeping, Kept, News, Owner, PresenceStore, Roster, Stay, Verdict, write_line};
use crate::broker::{OrgEvent, ReadError};
use crate::protocol::{OrgId, RoomName, SessionId};

/// Everybody's presence.
#[derive(Default)]
pub(super) struct Rooms {
    rooms: HashMap<RoomName, Room>,
    owners: HashMap<OrgId, BTreeSet<Owner>>,
    /// No room that was forgotten has counted further than this, so a new one that goes on from here repeats no number.
    counted: u64,
}

struct Room {
    seq: u64,
    stays: BTreeMap<SessionId, Stay>,
}

impl Rooms {
    /// Carries the change out; a line of news into `lines`, unless all is as wanted already.
    fn change(&mut self, change: &Change, keeping: Keeping, lines: &mut String) -> Verdict {
        let counted = self.counted;
        let room = self.rooms.entry(change.room.clone()).or_insert_with(|| Room { seq: counted, stays: BTreeMap::new() });
        let known = room.stays.get(&change.session);
        match &change.to {
            None if known.is_none() => {}
            None => {
                room.seq += 1;
                room.stays.remove(&change.session);
                write_line(change.session, None, lines);
            }
            Some(member) if known.is_some_and(|stay| stay.owner == keeping.owner && stay.member == *member) => {}
            Some(_) if known.is_none() && !change.is_admitted && room.stays.len() >= keeping.stays_max => return Verdict::Full,
            Some(member) => {
                room.seq += 1;
                let stay = Stay { told: room.seq, owner: keeping.owner, member: member.clone() };
                write_line(change.session, Some(&stay), lines);
                room.stays.insert(change.session, stay);
            }
        }
        Verdict::Done
    }

    fn seq(&self, room: &RoomName) -> u64 {
        self.rooms.get(room).map_or(self.counted, |room| room.seq)
    }

    fn forget_if_empty(&mut self, name: &RoomName) {
        if let Some(room) = self.rooms.get(name).filter(|room| room.stays.is_empty()) {
            self.counted = self.counted.max(room.seq);
            self.rooms.remove(name);
        }
    }
}

#[async_trait]
impl PresenceStore for MemoryBroker {
    async fn change_presence(&self, org: &OrgId, changes: &[Change], keeping: Keeping) -> Result<Vec<Verdict>, ChangeError> {
        let mut state = self.state.lock();
        state.presence.owners.entry(org.clone()).or_default().insert(keeping.owner);
        let mut verdicts = Vec::with_capacity(changes.len());
        for change in changes {
            let (before, mut lines) = (state.presence.seq(&change.room), String::new());
            verdicts.push(state.presence.change(change, keeping, &mut lines));
            if !lines.is_empty() {
                let news = News { room: change.room.clone(), before, lines: Bytes::from(lines) };
                state.feed(org, OrgEvent::Presence(news));
            }
            state.presence.forget_if_empty(&change.room);
        }
        Ok(verdicts)
    }

    async fn presence(&self, room: &RoomName) -> Result<Roster, ReadError> {
        let state = self.state.lock();
        let stays = state.presence.rooms.get(room).map(|room| room.stays.iter().map(|(session, stay)| (*session, stay.clone())).collect());
        let owners = state.presence.owners.get(room.org()).cloned().unwrap_or_default();
        Ok(Roster { seq: state.presence.seq(room), stays: stays.unwrap_or_default(), owners })
    }

    async fn keep_presence(&self, org: &OrgId, owner: Option<Owner>, _lease_ms: u64, rooms: &[RoomName]) -> Result<Kept, ReadError> {
        let state = self.state.lock();
        let owners = state.presence.owners.get(org).cloned().unwrap_or_default();
        let is_held = owner.is_some_and(|owner| owners.contains(&owner));
        let seqs = rooms.iter().map(|room| Some(state.presence.seq(room))).collect();
        Ok(Kept { history: "".into(), is_held, owners, seqs })
    }

    async fn sweep_presence(&self, _room: &RoomName, _history: &str) -> Result<(), ReadError> {
        Ok(())
    }
}
