//! Presence in Redis: what is asked of the functions, and what their answers mean.
//!
//! All keys of an org lie in one slot, so one call carries out changes in several rooms. Nothing here keeps state.

use std::collections::BTreeSet;

use async_trait::async_trait;
use redis::{RedisError, Value};

use super::RedisBroker;
use super::log::{odd_answer, read_error};
use super::scripts::Function;
use crate::broker::ReadError;
use crate::broker::presence::{Change, ChangeError, Keeping, Kept, Owner, PresenceStore, Roster, Stay, Verdict, read_stay, stay_text};
use crate::protocol::{OrgId, RoomName, SessionId};

impl RedisBroker {
    /// The leases' key, then the rooms'.
    fn presence_keys<'a>(&self, org: &OrgId, rooms: impl IntoIterator<Item = &'a RoomName>) -> Vec<String> {
        std::iter::once(self.keys.presence(org)).chain(rooms.into_iter().map(|room| self.keys.presence_room(room))).collect()
    }
}

#[async_trait]
impl PresenceStore for RedisBroker {
    async fn change_presence(&self, org: &OrgId, changes: &[Change], keeping: Keeping) -> Result<Vec<Verdict>, ChangeError> {
        let mut rooms: Vec<&RoomName> = Vec::new();
        let mut args = vec![keeping.owner.to_string(), flag(keeping.is_known), keeping.lease_ms.to_string(), keeping.stays_max.to_string()];
        for change in changes {
            let index = rooms.iter().position(|room| **room == change.room).unwrap_or_else(|| {
                rooms.push(&change.room);
                rooms.len() - 1
            });
            let stay = change.to.as_ref().map(|member| stay_text(keeping.owner, member)).unwrap_or_default();
            args.extend([index.to_string(), change.session.to_string(), stay, flag(change.is_admitted)]);
        }
        let args: Vec<&[u8]> = args.iter().map(String::as_bytes).collect();
        let keys = self.presence_keys(org, rooms);
        let verdicts: Vec<u8> =
            self.link.call_on_keys(Function::PresenceChange, &keys, &args).await.map_err(|error| change_error(&error))?;
        if verdicts.len() != changes.len() {
            return Err(odd_answer().into());
        }
        Ok(verdicts.into_iter().map(|done| if done == 1 { Verdict::Done } else { Verdict::Full }).collect())
    }

    async fn presence(&self, room: &RoomName) -> Result<Roster, ReadError> {
        let keys = self.presence_keys(room.org(), [room]);
        let answer: Value = self.link.call_on_keys(Function::PresenceRead, &keys, &[]).await.map_err(|error| read_error(&error))?;
        roster(answer).ok_or_else(odd_answer)
    }

    async fn keep_presence(&self, org: &OrgId, owner: Option<Owner>, lease_ms: u64, rooms: &[RoomName]) -> Result<Kept, ReadError> {
        let (owner, lease) = (owner.map(|owner| owner.to_string()).unwrap_or_default(), lease_ms.to_string());
        let args = [owner.as_bytes(), lease.as_bytes()];
        let keys = self.presence_keys(org, rooms);
        let answer: Value = self.link.call_on_keys(Function::PresenceKeep, &keys, &args).await.map_err(|error| read_error(&error))?;
        kept(answer).filter(|kept| kept.seqs.len() == rooms.len()).ok_or_else(odd_answer)
    }

    async fn sweep_presence(&self, room: &RoomName, history: &str) -> Result<(), ReadError> {
        let keys = self.presence_keys(room.org(), [room]);
        let swept = self.link.call_on_keys::<u64>(Function::PresenceSweep, &keys, &[history.as_bytes()]).await;
        swept.map(|_| ()).map_err(|error| read_error(&error))
    }
}

fn flag(set: bool) -> String {
    if set { "1" } else { "0" }.to_owned()
}

fn change_error(error: &RedisError) -> ChangeError {
    if error.code() == Some("LAPSED") { ChangeError::Lapsed } else { read_error(error).into() }
}

/// What somebody else wrote into the hash is passed over.
fn roster(answer: Value) -> Option<Roster> {
    let (seq, owners, flat): (String, Vec<String>, Vec<String>) = redis::from_redis_value(answer).ok()?;
    let read = |pair: &[String]| -> Option<(SessionId, Stay)> {
        let [session, stay] = pair else { return None };
        Some((session.parse().ok()?, read_stay(stay)?))
    };
    let stays = flat.chunks(2).filter_map(read).collect();
    Some(Roster { seq: seq.parse().ok()?, stays, owners: owners_of(&owners) })
}

fn kept(answer: Value) -> Option<Kept> {
    let (history, held, owners, seqs): (String, u8, Vec<String>, Vec<String>) = redis::from_redis_value(answer).ok()?;
    let seqs = seqs.iter().map(|seq| seq.parse().ok()).collect();
    Some(Kept { history: history.into(), is_held: held == 1, owners: owners_of(&owners), seqs })
}

fn owners_of(names: &[String]) -> BTreeSet<Owner> {
    names.iter().filter_map(|name| Owner::parse(name)).collect()
}
