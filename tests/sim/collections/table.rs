//! The items of one collection as a mirror has them, by the rule of docs/collections.md.

use std::collections::BTreeMap;

use roomcast::protocol::item::Item;
use serde_json::Value;

type Items = BTreeMap<String, (u64, Value)>;

#[derive(Default)]
pub struct Table {
    pub items: Items,
    /// The snapshot that is being read. Changes that come meanwhile go into both.
    fresh: Option<Items>,
    deleted: BTreeMap<String, u64>,
}

impl Table {
    /// A change as a publication tells it; without a value it is a deletion.
    pub fn apply(&mut self, change: &Value) {
        let (key, version) = (change["key"].as_str().unwrap(), change["version"].as_u64().unwrap());
        if let Some(value) = change.get("value") {
            for items in [&mut self.items].into_iter().chain(&mut self.fresh) {
                put(items, &self.deleted, key, version, value.clone());
            }
            return;
        }
        for items in [&mut self.items].into_iter().chain(&mut self.fresh) {
            if items.get(key).is_some_and(|(known, _)| *known <= version) {
                items.remove(key);
            }
        }
        let known = self.deleted.entry(key.to_owned()).or_default();
        *known = (*known).max(version);
    }

    pub fn begin(&mut self) {
        self.fresh = Some(Items::new());
        self.deleted.clear();
    }

    pub fn page(&mut self, page: &[Item]) {
        let Some(fresh) = &mut self.fresh else { return };
        for item in page {
            put(fresh, &self.deleted, item.key.as_str(), item.version, serde_json::from_str(item.value.as_str()).unwrap());
        }
    }

    /// What was on no page and in no change is gone.
    pub fn finish(&mut self) {
        if let Some(fresh) = self.fresh.take() {
            self.items = fresh;
        }
    }
}

fn put(items: &mut Items, deleted: &BTreeMap<String, u64>, key: &str, version: u64, value: Value) {
    let known = items.get(key).map_or(0, |(version, _)| *version).max(deleted.get(key).copied().unwrap_or(0));
    if version > known {
        items.insert(key.to_owned(), (version, value));
    }
}
