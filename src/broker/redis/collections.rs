//! Collections in Redis: what is asked of the functions, and what their answers mean.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{ErrorKind, RedisError, RedisResult, ServerErrorKind, Value};

use super::RedisBroker;
use super::connection::reason;
use super::log::{odd_answer, read_error};
use super::quota;
use super::scripts::Function;
use crate::broker::collections::{Collections, WriteError, Written};
use crate::broker::{AckLevel, ReadError, envelope};
use crate::protocol::item::{Conflict, Item, ItemKey, ItemValue, NewWrite, Snapshot};
use crate::protocol::{Position, RoomName};
use crate::telemetry::metrics;

#[async_trait]
impl Collections for RedisBroker {
    async fn write(&self, write: &NewWrite, ack: AckLevel) -> Result<Written, WriteError> {
        let org = write.room.org();
        self.waiting.check(org)?;
        let turn = self.turns.take(org).await;
        let answer = self.call_sync(write, ack).await.map_err(|error| {
            let error = write_error(&error);
            if let WriteError::Exceeded(exceeded) = &error {
                self.waiting.note(org, *exceeded);
            }
            error
        })?;
        drop(turn);
        let written = outcome(answer, write).ok_or_else(|| WriteError::Unavailable("Redis answered something unexpected".into()))??;
        if written.position.is_some_and(|position| position.seq == 1) && !written.duplicate {
            self.note_org(org).await;
        }
        Ok(written)
    }

    async fn items(&self, room: &RoomName, after: Option<&ItemKey>) -> Result<Snapshot, ReadError> {
        let bounds = &self.config.collections;
        let (items_max, bytes_max) = (bounds.page_items_max.max(1).to_string(), bounds.page_bytes_max.to_string());
        let _turn = self.turns.take(room.org()).await;
        let (base, mut after) = (self.keys.base(room.org()), after.map_or_else(Vec::new, |key| key.as_str().into()));
        loop {
            let args = [room.as_str().as_bytes(), &after, items_max.as_bytes(), bytes_max.as_bytes()];
            let answer = self.link.call(Function::Items, &base, &args).await.map_err(|error| read_error(&error))?;
            let Found { page, more, last } = found(answer, room).ok_or_else(odd_answer)?;
            if !more || !page.items.is_empty() {
                return Ok(page);
            }
            // Nothing of a whole page is ours, so it has no key that could be a cursor.
            after = last;
        }
    }
}

impl RedisBroker {
    async fn call_sync(&self, write: &NewWrite, ack: AckLevel) -> RedisResult<Value> {
        let (base, args) = (self.keys.base(write.room.org()), write_args(write));
        let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
        if ack == AckLevel::Primary {
            return self.link.call(Function::Sync, &base, &args).await;
        }
        let wait = Duration::from_millis(self.config.replica_timeout_ms);
        match self.link.call_and_wait(Function::Sync, &base, &args, wait).await? {
            (_, 0) => Err(RedisError::from((ErrorKind::Server(ServerErrorKind::TryAgain), "no replica confirmed it in time"))),
            (answer, _) => Ok(answer),
        }
    }
}

/// Room, operation, key, then what there is besides.
fn write_args(write: &NewWrite) -> Vec<Bytes> {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    // A node has judged what it writes.
    let mut args = vec![text(write.room.as_str()), text(write.op.as_str()), text(write.key.as_str()), text("checked"), text("1")];
    if let Some(value) = &write.value {
        args.extend([text("value"), text(value.as_str())]);
    }
    if let Some(version) = write.if_version {
        args.extend([text("if_version"), text(&version.to_string())]);
    }
    if let Some(key) = &write.idempotency_key {
        args.extend([text("idempotency_key"), text(key)]);
    }
    args
}

/// `None` for an answer that the function does not give.
fn outcome(answer: Value, write: &NewWrite) -> Option<Result<Written, WriteError>> {
    let fields: Vec<Vec<u8>> = match answer {
        Value::Array(fields) => fields.into_iter().map(bytes_of).collect::<Option<_>>()?,
        _ => return None,
    };
    let text = |index: usize| str::from_utf8(fields.get(index)?).ok();
    match text(0)? {
        "written" => {
            let position = text(2)?;
            let position = if position.is_empty() { None } else { Some(position.parse::<Position>().ok()?) };
            let key = ItemKey::new(text(4)?).ok()?;
            Some(Ok(Written { key, version: text(1)?.parse().ok()?, position, duplicate: text(3)? == "1" }))
        }
        "conflict" => {
            let current = match text(1)? {
                "" => None,
                // A value that cannot be read would break the error that tells it, and no page shows the item either. A put mends it.
                version => match ItemValue::read(fields.get(2)?.clone()) {
                    Some(value) => Some(Item { key: write.key.clone(), version: version.parse().ok()?, value }),
                    None => {
                        metrics::items_malformed().increment(1);
                        None
                    }
                },
            };
            let deleted_version = text(3)?.parse().ok();
            Some(Err(WriteError::Conflict(Conflict { current, deleted_version })))
        }
        _ => None,
    }
}

fn bytes_of(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        Value::SimpleString(text) => Some(text.into_bytes()),
        _ => None,
    }
}

fn write_error(error: &RedisError) -> WriteError {
    if let Some(exceeded) = quota::exceeded(error) {
        return exceeded.into();
    }
    let why = || error.detail().unwrap_or("malformed").to_owned();
    match error.code() {
        Some("REFUSED") => WriteError::Refused(why()),
        Some("FULL") => WriteError::Full(why()),
        _ => WriteError::Unavailable(reason(error)),
    }
}

/// A page as Redis has it.
struct Found {
    page: Snapshot,
    /// Whether there are more items.
    more: bool,
    /// The last key of all that stands there, what is none of ours included.
    last: Vec<u8>,
}

fn found(answer: Value, room: &RoomName) -> Option<Found> {
    let (epoch, seq, check, more, flat): (String, String, String, u8, Vec<Value>) = redis::from_redis_value(answer).ok()?;
    let position = Position { epoch: epoch.parse().ok()?, seq: seq.parse().ok()?, check: envelope::hex(&check)? };
    let mut page = Snapshot { room: room.clone(), position, items: Vec::with_capacity(flat.len() / 2), cursor: None };
    let mut last = Vec::new();
    let mut fields = flat.into_iter().map(bytes_of);
    while let (Some(key), Some(stored)) = (fields.next(), fields.next()) {
        last = key?;
        match item(&last, stored?) {
            Some(item) => page.items.push(item),
            // Put there by something else than the function: it would break the page.
            None => metrics::items_malformed().increment(1),
        }
    }
    page.cursor = page.items.last().filter(|_| more == 1).map(|item| item.key.clone());
    Some(Found { page, more: more == 1, last })
}

/// Reads what stands under a key, `<version> <value>`.
fn item(key: &[u8], mut stored: Vec<u8>) -> Option<Item> {
    let key = ItemKey::new(str::from_utf8(key).ok()?).ok()?;
    let space = stored.iter().position(|byte| *byte == b' ')?;
    let value = stored.split_off(space + 1);
    let version = str::from_utf8(&stored[..space]).ok()?.parse().ok()?;
    Some(Item { key, version, value: ItemValue::read(value)? })
}
