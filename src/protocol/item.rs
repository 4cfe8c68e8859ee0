//! Items: what a collection holds, and what may be asked of it (docs/collections.md). Pure.
//!
//! Sessions, REST and the ingest stream make a [`NewWrite`] here, so a broker never sees a key or a value that has not been judged.
//! Versions, conflicts and what a page holds are the broker's (`broker::collections`).

use std::borrow::{Borrow, Cow};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::code::{Code, Fault};
use super::position::Position;
use super::publication::{DEPTH_MAX, is_deeper_than, is_paired};
use super::room::{OrgId, RoomName, RoomSyntax, invalid};

/// The channel of the rooms that hold collections.
pub const CHANNEL: &str = "sync";
/// Longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Deepest nesting of a value. A page wraps it into four further levels, and receivers parse recursively.
pub const VALUE_DEPTH_MAX: usize = DEPTH_MAX - 4;

/// Reads the room of a collection of `own`.
///
/// # Errors
/// `INVALID_ROOM` for a pattern, another channel than `sync`, and another org's room.
pub fn collection_room(text: &str, syntax: &RoomSyntax, own: &OrgId) -> Result<RoomName, Fault> {
    let room = syntax.room(text)?;
    if room.channel() != CHANNEL {
        return Err(invalid(text, "collections lie in rooms of the channel sync, as in sync:acme:tasks"));
    }
    if room.org() != own {
        return Err(invalid(text, "it is another organization's"));
    }
    Ok(room)
}

/// What names an item within its collection.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize)]
#[serde(transparent)]
pub struct ItemKey(Box<str>);

impl ItemKey {
    /// # Errors
    /// `INVALID_MESSAGE` when it is empty or longer than 128 bytes.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, Fault> {
        let text = text.into();
        if text.is_empty() || text.len() > KEY_BYTES_MAX {
            return Err(Fault::new(Code::InvalidMessage, "the key of an item is 1 to 128 bytes"));
        }
        Ok(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ItemKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ItemKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for ItemKey {
    fn schema_name() -> Cow<'static, str> {
        "SyncKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "Names an item within its collection; 1 to 128 bytes.", "type": "string", "minLength": 1 })
    }
}

/// The value of an item: one JSON value as text, which goes into messages as it stands.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ItemValue(Box<RawValue>);

impl ItemValue {
    /// # Errors
    /// `INVALID_MESSAGE` when it is nested too deeply or holds half a surrogate pair.
    pub fn new(json: Box<RawValue>) -> Result<Self, Fault> {
        if is_deeper_than(VALUE_DEPTH_MAX, json.get().as_bytes()) {
            return Err(Fault::new(Code::InvalidMessage, format!("the value is nested deeper than {VALUE_DEPTH_MAX} levels")));
        }
        if !is_paired(json.get().as_bytes()) {
            return Err(Fault::new(Code::InvalidMessage, "the value holds half a surrogate pair"));
        }
        Ok(Self(json))
    }

    /// Reads what stands in a store, where anybody may have put it; `None` for what is no value.
    pub fn read(json: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(json).ok()?;
        // Judged before it is parsed: whatever reads it recursively must be able to.
        if is_deeper_than(VALUE_DEPTH_MAX, text.as_bytes()) {
            return None;
        }
        Self::new(RawValue::from_string(text).ok()?).ok()
    }

    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl<'a> From<&'a ItemValue> for &'a RawValue {
    fn from(value: &'a ItemValue) -> Self {
        &value.0
    }
}

impl PartialEq for ItemValue {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ItemValue {}

/// One item as it stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "SyncItem")]
pub struct Item {
    pub key: ItemKey,
    /// Greater than those of all writes to the collection before. Compare it, and hand it back as `if_version`.
    pub version: u64,
    /// Any JSON value.
    #[schemars(with = "serde_json::Value")]
    pub value: ItemValue,
}

/// What a write does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "SyncOp", description = "What a write does: `put` inserts or updates, whatever stands there.")]
pub enum Op {
    Insert,
    Update,
    Delete,
    Put,
}

impl Op {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Put => "put",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Insert, Self::Update, Self::Delete, Self::Put].into_iter().find(|op| op.as_str() == text)
    }
}

/// A write that a publisher hands in, checked: the broker decides what becomes of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewWrite {
    pub room: RoomName,
    pub op: Op,
    pub key: ItemKey,
    /// There for every operation but `delete`.
    pub value: Option<ItemValue>,
    /// Only if the item has this version.
    pub if_version: Option<u64>,
    /// The same key is carried out once within the configured window, whatever is retried.
    pub idempotency_key: Option<Box<str>>,
}

impl NewWrite {
    /// `room` is a collection's. A value that comes with `delete` is dropped.
    ///
    /// # Errors
    /// `INVALID_MESSAGE` when the value is missing, or an insert asks for a version.
    pub fn new(room: RoomName, op: Op, key: ItemKey, value: Option<ItemValue>, if_version: Option<u64>) -> Result<Self, Fault> {
        if op == Op::Insert && if_version.is_some() {
            return Err(Fault::new(Code::InvalidMessage, "an insert has no if_version: it is for a key that does not exist"));
        }
        let value = value.filter(|_| op != Op::Delete);
        if value.is_none() && op != Op::Delete {
            return Err(Fault::new(Code::InvalidMessage, format!("{} needs a value", op.as_str())));
        }
        Ok(Self { room, op, key, value, if_version, idempotency_key: None })
    }

    #[must_use]
    pub fn with_idempotency_key(mut self, key: Option<Box<str>>) -> Self {
        self.idempotency_key = key;
        self
    }
}

/// What stands in the way of a write.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
pub struct Conflict {
    /// The item as it is; `null` when there is none.
    pub current: Option<Item>,
    /// The version of its deletion, where there is none and that is remembered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted_version: Option<u64>,
}

impl Conflict {
    /// The refusal that tells it to whoever asked for `write`.
    pub fn fault(self, write: &NewWrite) -> Fault {
        let key = &write.key;
        let stands = match (&self.current, self.deleted_version) {
            (Some(item), _) => format!("{key} has version {}", item.version),
            (None, Some(version)) => format!("{key} was deleted at version {version}"),
            (None, None) => format!("{key} does not exist"),
        };
        let wanted = write.if_version.filter(|_| self.current.is_some()).map_or_else(String::new, |version| format!(", not {version}"));
        let mut fault = Fault::new(Code::Conflict, format!("{stands}{wanted}: read it and decide again"));
        fault.conflict = Some(Box::new(self));
        fault
    }
}

/// One page of a collection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, JsonSchema)]
#[schemars(rename = "SyncSnapshotData")]
pub struct Snapshot {
    pub room: RoomName,
    /// A place in the log such that every change up to it is in this page.
    pub position: Position,
    /// In the order of their keys' bytes.
    pub items: Vec<Item>,
    /// There are more items than these: send it along for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "ItemKey")]
    pub cursor: Option<ItemKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(text: &str) -> Result<RoomName, Fault> {
        collection_room(text, &RoomSyntax::new(4, ["kpi", "sync"]), &OrgId::parse("acme").unwrap())
    }

    fn value(json: &str) -> Option<ItemValue> {
        ItemValue::read(json.into())
    }

    #[test]
    fn a_collection_is_a_room_of_its_channel_and_of_ones_own_org() {
        assert_eq!(room("sync:org:acme:dept:tasks").unwrap().as_str(), "sync:acme:tasks");
        for bad in ["kpi:acme:tasks", "sync:umbrella:tasks", "sync:acme:*", "sync:acme:**", "sync", ""] {
            assert_eq!(room(bad).unwrap_err().code, Code::InvalidRoom, "{bad}");
        }
    }

    #[test]
    fn what_stands_in_a_store_is_a_value_or_nothing() {
        for good in ["null", "0", " {\"a\":[1]} ", "\"\\ud83d\\ude00\""] {
            assert!(value(good).is_some(), "{good}");
        }
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(value(&deep(VALUE_DEPTH_MAX)).is_some() && value(&deep(VALUE_DEPTH_MAX + 1)).is_none() && value(&deep(100_000)).is_none());
        for bad in ["", "{", "1 2", "NaN", "\"\\ud83d\"", "{\"a\":1},{\"b\":2}"] {
            assert!(value(bad).is_none(), "{bad}");
        }
        assert!(ItemValue::read(b"\"\xff\"".to_vec()).is_none());
    }

    #[test]
    fn a_write_says_all_that_it_needs() {
        let (room, key) = (room("sync:acme:tasks").unwrap(), ItemKey::new("a").unwrap());
        let write = |op, text: Option<&str>, version| NewWrite::new(room.clone(), op, key.clone(), text.and_then(value), version);
        assert!(write(Op::Insert, Some("1"), None).is_ok() && write(Op::Put, Some("null"), Some(1)).is_ok());
        assert_eq!(write(Op::Delete, Some("1"), Some(1)).unwrap().value, None);
        for (op, text, version) in
            [(Op::Insert, None, None), (Op::Update, None, Some(1)), (Op::Put, None, None), (Op::Insert, Some("1"), Some(1))]
        {
            assert_eq!(write(op, text, version).unwrap_err().code, Code::InvalidMessage, "{op:?}");
        }
        assert!(ItemKey::new("").is_err() && ItemKey::new("x".repeat(129)).is_err() && ItemKey::new("é".repeat(64)).is_ok());
    }
}
