//! What the dialects' writers share: pieces of publications as JSON.

use std::borrow::Cow;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::protocol::codec::json;
use crate::protocol::{Position, Publication};

/// Appends a message.
pub fn write(message: &impl Serialize, out: &mut BytesMut) {
    json::value(message, out);
}

/// The data as one JSON value; bytes are a text in base64.
pub fn data(publication: &Publication) -> Cow<'_, RawValue> {
    match publication.json() {
        // The broker admitted it as one JSON value, so it can be read as one.
        Some(json) => serde_json::from_slice(json).map_or(Cow::Borrowed(RawValue::NULL), Cow::Borrowed),
        None => serde_json::value::to_raw_value(&STANDARD.encode(&publication.data)).map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned),
    }
}

/// RFC 3339 with milliseconds, UTC.
pub fn text_of(time_us: u64) -> String {
    let mut out = BytesMut::new();
    json::timestamp(time_us, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

pub fn ms_of(time_us: u64) -> u64 {
    time_us / 1_000
}

/// When the entry at a position was appended, which its check value tells.
pub fn time_of(position: &Position) -> u64 {
    position.check
}

/// The publication's headers, as far as `T` knows them; nothing of them where there are none.
pub fn headers<'a, T: Deserialize<'a> + Default>(publication: &'a Publication) -> T {
    let text = publication.headers.as_deref();
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A JSON value as a text, where it is one.
pub fn text<'a>(raw: &'a RawValue) -> Option<Cow<'a, str>> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    serde_json::from_str::<Text<'a>>(raw.get()).ok().map(|text| text.0)
}

/// One segment of the publication's room, counted from the channel.
pub fn segment(publication: &Publication, index: usize) -> Option<&str> {
    publication.room.segments().nth(index)
}

/// Whether the publication is for a whole org or for one user rather than for a channel.
pub fn is_for_people(publication: &Publication) -> bool {
    crate::protocol::room::SYSTEM_CHANNELS.contains(&publication.room.channel())
}
