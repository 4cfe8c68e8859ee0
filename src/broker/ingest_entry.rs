//! What backends write to the ingest stream, and what nodes make of it. Pure.
//!
//! `redis::ingest` reads an entry with this and publishes it; what is refused here goes to the dead letters, with the reason.
//! docs/publishing.md is the contract.

use std::collections::HashMap;

use super::{envelope, ingest_write};
use crate::protocol::event::OF_COLLECTIONS;
use crate::protocol::item::NewWrite;
use crate::protocol::publication::{Content, DEPTH_MAX, requires_ack};
use crate::protocol::{EventName, NewPublication, OrgId, Priority, RoomSyntax};

/// Longest idempotency key of an entry, as the publish function has it.
const KEY_BYTES_MAX: usize = 256;

/// What an entry wants.
#[derive(Debug)]
pub enum Wish {
    Publish(Box<NewPublication>),
    /// It has a field `op` or `table` (`ingest_write`).
    Write(Box<NewWrite>),
}

impl Wish {
    pub fn org(&self) -> &OrgId {
        match self {
            Self::Publish(publication) => publication.room.org(),
            Self::Write(write) => write.room.org(),
        }
    }

    /// Gives it a key unless it has one of its own.
    pub fn default_key(&mut self, key: impl FnOnce() -> Box<str>) {
        let own = match self {
            Self::Publish(publication) => &mut publication.idempotency_key,
            Self::Write(write) => &mut write.idempotency_key,
        };
        own.get_or_insert_with(key);
    }
}

/// Reads an entry's fields.
///
/// # Errors
/// What is wrong, for whoever looks at the dead letters.
pub fn read(fields: &Fields<'_>, syntax: &RoomSyntax, data_bytes_max: usize) -> Result<Wish, String> {
    if fields.contains_key("op") {
        return ingest_write::write(fields, syntax).map(Box::new).map(Wish::Write);
    }
    if fields.contains_key("table") {
        return ingest_write::change(fields, syntax).map(Box::new).map(Wish::Write);
    }
    publication(fields, syntax, data_bytes_max).map(Box::new).map(Wish::Publish)
}

/// A publication: `room`, `event`, `data`, and options by the names that the publish function knows.
fn publication(fields: &Fields<'_>, syntax: &RoomSyntax, data_bytes_max: usize) -> Result<NewPublication, String> {
    const KNOWN: [&str; 12] = [
        "room",
        "event",
        "data",
        "bytes",
        "priority",
        "idempotency_key",
        "ttl_ms",
        "cascade",
        "requires_ack",
        "log",
        "headers",
        "sessions",
    ];
    only(fields, &KNOWN)?;
    let text = |name: &str| text(fields, name);
    let required = |name: &str| required(fields, name);
    let room = syntax.room(required("room")?).map_err(|fault| fault.message.into_owned())?;
    let event = EventName::parse(required("event")?).map_err(|fault| fault.message.into_owned())?;
    if event.as_str().starts_with(OF_COLLECTIONS) {
        return Err("the events of collections are not published: give op, key and value".into());
    }
    let flag = |name: &str, default: bool| match text(name)? {
        None => Ok(default),
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(format!("{name} is 0 or 1")),
    };
    let data = *fields.get("data").ok_or("data is missing")?;
    let are_bytes = flag("bytes", false)?;
    if are_bytes && data.len() > data_bytes_max {
        return Err(format!("data are at most {data_bytes_max} bytes"));
    }
    if !are_bytes && (data.len() > data_bytes_max || !envelope::is_data(data)) {
        return Err(format!("data is one JSON value of at most {data_bytes_max} bytes, nested less than {DEPTH_MAX} levels deep"));
    }
    let mut publication = NewPublication::new(room, event, data.to_vec());
    publication.content = if are_bytes { Content::Bytes } else { Content::Json };
    if let Some(priority) = text("priority")? {
        publication.priority = Priority::parse(priority).ok_or("priority is low, medium, high or urgent")?;
    }
    publication.log = flag("log", true)?;
    publication.cascade = flag("cascade", false)?;
    publication.requires_ack = requires_ack(flag("requires_ack", false)?, publication.log).map_err(|fault| fault.message.into_owned())?;
    if let Some(ttl_ms) = text("ttl_ms")? {
        publication.ttl_ms = Some(ttl_ms.parse().map_err(|_| "ttl_ms is a whole number of milliseconds")?);
    }
    if let Some(headers) = text("headers")? {
        serde_json::from_str::<HashMap<String, String>>(headers).map_err(|_| "headers is a JSON object of strings")?;
        publication.headers = Some(headers.into());
    }
    if let Some(sessions) = text("sessions")? {
        publication.sessions =
            sessions.split(',').map(str::parse).collect::<Result<_, _>>().map_err(|_| "sessions is a list of session ids")?;
    }
    publication.idempotency_key = idempotency_key(fields)?;
    Ok(publication)
}

/// The fields of an entry by their names.
pub type Fields<'a> = HashMap<&'a str, &'a [u8]>;

pub(super) fn text<'a>(fields: &Fields<'a>, name: &str) -> Result<Option<&'a str>, String> {
    match fields.get(name) {
        Some(value) => std::str::from_utf8(value).map(Some).map_err(|_| format!("{name} is not UTF-8")),
        None => Ok(None),
    }
}

pub(super) fn required<'a>(fields: &Fields<'a>, name: &str) -> Result<&'a str, String> {
    text(fields, name)?.ok_or_else(|| format!("{name} is missing"))
}

/// A misspelt field would pass unnoticed.
pub(super) fn only(fields: &Fields<'_>, known: &[&str]) -> Result<(), String> {
    match fields.keys().find(|name| !known.contains(name)) {
        Some(name) => Err(format!("there is no such field: {}", name.chars().take(64).collect::<String>())),
        None => Ok(()),
    }
}

pub(super) fn idempotency_key(fields: &Fields<'_>) -> Result<Option<Box<str>>, String> {
    let key = text(fields, "idempotency_key")?;
    if key.is_some_and(|key| key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control)) {
        return Err("an idempotency key is 1 to 256 bytes without control characters".into());
    }
    Ok(key.map(Into::into))
}
