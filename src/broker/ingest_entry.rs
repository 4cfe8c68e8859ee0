//! What backends write to the ingest stream, and what nodes make of it. Pure.
//!
//! `redis::ingest` reads an entry with this and publishes it; what is refused here goes to the dead letters, with the reason.
//! docs/publishing.md is the contract.

use std::collections::HashMap;

use super::envelope;
use crate::protocol::publication::{Content, DEPTH_MAX};
use crate::protocol::{EventName, NewPublication, Priority, RoomSyntax};

/// Longest idempotency key of an entry, as the publish function has it.
const KEY_BYTES_MAX: usize = 256;

/// Reads an entry's fields: `room`, `event`, `data`, and options by the names that the publish function knows.
///
/// # Errors
/// What is wrong, for whoever looks at the dead letters.
pub fn read(fields: &HashMap<&str, &[u8]>, syntax: &RoomSyntax, data_bytes_max: usize) -> Result<NewPublication, String> {
    let text = |name: &str| match fields.get(name) {
        Some(value) => std::str::from_utf8(value).map(Some).map_err(|_| format!("{name} is not UTF-8")),
        None => Ok(None),
    };
    let required = |name: &str| text(name)?.ok_or_else(|| format!("{name} is missing"));
    for name in fields.keys() {
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
        if !KNOWN.contains(name) {
            return Err(format!("there is no such field: {}", name.chars().take(64).collect::<String>()));
        }
    }
    let flag = |name: &str, default: bool| match text(name)? {
        None => Ok(default),
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        Some(_) => Err(format!("{name} is 0 or 1")),
    };
    let room = syntax.room(required("room")?).map_err(|fault| fault.message.into_owned())?;
    let event = EventName::parse(required("event")?).map_err(|fault| fault.message.into_owned())?;
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
    publication.requires_ack = flag("requires_ack", false)?;
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
    if let Some(key) = text("idempotency_key")? {
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.chars().any(char::is_control) {
            return Err("an idempotency key is 1 to 256 bytes without control characters".into());
        }
        publication.idempotency_key = Some(key.into());
    }
    Ok(publication)
}
