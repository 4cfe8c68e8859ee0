//! The native protocol as JSON text, without any framing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};
use schemars::JsonSchema;
use serde::Serialize;
use time::OffsetDateTime;

use crate::protocol::code::Code;
use crate::protocol::pattern::Pattern;
use crate::protocol::position::Position;
use crate::protocol::presence::Diff;
use crate::protocol::publication::{Content, Priority, Publication};
use crate::protocol::push::{Answer, Manner, Push, Reply};
use crate::protocol::room::RoomName;

/// Appends `push` as one JSON object: `{"event":…,…}`.
pub fn push(push: &Push<'_>, out: &mut BytesMut) {
    match push {
        Push::Publication { publication, manner } => write_publication(publication, *manner, out),
        Push::Gap(gap) => message("gap", None, gap, out),
        Push::Conflated(conflated) => message("conflated", None, conflated, out),
        Push::Position(position) => message("position", None, &At { position: *position }, out),
        Push::TokenExpiring { expires_at } => message("token:expiring", None, &Expiring { expires_at: *expires_at }, out),
        Push::Unsubscribed { rooms, fault } => {
            message("unsubscribed", None, &Ended { rooms, code: fault.code, message: &fault.message }, out);
        }
        Push::PresenceDiff { room, version, diff } => message("presence:diff", None, &Changed { room, version: *version, diff }, out),
        Push::PresenceEnded { room, fault } => {
            message("presence:ended", None, &PresenceEnded { room, code: fault.code, message: &fault.message }, out);
        }
    }
}

/// Appends `answer` as one JSON object: `{"event":…,"id":…,"data":{…}}`.
pub fn answer(answer: &Answer, out: &mut BytesMut) {
    let id = answer.id.as_ref().map(super::super::CommandId::as_json);
    let event = match &answer.reply {
        Reply::Authenticated(_) => "authenticated",
        Reply::Subscribed { .. } => "subscribed",
        Reply::Unsubscribed { .. } => "unsubscribed",
        Reply::Published { .. } => "published",
        Reply::Acked { .. } => "acked",
        Reply::Pong { .. } => "client:pong",
        Reply::History(_) => "history",
        Reply::SyncSnapshot(_) => "sync:snapshot",
        Reply::SyncWritten { .. } => "sync:written",
        Reply::PresenceEntered { .. } => "presence:entered",
        Reply::PresenceUpdated { .. } => "presence:updated",
        Reply::PresenceLeft { .. } => "presence:left",
        Reply::PresenceSnapshot(_) => "presence:snapshot",
        Reply::PresenceUnwatched { .. } => "presence:unwatched",
        Reply::Error(_) => "error",
    };
    message(event, id, &answer.reply, out);
}

/// A place in the log to keep like any other.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PositionData")]
pub(in crate::protocol) struct At {
    position: Position,
}

/// When the token ends.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokenExpiringData")]
pub(in crate::protocol) struct Expiring {
    /// Unix seconds.
    expires_at: u64,
}

/// Subscriptions that the server ended, and why.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SubscriptionsEndedData")]
pub(in crate::protocol) struct Ended<'a> {
    /// In canonical form.
    rooms: &'a [Pattern],
    code: Code,
    /// For people; it may change.
    message: &'a str,
}

/// What changed in a room, by users.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PresenceDiffData")]
pub(in crate::protocol) struct Changed<'a> {
    room: &'a RoomName,
    /// One more than that of the room's last diff or snapshot on this connection. When a number is missing, watch again.
    version: u64,
    #[serde(flatten)]
    diff: &'a Diff,
}

/// A room in which a renewed token no longer grants presence, and why.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PresenceEndedData")]
pub(in crate::protocol) struct PresenceEnded<'a> {
    room: &'a RoomName,
    code: Code,
    /// For people; it may change.
    message: &'a str,
}

fn message(event: &str, id: Option<&str>, data: &impl Serialize, out: &mut BytesMut) {
    out.put_slice(b"{\"event\":");
    value(event, out);
    if let Some(id) = id {
        out.put_slice(b",\"id\":");
        out.put_slice(id.as_bytes());
    }
    out.put_slice(b",\"data\":");
    value(data, out);
    out.put_u8(b'}');
}

fn write_publication(publication: &Publication, manner: Manner, out: &mut BytesMut) {
    out.reserve(publication.data.len() + 256);
    out.put_slice(b"{\"event\":");
    value(&publication.event, out);
    out.put_slice(b",\"room\":");
    value(&publication.room, out);
    if let Some(position) = &publication.position {
        out.put_slice(b",\"id\":\"");
        position.write(out);
        out.put_u8(b'"');
    }
    out.put_slice(b",\"ts\":\"");
    timestamp(publication.time_us, out);
    out.put_slice(b"\",\"data\":");
    match publication.content {
        // The broker admitted the data as one JSON value, so it is spliced in as it stands.
        Content::Json => out.put_slice(&publication.data),
        Content::Bytes => spelled(&publication.data, out),
    }
    if publication.priority != Priority::Medium {
        out.put_slice(b",\"priority\":");
        value(&publication.priority, out);
    }
    if let Some(headers) = &publication.headers {
        out.put_slice(b",\"headers\":");
        out.put_slice(headers.as_bytes());
    }
    if publication.cascade {
        out.put_slice(b",\"cascade\":true");
    }
    if publication.requires_ack {
        out.put_slice(b",\"requires_ack\":true");
    }
    if manner != Manner::PLAIN {
        write_manner(manner, out);
    }
    out.put_u8(b'}');
}

/// Bytes as a text in base64, and that they are such.
fn spelled(bytes: &[u8], out: &mut BytesMut) {
    out.put_u8(b'"');
    let start = out.len();
    // Four characters for three bytes; what does not fit into memory as text did not come in as bytes.
    out.resize(start + bytes.len().div_ceil(3) * 4, 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or_default();
    out.truncate(start + written);
    out.put_slice(b"\",\"encoding\":\"base64\"");
}

fn write_manner(manner: Manner, out: &mut BytesMut) {
    if manner.replayed {
        out.put_slice(b",\"replayed\":true");
    }
    if manner.overtook {
        out.put_slice(b",\"overtook\":true");
    }
    for (name, count) in [("conflated", manner.conflated), ("redelivered", manner.redelivered)] {
        if count > 0 {
            out.put_slice(b",");
            value(name, out);
            out.put_slice(b":");
            value(&count, out);
        }
    }
}

/// Serialization of our own types into memory cannot fail: no map has keys that are not strings.
pub(crate) fn value(value: &(impl Serialize + ?Sized), out: &mut BytesMut) {
    serde_json::to_writer(out.writer(), value).expect("plain data serializes into memory");
}

/// RFC 3339 with milliseconds, UTC.
pub(crate) fn timestamp(time_us: u64, out: &mut BytesMut) {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time_us) * 1_000).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, milli) = time.to_hms_milli();
    // Written digit by digit, because formatting costs more than all the rest of a frame, and no year is before Christ.
    let mut text = *b"0000-00-00T00:00:00.000Z";
    digits(&mut text[0..4], year.unsigned_abs());
    digits(&mut text[5..7], u8::from(month).into());
    digits(&mut text[8..10], day.into());
    digits(&mut text[11..13], hour.into());
    digits(&mut text[14..16], minute.into());
    digits(&mut text[17..19], second.into());
    digits(&mut text[20..23], milli.into());
    out.put_slice(&text);
}

/// Fills the field from its end.
fn digits(field: &mut [u8], mut number: u32) {
    for digit in field.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn times_read_as_others_write_them(time_us in 0u64..253_402_300_800_000_000) {
            let time = OffsetDateTime::UNIX_EPOCH + Duration::from_micros(time_us);
            let whole = format!("{}T{:02}:{:02}:{:02}.{:03}Z", time.date(), time.hour(), time.minute(), time.second(), time.millisecond());
            let mut written = BytesMut::new();
            timestamp(time_us, &mut written);
            prop_assert_eq!(&written[..], whole.as_bytes());
        }
    }
}
