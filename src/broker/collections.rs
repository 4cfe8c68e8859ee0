//! Collections: items with versions, kept beside an org's log and changed together with it.
//!
//! Every write that changes something is one entry of the log (`sync:insert`, `sync:update`, `sync:delete`), and both are one atomic step
//! of the store, so whoever reads a page and then follows the log from the page's position misses nothing. Sessions, REST and the
//! ingest stream write through [`write`]; `hub::snapshots` reads for sessions.

use std::time::Instant;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AckLevel, Broker, PublishError, ReadError, quota};
use crate::limit::Exceeded;
use crate::protocol::item::{Conflict, ItemKey, ItemValue, NewWrite, Snapshot};
use crate::protocol::{Code, Fault, Position, RoomName};
use crate::telemetry::metrics::{self, WriteOutcome};

/// Bounds of the collections of each org.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Collections of one org that hold items.
    pub collections_max: usize,
    /// Items of one collection.
    pub items_max: usize,
    /// Largest value of an item, as JSON text.
    pub item_bytes_max: usize,
    /// Keys and values of one collection together.
    pub bytes_max: usize,
    /// Deletions remembered per collection; the oldest go first.
    pub tombstones_max: usize,
    /// How long a deletion is remembered.
    pub tombstone_age_max_s: u64,
    /// Items of one page.
    pub page_items_max: usize,
    /// Keys and values of one page, which holds at least one item however large.
    pub page_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            collections_max: 1_000,
            items_max: 10_000,
            item_bytes_max: 64 << 10,
            bytes_max: 16 << 20,
            tombstones_max: 1_000,
            tombstone_age_max_s: 86_400,
            page_items_max: 500,
            page_bytes_max: 128 << 10,
        }
    }
}

/// The outcome of a write.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub key: ItemKey,
    /// That of this write; where nothing was there to delete, the collection's last, or 0.
    pub version: u64,
    /// Where the log tells it; `None` where nothing was there to delete.
    pub position: Option<Position>,
    /// The idempotency key had been used: this is what the first write brought.
    pub duplicate: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteError {
    /// Nothing is known of the outcome: never acknowledge it. A retry with the same key is safe.
    #[error("the broker is not reachable: {0}")]
    Unavailable(String),
    /// The write can never be carried out.
    #[error("the write is refused: {0}")]
    Refused(String),
    /// The item is not as the write demands.
    #[error("the item is another")]
    Conflict(Conflict),
    /// The org has used up a quota; nothing was written.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// A bound of the collection, or of the org's number of them, is reached.
    #[error("there is no room: {0}")]
    Full(String),
}

impl WriteError {
    /// The refusal in the terms of whoever asked for `write`; what the broker said of itself stays in the log.
    pub fn fault(self, write: &NewWrite) -> Fault {
        match self {
            Self::Unavailable(why) => {
                tracing::warn!(why, "a write to a collection was not accepted");
                let text = "the broker cannot be reached, so nothing is known of the write; retry it with the same idempotency_key";
                Fault::new(Code::BrokerUnavailable, text).retry_after_ms(1_000)
            }
            Self::Refused(why) => Fault::new(Code::InvalidMessage, why),
            Self::Conflict(conflict) => conflict.fault(write),
            Self::Exceeded(exceeded) => quota::refusal(&exceeded),
            Self::Full(why) => Fault::new(Code::RoomFull, why),
        }
    }
}

impl From<PublishError> for WriteError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Unavailable(why) => Self::Unavailable(why),
            PublishError::Refused(why) => Self::Refused(why),
            PublishError::Exceeded(exceeded) => Self::Exceeded(exceeded),
        }
    }
}

/// Where collections live: the part of a [`Broker`] that keeps items.
#[async_trait]
pub trait Collections: Send + Sync {
    /// Decides, changes the item and appends to the log, as one atomic step; or does nothing of it.
    async fn write(&self, write: &NewWrite, ack: AckLevel) -> Result<Written, WriteError>;

    /// The items behind the key `after` in the order of keys, as many as a page holds. Begins the org's log when there is none, so that
    /// the position is a place in it. Every write that was acknowledged before the call is in its page.
    async fn items(&self, room: &RoomName, after: Option<&ItemKey>) -> Result<Snapshot, ReadError>;
}

/// Writes, and counts what became of it: the way in for sessions, REST and the ingest stream.
///
/// # Errors
/// As [`Collections::write`].
pub async fn write(broker: &dyn Broker, write: &NewWrite, ack: AckLevel) -> Result<Written, WriteError> {
    let begun = Instant::now();
    let outcome = broker.write(write, ack).await;
    let counted = match &outcome {
        Ok(Written { duplicate: true, .. }) => WriteOutcome::Duplicate,
        Ok(Written { position: None, .. }) => WriteOutcome::Unchanged,
        Ok(_) => WriteOutcome::Written,
        Err(WriteError::Conflict(_)) => WriteOutcome::Conflict,
        Err(WriteError::Full(_)) => WriteOutcome::Full,
        Err(WriteError::Exceeded(_)) => WriteOutcome::Quota,
        Err(WriteError::Refused(_)) => WriteOutcome::Refused,
        Err(WriteError::Unavailable(_)) => WriteOutcome::Unavailable,
    };
    metrics::collection_writes(counted).increment(1);
    if outcome.is_ok() {
        metrics::publish_seconds().record(begun.elapsed().as_secs_f64());
    }
    outcome
}

/// What the publication of a change holds.
pub(super) fn change(key: &ItemKey, version: u64, value: Option<&ItemValue>) -> Bytes {
    #[derive(Serialize)]
    struct Change<'a> {
        key: &'a ItemKey,
        version: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        value: Option<&'a ItemValue>,
    }
    let mut out = BytesMut::new();
    serde_json::to_writer((&mut out).writer(), &Change { key, version, value }).expect("plain data serializes into memory");
    out.freeze()
}
