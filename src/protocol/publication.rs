//! Publications: one message in an org's log, or an ephemeral one beside it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::code::{Code, Fault};
use super::event::EventName;
use super::position::Position;
use super::room::{RoomName, SessionId};

/// End to end: `urgent` overtakes in send queues, `low` is the first to be conflated.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
#[schemars(description = "Carried from the publisher to the receivers.")]
pub enum Priority {
    Low,
    #[default]
    Medium,
    High,
    Urgent,
}

impl Priority {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Urgent => "urgent",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High, Self::Urgent].into_iter().find(|priority| priority.as_str() == text)
    }
}

/// What a publication's data are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Content {
    /// Any JSON value, as text.
    #[default]
    Json,
    /// Bytes that mean nothing here: base64 in JSON, `bin` in MessagePack.
    Bytes,
}

/// How data that JSON has no words for are spelled in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, schemars::JsonSchema, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(description = "`data` is a text that holds bytes in base64 (RFC 4648 section 4, with padding).")]
pub enum Spelling {
    Base64,
}

/// The data of a publication that came as JSON.
///
/// # Errors
/// `INVALID_MESSAGE` when they were to be base64 and are not.
pub fn data_of(json: &RawValue, spelling: Option<Spelling>) -> Result<(Bytes, Content), Fault> {
    match spelling {
        None => Ok((Bytes::copy_from_slice(json.get().as_bytes()), Content::Json)),
        Some(Spelling::Base64) => {
            let bytes = serde_json::from_str::<String>(json.get()).ok().and_then(|text| STANDARD.decode(text).ok());
            let text = "with encoding base64 the data must be a text in base64, with padding";
            Ok((bytes.ok_or_else(|| Fault::new(Code::InvalidMessage, text))?.into(), Content::Bytes))
        }
    }
}

/// What a publisher hands in, checked: the broker gives it its place in the log.
#[derive(Clone, PartialEq, Debug)]
pub struct NewPublication {
    pub room: RoomName,
    pub event: EventName,
    /// Any JSON value as text, or bytes; nodes pass it on without parsing it.
    pub data: Bytes,
    pub content: Content,
    pub priority: Priority,
    /// `false`: ephemeral, delivered to whoever is connected, neither logged nor replayed.
    pub log: bool,
    /// Reaches subscriptions on rooms below `room` too.
    pub cascade: bool,
    pub requires_ack: bool,
    /// The user of the org who is told when the receipts of a publication that asks to be acknowledged are complete.
    pub receipt_to: Option<Box<str>>,
    /// The same key is logged once within the configured window, whatever is retried.
    pub idempotency_key: Option<Box<str>>,
    /// Not worth replaying after this long.
    pub ttl_ms: Option<u64>,
    /// A JSON object of strings, `traceparent` among them.
    pub headers: Option<Box<str>>,
    /// Only these sessions get it; empty means everyone whom the room reaches.
    pub sessions: Vec<SessionId>,
}

impl NewPublication {
    /// A logged publication of medium priority and no options.
    pub fn new(room: RoomName, event: EventName, data: impl Into<Bytes>) -> Self {
        Self {
            room,
            event,
            data: data.into(),
            content: Content::Json,
            priority: Priority::Medium,
            log: true,
            cascade: false,
            requires_ack: false,
            receipt_to: None,
            idempotency_key: None,
            ttl_ms: None,
            headers: None,
            sessions: Vec::new(),
        }
    }

    /// The publication as it is read back from its place, appended (or, ephemeral, published) at `time_us`.
    pub fn placed(&self, position: Option<Position>, time_us: u64) -> Publication {
        Publication {
            position,
            time_us,
            room: self.room.clone(),
            event: self.event.clone(),
            data: self.data.clone(),
            content: self.content,
            priority: self.priority,
            cascade: self.cascade,
            requires_ack: self.requires_ack,
            ttl_ms: self.ttl_ms,
            headers: self.headers.clone(),
            sessions: self.sessions.clone(),
        }
    }
}

/// A publication as nodes see it come back from the broker.
#[derive(Clone, PartialEq, Debug)]
pub struct Publication {
    /// Its place in the log and its id; `None` for an ephemeral one.
    pub position: Option<Position>,
    /// When it was appended (or, ephemeral, published), Unix microseconds. For a logged one this is `position.check`.
    pub time_us: u64,
    pub room: RoomName,
    pub event: EventName,
    /// Any JSON value as text, or bytes.
    pub data: Bytes,
    pub content: Content,
    pub priority: Priority,
    pub cascade: bool,
    pub requires_ack: bool,
    pub ttl_ms: Option<u64>,
    pub headers: Option<Box<str>>,
    pub sessions: Vec<SessionId>,
}

impl Publication {
    /// The data as JSON text, which bytes are not: whoever looks into data looks here.
    pub fn json(&self) -> Option<&Bytes> {
        (self.content == Content::Json).then_some(&self.data)
    }

    /// Whether a replay at `now_us` may leave it out.
    pub fn expired_at(&self, now_us: u64) -> bool {
        self.ttl_ms.is_some_and(|ttl_ms| now_us > self.time_us.saturating_add(ttl_ms.saturating_mul(1_000)))
    }

    /// What it costs in memory, roughly: the measure of every bounded buffer of publications, in bytes.
    pub fn cost_bytes(&self) -> usize {
        let fixed = size_of::<Self>();
        fixed
            + self.data.len()
            + self.room.as_str().len()
            + self.event.as_str().len()
            + self.headers.as_ref().map_or(0, |headers| headers.len())
    }
}

/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Deepest nesting of a message that brings a publication: receivers parse recursively, so nothing deeper is passed on.
pub const DEPTH_MAX: usize = 64;
/// Longest headers, in bytes of JSON text.
pub const HEADERS_BYTES_MAX: usize = 4_096;

/// What a publisher says of acknowledgements, held against what it says of the log.
///
/// # Errors
/// `INVALID_MESSAGE`: only what is logged can be sent again.
pub fn requires_ack(requires_ack: bool, log: bool) -> Result<bool, Fault> {
    if requires_ack && !log {
        return Err(Fault::new(Code::InvalidMessage, "only what is logged can be acknowledged: requires_ack excludes log: false"));
    }
    Ok(requires_ack)
}

/// # Errors
/// `INVALID_MESSAGE` when the key is empty, longer than 128 bytes or has control characters.
pub fn idempotency_key(key: Option<String>) -> Result<Option<Box<str>>, Fault> {
    match key {
        Some(key) if key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX || key.chars().any(char::is_control) => {
            Err(Fault::new(Code::InvalidMessage, "idempotency_key must be 1 to 128 bytes without control characters"))
        }
        key => Ok(key.map(Into::into)),
    }
}

/// # Errors
/// `INVALID_MESSAGE` when the headers come to more than 4 KiB.
pub fn headers(headers: Option<&BTreeMap<String, String>>) -> Result<Option<Box<str>>, Fault> {
    let Some(headers) = headers.filter(|headers| !headers.is_empty()) else { return Ok(None) };
    let text = serde_json::to_string(headers).unwrap_or_default();
    if text.len() > HEADERS_BYTES_MAX {
        return Err(Fault::new(Code::InvalidMessage, "headers come to more than 4096 bytes"));
    }
    Ok(Some(text.into()))
}

/// Whether every escaped surrogate has its other half. Half a character is JSON by its grammar, and yet no text: many a receiver would
/// refuse the whole message for it (RFC 8259 section 8.2).
pub fn is_paired(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        rest = match rest.get(at + 1) {
            Some(b'u') => match surrogate(&rest[at..]) {
                Some(Half::High) if surrogate(rest.get(at + 6..).unwrap_or_default()) == Some(Half::Low) => &rest[at + 12..],
                Some(_) => return false,
                None => &rest[at + 2..],
            },
            Some(_) => &rest[at + 2..],
            None => return true,
        };
    }
    true
}

#[derive(PartialEq)]
enum Half {
    High,
    Low,
}

/// What half of a pair the text begins with, as in `\ud83d`.
fn surrogate(json: &[u8]) -> Option<Half> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    match u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
    }
}

/// Whether brackets are nested deeper than `max` outside of strings. For text that is no JSON the answer means nothing, and parsing tells.
pub fn is_deeper_than(max: usize, json: &[u8]) -> bool {
    // Most messages do not even have so many brackets, and counting is many times faster than following.
    let opening = json.iter().filter(|byte| matches!(byte, b'{' | b'[')).count();
    opening > max && depth(json) > max
}

fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surrogates_are_whole_or_not_at_all() {
        for whole in [
            r#""\ud83d\ude00""#,
            r#""\u00e9""#,
            r#""\\ud83d""#,
            r#""\\\\ud83d""#,
            r#""\"\n\/""#,
            "[]",
            "",
            "\\",
            r"\u12",
            r#""\uD83D\uDE00\uD83D\uDE00""#,
        ] {
            assert!(is_paired(whole.as_bytes()), "{whole}");
        }
        for half in
            [r#""\ud83d""#, r#""\ude00""#, r#""\ud83dx""#, r#""\ude00\ud83d""#, r#""\ud83d\ud83d\ude00""#, r#""\ud83d\n""#, r#""\\\ud83d""#]
        {
            assert!(!is_paired(half.as_bytes()), "{half}");
            assert!(serde_json::from_str::<String>(half).is_err(), "{half}");
        }
    }
}
