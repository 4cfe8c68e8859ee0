//! What must hold at the end of a history of presence: the store has what sessions want, and watchers see that.

use std::collections::BTreeMap;
use std::sync::Arc;

use roomcast::protocol::presence::Member;
use roomcast::protocol::{RoomName, SessionId};

use super::roster::Shown;
use super::town::Town;

impl Town {
    /// # Errors
    /// The first promise that was broken.
    pub(super) fn judge(&self) -> Result<(), String> {
        self.fault.clone().map_or(Ok(()), Err)?;
        for person in &self.persons {
            person.fault.clone().map_or(Ok(()), |fault| Err(format!("{} {fault}", person.name)))?;
        }
        for room in self.rooms.values().flatten() {
            self.judge_room(room)?;
        }
        Ok(())
    }

    fn judge_room(&self, room: &RoomName) -> Result<(), String> {
        // Whoever watches a room sees to it that it is swept.
        let is_watched = self.persons.iter().any(|person| person.org == *room.org() && person.is_connected());
        let stays = self.store.inner.lock().presences.stays(room, is_watched);
        let stored: BTreeMap<SessionId, Arc<Member>> = stays.iter().map(|(session, stay)| (*session, Arc::clone(&stay.member))).collect();
        let wanted = self.persons.iter().filter_map(|person| Some((person.session()?, Arc::clone(person.is_in.get(room)?))));
        let wanted: BTreeMap<SessionId, Arc<Member>> = wanted.collect();
        if stored != wanted {
            return Err(format!("{room} holds {stored:?}, where sessions want {wanted:?}"));
        }
        // A member is as the session that spoke last has it.
        let mut last: BTreeMap<&str, (u64, SessionId)> = BTreeMap::new();
        for (session, stay) in &stays {
            let known = last.entry(stay.member.user_id.as_str()).or_insert((stay.told, *session));
            *known = (*known).max((stay.told, *session));
        }
        let truth: Shown =
            last.iter().map(|(user, (_, session))| ((*user).to_owned(), serde_json::to_value(&*stays[session].member).unwrap())).collect();
        for person in self.persons.iter().filter(|person| person.org == *room.org() && person.is_connected()) {
            let roster = &person.rosters[room];
            if roster.is_broken || roster.shown != truth {
                return Err(format!("{} sees {:?} in {room}, where the truth is {truth:?}", person.name, roster.shown));
            }
        }
        Ok(())
    }
}
