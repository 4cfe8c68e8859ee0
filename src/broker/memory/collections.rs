//! Collections of the embedded broker. State and log are changed under one lock, which makes each write one step.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use async_trait::async_trait;

use super::recall::Recall;
use super::{FULL_OF_ORGS, MemoryBroker, State};
use crate::broker::collections::{Collections, Config, WriteError, Written, change};
use crate::broker::{AckLevel, ReadError};
use crate::clock::unix_us;
use crate::protocol::item::{Conflict, Item, ItemKey, ItemValue, NewWrite, Op, Snapshot};
use crate::protocol::{EventName, NewPublication, Position, RoomName};

/// The collections of one org.
#[derive(Default)]
pub(super) struct OrgCollections {
    by_room: HashMap<RoomName, Collection>,
    written: Recall<Written>,
}

#[derive(Default)]
struct Collection {
    items: BTreeMap<ItemKey, (u64, ItemValue)>,
    bytes: usize,
    last_version: u64,
    tombstones: HashMap<ItemKey, u64>,
    tombstones_by_age: BTreeMap<u64, ItemKey>,
}

/// What a write that nothing speaks against brings.
enum Decision {
    /// There was nothing to delete.
    Nothing,
    Change {
        event: &'static str,
        version: u64,
    },
}

impl Collection {
    fn item(&self, key: &ItemKey) -> Option<Item> {
        self.items.get(key).map(|(version, value)| Item { key: key.clone(), version: *version, value: value.clone() })
    }

    fn decide(&self, write: &NewWrite, bounds: &Config, now_us: u64) -> Result<Decision, WriteError> {
        let stored = self.items.get(&write.key);
        let other_version = write.if_version.is_some() && stored.map(|(version, _)| *version) != write.if_version;
        let other_state = match write.op {
            Op::Insert => stored.is_some(),
            Op::Update => stored.is_none(),
            Op::Delete | Op::Put => false,
        };
        if other_version || other_state {
            let current = self.item(&write.key);
            let deleted_version = if current.is_none() { self.tombstones.get(&write.key).copied() } else { None };
            return Err(WriteError::Conflict(Conflict { current, deleted_version }));
        }
        if write.op == Op::Delete && stored.is_none() {
            return Ok(Decision::Nothing);
        }
        if let Some(value) = &write.value {
            if stored.is_none() && self.items.len() >= bounds.items_max {
                return Err(WriteError::Full(format!("the collection has its full number of {} items", bounds.items_max)));
            }
            let old_bytes = stored.map_or(0, |(_, old)| cost_bytes(&write.key, old));
            if self.bytes - old_bytes + cost_bytes(&write.key, value) > bounds.bytes_max {
                return Err(WriteError::Full(format!("the collection would be larger than {} bytes", bounds.bytes_max)));
            }
        }
        let event = match (write.op, stored) {
            (Op::Delete, _) => "sync:delete",
            (_, None) => "sync:insert",
            (_, Some(_)) => "sync:update",
        };
        // The time makes versions grow past those of a store that was lost, too.
        Ok(Decision::Change { event, version: now_us.max(self.last_version + 1) })
    }

    fn apply(&mut self, key: &ItemKey, version: u64, value: Option<ItemValue>, bounds: &Config) {
        self.last_version = version;
        if let Some(at) = self.tombstones.remove(key) {
            self.tombstones_by_age.remove(&at);
        }
        let Some(value) = value else {
            if let Some((_, old)) = self.items.remove(key) {
                self.bytes -= cost_bytes(key, &old);
            }
            self.tombstones.insert(key.clone(), version);
            self.tombstones_by_age.insert(version, key.clone());
            return self.forget(bounds);
        };
        self.bytes += cost_bytes(key, &value);
        if let Some((_, old)) = self.items.insert(key.clone(), (version, value)) {
            self.bytes -= cost_bytes(key, &old);
        }
    }

    /// Drops tombstones that are too many or too old; versions are times.
    fn forget(&mut self, bounds: &Config) {
        let oldest = self.last_version.saturating_sub(bounds.tombstone_age_max_s * 1_000_000);
        while let Some(entry) = self.tombstones_by_age.first_entry() {
            if *entry.key() >= oldest && self.tombstones.len() <= bounds.tombstones_max {
                break;
            }
            self.tombstones.remove(&entry.remove());
        }
    }
}

fn cost_bytes(key: &ItemKey, value: &ItemValue) -> usize {
    key.as_str().len() + value.as_str().len()
}

impl OrgCollections {
    /// Whether the room may hold items: one that held some and is empty now makes way for another, with what it remembers.
    fn has_place_for(&mut self, room: &RoomName, collections_max: usize) -> bool {
        if self.by_room.contains_key(room) || self.by_room.len() < collections_max {
            return true;
        }
        let emptied = self.by_room.iter().filter(|(_, collection)| collection.items.is_empty());
        let oldest = emptied.min_by_key(|(_, collection)| collection.last_version).map(|(room, _)| room.clone());
        oldest.is_some_and(|oldest| self.by_room.remove(&oldest).is_some())
    }
}

impl State {
    fn carry_out(&mut self, write: &NewWrite, config: &super::Config, now_us: u64) -> Result<Written, WriteError> {
        let (org, bounds) = (write.room.org(), &config.collections);
        if write.value.as_ref().is_some_and(|value| value.as_str().len() > bounds.item_bytes_max) {
            return Err(WriteError::Refused(format!("the value of an item is at most {} bytes", bounds.item_bytes_max)));
        }
        if self.log(org, config, now_us).is_none() {
            return Err(WriteError::Unavailable(FULL_OF_ORGS.into()));
        }
        let collections = self.collections.entry(org.clone()).or_default();
        if let Some(key) = &write.idempotency_key
            && let Some(written) = collections.written.recall(key, config, now_us)
        {
            return Ok(Written { duplicate: true, ..written.clone() });
        }
        let empty = Collection::default();
        let collection = collections.by_room.get(&write.room).unwrap_or(&empty);
        let written = match collection.decide(write, bounds, now_us)? {
            Decision::Nothing => Written { key: write.key.clone(), version: collection.last_version, position: None, duplicate: false },
            Decision::Change { event, version } => {
                let position = self.change(write, event, version, config, now_us)?;
                Written { key: write.key.clone(), version, position, duplicate: false }
            }
        };
        if let (Some(key), Some(collections)) = (&write.idempotency_key, self.collections.get_mut(org)) {
            collections.written.keep(key, written.clone(), now_us);
        }
        Ok(written)
    }

    /// Changes the item and logs it, unless that is too much for the org.
    fn change(
        &mut self,
        write: &NewWrite,
        event: &str,
        version: u64,
        config: &super::Config,
        now_us: u64,
    ) -> Result<Option<Position>, WriteError> {
        let (org, bounds) = (write.room.org(), &config.collections);
        let event = EventName::parse(event).map_err(|fault| WriteError::Refused(fault.message.into_owned()))?;
        let data = change(&write.key, version, write.value.as_ref());
        let collections = self.collections.entry(org.clone()).or_default();
        if !collections.has_place_for(&write.room, bounds.collections_max) {
            return Err(WriteError::Full(format!("the organization has its full number of {} collections", bounds.collections_max)));
        }
        let bytes = write.key.as_str().len() + write.value.as_ref().map_or(0, |value| value.as_str().len());
        self.account(org, config, now_us).charge(bytes, now_us)?;
        let collections = self.collections.entry(org.clone()).or_default();
        let collection = collections.by_room.entry(write.room.clone()).or_default();
        collection.apply(&write.key, version, write.value.clone(), bounds);
        Ok(self.append(&NewPublication::new(write.room.clone(), event, data), config, now_us))
    }
}

#[async_trait]
impl Collections for MemoryBroker {
    async fn write(&self, write: &NewWrite, _ack: AckLevel) -> Result<Written, WriteError> {
        self.feed_ready(write.room.org()).await;
        self.state.lock().carry_out(write, &self.config, unix_us())
    }

    async fn items(&self, room: &RoomName, after: Option<&ItemKey>) -> Result<Snapshot, ReadError> {
        let bounds = &self.config.collections;
        let mut state = self.state.lock();
        let Some(log) = state.log(room.org(), &self.config, unix_us()) else {
            return Err(ReadError::Unavailable(FULL_OF_ORGS.into()));
        };
        let mut page = Snapshot { room: room.clone(), position: log.last, items: Vec::new(), cursor: None };
        let Some(collection) = state.collections.get(room.org()).and_then(|collections| collections.by_room.get(room)) else {
            return Ok(page);
        };
        let mut bytes = 0;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        for (key, (version, value)) in collection.items.range::<ItemKey, _>((from, Bound::Unbounded)) {
            bytes += cost_bytes(key, value);
            if page.items.len() >= bounds.page_items_max.max(1) || (bytes > bounds.page_bytes_max && !page.items.is_empty()) {
                page.cursor = page.items.last().map(|item| item.key.clone());
                break;
            }
            page.items.push(Item { key: key.clone(), version: *version, value: value.clone() });
        }
        Ok(page)
    }
}
