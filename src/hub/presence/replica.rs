//! One watched room as it stands in the store, followed by its news, and what of it watchers have been shown.
//!
//! Pure; `room.rs` owns one per watched room. It never forgets a member because its owner's lease is over: that is taken out of
//! the store, once over the cluster, and comes as news like every change.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::broker::presence::{News, Owner, Roster, Stay};
use crate::protocol::SessionId;
use crate::protocol::presence::{Diff, Member, UserId};

#[derive(Debug)]
pub struct Replica {
    /// The number of the last change that is in it.
    seq: u64,
    stays: HashMap<SessionId, Stay>,
    /// The sessions of each user, with the numbers at which they told something last.
    sessions: HashMap<UserId, Vec<(u64, SessionId)>>,
    /// How many stays each owner has.
    owners: BTreeMap<Owner, usize>,
    /// Stays that a reading lacked at a time when the store may have lost them for a moment only.
    doubtful: HashSet<SessionId>,
    /// Stays that a reading held although their owners' leases are over: no watcher has seen them, and the store keeps them until
    /// they are swept.
    passed_over: HashSet<SessionId>,
    shown: BTreeMap<UserId, Arc<Member>>,
    /// Users whose shown member may be another by now.
    changed: BTreeSet<UserId>,
}

/// What became of some news.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Followed {
    Applied,
    /// They were in it already.
    Known,
    /// Something is missing before them, or they cannot be read: read the room.
    Missing,
}

impl Replica {
    /// The room as it was read first. Those whose owner has no lease are as good as gone; watchers have never seen them.
    pub fn new(roster: Roster) -> Self {
        let mut replica = Self {
            seq: roster.seq,
            stays: HashMap::new(),
            sessions: HashMap::new(),
            owners: BTreeMap::new(),
            doubtful: HashSet::new(),
            passed_over: HashSet::new(),
            shown: BTreeMap::new(),
            changed: BTreeSet::new(),
        };
        for (session, stay) in roster.stays {
            if roster.owners.contains(&stay.owner) {
                replica.put(session, stay);
            } else {
                replica.passed_over.insert(session);
            }
        }
        replica.take_diff();
        replica
    }

    pub fn seq(&self) -> u64 {
        self.seq
    }

    pub fn follow(&mut self, news: &News) -> Followed {
        let after = news.before.saturating_add(news.count());
        if after <= self.seq {
            return Followed::Known;
        }
        let Some(changes) = news.read().filter(|_| news.before == self.seq) else { return Followed::Missing };
        for (session, stay) in changes {
            match stay {
                Some(stay) => self.put(session, stay),
                None => self.remove(session),
            }
        }
        self.seq = after;
        Followed::Applied
    }

    /// Takes over what was read again. Unless what is missing in it `is_believed` gone, those stays are kept for now.
    pub fn reread(&mut self, roster: Roster, is_believed: bool) {
        self.seq = roster.seq;
        self.doubtful.clear();
        self.passed_over.clear();
        let mut missing: HashSet<SessionId> = self.stays.keys().copied().collect();
        for (session, stay) in roster.stays {
            let was_known = missing.remove(&session);
            if was_known || roster.owners.contains(&stay.owner) {
                self.put(session, stay);
            } else {
                self.passed_over.insert(session);
            }
        }
        if is_believed {
            missing.into_iter().for_each(|session| self.remove(session));
        } else {
            self.doubtful = missing;
        }
    }

    /// Whether it holds stays that the store may not have.
    pub fn is_doubtful(&self) -> bool {
        !self.doubtful.is_empty()
    }

    /// Whether the store keeps stays of others than these.
    pub fn has_owner_besides(&self, running: &BTreeSet<Owner>) -> bool {
        !self.passed_over.is_empty() || self.owners.keys().any(|owner| !running.contains(owner))
    }

    /// Whether there is something that watchers have not been shown.
    pub fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What watchers have been shown, in the order of the users.
    pub fn shown(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.shown.values()
    }

    /// What watchers have not been shown yet; from now on they have.
    pub fn take_diff(&mut self) -> Diff {
        let mut diff = Diff::default();
        for user in std::mem::take(&mut self.changed) {
            match (self.current(&user), self.shown.get(&user)) {
                (None, None) => {}
                (None, Some(_)) => {
                    self.shown.remove(&user);
                    diff.left.push(user);
                }
                (Some(now), Some(shown)) if now == *shown => {}
                (Some(now), shown) => {
                    let list = if shown.is_some() { &mut diff.updated } else { &mut diff.joined };
                    list.push(Arc::clone(&now));
                    self.shown.insert(user, now);
                }
            }
        }
        diff
    }

    /// The member that a user's sessions make: as the one that spoke last has it.
    fn current(&self, user: &UserId) -> Option<Arc<Member>> {
        let (_, session) = self.sessions.get(user)?.iter().max()?;
        self.stays.get(session).map(|stay| Arc::clone(&stay.member))
    }

    fn put(&mut self, session: SessionId, stay: Stay) {
        self.remove(session);
        let user = &stay.member.user_id;
        self.changed.insert(user.clone());
        self.sessions.entry(user.clone()).or_default().push((stay.told, session));
        *self.owners.entry(stay.owner).or_default() += 1;
        self.stays.insert(session, stay);
    }

    fn remove(&mut self, session: SessionId) {
        self.doubtful.remove(&session);
        self.passed_over.remove(&session);
        let Some(stay) = self.stays.remove(&session) else { return };
        let user = &stay.member.user_id;
        self.changed.insert(user.clone());
        if let Some(sessions) = self.sessions.get_mut(user) {
            sessions.retain(|(_, known)| *known != session);
            if sessions.is_empty() {
                self.sessions.remove(user);
            }
        }
        if let Some(count) = self.owners.get_mut(&stay.owner) {
            *count -= 1;
            if *count == 0 {
                self.owners.remove(&stay.owner);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
