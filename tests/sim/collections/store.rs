//! Collections as the store keeps them: by the words of docs/collections.md, each change together with its entry in the log.

use std::collections::BTreeMap;
use std::ops::Bound;

use async_trait::async_trait;
use rand::Rng;
use roomcast::broker::collections::{WriteError, Written};
use roomcast::broker::{AckLevel, Collections, ReadError};
use roomcast::protocol::event::EventName;
use roomcast::protocol::item::{Conflict, Item, ItemKey, ItemValue, NewWrite, Op, Snapshot};
use roomcast::protocol::{NewPublication, OrgId, Position, RoomName};
use serde_json::json;

use crate::broker::SimBroker;
use crate::clock;
use crate::store::{Inner, Store};

const PAGE_ITEMS: usize = 3;

/// What a store does wrong on purpose: the judge must notice each.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sabotage {
    /// Some pages lack an item.
    Missing,
    /// Some pages are older than they say.
    Old,
    /// Keys of writes are forgotten.
    Twice,
    /// Whatever version an item has will do.
    Blind,
}

/// Everybody's collections.
#[derive(Default)]
pub struct Kept {
    orgs: BTreeMap<OrgId, Items>,
    /// What each org's were like before the entry at that position.
    earlier: BTreeMap<OrgId, Vec<(Position, Items)>>,
    pub sabotage: Option<Sabotage>,
}

/// One org's.
#[derive(Clone, Default)]
struct Items {
    collections: BTreeMap<RoomName, Collection>,
    written: BTreeMap<Box<str>, Written>,
}

#[derive(Clone, Default)]
pub struct Collection {
    pub items: BTreeMap<ItemKey, (u64, ItemValue)>,
    tombstones: BTreeMap<ItemKey, u64>,
    last_version: u64,
}

impl Collection {
    fn refusal(&self, write: &NewWrite, sabotage: Option<Sabotage>) -> Option<Conflict> {
        let stored = self.items.get(&write.key);
        let is_blind = sabotage == Some(Sabotage::Blind);
        let other = write.if_version.is_some() && stored.map(|(version, _)| *version) != write.if_version && !is_blind;
        let stands_against = match write.op {
            Op::Insert => stored.is_some(),
            Op::Update => stored.is_none(),
            Op::Delete | Op::Put => false,
        };
        let current = stored.map(|(version, value)| Item { key: write.key.clone(), version: *version, value: value.clone() });
        let deleted_version = if stored.is_none() { self.tombstones.get(&write.key).copied() } else { None };
        (other || stands_against).then_some(Conflict { current, deleted_version })
    }
}

impl Kept {
    pub fn collection(&self, room: &RoomName) -> Collection {
        self.orgs.get(room.org()).and_then(|items| items.collections.get(room)).cloned().unwrap_or_default()
    }

    /// Another history has taken the log's place, in which this is the last entry.
    pub fn fall_back(&mut self, org: &OrgId, last: Position) {
        let earlier = self.earlier.entry(org.clone()).or_default();
        while let Some((_, before)) = earlier.pop_if(|(position, _)| position.epoch == last.epoch && position.seq > last.seq) {
            self.orgs.insert(org.clone(), before);
        }
    }

    pub fn lose(&mut self, org: &OrgId) {
        self.orgs.remove(org);
        self.earlier.remove(org);
    }

    fn of(&mut self, org: &OrgId) -> &mut Items {
        self.orgs.entry(org.clone()).or_default()
    }
}

impl Store {
    fn write(&self, write: &NewWrite) -> Result<Written, WriteError> {
        let mut inner = self.inner.lock();
        let org = write.room.org();
        inner.begin(org);
        let sabotage = inner.kept.sabotage;
        let before = inner.kept.of(org).clone();
        let known = write.idempotency_key.as_ref().filter(|_| sabotage != Some(Sabotage::Twice));
        if let Some(written) = known.and_then(|key| before.written.get(key)) {
            return Ok(Written { duplicate: true, ..written.clone() });
        }
        let collection = before.collections.get(&write.room).cloned().unwrap_or_default();
        if let Some(conflict) = collection.refusal(write, sabotage) {
            return Err(WriteError::Conflict(conflict));
        }
        let stands = collection.items.contains_key(&write.key);
        let written = if write.op == Op::Delete && !stands {
            Written { key: write.key.clone(), version: collection.last_version, position: None, duplicate: false }
        } else {
            let event = match (write.op, stands) {
                (Op::Delete, _) => "sync:delete",
                (_, false) => "sync:insert",
                (_, true) => "sync:update",
            };
            let position = self.change(&mut inner, write, event);
            inner.kept.earlier.entry(org.clone()).or_default().push((position, before));
            let version = inner.kept.of(org).collections[&write.room].last_version;
            Written { key: write.key.clone(), version, position: Some(position), duplicate: false }
        };
        if let Some(key) = &write.idempotency_key {
            inner.kept.of(org).written.insert(key.clone(), written.clone());
        }
        Ok(written)
    }

    /// Changes the item and tells it, at one stroke.
    fn change(&self, inner: &mut Inner, write: &NewWrite, event: &str) -> Position {
        let collection = inner.kept.of(write.room.org()).collections.entry(write.room.clone()).or_default();
        let version = clock::now_us().max(collection.last_version + 1);
        collection.last_version = version;
        let mut data = json!({ "key": write.key, "version": version });
        match &write.value {
            Some(value) => {
                data["value"] = serde_json::from_str(value.as_str()).unwrap();
                collection.tombstones.remove(&write.key);
                collection.items.insert(write.key.clone(), (version, value.clone()));
            }
            None => {
                collection.items.remove(&write.key);
                collection.tombstones.insert(write.key.clone(), version);
            }
        }
        let new = NewPublication::new(write.room.clone(), EventName::parse(event).unwrap(), data.to_string());
        self.append(inner, write.room.org(), Some(&new))
    }

    fn items(&self, room: &RoomName, after: Option<&ItemKey>) -> Snapshot {
        let mut inner = self.inner.lock();
        inner.begin(room.org());
        let position = inner.logs[room.org()].last.unwrap();
        let Inner { kept, rng, .. } = &mut *inner;
        let mut collection = kept.collection(room);
        if kept.sabotage == Some(Sabotage::Old)
            && rng.random_bool(0.3)
            && let Some((_, before)) = kept.earlier.get(room.org()).and_then(|earlier| earlier.last())
        {
            collection = before.collections.get(room).cloned().unwrap_or_default();
        }
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found = collection.items.range::<ItemKey, _>((from, Bound::Unbounded));
        let item =
            |(key, (version, value)): (&ItemKey, &(u64, ItemValue))| Item { key: key.clone(), version: *version, value: value.clone() };
        let mut items: Vec<Item> = found.by_ref().take(PAGE_ITEMS).map(item).collect();
        let cursor = found.next().and(items.last()).map(|last| last.key.clone());
        if kept.sabotage == Some(Sabotage::Missing) && items.len() > 1 && rng.random_bool(0.3) {
            items.remove(0);
        }
        Snapshot { room: room.clone(), position, items, cursor }
    }
}

#[async_trait]
impl Collections for SimBroker {
    async fn write(&self, write: &NewWrite, _ack: AckLevel) -> Result<Written, WriteError> {
        let unavailable = |error: ReadError| WriteError::Unavailable(error.to_string());
        self.pass().await.map_err(unavailable)?;
        let written = self.store.write(write);
        self.pass().await.map_err(unavailable)?;
        written
    }

    async fn items(&self, room: &RoomName, after: Option<&ItemKey>) -> Result<Snapshot, ReadError> {
        self.pass().await?;
        self.take_time().await;
        let page = self.store.items(room, after);
        self.take_time().await;
        self.pass().await?;
        Ok(page)
    }
}
