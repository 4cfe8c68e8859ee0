//! An org's log: what is asked of the functions, and what their answers mean.
//!
//! `redis.rs` calls these for the trait, `ingest` through the trait. Nothing here keeps state.

use std::time::Duration;

use bytes::Bytes;
use redis::{RedisError, Value};

use super::connection::reason;
use super::keys::Keys;
use super::link::Link;
use super::quota;
use super::scripts::Function;
use crate::broker::{AckLevel, LogState, Page, PageLimit, PublishError, Published, ReadError, envelope};
use crate::protocol::publication::Content;
use crate::protocol::{NewPublication, OrgId, Position, RoomSyntax};

/// Most entries that one read asks of Redis, whatever the caller would take: a call must not hold the server up.
const READ_ENTRIES_MAX: usize = 1_000;

/// Publishes by the function, and waits for a replica where that is asked.
pub(super) async fn publish(
    link: &Link,
    keys: &Keys,
    publication: &NewPublication,
    ack: AckLevel,
    replica_timeout: Duration,
) -> Result<Published, PublishError> {
    let args = publish_args(publication);
    let args: Vec<&[u8]> = args.iter().map(AsRef::as_ref).collect();
    let base = keys.base(publication.room.org());
    if ack == AckLevel::Primary || !publication.log {
        let answer: Value = link.call(Function::Publish, &base, &args).await.map_err(|error| publish_error(&error))?;
        return published(answer);
    }
    let (answer, replicas) =
        link.call_and_wait(Function::Publish, &base, &args, replica_timeout).await.map_err(|error| publish_error(&error))?;
    if replicas == 0 {
        return Err(PublishError::Unavailable("no replica confirmed it in time".into()));
    }
    published(answer)
}

/// Room, event, data, then what differs from the defaults.
fn publish_args(publication: &NewPublication) -> Vec<Bytes> {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mut args = vec![text(publication.room.as_str()), text(publication.event.as_str()), publication.data.clone()];
    let mut option = |name: &'static str, value: Bytes| args.extend([Bytes::from_static(name.as_bytes()), value]);
    option("priority", text(publication.priority.as_str()));
    // A node has parsed what it publishes.
    option("checked", text("1"));
    let are_bytes = publication.content == Content::Bytes;
    for (name, set) in [("cascade", publication.cascade), ("requires_ack", publication.requires_ack), ("bytes", are_bytes)] {
        if set {
            option(name, text("1"));
        }
    }
    if !publication.log {
        option("log", text("0"));
    }
    if let Some(key) = &publication.idempotency_key {
        option("idempotency_key", text(key));
    }
    if let Some(user) = &publication.receipt_to {
        option("receipt_to", text(user));
    }
    if let Some(ttl_ms) = publication.ttl_ms {
        option("ttl_ms", text(&ttl_ms.to_string()));
    }
    if let Some(headers) = &publication.headers {
        option("headers", text(headers));
    }
    if !publication.sessions.is_empty() {
        let sessions: Vec<_> = publication.sessions.iter().map(ToString::to_string).collect();
        option("sessions", text(&sessions.join(",")));
    }
    args
}

fn published(answer: Value) -> Result<Published, PublishError> {
    let odd = || PublishError::Unavailable("Redis answered something else than a position".into());
    let (position, duplicate): (String, u8) = redis::from_redis_value(answer).map_err(|_| odd())?;
    let position = if position.is_empty() { None } else { Some(position.parse::<Position>().map_err(|_| odd())?) };
    Ok(Published { position, duplicate: duplicate == 1 })
}

fn publish_error(error: &RedisError) -> PublishError {
    if let Some(exceeded) = quota::exceeded(error) {
        return exceeded.into();
    }
    match error.code() {
        Some("REFUSED") => PublishError::Refused(error.detail().unwrap_or("malformed").to_owned()),
        // The rest may pass or needs an operator (OOM, NOPERM, READONLY, LOADING, …): nothing is wrong with the publication.
        _ => PublishError::Unavailable(reason(error)),
    }
}

pub(super) fn read_error(error: &RedisError) -> ReadError {
    ReadError::Unavailable(reason(error))
}

pub(super) fn odd_answer() -> ReadError {
    ReadError::Unavailable("Redis answered something unexpected".into())
}

pub(super) async fn open(link: &Link, keys: &Keys, org: &OrgId) -> Result<LogState, ReadError> {
    let answer: Value = link.call(Function::Open, &keys.base(org), &[]).await.map_err(|error| read_error(&error))?;
    log_state(answer).ok_or_else(odd_answer)
}

/// The newest place in the org's log; `None` where it has none.
pub(super) async fn newest(link: &Link, keys: &Keys, org: &OrgId) -> Result<Option<Position>, ReadError> {
    let answer: Value = link.call(Function::Newest, &keys.base(org), &[]).await.map_err(|error| read_error(&error))?;
    let place: Option<(String, String, String)> = redis::from_redis_value(answer).ok();
    Ok(place.and_then(|(epoch, seq, check)| position(&epoch, &seq, &check)))
}

fn log_state(answer: Value) -> Option<LogState> {
    let (epoch, seq, check, first): (String, String, String, String) = redis::from_redis_value(answer).ok()?;
    Some(LogState { last: position(&epoch, &seq, &check)?, first_seq: first.parse().ok()? })
}

fn position(epoch: &str, seq: &str, check: &str) -> Option<Position> {
    Some(Position { epoch: epoch.parse().ok()?, seq: seq.parse().ok()?, check: envelope::hex(check)? })
}

pub(super) async fn read(
    link: &Link,
    keys: &Keys,
    syntax: &RoomSyntax,
    org: &OrgId,
    from_seq: u64,
    limit: PageLimit,
    data_bytes_max: usize,
) -> Result<Page, ReadError> {
    let from = from_seq.to_string();
    let entries_max = limit.entries.clamp(1, READ_ENTRIES_MAX).to_string();
    let bytes_max = limit.bytes.to_string();
    let args = [from.as_bytes(), entries_max.as_bytes(), bytes_max.as_bytes()];
    let answer: Value = link.call(Function::Read, &keys.base(org), &args).await.map_err(|error| read_error(&error))?;
    page(answer, org, syntax, data_bytes_max).ok_or_else(odd_answer)
}

fn page(answer: Value, org: &OrgId, syntax: &RoomSyntax, data_bytes_max: usize) -> Option<Page> {
    let (epoch, end, flat): (String, u8, Vec<Value>) = redis::from_redis_value(answer).ok()?;
    let epoch = epoch.parse().ok()?;
    let mut entries = Vec::with_capacity(flat.len() / 3);
    let mut flat = flat.into_iter();
    while let (Some(Value::BulkString(seq)), Some(Value::BulkString(header)), Some(Value::BulkString(data))) =
        (flat.next(), flat.next(), flat.next())
    {
        let seq = std::str::from_utf8(&seq).ok()?.parse().ok()?;
        // Without its data an entry is malformed, which keeps its number and reaches nobody.
        let data = if data.len() > data_bytes_max { Vec::new() } else { data };
        entries.push(envelope::log_entry(epoch, seq, &header, data.into(), org, syntax));
    }
    Some(Page { epoch, entries, end: end == 1 })
}
