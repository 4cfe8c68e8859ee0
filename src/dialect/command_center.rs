//! ● `/ws/command-center`: one envelope both ways, a dotted channel that is channel and event in one, and no way to subscribe.
//!
//! `activity.created` is the event `activity:created` of the channel `activity`. Every message but the pong has a `channel`, because the
//! client fails on one that has none.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Dialect, Follows, says_nothing_first, unknown, writing};
use crate::protocol::command::{Action, Publish, Unreadable, message};
use crate::protocol::push::{Answer, Push, Reply};
use crate::protocol::{Command, Publication};

pub const DIALECT: Dialect = Dialect {
    name: "command-center",
    path: "/ws/command-center",
    events: &["activity:*", "alert:*", "notification:*", "customer:*", "campaign:*", "ai:*", "chat:*", "telemetry:*"],
    has_free_events: false,
    follows: Follows::Everything,
    authenticates_by_message: false,
    read,
    push,
    answer,
    greet: says_nothing_first,
};

/// The `type` of publications whose publisher named none.
const PLAIN: &str = "message";

#[derive(Deserialize)]
struct Incoming<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
}

fn read(text: &[u8]) -> Result<Command, Unreadable> {
    let Incoming { r#type, channel, payload, id } = message(text)?;
    if r#type == "ping" {
        return Ok(Command { id: None, action: Action::Ping });
    }
    let channel = channel.ok_or_else(|| unknown("a message has a channel, as in activity.created"))?;
    if r#type == "pong" {
        return Err(unknown("the type pong is the server's"));
    }
    let (channel, event) = address(&channel).ok_or_else(|| unknown("a channel has a dot, as in activity.created"))?;
    // The envelope goes on as it came: what has no place in a publication travels in its headers.
    let id = id.and_then(writing::text).map(Cow::into_owned);
    let headers = [Some(("type", r#type.into_owned())), id.map(|id| ("id", id))];
    let headers: BTreeMap<String, String> = headers.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
    let data = payload.unwrap_or(RawValue::NULL).to_owned();
    let publish = Publish { channel: Some(channel), headers: Some(headers), ..Publish::new(event, data) };
    Ok(Command { id: None, action: Action::Publish(Box::new(publish)) })
}

#[derive(Serialize)]
struct Envelope<'a, T> {
    r#type: &'a str,
    channel: &'a str,
    payload: T,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
}

#[derive(Deserialize, Default)]
struct Headers<'a> {
    #[serde(borrow, default)]
    r#type: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
}

fn push(push: &Push<'_>, out: &mut BytesMut) {
    match push {
        Push::Publication { publication, .. } => {
            let headers: Headers<'_> = writing::headers(publication);
            let position = || publication.position.map(|position| position.to_string());
            let envelope = Envelope {
                r#type: headers.r#type.as_deref().unwrap_or(PLAIN),
                channel: &dotted(publication),
                payload: writing::data(publication),
                timestamp: writing::text_of(publication.time_us),
                id: headers.id.map(Cow::into_owned).or_else(position),
            };
            writing::write(&envelope, out);
        }
        Push::Gap(gap) => tell("gap", "system.gap", gap, writing::time_of(&gap.to), out),
        Push::Conflated(conflated) => tell("conflated", "system.conflated", conflated, writing::time_of(&conflated.to), out),
        // Its client keeps no positions and cannot renew a token.
        _ => {}
    }
}

/// What the server says for itself.
fn tell(r#type: &str, channel: &str, payload: &impl Serialize, time_us: u64, out: &mut BytesMut) {
    writing::write(&Envelope { r#type, channel, payload, timestamp: writing::text_of(time_us), id: None }, out);
}

fn answer(answer: &Answer, now_ms: u64, out: &mut BytesMut) {
    match &answer.reply {
        Reply::Pong { .. } => out.extend_from_slice(br#"{"type":"pong"}"#),
        Reply::Error(fault) => tell("error", "system.error", fault, now_ms * 1_000, out),
        _ => {}
    }
}

/// The first word of events in this channel.
fn noun(channel: &str) -> &str {
    match channel {
        "alerts" => "alert",
        "notifications" => "notification",
        other => other,
    }
}

/// Channel and event of a dotted channel: what follows the dot is the event itself where it has a colon, else the rest of one that begins
/// with the channel's noun.
fn address(dotted: &str) -> Option<(String, String)> {
    let (channel, rest) = dotted.split_once('.')?;
    let event = if rest.contains(':') { rest.to_owned() } else { format!("{}:{rest}", noun(channel)) };
    Some((channel.to_owned(), event))
}

/// The way back of [`address`]. What was published for a whole org or user has no channel of its own: its event says it all.
fn dotted(publication: &Publication) -> String {
    let (channel, event) = (publication.room.channel(), publication.event.as_str());
    if writing::is_for_people(publication) {
        return match event.split_once(':') {
            Some((noun, rest)) => format!("{noun}.{rest}"),
            None => format!("{channel}.{event}"),
        };
    }
    match event.strip_prefix(noun(channel)).and_then(|rest| rest.strip_prefix(':')) {
        Some(rest) if !rest.is_empty() && !rest.contains(':') => format!("{channel}.{rest}"),
        _ => format!("{channel}.{event}"),
    }
}
