//! The commands of collections as clients spell them: `sync:subscribe` and `sync:write` (docs/collections.md).
//!
//! `command.rs` reads them, the session's machine turns them into what the broker is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::protocol::code::Fault;
use crate::protocol::item::{ItemKey, ItemValue, NewWrite, Op};
use crate::protocol::publication::{IDEMPOTENCY_KEY_BYTES_MAX, idempotency_key};
use crate::protocol::room::RoomName;

/// Which page of which collection to read. It subscribes to nothing.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SyncSubscribeData")]
pub struct SyncSubscribe {
    /// A room of the channel `sync`, in short or long form.
    pub room: String,
    /// That of the page before; without one the first page is meant.
    #[serde(default)]
    pub cursor: Option<String>,
}

impl SyncSubscribe {
    /// The last key of the page before.
    ///
    /// # Errors
    /// `INVALID_MESSAGE` for a cursor that no page can have had.
    pub fn after(self) -> Result<Option<ItemKey>, Fault> {
        self.cursor.map(ItemKey::new).transpose()
    }
}

/// One change of one item.
#[derive(Debug, Deserialize, JsonSchema)]
#[schemars(rename = "SyncWriteData")]
pub struct SyncWrite {
    /// A room of the channel `sync`, in short or long form.
    pub room: String,
    pub op: Op,
    #[schemars(with = "ItemKey")]
    pub key: String,
    /// Any JSON value, at most 64 KiB as text; not for `delete`.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<serde_json::Value>")]
    pub value: Option<Box<RawValue>>,
    /// Only if the item has this version; not for `insert`.
    #[serde(default)]
    pub if_version: Option<u64>,
    /// The same key in the same org is carried out once, whatever is sent again.
    #[schemars(length(min = 1, max = IDEMPOTENCY_KEY_BYTES_MAX))]
    pub idempotency_key: String,
}

/// A `null` that is there is a value like any other.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(deserializer).map(Some)
}

impl SyncWrite {
    /// The write into `room`, which is what the command's room means.
    ///
    /// # Errors
    /// `INVALID_MESSAGE`, saying what is wrong with it.
    pub fn write(self, room: RoomName) -> Result<NewWrite, Fault> {
        let value = self.value.map(ItemValue::new).transpose()?;
        let write = NewWrite::new(room, self.op, ItemKey::new(self.key)?, value, self.if_version)?;
        Ok(write.with_idempotency_key(idempotency_key(Some(self.idempotency_key))?))
    }
}
